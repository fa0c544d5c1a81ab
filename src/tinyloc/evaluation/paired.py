"""Two models on the same test rows: by how much one is better, whether that may be chance, and what may be said.

All of it is paired unit by unit (see `tinyloc.evaluation.statistics`), because a hard person is hard for both. Several
data sets may be compared together: each is scored by itself, the scores are averaged, and units stay in their own.

- The interval of the difference is a bootstrap percentile interval over units, stratified by data set.
- The test asks whether the two models could be exchanged: swap their answers in every unit or not, at random, which
  is the sign-flip test of a paired difference where the score is a mean over units (Good, "Permutation, parametric
  and bootstrap tests of hypotheses", 2005). It is exact, over all 2^U swaps, as long as these are fewer than SWAPS.
- *Equivalent* is not *not different*: it has to be shown, by two one-sided t tests that the difference lies within
  MARGIN (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). The standard error is that of the
  bootstrap, which knows of pooled scores and of other seeds; where scores are means over units, the test is the paired
  t test. The share of resamples beyond the margin has to be as small, because t tests know nothing of skewness; alone,
  of few units, it would be too small (`statistics.coverage`).
- *Not worse* is one of the two tests alone, at half the level, as regulators of medicines ask for (ICH E9, "Statistical
  principles for clinical trials", 1998): the lower end of the 95 % interval then lies above the margin as well.
- A difference is *certain* where the test says so and the interval leaves out zero as well, see `verdict`.
- Where several pairs are tested, their p-values are Holm's (Scandinavian Journal of Statistics 6, 1979): the chance
  of one or more false findings among all of them is at most ALPHA.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import permutation_test, t

from tinyloc.evaluation.statistics import LEVEL, SWAPS, Units, draws

ALPHA = 0.05
ONE_SIDED = ALPHA / 2  # of a single one-sided test
MARGIN = 0.01  # of macro F1: what a difference has to be smaller than to be none

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"


@dataclass(frozen=True)
class Paired:
    """The macro F1 of one model minus another's, as fractions. NaN where there is one unit alone."""

    difference: float
    low: float  # of the 95 % interval
    high: float
    p: float  # two-sided, of no difference
    p_equivalent: float  # of a difference of MARGIN or more, either way
    p_not_worse: float  # of being worse by MARGIN or more
    p_worse: float  # of being worse by less than MARGIN, or better
    n_units: int

    @property
    def p_least(self) -> float:
        """The smallest two-sided p that so many units can give, whatever the models do."""
        return 2 / min(2**self.n_units, SWAPS + 1)


def compare(ours: Sequence[Units], theirs: Sequence[Units]) -> Paired:
    """Compare two models on the same units, one `Units` a data set.

    Raises ValueError: the units or the numbers of seeds differ, so that nothing pairs.
    """
    for a, b in zip(ours, theirs, strict=True):
        if a.names != b.names or a.n_seeds != b.n_seeds:
            raise ValueError(f"not the same units and seeds: {a.names} × {a.n_seeds}, {b.names} × {b.n_seeds}")
    difference = float(_difference(ours, theirs, [(np.arange(len(a.names))[None], None) for a in ours])[0])
    n_units = sum(len(a.names) for a in ours)
    if min(len(a.names) for a in ours) == 1:
        return Paired(difference, *[np.nan] * 6, n_units)
    drawn = [draws(len(a.names), a.n_seeds, stream) for stream, a in enumerate(ours)]
    resampled = _difference(ours, theirs, drawn)
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    freedom = n_units - len(ours)
    error = resampled.std() * np.sqrt(n_units / freedom)  # resamples spread as if the units were all there are
    below = _beyond(difference + MARGIN, error, freedom, resampled <= -MARGIN)
    above = _beyond(MARGIN - difference, error, freedom, resampled >= MARGIN)
    within = _beyond(-MARGIN - difference, error, freedom, resampled >= -MARGIN)
    swapped = _swapped(ours, theirs)
    return Paired(difference, float(low), float(high), swapped, max(below, above), below, within, n_units)


def _difference(ours: Sequence[Units], theirs: Sequence[Units], drawn: Sequence[tuple]) -> np.ndarray:
    """Mean over the data sets of the difference in macro F1, every resample: [M]."""
    return np.mean([a.score(*d) - b.score(*d) for a, b, d in zip(ours, theirs, drawn, strict=True)], 0)


def _swapped(ours: Sequence[Units], theirs: Sequence[Units]) -> float:
    """Two-sided p of the swaps. The samples are indices into both models' units side by side, so that scipy permutes
    units and we score them as they come to lie."""
    both = [a.beside(b) for a, b in zip(ours, theirs, strict=True)]
    sizes = [len(a.names) for a in ours]
    first = np.concatenate([np.arange(n) for n in sizes])
    second = first + np.repeat(sizes, sizes)
    ends = np.cumsum(sizes)[:-1]

    def statistic(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        parts = zip(both, *(np.split(np.atleast_2d(x), ends, axis=-1) for x in (one, other)), strict=True)
        # rounded: a difference of one row in thousands is so small that equal sums in another order would count as less
        found = np.round(np.mean([u.score(a) - u.score(b) for u, a, b in parts], 0), 12)
        return found if one.ndim > 1 else found[0]

    tested = permutation_test(
        (first, second),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=SWAPS,
        batch=1000,
        axis=-1,
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def _beyond(distance: float, error: float, freedom: int, resampled: np.ndarray) -> float:
    """p of a one-sided test: the larger of Student's and the share of the resamples [M] beyond the margin, never 0.

    distance: from the margin, positive where the test may reject, with its standard error. resampled: which lie beyond.
    """
    share = (1 + resampled.sum()) / (1 + len(resampled))
    student = t.sf(distance / error, freedom) if error else float(distance <= 0)
    return float(max(share, student))


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values, in the order given; NaN is no test and stays NaN."""
    p = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    weights = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(weights * p[order]), 1)
    return adjusted


def verdict(difference: float, low: float, high: float, p: float, p_equivalent: float) -> str:
    """What may be said, from adjusted p-values. A difference that is certain is one, however small it is.

    Swaps of units know of no other seeds, and the interval does; of few units the interval is narrow, and the swaps
    know it. So a difference that is certain has to pass both.
    """
    if p < ALPHA and (low > 0 or high < 0):
        return BETTER if difference > 0 else WORSE
    return EQUIVALENT if p_equivalent < ALPHA else UNDECIDED
