"""The metrics of one result: fold by fold, and over all folds with their interval."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tinyloc.evaluation import calibration, delay, statistics
from tinyloc.training.predictions import ALWAYS, Predictions


def evaluate(folds: Mapping[str, Predictions], rooms: Sequence[str]) -> dict:
    """What `metrics.json` holds, all scores as fractions.

    `folds`: macro F1, accuracy, number of rows, F1 of every room (None for one neither visited nor predicted) and the
    confusion counts of each fold. `macro_f1` and `accuracy`: mean over the folds, with a 95 % interval over folds, or
    over the recordings of a single fold (None for both ends where there is one unit alone).
    `delay`: see `delay.summary`. `calibration`: see `calibration.summary`, and `probabilities`, which says what was
    taken for one; None for a model that gives none.
    """
    fold = [name for name, rows in folds.items() for _ in range(len(rows))]
    recording, segment, step, true, predicted = (
        np.concatenate([getattr(rows, name) for rows in folds.values()]) for name in ALWAYS
    )
    counted = statistics.units(fold, recording.tolist(), [(true, predicted)], len(rooms))
    unit = statistics.labels_of(fold, recording.tolist())
    changed, waited = delay.delays(recording, segment, step, true, predicted)
    return {
        "rooms": list(rooms),
        "folds": {name: _fold(rows, rooms) for name, rows in folds.items()},
        "macro_f1": _overall(counted, statistics.macro_f1),
        "accuracy": _overall(counted, statistics.accuracy),
        "delay": delay.summary(waited, unit[changed]),
        "calibration": _calibration(list(folds.values()), true, unit),
    }


def _fold(rows: Predictions, rooms: Sequence[str]) -> dict:
    counts = statistics.confusion(rows.y_true, rows.y_pred, len(rooms))
    by_room = statistics.room_f1(counts).tolist()
    return {
        "macro_f1": float(statistics.macro_f1(counts)),
        "accuracy": float(statistics.accuracy(counts)),
        "n": len(rows),
        "per_room_f1": {room: None if np.isnan(f1) else f1 for room, f1 in zip(rooms, by_room, strict=True)},
        "confusion": counts.tolist(),
    }


def _overall(counted: statistics.Units, measure: Callable[[np.ndarray], np.ndarray]) -> dict:
    found = statistics.interval(lambda drawn, seeds: counted.score(drawn, seeds, measure), len(counted.names))
    return {name: None if np.isnan(value) else value for name, value in found.items()}


def _calibration(rows: Sequence[Predictions], true: np.ndarray, unit: np.ndarray) -> dict | None:
    if any(r.probability is None for r in rows):
        return None
    (source,) = {r.probability_source for r in rows}
    found = calibration.summary([np.concatenate([r.probability for r in rows])], true, unit)
    return {"probabilities": source, **found}
