"""What a model says of the test rows of a fold, and the file of it."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyloc.data.windows import Windows
from tinyloc.errors import InputError
from tinyloc.files import atomic


@dataclass(frozen=True)
class Predictions:
    """One row a test window. `recording` and `step` name the window's last step, whose room is asked.

    Numbers of steps run on through gaps: windows of two segments may be neighbours by `step` and minutes apart.
    """

    recording: np.ndarray  # [N] str
    segment: np.ndarray  # [N] int64, number of the stretch of the recording without a gap
    step: np.ndarray  # [N] int64
    y_true: np.ndarray  # [N] int64
    y_pred: np.ndarray  # [N] int64
    scores: np.ndarray | None = None  # [N, R] float32, the network's output at the last step
    parameters: int | None = None  # of the network that made them
    probability: np.ndarray | None = None  # [N, R] float32, of every room at the last step
    probability_source: str | None = None  # what was taken for a probability, in words

    @classmethod
    def of(cls, asked: Windows, room: np.ndarray, **more: object) -> "Predictions":
        """The rooms [N] that a model gave for windows; more: the other fields."""
        return cls(asked.recording, asked.segment, asked.step, asked.target, room, **more)

    def __len__(self) -> int:
        return len(self.step)

    def select(self, mask: Sequence[bool]) -> "Predictions":
        """The answers of some of the rows [N]; their scores and probabilities are left out."""
        mask = np.asarray(mask, bool)
        columns = {name: getattr(self, name)[mask] for name in ALWAYS}
        return Predictions(**columns, parameters=self.parameters)


# of every row; what else there is depends on the model
ALWAYS = ("recording", "segment", "step", "y_true", "y_pred")
COLUMNS = (*ALWAYS, "scores", "probability")
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
    """The folds of a file of `write_predictions`, in its order.

    Raises InputError: there is no such file, or see `require_columns`.
    """
    table, notes = _read(path)
    require_columns(path, table)
    folds = {}
    for name in dict.fromkeys(table["fold"].tolist()):
        rows = table["fold"] == name
        columns = {c: table[c][rows] for c in COLUMNS if c in table}
        folds[name] = Predictions(**columns, **{note: notes[note][name] for note in NOTED})
    return folds


def require_columns(path: Path, table: Container[str]) -> None:
    """Raises InputError: the file is of a version that kept less of every row."""
    for name in ALWAYS:
        if name not in table:
            raise InputError(f"{path}: no column {name!r}; an older version made it, compute it again")


def read_notes(path: Path) -> dict:
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    if not path.is_file():
        raise InputError(f"{path}: no such result; compute it with `tinyloc reproduce`")
    with np.load(path, allow_pickle=False) as arrays:
        table = dict(arrays)
    return table, json.loads(str(table.pop("notes")))
