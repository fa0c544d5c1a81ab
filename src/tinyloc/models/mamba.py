"""Mamba, a selective state-space model, in plain PyTorch (A. Gu and T. Dao, "Mamba: Linear-Time Sequence Modeling
with Selective State Spaces", 2023).

The block exists in three equal forms: `MambaBlock.loop`, the recurrence as the paper writes it, which is the
reference; `MambaBlock.forward`, a whole sequence at once, to train with; `MambaBlock.step`, one step at a time with
a state, which is what runs on the microcontroller.

Symbols: B batch, T steps, d model width, E = expand * d channels, N states a channel, K taps of the convolution.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.models.network import Network
from tinyloc.models.scan import selective_scan, selective_scan_loop

Scan = Callable[..., torch.Tensor]

State = tuple[torch.Tensor, torch.Tensor]
"""What a block remembers between steps: h [B, E, N] and the last K - 1 inputs of the convolution [B, K - 1, E]."""


class MambaBlock(nn.Module):
    """Selective state space between a causal convolution and a gate: [B, T, d] -> [B, T, d]."""

    def __init__(self, d: int, n_state: int = 8, d_conv: int = 4, expand: int = 2):
        super().__init__()
        self.channels, self.n_state, self.d_conv = expand * d, n_state, d_conv
        self.dt_rank = math.ceil(d / 16)
        self.in_proj = nn.Linear(d, 2 * self.channels, bias=False)
        # depthwise, oldest tap first; padded by hand, so that the same weights serve the one-step form
        self.conv_weight = nn.Parameter(torch.empty(d_conv, self.channels))
        self.conv_bias = nn.Parameter(torch.empty(self.channels))
        self.x_proj = nn.Linear(self.channels, self.dt_rank + 2 * n_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.channels)
        self.A_log = nn.Parameter(torch.empty(self.channels, n_state))
        self.D = nn.Parameter(torch.ones(self.channels))
        self.out_proj = nn.Linear(self.channels, d, bias=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self, dt_min: float = 1e-3, dt_max: float = 1e-1) -> None:
        """A = -1, -2, …, -N in every channel; softplus(dt bias) log-uniform in [dt_min, dt_max] steps."""
        bound = 1 / math.sqrt(self.d_conv)
        self.conv_weight.uniform_(-bound, bound)
        self.conv_bias.uniform_(-bound, bound)
        self.A_log.copy_(torch.arange(1, self.n_state + 1).log().expand(self.channels, -1))
        bound = self.dt_rank**-0.5
        self.dt_proj.weight.uniform_(-bound, bound)
        dt = torch.exp(torch.empty(self.channels).uniform_(math.log(dt_min), math.log(dt_max)))
        self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The whole sequence: everything but the recurrence itself is done for all steps at once."""
        return self._around(selective_scan, x)

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        """The reference: algorithm 2 of the paper, its recurrence one step after the other."""
        return self._around(selective_scan_loop, x)

    def _around(self, scan: Scan, x: torch.Tensor) -> torch.Tensor:
        x, z = self.in_proj(x).chunk(2, -1)
        x = self._convolve(x)
        dt, B, C, A = self._select(x)
        return self.out_proj(scan(x, dt, A, B, C, self.D) * F.silu(z))

    def initial_state(self, batch: int) -> State:
        """The state before the first step: nothing was seen."""
        zeros = self.D.new_zeros
        return zeros(batch, self.channels, self.n_state), zeros(batch, self.d_conv - 1, self.channels)

    def step(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """One step: x [B, d] and the state before it -> output [B, d] and the state after it."""
        h, recent = state
        x, z = self.in_proj(x).chunk(2, -1)
        taps = torch.cat([recent, x[:, None]], 1)
        x = F.silu((taps * self.conv_weight).sum(1) + self.conv_bias)
        dt, B, C, A = self._select(x)
        h = torch.exp(dt[..., None] * A) * h + (dt * x)[..., None] * B[..., None, :]
        y = (h @ C[..., None])[..., 0] + self.D * x
        return self.out_proj(y * F.silu(z)), (h, taps[:, 1:])

    def decay_rates(self, x: torch.Tensor) -> torch.Tensor:
        """How fast each state forgets while it reads x [B, T, d]: -Δ_t A, per step, [B, T, E, N].

        Over step t what a state held is multiplied by exp(-rate) (equation 2a of the paper, discretised).
        """
        x, _ = self.in_proj(x).chunk(2, -1)
        dt, _, _, A = self._select(self._convolve(x))
        return -dt[..., None] * A

    def _convolve(self, x: torch.Tensor) -> torch.Tensor:
        """Depthwise causal convolution and SiLU: [B, T, E] -> [B, T, E]."""
        n_steps = x.shape[1]
        padded = F.pad(x, (0, 0, self.d_conv - 1, 0))
        shifted = (tap * padded[:, i : i + n_steps] for i, tap in enumerate(self.conv_weight))
        return F.silu(sum(shifted, start=self.conv_bias))

    def _select(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What makes the space selective: step size dt [..., E] and B, C [..., N] depend on x; A [E, N] does not."""
        dt, B, C = self.x_proj(x).split([self.dt_rank, self.n_state, self.n_state], -1)
        return F.softplus(self.dt_proj(dt)), B, C, -torch.exp(self.A_log)


class ResidualBlock(nn.Module):
    """x + block(norm(x)), in the whole-sequence and the one-step form."""

    def __init__(self, d: int, n_state: int, d_conv: int, expand: int, dropout: float):
        super().__init__()
        self.norm = nn.RMSNorm(d, eps=1e-5)
        self.block = MambaBlock(d, n_state, d_conv, expand)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.dropout(self.block(self.norm(x)))

    def step(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        y, state = self.block.step(self.norm(x), state)
        return x + self.dropout(y), state


class Mamba(Network):
    """Room scores for every step of a stream.

    rssi: [B, T, n_ap] and acc: [B, T, n_acc], scaled to [0, 1] -> scores [B, T, n_rooms] (logits). There is no CRF:
    the state is what carries the past, so the best room now needs no later decoding.
    """

    causal = True

    def __init__(
        self,
        n_ap: int,
        n_acc: int,
        n_rooms: int,
        d: int = 16,
        n_state: int = 8,
        d_conv: int = 4,
        expand: int = 2,
        layers: int = 1,
        dropout: float = 0.0,
        form: str = "stream",
    ):
        """form: `stream`, asked a step at a time with its state; or `window`, each of which begins without one."""
        super().__init__()
        self.form = form
        self.embed = nn.Linear(n_ap + n_acc, d)
        self.layers = nn.ModuleList(ResidualBlock(d, n_state, d_conv, expand, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(d, eps=1e-5)
        self.head = nn.Linear(d, n_rooms)

    @property
    def streams(self) -> bool:
        return self.form == "stream"

    def features(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        x = self.embed(torch.cat([rssi, acc], -1))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)

    def initial_state(self, batch: int) -> list[State]:
        """The state at the start of a stream, one pair a layer."""
        return [layer.block.initial_state(batch) for layer in self.layers]

    def step(self, rssi: torch.Tensor, acc: torch.Tensor, state: list[State]) -> tuple[torch.Tensor, list[State]]:
        """One step of B streams: rssi [B, n_ap], acc [B, n_acc] -> scores [B, n_rooms] and the state after it."""
        x = self.embed(torch.cat([rssi, acc], -1))
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            x, now = layer.step(x, before)
            after.append(now)
        return self.head(self.norm(x)), after
