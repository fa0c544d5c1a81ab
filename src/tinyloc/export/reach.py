"""How far the steps of a Mamba reach on calibration data, channel by channel, and what evens them out.

An activation has one ruler for all its channels, so a channel that moves a hundred times less than the widest one is
left with two or three marks. In a Mamba two tensors are like that: the time step dt, whose channels are spread over
two decades from the first day on (dt is initialised log-uniformly), and with it the state h. Weights can take such
factors up without changing the function, as in M. Nagel et al., "Data-free quantization through weight equalization
and bias correction", ICCV 2019, there between layers and here within a step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tinyloc.export.calibration import Calibration
from tinyloc.models.mamba import Mamba, MambaBlock

_LEAST = 1e-3
"""Of the widest state: one that hardly moved counts as if it had gone so far, or its factor would be endless."""


@dataclass(frozen=True)
class Reach:
    """One layer on calibration data."""

    v: np.ndarray  # [E], the largest input of softplus, which dt comes from
    h: np.ndarray  # [N, E], the largest magnitude of the state
    y: np.ndarray  # [E], the largest magnitude of what is read from it, and of its parts C h and D u

    def even(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors a [N] and b [E], for the state a h b and the output b y.

        b makes every channel as wide as it can be with neither state nor output wider than the widest were: whatever
        the channels are like, no ruler gets coarser. a then does the same for the rows of the state.
        """
        h, y = (np.maximum(x, _LEAST * x.max() or 1.0) for x in (self.h, self.y))
        b = 1 / np.maximum(h.max(0) / h.max(), y / y.max())
        return h.max() / (h * b).max(1), b


@torch.no_grad()
def measure(model: Mamba, on: Calibration) -> list[Reach]:
    """The reach of every layer along the segments of a calibration, each from a fresh state; filling is not seen."""
    rssi, acc = (torch.from_numpy(on.inputs[name]) for name in ("rssi", "acc"))
    real = torch.arange(len(rssi))[:, None] < torch.tensor(on.lengths)
    found = [_Layer(layer.block) for layer in model.layers]
    state = model.initial_state(rssi.shape[1])
    try:
        for t, row in enumerate(real):
            _, state = model.step(rssi[t], acc[t], state)
            for layer, (h, _) in zip(found, state, strict=True):
                layer.see(h, row)
    finally:
        for layer in found:
            layer.let_go()
    return [Reach(*(values.double().numpy() for values in (o.v, o.h.T, o.y))) for o in found]


class _Layer:
    """What goes through a block, by hooks on its layers, and the most that was seen of it."""

    def __init__(self, block: MambaBlock) -> None:
        self._block = block
        self._hooks = [
            block.x_proj.register_forward_hook(self._projected),
            block.dt_proj.register_forward_hook(self._stepped),
        ]
        self.v = torch.full((block.channels,), -torch.inf)
        self.h, self.y = torch.zeros(block.channels, block.n_state), torch.zeros(block.channels)

    def _projected(self, module: nn.Module, given: tuple[torch.Tensor], result: torch.Tensor) -> None:
        (self._u,), self._C = given, result[:, -self._block.n_state :]

    def _stepped(self, module: nn.Module, given: tuple[torch.Tensor], result: torch.Tensor) -> None:
        self._v = result

    def see(self, h: torch.Tensor, real: torch.Tensor) -> None:
        """h: the state [B, E, N] after a step, real: [B] bool, where it was one."""
        read, past = (h @ self._C[..., None])[..., 0], self._block.D * self._u
        self.v = self.v.maximum(self._v[real].amax(0))
        self.h = self.h.maximum(h[real].abs().amax(0))
        for part in (read, past, read + past):
            self.y = self.y.maximum(part[real].abs().amax(0))

    def let_go(self) -> None:
        for hook in self._hooks:
            hook.remove()
