"""BATCH_MATMUL."""

from dataclasses import replace

import numpy as np

from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import (
    Context,
    access,
    channels,
    collapse,
    dense_strides,
    packed_bytes,
    padded,
    units,
    widened,
)
from tinyloc.aot.lower.layout import move
from tinyloc.aot.program import Access, Operand
from tinyloc.aot.quantise import wide_row

BATCH_LOOPS = 2  # outer and inner of struct tl_matmul_*


def batch_matmul(c: Context) -> None:
    a, b, output = c.input(0), c.input(1), c.output
    c.need(len(a.shape) >= 2 and len(b.shape) >= 2, f"{a} or {b} is not a matrix")
    kind = c.kind(a, b, output, wide=True)
    left, right, fields = _operands(c, a, b)
    rows, depth = left.shape[-2:]
    b_depth, columns = right.shape[-2:]
    c.need(depth == b_depth, f"{a} and {b} do not fit together")
    c.shape(output, (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), rows, columns))
    batches = (*fields, rows, left.steps[-2], right.steps[-1], right.steps[-2])
    scratch = None
    factor = 1.0 if kind == "f32" else float(a.scale) * float(b.scale) / float(output.scale)
    if kind == "s8":
        column = channels([factor], output.zero_point, [0], [255 * 255 * depth])
        parameters = {
            "batch": batches,
            "zero_a": a.zero_point,
            "zero_b": b.zero_point,
            "columns": units(depth, columns, column),
        }
        scratch = c.program.scratch(widened(2, depth) + packed_bytes(columns, depth))
    else:
        parameters = {"batch": batches, "depth": depth, "columns": columns}
        if kind == "s16":
            parameters["output"] = wide_row(factor)
    c.program.call(
        c.operator,
        f"matmul_{kind}",
        parameters,
        (left.origin, right.origin),
        output.index,
        macs=output.size * depth,
        scratch=scratch,
    )


def _operands(c: Context, a: Tensor, b: Tensor) -> tuple[Access, Access, tuple[int, ...]]:
    """The matrices [rows, depth] and [depth, columns], and the first fields of a struct tl_batch.

    Slices and transposed tensors are read where they were taken from, if two loops are enough for the batches.
    """
    for left, right in ((access(c.program, a), access(c.program, b)), (_dense(a), _dense(b))):
        left = _transposed(left) if c.options["adj_x"] else left
        right = _transposed(right) if c.options["adj_y"] else right
        gaps = left.shape[-1] > 1 and left.steps[-1] != 1
        fields = _batches(c, replace(left, steps=tuple(dense_strides(left.shape))) if gaps else left, right)
        if fields is not None:
            return (_copied(c, left, a) if gaps else left), right, fields
    raise c.refuse(f"the batches of {a} and {b} broadcast along too many axes")


def _dense(tensor: Tensor) -> Access:
    return Access(Operand(tensor.index), tensor.shape, tuple(dense_strides(tensor.shape)))


def _transposed(found: Access) -> Access:
    """With the last two axes exchanged."""
    (*batch, rows, columns), (*steps, down, along) = found.shape, found.steps
    return Access(found.origin, (*batch, columns, rows), (*steps, along, down))


def _copied(c: Context, found: Access, like: Tensor) -> Access:
    """A copy whose rows have no gaps."""
    copy = c.program.temporary(found.shape, like)
    move(c, found.origin, copy.index, copy.dtype, found.shape, found.steps, dense_strides(found.shape))
    return _dense(copy)


def _batches(c: Context, left: Access, right: Access) -> tuple[int, ...] | None:
    """The first fields of a struct tl_batch, the two loops over the matrices; None where two are not enough."""
    try:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise c.refuse("its batches cannot be broadcast") from None
    dims, steps = collapse(batch, _steps(left, len(batch)), _steps(right, len(batch)))
    if len(dims) > BATCH_LOOPS:
        return None
    (outer, inner), (a_outer, a_inner), (b_outer, b_inner) = (
        padded(values, BATCH_LOOPS, fill) for values, fill in ((dims, 1), (steps[0], 0), (steps[1], 0))
    )
    return (outer, inner, a_outer, a_inner, b_outer, b_inner)


def _steps(found: Access, rank: int) -> list[int]:
    """Steps along `rank` batch axes of a stack of matrices, 0 where it is broadcast."""
    missing = rank + 2 - len(found.shape)
    pairs = zip(found.shape[:-2], found.steps[:-2], strict=True)
    return [0] * missing + [0 if n == 1 else step for n, step in pairs]


LOWERINGS = {"BATCH_MATMUL": batch_matmul}
