"""A model as the compiler sees it: tensors and operators, already checked for consistency by the reader."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

# TensorType of the .tflite schema -> NumPy type; whatever is absent here is refused
DTYPES = {0: "float32", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}


class Unsupported(Exception):
    """The model is whole, but asks for something that the compiler does not do; the message says what and where."""


@dataclass(frozen=True)
class Quantisation:
    """real = scale * (quantised - zero_point), per tensor (one scale) or per slice along `axis`."""

    scale: np.ndarray  # [1] or [shape[axis]] float32
    zero_point: np.ndarray  # the same length, int64
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantisation: Quantisation | None = None
    data: np.ndarray | None = None  # a constant's values, [*shape]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def scale(self) -> np.float32:
        """The one scale of a tensor quantised as a whole."""
        return self.quantisation.scale[0]

    @property
    def zero_point(self) -> int:
        return int(self.quantisation.zero_point[0])

    def __str__(self) -> str:
        return f"'{self.name}' {self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Operator:
    index: int
    name: str  # as in the schema: CONV_2D, ADD, …
    version: int
    options: dict[str, Any]
    inputs: tuple[int | None, ...]  # None: an optional input that is absent
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    source: str  # the file's name, for messages
    sha256: str
    tensors: list[Tensor] = field(repr=False)
    operators: list[Operator] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
