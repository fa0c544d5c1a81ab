"""Every `.tflite` of the quick profile: its file, its arena in TFLite Micro, and how often it is right.

`make book` makes them, which takes minutes, so this reads what is there and says where nothing is.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import Table
from tinyloc.report import comparison, results
from tinyloc.study import Study


def run() -> Table:
    """Read the exports of build/quick."""
    note = "bytes: of folds and seeds the most; macro F1 in per cent, with its 95 % interval"
    return Table("Exports of the quick profile, in TFLite Micro", note, [*rows(Study.open("quick").root)])


def rows(root: Path) -> Iterator[dict]:
    """One row a data set and export among the results in `root`."""
    folders = sorted(path.parent for path in root.glob("results/*/*/seed*/export.json"))
    if not folders:
        yield _row("none is here: `make book` makes them")
        return
    scores = comparison.summary(folders).set_index(["dataset", "entry"])
    for key, part in results.exports(folders).groupby(["dataset", "entry"], sort=False):
        percent = {name: 100 * float(scores.loc[key, name]) for name in ("macro_f1", "low", "high")}
        arena = part["arena_bytes"].max()
        sizes = int(part["tflite_bytes"].max()), None if np.isnan(arena) else int(arena)
        yield _row(" ".join(key), *sizes, **percent)


def _row(
    model: str,
    tflite: int | None = None,
    arena: int | None = None,
    macro_f1: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> dict:
    return {"model": model, "tflite": tflite, "arena": arena, "macro F1": macro_f1, "from": low, "to": high}
