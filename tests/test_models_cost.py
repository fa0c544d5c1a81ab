"""What networks cost, against cases counted by hand."""

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tinyloc.config import CnnModel, GruModel, LstmModel, MambaModel, MdcsaModel, MlpModel, Model
from tinyloc.models import cost
from tinyloc.models.registry import NETWORKS, build

N_AP, N_ACC, N_ROOMS, T = 3, 2, 4, 5
N = N_AP + N_ACC


def measured(config, n_acc=N_ACC, n_steps=T):
    return cost.of(config, N_AP, n_acc, N_ROOMS, n_steps)


def make(family, n_acc=N_ACC):
    """A network of the family's default size."""
    config = TypeAdapter(Model).validate_python({"family": family})
    return build(config, N_AP, n_acc, N_ROOMS, seed=0).eval()


def test_mlp_by_hand():
    found = measured(MlpModel(family="mlp", hidden=6, context=3, layers=2))
    assert found.parameters == (3 * N + 1) * 6 + (6 + 1) * 6 + (6 + 1) * N_ROOMS
    assert found.macs_per_step == 3 * N * 6 + 6 * 6 + 6 * N_ROOMS
    assert found.macs_per_window == T * found.macs_per_step
    assert found.state_bytes == 4 * 2 * N


def test_cnn_by_hand():
    found = measured(CnnModel(family="cnn", channels=6, kernel=2, layers=3))
    assert found.parameters == (2 * N + 1) * 6 + 2 * (2 * 6 + 1) * 6 + (6 + 1) * N_ROOMS
    assert found.macs_per_step == 2 * N * 6 + 2 * 2 * 6 * 6 + 6 * N_ROOMS
    assert found.state_bytes == 4 * (1 * N + 2 * 6 + 4 * 6)  # dilations 1, 2, 4


@pytest.mark.parametrize(("config", "gates"), [(GruModel(family="gru", hidden=6), 3), (LstmModel(family="lstm"), 4)])
def test_recurrent_by_hand(config, gates):
    found, hidden = measured(config), config.hidden
    assert found.parameters == gates * hidden * (N + hidden + 2) + (hidden + 1) * N_ROOMS
    assert found.macs_per_step == gates * hidden * (N + hidden) + hidden * N_ROOMS
    assert found.state_bytes == 4 * hidden * (1 if gates == 3 else 2)


def test_mamba_by_hand():
    """d = 4, E = 8, N = 3, K = 2, rank 1, two layers."""
    found = measured(MambaModel(family="mamba", d=4, n_state=3, d_conv=2, layers=2))
    E, states, taps, rank = 8, 3, 2, 1
    dense = 4 * 2 * E + E * (rank + 2 * states) + rank * E + E * 4
    recurrence = E * states * 4 + E * 2
    assert found.macs_per_step == N * 4 + 2 * (dense + E * taps + recurrence) + 4 * N_ROOMS
    assert found.macs_per_window == T * found.macs_per_step
    assert found.state_bytes == 4 * 2 * E * (states + taps - 1)


def test_mdcsa_by_hand():
    """d = 2, kernels 1 and 3."""
    d, kernels = 2, (1, 3)
    found = measured(MdcsaModel(family="mdcsa", d=d, kernels=list(kernels)))
    attention = 2 * T * T * d
    fuse = T * (2 * d * 4 * d + 4 * d * 4 * d + 4 * d * 2 * d)
    blocks = sum(2 * (T * k * d * 2 * d + attention) + fuse for k in kernels)
    joined = 2 * (2 * T) ** 2 * d + T * 2 * d * d
    assert found.macs_per_window == T * N * d + blocks + joined + T * d * N_ROOMS
    assert found.macs_per_step == found.macs_per_window  # it sees its window anew
    assert found.state_bytes == 4 * T * N
    norms = 2 * d
    halves = sum(2 * (k * d * 2 * d + 2 * d + norms) for k in kernels)
    hidden = 4 * d
    fuses = 2 * ((d + 1) * hidden + d * hidden + (hidden + 1) * hidden + (hidden + 1) * 2 * d + norms)
    crf = N_ROOMS * (N_ROOMS + 2)
    ends = N * d + 2 * d + 2 * d * d + d + norms + (d + 1) * N_ROOMS
    assert found.parameters == ends + halves + fuses + crf


@pytest.mark.parametrize("family", sorted(set(NETWORKS) - {"mamba"}))
@pytest.mark.parametrize("n_acc", [N_ACC, 0])
def test_products_are_those_that_pytorch_counts(family, n_acc):
    """PyTorch counts two operations a multiply-accumulate, and matrix products alone: of Mamba it sees a part."""
    model = make(family, n_acc)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), cost._without_onednn():
        model(torch.zeros(1, T, N_AP), torch.zeros(1, T, n_acc))
    assert cost.measure(model, N_AP, n_acc, T).macs_per_window == counter.get_total_flops() // 2


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Linear(10, 50, bias=False), nn.Linear(50, 10, bias=False)

    def forward(self, x):
        return (x + self.narrow(torch.relu(self.wide(x)))).sum(-1)


def test_activations_live_from_first_to_last_use():
    """x (10) lives to the sum, so beside it are at most both sides of the ReLU (50 + 50)."""
    assert cost.peak_bytes(Residual(), torch.zeros(1, 10)) == 4 * (10 + 50 + 50)


def test_a_view_costs_nothing_and_a_copy_does():
    class Views(nn.Module):
        def forward(self, x):
            return x.reshape(4, 25).t()[:3].unsqueeze(0)

    class Copies(nn.Module):
        def forward(self, x):
            return x.reshape(4, 25).t().contiguous()

    assert cost.peak_bytes(Views(), torch.zeros(100)) == 400
    assert cost.peak_bytes(Copies(), torch.zeros(100)) == 800


@pytest.mark.parametrize("family", NETWORKS)
def test_measuring_leaves_the_network_as_it_was(family):
    network = make(family).train()
    found = cost.measure(network, N_AP, N_ACC, T)
    assert network.training and not any(part._forward_hooks for part in network.modules())
    assert 0 < found.step_activation_bytes <= found.window_activation_bytes
