"""Scores from confusion counts, and how sure they are.

Windows overlap and people differ, so thousands of windows of eight people are eight observations and not thousands.
The *unit* of observation is a fold (in leave-one-participant-out a person) or, where there is one fold alone, a
recording of its test part; intervals are 95 % percentile intervals of a bootstrap over units (Efron and Tibshirani,
"An introduction to the bootstrap", 1993, chapter 13).

What seeds do to an interval depends on what they are crossed with:

- Where a unit is a fold, each has models of its own. A unit's mean over the seeds carries a K-th of the seeds'
  variance with it, so resampling units alone covers people and seeds; resampling seeds within them as well would count
  the seeds twice (Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8).
- Where units are recordings of one fold, all of them are answered by the same K models. An unlucky seed is unlucky for
  every recording, which no resampling of recordings can show. There, seeds are resampled too, independently of the
  recordings (the "pigeonhole" bootstrap of Owen, Annals of Applied Statistics 1, 2007; it errs to the wide side).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

RESAMPLES = 10_000
SWAPS = 9_999  # drawn at random; all of them where there are no more (up to 13 units)
LEVEL = 0.95

# of resampled units [M, U] and seeds [M, K], as indices: a value each [M]
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


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
    otherwise they are folds, whose scores are averaged.
    """

    counts: np.ndarray
    names: tuple[str, ...]
    pooled: bool

    @property
    def n_seeds(self) -> int:
        return len(self.counts)

    def score(
        self,
        units: np.ndarray,
        seeds: np.ndarray | None = None,
        measure: Callable[[np.ndarray], np.ndarray] = macro_f1,
    ) -> np.ndarray:
        """`measure` of every resample: indices of units [M, U] and of seeds [M, K] (none: every seed once) -> [M].

        Folds average their seeds whatever `seeds` says: see the module.
        """
        if not self.pooled:
            return self.by_unit(measure)[units].mean(-1)
        by_seed = measure(pooled(self.counts, units))
        return (by_seed if seeds is None else np.take_along_axis(by_seed, seeds, 1)).mean(1)

    def by_unit(self, measure: Callable[[np.ndarray], np.ndarray] = macro_f1) -> np.ndarray:
        """`measure` of every unit alone, mean over the seeds: [U]."""
        return measure(self.counts).mean(0)

    def beside(self, other: "Units") -> "Units":
        """The units of both in one row, [K, 2 U, R, R]: index u is ours, U + u theirs."""
        return replace(self, counts=np.concatenate([self.counts, other.counts], 1), names=self.names + other.names)


def units(
    folds: Sequence[str],
    recordings: Sequence[str],
    answers: Sequence[tuple[np.ndarray, np.ndarray]],
    n_rooms: int,
) -> Units:
    """Count answers unit by unit.

    folds, recordings: of every test row [N]. answers: rooms (true [N], predicted [N]), one pair a seed.
    """
    labels = labels_of(folds, recordings)
    names = tuple(dict.fromkeys(labels.tolist()))
    rows = [labels == name for name in names]
    counts = [[confusion(true[r], predicted[r], n_rooms) for r in rows] for true, predicted in answers]
    return Units(np.asarray(counts), names, pooled=len(set(folds)) == 1)


def labels_of(folds: Sequence[str], recordings: Sequence[str]) -> np.ndarray:
    """The unit of every test row [N]: its fold, or its recording where there is one fold alone."""
    return np.asarray(recordings if len(set(folds)) == 1 else folds)


def pooled(parts: np.ndarray, units: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
    """Sums over the units of every resample, seed by seed, for scores that are made from such sums.

    parts: what a unit adds [K, U, ...]. units, seeds: indices [M, U] and [M, K]; none: every seed once. -> [M, K, ...]
    """
    times = (units[:, :, None] == np.arange(parts.shape[1])).sum(1)
    # as one product of matrices, several times faster than `einsum`; sums of counts are the same to the bit, because
    # whole numbers of this size are exact as floats
    flat = parts.swapaxes(0, 1).reshape(parts.shape[1], -1)
    by_seed = (times.astype(float) @ flat).reshape(len(units), parts.shape[0], *parts.shape[2:])
    return by_seed if seeds is None else by_seed[np.arange(len(units))[:, None], seeds]


def draws(n_units: int, n_seeds: int = 1, stream: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The resamples of every interval, the same for the same sizes: units [M, U] and seeds [M, K], as indices.

    stream: another one gives other resamples, for data sets that are resampled apart.
    """
    rng = np.random.default_rng(stream)
    drawn = rng.integers(n_units, size=(RESAMPLES, n_units))
    return drawn, rng.integers(n_seeds, size=(RESAMPLES, n_seeds))


def coverage(n_units: int, level: float = LEVEL) -> float:
    """How often a percentile interval of the mean of so many units holds the truth, were they normally distributed.

    It is about z √((n − 1) / n) standard errors long to either side where Student's would be t: too short for few units
    (Hesterberg, The American Statistician 69, 2015).
    """
    from scipy.stats import norm, t  # half a second, which commands that test nothing need not wait

    reach = norm.ppf((1 + level) / 2) * np.sqrt((n_units - 1) / n_units)
    return float(2 * t.cdf(reach, n_units - 1) - 1)


def none_on_average(values: np.ndarray) -> float:
    """Two-sided p of the sign-flip test that values [U] of units are none on average: exact for up to 13 units.

    It supposes that without an effect either sign is as likely (Good, "Permutation, parametric and bootstrap tests of
    hypotheses", 2005). One unit alone has no test: NaN.
    """
    from scipy.stats import permutation_test

    if len(values) == 1:
        return np.nan
    tested = permutation_test(
        (values,),
        lambda one, axis: np.round(one.mean(axis), 12),  # equal sums in another order count as equal
        permutation_type="samples",
        vectorized=True,
        n_resamples=SWAPS,
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def interval(statistic: Statistic, n_units: int, n_seeds: int = 1, method: str = "linear") -> dict[str, float]:
    """{"mean", "low", "high"} of a statistic over units and seeds, always from the same resamples; "mean" is its value
    on the units and seeds as they are.

    method: of `numpy.quantile`, for statistics that must not be interpolated. One unit alone has no interval: low and
    high are NaN.
    """
    value = float(statistic(np.arange(n_units)[None], np.arange(n_seeds)[None])[0])
    if n_units == 1:
        return {"mean": value, "low": np.nan, "high": np.nan}
    resampled = statistic(*draws(n_units, n_seeds))
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method=method)
    return {"mean": value, "low": float(low), "high": float(high)}
