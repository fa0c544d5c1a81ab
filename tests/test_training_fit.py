"""A fit: what it keeps, what it is scored by, and what its options do."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from toy_rooms import windows

from tinyloc.config import Distillation, MambaModel, Training
from tinyloc.models.registry import build
from tinyloc.training.distil import SoftTargets, all_scores
from tinyloc.training.fit import Batches, best, fit

QUICK = Training(epochs=3, batch=16, learning_rate=0.02)
ENOUGH = Training(epochs=15, batch=16, learning_rate=0.05)
TRAIN, VALIDATION = windows(60, seed=0), windows(40, seed=1)


def make():
    """A model with no CRF: every step is answered for itself."""
    return build(MambaModel(family="mamba", d=8, n_state=4, dropout=0.1), 2, 6, 2, seed=0)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_finished_fit_has_nothing_left_to_do(tmp_path):
    begin = partial(fit, train=TRAIN, validation=VALIDATION, training=QUICK, seed=3, resume=tmp_path / "training.pt")
    first, again, seen = make(), make(), []
    begin(first)
    begin(again, progress=seen.append)
    assert not seen and weights(again).equal(weights(first))


def test_stops_when_patience_is_over_and_keeps_the_best_weights():
    """Validation rooms are the wrong way round: the better it learns, the worse it does."""
    upside_down = replace(VALIDATION, room=1 - VALIDATION.room)
    training = ENOUGH.model_copy(update={"epochs": 40, "patience": 3})
    model = make()
    history = fit(model, TRAIN, upside_down, training, seed=0)
    chosen = best(history)
    assert len(history) == chosen.epoch + 3 < 40
    batches = Batches.of(upside_down)
    scores = all_scores(model, batches.rssi, batches.acc)
    assert model.loss(scores, batches.room).item() == pytest.approx(chosen.validation_loss, rel=1e-6)
    assert not model.training


def test_accuracy_is_that_of_the_last_step_alone():
    """Only the last step of these validation windows is labelled as the rest of the world is."""
    room = 1 - VALIDATION.room
    room[:, -1] = VALIDATION.room[:, -1]
    model = make()
    history = fit(model, TRAIN, replace(VALIDATION, room=room), ENOUGH, seed=0)
    assert history[-1].validation_accuracy > 0.8


def test_soft_targets_of_a_teacher_outweigh_wrong_labels():
    teacher = make()
    fit(teacher, TRAIN, VALIDATION, ENOUGH, seed=0)
    batches = Batches.of(TRAIN)
    config = Distillation(teacher="teacher", alpha=1.0)
    targets = SoftTargets.of(teacher, batches.rssi, batches.acc, config)
    student = make()
    wrong = replace(TRAIN, room=1 - TRAIN.room)
    history = fit(student, wrong, VALIDATION, ENOUGH, seed=1, soft_targets=targets)
    assert history[-1].validation_accuracy > 0.8


@pytest.mark.parametrize(
    "changes", [{"weight_decay": 1.0}, {"acc_shift": 0.5}, {"gradient_clip": 1e-3}], ids=lambda c: next(iter(c))
)
def test_options_change_the_fit(changes):
    plain, changed = make(), make()
    fit(plain, TRAIN, VALIDATION, QUICK, seed=0)
    fit(changed, TRAIN, VALIDATION, QUICK.model_copy(update=changes), seed=0)
    assert not weights(plain).equal(weights(changed))


def test_threads_are_left_as_they_were():
    before = torch.get_num_threads()
    fit(make(), TRAIN, VALIDATION, QUICK, seed=0)
    assert torch.get_num_threads() == before
