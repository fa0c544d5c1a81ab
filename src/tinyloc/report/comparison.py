"""Entries over all their folds and seeds, and two entries on the same test rows: by how much one is better.

A difference is taken unit by unit before anything is averaged, because a hard person is hard for both entries. What a
unit is, and how an interval is made, see `tinyloc.evaluation.statistics`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.errors import InputError
from tinyloc.evaluation import paired, statistics
from tinyloc.report import results

PAIRS = (
    "dataset", "entry", "against", "difference", "low", "high", "p", "p_equivalent", "n_units", "p_least", "p_holm",
    "verdict",
)  # fmt: skip


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
        _require_pairs(dataset, entry, ours, against, theirs)
        difference = ours.by_unit() - theirs.by_unit()
        units.append(pd.DataFrame({"dataset": dataset, "unit": ours.names, "difference": difference}))
        interval = statistics.interval(
            lambda drawn, seeds, a=ours, b=theirs: a.score(drawn, seeds) - b.score(drawn, seeds),
            len(ours.names),
            ours.n_seeds,
        )
        intervals.append({"dataset": dataset, **interval})
    return Comparison(entry, against, pd.concat(units, ignore_index=True), pd.DataFrame(intervals))


def pairs(
    folders: Iterable[Path],
    entry: str | None = None,
    together: Mapping[str, Sequence[str]] | None = None,
    one_family: bool = False,
) -> pd.DataFrame:
    """Every pair of entries on every data set, tested: a row each with the columns PAIRS.

    Differences are `entry` minus `against` in fractions of macro F1. Holm's correction is for the pairs of a data set,
    for either question apart; `p_equivalent` is corrected, and `verdict` rests on corrected values alone. What each of
    them is: `tinyloc.evaluation.paired`.
    entry: compare this one alone with every other; fewer questions leave each of them more power.
    together: more rows under these names, for several data sets as one question; their units are all resampled, each
    in its own data set.
    one_family: Holm's correction is for all rows, for a claim about all the data sets.
    Raises InputError: two entries were not scored on the same units and seeds.
    """
    by_key = {key: units_of(seeds) for key, seeds in group(folders).items()}
    questions = {dataset: (dataset,) for dataset in dict.fromkeys(d for d, _ in by_key)} | dict(together or {})
    tables = [_tested(name, by_key, datasets, entry) for name, datasets in questions.items()]
    found = [table for table in tables if len(table)]
    if not found:
        return pd.DataFrame(columns=PAIRS)
    families = [pd.concat(found, ignore_index=True)] if one_family else found
    return pd.concat([_corrected(family) for family in families], ignore_index=True)


def _tested(
    name: str, by_key: Mapping[tuple[str, str], statistics.Units], datasets: Sequence[str], only: str | None
) -> pd.DataFrame:
    """The pairs of entries that are in all of `datasets`, tested and not corrected."""
    entries = [e for d, e in by_key if d == datasets[0] and all((other, e) in by_key for other in datasets)]
    rows = []
    for entry, other in combinations(entries, 2) if only is None else ((only, e) for e in entries):
        if entry == other or only not in {None, *entries}:
            continue
        for dataset in datasets:
            _require_pairs(dataset, entry, by_key[dataset, entry], other, by_key[dataset, other])
        found = paired.compare([by_key[d, entry] for d in datasets], [by_key[d, other] for d in datasets])
        rows.append({"dataset": name, "entry": entry, "against": other, **vars(found), "p_least": found.p_least})
    return pd.DataFrame(rows)


def _corrected(tests: pd.DataFrame) -> pd.DataFrame:
    """One family of tests, with what its corrected p-values allow to say."""
    table = tests.assign(p_holm=paired.holm(tests["p"]), p_equivalent=paired.holm(tests["p_equivalent"]))
    judged = zip(table["difference"], table["p_holm"], table["p_equivalent"], strict=True)
    return table.assign(verdict=[paired.verdict(*row) for row in judged])


def _require_pairs(dataset: str, entry: str, ours: statistics.Units, against: str, theirs: statistics.Units) -> None:
    if ours.names != theirs.names or ours.n_seeds != theirs.n_seeds:
        raise InputError(
            f"{dataset}: {entry!r} and {against!r} were scored on different units or seeds; compute them again"
        )


def summary(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set and entry: seeds, parameters, accuracy (mean over folds and seeds), macro_f1, low, high."""
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        folds = results.folds(seeds)
        units = units_of(seeds)
        interval = statistics.interval(units.score, len(units.names), units.n_seeds)
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


def by_room(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set, entry and room: f1, low, high.

    Of folds it is the mean over those where the room was visited or predicted, of recordings that of all together; NaN
    for a room that was in none.
    """
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        names = results.confusion(seeds[:1]).index
        for room, f1, low, high in zip(names, *_rooms(units_of(seeds)), strict=True):
            rows.append({"dataset": dataset, "entry": entry, "room": room, "f1": f1, "low": low, "high": high})
    return pd.DataFrame(rows)


def _rooms(units: statistics.Units) -> np.ndarray:
    """F1 of every room, and the ends of its 95 % interval [3, R]."""
    n_units, n_seeds = len(units.names), units.n_seeds
    f1 = _room_scores(units, np.arange(n_units)[None], np.arange(n_seeds)[None])[0]
    ends, known = np.full((2, len(f1)), np.nan), ~np.isnan(f1)
    if n_units > 1:
        drawn = _room_scores(units, *statistics.draws(n_units, n_seeds))[:, known]
        ends[:, known] = np.nanquantile(drawn, ((1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2), axis=0)
    return np.vstack([f1, ends])


def _room_scores(units: statistics.Units, drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """F1 of every room [M, R] in resamples of units [M, U] and seeds [M, K]."""
    if units.pooled:
        return units.score(drawn, seeds[..., None], statistics.room_f1)
    by_unit = _mean(statistics.room_f1(units.counts), 0)
    return _mean(by_unit[drawn], 1)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Of the values that are there; NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    return np.divide(np.where(known, values, 0).sum(axis), count, out=np.full(count.shape, np.nan), where=count > 0)


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
