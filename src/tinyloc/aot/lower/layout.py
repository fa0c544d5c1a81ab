"""Operators that only move numbers, or only change how they are seen.

RESHAPE and its like become addresses, and so does a slice, split or transposition whose result is one stretch of its
source. The rest are moves of a box of elements from one grid of steps to another.
"""

from math import prod

import numpy as np

from tinyloc.aot.graph import Graph, Tensor, Unsupported
from tinyloc.aot.lower.common import SUFFIX, Context, access, collapse, dense_strides, padded
from tinyloc.aot.program import Access, Call, Operand, Padding, Program

LOOPS = 5  # of struct tl_move


def move(
    c: Context,
    source: int | Operand,
    target: int | Operand,
    dtype: str,
    dims: tuple[int, ...],
    steps_in: list[int],
    steps_out: list[int],
) -> None:
    """Copy a box of `dims` elements; steps in elements."""
    c.need(dtype in SUFFIX, f"there is no kernel for {dtype}")
    dims, (steps_in, steps_out) = collapse(dims, steps_in, steps_out)
    c.need(len(dims) <= LOOPS, "it moves along too many axes")
    parameters = _box(dims, steps_in, steps_out)
    c.program.call(c.operator, f"move_{SUFFIX[dtype]}", parameters, (source,), target, block="move")


def _box(dims: list[int], steps_in: list[int], steps_out: list[int]) -> dict:
    """The fields of a struct tl_move."""
    if not dims:
        dims, steps_in, steps_out = [1], [1], [1]
    return {
        "dims": padded(dims, LOOPS, 1),
        "in": padded(steps_in, LOOPS, 0),
        "out": padded(steps_out, LOOPS, 0),
    }


def copy(program: Program, source: Operand, target: int) -> Call:
    """A call, of no operator, that makes tensor `target` from the bytes of `source`."""
    tensor = program.tensors[target]
    if tensor.dtype not in SUFFIX:
        raise Unsupported(f"there is no kernel for {tensor.dtype}, to copy {tensor}")
    parameters = _box([tensor.size], [1], [1])
    return Call(f"move_{SUFFIX[tensor.dtype]}", parameters, (source,), Operand(target), None, block="move")


def extract(c: Context, source: Tensor, output: Tensor, dims: list[int], start: int, steps: list[int]) -> None:
    """output = the box of `dims` elements of `source` that begins at element `start`: an address if it can be.

    A source that need not be made is read where it would have been copied from.
    """
    c.need(source.dtype == output.dtype, f"{source} and {output} differ in type")
    c.need(output.size == prod(dims), f"{output} should hold {prod(dims)} elements")
    item = np.dtype(source.dtype).itemsize
    loops, (strides,) = collapse(dims, steps)
    found = access(c.program, source)
    origin = Operand(found.origin.tensor, found.origin.offset + _translated(found, start) * item)
    moved = [_translated(found, step) if n > 1 else 0 for n, step in zip(dims, steps, strict=True)]
    if len(loops) == 0 or (len(loops) == 1 and strides[0] == 1):
        c.program.view(output.index, source.index, start * item)
    else:
        move(c, origin, output.index, source.dtype, tuple(dims), moved, dense_strides(dims))
    if _for_products_alone(c.program.graph, output.index):
        c.program.moved[output.index] = Access(origin, tuple(dims), tuple(moved))


def _for_products_alone(graph: Graph, tensor: int) -> bool:
    """Whether only matrix products read `tensor`, which can read its source in its stead: then it need not be made."""
    if tensor in graph.outputs:
        return False
    readers = [operator for operator in graph.operators if tensor in operator.inputs]
    return all(
        o.name == "BATCH_MATMUL" or (o.name in ADDRESSED and all(_for_products_alone(graph, out) for out in o.outputs))
        for o in readers
    )


ADDRESSED = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SPLIT", "SPLIT_V", "UNPACK", "SLICE", "STRIDED_SLICE"}
"""Operators whose outputs are addresses in their input, if their readers can take steps."""


def _translated(found: Access, distance: int) -> int:
    """A distance between elements of a dense tensor as one in the memory where it really lies."""
    total = 0
    for dense, step in zip(dense_strides(found.shape), found.steps, strict=True):
        count, distance = divmod(distance, dense)
        total += count * step
    return total


def reshape(c: Context) -> None:
    source, output = c.input(0), c.output
    c.need(source.dtype == output.dtype and source.size == output.size, f"{source} cannot be reshaped to {output}")
    c.program.view(output.index, source.index)


def transpose(c: Context) -> None:
    source, output = c.input(0), c.output
    order = c.integers(1)
    c.need(sorted(order) == list(range(len(source.shape))), f"{order} is no permutation of the axes of {source}")
    c.shape(output, [source.shape[i] for i in order])
    steps = dense_strides(source.shape)
    extract(c, source, output, list(output.shape), 0, [steps[i] for i in order])


def split(c: Context) -> None:
    """SPLIT (axis, source) and SPLIT_V (source, sizes, axis)."""
    position, axis_input = (1, 0) if c.operator.name == "SPLIT" else (0, 2)
    source = c.input(position)
    axis = c.axis(c.integers(axis_input)[0], len(source.shape))
    steps = dense_strides(source.shape)
    at = 0
    for output in c.outputs:
        c.need(len(output.shape) == len(source.shape), f"{output} is no part of {source}")
        expected = [*source.shape[:axis], output.shape[axis], *source.shape[axis + 1 :]]
        c.shape(output, expected)
        extract(c, source, output, expected, at * steps[axis], steps)
        at += output.shape[axis]
    c.need(at == source.shape[axis], f"its outputs make {at} of the {source.shape[axis]} slices of {source}")


def unpack(c: Context) -> None:
    source = c.input(0)
    axis = c.axis(c.options["axis"], len(source.shape))
    c.need(len(c.outputs) == source.shape[axis], f"it has {len(c.outputs)} outputs for {source}")
    steps = dense_strides(source.shape)
    rest = [i for i in range(len(source.shape)) if i != axis]
    for at, output in enumerate(c.outputs):
        c.shape(output, [source.shape[i] for i in rest])
        extract(c, source, output, [source.shape[i] for i in rest], at * steps[axis], [steps[i] for i in rest])


def slice_(c: Context) -> None:
    source, output = c.input(0), c.output
    begin, size = c.integers(1), c.integers(2)
    c.need(len(begin) == len(size) == len(source.shape), f"its bounds do not fit {source}")
    dims = [n - b if s == -1 else s for n, b, s in zip(source.shape, begin, size, strict=True)]
    inside = all(b >= 0 and d >= 1 and b + d <= n for n, b, d in zip(source.shape, begin, dims, strict=True))
    c.need(inside, f"it reaches beyond {source}")
    c.shape(output, dims)
    steps = dense_strides(source.shape)
    extract(c, source, output, dims, sum(b * s for b, s in zip(begin, steps, strict=True)), steps)


def strided_slice(c: Context) -> None:
    source, output = c.input(0), c.output
    options = c.options
    c.need(not options["ellipsis_mask"] and not options["new_axis_mask"], "its ellipsis or new axis is not supported")
    c.need(not options["offset"], "ends given as offsets are not supported")
    bounds = [c.integers(position) for position in (1, 2, 3)]
    c.need(all(len(b) == len(source.shape) for b in bounds), f"its bounds do not fit {source}")
    dims, steps, start = [], [], 0
    for axis, (n, step) in enumerate(zip(source.shape, dense_strides(source.shape), strict=True)):
        first, count, stride = _range(c, n, *(b[axis] for b in bounds), axis)
        start += first * step
        dims.append(count)
        steps.append(stride * step)
    kept = [count for axis, count in enumerate(dims) if not options["shrink_axis_mask"] >> axis & 1]
    c.shape(output, kept)
    extract(c, source, output, dims, start, steps)


def _range(c: Context, n: int, begin: int, end: int, stride: int, axis: int) -> tuple[int, int, int]:
    """(first index, count, stride) along one axis, with NumPy's meaning of negative and absent bounds."""
    c.need(stride > 0, "strides must be positive")
    if c.options["shrink_axis_mask"] >> axis & 1:
        return c.axis(begin, n), 1, 1
    indices = range(n)[
        None if c.options["begin_mask"] >> axis & 1 else begin :
        None if c.options["end_mask"] >> axis & 1 else end :
        stride
    ]  # fmt: skip
    c.need(len(indices) > 0, f"it takes nothing along axis {axis}")
    return indices[0], len(indices), stride


def space_to_depth(c: Context) -> None:
    source, output, block = c.input(0), c.output, _block(c)
    batches, height, width, depth = source.shape
    c.need(height % block == width % block == 0, f"blocks of {block} do not divide {source}")
    dims = [batches, height // block, width // block, block, block * depth]
    c.shape(output, (*dims[:3], block * dims[4]))
    row = width * depth
    extract(c, source, output, dims, 0, [height * row, block * row, block * depth, row, 1])


def depth_to_space(c: Context) -> None:
    source, output, block = c.input(0), c.output, _block(c)
    batches, height, width, depth = source.shape
    c.need(depth % block**2 == 0, f"{depth} channels are no blocks of {block} x {block}")
    run = depth // block  # a row of a block
    c.shape(output, (batches, height * block, width * block, run // block))
    row = width * depth
    extract(c, source, output, [batches, height, block, width, run], 0, [height * row, row, run, depth, 1])


def _block(c: Context) -> int:
    source, block = c.input(0), c.options["block_size"]
    c.kind(source, c.output)
    c.need(len(source.shape) == 4, f"{source} is not 4-D")
    c.need(block >= 1, f"its block size is {block}")
    return block


def broadcast_to(c: Context) -> None:
    source, output = c.input(0), c.output
    c.kind(source, output, wide=True)
    missing = len(output.shape) - len(source.shape)
    aligned = (1,) * missing + source.shape
    fits = missing >= 0 and all(n in (1, m) for n, m in zip(aligned, output.shape, strict=True))
    c.need(fits, f"{source} cannot be broadcast to {output}")
    steps = [0 if n == 1 else step for n, step in zip(aligned, dense_strides(aligned), strict=True)]
    extract(c, source, output, list(output.shape), 0, steps)


def gather(c: Context) -> None:
    """GATHER with indices that are known."""
    source, indices, output = c.input(0), c.input(1), c.output
    axis = c.axis(c.options["axis"], len(source.shape))
    c.need(c.options["batch_dims"] == 0, "batch dimensions are not supported")
    c.kind(source, output)
    chosen = c.integers(1)
    c.need(all(0 <= i < source.shape[axis] for i in chosen), f"its indices reach beyond {source}")
    before, after = list(source.shape[:axis]), list(source.shape[axis + 1 :])
    c.shape(output, [*before, *indices.shape, *after])
    steps_in = dense_strides(source.shape)
    steps_out = dense_strides([*before, len(chosen), *after])
    item = np.dtype(source.dtype).itemsize
    for at, index in enumerate(chosen):
        move(
            c,
            Operand(source.index, index * steps_in[axis] * item),
            Operand(output.index, at * steps_out[axis] * item),
            source.dtype,
            (*before, *after),
            steps_in[:axis] + steps_in[axis + 1 :],
            steps_out[:axis] + steps_out[axis + 1 :],
        )


def insert(c: Context, source: Tensor, target: Tensor, start: list[int]) -> None:
    """Copy `source` into `target`, its first element at index `start`."""
    c.need(source.dtype == target.dtype, f"{source} and {target} differ in type")
    steps = dense_strides(target.shape)
    offset = sum(s * n for s, n in zip(steps, start, strict=True)) * np.dtype(target.dtype).itemsize
    move(
        c,
        source.index,
        Operand(target.index, offset),
        target.dtype,
        source.shape,
        dense_strides(source.shape),
        steps,
    )


def concatenation(c: Context) -> None:
    output = c.output
    axis = c.axis(c.options["axis"], len(output.shape))
    c.need(c.options["activation"] == "NONE", "a fused activation is not supported")
    at = 0
    for position in range(len(c.operator.inputs)):
        source = c.input(position)
        c.need(len(source.shape) == len(output.shape), f"{source} is no part of {output}")
        c.shape(source, [*output.shape[:axis], source.shape[axis], *output.shape[axis + 1 :]])
        insert(c, source, output, [at if i == axis else 0 for i in range(len(output.shape))])
        at += source.shape[axis]
    c.need(at == output.shape[axis], f"its inputs make {at} of the {output.shape[axis]} slices of {output}")


def pack(c: Context) -> None:
    output = c.output
    axis = c.axis(c.options["axis"], len(output.shape))
    c.need(len(c.operator.inputs) == output.shape[axis], f"it has {len(c.operator.inputs)} inputs for {output}")
    steps = dense_strides(output.shape)
    rest = [i for i in range(len(output.shape)) if i != axis]
    for at in range(len(c.operator.inputs)):
        source = c.input(at)
        c.need(source.dtype == output.dtype, f"{source} and {output} differ in type")
        c.shape(source, [output.shape[i] for i in rest])
        offset = at * steps[axis] * np.dtype(output.dtype).itemsize
        target = Operand(output.index, offset)
        move(c, source.index, target, output.dtype, source.shape, dense_strides(source.shape), [steps[i] for i in rest])


def pad(c: Context) -> None:
    """PAD with zeros and PADV2 with a constant."""
    source, output = c.input(0), c.output
    margins = _margins(c, 1, len(source.shape))
    kind = c.kind(source, output, wide=True)
    if c.optional(2) is not None:
        value = c.constant(2, output.dtype).reshape(-1)[0].item()
    else:
        value = 0.0 if kind == "f32" else output.zero_point
    surround(c, source, output, margins, value)
    c.program.padded[output.index] = Padding(source.index, margins, value)


Margins = tuple[tuple[int, int], ...]


def _margins(c: Context, position: int, axes: int) -> Margins:
    """The elements before and behind along each of so many axes, which an input gives."""
    margins = c.constant(position)
    c.need(margins.shape == (axes, 2) and (margins >= 0).all(), f"its margins do not fit {c.input(0)}")
    return tuple((int(before), int(behind)) for before, behind in margins)


def surround(c: Context, source: Tensor, target: Tensor, margins: Margins, value: float) -> None:
    """target = `source` with `value` around it."""
    c.shape(target, [n + sum(pair) for n, pair in zip(source.shape, margins, strict=True)])
    if target.size != source.size:
        fill(c, target, value)
    insert(c, source, target, [before for before, _ in margins])


def fill(c: Context, target: Tensor, value: float) -> None:
    parameters = {"count": target.size, "value": value}
    c.program.call(c.operator, f"fill_{SUFFIX[target.dtype]}", parameters, (), target.index)


def space_to_batch(c: Context) -> None:
    """The elements at one place of all blocks become an image of their own."""
    source, output = c.input(0), c.output
    c.kind(source, output)
    block, margins = _blocks(c)
    k = len(block)
    if any(any(pair) for pair in margins):
        around = ((0, 0), *margins, *[(0, 0)] * (len(source.shape) - 1 - k))
        whole = c.program.temporary(tuple(n + sum(m) for n, m in zip(source.shape, around, strict=True)), source)
        surround(c, source, whole, around, 0)  # TFLite Micro's zero is the integer, whatever the zero point is
        source = whole
    batches, sides, rest = source.shape[0], source.shape[1 : 1 + k], source.shape[1 + k :]
    c.need(all(n % b == 0 for n, b in zip(sides, block, strict=True)), f"blocks of {block} do not divide {source}")
    counts = [n // b for n, b in zip(sides, block, strict=True)]
    c.shape(output, (prod(block) * batches, *counts, *rest))
    batch, *steps = dense_strides(source.shape)
    between = [b * step for b, step in zip(block, steps[:k], strict=True)]
    extract(c, source, output, [*block, batches, *counts, *rest], 0, [*steps[:k], batch, *between, *steps[k:]])


def batch_to_space(c: Context) -> None:
    """The contrary of SPACE_TO_BATCH_ND; margins are cut off at the end."""
    source, output = c.input(0), c.output
    c.kind(source, output)
    block, margins = _blocks(c)
    k = len(block)
    c.need(source.shape[0] % prod(block) == 0, f"blocks of {block} do not divide {source}")
    batches, sides, rest = source.shape[0] // prod(block), source.shape[1 : 1 + k], source.shape[1 + k :]
    batch, *steps = dense_strides(source.shape)
    dims, moves = [batches], [batch]
    for i in range(k):
        dims += [sides[i], block[i]]
        moves += [steps[i], batch * batches * prod(block[i + 1 :])]
    full = (batches, *(n * b for n, b in zip(sides, block, strict=True)), *rest)
    inner = [n - sum(pair) for n, pair in zip(full[1:], margins, strict=False)]
    c.need(min(inner) >= 1, f"its margins leave nothing of {source}")
    c.shape(output, (batches, *inner, *rest))
    target = output if output.shape == full else c.program.temporary(full, source)
    extract(c, source, target, [*dims, *rest], 0, [*moves, *steps[k:]])
    if target is not output:
        steps = dense_strides(full)
        start = sum(before * step for (before, _), step in zip(margins, steps[1:], strict=False))
        extract(c, target, output, list(output.shape), start, steps)


def _blocks(c: Context) -> tuple[list[int], Margins]:
    """The sides of a block, and the margins, along the axes that follow the first one."""
    source, block = c.input(0), c.integers(1)
    c.need(0 < len(block) < len(source.shape) and min(block) >= 1, f"blocks of {block} do not fit {source}")
    return block, _margins(c, 2, len(block))


LOWERINGS = {
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": reshape,
    "TRANSPOSE": transpose,
    "SPLIT": split,
    "SPLIT_V": split,
    "UNPACK": unpack,
    "SLICE": slice_,
    "STRIDED_SLICE": strided_slice,
    "GATHER": gather,
    "SPACE_TO_DEPTH": space_to_depth,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "BATCH_TO_SPACE_ND": batch_to_space,
    "BROADCAST_TO": broadcast_to,
    "CONCATENATION": concatenation,
    "PACK": pack,
    "PAD": pad,
    "PADV2": pad,
}
