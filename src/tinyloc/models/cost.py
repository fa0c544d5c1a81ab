"""What a network costs to run: parameters, multiply-accumulates, and memory, counted on the network itself.

*Multiply-accumulates* (MACs) are those of matrix products, convolutions, attention and recurrences. Biases,
activation functions, norms and elementwise gates are left out, as is usual; for Mamba the recurrence itself is
elementwise and is counted.

*Activations* are the most bytes of intermediate tensors, input included, that are needed at one time when the
operations run in PyTorch's order and every tensor is freed after its last use. This is what the network as it is
written needs; a compiler that overwrites inputs or fuses operations needs less, a runtime with an arena may need more.

A causal network runs along a stream, one step at a time, and keeps a *state*; any other one has to look at its whole
window again for every new step.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tinyloc.config import Neural
from tinyloc.models import registry
from tinyloc.models.convolution import CausalConv1d
from tinyloc.models.mamba import MambaBlock
from tinyloc.models.mdcsa import MDCSA, ConvAttention
from tinyloc.models.network import Network

FLOAT = 4
"""Bytes."""


@dataclass(frozen=True)
class Cost:
    """Of one stream: a batch of one, in float32."""

    parameters: int
    macs_per_window: int
    macs_per_step: int  # for one more answer: one step of a causal network, the whole window of another
    window_activation_bytes: int
    step_activation_bytes: int
    state_bytes: int  # between steps: a causal network's state, another one's window of inputs


def of(config: Neural, n_ap: int, n_acc: int, n_rooms: int, n_steps: int, rooms: Iterable[str] = ()) -> Cost:
    """The cost of a configured network on windows of `n_steps`.

    rooms: their names, which a configuration with a `hall` needs.
    Raises InputError: the data's columns do not suit the configuration.
    """
    network = registry.build(config, n_ap, n_acc, n_rooms, seed=0, rooms=tuple(rooms))
    return measure(network, n_ap, n_acc, n_steps)


@torch.no_grad()
def measure(network: Network, n_ap: int, n_acc: int, n_steps: int) -> Cost:
    """The cost of a network on windows of `n_steps`; it is run once on a window and once on a step."""
    was_training = network.training
    network.eval()
    window, step = _zeros(n_ap, n_acc, n_steps), _zeros(n_ap, n_acc, 1)
    asked = step if network.streams else window
    found = Cost(
        parameters=registry.parameters(network),
        macs_per_window=count_macs(network, *window),
        macs_per_step=count_macs(network, *asked),
        window_activation_bytes=peak_bytes(network, *window),
        step_activation_bytes=peak_bytes(network, *asked),
        state_bytes=FLOAT * (_states(network) if network.streams else n_steps * (n_ap + n_acc)),
    )
    network.train(was_training)
    return found


def _zeros(n_ap: int, n_acc: int, n_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, n_steps, n_ap), torch.zeros(1, n_steps, n_acc)


# ── multiply-accumulates ─────────────────────────────────────────────────────────────────────────
def count_macs(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Multiply-accumulates of one call of `module`: each of its parts counts what it does itself."""
    total = 0

    def add(part: nn.Module, seen: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += own_macs(part, *seen)

    hooks = [part.register_forward_hook(add) for part in module.modules()]
    try:
        module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


@singledispatch
def own_macs(module: nn.Module, *inputs: torch.Tensor) -> int:
    """What a module multiplies besides what its parts do."""
    return 0


@own_macs.register
def _(module: nn.Linear, x: torch.Tensor) -> int:
    return x.numel() * module.out_features


@own_macs.register
def _(module: ConvAttention, x: torch.Tensor) -> int:
    return _attention(x.shape[0], x.shape[1], x.shape[2])


@own_macs.register
def _(module: MDCSA, rssi: torch.Tensor, acc: torch.Tensor) -> int:
    n_windows, n_steps, _ = rssi.shape
    return _attention(n_windows, len(module.blocks) * n_steps, module.head.in_features)


@own_macs.register
def _(module: MambaBlock, x: torch.Tensor) -> int:
    """The depthwise convolution, and of the recurrence dt A, dt x, (dt x) B, decay h, C h and D x."""
    n_sequences, n_steps, _ = x.shape
    return n_sequences * n_steps * module.channels * (module.d_conv + 4 * module.n_state + 2)


@own_macs.register
def _(module: nn.RNNBase, x: torch.Tensor) -> int:
    """The matrix products of all gates; no layer has a projection or a second direction."""
    weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
    return x.shape[0] * x.shape[1] * weights


def _attention(n_windows: int, n_rows: int, d: int) -> int:
    """Similarities of all pairs of rows, and the weighted sums."""
    return n_windows * 2 * n_rows**2 * d


# ── memory ───────────────────────────────────────────────────────────────────────────────────────
def peak_bytes(module: nn.Module, *inputs: torch.Tensor) -> int:
    """The most bytes of intermediate tensors, inputs included, that one call of `module` needs at one time."""
    weights = {_storage(p) for p in (*module.parameters(), *module.buffers())}
    with _without_onednn(), _Lifetimes(weights) as lifetimes:
        module(*inputs)
    return lifetimes.peak()


@contextmanager
def _without_onednn() -> Iterator[None]:
    """oneDNN would run all of an LSTM as one operation, which hides its gates."""
    # the switch also sets an option of Intel's GPUs, and warns where there is none
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False):
        yield


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


class _Lifetimes(TorchDispatchMode):
    """Between which operations every piece of memory is needed; views of one piece are one.

    It keeps all tensors, so that no memory is given out twice.
    """

    def __init__(self, weights: set[int]):
        super().__init__()
        self.weights, self.kept = weights, []
        self.size: dict[int, int] = {}
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, output)):
            if isinstance(tensor, torch.Tensor):
                self._use(tensor)
        self.operations += 1
        return output

    def _use(self, tensor: torch.Tensor) -> None:
        storage = _storage(tensor)
        if storage in self.weights:
            return
        self.kept.append(tensor)
        self.size[storage] = tensor.untyped_storage().nbytes()
        self.first.setdefault(storage, self.operations)
        self.last[storage] = self.operations

    def peak(self) -> int:
        change = [0] * (self.operations + 1)
        for storage, size in self.size.items():
            change[self.first[storage]] += size
            change[self.last[storage] + 1] -= size
        live = most = 0
        for difference in change:
            live += difference
            most = max(most, live)
        return most


# ── state ────────────────────────────────────────────────────────────────────────────────────────
def _states(network: nn.Module) -> int:
    """Numbers that a causal network keeps from one step to the next."""
    return sum(own_state(part) for part in network.modules())


@singledispatch
def own_state(module: nn.Module) -> int:
    """Numbers that a module keeps from one step to the next, besides what its parts keep."""
    return 0


@own_state.register
def _(module: MambaBlock) -> int:
    """h and the convolution's last inputs."""
    return module.channels * (module.n_state + module.d_conv - 1)


@own_state.register
def _(module: CausalConv1d) -> int:
    """The inputs that its taps will see again."""
    return module.past * (module.dense.in_features // module.kernel)


@own_state.register
def _(module: nn.GRU) -> int:
    return module.num_layers * module.hidden_size


@own_state.register
def _(module: nn.LSTM) -> int:
    """Hidden and cell state."""
    return 2 * module.num_layers * module.hidden_size
