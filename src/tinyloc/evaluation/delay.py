"""How long after a change of room a model still says another one."""

from collections.abc import Sequence

import numpy as np

from tinyloc.evaluation import statistics


def delays(
    recording: np.ndarray, segment: np.ndarray, step: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every change of the true room along the recordings: its row [C], and the steps [C] until the new room was said.

    All five are [N], in any order. 0: said at the very step of the change. inf: never within the stay, which ends with
    the next change, or where the answers break off, as they do where a segment ends. A change that lies in such a break
    is not one that was seen.
    """
    order, joined = _walk(recording, segment, step)
    at, true, right = step[order], y_true[order], (y_true == y_pred)[order]
    if not joined.any():
        return np.empty(0, np.int64), np.empty(0)
    moved = joined & (np.diff(true) != 0)
    begin = np.flatnonzero(moved) + 1
    borders = np.append(np.flatnonzero(~joined | moved) + 1, len(at))
    end = borders[np.searchsorted(borders, begin, side="right")]
    said = np.append(np.flatnonzero(right), len(at))
    first = said[np.searchsorted(said, begin)]
    waited = np.where(first < end, at[np.minimum(first, len(at) - 1)] - at[begin], np.inf)
    return order[begin], waited


def restlessness(
    recording: np.ndarray, segment: np.ndarray, step: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray
) -> tuple[int, int, int]:
    """How often the answers change along the recordings, how often the true room does, and over how many steps.

    All five are [N], in any order. A delay alone would praise a model that says another room every second.
    """
    order, joined = _walk(recording, segment, step)
    said, was = (int((joined & (np.diff(room[order]) != 0)).sum()) for room in (y_pred, y_true))
    return said, was, int(np.diff(step[order])[joined].sum())


def _walk(recording: np.ndarray, segment: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows [N] in the order of recording and step, and whether each pair of neighbours is one hop apart [N - 1]."""
    code = np.unique(recording, return_inverse=True)[1]
    order = np.lexsort((step, code))
    # numbers of steps run on through a gap, so that they alone would join what lies minutes apart
    same = (np.diff(code[order]) == 0) & (np.diff(segment[order]) == 0)
    apart = np.diff(step[order])
    # the smallest distance is the hop of the test windows
    return order, same & (apart == apart[same].min()) if same.any() else same


def quantile(waited: np.ndarray, q: float) -> float:
    """The smallest delay that a share q of the changes [C] does not exceed: one that occurred, and perhaps inf."""
    return float(np.quantile(waited, q, method="inverted_cdf"))


def summary(waited: np.ndarray, unit: Sequence[str], seed: Sequence[int] | None = None, crossed: bool = False) -> dict:
    """What `metrics.json` says of the delays [C] of changes in the units [C], each with a 95 % interval over units.

    A change that was never found waited longer than any that was, so a quantile that falls among those is None:
    leaving them out would praise a model for giving up. Units and seeds are pooled, since one alone may have a change
    or two. seed: of every change [C]; crossed: seeds are resampled with the units (see `statistics`).
    """
    if len(waited) == 0:
        return {"changes": 0, "median_steps": None, "p90_steps": None, "never_found": None}
    support = np.unique(waited)
    counts = _counts(waited[:, None] == support, unit, seed)
    sizes = counts.shape[1::-1]

    def resampled(drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return statistics.pooled(counts, drawn, seeds if crossed else None).sum(1)

    def quantiles(q: float) -> dict:
        def of(*drawn: np.ndarray) -> np.ndarray:
            below = resampled(*drawn).cumsum(-1)
            return support[(below >= q * below[:, -1:]).argmax(-1)]

        return _finite(statistics.interval(of, *sizes, method="inverted_cdf"))

    def never(*drawn: np.ndarray) -> np.ndarray:
        found = resampled(*drawn)
        return found[:, np.isinf(support)].sum(-1) / found.sum(-1)

    return {
        "changes": len(waited),
        "median_steps": quantiles(0.5),
        "p90_steps": quantiles(0.9),
        "never_found": _finite(statistics.interval(never, *sizes)),
    }


def noticed(
    waited: np.ndarray, unit: Sequence[str], at: np.ndarray, seed: Sequence[int] | None = None, crossed: bool = False
) -> np.ndarray:
    """The share of the changes [C] that had been noticed `at` [A] steps later, and its 95 % interval [3, A].

    The others are those of `summary`; NaN for both ends where there is one unit alone.
    """
    counts = _counts(np.column_stack([waited[:, None] <= at, np.ones(len(waited), bool)]), unit, seed)

    def share(drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        found = statistics.pooled(counts, drawn, seeds if crossed else None).sum(1)
        return found[:, :-1] / found[:, -1:]

    n_seeds, n_units = counts.shape[:2]
    value = share(np.arange(n_units)[None], np.arange(n_seeds)[None])
    if n_units == 1:
        return np.vstack([value, np.full((2, len(at)), np.nan)])
    ends = ((1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2)
    return np.vstack([value, np.quantile(share(*statistics.draws(n_units, n_seeds)), ends, axis=0)])


def _counts(found: np.ndarray, unit: Sequence[str], seed: Sequence[int] | None) -> np.ndarray:
    """How many changes of every seed and unit are in each column of `found` [C, S]: [K, U, S]."""
    names, row = np.unique(np.asarray(unit), return_inverse=True)
    seeds, run = np.unique(np.zeros(len(row)) if seed is None else np.asarray(seed), return_inverse=True)
    counts = np.zeros((len(seeds), len(names), found.shape[1]), np.int64)
    np.add.at(counts, (run, row), found)
    return counts


def _finite(found: dict[str, float]) -> dict:
    renamed = {"value": found["mean"], "low": found["low"], "high": found["high"]}
    return {name: value if np.isfinite(value) else None for name, value in renamed.items()}
