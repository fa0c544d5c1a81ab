"""Entries over all their folds and seeds, and two entries on the same test rows: by how much one is better.

A difference is taken unit by unit before anything is averaged, because a hard person is hard for both entries. What a
unit is, and how an interval is made, see `tinyloc.evaluation.statistics`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tinyloc.errors import InputError
from tinyloc.evaluation import statistics
from tinyloc.report import results


@dataclass(frozen=True)
class Comparison:
    """`entry` minus `against`, in fractions of macro F1."""

    entry: str
    against: str
    units: pd.DataFrame  # dataset, unit, difference
    intervals: pd.DataFrame  # dataset, mean, low, high


def compare(folders: Iterable[Path], entry: str, against: str) -> Comparison:
    """Compare two of the entries among `folders` on every data set where both are.

    Raises InputError: no data set has both, or they were not scored on the same units.
    """
    by_key = group(folders)
    datasets = [d for d, e in by_key if e == entry and (d, against) in by_key]
    if not datasets:
        raise InputError(f"no data set has results of both {entry!r} and {against!r}; compute them first")
    units, intervals = [], []
    for dataset in datasets:
        ours, theirs = (units_of(by_key[dataset, e]) for e in (entry, against))
        if ours.names != theirs.names:
            raise InputError(f"{dataset}: {entry!r} and {against!r} were scored on different units; compute them again")
        difference = ours.by_unit() - theirs.by_unit()
        units.append(pd.DataFrame({"dataset": dataset, "unit": ours.names, "difference": difference}))
        interval = statistics.interval(lambda rows, a=ours, b=theirs: a.score(rows) - b.score(rows), len(ours.names))
        intervals.append({"dataset": dataset, **interval})
    return Comparison(entry, against, pd.concat(units, ignore_index=True), pd.DataFrame(intervals))


def summary(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set and entry: seeds, parameters, accuracy (mean over folds and seeds), macro_f1, low, high."""
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        folds = results.folds(seeds)
        units = units_of(seeds)
        interval = statistics.interval(units.score, len(units.names))
        rows.append(
            {
                "dataset": dataset,
                "entry": entry,
                "seeds": len(seeds),
                "parameters": folds["parameters"].iloc[0],
                "accuracy": folds["accuracy"].mean(),
                "macro_f1": interval["mean"],
                "low": interval["low"],
                "high": interval["high"],
            }
        )
    return pd.DataFrame(rows)


def group(folders: Iterable[Path]) -> dict[tuple[str, str], list[Path]]:
    """Folders by (data set, entry), one a seed: data sets, and the entries of each, in the order given."""
    groups: dict[str, dict[str, list[Path]]] = {}
    for folder in dict.fromkeys(folders):
        key = results.Key.of(folder)
        groups.setdefault(key.dataset, {}).setdefault(key.entry, []).append(folder)
    return {(dataset, entry): seeds for dataset, entries in groups.items() for entry, seeds in entries.items()}


def units_of(folders: Sequence[Path]) -> statistics.Units:
    """folders: one entry on one data set, one folder a seed."""
    tables = [results.predictions(folder) for folder in folders]
    first = tables[0]
    return statistics.units(
        folds=first["fold"].tolist(),
        recordings=first["recording"].tolist(),
        answers=[(table["y_true"].to_numpy(), table["y_pred"].to_numpy()) for table in tables],
        n_rooms=len(results.confusion(folders[:1])),
    )
