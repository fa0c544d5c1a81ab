"""Training: Lookahead's steps, early stopping, a kill and what follows."""

import pytest
import torch
from toy_rooms import windows

from tinyloc.config import MdcsaModel, Training
from tinyloc.models import registry
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
    assert best(history, "accuracy").validation_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss
    assert not model.training


def test_the_best_epoch_is_kept_and_patience_ends_the_fit():
    def epoch(number, accuracy, loss):
        return Epoch(number, 1.0, loss, accuracy)

    history = [epoch(1, 0.5, 1.0), epoch(2, 0.7, 0.9), epoch(3, 0.7, 0.8), epoch(4, 0.6, 0.1)]
    assert best(history, "accuracy") is history[2]
    assert best(history, "loss") is history[3]
    # with a rate this small accuracy stays what it was at first, so patience runs out
    _, history = trained(Training(epochs=50, batch=48, learning_rate=1e-12, patience=3))
    assert len(history) - best(history, "accuracy").epoch == 3


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
