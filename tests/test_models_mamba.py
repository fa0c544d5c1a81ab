"""The Mamba block in its three forms."""

import pytest
import torch

from tinyloc.models.mamba import Mamba, MambaBlock

FORMS = ("forward", "stepwise")


def make(d=16, n_sequences=3, n_steps=25, seed=0, **shape):
    torch.manual_seed(seed)
    block = MambaBlock(d, **shape)
    with torch.no_grad():
        for parameter in block.parameters():  # random, so that no initial value hides a difference
            parameter.add_(0.1 * torch.randn_like(parameter))
    return block, torch.randn(n_sequences, n_steps, d)


def stepwise(block, x):
    state, outputs = block.initial_state(len(x)), []
    for now in x.unbind(1):
        y, state = block.step(now, state)
        outputs.append(y)
    return torch.stack(outputs, 1)


def run(block, form, x):
    return stepwise(block, x) if form == "stepwise" else getattr(block, form)(x)


def gradients(block, form, x):
    block.zero_grad()
    x = x.clone().requires_grad_()
    torch.cos(run(block, form, x)).sum().backward()
    return [x.grad, *(p.grad.clone() for p in block.parameters())]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "shape", [{}, {"d": 32, "n_state": 4}, {"d": 6, "n_state": 1, "d_conv": 1, "expand": 1}, {"n_steps": 1}]
)
def test_forms_are_equal(form, shape):
    block, x = make(**shape)
    torch.testing.assert_close(run(block, form, x), block.loop(x), atol=1e-5, rtol=1e-5)
    for ours, reference in zip(gradients(block, form, x), gradients(block, "loop", x), strict=True):
        # in units of the largest entry: a gradient is a sum over all sequences and steps
        scale = reference.abs().max().clamp(min=1)
        torch.testing.assert_close(ours / scale, reference / scale, atol=1e-5, rtol=1e-5)


def test_a_long_sequence_stays_finite():
    block, _ = make()
    x = (10 * torch.randn(1, 3000, 16)).requires_grad_()
    y = block(x)
    y.sum().backward()
    assert torch.isfinite(y).all() and torch.isfinite(x.grad).all()


def test_the_past_does_not_see_the_future():
    block, x = make()
    changed = x.clone()
    changed[:, 12:] += 1
    before, after = block(x), block(changed)
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


def test_initialisation_is_the_papers():
    torch.manual_seed(0)
    block = MambaBlock(64, n_state=4)
    torch.testing.assert_close(-torch.exp(block.A_log), -torch.arange(1.0, 5.0).expand(128, 4))
    dt = torch.nn.functional.softplus(block.dt_proj.bias)
    assert 1e-3 <= dt.min() < 2e-3 and 5e-2 < dt.max() <= 1e-1
    assert dt.log().median().exp().item() == pytest.approx(1e-2, rel=0.3)  # log-uniform: the geometric middle


def test_model_along_a_stream_is_the_model_over_the_sequence():
    torch.manual_seed(0)
    model = Mamba(4, 6, 3, d=8, layers=2).eval()
    rssi, acc = torch.rand(2, 40, 4), torch.rand(2, 40, 6)
    state, scores = model.initial_state(2), []
    for r, a in zip(rssi.unbind(1), acc.unbind(1), strict=True):
        now, state = model.step(r, a, state)
        scores.append(now)
    torch.testing.assert_close(torch.stack(scores, 1), model(rssi, acc), atol=1e-5, rtol=1e-5)


def test_parts_of_a_stream_continue_from_the_state():
    block, x = make()
    state = block.initial_state(3)
    for now in x[:, :10].unbind(1):
        _, state = block.step(now, state)
    y, _ = block.step(x[:, 10], state)
    torch.testing.assert_close(y, block(x)[:, 10], atol=1e-5, rtol=1e-5)
