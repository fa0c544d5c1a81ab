"""The fast networks compute what the papers' equations say: values, losses, and the gradient of every weight."""

import pytest
import torch

from tinyloc.models import reference
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA

N_AP, N_ACC, N_ROOMS = 4, 6, 5


def perturbed(network):
    """Every parameter away from its initial value, or a gain of 1 and an offset of 0 would hide an error."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def batch(n_windows=6, n_steps=20):
    rssi, acc = torch.rand(n_windows, n_steps, N_AP), torch.rand(n_windows, n_steps, N_ACC)
    return rssi, acc, torch.randint(N_ROOMS, (n_windows, n_steps))


def gradients(network, loss):
    network.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


def require_equal(network, fast, literal):
    """Scores and losses as they are, gradients in units of the largest entry."""
    torch.testing.assert_close(fast[1], literal[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast[0], literal[0], atol=1e-5, rtol=1e-5)
    found, expected = gradients(network, fast[0]), gradients(network, literal[0])
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-5 * max(gradient.abs().max(), 1), name


@pytest.mark.parametrize("changes", [{}, {"d": 7, "kernels": (2, 5)}, {"dropout": 0.15}], ids=str)
def test_mdcsa_is_what_the_paper_says(changes):
    torch.manual_seed(0)
    network = perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, **{"d": 16, "dropout": 0.0, **changes}))
    rssi, acc, room = batch()
    torch.manual_seed(1)
    fast = network.objective(rssi, acc, room)
    torch.manual_seed(1)  # dropout, where there is any, is drawn in the same order
    scores = reference.mdcsa(network, rssi, acc)
    require_equal(network, fast, (reference.crf_nll(network.crf, scores, room), scores))


@pytest.mark.parametrize("changes", [{}, {"layers": 2, "d": 20, "n_state": 3}, {"d_conv": 1, "expand": 3}], ids=str)
def test_mamba_is_what_the_paper_says(changes):
    torch.manual_seed(0)
    network = perturbed(Mamba(N_AP, N_ACC, N_ROOMS, **changes))
    rssi, acc, room = batch()
    scores = reference.mamba(network, rssi, acc)
    require_equal(network, network.objective(rssi, acc, room), (network.loss(scores, room), scores))
