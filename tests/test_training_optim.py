"""Lookahead: its edge cases, and that a restored one goes on as if it had never stopped."""

from copy import deepcopy

import torch

from tinyloc.training.optim import Lookahead


def make(k=3, alpha=0.5, optimiser=torch.optim.SGD, **options):
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    return weight, Lookahead(optimiser([weight], lr=0.1, **options), k, alpha)


def descend(weight, optimiser, n_steps):
    for _ in range(n_steps):
        optimiser.zero_grad()
        (weight**2).sum().backward()
        optimiser.step()


def test_alpha_of_one_is_the_inner_optimiser():
    weight, optimiser = make(k=2, alpha=1.0)
    descend(weight, optimiser, 7)
    torch.testing.assert_close(weight.data, torch.tensor([1.0, -2.0]) * 0.8**7)


def test_restored_between_two_synchronisations_it_goes_on_as_if_never_stopped():
    weight, optimiser = make(optimiser=torch.optim.RAdam)
    descend(weight, optimiser, 4)  # one step past a synchronisation: fast and slow weights differ
    state = deepcopy(optimiser.state_dict())
    assert not state["slow"][0].equal(weight)
    other, restored = make(optimiser=torch.optim.RAdam)
    with torch.no_grad():
        other.copy_(weight)
    restored.load_state_dict(state)
    descend(weight, optimiser, 7)
    descend(other, restored, 7)
    assert other.equal(weight)
