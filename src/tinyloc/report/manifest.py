"""Ties each figure and table of the book to the page that makes and shows it, and to the files it was made from.

A notebook is a `Page`; it writes its figures and tables through it:

    page = Page(study.root, "01-data")
    page.figure("rssi-by-room", figure, inputs=[…])      # figures/rssi-by-room.svg and .png
    page.table("baselines", frame, inputs=[…])           # tables/baselines.csv

Every item has a JSON file of its own, `manifest/<page>/<kind>-<id>.json`, so that notebooks that run at the same
time never touch the same file; `merge` gathers them into `manifest.json`, and `check` says what is missing, stale
or not shown.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from tinyloc.errors import InputError
from tinyloc.files import atomic, read_json, write_json

FORMATS = {"figure": (".svg", ".png"), "table": (".csv",)}
SHOWN = {
    "figure": re.compile(r"figures/([\w-]+)\.(?:svg|png)"),
    "table": re.compile(r"tables/([\w-]+)\.csv"),
}


@dataclass(frozen=True)
class Item:
    """One figure or table. Paths are relative to the root of the run; digests are SHA-256."""

    id: str
    kind: str  # "figure" or "table"
    page: str  # the notebook that makes it and shows it
    files: dict[str, str]  # path -> digest
    inputs: dict[str, str]  # path of a result file -> digest when the item was made


@dataclass(frozen=True)
class Drawn:
    """A figure on disk. As the last value of a notebook's cell it shows itself."""

    path: Path

    def _repr_png_(self) -> bytes:
        return self.path.with_suffix(".png").read_bytes()


class Page:
    """The figures and tables that one notebook makes.

    Opening a page forgets what its last execution left, so that an item that the notebook no longer makes is
    missed by `check` and not shown from an old file.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        for entry in self._folder.glob("[!.]*.json"):
            entry.unlink()

    def figure(self, id: str, figure: Figure, inputs: Iterable[Path]) -> Drawn:
        """Save `figure` as SVG (for the page) and PNG (for Jupyter and the README), the same bytes every time."""
        svg, png = self._paths("figure", id)
        # SVG carries the date and random ids unless told otherwise
        with mpl.rc_context({"svg.hashsalt": id}), atomic(svg) as temporary:
            figure.savefig(temporary, bbox_inches="tight", metadata={"Date": None})
        with atomic(png) as temporary:
            figure.savefig(temporary, bbox_inches="tight", dpi=160)
        self._record("figure", id, (svg, png), inputs)
        return Drawn(svg)

    def table(self, id: str, frame: pd.DataFrame, inputs: Iterable[Path]) -> pd.DataFrame:
        """Save `frame`, header row first and no index, as the page shows it; a row of dashes where it has none.

        A page cannot show a table without rows, and a profile without exports, say, has nothing to put in some.
        """
        (csv,) = self._paths("table", id)
        frame = frame if len(frame) else pd.DataFrame([["–"] * len(frame.columns)], columns=frame.columns)
        with atomic(csv) as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n")
        self._record("table", id, (csv,), inputs)
        return frame

    @property
    def _folder(self) -> Path:
        return self.root / "manifest" / self.name

    def _paths(self, kind: str, id: str) -> list[Path]:
        others = {entry.parent.name for entry in self.root.glob(f"manifest/*/{kind}-{id}.json")} - {self.name}
        if others:
            raise InputError(f"{self.name}: {kind} {id!r} is already made by {others.pop()}; choose another id")
        return [self.root / f"{kind}s" / f"{id}{suffix}" for suffix in FORMATS[kind]]

    def _record(self, kind: str, id: str, files: Iterable[Path], inputs: Iterable[Path]) -> None:
        item = Item(id, kind, self.name, self._digests(files), self._digests(inputs))
        write_json(self._folder / f"{kind}-{id}.json", asdict(item))

    def _digests(self, paths: Iterable[Path]) -> dict[str, str]:
        return {Path(os.path.relpath(path, self.root)).as_posix(): _digest(path) for path in paths}


def read(root: Path) -> list[Item]:
    """Every item of a run, by kind and id."""
    items = (Item(**read_json(entry)) for entry in root.glob("manifest/*/[!.]*.json"))
    return sorted(items, key=lambda item: (item.kind, item.id))


def merge(root: Path) -> Path:
    """Write `manifest.json`: item -> kind, page, files and inputs."""
    path = root / "manifest.json"
    write_json(path, {f"{item.kind}s/{item.id}": asdict(item) for item in read(root)})
    return path


def check(root: Path, pages: Iterable[Path]) -> list[str]:
    """What is wrong between a run's items and the pages (`.md`, `.ipynb`) that show them, one line a problem.

    An item is missing when its file is gone, stale when its file or an input is not the one it was recorded
    with, and it has to be shown by the page that makes it (other pages may show it too).
    """
    items = {(item.kind, item.id): item for item in read(root)}
    shown = {page.stem: _shown(page) for page in pages}
    problems = [
        f"{page}: shows {kind} {id!r}, which nothing has made"
        for page, references in shown.items()
        for kind, id in sorted(references - items.keys())
    ]
    for key, item in items.items():
        if key not in shown.get(item.page, ()):
            problems.append(f"{item.page}: makes {item.kind} {item.id!r} and does not show it")
        problems += [f"{item.page}: {item.kind} {item.id!r}: {problem}" for problem in _changes(root, item)]
    return problems


def _changes(root: Path, item: Item) -> list[str]:
    recorded = [("file", *pair) for pair in item.files.items()] + [("input", *pair) for pair in item.inputs.items()]
    problems = []
    for what, name, digest in recorded:
        path = root / name
        if not path.is_file():
            problems.append(f"{what} {name} is missing")
        elif _digest(path) != digest:
            problems.append(f"stale: {what} {name} has changed since")
    return problems


def _shown(page: Path) -> set[tuple[str, str]]:
    """The items that a page's prose shows; what code cells write is not showing."""
    prose = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(prose)["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return {(kind, id) for kind, pattern in SHOWN.items() for id in pattern.findall(prose)}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
