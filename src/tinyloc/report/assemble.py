"""Brings together what Jupyter Book builds from: prose, woven notebooks, figures and tables, in one folder.

    python -m tinyloc.report.assemble ROOT --book BOOK --notebooks NOTEBOOKS

Pages and notebooks lie side by side in ROOT/book, with `figures/` and `tables/` beside them, so a page shows a figure
as `figures/<id>.svg` and a table as `tables/<id>.csv`. A file whose content is unchanged keeps its time, because
Sphinx builds a page again when its file, or a figure of it, is newer.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from tinyloc.errors import InputError
from tinyloc.files import atomic, sha256, write_json
from tinyloc.report import manifest
from tinyloc.report.weave import weave

GENERATED = ("figures", "tables")


def assemble(root: Path, book: Path, notebooks: Path) -> dict[str, str]:
    """Make ROOT/book hold these sources and nothing else; returns the digest of every file by its name in there.

    Raises InputError: two sources have one name, or a figure or table is missing, stale or not shown by its page.
    """
    sources = {path.relative_to(book): path.read_bytes() for path in _files(book)}
    for notebook in sorted(notebooks.glob("*.ipynb")):
        if Path(notebook.name) in sources or Path(notebook.stem + ".md") in sources:
            raise InputError(f"{notebook}: {book} has a page of this name too; rename one of them")
        woven = weave(notebook, root / "notebooks" / notebook.name)
        sources[Path(notebook.name)] = (nbformat.writes(woven) + "\n").encode()
    for folder in GENERATED:
        sources |= {path.relative_to(root): path.read_bytes() for path in _files(root / folder)}
    assembled = root / "book"
    _mirror(sources, assembled)
    manifest.merge(root)
    problems = manifest.check(root, [*assembled.glob("*.md"), *assembled.glob("*.ipynb")])
    if problems:
        raise InputError("figures and tables: " + "; ".join(problems))
    return {path.as_posix(): sha256(content) for path, content in sources.items()}


def _files(folder: Path) -> list[Path]:
    """Every file below `folder`; hidden ones are an editor's, or an interrupted writer's."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _mirror(files: dict[Path, bytes], target: Path) -> None:
    for path, content in files.items():
        place = target / path
        if not place.is_file() or place.read_bytes() != content:
            with atomic(place) as temporary:
                temporary.write_bytes(content)
    for stray in _files(target):
        if stray.relative_to(target) not in files:
            stray.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description="Bring together the sources of the book.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--notebooks", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        digests = assemble(arguments.root, arguments.book, arguments.notebooks)
    except InputError as error:
        sys.exit(f"{error}")
    write_json(arguments.root / "assembled.json", digests)


if __name__ == "__main__":
    main()
