"""BATCH_MATMUL."""

import numpy as np

from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import Context, channels, collapse, dense_strides, packed_bytes, padded, units, widened
from tinyloc.aot.lower.layout import move
from tinyloc.aot.quantise import wide_row

BATCH_LOOPS = 2  # outer and inner of struct tl_matmul_*


def batch_matmul(c: Context) -> None:
    a, b, output = c.input(0), c.input(1), c.output
    c.need(len(a.shape) >= 2 and len(b.shape) >= 2, f"{a} or {b} is not a matrix")
    kind = c.kind(a, b, output, wide=True)
    if c.options["adj_x"]:
        a = _transposed(c, a)
    rows, depth = a.shape[-2:]
    b_depth, columns = b.shape[:-3:-1] if c.options["adj_y"] else b.shape[-2:]
    c.need(depth == b_depth, f"{a} and {b} do not fit together")
    batch, outer_inner = _batches(c, a, b)
    c.shape(output, (*batch, rows, columns))
    batches = (*outer_inner, rows, int(c.options["adj_y"]))
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
        (a.index, b.index),
        output.index,
        macs=output.size * depth,
        scratch=scratch,
    )


def _transposed(c: Context, a: Tensor) -> Tensor:
    """A copy of `a` with its last two axes exchanged."""
    shape = (*a.shape[:-2], a.shape[-1], a.shape[-2])
    copy = c.program.temporary(shape, a)
    steps = dense_strides(a.shape)
    steps[-2:] = steps[:-3:-1]
    move(c, a.index, copy.index, copy.dtype, shape, steps, dense_strides(shape))
    return copy


def _batches(c: Context, a: Tensor, b: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The broadcast batch shape, and the first fields of a struct tl_batch: the two loops that walk over it."""
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise c.refuse(f"{a} and {b} cannot be broadcast") from None
    dims, (steps_a, steps_b) = collapse(batch, _steps(a.shape, len(batch)), _steps(b.shape, len(batch)))
    c.need(len(dims) <= BATCH_LOOPS, f"the batches of {a} and {b} broadcast along too many axes")
    (outer, inner), (a_outer, a_inner), (b_outer, b_inner) = (
        padded(values, BATCH_LOOPS, fill) for values, fill in ((dims, 1), (steps_a, 0), (steps_b, 0))
    )
    return batch, (outer, inner, a_outer, a_inner, b_outer, b_inner)


def _steps(shape: tuple[int, ...], rank: int) -> list[int]:
    """Steps along `rank` batch axes of a stack of matrices, 0 where it is broadcast."""
    aligned = (1,) * (rank + 2 - len(shape)) + shape
    return [0 if n == 1 else step for n, step in zip(aligned[:-2], dense_strides(aligned)[:-2], strict=True)]


LOWERINGS = {"BATCH_MATMUL": batch_matmul}
