"""Packets to steps to windows as a wearable does it: one packet at a time, in constant memory.

The numbers are those of `features.steps`, `windows.cut` and `windows.Scaler`, bit for bit. An implementation on a
microcontroller mirrors this module: its state is one open step (a sum and a count a gateway; the first sample, a sum
and a sum of squares an axis; the newest packet number and 64 bits) and the last T steps.

A step is told to be over by the first packet after it, as in the batch form, which cannot know either whether a pause
will end the segment before that packet comes.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tinyloc.config import Features
from tinyloc.data.features import REMEMBERED
from tinyloc.data.packets import Dataset, Recording, acceleration, samples


@dataclass(frozen=True)
class Packet:
    """One packet as one gateway heard it."""

    time: int  # µs
    rssi: int  # dBm
    seqno: int
    gateway: int  # index into the data set's gateways
    samples: np.ndarray  # [k, 3] float64, g; k = 0 without an accelerometer


@dataclass(frozen=True)
class Step:
    """One row of `features.Steps`."""

    rssi: np.ndarray  # [n_ap] float32, dBm
    heard: np.ndarray  # [n_ap] int64
    acc: np.ndarray  # [n_acc] float32, g
    segment: int
    step: int
    time: int  # µs, start of the bin


@dataclass(frozen=True)
class Window:
    """One row of `windows.Windows`."""

    rssi: np.ndarray  # [T, n_ap] float32
    acc: np.ndarray  # [T, n_acc] float32
    step: int  # index of the last step


def play(recording: Recording, dataset: Dataset) -> Iterator[Packet]:
    """The packets of a recording, one by one, as a device would be given them."""
    table = recording.packets
    time = table["timestamp"].to_numpy("datetime64[us]").astype(np.int64)
    gateway = pd.Index(dataset.gateways).get_indexer(table["gateway"])
    felt = table[list(acceleration(samples(table.columns)))].to_numpy(np.float64).reshape(len(table), -1, 3)
    for t, rssi, seqno, g, values in zip(time, table["rssi"], table["seqno"], gateway, felt, strict=True):
        yield Packet(int(t), int(rssi), int(seqno), int(g), values)


class StepStream:
    """Packets in, steps out.

    n_ap: gateways; accelerometer: whether packets carry samples (then n_acc = 6, else 0).
    """

    def __init__(self, n_ap: int, accelerometer: bool, features: Features) -> None:
        self._silent = features.silent_dbm
        self._width = round(features.bin_s * 1e6)  # µs
        self._gap = round(features.max_gap_s * 1e6)  # µs
        self._rssi = np.zeros(n_ap)
        self._heard = np.zeros(n_ap, np.int64)
        self._motion = _Motion() if accelerometer else None
        self._acc = np.zeros(6 if accelerometer else 0, np.float32)  # of the last step with a packet
        self._segment = self._step = -1
        self._newest: int | None = None  # time of the last packet, µs
        self._start = 0  # of the open step, µs

    def push(self, packet: Packet) -> list[Step]:
        """Take a packet; the steps that are over now, at most `max_gap_s / bin_s` + 1 of them.

        Packets come in order of time, as in a packet table.
        """
        if self._newest is None or packet.time - self._newest > self._gap:
            over = self.close()
            self._segment += 1
            self._open(packet.time)
        else:
            over = []
            while packet.time >= self._start + self._width:
                over.append(self._close())
                self._open(self._start + self._width)
        self._newest = packet.time
        self._rssi[packet.gateway] += packet.rssi
        self._heard[packet.gateway] += 1
        if self._motion is not None:
            self._motion.add(packet.seqno, packet.samples)
        return over

    def close(self) -> list[Step]:
        """The open step, at the end of a recording."""
        if self._newest is None:
            return []
        self._newest = None
        return [self._close()]

    def _open(self, start: int) -> None:
        self._start = start
        self._step += 1
        self._rssi[:] = 0
        self._heard[:] = 0
        if self._motion is not None:
            self._motion.reset()

    def _close(self) -> Step:
        if self._motion is not None and self._heard.any():
            self._acc = self._motion.statistics()
        rssi = np.where(self._heard > 0, self._rssi / np.maximum(self._heard, 1), self._silent).astype(np.float32)
        return Step(rssi, self._heard.copy(), self._acc.copy(), self._segment, self._step, self._start)


class _Motion:
    """Running mean and standard deviation [6] of the samples of one step, every packet once."""

    def __init__(self) -> None:
        self._first = np.zeros(3)
        self._sum = np.zeros(3)
        self._squares = np.zeros(3)
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._newest = -1
        self._seen = 0  # bit i: the packet i numbers before the newest was here
        self._sum[:] = self._squares[:] = 0

    def add(self, seqno: int, values: np.ndarray) -> None:
        """values: [k, 3] g."""
        if not self._is_new(seqno):
            return
        for sample in values:
            if self._count == 0:
                self._first[:] = sample
            apart = sample - self._first
            self._sum += apart
            self._squares += apart * apart
            self._count += 1

    def _is_new(self, seqno: int) -> bool:
        ahead = seqno - self._newest
        if ahead > 0:
            # a jump past all that is remembered must not shift a word by more bits than it has
            kept = self._seen << ahead if ahead < REMEMBERED else 0
            self._newest, self._seen = seqno, (kept | 1) & (2**REMEMBERED - 1)
            return True
        bit = 1 << -ahead if -ahead < REMEMBERED else 0
        new = bit != 0 and not self._seen & bit
        self._seen |= bit
        return new

    def statistics(self) -> np.ndarray:
        mean = self._sum / self._count
        variance = np.maximum(self._squares / self._count - mean * mean, 0)
        return np.concatenate([self._first + mean, np.sqrt(variance)]).astype(np.float32)


class WindowStream:
    """Steps in, windows of `length` steps out, a new one every `hop` steps; a new segment starts afresh."""

    def __init__(self, length: int, hop: int) -> None:
        self._last: deque[Step] = deque(maxlen=length)
        self._hop = hop
        self._segment = -1
        self._wait = length  # steps until the next window

    def push(self, step: Step) -> Window | None:
        """Take a step, scaled or not; the window that ends with it, where one does."""
        if step.segment != self._segment:
            self._last.clear()
            self._segment, self._wait = step.segment, self._last.maxlen
        self._last.append(step)
        self._wait -= 1
        if self._wait:
            return None
        self._wait = self._hop
        return Window(np.stack([s.rssi for s in self._last]), np.stack([s.acc for s in self._last]), step.step)
