"""How fast the library is, beside the plain way to do the same in the same run: `make bench`.

A subject is a module with a `run()` that returns a `Table`; `__main__` names them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """What one subject measured.

    rows: the same columns in each. Where a row has `ratio` and `at least`, the first must not be below the second.
    """

    title: str
    note: str
    rows: Sequence[Mapping[str, str | int | float | None]]

    @property
    def missed(self) -> list[str]:
        """What the rows promise and do not keep: the first column of each such row."""
        return [
            str(next(iter(row.values())))
            for row in self.rows
            if row.get("at least") is not None and row["ratio"] < row["at least"]
        ]
