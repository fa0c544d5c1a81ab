"""The CRF against the definition: all R^T paths, one by one."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyloc.models.crf import CRF, OnlineViterbi, viterbi_numpy

CASES = [(1, 1, 2), (3, 1, 4), (2, 2, 3), (4, 5, 3), (2, 6, 2)]  # B, T, R


def make(n_windows, n_steps, n_rooms, seed=0):
    generator = torch.Generator().manual_seed(seed)
    crf = CRF(n_rooms).double()
    for parameter in crf.parameters():
        parameter.data.normal_(0, 2, generator=generator)
    scores = torch.randn(n_windows, n_steps, n_rooms, dtype=torch.float64, generator=generator) * 3
    return crf, scores


def energies(crf, scores):
    """{path: energy [B]} of every path, by the definition in the module's docstring."""
    n_steps, n_rooms = scores.shape[1:]

    def energy(path):
        moves = sum((crf.transition[a, b] for a, b in pairwise(path)), start=torch.tensor(0.0))
        emitted = sum(scores[:, t, room] for t, room in enumerate(path))
        return crf.start[path[0]] + emitted + moves + crf.end[path[-1]]

    return {path: energy(path) for path in product(range(n_rooms), repeat=n_steps)}


@pytest.mark.parametrize("case", CASES)
def test_likelihood_is_that_of_all_paths(case):
    crf, scores = make(*case)
    by_path = energies(crf, scores)
    log_partition = torch.logsumexp(torch.stack(list(by_path.values())), 0)
    for path, energy in list(by_path.items())[:20]:
        room = torch.tensor(path).expand(case[0], -1)
        expected = (log_partition - energy).mean() / case[1]
        assert crf.nll(scores, room).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(5))
def test_viterbi_finds_the_best_of_all_paths(case, seed):
    crf, scores = make(*case, seed=seed)
    by_path = energies(crf, scores)
    paths, values = list(by_path), torch.stack(list(by_path.values()))
    expected = [list(paths[i]) for i in values.argmax(0).tolist()]
    assert crf.viterbi(scores).tolist() == expected


@pytest.mark.parametrize("case", CASES)
def test_viterbi_without_torch_is_the_same(case):
    crf, scores = make(*case, seed=9)
    start, transition, end = (p.detach().numpy() for p in (crf.start, crf.transition, crf.end))
    assert (viterbi_numpy(scores.numpy(), start, transition, end) == crf.viterbi(scores).numpy()).all()


def test_path_obeys_the_transitions_rather_than_a_single_score():
    crf = CRF(2)
    with torch.no_grad():
        crf.start.zero_()
        crf.end.zero_()
        crf.transition.copy_(torch.tensor([[0.0, -10.0], [-10.0, 0.0]]))
    scores = torch.tensor([[[1.0, 0.0], [0.0, 1.5], [1.0, 0.0]]])
    assert crf.viterbi(scores).tolist() == [[0, 0, 0]]


def test_long_windows_with_large_scores_stay_finite():
    crf = CRF(4)
    scores = (torch.arange(4.0) * 500).expand(2, 300, 4).clone().requires_grad_()
    loss = crf.nll(scores, torch.zeros(2, 300, dtype=torch.int64))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(scores.grad).all()


def test_gradient_of_the_scores_is_marginal_minus_truth():
    """The exponential family's identity; the marginals by enumeration."""
    crf, scores = make(1, 4, 3)
    scores.requires_grad_()
    room = torch.tensor([[0, 2, 2, 1]])
    crf.nll(scores, room).backward()
    by_path = energies(crf, scores.detach())
    weight = torch.softmax(torch.cat(list(by_path.values())).detach(), 0)
    marginal = np.zeros((4, 3))
    for path, p in zip(by_path, weight.tolist(), strict=True):
        marginal[np.arange(4), path] += p
    marginal[np.arange(4), room[0]] -= 1
    np.testing.assert_allclose(scores.grad[0].numpy(), marginal / 4, atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_marginals_are_those_of_all_paths(case):
    crf, scores = make(*case, seed=3)
    by_path = energies(crf, scores)
    weight = torch.softmax(torch.stack(list(by_path.values())), 0)  # [paths, B]
    expected = torch.zeros(case, dtype=torch.float64)
    for path, p in zip(by_path, weight, strict=True):
        expected[:, torch.arange(case[1]), list(path)] += p[:, None]
    torch.testing.assert_close(crf.marginals(scores), expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(crf.log_marginals(scores).exp(), expected, atol=1e-10, rtol=1e-10)


def test_marginals_are_the_gradient_of_the_log_partition_and_have_a_gradient_themselves():
    crf, scores = make(3, 30, 6)
    scores = (20 * scores).requires_grad_()
    (expected,) = torch.autograd.grad(crf.chain(scores).log_partition().sum(), scores)
    torch.testing.assert_close(crf.marginals(scores), expected, atol=1e-10, rtol=1e-10)
    small = scores[:1, :4].detach().div(20).requires_grad_()
    assert torch.autograd.gradcheck(crf.log_marginals, small)


def online(energies, scores, lag):
    """All the rooms that an online decoder gives out for scores [T, R]."""
    decoder = OnlineViterbi(*energies, lag)
    pushed = [decoder.push(now) for now in scores]
    assert [room is None for room in pushed] == [t < lag for t in range(len(scores))]
    return [*(room for room in pushed if room is not None), *decoder.finish()]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), n_steps=st.integers(1, 25), n_rooms=st.integers(1, 5), lag=st.integers(0, 30))
def test_online_viterbi_is_at_every_time_the_best_path_so_far(seed, n_steps, n_rooms, lag):
    rng = np.random.default_rng(seed)
    start, transition, end = (2 * rng.standard_normal(shape) for shape in (n_rooms, (n_rooms, n_rooms), n_rooms))
    scores = 2 * rng.standard_normal((n_steps, n_rooms))

    def path(n_seen, end):
        return viterbi_numpy(scores[None, :n_seen], start, transition, end)[0].tolist()

    found = online((start, transition, end), scores, lag)
    whole = path(n_steps, end)
    given_out = max(n_steps - lag, 0)
    assert found[given_out:] == whole[given_out:]
    assert found[:given_out] == [path(t + lag + 1, 0 * end)[t] for t in range(given_out)]
    if lag >= n_steps:
        assert found == whole


def test_online_viterbi_runs_on_for_ever_and_begins_again():
    rng = np.random.default_rng(0)
    energies = rng.standard_normal(3), rng.standard_normal((3, 3)), rng.standard_normal(3)
    decoder = OnlineViterbi(*energies, lag=4)
    held = decoder._came_from.nbytes
    loud = np.array([1e30, 0, -1e30])  # sums of these would leave the range of a double within the loop
    assert {decoder.push(loud) for _ in range(500)} == {None, 0}
    assert np.isfinite(decoder._best).all() and decoder._came_from.nbytes == held
    decoder.reset()
    scores = rng.standard_normal((9, 3))
    again = [decoder.push(now) for now in scores]
    assert [r for r in again if r is not None] + decoder.finish() == online(energies, scores, 4)
