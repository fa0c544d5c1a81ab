"""`python -m benchmarks [SUBJECT …]`: measure, print one table each, and leave build/bench/<subject>.json.

Without a subject, all of them but `matrix`, which exports every network in every kind.
"""

import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table as Printed

from benchmarks import Table
from tinyloc import provenance
from tinyloc.files import write_json

SUBJECTS = ("networks", "simulator", "export", "runtime", "quick")
ALONE = ("matrix",)  # takes long, and runs only where it is named
RESULTS = Path(__file__).parents[1] / "build" / "bench"


def main(subjects: list[str]) -> int:
    """The exit status: 1 where a table does not keep what it promises, 2 for a subject that there is not."""
    console = Console(width=110)
    known = (*SUBJECTS, *ALONE)
    unknown = [name for name in subjects if name not in known]
    if unknown:
        print(f"benchmark {unknown[0]!r}: no such subject; there are {', '.join(known)}", file=sys.stderr)
        return 2
    missed = []
    for name in subjects or SUBJECTS:
        table = import_module(f"benchmarks.{name}").run()
        _print(console, table)
        content = {"title": table.title, "note": table.note, "rows": [dict(row) for row in table.rows]}
        write_json(RESULTS / f"{name}.json", {**content, "provenance": provenance.record()})
        missed += table.missed
    for what in missed:
        console.print(f"[red]slower than it should be:[/red] {what}")
    return 1 if missed else 0


def _print(console: Console, table: Table) -> None:
    printed = Printed(title=table.title, caption=table.note, title_justify="left", caption_justify="left")
    for i, column in enumerate(table.rows[0]):
        printed.add_column(column, justify="right" if i else "left")
    for row in table.rows:
        printed.add_row(*(_text(value) for value in row.values()))
    console.print(printed)


def _text(value: str | int | float | None) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return "" if value is None else f"{value}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
