"""What the lowerings share: access to an operator's tensors, with checks, and parameters for requantisation."""

from math import prod

import numpy as np

from tinyloc.aot.graph import Operator, Tensor
from tinyloc.aot.program import Constant, Program, refuse
from tinyloc.aot.quantise import Multiplier, quantize_multiplier

SUFFIX = {"int8": "s8", "float32": "f32"}


class Context:
    """One operator being lowered."""

    def __init__(self, program: Program, operator: Operator):
        self.program = program
        self.operator = operator
        self.options = operator.options

    def refuse(self, why: str) -> Exception:
        return refuse(self.program.graph, self.operator, why)

    def need(self, condition: bool, why: str) -> None:
        if not condition:
            raise self.refuse(why)

    def input(self, position: int) -> Tensor:
        tensor = self.optional(position)
        self.need(tensor is not None, f"its input {position} is missing")
        return tensor

    def optional(self, position: int) -> Tensor | None:
        inputs = self.operator.inputs
        if position >= len(inputs) or inputs[position] is None:
            return None
        return self.program.tensors[inputs[position]]

    @property
    def output(self) -> Tensor:
        return self.program.tensors[self.operator.outputs[0]]

    def constant(self, position: int, dtype: str | None = None) -> np.ndarray:
        """The values of an input that must be known at compile time."""
        tensor = self.input(position)
        self.need(tensor.data is not None, f"its input {tensor} is not a constant")
        self.need(dtype in (None, tensor.dtype), f"its input {tensor} is not {dtype}")
        return tensor.data

    def integers(self, position: int) -> list[int]:
        """A constant list of indices, sizes or axes."""
        values = self.constant(position)
        self.need(values.dtype in (np.int32, np.int64), f"its input {self.input(position)} does not hold integers")
        return [int(v) for v in values.reshape(-1)]

    def axis(self, value: int, rank: int) -> int:
        self.need(-rank <= value < rank, f"axis {value} does not exist in {rank} dimensions")
        return value % rank

    def kind(self, *tensors: Tensor) -> str:
        """The kernel suffix ("s8", "f32") of tensors that must share one element type, and be quantised if integer."""
        dtypes = {tensor.dtype for tensor in tensors}
        self.need(len(dtypes) == 1 and dtypes <= SUFFIX.keys(), f"there is no kernel for {', '.join(sorted(dtypes))}")
        for tensor in tensors:
            if tensor.dtype == "int8":
                self.quantised(tensor)
        return SUFFIX[tensors[0].dtype]

    def quantised(self, tensor: Tensor) -> None:
        quantisation = tensor.quantisation
        self.need(quantisation is not None, f"{tensor} has no scale")
        self.need(quantisation.scale.size == 1, f"{tensor} has more than one scale")

    def same_size(self, a: Tensor, b: Tensor) -> None:
        self.need(a.size == b.size, f"{a} and {b} differ in size")


def scale_row(factor: Multiplier) -> tuple[int, int, int]:
    """The initialiser of a struct tl_scale."""
    return factor.mantissa, max(factor.exponent, 0), max(-factor.exponent, 0)


def scale_of(real: float) -> tuple[int, int, int]:
    return scale_row(quantize_multiplier(real))


def scales(reals: list[float]) -> Constant:
    return Constant("struct tl_scale", np.array([scale_of(real) for real in reals], np.int64))


def rows_of(shape: tuple[int, ...]) -> int:
    """Number of vectors along the last axis."""
    return prod(shape[:-1])
