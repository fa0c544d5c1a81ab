"""Packets to steps: one row of features a second.

A segment is a stretch of packets with no pause longer than `max_gap_s`. Its bins start at its first packet and are
`bin_s` long; every bin up to the one of its last packet is a step. The choices that are not obvious:

- RSSI of a step is the mean over the packets a gateway heard in it, in dBm; a gateway that heard none has `silent_dbm`.
- Acceleration uses every packet once, however many gateways heard it.
- In a bin with no packet at all every gateway is silent and the acceleration stays what it was in the step before.
- The room of a step is that of its last packet (of the step before, where there is none): a model that runs in real
  time answers at the end of the step, and is asked where the person is then.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from tinyloc.config import Features
from tinyloc.data.packets import ACCELERATION, SAMPLES_PER_PACKET, Dataset, Recording

ACC_NAMES = ("mean_x", "mean_y", "mean_z", "std_x", "std_y", "std_z")


@dataclass(frozen=True)
class Steps:
    """Consecutive steps of one recording."""

    recording: str
    participant: str
    phase: str
    rssi: np.ndarray  # [S, n_ap] float32, dBm
    heard: np.ndarray  # [S, n_ap] int64, packets each gateway heard
    acc: np.ndarray  # [S, 6] float32, g: mean x, y, z, then standard deviation x, y, z
    room: np.ndarray  # [S] int64, index into the data set's rooms
    segment: np.ndarray  # [S] int64, number of the stretch without a gap
    step: np.ndarray  # [S] int64, index among all the steps of the recording
    time: np.ndarray  # [S] datetime64[us], start of the bin

    def __len__(self) -> int:
        return len(self.room)

    def select(self, rows: np.ndarray | slice) -> "Steps":
        """The steps of `rows` (a mask, indices or a slice); `segment` and `step` keep their numbers."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: a[rows] for name, a in arrays.items() if isinstance(a, np.ndarray)})


def all_steps(dataset: Dataset, features: Features) -> list[Steps]:
    return [steps(recording, dataset, features) for recording in dataset.recordings]


def steps(recording: Recording, dataset: Dataset, features: Features) -> Steps:
    """The steps of one recording, in time order."""
    packets = recording.packets
    time = packets["timestamp"].to_numpy("datetime64[us]").astype(np.int64)
    step, segment, start = _bins(time, round(features.bin_s * 1e6), round(features.max_gap_s * 1e6))
    gateway = pd.Index(dataset.gateways).get_indexer(packets["gateway"])
    rssi, heard = _rssi(packets["rssi"].to_numpy(), gateway, step, (len(start), len(dataset.gateways)))
    last = _last_row(step, len(start))
    return Steps(
        recording=recording.name,
        participant=recording.participant,
        phase=recording.phase,
        rssi=np.where(heard > 0, rssi, features.silent_dbm).astype(np.float32),
        heard=heard,
        acc=_acceleration(packets, step, len(start))[step[last]].astype(np.float32),
        room=pd.Index(dataset.rooms).get_indexer(packets["true_room"])[last].astype(np.int64),
        segment=segment,
        step=np.arange(len(start)),
        time=start.astype("datetime64[us]"),
    )


def _bins(time: np.ndarray, width: int, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins of `time` [P] in µs: step of every packet [P], segment of every step [S], start of every step [S] in µs."""
    first = np.flatnonzero(np.diff(time, prepend=time[0] - gap - 1) > gap)
    packet_segment = np.searchsorted(first, np.arange(len(time)), side="right") - 1
    within = (time - time[first][packet_segment]) // width
    last = np.append(first[1:], len(time)) - 1
    length = within[last] + 1
    offset = np.cumsum(length) - length
    segment = np.repeat(np.arange(len(first)), length)
    number = np.arange(length.sum()) - offset[segment]
    return offset[packet_segment] + within, segment, time[first][segment] + number * width


def _rssi(
    rssi: np.ndarray, gateway: np.ndarray, step: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean RSSI [S, n_ap] in dBm (0 where silent) and number of packets [S, n_ap]."""
    cell = step * shape[1] + gateway
    heard = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    total = np.bincount(cell, weights=rssi, minlength=shape[0] * shape[1]).reshape(shape)
    return total / np.maximum(heard, 1), heard


def _last_row(step: np.ndarray, n_steps: int) -> np.ndarray:
    """Row of the last packet at or before the end of every step [S]; a segment's first step is never without one."""
    return np.searchsorted(step, np.arange(n_steps), side="right") - 1


def _acceleration(packets: pd.DataFrame, step: np.ndarray, n_steps: int) -> np.ndarray:
    """Mean and standard deviation [S, 6] in g over the samples of every step; 0 in a step without a packet."""
    once = ~pd.DataFrame({"step": step, "seqno": packets["seqno"].to_numpy()}).duplicated().to_numpy()
    samples = packets[list(ACCELERATION)].to_numpy()[once].reshape(-1, 3)
    at = np.repeat(step[once], SAMPLES_PER_PACKET)
    count = np.maximum(np.bincount(at, minlength=n_steps), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(at, weights=column, minlength=n_steps) for column in values.T], 1) / count[:, None]

    centre = mean(samples)
    return np.concatenate([centre, np.sqrt(mean((samples - centre[at]) ** 2))], axis=1)


def stacked(steps: Iterable[Steps], name: str) -> np.ndarray:
    """One array of all the steps: `stacked(train, "rssi")` is [sum of S, n_ap]."""
    return np.concatenate([getattr(s, name) for s in steps])
