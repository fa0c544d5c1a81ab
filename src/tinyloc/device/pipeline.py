"""The chain from packets to rooms in Python, with TFLite Micro as the model: what a device has to equal."""

from dataclasses import dataclass

import numpy as np

from tinyloc.aot.deployed import Deployed
from tinyloc.data.packets import Dataset, Recording
from tinyloc.data.stream import Step, StepStream, Window, WindowStream, play
from tinyloc.export.tflm import Tflm
from tinyloc.models.crf import ONLINE, last_rooms_numpy

NO_ROOM = -1


@dataclass(frozen=True)
class Trace:
    """What a chain says of the steps of a recording, in their order."""

    segment: np.ndarray  # [S] int32
    number: np.ndarray  # [S] int32
    measured: np.ndarray  # [S, F] float32; dBm of every gateway, then acceleration in g
    scaled: np.ndarray  # [S, F] float32
    room: np.ndarray  # [S] int32, or NO_ROOM where no window ends; with a lag, of the step so many steps ago
    rest: np.ndarray  # [S, lag] int32: at the end of a segment the rooms that are due, NO_ROOM elsewhere

    @property
    def rooms(self) -> np.ndarray:
        """All rooms that a step brings, `room` and `rest`: [S, 1 + lag] int32."""
        return np.column_stack([self.room, self.rest])


def follow(deployed: Deployed, recording: Recording, hop: int = 1, lag: int | None = None) -> tuple[Trace, np.ndarray]:
    """The trace of a recording, and how many steps each packet showed to be over [P] int64.

    `StepStream`, `Scaler`, `WindowStream`, the model in TFLite Micro (its state zeroed where a segment begins), then
    the answer of the window as its CRF decides (`last_rooms_numpy`), or the largest score where there is none; with a
    lag, the rooms of `OnlineViterbi` or `OnlineMarginal` over the segment. The last step of the trace is the one that
    the end of the recording closes.
    """
    dataset = Dataset(recording.name, deployed.gateways, deployed.rooms, (recording,), "one recording")
    stream = StepStream(len(deployed.gateways), deployed.accelerometer, deployed.features)
    by_packet = [stream.push(packet) for packet in play(recording, dataset)]
    steps = [step for over in (*by_packet, stream.close()) for step in over]
    scaled = [deployed.scaler.transform(step) for step in steps]
    cutter = WindowStream(deployed.length, hop)
    windows = [cutter.push(step) for step in scaled]
    segment = np.array([step.segment for step in steps], np.int32)
    ends = np.array([window is not None for window in windows])
    begins = np.diff(segment[ends], prepend=-1) != 0
    scores = _scores(deployed, [window for window in windows if window is not None], begins)
    if lag is None:
        room, rest = np.full(len(steps), NO_ROOM, np.int32), np.empty((len(steps), 0), np.int32)
        room[ends] = _last_rooms(deployed, scores)
    else:
        room, rest = _lagged_rooms(deployed, segment, ends, scores, hop, lag)
    number = np.array([step.step for step in steps], np.int32)
    trace = Trace(segment, number, _features(steps), _features(scaled), room, rest)
    return trace, np.array([len(over) for over in by_packet])


def _features(steps: list[Step]) -> np.ndarray:
    return np.stack([np.concatenate([step.rssi, step.acc]) for step in steps])


def _scores(deployed: Deployed, windows: list[Window], begins: np.ndarray) -> np.ndarray:
    """Of every step of every window [N, T, R] float32. begins: [N] bool, the first window of a segment."""
    shape = (len(windows), deployed.length, len(deployed.rooms))
    if not windows:
        return np.empty(shape, np.float32)
    tflm = Tflm(deployed.model)
    given = {t.name: np.stack([getattr(window, t.name) for window in windows]) for t in deployed.inputs}
    return tflm.dequantise(tflm.run(tflm.quantise(given), begins))["scores"].reshape(shape)


def _last_rooms(deployed: Deployed, scores: np.ndarray) -> np.ndarray:
    """Room at the last step of every window [N], each decoded by itself. scores: [N, T, R]."""
    if deployed.crf is None:
        return scores[:, -1].argmax(-1)
    crf = deployed.crf
    return last_rooms_numpy(scores, crf.start, crf.transition, crf.end, crf.decide)


def _lagged_rooms(
    deployed: Deployed, segment: np.ndarray, ends: np.ndarray, scores: np.ndarray, hop: int, lag: int
) -> tuple[np.ndarray, np.ndarray]:
    """`room` and `rest` of a trace. segment: [S]; ends: [S] bool, where a window does; scores: [N, T, R].

    The decoder sees every step once: of a segment's first window all of them, later those since the window before.
    """
    room, rest = np.full(len(segment), NO_ROOM, np.int32), np.full((len(segment), lag), NO_ROOM, np.int32)
    crf = deployed.crf
    decoder = ONLINE[crf.decide](crf.start, crf.transition, crf.end, lag)
    windows = iter(scores)
    for steps in np.split(np.arange(len(segment)), np.flatnonzero(np.diff(segment)) + 1):
        decoder.reset()
        fresh = deployed.length
        for step in steps[ends[steps]]:
            due = [decoder.push(row) for row in next(windows)[-fresh:]][-1]
            room[step] = NO_ROOM if due is None else due
            fresh = hop
        last = decoder.finish()
        rest[steps[-1], : len(last)] = last
    return room, rest
