"""Operators of two operands, with broadcasting: ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, MINIMUM, MAXIMUM.

With an int8 constant of one value as an operand they are functions of one int8, and become a table.
"""

from collections.abc import Callable

import numpy as np

from tinyloc.aot import tables
from tinyloc.aot.arithmetic import OPERATIONS
from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import Context, call_table, collapse, dense_strides, padded
from tinyloc.aot.quantise import float_activation_range

LOOPS = 4  # of struct tl_broadcast


def broadcast(c: Context, a: Tensor, b: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(dims, steps of a, steps of b): the fields of a struct tl_broadcast. Checks the output's shape."""
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise c.refuse(f"{a} and {b} cannot be broadcast") from None
    c.shape(c.output, shape)
    dims, (steps_a, steps_b) = collapse(shape, _steps(a.shape, shape), _steps(b.shape, shape))
    c.need(len(dims) <= LOOPS, f"{a} and {b} broadcast along too many axes in turn")
    return padded(dims, LOOPS, 1), padded(steps_a, LOOPS, 0), padded(steps_b, LOOPS, 0)


def _steps(shape: tuple[int, ...], target: tuple[int, ...]) -> list[int]:
    """Steps through a tensor of `shape` while walking over `target`: 0 where it is broadcast."""
    aligned = (1,) * (len(target) - len(shape)) + shape
    return [0 if n == 1 else step for n, step in zip(aligned, dense_strides(aligned), strict=True)]


def binary(c: Context, name: str) -> None:
    a, b = c.input(0), c.input(1)
    kind = c.kind(a, b, c.output, wide=True)
    activation = c.options.get("activation", "NONE")
    if kind == "f32":
        low, high = float_activation_range(activation)
        bounds = {"clamped": int(activation != "NONE"), "low": low, "high": high}
        emit(c, f"{name}_f32", a, b, broadcast(c, a, b), bounds, "binary_f32")
        return
    operation = OPERATIONS[name](a, b, c.output, activation)
    shape = broadcast(c, a, b)
    if kind == "s8" and is_scalar_constant(a) and b.data is None:
        fixed = int(a.data.reshape(-1)[0])
        call_table(c, tables.tabulate(lambda q: operation(fixed, q)), b)
        return
    if kind == "s8" and is_scalar_constant(b) and a.data is None:
        fixed = int(b.data.reshape(-1)[0])
        call_table(c, tables.tabulate(lambda q: operation(q, fixed)), a)
        return
    if operation.exchanged:
        a, b = b, a
        shape = (shape[0], shape[2], shape[1])
        operation.exchange()
    emit(c, f"{'add' if name == 'sub' else name}_{kind}", a, b, shape, operation.parameters(), operation.block)


def is_scalar_constant(tensor: Tensor) -> bool:
    return tensor.data is not None and tensor.size == 1


def emit(c: Context, kernel: str, a: Tensor, b: Tensor, shape: tuple, parameters: dict, block: str) -> None:
    # An operand that is not broadcast may lend its memory to the output.
    in_place = tuple(i for i, tensor in enumerate((a, b)) if tensor.size == c.output.size)
    c.program.call(
        c.operator,
        kernel,
        {"shape": shape, **parameters},
        (a.index, b.index),
        c.output.index,
        in_place=in_place,
        block=block,
    )


def _lowering(name: str) -> Callable[[Context], None]:
    return lambda c: binary(c, name)


def div(c: Context) -> None:
    c.need(c.output.dtype == "float32", "there is no integer kernel for it")
    binary(c, "div")


LOWERINGS = {name.upper(): _lowering(name) for name in OPERATIONS} | {"DIV": div}
