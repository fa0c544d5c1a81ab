"""One fold of one model: scale, cut, fit, predict, and leave the files."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

import torch

from tinyloc import config
from tinyloc.config import CausalNeural, Classical, EnsembleModel, Neural
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Scaler, Windows, cut
from tinyloc.errors import InputError
from tinyloc.files import atomic
from tinyloc.models import registry
from tinyloc.models.network import Network
from tinyloc.training import checkpoint
from tinyloc.training.checkpoint import Trained
from tinyloc.training.distil import ConsistentTeaching, Teaching, all_answers
from tinyloc.training.ensemble import together
from tinyloc.training.fit import Batches, Epoch, best, fit
from tinyloc.training.predict import predict_steps
from tinyloc.training.predictions import Predictions, read_notes, read_predictions, write_predictions

Progress = Callable[[Epoch], None]

HALFWAY = "training.pt"
"""The checkpoint of a network's fit, until the fold is done."""


def train_fold(
    model: config.Model,
    fold: Fold,
    windows: config.Windows,
    features: config.Features,
    gateways: Sequence[str],
    rooms: Sequence[str],
    seed: int,
    out: Path,
    teachers: Sequence[Path] = (),
    making: dict | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Fit `model` on a fold and answer for the fold's test rows.

    Leaves in `out`: predictions.npz, and for a network model.pt and history.csv. A fold that has all this of the same
    `making` (anything that decides the weights, in words) is read and not fitted again; one that was half trained
    is continued, and one that was trained alone is asked.
    features: what made the steps of the fold; the checkpoint keeps them for whoever has packets.
    teachers: model.pt of the same fold, of every run that the model's `distillation` names, or of every member of an
    ensemble, whose predictions lie beside it.
    Raises InputError: a segment is too short for the windows, or the teacher is missing.
    """
    done, halfway = out / "predictions.npz", out / HALFWAY
    if done.is_file() and read_notes(done).get("making") == making:
        halfway.unlink(missing_ok=True)  # of a run that was killed before it could
        return read_predictions(done)[fold.name]
    if isinstance(model, Neural):
        rows = _network(model, fold, windows, features, gateways, rooms, seed, out, teachers, making, progress)
    elif isinstance(model, EnsembleModel):
        rows = together([read_predictions(path.with_name(done.name))[fold.name] for path in teachers])
    else:
        rows = _baseline(model, fold, windows, gateways, rooms, seed)
    write_predictions(done, {fold.name: rows}, making=making)
    halfway.unlink(missing_ok=True)  # not before: whoever is killed while the test rows are answered has trained
    return rows


def answer(
    model: config.Model,
    fold: Fold,
    windows: config.Windows,
    gateways: Sequence[str],
    rooms: Sequence[str],
    seed: int,
    trained: Path,
    reset: bool = False,
) -> Predictions:
    """Ask a fold's model about other test steps than its own: those of `fold.test`.

    trained: the folder of `train_fold`. A baseline leaves no file of itself and is fitted again, which with the same
    seed gives the same one. reset: see `predict_steps`.
    Raises InputError: a network was not trained, or no segment is as long as a window.
    """
    if isinstance(model, Neural):
        return predict_steps(checkpoint.load(trained / "model.pt"), fold.test, windows, reset)
    return _baseline(model, fold, windows, gateways, rooms, seed)


def _baseline(
    model: Classical,
    fold: Fold,
    windows: config.Windows,
    gateways: Sequence[str],
    rooms: Sequence[str],
    seed: int,
) -> Predictions:
    """A baseline stops by no validation score, so the validation steps are its to train on."""
    seen = [*fold.train, *fold.validation]
    scaler = Scaler.fit(seen)
    train = scaler.transform(cut(seen, windows.length, windows.train_hop, f"fold {fold.name}, training part"))
    asked = cut(fold.test, windows.length, windows.test_hop, f"fold {fold.name}, test part")
    baseline = registry.build(model, len(gateways), train.acc.shape[-1], len(rooms), seed).fit(train)
    return Predictions.of(asked, baseline.predict(scaler.transform(asked)))


def _network(
    model: Neural,
    fold: Fold,
    windows: config.Windows,
    features: config.Features,
    gateways: Sequence[str],
    rooms: Sequence[str],
    seed: int,
    out: Path,
    teachers: Sequence[Path],
    making: dict | None,
    progress: Progress | None,
) -> Predictions:
    scaler = Scaler.fit(fold.train)
    length, key = (
        (model.train_length, "train_length") if isinstance(model, CausalNeural) else (windows.length, "windows.length")
    )
    train = cut(fold.train, length, windows.train_hop, f"fold {fold.name}, training part", key)
    kept = f"fold {fold.name}, validation part (windows.validation_share {windows.validation_share:g})"
    validation = scaler.transform(cut(fold.validation, windows.length, windows.test_hop, kept))
    cut(fold.test, windows.length, windows.test_hop, f"fold {fold.name}, test part")  # before hours of training
    network = registry.build(model, len(gateways), train.acc.shape[-1], len(rooms), seed, rooms)
    history = fit(
        network,
        scaler.transform(train),
        validation,
        model.training,
        seed,
        teaching=_teaching(model, network, train, scaler, teachers, seed) if model.distillation else None,
        resume=out / HALFWAY,
        making=making,
        progress=progress,
    )
    trained = Trained(network, model, scaler, tuple(gateways), tuple(rooms), features, windows.length)
    checkpoint.save(out / "model.pt", trained)
    _write_history(out / "history.csv", history, model.training.choose)
    return predict_steps(trained, fold.test, windows)


def _teaching(
    model: Neural, student: Network, train: Windows, scaler: Scaler, teachers: Sequence[Path], seed: int
) -> Teaching | ConsistentTeaching:
    """What the teachers say of the training windows (unscaled: each teacher scales for itself), or will say of them as
    the student, whose scaler is given, sees them."""
    if not teachers:
        raise InputError(f"teacher {model.distillation.teacher!r}: not trained on this fold; train it first")
    trained = [checkpoint.load(path) for path in teachers]
    if model.distillation.consistent:
        for path, teacher in zip(teachers, trained, strict=True):
            if teacher.scaler.to_dict() != scaler.to_dict():
                raise InputError(f"{path}: scales its windows otherwise than its student; train it on the same fold")
        return ConsistentTeaching([teacher.model for teacher in trained], model.distillation)
    answers = []
    for teacher in trained:
        seen = Batches.of(teacher.scaler.transform(train))
        answers.append(all_answers(teacher.model, seen.rssi, seen.acc))
    torch.manual_seed(seed)  # a target may have weights of its own
    return Teaching(answers, student, model.distillation)


def _write_history(path: Path, history: list[Epoch], choose: str) -> None:
    chosen = best(history, choose)
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        names = [f.name for f in fields(Epoch)]
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*names, "chosen"])
        table.writerows([*astuple(epoch), int(epoch is chosen)] for epoch in history)
