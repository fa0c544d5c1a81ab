"""The chain from packets to rooms in Python, with TFLite Micro as the model: what a device has to equal."""

from dataclasses import dataclass

import numpy as np

from tinyloc.aot.deployed import Deployed
from tinyloc.data.packets import Dataset, Recording
from tinyloc.data.stream import Step, StepStream, Window, WindowStream, play
from tinyloc.device.tflm import Tflm
from tinyloc.models.crf import viterbi_numpy

NO_ROOM = -1


@dataclass(frozen=True)
class Trace:
    """What a chain says of the steps of a recording, in their order."""

    segment: np.ndarray  # [S] int32
    number: np.ndarray  # [S] int32
    measured: np.ndarray  # [S, F] float32; dBm of every gateway, then acceleration in g
    scaled: np.ndarray  # [S, F] float32
    room: np.ndarray  # [S] int32, or NO_ROOM where no window ends


def follow(deployed: Deployed, recording: Recording, hop: int = 1) -> tuple[Trace, np.ndarray]:
    """The trace of a recording, and how many steps each packet showed to be over [P] int64.

    `StepStream`, `Scaler`, `WindowStream`, the model in TFLite Micro (its state zeroed where a segment begins), then
    the last room of the Viterbi path, or the largest score where there is no CRF. The last step of the trace is the
    one that the end of the recording closes.
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
    room = np.full(len(steps), NO_ROOM, np.int32)
    if ends.any():
        begins = np.diff(segment[ends], prepend=-1) != 0
        room[ends] = _rooms(deployed, [window for window in windows if window is not None], begins)
    number = np.array([step.step for step in steps], np.int32)
    trace = Trace(segment, number, _features(steps), _features(scaled), room)
    return trace, np.array([len(over) for over in by_packet])


def _features(steps: list[Step]) -> np.ndarray:
    return np.stack([np.concatenate([step.rssi, step.acc]) for step in steps])


def _rooms(deployed: Deployed, windows: list[Window], begins: np.ndarray) -> np.ndarray:
    """Room at the last step of every window [N]. begins: [N] bool, the first window of a segment."""
    tflm = Tflm(deployed.model)
    given = {t.name: np.stack([getattr(window, t.name) for window in windows]) for t in deployed.inputs}
    scores = tflm.dequantise(tflm.run(tflm.quantise(given), begins))["scores"]
    scores = scores.reshape(len(windows), deployed.length, len(deployed.rooms))
    if deployed.crf is None:
        return scores[:, -1].argmax(-1)
    crf = deployed.crf
    return viterbi_numpy(scores, crf.start, crf.transition, crf.end)[:, -1]
