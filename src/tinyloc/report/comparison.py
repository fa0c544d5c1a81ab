"""Two entries on the same test rows: by how much one is better, and how sure that is.

Windows overlap and people differ, so thousands of windows of eight people are eight observations and not thousands.
The *unit* of observation is a fold (in leave-one-participant-out a person), or, where there is one fold alone, a
recording of its test part. A difference is taken unit by unit before anything is averaged, because a hard person is
hard for both entries, and its interval is the 95 % percentile interval of a bootstrap over units (Efron and
Tibshirani, "An introduction to the bootstrap", 1993). Seeds are averaged within a unit: they are not observations.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.errors import InputError
from tinyloc.report import results

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Answers:
    """What one entry answered on one data set, counted by unit.

    counts: [K seeds, U units, R, R], true room down, predicted room across. `pooled`: whether the units are the
    recordings of one fold, which are scored together, or folds, whose scores are averaged.
    """

    counts: np.ndarray
    units: tuple[str, ...]
    pooled: bool

    @classmethod
    def of(cls, folders: Sequence[Path]) -> "Answers":
        """folders: one entry on one data set, one folder a seed."""
        tables = [results.predictions(folder) for folder in folders]
        pooled = tables[0]["fold"].nunique() == 1
        unit = "recording" if pooled else "fold"
        units = tuple(dict.fromkeys(tables[0][unit]))
        n_rooms = len(results.confusion(folders[:1]))
        return cls(np.stack([_count(table, unit, units, n_rooms) for table in tables]), units, pooled)

    def score(self, resampled: np.ndarray) -> np.ndarray:
        """Macro F1, mean over seeds, of every resample: [M, U] indices of units -> [M]."""
        if not self.pooled:
            return self.by_unit()[resampled].mean(-1)
        times = (resampled[:, :, None] == np.arange(len(self.units))).sum(1)
        return macro_f1(np.einsum("mu,kuij->mkij", times, self.counts)).mean(1)

    def by_unit(self) -> np.ndarray:
        """Macro F1 of every unit alone, mean over seeds: [U]."""
        return macro_f1(self.counts).mean(0)


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
    by_key = _group(folders)
    datasets = [d for d, e in by_key if e == entry and (d, against) in by_key]
    if not datasets:
        raise InputError(f"no data set has results of both {entry!r} and {against!r}; compute them first")
    units, intervals = [], []
    for dataset in datasets:
        ours, theirs = (Answers.of(by_key[dataset, e]) for e in (entry, against))
        if ours.units != theirs.units:
            raise InputError(f"{dataset}: {entry!r} and {against!r} were scored on different units; compute them again")
        difference = ours.by_unit() - theirs.by_unit()
        units.append(pd.DataFrame({"dataset": dataset, "unit": ours.units, "difference": difference}))
        intervals.append(
            {"dataset": dataset, **_interval(lambda i, a=ours, b=theirs: a.score(i) - b.score(i), len(ours.units))}
        )
    return Comparison(entry, against, pd.concat(units, ignore_index=True), pd.DataFrame(intervals))


def summary(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set and entry: seeds, parameters, accuracy (mean over folds and seeds), macro_f1, low, high."""
    rows = []
    for (dataset, entry), seeds in _group(folders).items():
        scores = results.folds(seeds)
        answers = Answers.of(seeds)
        interval = _interval(answers.score, len(answers.units))
        rows.append(
            {
                "dataset": dataset,
                "entry": entry,
                "seeds": len(seeds),
                "parameters": scores["parameters"].iloc[0],
                "accuracy": scores["accuracy"].mean(),
                "macro_f1": interval["mean"],
                "low": interval["low"],
                "high": interval["high"],
            }
        )
    return pd.DataFrame(rows)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the rooms that were visited or predicted: confusion counts [..., R, R] -> [...]."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    either = counts.sum(-1) + counts.sum(-2)
    f1 = np.divide(2 * right, either, out=np.zeros(right.shape), where=either > 0)
    return f1.sum(-1) / (either > 0).sum(-1)


def _interval(statistic: Callable[[np.ndarray], np.ndarray], n_units: int) -> dict[str, float]:
    """statistic: [M, U] indices of units -> [M]. One unit alone has no interval: low and high are NaN."""
    mean = float(statistic(np.arange(n_units)[None])[0])
    if n_units == 1:
        return {"mean": mean, "low": np.nan, "high": np.nan}
    resampled = np.random.default_rng(0).integers(n_units, size=(RESAMPLES, n_units))
    low, high = np.quantile(statistic(resampled), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {"mean": mean, "low": float(low), "high": float(high)}


def _group(folders: Iterable[Path]) -> dict[tuple[str, str], list[Path]]:
    """Folders by (data set, entry), one a seed, in the order given."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for folder in dict.fromkeys(folders):
        key = results.Key.of(folder)
        groups.setdefault((key.dataset, key.entry), []).append(folder)
    return groups


def _count(table: pd.DataFrame, unit: str, units: Sequence[str], n_rooms: int) -> np.ndarray:
    """Confusion counts of every unit [U, R, R]."""
    counts = np.zeros((len(units), n_rooms, n_rooms), np.int64)
    np.add.at(counts, (pd.Index(units).get_indexer(table[unit]), table["y_true"], table["y_pred"]), 1)
    return counts
