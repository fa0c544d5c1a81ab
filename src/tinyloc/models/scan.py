"""The selective scan: the recurrence at the heart of Mamba (A. Gu and T. Dao, 2023, equations 2 and 4).

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t h_t + D x_t

channel by channel, from h_0 = 0. x, dt: [B, T, E]; A: [E, N], negative; B, C: [B, T, N]; D: [E] -> y: [B, T, E].

`selective_scan_loop` is that, step by step, and is the reference. `selective_scan` is what training and inference use:
the authors' fused kernel on a GPU where their package is installed, and otherwise the same loop with its gradient in
closed form.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch.autograd.function import once_differentiable


def selective_scan_loop(
    x: torch.Tensor, dt: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, D: torch.Tensor
) -> torch.Tensor:
    """The reference: one step after the other, differentiated by autograd."""
    h = x.new_zeros(len(x), *A.shape)
    outputs = []
    for t in range(x.shape[1]):
        A_bar = torch.exp(dt[:, t, :, None] * A)
        B_bar = dt[:, t, :, None] * B[:, t, None, :]
        h = A_bar * h + B_bar * x[:, t, :, None]
        outputs.append((C[:, t, None, :] * h).sum(-1) + D * x[:, t])
    return torch.stack(outputs, 1)


def selective_scan(
    x: torch.Tensor, dt: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, D: torch.Tensor
) -> torch.Tensor:
    """The same, fast, in the precision of A: under autocast x, dt, B and C may come in half precision."""
    x, dt, B, C = (v.to(A.dtype) for v in (x, dt, B, C))
    if x.is_cuda and (kernel := fused_kernel()):
        return scan_by(kernel, x, dt, A, B, C, D)
    if torch.is_grad_enabled():
        return _SelectiveScan.apply(x, dt, A, B, C, D)
    x, dt, B, C = (_batch_last(v) for v in (x, dt, B, C))
    y, _ = _forward(x, dt, _rates(A), B, C, D, keep=False)
    return _batch_first(y)


# ── the authors' kernel ──────────────────────────────────────────────────────────────────────────
@cache
def fused_kernel() -> Callable[..., torch.Tensor] | None:
    """`selective_scan_fn` of the mamba-ssm package (CUDA alone), or None where it cannot be imported."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    return selective_scan_fn


def scan_by(
    kernel: Callable[..., torch.Tensor],
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
) -> torch.Tensor:
    """The scan by a function of mamba-ssm's signature, whose sequences lie channels first: [B, E, T], [B, N, T]."""
    x, dt, B, C = (v.transpose(1, 2).contiguous() for v in (x, dt, B, C))
    return kernel(x, dt, A, B, C, D).transpose(1, 2)


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────
# Inside, the batch is the last axis: [T, E, B] and [T, N, B], the state [N, E, B]. Whatever is the same for all
# channels or for all states is then spread along long rows, the two sums over states and channels add whole rows, and
# what a step touches stays in the cache. Everything is written in place: fresh memory costs as much as the arithmetic.
def _batch_last(v: torch.Tensor) -> torch.Tensor:
    return v.permute(1, 2, 0).contiguous()


def _batch_first(v: torch.Tensor) -> torch.Tensor:
    return v.permute(2, 0, 1)


def _rates(A: torch.Tensor) -> torch.Tensor:
    return A.t()[:, :, None].contiguous()  # [N, E, 1]


def _forward(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    keep: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """y [T, E, B] and the states [T, N, E, B]: all of them where they are to be kept, or the last one T times."""
    shape = (*A.shape[:2], x.shape[-1])
    h, work = x.new_zeros(shape), x.new_empty(shape)
    states = x.new_empty(len(x), *shape) if keep else h.expand(len(x), *shape)
    y, drives = torch.empty_like(x), dt * x
    for now, read, step, drive, enter, leave in zip(states, y, dt, drives, B[:, :, None], C[:, :, None], strict=True):
        torch.mul(step, A, out=work).exp_()
        torch.mul(h, work, out=now).addcmul_(drive, enter)
        torch.sum(torch.mul(now, leave, out=work), 0, out=read)
        h = now
    return y.addcmul_(D[:, None], x), states


class _SelectiveScan(torch.autograd.Function):
    """Autograd would keep and walk a graph of small nodes; the adjoint is the same recurrence, backwards in time.

    Only the states are kept: computing exp(dt A) again costs less than writing and reading it.
    """

    @staticmethod
    def forward(ctx, x, dt, A, B, C, D):
        x, dt, B, C = (_batch_last(v) for v in (x, dt, B, C))
        A = _rates(A)
        y, states = _forward(x, dt, A, B, C, D, keep=True)
        ctx.save_for_backward(x, dt, A, B, C, D, states)
        return _batch_first(y)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y):
        x, dt, A, B, C, D, states = ctx.saved_tensors
        grad_y = _batch_last(grad_y)
        drives = dt * x
        grad_drives, grad_dt = torch.empty_like(x), torch.zeros_like(x)
        grad_A, grad_B, grad_C = torch.zeros_like(A), torch.empty_like(B), torch.empty_like(C)
        grad_h, work = torch.zeros_like(states[0]), torch.empty_like(states[0])
        for t in range(len(x) - 1, -1, -1):
            torch.sum(torch.mul(states[t], grad_y[t], out=work), 1, out=grad_C[t])
            grad_h.addcmul_(C[t, :, None], grad_y[t])
            torch.sum(torch.mul(grad_h, drives[t], out=work), 1, out=grad_B[t])
            torch.sum(torch.mul(grad_h, B[t, :, None], out=work), 0, out=grad_drives[t])
            if t == 0:
                break  # before the first step there is nothing to decay
            grad_h.mul_(torch.mul(dt[t], A, out=work).exp_())
            # exp(dt A) h_{t-1} is its own derivative with respect to dt A
            torch.mul(grad_h, states[t - 1], out=work)
            grad_A += (work * dt[t]).sum(-1, keepdim=True)
            torch.sum(work.mul_(A), 0, out=grad_dt[t])
        grad_dt.addcmul_(grad_drives, x)
        grad_x = grad_drives.mul_(dt).addcmul_(D[:, None], grad_y)
        grad_D = (grad_y * x).sum((0, 2))
        grad_x, grad_dt, grad_B, grad_C = (_batch_first(g) for g in (grad_x, grad_dt, grad_B, grad_C))
        return grad_x, grad_dt, grad_A[:, :, 0].t(), grad_B, grad_C, grad_D
