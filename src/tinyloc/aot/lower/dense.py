"""FULLY_CONNECTED."""

import numpy as np

from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import (
    Context,
    array,
    channels,
    pack_units,
    pack_wide_units,
    units,
    wide_channels,
    widened,
)
from tinyloc.aot.program import Constant
from tinyloc.aot.quantise import activation_range, float_activation_range, limits


def fully_connected(c: Context) -> None:
    source, weights, output = c.input(0), c.input(1), c.output
    c.need(c.options["weights_format"] == 0, "its weights are shuffled")
    c.constant(1)
    c.need(len(weights.shape) == 2, f"its weights {weights} are not a matrix")
    count, depth = weights.shape
    c.need(source.size % depth == 0, f"{source} does not divide into rows of {depth}")
    rows = source.size // depth
    c.need(output.size == rows * count, f"{output} does not hold {rows} rows of {count}")
    kind = c.kind(source, output, wide=True)
    check_weights(c, source, weights)
    scratch = None
    if kind == "s8":
        parameters = {
            "rows": rows,
            "out_step": count,
            "weights": pack_units(weights.data),
            "units": integer_units(c, source, weights, output, depth, count),
        }
        scratch = c.program.scratch(widened(rows, depth))
    elif kind == "s16":
        fields = wide_units(c, source, weights, output, depth, count)
        parameters = {"rows": rows, "out_step": count, "weights": pack_wide_units(weights.data), "units": fields}
    else:
        low, high = float_activation_range(c.options["activation"])
        parameters = {"rows": rows, "out_step": count, "depth": depth, "units": count}
        parameters |= {"weights": array(weights.data), "bias": float_bias(c, count), "low": low, "high": high}
    c.program.call(
        c.operator,
        f"fully_connected_{kind}",
        parameters,
        (source.index,),
        output.index,
        macs=rows * count * depth,
        scratch=scratch,
    )


def integer_units(
    c: Context, source: Tensor, weights: Tensor, output: Tensor, depth: int, count: int, groups: int = 1
) -> tuple:
    """The fields of a struct tl_units of `count` units of `depth` weights in each group.

    With the sums of the weights the input's zero point moves out of the inner loop, into the bias.
    """
    total = count * groups
    values = weights.data.reshape(total, -1).astype(np.int64)
    # An accumulator that overflows wraps as TFLite's would, so the final sum is the same.
    folded = (bias(c, total) - source.zero_point * values.sum(axis=1)).astype(np.int32).astype(np.int64)
    largest = np.abs(folded) + 128 * np.abs(values).sum(axis=1)
    low, high = activation_range(c.options["activation"], output)
    reals = factors(c, source, weights, output, axis=0)
    return units(depth, count, channels(reals, output.zero_point, folded, largest), low, high)


def wide_units(
    c: Context, source: Tensor, weights: Tensor, output: Tensor, depth: int, count: int, groups: int = 1
) -> tuple:
    """The fields of a struct tl_units_s16 of `count` units of `depth` weights in each group."""
    low, high = activation_range(c.options["activation"], output)
    rows = wide_channels(factors(c, source, weights, output, axis=0), wide_bias(c, count * groups))
    return (count, depth, rows, int((low, high) != limits(output)), low, high)


def factors(c: Context, source: Tensor, weights: Tensor, output: Tensor, axis: int) -> list[float]:
    """input scale x weight scale / output scale: one for the tensor, or one for each output channel (`axis`)."""
    scale = weights.quantisation.scale
    along = scale.size == 1 or weights.quantisation.axis == axis
    c.need(along, f"its weights {weights} are not quantised by output channel")
    return [float(source.scale) * float(s) / float(output.scale) for s in scale]


def check_weights(c: Context, source: Tensor, weights: Tensor) -> None:
    expected = "int8" if source.dtype == "int16" else source.dtype
    c.need(weights.dtype == expected, f"there is no kernel for the weights {weights} and {source}")
    if weights.dtype == "int8":
        c.need(weights.quantisation is not None, f"its weights {weights} have no scale")
        c.need(not weights.quantisation.zero_point.any(), f"its weights {weights} have a zero point")


def bias(c: Context, units: int) -> np.ndarray:
    """[units] int64; zeros where the operator has none."""
    return _bias(c, units, "int32")


def wide_bias(c: Context, units: int) -> np.ndarray:
    """The same for sums of 64 bits, whose magnitude TFLite keeps below 2^47."""
    values = _bias(c, units, "int64")
    c.need((np.abs(values) < 1 << 46).all(), f"its bias {c.optional(2)} has values beyond 46 bits")
    return values


def _bias(c: Context, units: int, dtype: str) -> np.ndarray:
    if c.optional(2) is None:
        return np.zeros(units, np.int64)
    values = c.constant(2, dtype).reshape(-1)
    c.need(values.size == units, f"its bias has {values.size} values for {units} units")
    return values.astype(np.int64)


def float_bias(c: Context, units: int) -> Constant:
    if c.optional(2) is None:
        return array(np.zeros(units, np.float32))
    values = c.constant(2, "float32").reshape(-1)
    c.need(values.size == units, f"its bias has {values.size} values for {units} units")
    return array(values)


LOWERINGS = {"FULLY_CONNECTED": fully_connected}
