"""Distributions over paths against the definition: all R^T paths, one by one."""

from itertools import pairwise, product

import pytest
import torch
from torch.nn import functional as F

from tinyloc.models.chain import Chain
from tinyloc.models.crf import CRF

CASES = [(1, 1, 2), (3, 1, 4), (2, 2, 3), (3, 4, 3), (2, 6, 2)]  # B, T, R
by_case = pytest.mark.parametrize("case", CASES)


def make(case, seed=0) -> Chain:
    n_windows, n_steps, n_rooms = case
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n_windows, n_steps, n_rooms), (n_rooms,), (n_rooms, n_rooms), (n_rooms,))
    return Chain(*(2 * torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes))


def probabilities(chain) -> dict[tuple, torch.Tensor]:
    """{path: p [B]} by the definition."""
    paths = list(product(range(chain.scores.shape[2]), repeat=chain.scores.shape[1]))
    energies = [
        chain.start[path[0]]
        + sum(chain.scores[:, t, room] for t, room in enumerate(path))
        + sum((chain.transition[a, b] for a, b in pairwise(path)), start=torch.tensor(0.0))
        + chain.end[path[-1]]
        for path in paths
    ]
    return dict(zip(paths, torch.stack(energies).softmax(0), strict=True))


@by_case
def test_marginals_are_sums_over_paths(case):
    chain = make(case)
    expected = torch.zeros_like(chain.scores)
    for path, p in probabilities(chain).items():
        for t, room in enumerate(path):
            expected[:, t, room] += p
    torch.testing.assert_close(chain.log_marginals().exp(), expected)


@by_case
def test_moves_are_counted_along_paths(case):
    chain = make(case)
    expected = torch.zeros(case[0], case[2], case[2], dtype=torch.float64)
    for path, p in probabilities(chain).items():
        for before, after in pairwise(path):
            expected[:, before, after] += p
    torch.testing.assert_close(chain.moves(), expected)


@by_case
def test_expected_energy_gives_the_divergence_of_two_distributions_over_paths(case):
    ours, theirs = make(case), make(case, seed=1)
    p, q = (torch.stack(list(probabilities(chain).values())) for chain in (ours, theirs))
    marginals, moves = ours.log_marginals().exp(), ours.moves()
    minus_entropy, cross = (c.expected_energy(marginals, moves) - c.log_partition() for c in (ours, theirs))
    torch.testing.assert_close(minus_entropy - cross, (p * (p.log() - q.log())).sum(0))


@by_case
def test_conditionals_along_a_path_are_those_of_the_definition(case):
    chain = make(case)
    every = probabilities(chain)

    def begins(path):
        return sum(p for other, p in every.items() if other[: len(path)] == path)

    for path in list(every)[:: max(1, len(every) // 7)]:
        room = torch.tensor(path).expand(case[0], -1)
        expected = [begins(path[: t + 1]) / (begins(path[:t]) if t else 1.0) for t in range(len(path))]
        torch.testing.assert_close(chain.log_conditionals(room).exp(), torch.stack(expected, 1))


def test_a_temperature_is_a_power_of_every_paths_probability():
    chain = make((2, 3, 3))
    plain, soft = (torch.stack(list(probabilities(c).values())) for c in (chain, chain.tempered(3.0)))
    torch.testing.assert_close(soft, plain ** (1 / 3) / (plain ** (1 / 3)).sum(0))


def crf_and_batch():
    crf, scores = CRF(3).double(), make((4, 5, 3)).scores
    return crf, scores, torch.randint(3, (4, 5), generator=torch.Generator().manual_seed(1))


def test_equal_room_weights_are_the_likelihood_itself():
    crf, scores, room = crf_and_batch()
    weighted = crf.nll(scores, room, torch.full((3,), 7.0, dtype=torch.float64))
    assert weighted.item() == pytest.approx(crf.nll(scores, room).item())


def test_without_transitions_room_weights_are_those_of_the_cross_entropy():
    crf, scores, room = crf_and_batch()
    for energies in crf.parameters():
        energies.data.zero_()
    weight = torch.tensor([0.2, 1.0, 4.0], dtype=torch.float64)
    expected = F.cross_entropy(scores.flatten(0, 1), room.flatten(), weight)
    assert crf.nll(scores, room, weight).item() == pytest.approx(expected.item())


def test_weights_lift_the_rare_room_of_a_crf_to_the_weighted_frequencies():
    """One path a third of the time, another two thirds: weighted by (2, 1) both are equally likely at the optimum."""
    crf = CRF(2).double()
    scores, room = torch.zeros(3, 2, 2, dtype=torch.float64), torch.tensor([[0, 0], [1, 1], [1, 1]])
    optimiser = torch.optim.LBFGS(crf.parameters(), max_iter=100)

    def closure():
        optimiser.zero_grad()
        loss = crf.nll(scores, room, torch.tensor([2.0, 1.0], dtype=torch.float64))
        loss.backward()
        return loss

    optimiser.step(closure)
    torch.testing.assert_close(crf.marginals(scores)[0, 0], torch.full((2,), 0.5).double(), atol=1e-3, rtol=0)


@by_case
def test_the_last_marginal_is_that_of_all_paths_that_end_in_a_room(case):
    chain = make(case)
    expected = torch.zeros_like(chain.scores[:, -1])
    for path, p in probabilities(chain).items():
        expected[:, path[-1]] += p
    torch.testing.assert_close(chain.log_last_marginal().exp(), expected)
