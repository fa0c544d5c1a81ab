"""Scores from confusion counts, and how sure they are.

Windows overlap and people differ, so thousands of windows of eight people are eight observations and not thousands.
The *unit* of observation is a fold (in leave-one-participant-out a person) or, where there is one fold alone, a
recording of its test part; intervals are 95 % percentile intervals of a bootstrap over units (Efron and Tibshirani,
"An introduction to the bootstrap", 1993, chapter 13).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


def confusion(true: np.ndarray, predicted: np.ndarray, n_rooms: int) -> np.ndarray:
    """Counts [R, R] of rooms true [N] (down) and predicted [N] (across)."""
    counts = np.zeros((n_rooms, n_rooms), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def room_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of every room: counts [..., R, R] -> [..., R]; NaN for a room that was neither visited nor predicted."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    either = counts.sum(-1) + counts.sum(-2)
    return np.divide(2 * right, either, out=np.full(right.shape, np.nan), where=either > 0)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the rooms that were visited or predicted: counts [..., R, R] -> [...]."""
    return np.nanmean(room_f1(counts), -1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of right answers: counts [..., R, R] -> [...]."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


@dataclass(frozen=True)
class Units:
    """Confusion counts unit by unit.

    counts: [K seeds, U units, R, R]. `pooled`: the units are recordings of one fold and are scored together;
    otherwise they are folds, whose scores are averaged. Seeds are averaged: they are not observations.
    """

    counts: np.ndarray
    names: tuple[str, ...]
    pooled: bool

    def score(self, resampled: np.ndarray, measure: Callable[[np.ndarray], np.ndarray] = macro_f1) -> np.ndarray:
        """`measure` of every resample: indices of units [M, U] -> [M]."""
        if not self.pooled:
            return self.by_unit(measure)[resampled].mean(-1)
        times = (resampled[:, :, None] == np.arange(len(self.names))).sum(1)
        return measure(np.einsum("mu,kuij->mkij", times, self.counts)).mean(1)

    def by_unit(self, measure: Callable[[np.ndarray], np.ndarray] = macro_f1) -> np.ndarray:
        """`measure` of every unit alone: [U]."""
        return measure(self.counts).mean(0)


def units(
    folds: Sequence[str],
    recordings: Sequence[str],
    answers: Sequence[tuple[np.ndarray, np.ndarray]],
    n_rooms: int,
) -> Units:
    """Count answers unit by unit.

    folds, recordings: of every test row [N]. answers: rooms (true [N], predicted [N]), one pair a seed.
    """
    pooled = len(set(folds)) == 1
    labels = np.asarray(recordings if pooled else folds)
    names = tuple(dict.fromkeys(labels.tolist()))
    rows = [labels == name for name in names]
    counts = [[confusion(true[r], predicted[r], n_rooms) for r in rows] for true, predicted in answers]
    return Units(np.asarray(counts), names, pooled)


def interval(statistic: Callable[[np.ndarray], np.ndarray], n_units: int) -> dict[str, float]:
    """{"mean", "low", "high"} of a statistic of indices of units [M, U] -> [M], always from the same resamples.

    One unit alone has no interval: low and high are NaN.
    """
    mean = float(statistic(np.arange(n_units)[None])[0])
    if n_units == 1:
        return {"mean": mean, "low": np.nan, "high": np.nan}
    resampled = np.random.default_rng(0).integers(n_units, size=(RESAMPLES, n_units))
    low, high = np.quantile(statistic(resampled), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {"mean": mean, "low": float(low), "high": float(high)}
