"""One fold of one export: convert, compare with PyTorch, answer for the test rows, and leave the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tinyloc import config
from tinyloc.data.features import Steps, stacked
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Windows, cut
from tinyloc.device import arena
from tinyloc.device.tflm import Tflm
from tinyloc.export import agreement, calibration, flatbuffer
from tinyloc.export.convert import Kind, convert
from tinyloc.files import atomic
from tinyloc.models.crf import viterbi_numpy
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA
from tinyloc.models.registry import parameters
from tinyloc.training.checkpoint import Trained, load
from tinyloc.training.distil import all_scores
from tinyloc.training.predict import stream
from tinyloc.training.predictions import Predictions


@dataclass(frozen=True)
class Exported:
    rows: Predictions  # of TFLite Micro, for the fold's test rows
    entry: dict  # the fold's part of export.json


@dataclass(frozen=True)
class _Trial:
    """What there is to run: all inferences of a fold's test part, in their order, and PyTorch's answers."""

    inputs: dict[str, np.ndarray]  # scaled, by tensor name [N, ...]
    reset: np.ndarray  # [N] bool
    reference: np.ndarray  # [N, ...] scores


def export_fold(
    checkpoint: Path,
    fold: Fold,
    windows: config.Windows,
    kind: Kind,
    calibration_windows: int,
    vectors: int,
    seed: int,
    out: Path,
) -> Exported:
    """Export a trained network as `.tflite` and run it in TFLite Micro over the test part of its fold.

    calibration_windows: how many training windows set the ranges of an int8 model, drawn with `seed`.
    Leaves in `out`: model.tflite; for int8, calibration.csv with the list of these windows; and windows.npz, the
    first `vectors` inferences as a device gets them (inputs by tensor name, `reset`) with TFLite Micro's raw outputs.
    Raises InputError: no checkpoint is there, or the export is not the function that was trained (with figures).
    """
    trained = load(checkpoint)
    asked = cut(fold.test, windows.length, windows.test_hop)
    streamed = isinstance(trained.model, Mamba)
    trial = _along_recordings(trained, fold.test) if streamed else _windows(trained, asked)
    with atomic(out / "model.tflite") as path:
        path.write_bytes(_tflite(trained, fold, windows, kind, calibration_windows, seed, out))
        tflm = Tflm(path)
        inputs = tflm.quantise(trial.inputs)
        outputs = tflm.run(inputs, trial.reset)
        scores = tflm.dequantise(outputs)["scores"]
        found = agreement.compare(scores, trial.reference)
        agreement.require(found, kind, str(out / "model.tflite"))
        entry = _entry(path, found)
    _write_vectors(out / "windows.npz", {**inputs, "reset": trial.reset, **outputs}, vectors)
    if streamed:
        scores = scores[_rows_of(asked, fold.test)]
        room = scores.argmax(-1)
    else:
        room, scores = _decode(trained.model, scores), scores[:, -1]
    rows = Predictions(asked.recording, asked.step, asked.target, room, scores, parameters(trained.model))
    return Exported(rows, entry)


def _tflite(
    trained: Trained, fold: Fold, windows: config.Windows, kind: Kind, count: int, seed: int, out: Path
) -> bytes:
    # TensorFlow takes seconds to import, and only what converts needs it
    from tinyloc.export.twin_mamba import TwinMamba
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    if isinstance(trained.model, Mamba):
        return convert(TwinMamba(trained.model, (trained.n_ap, trained.n_acc)), kind)
    twin = TwinMDCSA(trained.model, windows.length)
    if kind == "float32":
        return convert(twin, kind)
    chosen = calibration.choose(fold, windows, count, seed)
    calibration.write(out / "calibration.csv", chosen)
    return convert(twin, kind, _inputs(trained.scaler.transform(chosen)))


def _inputs(scaled: Windows) -> dict[str, np.ndarray]:
    return {"rssi": scaled.rssi, "acc": scaled.acc}


def _windows(trained: Trained, asked: Windows) -> _Trial:
    scaled = trained.scaler.transform(asked)
    scores = all_scores(trained.model, torch.from_numpy(scaled.rssi), torch.from_numpy(scaled.acc))
    return _Trial(_inputs(scaled), np.zeros(len(asked), bool), scores.numpy())


def _along_recordings(trained: Trained, recordings: Sequence[Steps]) -> _Trial:
    """One inference a step, the state reset where a recording or a segment begins."""
    scaled = [trained.scaler.transform(steps) for steps in recordings]
    begins = [np.diff(steps.segment, prepend=-1) != 0 for steps in scaled]
    return _Trial(
        inputs={name: stacked(scaled, name) for name in ("rssi", "acc")},
        reset=np.concatenate(begins),
        reference=np.concatenate([stream(trained.model, steps) for steps in scaled]),
    )


def _rows_of(asked: Windows, recordings: Sequence[Steps]) -> np.ndarray:
    """Where in all the steps of `recordings` the windows' last steps lie: [N]."""
    found, before = [], 0
    for steps in recordings:
        found.append(before + np.searchsorted(steps.step, asked.step[asked.recording == steps.recording]))
        before += len(steps)
    return np.concatenate(found)


def _decode(model: MDCSA, scores: np.ndarray) -> np.ndarray:
    """Rooms at the windows' last steps [N], by Viterbi with the CRF that was trained: it runs outside the `.tflite`."""
    crf = model.crf
    start, transition, end = (p.detach().numpy() for p in (crf.start, crf.transition, crf.end))
    return viterbi_numpy(scores, start, transition, end)[:, -1]


def _entry(path: Path, found: agreement.Agreement) -> dict:
    measured = arena.measure(path)
    return {
        "tflite_bytes": path.stat().st_size,
        "arena_bytes": measured.needed,
        "arena_reported": measured.reported,
        "argmax_agreement": found.argmax,
        "max_abs_difference": found.max_difference,
        "operators": flatbuffer.operator_counts(flatbuffer.read(path)),
    }


def _write_vectors(path: Path, arrays: Mapping[str, np.ndarray], count: int) -> None:
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **{name: values[:count] for name, values in arrays.items()})
