"""MDCSA: what may depend on what."""

import math

import pytest
import torch
from torch.nn import functional as F

from tinyloc.models.mdcsa import MDCSA, CausalConv1d, GatedResidualNetwork, attend, sinusoidal_code


def make(**changes):
    torch.manual_seed(0)
    return MDCSA(**{"n_ap": 4, "n_acc": 6, "n_rooms": 3, "d": 16, **changes}).eval()


def inputs(n_windows=5, n_steps=20):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(n_windows, n_steps, n, generator=generator) for n in (4, 6))


@pytest.mark.parametrize("changes", [{}, {"d": 32}, {"kernels": (3,)}, {"kernels": (1, 2, 3, 4), "d": 8}])
def test_scores_have_one_row_a_step(changes):
    rssi, acc = inputs()
    assert make(**changes)(rssi, acc).shape == (5, 20, 3)


def test_every_parameter_learns():
    model = make()
    rssi, acc = inputs()
    model.loss(model(rssi, acc), torch.randint(3, (5, 20))).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not still


def test_windows_do_not_see_one_another():
    model = make()
    rssi, acc = inputs()
    torch.testing.assert_close(model(rssi, acc)[2:3], model(rssi[2:3], acc[2:3]), atol=1e-5, rtol=1e-5)


def test_both_modalities_and_the_order_of_steps_matter():
    model = make()
    rssi, acc = inputs()
    scores = model(rssi, acc)
    assert not torch.allclose(scores, model(rssi.flip(0), acc), atol=1e-4)
    assert not torch.allclose(scores, model(rssi, acc.flip(0)), atol=1e-4)
    assert not torch.allclose(scores, model(rssi.flip(1), acc.flip(1)).flip(1), atol=1e-4)


def test_decoding_is_the_viterbi_path():
    model = make()
    scores = 3 * model(*inputs())
    assert model.decode(scores).equal(model.crf.viterbi(scores))


@pytest.mark.parametrize("kernel", [1, 4, 7])
def test_convolution_is_causal_and_is_a_convolution(kernel):
    torch.manual_seed(0)
    layer = CausalConv1d(3, 5, kernel)
    x = torch.randn(2, 10, 3)
    later = x.clone()
    later[:, 6:] += 1
    torch.testing.assert_close(layer(x)[:, :6], layer(later)[:, :6])
    weight = layer.dense.weight.unflatten(1, (kernel, 3)).transpose(1, 2)  # [d_out, d_in, kernel]
    padded = F.pad(x.transpose(1, 2), (kernel - 1, 0))
    torch.testing.assert_close(layer(x), F.conv1d(padded, weight, layer.dense.bias).transpose(1, 2))


def test_attention_of_equal_keys_is_the_mean_and_of_one_sharp_key_its_value():
    value = torch.randn(1, 4, 2)
    even = attend(torch.ones(1, 4, 2), torch.zeros(1, 4, 2), value)
    torch.testing.assert_close(even, value.mean(1, keepdim=True).expand(1, 4, 2))
    key = torch.tensor([[[0.0, 0.0], [1e3, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    sharp = attend(torch.ones(1, 4, 2), key, value)
    torch.testing.assert_close(sharp, value[:, 1:2].expand(1, 4, 2))


def test_closed_gate_lets_nothing_of_the_context_pass():
    torch.manual_seed(0)
    network = GatedResidualNetwork(8, dropout=0.0)
    with torch.no_grad():
        network.gate.bias[8:] = -1e3  # the half of the gated linear unit that goes through the sigmoid
    x, context = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    torch.testing.assert_close(network(x, context), network.norm(x))


def test_position_code_is_the_papers():
    code = sinusoidal_code(30, 16)
    assert code[7, 4].item() == pytest.approx(math.sin(7 / 10_000 ** (4 / 16)), abs=1e-6)
    assert code[7, 5].item() == pytest.approx(math.cos(7 / 10_000 ** (4 / 16)), abs=1e-6)
