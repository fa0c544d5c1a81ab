"""Steps to windows, and the scaling of both, fitted on training steps alone."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar

import numpy as np

from tinyloc.data.features import Steps, stacked
from tinyloc.errors import InputError


class Featured(Protocol):
    """A dataclass of features: steps, windows, or one step of a stream."""

    rssi: np.ndarray  # […, n_ap] float32
    acc: np.ndarray  # […, n_acc] float32


Scaled = TypeVar("Scaled", bound=Featured)


@dataclass(frozen=True)
class Windows:
    """N windows of T consecutive steps each. The target of a window is the room at its last step."""

    rssi: np.ndarray  # [N, T, n_ap] float32
    acc: np.ndarray  # [N, T, n_acc] float32
    room: np.ndarray  # [N, T] int64
    recording: np.ndarray  # [N] str
    segment: np.ndarray  # [N] int64, number of the stretch of its recording without a gap
    step: np.ndarray  # [N] int64, index of the last step among the steps of its recording

    def __len__(self) -> int:
        return len(self.step)

    def select(self, rows: np.ndarray | slice) -> "Windows":
        """The windows of `rows` (a mask, indices or a slice)."""
        return Windows(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def target(self) -> np.ndarray:
        """The room at the last step [N]."""
        return self.room[:, -1]


def cut(steps: Sequence[Steps], length: int, hop: int, part: str = "", key: str = "windows.length") -> Windows:
    """Windows of `length` steps, a new one every `hop` steps of each uninterrupted run; none crosses a gap.

    Raises InputError: no run is as long as a window. part, key: of which steps, and what set the length, for its line.
    """
    ends = [_ends(s, length, hop) for s in steps]
    if sum(map(len, ends)) == 0:
        raise InputError(
            (f"{part}: " if part else "")
            + f"{key} {length}: the longest stretch without a gap has {longest_run(steps)} steps; shorten it"
        )

    def take(name: str) -> np.ndarray:
        back = np.arange(-length + 1, 1)
        return np.concatenate([getattr(s, name)[e[:, None] + back] for s, e in zip(steps, ends, strict=True)])

    return Windows(
        rssi=take("rssi"),
        acc=take("acc"),
        room=take("room"),
        recording=np.concatenate([np.full(len(e), s.recording) for s, e in zip(steps, ends, strict=True)]),
        segment=np.concatenate([s.segment[e] for s, e in zip(steps, ends, strict=True)]),
        step=np.concatenate([s.step[e] for s, e in zip(steps, ends, strict=True)]),
    )


def counted(steps: Sequence[Steps], length: int, hop: int) -> int:
    """How many windows `cut` would give."""
    return sum(len(_ends(s, length, hop)) for s in steps)


def longest_run(steps: Sequence[Steps]) -> int:
    """Steps of the longest stretch without a gap; no window can be longer."""
    return max((int(run) for s in steps for run in runs(s)), default=0)


def runs(steps: Steps) -> np.ndarray:
    """Steps of every stretch without a gap, in order [n] int64."""
    return np.bincount(_run(steps)) if len(steps) else np.zeros(0, np.int64)


def _run(steps: Steps) -> np.ndarray:
    """Number of the uninterrupted run of every step [S]: same segment, and no step left out."""
    broken = (np.diff(steps.segment) != 0) | (np.diff(steps.step) != 1)
    return np.concatenate([[0], np.cumsum(broken)])[: len(steps)]


def _ends(steps: Steps, length: int, hop: int) -> np.ndarray:
    """Row of the last step of every window."""
    run = _run(steps)
    within = np.arange(len(steps)) - np.searchsorted(run, run)
    return np.flatnonzero((within >= length - 1) & ((within - length + 1) % hop == 0))


@dataclass(frozen=True)
class Scaler:
    """Min-max to [0, 1], column by column. Unseen data may fall outside; a constant column becomes 0."""

    rssi_min: np.ndarray  # [n_ap] dBm
    rssi_max: np.ndarray  # [n_ap] dBm
    acc_min: np.ndarray  # [n_acc] g
    acc_max: np.ndarray  # [n_acc] g

    @classmethod
    def fit(cls, steps: Sequence[Steps]) -> "Scaler":
        rssi, acc = stacked(steps, "rssi"), stacked(steps, "acc")
        return cls(rssi.min(0), rssi.max(0), acc.min(0), acc.max(0))

    def transform(self, data: Scaled) -> Scaled:
        """The same with scaled `rssi` and `acc`."""
        return replace(
            data,
            rssi=_scale(data.rssi, self.rssi_min, self.rssi_max),
            acc=_scale(data.acc, self.acc_min, self.acc_max),
        )

    def inverse(self, data: Scaled) -> Scaled:
        """Back to dBm and g."""
        return replace(
            data,
            rssi=_unscale(data.rssi, self.rssi_min, self.rssi_max),
            acc=_unscale(data.acc, self.acc_min, self.acc_max),
        )

    def to_dict(self) -> dict[str, list[float]]:
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, values: dict[str, list[float]]) -> "Scaler":
        return cls(**{name: np.asarray(value, np.float32) for name, value in values.items()})


def span(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What a column is divided by [n] float32: its range, or 1 where it has none."""
    return np.where(high > low, high - low, 1).astype(np.float32)


def _scale(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return (values - low) / span(low, high)


def _unscale(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return values * span(low, high) + low
