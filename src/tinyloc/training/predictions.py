"""What a model says of the test rows of a fold, and the file of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyloc.errors import InputError
from tinyloc.files import atomic


@dataclass(frozen=True)
class Predictions:
    """One row a test window. `recording` and `step` name the window's last step, whose room is asked."""

    recording: np.ndarray  # [N] str
    step: np.ndarray  # [N] int64
    y_true: np.ndarray  # [N] int64
    y_pred: np.ndarray  # [N] int64
    scores: np.ndarray | None = None  # [N, R] float32, the network's output at the last step
    parameters: int | None = None  # of the network that made them
    probability: np.ndarray | None = None  # [N, R] float32, of every room at the last step
    probability_source: str | None = None  # what was taken for a probability, in words

    def __len__(self) -> int:
        return len(self.step)

    def select(self, mask: Sequence[bool]) -> "Predictions":
        """The answers of some of the rows [N]; their scores and probabilities are left out."""
        mask = np.asarray(mask, bool)
        columns = {name: getattr(self, name)[mask] for name in ("recording", "step", "y_true", "y_pred")}
        return Predictions(**columns, parameters=self.parameters)


COLUMNS = ("recording", "step", "y_true", "y_pred", "scores", "probability")
NOTED = ("parameters", "probability_source")


def write_predictions(path: Path, folds: Mapping[str, Predictions], **notes: object) -> None:
    """All folds in one table, with a `fold` column, as .npz; optional ones only where every fold has them.

    notes: anything JSON, kept beside the table.
    """
    rows = list(folds.values())
    present = [c for c in COLUMNS if all(getattr(r, c) is not None for r in rows)]
    table = {c: np.concatenate([getattr(r, c) for r in rows]) for c in present}
    table["fold"] = np.repeat(list(folds), [len(r) for r in rows])
    notes |= {note: {name: getattr(r, note) for name, r in folds.items()} for note in NOTED}
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **table, notes=json.dumps(notes, sort_keys=True))


def read_predictions(path: Path) -> dict[str, Predictions]:
    """The folds of a file of `write_predictions`, in its order. Raises InputError: there is no such file."""
    table, notes = _read(path)
    folds = {}
    for name in dict.fromkeys(table["fold"].tolist()):
        rows = table["fold"] == name
        columns = {c: table[c][rows] for c in COLUMNS if c in table}
        folds[name] = Predictions(**columns, **{note: notes[note][name] for note in NOTED})
    return folds


def read_notes(path: Path) -> dict:
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    if not path.is_file():
        raise InputError(f"{path}: no such result; compute it with `tinyloc reproduce`")
    with np.load(path, allow_pickle=False) as arrays:
        table = dict(arrays)
    return table, json.loads(str(table.pop("notes")))
