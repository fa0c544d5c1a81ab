"""FULLY_CONNECTED."""

import numpy as np

from tinyloc.aot.graph import Operator, Tensor
from tinyloc.aot.lower.common import Context, scales
from tinyloc.aot.program import Constant, Program
from tinyloc.aot.quantise import activation_range


def fully_connected(program: Program, operator: Operator) -> None:
    c = Context(program, operator)
    source, weights, output = c.input(0), c.input(1), c.output
    c.need(c.options["weights_format"] == 0, "its weights are shuffled")
    matrix = c.constant(1)
    c.need(matrix.ndim == 2, f"its weights {weights} are not a matrix")
    units, depth = matrix.shape
    c.need(source.size % depth == 0, f"{source} does not divide into rows of {depth}")
    rows = source.size // depth
    c.need(output.size == rows * units, f"{output} does not hold {rows} rows of {units}")
    fully_connected_s8(c, source, weights, output, rows)


def fully_connected_s8(c: Context, source: Tensor, weights: Tensor, output: Tensor, rows: int) -> None:
    c.kind(source, output)
    units, depth = weights.shape
    low, high = activation_range(c.options["activation"], output)
    reals = dense_factors(c, source, weights, output)
    parameters = {
        "rows": rows,
        "depth": depth,
        "units": units,
        "weights": Constant("int8_t", weights.data.reshape(-1)),
        "bias": folded_bias(c, source, weights, units),
        "scale": scales(reals),
        "scale_step": int(len(reals) > 1),
        "zero_out": output.zero_point,
        "low": low,
        "high": high,
    }
    c.program.call(
        c.operator, "fully_connected_s8", parameters, (source.index,), output.index, macs=rows * units * depth
    )


def dense_factors(c: Context, source: Tensor, weights: Tensor, output: Tensor) -> list[float]:
    """input scale x weight scale / output scale: one for the tensor, or one for each unit.

    For a single weight scale TFLite multiplies the two in single precision before it divides in double.
    """
    c.need(weights.quantisation is not None, f"its weights {weights} have no scale")
    scale = weights.quantisation.scale
    if scale.size == 1:
        return [float(source.scale * scale[0]) / float(output.scale)]
    c.need(weights.quantisation.axis == 0, f"its weights {weights} are not quantised by unit")
    return [float(source.scale) * float(s) / float(output.scale) for s in scale]


def folded_bias(c: Context, source: Tensor, weights: Tensor, units: int, position: int = 2) -> Constant:
    """bias - zero_in * (sum of each unit's weights), [units] int32: moves the input's zero point out of the loop."""
    c.need(weights.dtype == "int8", f"there is no kernel for the weights {weights}")
    c.need(not weights.quantisation.zero_point.any(), f"its weights {weights} have a zero point")
    total = -source.zero_point * weights.data.reshape(units, -1).astype(np.int64).sum(axis=1)
    if c.optional(position) is not None:
        bias = c.constant(position, "int32")
        c.need(bias.size == units, f"its bias has {bias.size} values for {units} units")
        total = total + bias.reshape(-1)
    # The sum may wrap as TFLite's 32-bit accumulator would; the final result is the same modulo 2^32.
    return Constant("int32_t", total.astype(np.int32))


LOWERINGS = {"FULLY_CONNECTED": fully_connected}
