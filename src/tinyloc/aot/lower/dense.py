"""FULLY_CONNECTED."""

import numpy as np

from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import Context, array, scales
from tinyloc.aot.program import Constant
from tinyloc.aot.quantise import activation_range, float_activation_range


def fully_connected(c: Context) -> None:
    source, weights, output = c.input(0), c.input(1), c.output
    c.need(c.options["weights_format"] == 0, "its weights are shuffled")
    c.constant(1)
    c.need(len(weights.shape) == 2, f"its weights {weights} are not a matrix")
    units, depth = weights.shape
    c.need(source.size % depth == 0, f"{source} does not divide into rows of {depth}")
    rows = source.size // depth
    c.need(output.size == rows * units, f"{output} does not hold {rows} rows of {units}")
    kind = c.kind(source, output)
    check_weights(c, source, weights)
    parameters = {"rows": rows, "depth": depth, "units": units, "weights": array(weights.data)}
    parameters |= dense_parameters(c, source, weights, output, units)
    c.program.call(
        c.operator,
        f"fully_connected_{kind}",
        parameters,
        (source.index,),
        output.index,
        macs=rows * units * depth,
    )


def dense_parameters(c: Context, source: Tensor, weights: Tensor, output: Tensor, units: int) -> dict:
    """What dense layers and convolutions have in common: bias, scales and the bounds of the output."""
    if source.dtype == "float32":
        low, high = float_activation_range(c.options["activation"])
        return {"bias": float_bias(c, units), "low": low, "high": high}
    folded = bias(c, units) - source.zero_point * unit_sums(weights, units)
    return {"bias": wrapped(folded), **integer_parameters(c, source, weights, output, axis=0)}


def integer_parameters(c: Context, source: Tensor, weights: Tensor, output: Tensor, axis: int) -> dict:
    low, high = activation_range(c.options["activation"], output)
    reals = factors(c, source, weights, output, axis)
    return {
        "scale": scales(reals),
        "scale_step": int(len(reals) > 1),
        "zero_out": output.zero_point,
        "low": low,
        "high": high,
    }


def factors(c: Context, source: Tensor, weights: Tensor, output: Tensor, axis: int) -> list[float]:
    """input scale x weight scale / output scale: one for the tensor, or one for each output channel (`axis`)."""
    scale = weights.quantisation.scale
    along = scale.size == 1 or weights.quantisation.axis == axis
    c.need(along, f"its weights {weights} are not quantised by output channel")
    return [float(source.scale) * float(s) / float(output.scale) for s in scale]


def check_weights(c: Context, source: Tensor, weights: Tensor) -> None:
    c.need(weights.dtype == source.dtype, f"there is no kernel for the weights {weights} and {source}")
    if weights.dtype == "int8":
        c.need(weights.quantisation is not None, f"its weights {weights} have no scale")
        c.need(not weights.quantisation.zero_point.any(), f"its weights {weights} have a zero point")


def unit_sums(weights: Tensor, units: int) -> np.ndarray:
    """[units] int64. With them the input's zero point moves out of the inner loop, into the bias."""
    return weights.data.reshape(units, -1).sum(axis=1, dtype=np.int64)


def bias(c: Context, units: int) -> np.ndarray:
    """[units] int64; zeros where the operator has none."""
    if c.optional(2) is None:
        return np.zeros(units, np.int64)
    values = c.constant(2, "int32").reshape(-1)
    c.need(values.size == units, f"its bias has {values.size} values for {units} units")
    return values.astype(np.int64)


def wrapped(values: np.ndarray) -> Constant:
    """int32 constants; a sum beyond them wraps as TFLite's accumulator would, so the final sum is the same."""
    return array(values.astype(np.int32))


def float_bias(c: Context, units: int) -> Constant:
    if c.optional(2) is None:
        return array(np.zeros(units, np.float32))
    values = c.constant(2, "float32").reshape(-1)
    c.need(values.size == units, f"its bias has {values.size} values for {units} units")
    return array(values)


LOWERINGS = {"FULLY_CONNECTED": fully_connected}
