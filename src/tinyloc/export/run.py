"""One fold of one export: convert, compare with PyTorch, answer for the test rows, and leave the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tinyloc import config
from tinyloc.config import Aware, ExportKind
from tinyloc.data.features import Steps, stacked
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Windows, cut
from tinyloc.errors import InputError
from tinyloc.export import agreement, arena, aware, calibration, desktop, flatbuffer, kinds, noise
from tinyloc.export.calibration import Calibration
from tinyloc.export.ranges import Method
from tinyloc.export.scheme import Ranges
from tinyloc.export.tflm import Tflm
from tinyloc.files import atomic
from tinyloc.models.crf import last_rooms_numpy
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA
from tinyloc.models.registry import parameters
from tinyloc.training.checkpoint import Trained, load
from tinyloc.training.distil import all_scores
from tinyloc.training.predict import stream
from tinyloc.training.predictions import Predictions

NOISE_INFERENCES = 128
"""Test inferences that the noise of every operator is measured on."""


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
    kind: ExportKind,
    calibration_windows: int,
    vectors: int,
    seed: int,
    out: Path,
    method: Method,
    how: Aware,
) -> Exported:
    """Export a trained network as `.tflite` and run it in TFLite Micro over the test part of its fold; of kind
    `float16`, which that does not take, in TensorFlow Lite.

    calibration_windows: how many training windows set the ranges of a model of integers, drawn with `seed`; method:
    how they do it. how: the training of `int8-aware`.
    Leaves in `out`: model.tflite; for kinds of integers, calibration.csv with the list of these windows and errors.csv
    with the noise of every operator; and windows.npz, the first `vectors` inferences as a device gets them (inputs by
    tensor name, `reset`) with TFLite Micro's raw outputs.
    Raises InputError: no checkpoint is there; the data have other columns; the calibration windows say nothing; an
    operator of the model has no kernel in TFLite Micro; or the export is not the function that was trained (with
    figures). Nothing is left then.
    """
    trained = load(checkpoint)
    for steps in fold.test:
        calibration.require_columns(trained, steps, f"{checkpoint}: test recording {steps.recording}")
    asked = cut(fold.test, windows.length, windows.test_hop)
    streamed = trained.model.streams
    trial = _along_recordings(trained, fold.test) if streamed else _windows(trained, asked)
    trial = replace(trial, inputs={name: trial.inputs[name] for name in kinds.input_names(trained)})
    seen = _calibration(trained, fold, windows, calibration_windows, seed) if kind in kinds.INTEGERS else None
    made = kinds.make(trained, windows.length, kind, seen, method, _training(trained, fold, windows, how, seed))
    with atomic(out / "model.tflite") as path:
        path.write_bytes(flatbuffer.pack(made.model))
        tflm = _accepted(path, out / "model.tflite", kind)
        inputs = tflm.quantise(trial.inputs)
        outputs = tflm.run(inputs, trial.reset)
        scores = tflm.dequantise(outputs)["scores"]
        found = agreement.compare(scores, trial.reference)
        agreement.require(found, kind, str(out / "model.tflite"))
        entry = _entry(path, found, kind)
        if seen:
            entry |= _integers(made, seen, trial, out)
    _write_vectors(out / "windows.npz", {**inputs, "reset": trial.reset, **outputs}, vectors)
    if streamed:
        scores = scores[_rows_of(asked, fold.test)]
        room = scores.argmax(-1)
    else:
        room, scores = _decode(trained.model, scores), scores[:, -1]
    rows = Predictions.of(asked, room, scores=scores, parameters=parameters(trained.model))
    return Exported(rows, entry)


def _training(trained: Trained, fold: Fold, windows: config.Windows, how: Aware, seed: int) -> kinds.Train:
    def train(model: flatbuffer.schema.ModelT, found: Ranges) -> flatbuffer.schema.ModelT:
        fit, validation = (cut(steps, windows.length, windows.train_hop) for steps in (fold.train, fold.validation))
        return aware.train(model, found, trained, fit, validation, how, seed)

    return train


def _accepted(path: Path, name: Path, kind: ExportKind) -> Tflm:
    """The file at `path`, which is to become `name`, in its runtime. Raises InputError: that lacks an operator."""
    try:
        return desktop.load(path, kind)
    except InputError as error:
        raise InputError(str(error).replace(str(path), str(name))) from None


def _calibration(trained: Trained, fold: Fold, windows: config.Windows, count: int, seed: int) -> Calibration:
    if trained.model.streams:
        return calibration.segments_of(trained, fold, count * windows.length, seed)
    return calibration.windows_of(trained, fold, windows, count, seed)


def _integers(made: kinds.Made, seen: Calibration, trial: _Trial, out: Path) -> dict:
    """What there is to say of a model of integers alone: files beside it, and a part of its entry."""
    calibration.write(out / "calibration.csv", seen)
    few = {name: values[:NOISE_INFERENCES] for name, values in trial.inputs.items()}
    rows = noise.by_operator(made.reference, made.model, few, trial.reset[:NOISE_INFERENCES])
    with atomic(out / "errors.csv") as temporary:
        rows.to_csv(temporary, index=False, float_format="%.3f", lineterminator="\n")
    return {
        "calibration": {"pieces": len(seen.pieces), "sha256": seen.sha256},
        "wide": sorted(made.wide),
        "score_snr_db": float(rows.set_index("tensor")["snr_db"]["scores"]),
    }


def _windows(trained: Trained, asked: Windows) -> _Trial:
    scaled = trained.scaler.transform(asked)
    scores = all_scores(trained.model, torch.from_numpy(scaled.rssi), torch.from_numpy(scaled.acc))
    return _Trial({"rssi": scaled.rssi, "acc": scaled.acc}, np.zeros(len(asked), bool), scores.numpy())


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


def _decode(model: MDCSA | Mamba, scores: np.ndarray) -> np.ndarray:
    """Rooms at the windows' last steps [N], as the network decides: its CRF runs outside the `.tflite`."""
    if isinstance(model, Mamba):
        return scores[:, -1].argmax(-1)
    crf = model.crf
    start, transition, end = (p.detach().numpy() for p in (crf.start, crf.transition, crf.end))
    return last_rooms_numpy(scores, start, transition, end, model.decide)


def _entry(path: Path, found: agreement.Agreement, kind: ExportKind) -> dict:
    measured = arena.measure(path) if desktop.runtime(kind) == desktop.MICRO else None
    model = flatbuffer.read(path)
    return {
        "runtime": desktop.runtime(kind),
        "weights_bytes": flatbuffer.weights_bytes(model),
        "tflite_bytes": path.stat().st_size,
        "arena_bytes": measured.needed if measured else None,
        "arena_reported": measured.reported if measured else None,
        "argmax_agreement": found.argmax,
        "max_abs_difference": found.max_difference,
        "operators": flatbuffer.operator_counts(model),
    }


def _write_vectors(path: Path, arrays: Mapping[str, np.ndarray], count: int) -> None:
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **{name: values[:count] for name, values in arrays.items()})
