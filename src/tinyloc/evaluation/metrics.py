"""The metrics of one result: fold by fold, and over all folds with their interval."""

from collections.abc import Mapping, Sequence

import numpy as np

from tinyloc.evaluation import statistics
from tinyloc.training.predictions import Predictions


def evaluate(folds: Mapping[str, Predictions], rooms: Sequence[str]) -> dict:
    """What `metrics.json` holds, all scores as fractions.

    `folds`: macro F1, accuracy, number of rows, F1 of every room (None for one neither visited nor predicted) and the
    confusion counts of each fold. `macro_f1` and `accuracy`: mean over the folds, with a 95 % interval over folds, or
    over the recordings of a single fold (None for both ends where there is one unit alone).
    """
    counted = statistics.units(
        folds=[name for name, rows in folds.items() for _ in range(len(rows))],
        recordings=[r for rows in folds.values() for r in rows.recording.tolist()],
        answers=[
            (
                np.concatenate([rows.y_true for rows in folds.values()]),
                np.concatenate([rows.y_pred for rows in folds.values()]),
            )
        ],
        n_rooms=len(rooms),
    )
    return {
        "rooms": list(rooms),
        "folds": {name: _fold(rows, rooms) for name, rows in folds.items()},
        "macro_f1": _overall(counted, statistics.macro_f1),
        "accuracy": _overall(counted, statistics.accuracy),
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


def _overall(counted: statistics.Units, measure) -> dict:
    found = statistics.interval(lambda resampled: counted.score(resampled, measure), len(counted.names))
    return {name: None if np.isnan(value) else value for name, value in found.items()}
