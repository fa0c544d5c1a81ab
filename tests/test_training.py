"""Training: Lookahead's steps, early stopping, a kill and what follows, distillation, files of a fold."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toy_rooms import windows

from tinyloc.config import Distillation, MdcsaModel, Training
from tinyloc.models import registry
from tinyloc.training.distil import SoftTargets, soft_loss
from tinyloc.training.fit import Epoch, best, fit
from tinyloc.training.optim import Lookahead

SMALL = MdcsaModel(family="mdcsa", d=4, kernels=[1, 2], dropout=0.1)
QUICK = Training(epochs=6, batch=16, learning_rate=0.01, patience=6, acc_shift=0.1)


class Killed(Exception):
    pass


def network(seed=0, model=SMALL):
    return registry.build(model, 2, 6, 2, seed)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.state_dict().values()])


def trained(training=QUICK, seed=0, **options):
    model = network(seed)
    history = fit(model, windows(48), windows(24, seed=1), training, seed, **options)
    return model, history


def test_lookahead_moves_slow_weights_every_k_steps():
    """By hand: fast weights fall by 0.1 a step; after 3 steps slow = 1 + 0.5 (0.7 - 1) and fast goes there."""
    w = torch.nn.Parameter(torch.tensor([1.0]))
    optimiser = Lookahead(torch.optim.SGD([w], lr=0.1), k=3, alpha=0.5)
    seen = []
    for _ in range(4):
        w.grad = torch.ones(1)
        optimiser.step()
        seen.append(w.item())
    assert seen == pytest.approx([0.9, 0.8, 0.85, 0.75])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = trained()[0], trained()[0], trained(seed=1)[0]
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_training_learns_the_toy_world():
    model, history = trained(Training(epochs=30, batch=16, learning_rate=0.01, patience=30))
    assert best(history).validation_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss
    assert not model.training


def test_the_best_epoch_is_kept_and_patience_ends_the_fit():
    def epoch(number, accuracy, loss):
        return Epoch(number, 1.0, loss, accuracy)

    history = [epoch(1, 0.5, 1.0), epoch(2, 0.7, 0.9), epoch(3, 0.7, 0.8), epoch(4, 0.6, 0.1)]
    assert best(history) is history[2]
    # with a rate this small accuracy stays what it was at first, so patience runs out
    _, history = trained(Training(epochs=50, batch=48, learning_rate=1e-12, patience=3))
    assert len(history) - best(history).epoch == 3


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_fit_continues_to_the_same_weights(tmp_path, killed_after):
    whole, whole_history = trained()
    resume = tmp_path / "training.pt"

    def kill(epoch):
        if epoch.epoch == killed_after:
            raise Killed

    with pytest.raises(Killed):
        trained(resume=resume, making={"key": "a"}, progress=kill)
    assert resume.is_file()
    continued, history = trained(resume=resume, making={"key": "a"})
    assert torch.equal(weights(whole), weights(continued))
    assert history == whole_history


def test_a_checkpoint_of_another_making_is_not_continued(tmp_path):
    resume = tmp_path / "training.pt"
    trained(Training(epochs=2, batch=16, learning_rate=0.5), resume=resume, making={"key": "other"})
    continued, history = trained(resume=resume, making={"key": "mine"})
    whole, _ = trained()
    assert torch.equal(weights(whole), weights(continued)) and len(history) <= QUICK.epochs


def test_soft_loss_in_closed_form():
    """Two rooms, scores (ln 3, 0) against (0, 0): KL of (3/4, 1/4) from (1/2, 1/2)."""
    teacher, student = torch.tensor([[[np.log(3.0), 0.0]]]), torch.zeros(1, 1, 2, dtype=torch.float64)
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert soft_loss(student, teacher, 1.0).item() == pytest.approx(expected)
    assert soft_loss(student, 2 * teacher, 2.0).item() == pytest.approx(4 * expected)
    assert soft_loss(teacher, teacher, 3.0).item() == pytest.approx(0.0, abs=1e-12)


def test_alpha_weighs_hard_and_soft():
    scores = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([2, 0])
    student = scores[rows] + 1.0 * torch.tensor([1.0, -1.0])
    soft = soft_loss(student, scores[rows], 2.0)
    mixed = SoftTargets(scores, temperature=2.0, alpha=0.25).mix(torch.tensor(8.0), student, rows)
    assert mixed.item() == pytest.approx(0.75 * 8.0 + 0.25 * soft.item())


def test_a_student_with_alpha_one_imitates_its_teacher():
    teacher, _ = trained(Training(epochs=20, batch=16, learning_rate=0.01, patience=20))
    seen, unseen = windows(48), windows(24, seed=1)
    rssi, acc = torch.from_numpy(seen.rssi), torch.from_numpy(seen.acc)
    targets = SoftTargets.of(teacher, rssi, acc, Distillation(teacher="t", temperature=2.0, alpha=1.0))
    student = network(5)

    def distance():
        with torch.no_grad():
            return F.mse_loss(student.eval()(rssi, acc).softmax(-1), teacher(rssi, acc).softmax(-1)).item()

    before = distance()
    fit(student, seen, unseen, Training(epochs=20, batch=16, learning_rate=0.01), 5, soft_targets=targets)
    assert distance() < 0.3 * before
