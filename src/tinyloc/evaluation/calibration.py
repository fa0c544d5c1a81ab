"""Whether a model that says "90 % sure" is right nine times out of ten.

The expected calibration error is that of Naeini et al. (AAAI 2015) over the probability of the room that is most
likely, in bins of equal mass (Nguyen and O'Connor, EMNLP 2015): with bins of equal width nearly all windows of a good
model fall into the last one. The negative log-likelihood is a proper score: no other probabilities than the true ones
do better on average, which cannot be said of the calibration error.
"""

from collections.abc import Sequence

import numpy as np

from tinyloc.evaluation import statistics

BINS = 10
SMALLEST = 1e-7  # a room that was ruled out (float32) and was true costs 16 nats, not infinitely many


def summary(
    probabilities: Sequence[np.ndarray], y_true: np.ndarray, unit: Sequence[str], crossed: bool = False
) -> dict:
    """What probabilities [N, R] of the true rooms [N] are worth, in units [N]; one array a seed, of the same rows.

    `ece` (a fraction), `nll` (nats a window) and `excess` (mean confidence minus the share of right answers), each with
    a 95 % interval over units; `excess` also with `p`, two-sided, of none, from the same resamples. And the reliability
    curve: bins of equal mass, each with its mean confidence and its share of right answers, with an interval. All are
    means over the seeds. The bins are those of all rows of a seed together, and units are pooled.
    crossed: the units were all answered by the same models, so that seeds are resampled too (see `statistics`).
    """
    names, row = np.unique(np.asarray(unit), return_inverse=True)
    told = [_told(probability, y_true, row, len(names)) for probability in probabilities]
    count, sure, right, nats = (np.stack(part) for part in zip(*told, strict=True))  # [K, U, bins], nats: [K, U]

    def over(part: np.ndarray, drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return statistics.pooled(part, drawn, seeds if crossed else None)

    def ece(*drawn: np.ndarray) -> np.ndarray:
        return (np.abs(over(right - sure, *drawn)).sum(-1) / over(count, *drawn).sum(-1)).mean(1)

    def nll(*drawn: np.ndarray) -> np.ndarray:
        return (over(nats, *drawn) / over(count, *drawn).sum(-1)).mean(1)

    def excess(*drawn: np.ndarray) -> np.ndarray:
        return (over(sure - right, *drawn).sum(-1) / over(count, *drawn).sum(-1)).mean(1)

    sizes = len(names), len(probabilities)
    found = {f.__name__: _none(statistics.interval(f, *sizes)) for f in (ece, nll, excess)}
    found["excess"]["p"] = _two_sided(excess(*statistics.draws(*sizes))) if len(names) > 1 else None
    ends = np.full((2, count.shape[-1]), np.nan)
    if len(names) > 1:
        drawn = statistics.draws(*sizes)
        ends = _ends(over(right, *drawn), over(count, *drawn))
    n, each = count.sum((0, 1)), count.sum(1)
    curve = zip(n, (sure.sum(1) / each).mean(0), (right.sum(1) / each).mean(0), *ends, strict=True)
    return {
        **found,
        "reliability": [
            {
                "n": int(n),
                "confidence": float(confidence),
                "accuracy": float(accuracy),
                "low": None if np.isnan(low) else float(low),
                "high": None if np.isnan(high) else float(high),
            }
            for n, confidence, accuracy, low, high in curve
        ],
    }


def _told(probability: np.ndarray, y_true: np.ndarray, row: np.ndarray, n_units: int) -> tuple[np.ndarray, ...]:
    """What each unit adds to a bin's number of windows, their confidence and right answers [U, bins]; its nats [U]."""
    confidence = probability.max(1).astype(float)
    right = probability.argmax(1) == y_true
    nats = -np.log(np.maximum(probability[np.arange(len(y_true)), y_true], SMALLEST)).astype(float)
    bins = _equal_mass(confidence)
    sums = np.zeros((3, n_units, bins.max() + 1))
    for total, value in zip(sums, (np.ones(len(row)), confidence, right), strict=True):
        np.add.at(total, (row, bins), value)
    return *sums, np.bincount(row, nats)


def _ends(right: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The 95 % interval [2, bins] of each bin's share of right answers; a resample without such a bin says nothing."""
    share = np.divide(right, count, out=np.full(right.shape, np.nan), where=count > 0)
    known = ~np.isnan(share)
    mean = np.divide(np.where(known, share, 0).sum(1), known.sum(1), out=share[:, 0] * np.nan, where=known.any(1))
    return np.nanquantile(mean, ((1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2), axis=0)


def _two_sided(resampled: np.ndarray) -> float:
    """The level at which the percentile interval of resamples [M] would end at nothing."""
    beyond = min((resampled <= 0).sum(), (resampled >= 0).sum())
    return float(min(1, 2 * (1 + beyond) / (1 + len(resampled))))


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
