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


def summary(probability: np.ndarray, y_true: np.ndarray, unit: Sequence[str]) -> dict:
    """What `metrics.json` says of probabilities [N, R] of the true rooms [N], in units [N].

    `ece` (a fraction) and `nll` (nats a window), each with a 95 % interval over units, and the reliability curve:
    bins of equal mass, each with its mean confidence and its share of right answers. The bins are those of all rows
    together, and units are pooled.
    """
    confidence = probability.max(1).astype(float)
    right = probability.argmax(1) == y_true
    nats = -np.log(np.maximum(probability[np.arange(len(y_true)), y_true], SMALLEST)).astype(float)
    bins = _equal_mass(confidence)
    names, row = np.unique(np.asarray(unit), return_inverse=True)
    # what a bin and a unit add to the sums that both scores are made from: [U, bins], [U]
    excess = np.zeros((len(names), bins.max() + 1))
    np.add.at(excess, (row, bins), right - confidence)
    lost, count = np.bincount(row, nats), np.bincount(row)

    def times(drawn: np.ndarray) -> np.ndarray:
        return (drawn[:, :, None] == np.arange(len(names))).sum(1)

    def ece(drawn: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.abs(times(drawn) @ excess).sum(-1) / (times(drawn) @ count)

    def nll(drawn: np.ndarray, _: np.ndarray) -> np.ndarray:
        return times(drawn) @ lost / (times(drawn) @ count)

    members = [bins == b for b in range(bins.max() + 1)]
    return {
        "ece": _none(statistics.interval(ece, len(names))),
        "nll": _none(statistics.interval(nll, len(names))),
        "reliability": [
            {"n": int(m.sum()), "confidence": float(confidence[m].mean()), "accuracy": float(right[m].mean())}
            for m in members
        ],
    }


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
