"""A fold from steps to files, and predictions as files."""

import csv
from dataclasses import replace
from functools import partial
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from toy_rooms import GATEWAYS, ROOMS, fold, steps

from tinyloc.config import (
    Distillation,
    Features,
    ForestModel,
    MambaModel,
    MdcsaModel,
    NeighboursModel,
    Target,
    Training,
    Windows,
)
from tinyloc.data.windows import Scaler, cut
from tinyloc.errors import InputError
from tinyloc.report import results
from tinyloc.training import checkpoint, run
from tinyloc.training.predict import predict_steps, stream
from tinyloc.training.predictions import ALWAYS, Predictions, read_notes, read_predictions, write_predictions

TRAINING = Training(epochs=15, batch=8, learning_rate=0.05)
WINDOWS = Windows(length=6)
MDCSA = MdcsaModel(family="mdcsa", d=8, kernels=[1, 3], training=TRAINING)
MAMBA = MambaModel(family="mamba", d=8, n_state=4, train_length=12, training=TRAINING)
BASELINES = [ForestModel(family="forest", trees=10), NeighboursModel(family="neighbours")]
family = pytest.mark.parametrize("config", [MDCSA, MAMBA, *BASELINES], ids=lambda c: c.family)

train_fold = partial(run.train_fold, windows=WINDOWS, features=Features(), gateways=GATEWAYS, rooms=ROOMS, seed=0)


@family
def test_every_model_answers_for_the_same_rows(config, tmp_path):
    rows = train_fold(config, fold(), out=tmp_path)
    asked = cut(fold().test, WINDOWS.length, WINDOWS.test_hop)
    assert (rows.recording == asked.recording).all() and (rows.step == asked.step).all()
    assert (rows.segment == asked.segment).all() and (rows.y_true == asked.target).all()
    assert (rows.y_true == rows.y_pred).mean() > 0.9


@pytest.mark.parametrize("config", [MDCSA, MAMBA], ids=lambda c: c.family)
def test_a_network_leaves_its_files(config, tmp_path):
    rows = train_fold(config, fold(), out=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["history.csv", "model.pt", "predictions.npz"]
    with (tmp_path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert list(history[0]) == ["epoch", "train_loss", "validation_loss", "validation_accuracy", "chosen"]
    assert [row["epoch"] for row in history] == [str(i + 1) for i in range(len(history))]
    assert sum(int(row["chosen"]) for row in history) == 1
    again = predict_steps(checkpoint.load(tmp_path / "model.pt"), fold().test, WINDOWS)
    assert (again.y_pred == rows.y_pred).all() and (again.scores == rows.scores).all()


@pytest.mark.parametrize(
    ("config", "windows", "short", "said"),
    [
        (MAMBA.model_copy(update={"train_length": 99}), WINDOWS, "train", "training part: train_length 99"),
        (
            MDCSA,
            Windows(length=6, validation_share=0.1),
            "validation",
            "validation part (windows.validation_share 0.1)",
        ),
        (MDCSA, WINDOWS, "test", "test part: windows.length 6"),
        (BASELINES[1], WINDOWS, "test", "test part: windows.length 6"),
    ],
    ids=["train_length", "validation_share", "test", "baseline"],
)
def test_a_part_with_no_window_is_named_before_anything_is_trained(config, windows, short, said, tmp_path):
    whole = fold()
    cut_short = replace(whole, **{short: [s.select(slice(0, 3)) for s in getattr(whole, short)]})
    with pytest.raises(InputError) as error:
        train_fold(config, cut_short, out=tmp_path, windows=windows)
    assert said in str(error.value) and str(error.value).startswith(f"fold {whole.name}, ")
    assert not any(tmp_path.iterdir())


@family
def test_a_finished_fold_is_read_and_not_fitted_again(config, tmp_path, monkeypatch):
    first = train_fold(config, fold(), out=tmp_path, making={"key": "k"})
    monkeypatch.setattr(run.registry, "build", None)  # fitting again would need it
    again = train_fold(config, fold(), out=tmp_path, making={"key": "k"})
    assert (again.y_pred == first.y_pred).all() and again.parameters == first.parameters
    with pytest.raises(TypeError):
        train_fold(config, fold(), out=tmp_path, making={"key": "another"})


def test_a_killed_fold_continues_to_the_same_answers(tmp_path):
    expected = train_fold(MDCSA, fold(), out=tmp_path / "whole")

    def kill(epoch):
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fold(MDCSA, fold(), out=tmp_path / "killed", progress=kill)
    seen = []
    found = train_fold(MDCSA, fold(), out=tmp_path / "killed", progress=seen.append)
    assert seen[0].epoch == 4 and (found.scores == expected.scores).all()
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


def test_killed_while_the_test_rows_are_answered_no_epoch_is_trained_again(tmp_path, monkeypatch):
    def kill(*_, **__):
        raise KeyboardInterrupt

    expected = train_fold(MDCSA, fold(), out=tmp_path / "whole")
    for function in ("predict_steps", "write_predictions"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(run, function, kill)
            train_fold(MDCSA, fold(), out=tmp_path / function)
        seen = []
        found = train_fold(MDCSA, fold(), out=tmp_path / function, progress=seen.append)
        assert not seen and (found.scores == expected.scores).all()
        for kept in ("history.csv", "model.pt"):
            assert (tmp_path / function / kept).read_bytes() == (tmp_path / "whole" / kept).read_bytes()


def test_killed_once_its_predictions_are_there_a_fold_is_tidied_up(tmp_path, monkeypatch):
    train_fold(MDCSA, fold(), out=tmp_path)
    (tmp_path / "training.pt").touch()
    train_fold(MDCSA, fold(), out=tmp_path)
    assert not (tmp_path / "training.pt").exists()


@family
def test_nothing_that_is_tested_teaches_or_chooses_a_model(config, tmp_path):
    """Test labels are the wrong way round: nobody sees them, so nothing changes, not even when training stops."""
    misled = replace(fold(), test=[replace(s, room=1 - s.room) for s in fold().test])
    told, untold = (train_fold(config, f, out=tmp_path / str(i)) for i, f in enumerate((fold(), misled)))
    assert (told.y_true != untold.y_true).all() and (told.y_pred == untold.y_pred).all()
    if told.scores is not None:
        assert (told.scores == untold.scores).all()
        assert len({(tmp_path / str(i) / "history.csv").read_text() for i in range(2)}) == 1


def test_nothing_of_validation_and_test_reaches_the_scaler(tmp_path):
    loud = replace(fold(), test=[replace(s, rssi=s.rssi + 500) for s in fold().test])
    train_fold(MDCSA, loud, out=tmp_path)
    expected = Scaler.fit(fold().train).to_dict()
    assert checkpoint.load(tmp_path / "model.pt").scaler.to_dict() == expected


def test_a_student_needs_its_teacher_and_learns_something_else_with_it(tmp_path):
    student = MDCSA.model_copy(update={"distillation": Distillation(teacher="teacher", alpha=0.9)})
    with pytest.raises(InputError, match="teacher 'teacher'"):
        train_fold(student, fold(), out=tmp_path / "orphan")
    train_fold(MDCSA, fold(), out=tmp_path / "teacher", seed=1)
    alone = train_fold(MDCSA, fold(), out=tmp_path / "alone")
    taught = train_fold(student, fold(), out=tmp_path / "taught", teachers=[tmp_path / "teacher" / "model.pt"])
    assert not np.array_equal(alone.scores, taught.scores)
    assert (taught.y_true == taught.y_pred).mean() > 0.9


@pytest.mark.parametrize("student", [MDCSA, MAMBA.model_copy(update={"train_length": 6})], ids=lambda c: c.family)
@pytest.mark.parametrize("target", get_args(Target))
def test_every_target_of_two_teachers_survives_a_kill(student, target, tmp_path, taught_by):
    distillation = Distillation(teacher=["a", "b"], targets={target: 1.0})
    brief = TRAINING.model_copy(update={"epochs": 4})
    config = student.model_copy(update={"distillation": distillation, "training": brief})
    whole = train_fold(config, fold(), out=tmp_path / "whole", teachers=taught_by)

    def kill(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fold(config, fold(), out=tmp_path / "killed", teachers=taught_by, progress=kill)
    resumed = train_fold(config, fold(), out=tmp_path / "killed", teachers=taught_by)
    assert (resumed.scores == whole.scores).all()


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory):
    """Two teachers of another width than their students."""
    folder = tmp_path_factory.mktemp("teachers")
    for seed in (1, 2):
        train_fold(MDCSA.model_copy(update={"d": 12}), fold(), out=folder / str(seed), seed=seed)
    return [folder / str(seed) / "model.pt" for seed in (1, 2)]


@pytest.fixture
def streaming(tmp_path):
    train_fold(MAMBA, fold(), out=tmp_path)
    return checkpoint.load(tmp_path / "model.pt")


def test_a_stream_is_the_model_one_step_at_a_time_from_a_fresh_state_in_every_segment(streaming):
    recording = streaming.scaler.transform(steps("c", n_segments=3, length=20, seed=5))
    expected = []
    for segment in range(3):
        state = streaming.model.initial_state(1)
        for i in np.flatnonzero(recording.segment == segment):
            now = [torch.from_numpy(x[i : i + 1]) for x in (recording.rssi, recording.acc)]
            scores, state = streaming.model.step(*now, state)
            expected.append(scores.detach().numpy()[0])
    np.testing.assert_allclose(stream(streaming.model, recording), expected, atol=1e-5)


def test_a_stream_remembers_what_lies_before_the_window(streaming):
    recording = steps("c", n_segments=1, length=20, seed=5)
    louder = replace(recording, rssi=recording.rssi + np.where(np.arange(20) < 5, 15, 0)[:, None].astype(np.float32))
    before, after = (predict_steps(streaming, [r], Windows(length=6)) for r in (recording, louder))
    late = before.step >= 12  # these windows begin after the change
    assert not np.allclose(before.scores[late], after.scores[late], atol=1e-6)


def test_reset_a_stream_sees_its_window_and_nothing_before(streaming):
    recording = steps("c", n_segments=2, length=20, seed=5)
    found = predict_steps(streaming, [recording], Windows(length=6), reset=True)
    asked = streaming.scaler.transform(cut([recording], 6, 1))
    with torch.no_grad():
        alone = [
            streaming.model(torch.from_numpy(asked.rssi[i][None]), torch.from_numpy(asked.acc[i][None]))
            for i in range(len(asked))
        ]
    np.testing.assert_allclose(found.scores, [scores[0, -1].numpy() for scores in alone], atol=1e-5)
    along = predict_steps(streaming, [recording], Windows(length=6))
    assert not np.allclose(found.scores, along.scores, atol=1e-4)


@pytest.mark.parametrize(("config", "source"), [(MDCSA, "CRF marginal"), (MAMBA, "softmax")], ids=["mdcsa", "mamba"])
def test_probabilities_are_those_of_all_paths_that_end_in_the_room(config, source, tmp_path):
    rows = train_fold(config, fold(), out=tmp_path)
    assert rows.probability_source == source
    np.testing.assert_allclose(rows.probability.sum(1), 1, atol=1e-5)
    softmax = np.exp(rows.scores) / np.exp(rows.scores).sum(1, keepdims=True)
    if source == "softmax":
        np.testing.assert_allclose(rows.probability, softmax, atol=1e-5)
        return
    model, seen = checkpoint.load(tmp_path / "model.pt"), cut(fold().test, WINDOWS.length, WINDOWS.test_hop)
    scaled = model.scaler.transform(seen)
    with torch.no_grad():
        scores = model.model(torch.from_numpy(scaled.rssi[:3]), torch.from_numpy(scaled.acc[:3]))
        crf, total = model.model.crf, np.zeros((3, 2))
        for path in product(range(2), repeat=WINDOWS.length):
            total[:, path[-1]] += crf._energy(scores, torch.tensor([path] * 3)).double().exp().numpy()
    np.testing.assert_allclose(rows.probability[:3], total / total.sum(1, keepdims=True), atol=1e-4)


def predictions(n=4, scores=True):
    values = np.arange(2.0 * n, dtype=np.float32).reshape(n, 2) if scores else None
    segment, room = np.arange(n) // 2, np.arange(n) % 2
    return Predictions(np.full(n, "r1"), segment, np.arange(n), room, np.ones(n, np.int64), values, 12)


@pytest.mark.parametrize("scores", [True, False])
def test_predictions_are_read_back_fold_by_fold(scores, tmp_path):
    folds = {"b": predictions(3, scores), "a": predictions(5, scores)}
    write_predictions(tmp_path / "predictions.npz", folds)
    found = read_predictions(tmp_path / "predictions.npz")
    assert list(found) == ["b", "a"]
    for name, rows in folds.items():
        assert found[name].parameters == 12
        for column in (*ALWAYS, "scores"):
            assert np.array_equal(getattr(found[name], column), getattr(rows, column))


def test_predictions_of_a_version_that_kept_less_are_to_be_computed_again(tmp_path):
    path = tmp_path / "predictions.npz"
    write_predictions(path, {"a": predictions()}, making={"key": 1})
    with np.load(path) as arrays:
        np.savez(path, **{name: arrays[name] for name in arrays if name != "segment"})
    for read in (read_predictions, lambda path: results.predictions(path.parent)):
        with pytest.raises(InputError, match=r"predictions\.npz: no column 'segment'; .*compute it again"):
            read(path)
    # a fold that is to be trained again is not stopped by what it left
    assert read_notes(path)["making"] == {"key": 1}


def test_predictions_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match=r"predictions\.npz: no such result"):
        read_predictions(tmp_path / "predictions.npz")
