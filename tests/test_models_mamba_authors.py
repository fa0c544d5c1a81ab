"""Our Mamba against the authors' own code, the package mamba-ssm, where it is installed.

Its reference is plain PyTorch and runs anywhere, but its modules import kernels that need CUDA and Triton. Where those
are missing, empty modules let the import through; nothing of them is called. The README says how to install it.
"""

import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from unittest.mock import MagicMock

import pytest
import torch
from toy_rooms import windows

from tinyloc.config import MambaModel, Training
from tinyloc.models import mamba, scan
from tinyloc.models.mamba import MambaBlock
from tinyloc.models.registry import build
from tinyloc.training.fit import fit

pytestmark = pytest.mark.skipif(
    not (find_spec("mamba_ssm") and find_spec("einops")), reason="the package mamba-ssm is not installed"
)

KERNELS = {"selective_scan_cuda": "selective_scan_cuda", "triton": "mamba_ssm.ops.triton.layer_norm"}
"""What the kernels are made with, and the module that the reference's modules import of them."""
TRAINING = Training(epochs=15, batch=16, learning_rate=0.05, device="cpu")
SHAPES = [{"d": 16}, {"d": 32, "n_state": 4}, {"d": 6, "n_state": 1, "d_conv": 2, "expand": 1}, {"d": 16, "n_steps": 1}]


@pytest.fixture
def authors(monkeypatch):
    """The authors' modules by name; what the package's top level imports beside them (whole language models) is not."""
    package = ModuleType("mamba_ssm")
    package.__path__ = list(find_spec("mamba_ssm").submodule_search_locations)
    for name in [name for name in sys.modules if name.startswith("mamba_ssm")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mamba_ssm", package)
    for needed, module in KERNELS.items():
        if not find_spec(needed):
            monkeypatch.setitem(sys.modules, module, MagicMock())
    yield lambda name: import_module(f"mamba_ssm.{name}")
    for name in [name for name in sys.modules if name.startswith("mamba_ssm.")]:
        del sys.modules[name]


@pytest.fixture
def block(authors, monkeypatch):
    """A function that makes a block of theirs, on its path of plain PyTorch, and ours of the same weights."""
    module = authors("modules.mamba_simple")
    reference = authors("ops.selective_scan_interface").selective_scan_ref
    monkeypatch.setattr(module, "selective_scan_fn", reference)
    for kernel in ("causal_conv1d_fn", "causal_conv1d_update", "selective_state_update"):
        monkeypatch.setattr(module, kernel, None)

    def make(d, n_state=8, d_conv=4, expand=2):
        torch.manual_seed(0)
        theirs = module.Mamba(d, n_state, d_conv, expand, use_fast_path=False)
        with torch.no_grad():
            for parameter in theirs.parameters():  # random, so that no initial value hides a difference
                parameter.add_(0.1 * torch.randn_like(parameter))
        ours = MambaBlock(d, n_state, d_conv, expand)
        ours.load_state_dict(in_our_names(theirs.state_dict()))
        return theirs, ours

    return make


def in_our_names(named):
    """Only the convolution is laid out otherwise: ours is [K, E], theirs [E, 1, K]."""
    named = dict(named)
    return {
        "conv_weight": named.pop("conv1d.weight")[:, 0].t(),
        "conv_bias": named.pop("conv1d.bias"),
        **named,
    }


def sequences(d, n_steps=25):
    return torch.randn(3, n_steps, d, generator=torch.Generator().manual_seed(1)).requires_grad_()


@pytest.mark.parametrize("form", ["forward", "loop"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_block_is_theirs_in_values_and_gradients(block, shape, form):
    shape = dict(shape)
    x = sequences(shape["d"], shape.pop("n_steps", 25))
    theirs, ours = block(**shape)
    expected, found = theirs(x), getattr(ours, form)(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    names, parameters = zip(*theirs.named_parameters(), strict=True)
    wanted = torch.autograd.grad(torch.cos(expected).sum(), (x, *parameters))
    wanted = {"x": wanted[0], **in_our_names(dict(zip(names, wanted[1:], strict=True)))}
    mine = torch.autograd.grad(torch.cos(found).sum(), (x, *ours.parameters()))
    mine = dict(zip(("x", *(name for name, _ in ours.named_parameters())), mine, strict=True))
    assert wanted.keys() == mine.keys()
    for name, reference in wanted.items():
        scale = reference.abs().max().clamp(min=1)
        torch.testing.assert_close(mine[name] / scale, reference / scale, atol=1e-5, rtol=1e-5, msg=name)


@torch.no_grad()
def test_streaming_step_is_theirs(block):
    theirs, ours = block(16)
    x = sequences(16)
    conv, ssm, state = torch.zeros(3, 32, 4), torch.zeros(3, 32, 8), ours.initial_state(3)
    for now in x.unbind(1):
        expected, conv, ssm = theirs.step(now[:, None], conv, ssm)
        found, state = ours.step(now, state)
        torch.testing.assert_close(found, expected[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(state[0], ssm, atol=1e-5, rtol=1e-5)


def test_training_by_their_reference_ends_where_ours_does(authors, monkeypatch):
    """The way of a GPU, all but its kernel: the network's scan goes through `scan_by`, in the authors' layout."""

    def curve():
        model = build(MambaModel(family="mamba", d=8, n_state=4), 2, 6, 2, seed=0)
        return [e.validation_loss for e in fit(model, windows(60, seed=0), windows(40, seed=1), TRAINING, seed=0)]

    ours = curve()
    reference = authors("ops.selective_scan_interface").selective_scan_ref
    monkeypatch.setattr(mamba, "selective_scan", partial(scan.scan_by, reference))
    assert curve() == pytest.approx(ours, abs=1e-3) and ours[-1] < 0.7 * ours[0]


def test_scan_by_their_reference_is_the_loop(authors):
    generator = torch.Generator().manual_seed(2)
    x, step = (torch.randn(5, 9, 6, generator=generator) for _ in range(2))
    A, D = -torch.rand(6, 3, generator=generator) - 0.1, torch.randn(6, generator=generator)
    B, C = (torch.randn(5, 9, 3, generator=generator) for _ in range(2))
    tensors = (x, torch.nn.functional.softplus(step), A, B, C, D)
    reference = authors("ops.selective_scan_interface").selective_scan_ref
    torch.testing.assert_close(
        scan.scan_by(reference, *tensors), scan.selective_scan_loop(*tensors), atol=1e-5, rtol=1e-5
    )
