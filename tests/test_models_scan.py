"""The fast selective scan against the recurrence as it stands."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from tinyloc.models import scan

NAMES = ("x", "dt", "A", "B", "C", "D")


def inputs(batch=5, n_steps=9, channels=6, n_state=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    x, dt = normal(batch, n_steps, channels), F.softplus(normal(batch, n_steps, channels) - 1)
    A, D = -torch.exp(normal(channels, n_state)), normal(channels)
    B, C = normal(batch, n_steps, n_state), normal(batch, n_steps, n_state)
    return tuple(v.requires_grad_() for v in (x, dt, A, B, C, D))


@pytest.mark.parametrize(
    "shape",
    [
        {"batch": 256, "n_steps": 20, "channels": 32, "n_state": 8},
        {"batch": 1, "n_steps": 70, "channels": 5, "n_state": 1},
        {"n_steps": 1},
        {"batch": 2, "channels": 1},
    ],
    ids=str,
)
def test_values_and_gradients_are_those_of_the_loop(shape):
    tensors = inputs(**shape)
    expected, found = scan.selective_scan_loop(*tensors), scan.selective_scan(*tensors)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad(expected, tensors, weight)
    for name, ours, reference in zip(NAMES, torch.autograd.grad(found, tensors, weight), wanted, strict=True):
        assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max(), name


def test_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(scan.selective_scan, inputs(2, 5, 3, 2, torch.float64))


def test_without_gradients_nothing_is_kept_and_nothing_changes():
    tensors = inputs()
    with torch.no_grad():
        found = scan.selective_scan(*tensors)
    assert found.equal(scan.selective_scan(*tensors).detach()) and not found.requires_grad


def test_half_precision_around_it_is_computed_in_the_precision_of_A():
    x, dt, A, B, C, D = inputs()
    halves = [v.bfloat16() for v in (x, dt, B, C)]
    found = scan.selective_scan(*halves[:2], A, *halves[2:], D)
    x, dt, B, C = (v.float() for v in halves)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, scan.selective_scan_loop(x, dt, A, B, C, D), atol=1e-5, rtol=1e-5)


def test_authors_layout_is_channels_before_steps():
    """Stands in for mamba-ssm's kernel, by the shapes that its documentation gives."""

    def kernel(u, delta, A, B, C, D):
        assert u.shape == delta.shape == (5, 6, 9) and B.shape == C.shape == (5, 3, 9)
        assert all(v.is_contiguous() for v in (u, delta, B, C))
        u, delta, B, C = (v.transpose(1, 2) for v in (u, delta, B, C))
        return scan.selective_scan_loop(u, delta, A, B, C, D).transpose(1, 2)

    tensors = inputs()
    torch.testing.assert_close(scan.scan_by(kernel, *tensors), scan.selective_scan_loop(*tensors))


def test_authors_kernel_is_found_where_it_can_be_imported_and_missed_where_not(monkeypatch):
    module = SimpleNamespace(selective_scan_fn=object())
    name = "mamba_ssm.ops.selective_scan_interface"
    for parent in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, parent, SimpleNamespace())
    for found, expected in ((module, module.selective_scan_fn), (None, None)):  # None: an import that fails
        monkeypatch.setitem(sys.modules, name, found)
        scan.fused_kernel.cache_clear()
        assert scan.fused_kernel() is expected
    scan.fused_kernel.cache_clear()


def test_authors_kernel_computes_the_same():
    if not torch.cuda.is_available():
        pytest.skip("mamba-ssm's fused scan runs on CUDA alone, and there is no GPU here")
    if scan.fused_kernel() is None:
        pytest.skip("the package mamba-ssm is not installed")
    tensors = [v.detach().cuda().requires_grad_() for v in inputs(8, 20, 32, 8)]
    expected = scan.selective_scan_loop(*tensors)
    found = scan.scan_by(scan.fused_kernel(), *tensors)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for name, ours, reference in zip(
        NAMES,
        torch.autograd.grad(found.sum(), tensors),
        torch.autograd.grad(expected.sum(), tensors),
        strict=True,
    ):
        assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max(), name
