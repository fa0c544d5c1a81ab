"""What the compiler makes of a graph before memory is planned: kernel calls, views and constants.

A lowering (tinyloc.aot.lower) turns each operator into calls. Kernels are named without their `tl_` prefix; the
parameters of a call are the fields of the kernel's parameter block, in the header's order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tinyloc.aot.graph import Graph, Operator, Quantisation, Tensor

if TYPE_CHECKING:
    from tinyloc.aot.loops import Nest


@dataclass(frozen=True)
class Constant:
    """An array in flash. `ctype` is its C element type; rows of a 2-D array are initialisers of a struct."""

    ctype: str
    values: np.ndarray

    @property
    def bytes(self) -> int:
        return self.values.shape[0] * _SIZE_OF[self.ctype]


_SIZE_OF = {
    "int8_t": 1,
    "int16_t": 2,
    "uint16_t": 2,
    "int32_t": 4,
    "uint32_t": 4,
    "float": 4,
    "struct tl_channel": 16,
    "struct tl_wide_channel": 16,
}
Parameter = int | float | Constant | tuple


@dataclass(frozen=True)
class Operand:
    """Where a call reads or writes: a tensor, from `offset` bytes on."""

    tensor: int
    offset: int = 0


@dataclass(frozen=True)
class Access:
    """Where the elements of a tensor lie: from `origin` on, with a step in elements along each of its axes."""

    origin: Operand
    shape: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Padding:
    """What a padded tensor is made of."""

    source: int
    margins: tuple[tuple[int, int], ...]  # elements before and behind, along each axis
    value: float


@dataclass(frozen=True)
class Call:
    kernel: str
    parameters: dict[str, Parameter]
    reads: tuple[Operand, ...]
    write: Operand
    operator: Operator | None  # None: a copy that no operator asked for
    macs: int = 0
    # Positions in `reads` whose memory the output may take over, element for element
    in_place: tuple[int, ...] = ()
    block: str = ""  # the parameter block, where several kernels share one
    also: tuple[Operand, ...] = ()  # further outputs
    absorbed: tuple[Operator, ...] = ()  # whose work it does besides that of `operator`
    scratch: int | None = None  # a tensor that the kernel may write into, needed during the call only
    nest: "Nest | None" = None  # of a fused loop, which is no kernel: its function is written for it alone

    @property
    def operands(self) -> list[Operand]:
        """What the kernel is given, in its order."""
        scratch = [] if self.scratch is None else [Operand(self.scratch)]
        return [*self.reads, self.write, *self.also, *scratch]

    @property
    def covers(self) -> list[Operator]:
        """The operators whose work it does, in the graph's order."""
        return sorted((*self.absorbed, self.operator), key=lambda o: o.index) if self.operator else []

    @property
    def struct(self) -> str:
        return f"tl_{self.block or self.kernel}"


@dataclass
class Program:
    graph: Graph
    tensors: list[Tensor]  # the graph's, then those that lowerings added
    calls: list[Call] = field(default_factory=list)
    views: dict[int, Operand] = field(default_factory=dict)  # tensor -> the bytes of another that it is
    # Tensors that a reader need not have made, because it can read their source in its own way:
    moved: dict[int, Access] = field(default_factory=dict)
    padded: dict[int, Padding] = field(default_factory=dict)

    def call(
        self,
        operator: Operator | None,
        kernel: str,
        parameters: dict[str, Parameter],
        reads: tuple[int | Operand, ...],
        write: int | Operand,
        **more: int | str | tuple[int, ...] | None,
    ) -> None:
        reads = tuple(_operand(r) for r in reads)
        self.calls.append(Call(kernel, parameters, reads, _operand(write), operator, **more))

    def view(self, tensor: int, source: int, offset: int = 0) -> None:
        """`tensor` is not computed: it is the bytes of `source` from `offset` on."""
        self.views[tensor] = Operand(source, offset)

    def temporary(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A new tensor of `shape` with the type and quantisation of `like`."""
        index = len(self.tensors)
        tensor = Tensor(index, f"{like.name} (copy)", shape, like.dtype, like.quantisation)
        self.tensors.append(tensor)
        return tensor

    def constant(self, name: str, values: np.ndarray, quantisation: Quantisation | None = None) -> Tensor:
        """A new tensor whose values are known."""
        tensor = Tensor(len(self.tensors), name, values.shape, values.dtype.name, quantisation, values)
        self.tensors.append(tensor)
        return tensor

    def scratch(self, size: int) -> int:
        """A new tensor of `size` bytes without a meaning."""
        self.tensors.append(Tensor(len(self.tensors), "(scratch)", (size,), "int8"))
        return len(self.tensors) - 1

    def same_elements(self, tensor: int) -> Iterator[int]:
        """`tensor`, and those of which it is another view, all elements in the same order."""
        yield tensor
        while tensor in self.views:
            source = self.views[tensor]
            if source.offset or self.tensors[source.tensor].size != self.tensors[tensor].size:
                return
            tensor = source.tensor
            yield tensor

    def drop_unread_copies(self) -> None:
        """Without the moves and fills whose result no call reads any more."""
        pinned = {self.storage(tensor).tensor for tensor in self.graph.outputs}
        while True:
            read = {self.storage(operand.tensor).tensor for call in self.calls for operand in call.reads} | pinned
            left = [
                call
                for call in self.calls
                if not call.kernel.startswith(("move_", "fill_")) or self.storage(call.write.tensor).tensor in read
            ]
            if len(left) == len(self.calls):
                return
            self.calls = left

    def storage(self, tensor: int) -> Operand:
        """The tensor that owns the memory of `tensor`, and where in it `tensor` lies."""
        offset = 0
        while tensor in self.views:
            offset += self.views[tensor].offset
            tensor = self.views[tensor].tensor
        return Operand(tensor, offset)


def _operand(value: int | Operand) -> Operand:
    return value if isinstance(value, Operand) else Operand(value)
