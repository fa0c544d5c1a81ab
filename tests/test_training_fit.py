"""A fit: what it keeps, what it is scored by, and what its options do."""

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from toy_rooms import windows

from tinyloc.config import Distillation, MambaModel, Training
from tinyloc.errors import InputError
from tinyloc.models.registry import build
from tinyloc.training import accelerator
from tinyloc.training.distil import Teaching, all_answers, all_scores
from tinyloc.training.fit import Batches, balanced, best, fit, learning_rate
from tinyloc.training.optim import Lookahead

QUICK = Training(epochs=3, batch=16, learning_rate=0.02)
ENOUGH = Training(epochs=15, batch=16, learning_rate=0.05)
TRAIN, VALIDATION = windows(60, seed=0), windows(40, seed=1)


def make():
    """A model with no CRF: every step is answered for itself."""
    return build(MambaModel(family="mamba", d=8, n_state=4, dropout=0.1), 2, 6, 2, seed=0)


def still():
    """The same with nothing left to chance."""
    return build(MambaModel(family="mamba", d=8, n_state=4, dropout=0.0), 2, 6, 2, seed=0)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_finished_fit_has_nothing_left_to_do(tmp_path):
    begin = partial(fit, train=TRAIN, validation=VALIDATION, training=QUICK, seed=3, resume=tmp_path / "training.pt")
    first, again, seen = make(), make(), []
    begin(first)
    begin(again, progress=seen.append)
    assert not seen and weights(again).equal(weights(first))


def test_a_loss_that_is_no_number_ends_the_fit_in_one_line(tmp_path):
    """A network whose weights are no numbers answers all the same, always the first room."""
    wild = QUICK.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InputError, match=r"^training: in epoch \d the loss became .*a lower learning_rate than 1e\+30"):
        fit(make(), TRAIN, VALIDATION, wild, seed=0, resume=tmp_path / "training.pt")


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "training.pt"
    begin = partial(fit, train=TRAIN, validation=VALIDATION, training=QUICK, seed=3, resume=path)
    begin(make())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"training\.pt: a damaged checkpoint; remove it"):
        begin(make())


def test_stops_when_patience_is_over_and_keeps_the_best_weights():
    """Validation rooms are the wrong way round: the better it learns, the worse it does."""
    upside_down = replace(VALIDATION, room=1 - VALIDATION.room)
    training = ENOUGH.model_copy(update={"epochs": 40, "patience": 3})
    model = make()
    history = fit(model, TRAIN, upside_down, training, seed=0)
    chosen = best(history, training.choose)
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


def test_a_teacher_outweighs_wrong_labels():
    teacher = make()
    fit(teacher, TRAIN, VALIDATION, ENOUGH, seed=0)
    batches = Batches.of(TRAIN)
    student = make()
    answers = [all_answers(teacher, batches.rssi, batches.acc)]
    teaching = Teaching(answers, student, Distillation(teacher="teacher", alpha=1.0))
    wrong = replace(TRAIN, room=1 - TRAIN.room)
    history = fit(student, wrong, VALIDATION, ENOUGH, seed=1, teaching=teaching)
    assert history[-1].validation_accuracy > 0.8


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_decay": 1.0},
        {"acc_shift": 0.5},
        {"posture_shift": 0.5},
        {"rssi_shift": 0.2},
        {"rssi_noise": 0.2},
        {"slowest": 4.0},
        {"reversed": 0.5},
        {"gradient_clip": 1e-3},
        {"schedule": "cosine"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_options_change_the_fit(changes):
    plain, changed = make(), make()
    fit(plain, TRAIN, VALIDATION, QUICK, seed=0)
    fit(changed, TRAIN, VALIDATION, QUICK.model_copy(update=changes), seed=0)
    assert not weights(plain).equal(weights(changed))


@pytest.mark.parametrize("changes", [{"weight_decay": 2.0}, {"gradient_clip": 0.05}], ids=lambda c: next(iter(c)))
def test_decay_is_apart_from_the_gradient_and_clipping_shortens_the_whole_of_it(changes):
    """Step by step: weights shrink by rate times decay, and RAdam never hears of it (I. Loshchilov and F. Hutter,
    "Decoupled weight decay regularization", 2019); a gradient that is too long is shortened in its own direction."""
    training = Training(epochs=10, batch=len(TRAIN), learning_rate=0.02, lookahead_k=99, choose="last", **changes)
    found, expected = still(), still()
    fit(found, TRAIN, VALIDATION, training, seed=0)
    seen, learnt = Batches.of(TRAIN), list(expected.parameters())
    radam = torch.optim.RAdam(learnt, lr=training.learning_rate)
    clipped = 0
    for _ in range(training.epochs):
        radam.zero_grad()
        expected.loss(expected(seen.rssi, seen.acc), seen.room).backward()
        length = torch.cat([p.grad.flatten() for p in learnt]).norm().item()
        clipped += length > (training.gradient_clip or np.inf)
        with torch.no_grad():
            for p in learnt:
                p.grad *= min(1, (training.gradient_clip or np.inf) / length)
                p *= 1 - training.learning_rate * training.weight_decay
        radam.step()
    assert clipped == (training.epochs if training.gradient_clip else 0)
    torch.testing.assert_close(weights(found), weights(expected), atol=1e-3, rtol=0)


def test_all_that_is_trained_is_clipped_together(monkeypatch):
    """Hints are met by a layer of the teaching's own, whose gradient is the longest here."""
    teacher, student, lengths = make(), make(), []

    def step(self, original=Lookahead.step):
        lengths.append(torch.cat([p.grad.flatten() for p in self._fast]).norm().item())
        original(self)

    monkeypatch.setattr(Lookahead, "step", step)
    answers = [all_answers(teacher, *(getattr(Batches.of(TRAIN), name) for name in ("rssi", "acc")))]
    teaching = Teaching(answers, student, Distillation(teacher="t", targets={"features": 100.0}, alpha=1.0))
    fit(student, TRAIN, VALIDATION, QUICK.model_copy(update={"gradient_clip": 1e-3}), seed=0, teaching=teaching)
    assert lengths and lengths == pytest.approx([1e-3] * len(lengths), rel=1e-3)


def test_every_epoch_of_the_cosine_is_trained_at_its_own_rate(monkeypatch):
    rates = []

    def step(self, original=Lookahead.step):
        rates.append(self.optimiser.param_groups[0]["lr"])
        original(self)

    monkeypatch.setattr(Lookahead, "step", step)
    fit(
        make(), TRAIN, VALIDATION, Training(epochs=2, batch=len(TRAIN), learning_rate=0.8e-3, schedule="cosine"), seed=0
    )
    assert rates == pytest.approx([0.8e-3, 0.4e-3])


def test_the_loss_at_the_last_step_knows_the_weights_of_rooms():
    """Windows of two rooms, the rarer one short of its share: the first loss of all, by hand."""
    many = windows(40, seed=5)
    few = np.concatenate([np.flatnonzero(many.room[:, 0] == room)[:n] for room, n in enumerate((20, 4))])
    train = replace(many, **{f.name: getattr(many, f.name)[few] for f in fields(many)})
    model, seen = still(), Batches.of(train)
    each = torch.tensor([24 / (2 * 20), 24 / (2 * 4)])
    with torch.no_grad():
        told = -model(seen.rssi, seen.acc).log_softmax(-1).gather(-1, seen.room[..., None])[..., 0]
    weight = each[seen.room]
    expected = (weight * told).sum() / weight.sum() + 3 * (weight * told)[:, -1].sum() / weight[:, -1].sum()
    training = Training(epochs=1, batch=len(train), learning_rate=1e-9, last_step=3.0, class_weights="balanced")
    (epoch,) = fit(model, train, VALIDATION, training, seed=0)
    assert epoch.train_loss == pytest.approx(expected.item(), rel=1e-5)


def test_threads_are_left_as_they_were():
    before = torch.get_num_threads()
    fit(make(), TRAIN, VALIDATION, QUICK, seed=0)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("choose", ["accuracy", "loss"])
def test_the_kept_epoch_is_the_chosen_one(choose):
    """Validation rooms with much noise: the loss turns before the accuracy does."""
    noisy = windows(40, seed=2, noise=1.0)
    training = ENOUGH.model_copy(update={"epochs": 40, "patience": 40, "choose": choose})
    model = make()
    history = fit(model, TRAIN, noisy, training, seed=0)
    by = {way: best(history, way).epoch for way in ("accuracy", "loss")}
    assert by["accuracy"] != by["loss"]
    batches = Batches.of(noisy)
    loss = model.loss(all_scores(model, batches.rssi, batches.acc), batches.room).item()
    assert loss == pytest.approx(history[by[choose] - 1].validation_loss, rel=1e-6)


def test_the_cosine_falls_from_the_rate_to_nearly_nothing_over_all_epochs():
    training = Training(epochs=4, learning_rate=0.8, schedule="cosine")
    half = 0.4 * 2**0.5
    assert [learning_rate(training, e, training.epochs) for e in (1, 2, 3, 4)] == pytest.approx(
        [0.8, 0.4 + half / 2, 0.4, 0.4 - half / 2]
    )
    assert learning_rate(Training(learning_rate=0.8), 7, 300) == 0.8


def test_few_windows_are_gone_through_more_often_where_so_many_updates_are_asked_for():
    training = Training(epochs=2, batch=16, least_updates=10, choose="last", schedule="cosine", patience=99)
    assert [training.epochs_over(n) for n in (16, 17, 48, 80, 800)] == [10, 5, 4, 2, 2]
    few = windows(33, seed=3)
    history = fit(make(), few, VALIDATION, training, seed=0)
    assert len(history) == 4, "of three batches each"
    # the same as so many epochs, the learning rate's course among them
    four = fit(make(), few, VALIDATION, training.model_copy(update={"epochs": 4, "least_updates": 0}), seed=0)
    assert history == four


def test_balanced_weights_give_every_visited_room_the_same_share():
    room = torch.tensor([[0, 0, 0], [0, 2, 0], [0, 2, 0]])
    assert balanced(room, 4).tolist() == pytest.approx([9 / (2 * 7), 0, 9 / (2 * 2), 0])
    assert balanced(room, 4)[room].mean().item() == pytest.approx(1)


def test_balanced_weights_find_a_rare_room():
    """One window in twenty lies in the second room, and neither gateway is sure."""
    many = windows(400, seed=3, noise=0.6)
    rare = np.flatnonzero(many.room[:, 0] == 1)
    few = np.sort(np.concatenate([np.flatnonzero(many.room[:, 0] == 0), rare[:10]]))
    train = replace(many, **{f.name: getattr(many, f.name)[few] for f in fields(many)})
    found = {}
    for weights_ in ("none", "balanced"):
        model = make()
        training = ENOUGH.model_copy(update={"choose": "loss", "class_weights": weights_, "epochs": 8})
        fit(model, train, train, training, seed=0)
        batches = Batches.of(windows(200, seed=4, noise=0.6))
        answered = model.decode(all_scores(model, batches.rssi, batches.acc))
        found[weights_] = (answered[batches.room == 1] == 1).double().mean().item()
    assert found["balanced"] > found["none"] + 0.2


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # the CPU has no fused RMSNorm of two types
def test_mixed_precision_learns_the_same_within_noise(monkeypatch):
    """What a GPU does, as far as a CPU can: the network's products in bfloat16, the loss in float32."""
    curves = {}
    for name, on in (("full", False), ("mixed", True)):
        precision = partial(torch.autocast, "cpu", torch.bfloat16, enabled=on)
        monkeypatch.setattr(accelerator, "mixed_precision", lambda device, p=precision: p())
        curves[name] = fit(make(), TRAIN, VALIDATION, ENOUGH, seed=0)
    full, mixed = ([e.validation_loss for e in curves[name]] for name in ("full", "mixed"))
    assert full != mixed and mixed == pytest.approx(full, abs=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_learns_the_same_within_noise_and_goes_on_after_a_kill(tmp_path):
    curves = {}
    for device in ("cpu", "auto"):
        curves[device] = fit(make(), TRAIN, VALIDATION, ENOUGH.model_copy(update={"device": device}), seed=0)
    assert curves["auto"][-1].validation_loss == pytest.approx(curves["cpu"][-1].validation_loss, abs=0.1)

    def kill(epoch):
        if epoch.epoch == 5:
            raise KeyboardInterrupt

    begin = partial(fit, train=TRAIN, validation=VALIDATION, training=ENOUGH, seed=0, resume=tmp_path / "training.pt")
    with pytest.raises(KeyboardInterrupt):
        begin(make(), progress=kill)
    resumed = begin(make())
    assert [e.validation_loss for e in resumed] == pytest.approx([e.validation_loss for e in curves["auto"]], abs=1e-3)


def test_without_cuda_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert accelerator.chosen("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (accelerator.chosen("auto").type, accelerator.chosen("cpu").type) == ("cuda", "cpu")


def test_generators_go_on_where_their_states_were_taken():
    cpu = torch.device("cpu")
    states = accelerator.generator_states(cpu)
    first = torch.randn(3)
    accelerator.restore_generators(states, cpu)
    assert torch.randn(3).equal(first)


def test_the_last_epoch_is_kept_where_that_is_asked_for():
    """Validation rooms are the wrong way round: nothing else would keep it, nor go on so long."""
    upside_down = replace(VALIDATION, room=1 - VALIDATION.room)
    training = ENOUGH.model_copy(update={"patience": 1, "choose": "last"})
    history = fit(make(), TRAIN, upside_down, training, seed=0)
    assert len(history) == ENOUGH.epochs and best(history, "last") is history[-1]


def test_the_last_step_is_learnt_where_it_alone_is_labelled_rightly():
    """All steps but the last say the opposite; a model that sees one step at a time has to choose whom to believe."""
    room = 1 - TRAIN.room
    room[:, -1] = TRAIN.room[:, -1]
    found = {}
    for weight in (0.0, 20.0):
        history = fit(
            make(), replace(TRAIN, room=room), VALIDATION, ENOUGH.model_copy(update={"last_step": weight}), seed=0
        )
        found[weight] = history[-1].validation_accuracy
    assert found[0.0] < 0.5 and found[20.0] > 0.7
