"""CONV_2D, also in groups, DEPTHWISE_CONV_2D and TRANSPOSE_CONV."""

from dataclasses import replace

import numpy as np

from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import (
    Context,
    array,
    channels,
    dense_strides,
    joined,
    pack_units,
    pack_wide_units,
    wide_channels,
    widened,
)
from tinyloc.aot.lower.dense import bias, check_weights, factors, float_bias, integer_units, wide_bias, wide_units
from tinyloc.aot.lower.layout import fill, move
from tinyloc.aot.program import Operand
from tinyloc.aot.quantise import activation_range, float_activation_range


def conv(c: Context) -> None:
    source, weights, output = c.input(0), c.input(1), c.output
    c.constant(1)
    c.need(len(source.shape) == len(weights.shape) == 4, f"{source} and {weights} are not both 4-D")
    batches, _, _, in_c = source.shape
    out_c, filter_h, filter_w, depth = weights.shape
    c.need(in_c % depth == 0, f"{in_c} channels do not divide into groups of {depth}")
    groups = in_c // depth
    c.need(out_c % groups == 0, f"{out_c} output channels do not divide into {groups} groups")
    kind = _kind(c, source, weights, output)
    given, margins = _unpadded(c, source)
    view = window(c, source, filter_h, filter_w, out_c, margins)
    zero = np.full(depth, source.zero_point if kind == "s8" else 0, source.dtype)
    parameters = {
        "shape": (view, batches, in_c, out_c, groups, depth, out_c),
        "padding": array(zero),
    }
    length = filter_h * filter_w * depth
    if kind == "s8":
        per_group = weights.data.reshape(groups, -1, length)
        parameters["weights"] = joined([pack_units(one) for one in per_group])
        parameters["units"] = integer_units(c, source, weights, output, length, out_c // groups, groups)
        scratch = widened(2, length) + length
    elif kind == "s16":
        parameters["weights"] = joined([pack_wide_units(one) for one in weights.data.reshape(groups, -1, length)])
        parameters["units"] = wide_units(c, source, weights, output, length, out_c // groups, groups)
        scratch = 2 * length
    else:
        parameters["weights"] = array(weights.data)
        low, high = float_activation_range(c.options["activation"])
        parameters |= {"bias": float_bias(c, out_c), "low": low, "high": high}
        scratch = 4 * length
    c.program.call(
        c.operator,
        f"conv_{kind}",
        parameters,
        (given,),
        output.index,
        macs=output.size * length,
        scratch=c.program.scratch(scratch),
    )


def depthwise_conv(c: Context) -> None:
    source, weights, output = c.input(0), c.input(1), c.output
    c.constant(1)
    c.need(len(source.shape) == len(weights.shape) == 4, f"{source} and {weights} are not both 4-D")
    batches, _, _, in_c = source.shape
    one, filter_h, filter_w, out_c = weights.shape
    c.need(one == 1 and out_c % in_c == 0, f"its weights {weights} do not fit {in_c} channels")
    kind = _kind(c, source, weights, output)
    given, margins = _unpadded(c, source)
    view = window(c, source, filter_h, filter_w, out_c, margins)
    parameters = {
        "window": view,
        "batches": batches,
        "in_c": in_c,
        "multiplier": out_c // in_c,
        "weights": array(weights.data),
    }
    if kind == "s8":
        # Where taps are left out at the edges, a bias could not hold the correction for the zero point.
        biases = bias(c, out_c)
        largest = np.abs(biases) + 255 * np.abs(weights.data.astype(np.int64)).sum(axis=(0, 1, 2))
        reals = factors(c, source, weights, output, axis=3)
        low, high = activation_range(c.options["activation"], output)
        parameters |= {
            "channels": channels(reals, output.zero_point, biases, largest),
            "zero_in": source.zero_point,
            "low": low,
            "high": high,
        }
    elif kind == "s16":
        low, high = activation_range(c.options["activation"], output)
        rows = wide_channels(factors(c, source, weights, output, axis=3), wide_bias(c, out_c))
        parameters |= {"channels": rows, "low": low, "high": high}
    else:
        low, high = float_activation_range(c.options["activation"])
        parameters |= {"bias": float_bias(c, out_c), "low": low, "high": high}
    c.program.call(
        c.operator,
        f"depthwise_conv_{kind}",
        parameters,
        (given,),
        output.index,
        macs=output.size * filter_h * filter_w,
    )


def _kind(c: Context, source: Tensor, weights: Tensor, output: Tensor) -> str:
    kind = c.kind(source, output, wide=True)
    check_weights(c, source, weights)
    # Without an int64 bias TFLite Micro would sum in 32 bits, and round in another way.
    c.need(kind != "s16" or c.optional(2) is not None, "there is no kernel for int16 without a bias")
    return kind


Margins = tuple[tuple[int, int], tuple[int, int]]  # above and below, left and right of an image
NO_MARGINS: Margins = ((0, 0), (0, 0))


def window(
    c: Context, source: Tensor, filter_h: int, filter_w: int, out_c: int, margins: Margins = NO_MARGINS
) -> tuple[int, ...]:
    """The fields of a struct tl_window, with TensorFlow's SAME or VALID padding. Checks the output's shape.

    margins: those of `source` that are not in memory.
    """
    batches, in_h, in_w, _ = source.shape
    stride_h, stride_w = c.options["stride_h"], c.options["stride_w"]
    dilation_h, dilation_w = c.options.get("dilation_h", 1), c.options.get("dilation_w", 1)
    c.need(min(stride_h, stride_w, dilation_h, dilation_w) >= 1, "its strides and dilations must be positive")
    out_h, pad_top = _extent(c, in_h, filter_h, stride_h, dilation_h)
    out_w, pad_left = _extent(c, in_w, filter_w, stride_w, dilation_w)
    c.shape(c.output, (batches, out_h, out_w, out_c))
    real = (in_h - sum(margins[0]), in_w - sum(margins[1]))
    pairs = [real, (out_h, out_w), (filter_h, filter_w), (stride_h, stride_w), (dilation_h, dilation_w)]
    pairs.append((pad_top + margins[0][0], pad_left + margins[1][0]))
    if in_w == out_w == filter_w == 1:
        # A column lies in memory as a row does, and along a row the kernels are quicker.
        pairs = [(across, along) for along, across in pairs]
    return tuple(value for pair in pairs for value in pair)


def _unpadded(c: Context, source: Tensor) -> tuple[int, Margins]:
    """What to read for `source`, and its margins that are not in memory: those that a PAD put around its rows and
    columns, with what a convolution takes for zero outside of its input."""
    zero = source.zero_point if source.dtype == "int8" else 0
    for index in c.program.same_elements(source.index):
        padding = c.program.padded.get(index)
        if padding is not None and padding.value == zero:
            around = _along(c.program.tensors[index].shape, padding.margins, source.shape)
            if around is not None and not any(around[0] + around[3]):
                return padding.source, around[1:3]
    return source.index, NO_MARGINS


def _along(shape: tuple[int, ...], margins: tuple, other: tuple[int, ...]) -> tuple | None:
    """The margins along the axes of `other`, which is `shape` with ones put in or left out; None if it is not."""
    longer = iter([pair for pair in zip(shape, margins, strict=True) if pair[0] > 1])
    found = tuple(next(longer, (0, None)) if n > 1 else (1, (0, 0)) for n in other)
    fits = tuple(n for n, _ in found) == other and next(longer, None) is None
    return tuple(around for _, around in found) if fits else None


def _extent(c: Context, size: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """(output length, elements of padding before the first) along one axis."""
    reach = (taps - 1) * dilation + 1
    if c.options["padding"] == "VALID":
        c.need(size >= reach, f"a window of {reach} does not fit into {size}")
        return -(-(size - reach + 1) // stride), 0
    count = -(-size // stride)
    return count, max((count - 1) * stride + reach - size, 0) // 2


def transpose_conv(c: Context) -> None:
    """A convolution with the weights turned round, over the input with zeros between its pixels and around them.

    The zeros cost a product each, as many as the strides multiplied for every one that counts.
    """
    weights, source, output = c.input(1), c.input(2), c.output
    kind = c.kind(source, output, wide=True)
    c.need(
        len(source.shape) == len(weights.shape) == len(output.shape) == 4, f"{source} and {weights} are not both 4-D"
    )
    c.need(c.options["activation"] == "NONE", "a fused activation is not supported")
    strides = c.options["stride_h"], c.options["stride_w"]
    c.need(min(strides) >= 1, "its strides must be positive")
    batches, *sides, depth = source.shape
    taps, spread, first = weights.shape[1:3], [], []
    for size, wanted, reach, stride in zip(sides, output.shape[1:3], taps, strides, strict=True):
        count, before = _extent(c, wanted, reach, stride, 1)
        c.need(count == size, f"{output} is not what {source} spreads to")
        spread.append(wanted + reach - 1)
        first.append(reach - 1 - before)
    apart = c.program.temporary((batches, *spread, depth), source)
    fill(c, apart, 0.0 if kind == "f32" else source.zero_point)
    batch, row, pixel, _ = dense_strides(apart.shape)
    origin = (first[0] * row + first[1] * pixel) * np.dtype(source.dtype).itemsize
    steps = [batch, row * strides[0], pixel * strides[1], 1]
    move(c, source.index, Operand(apart.index, origin), source.dtype, source.shape, dense_strides(source.shape), steps)
    turned = np.ascontiguousarray(c.constant(1)[:, ::-1, ::-1])
    inputs = apart.index, c.program.constant(weights.name, turned, weights.quantisation).index, *c.operator.inputs[3:]
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "activation": "NONE"}
    conv(Context(c.program, replace(c.operator, inputs=inputs, options=options)))


LOWERINGS = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise_conv, "TRANSPOSE_CONV": transpose_conv}
