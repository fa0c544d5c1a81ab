"""Packets to steps: one row of features a second.

A segment is a stretch of packets with no pause longer than `max_gap_s`. Its bins start at its first packet and are
`bin_s` long; every bin up to the one of its last packet is a step. The choices that are not obvious:

- RSSI of a step is the mean over the packets a gateway heard in it, in dBm; a gateway that heard none has `silent_dbm`.
- Acceleration uses every packet once, however many gateways heard it. Without an accelerometer it has no columns.
- In a bin with no packet at all every gateway is silent and the acceleration stays what it was in the step before.
- The room of a step is that of its last packet (of the step before, where there is none): a model that runs in real
  time answers at the end of the step, and is asked where the person is then.

Every sum runs in the order of the packets and can be kept up packet by packet: `stream` gives the same numbers, bit for
bit, in constant memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from tinyloc.config import Features
from tinyloc.data.packets import Dataset, Recording, acceleration, samples

ACC_NAMES = ("mean_x", "mean_y", "mean_z", "std_x", "std_y", "std_z")

# A packet's number is looked up among the last 64 numbers, as IPsec does against replay (RFC 4303, section 3.4.3): a
# device needs one 64-bit word for it, whatever the rate of packets.
REMEMBERED = 64


@dataclass(frozen=True)
class Steps:
    """Consecutive steps of one recording."""

    recording: str
    participant: str
    phase: str
    rssi: np.ndarray  # [S, n_ap] float32, dBm
    heard: np.ndarray  # [S, n_ap] int64, packets each gateway heard
    acc: np.ndarray  # [S, n_acc] float32, g: mean x, y, z, then standard deviation x, y, z; n_acc is 6, or 0 without
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


def steps(recording: Recording, dataset: Dataset, features: Features, kept: np.ndarray | None = None) -> Steps:
    """The steps of one recording, in time order.

    kept: mask [P] of the rows that arrived, to ask what a loss of the others would do. Bins, segments and rooms stay
    those of the whole recording, so that the same steps are there whatever was lost; before the first packet that
    arrived, acceleration is 0.
    """
    packets = recording.packets
    time = packets["timestamp"].to_numpy("datetime64[us]").astype(np.int64)
    step, segment, start = _bins(time, round(features.bin_s * 1e6), round(features.max_gap_s * 1e6))
    last = _last_row(step, len(start))
    room = pd.Index(dataset.rooms).get_indexer(packets["true_room"])[last].astype(np.int64)
    if kept is not None:
        packets, step = packets[kept], step[kept]
    gateway = pd.Index(dataset.gateways).get_indexer(packets["gateway"])
    rssi, heard = _rssi(packets["rssi"].to_numpy(), gateway, step, (len(start), len(dataset.gateways)))
    return Steps(
        recording=recording.name,
        participant=recording.participant,
        phase=recording.phase,
        rssi=np.where(heard > 0, rssi, features.silent_dbm).astype(np.float32),
        heard=heard,
        acc=_held(_acceleration(packets, step, len(start)), step).astype(np.float32),
        room=room,
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


def _held(acceleration: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Acceleration [S, n_acc] that stays what it was through steps without a packet. step: of every packet [P]."""
    last = _last_row(step, len(acceleration))
    return np.where(last[:, None] >= 0, acceleration[np.append(step, 0)[last]], 0)


def _acceleration(packets: pd.DataFrame, step: np.ndarray, n_steps: int) -> np.ndarray:
    """Mean and standard deviation [S, n_acc] in g over the samples of every step; of no meaning without a packet.

    The variance is that of the samples less the first of the step, E[d²] - E[d]², which needs one pass and does not
    cancel (Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American Statistician 37, 1983).
    """
    columns = acceleration(samples(packets.columns))
    if not columns or packets.empty:
        return np.zeros((n_steps, len(ACC_NAMES) if columns else 0))
    once = _once(packets["seqno"].to_numpy(), step)
    values = packets[list(columns)].to_numpy()[once].reshape(-1, 3)
    at = np.repeat(step[once], len(columns) // 3)
    count = np.maximum(np.bincount(at, minlength=n_steps), 1)[:, None]
    first = values[np.minimum(np.searchsorted(at, np.arange(n_steps)), len(values) - 1)]

    def mean(of: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(at, weights=column, minlength=n_steps) for column in of.T], 1) / count

    apart = values - first[at]
    centre = mean(apart)
    return np.concatenate([first + centre, np.sqrt(np.maximum(mean(apart * apart) - centre * centre, 0))], axis=1)


def _once(seqno: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Mask [P] of the first row of every packet in its step; a row REMEMBERED numbers behind the newest is late."""
    rows = pd.DataFrame({"step": step, "seqno": seqno})
    newest = rows.groupby("step")["seqno"].cummax().to_numpy()
    return ~rows.duplicated().to_numpy() & (seqno > newest - REMEMBERED)


def stacked(steps: Iterable[Steps], name: str) -> np.ndarray:
    """One array of all the steps: `stacked(train, "rssi")` is [sum of S, n_ap]."""
    return np.concatenate([getattr(s, name) for s in steps])
