"""Whether a model that says "90 % sure" is right nine times out of ten.

The expected calibration error is that of Naeini et al. (AAAI 2015) over the probability of the room that is most
likely, in bins of equal mass (Nguyen and O'Connor, EMNLP 2015): with bins of equal width nearly all windows of a good
model fall into the last one. The negative log-likelihood is a proper score: no other probabilities than the true ones
do better on average, which cannot be said of the calibration error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyloc.evaluation import statistics

BINS = 10
SMALLEST = 1e-7  # a room that was ruled out (float32) and was true costs 16 nats, not infinitely many


def summary(
    probabilities: Sequence[np.ndarray], y_true: np.ndarray, unit: Sequence[str], crossed: bool = False
) -> dict:
    """What probabilities [N, R] of the true rooms [N] are worth, in units [N]; one array a seed, of the same rows.

    `ece` (a fraction), `nll` (nats a window) and `excess` (mean confidence minus the share of right answers), each with
    a 95 % interval over units; `excess` also with `p`, two-sided, of flips of the units' signs. And the reliability
    curve: bins of equal mass, each with its mean confidence and its share of right answers, with an interval. All are
    means over the seeds. The bins are those of all rows of a seed together, and units are pooled.
    crossed: the units were all answered by the same models, so that seeds are resampled too (see `statistics`).
    """
    names, row = np.unique(np.asarray(unit), return_inverse=True)
    told = [_told(probability, y_true, row, len(names)) for probability in probabilities]
    sums = _Sums(*(np.stack(part) for part in zip(*told, strict=True)), crossed=crossed)
    sizes = len(names), len(probabilities)
    found = {f.__name__: _none(statistics.interval(f, *sizes)) for f in (sums.ece, sums.nll, sums.excess)}
    drawn = statistics.draws(*sizes) if len(names) > 1 else None
    found["excess"]["p"] = None if drawn is None else statistics.none_on_average(sums.excess_by_unit())
    return {**found, "reliability": _curve(sums, drawn)}


@dataclass(frozen=True)
class _Sums:
    """What every unit adds to the sums that the scores are made from; a score of resamples is [M]."""

    count: np.ndarray  # windows [K, U, bins]
    sure: np.ndarray  # their confidence [K, U, bins]
    right: np.ndarray  # right answers [K, U, bins]
    nats: np.ndarray  # [K, U]
    crossed: bool

    def over(self, part: np.ndarray, drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return statistics.pooled(part, drawn, seeds if self.crossed else None)

    def ece(self, *drawn: np.ndarray) -> np.ndarray:
        return (np.abs(self.over(self.right - self.sure, *drawn)).sum(-1) / self._windows(*drawn)).mean(1)

    def nll(self, *drawn: np.ndarray) -> np.ndarray:
        return (self.over(self.nats, *drawn) / self._windows(*drawn)).mean(1)

    def excess(self, *drawn: np.ndarray) -> np.ndarray:
        return (self.over(self.sure - self.right, *drawn).sum(-1) / self._windows(*drawn)).mean(1)

    def excess_by_unit(self) -> np.ndarray:
        """What every unit adds to the excess, mean over the seeds: [U]."""
        return ((self.sure - self.right).sum(-1) / self.count.sum((1, 2))[:, None]).mean(0)

    def accuracy(self, *drawn: np.ndarray) -> np.ndarray:
        """Of every bin [M, bins]; NaN where a resample has no window in it."""
        right, count = self.over(self.right, *drawn), self.over(self.count, *drawn)
        known = (count > 0).sum(1)
        share = np.divide(right, count, out=np.zeros(right.shape), where=count > 0).sum(1)
        return np.divide(share, known, out=np.full(share.shape, np.nan), where=known > 0)

    def _windows(self, *drawn: np.ndarray) -> np.ndarray:
        return self.over(self.count, *drawn).sum(-1)


def _told(probability: np.ndarray, y_true: np.ndarray, row: np.ndarray, n_units: int) -> tuple[np.ndarray, ...]:
    """What one seed adds to `_Sums`. row: the unit of every window [N]."""
    confidence = probability.max(1).astype(float)
    right = probability.argmax(1) == y_true
    nats = -np.log(np.maximum(probability[np.arange(len(y_true)), y_true], SMALLEST)).astype(float)
    bins = _equal_mass(confidence)
    sums = np.zeros((3, n_units, bins.max() + 1))
    for total, value in zip(sums, (np.ones(len(row)), confidence, right), strict=True):
        np.add.at(total, (row, bins), value)
    return *sums, np.bincount(row, nats)


def _curve(sums: _Sums, drawn: tuple[np.ndarray, np.ndarray] | None) -> list[dict]:
    """The reliability curve; drawn: resamples, None where there is one unit alone."""
    each = sums.count.sum(1)
    confidence, accuracy = (part.sum(1) / each for part in (sums.sure, sums.right))
    ends = np.full((2, each.shape[-1]), np.nan)
    if drawn is not None:
        levels = ((1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2)
        ends = np.nanquantile(sums.accuracy(*drawn), levels, axis=0)
    rows = zip(confidence.mean(0), accuracy.mean(0), *ends, strict=True)
    names = ("confidence", "accuracy", "low", "high")
    return [
        {"n": int(n), **{name: None if np.isnan(x) else float(x) for name, x in zip(names, row, strict=True)}}
        for n, row in zip(each.sum(0), rows, strict=True)
    ]


def _equal_mass(confidence: np.ndarray) -> np.ndarray:
    """Number of the bin of every row [N]; rows of one confidence are not torn apart by more than the cut itself."""
    bins = np.empty(len(confidence), np.int64)
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(BINS, len(confidence)))
    for number, part in enumerate(parts):
        bins[part] = number
    return bins


def _none(found: dict[str, float]) -> dict:
    renamed = {"value": found["mean"], "low": found["low"], "high": found["high"]}
    return {name: None if np.isnan(value) else value for name, value in renamed.items()}
