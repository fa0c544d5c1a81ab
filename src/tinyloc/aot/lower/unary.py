"""Operators of one operand: activations and other functions, SOFTMAX, L2_NORMALIZATION, QUANTIZE, DEQUANTIZE.

An int8 function of one int8 becomes a table; int16 has kernels of its own.
"""

import math
from collections.abc import Callable

import numpy as np

from tinyloc.aot import tables
from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import SUFFIX, Context, array, call_table
from tinyloc.aot.lower.slopes import wide_abs
from tinyloc.aot.quantise import INT8_MAX, INT8_MIN, activation_range, float_activation_range, limits, scale_of

INTEGERS = {"int8", "int16"}
Table = Callable[[Tensor, Tensor], np.ndarray]
Wide = Callable[[Context], None]


def unary(kernel: str, table: Table | None = None, wide: Wide | None = None) -> Callable[[Context], None]:
    """The lowering of a function that has a float kernel and, perhaps, a table for int8 and a kernel for int16."""

    def lowering(c: Context) -> None:
        source, output = c.input(0), c.output
        kind = c.kind(source, output, wide=wide is not None)
        c.same_size(source, output)
        if kind == "s16":
            wide(c)
            return
        if kind == "f32":
            parameters = {"count": source.size}
            c.program.call(
                c.operator,
                f"{kernel}_f32",
                parameters,
                (source.index,),
                output.index,
                in_place=(0,),
                block="unary_f32",
            )
        else:
            c.need(table is not None, "there is no integer kernel for it")
            call_table(c, table(source, output), source)

    return lowering


def wide_sigmoid(kernel: str, exact: tuple[int, ...]) -> Wide:
    """TANH and LOGISTIC of int16; TFLite fixes the output at scale 1/32768. exact: see tables.sigmoid_scale."""

    def lowering(c: Context) -> None:
        source = c.input(0)
        c.need(float(c.output.scale) == 1 / 32768, "its output must have scale 1/32768")
        multiplier, right = tables.sigmoid_scale(source, exact)
        table = array(tables.sigmoid())
        parameters = {"count": source.size, "multiplier": multiplier, "right": right, "table": table}
        more = {"in_place": (0,), "block": "sigmoid_s16"}
        c.program.call(c.operator, f"{kernel}_s16", parameters, (source.index,), c.output.index, **more)

    return lowering


def wide_rsqrt(c: Context) -> None:
    """RSQRT. Inputs below zero, which make TFLite Micro stop with an error, give the largest output, as zero does."""
    source = c.input(0)
    parameters = {"count": source.size, "scale": tables.wide_rsqrt_scale(source, c.output)}
    c.program.call(c.operator, "rsqrt_s16", parameters, (source.index,), c.output.index, in_place=(0,))


def requantize(c: Context, low: int, high: int) -> None:
    """Integers of one type, scale and zero point to integers of others, not both int8, from `low` to `high`."""
    source, output = c.input(0), c.output
    parameters = {
        "count": source.size,
        "zero_in": source.zero_point,
        "zero_out": output.zero_point,
        "scale": scale_of(float(source.scale) / float(output.scale)),
        "low": low,
        "high": high,
    }
    kernel = f"requantize_{SUFFIX[source.dtype]}_{SUFFIX[output.dtype]}"
    in_place = (0,) if source.dtype == output.dtype else ()
    c.program.call(c.operator, kernel, parameters, (source.index,), output.index, in_place=in_place, block="requantize")


def rectifier(c: Context) -> None:
    """RELU and RELU6."""
    source, output = c.input(0), c.output
    kind = c.kind(source, output, wide=True)
    c.same_size(source, output)
    if kind != "f32" and c.operator.name == "RELU6":
        c.same_quantisation(source, output)  # TFLite Micro's RELU6 clamps the integers
    if kind == "s16":
        requantize(c, *activation_range(c.operator.name, output))
        return
    if kind == "s8":
        call_table(c, relu_table(c, source, output), source)
        return
    low, high = float_activation_range(c.operator.name)
    parameters = {"count": source.size, "low": low, "high": high}
    c.program.call(c.operator, "clamp_f32", parameters, (source.index,), output.index, in_place=(0,))


def relu_table(c: Context, source: Tensor, output: Tensor) -> np.ndarray:
    if c.operator.name == "RELU":
        return tables.rescale(source, output, *activation_range("RELU", output))
    low, high = activation_range("RELU6", source)
    return tables.tabulate(lambda q: max(low, min(high, q)))


def softmax(c: Context) -> None:
    source, output = c.input(0), c.output
    kind = c.kind(source, output, wide=True)
    c.same_size(source, output)
    depth = source.shape[-1] if source.shape else 1
    beta = c.options["beta"]
    c.need(0 < beta < math.inf, f"its beta is {beta}")
    parameters = {"rows": source.size // depth, "depth": depth}
    if kind == "f32":
        parameters["beta"] = beta
    elif kind == "s16":
        c.need(float(output.scale) == 1 / 32768, "its output must have scale 1/32768")
        c.need(depth <= 1 << 15, f"rows of {depth} would overflow the sum")
        parameters |= {
            "scale": tables.wide_softmax_scale(source, beta),
            "exp": array(tables.interpolated(math.exp, -tables.SOFTMAX_RANGE, 0.0)),
            "reciprocal": array(tables.interpolated(lambda x: 1 / (1 + x), 0.0, 1.0)),
        }
    else:
        right = output.zero_point == INT8_MIN and float(output.scale) == 1 / 256
        c.need(right, "its output must have scale 1/256 and zero point -128")
        c.need(depth <= 1 << tables.SOFTMAX_SUM_BITS, f"rows of {depth} would overflow the sum")
        exp = tables.softmax_exp(source, beta)
        parameters |= {"exp": array(exp), "exp_count": len(exp)}
    c.program.call(c.operator, f"softmax_{kind}", parameters, (source.index,), output.index, in_place=(0,))


def l2_normalization(c: Context) -> None:
    source, output = c.input(0), c.output
    kind = c.kind(source, output)
    c.same_size(source, output)
    c.need(c.options["activation"] == "NONE", "a fused activation is not supported")
    depth = source.shape[-1] if source.shape else 1
    parameters = {"rows": source.size // depth, "depth": depth}
    if kind == "s8":
        right = output.zero_point == 0 and float(output.scale) == 1 / 128
        c.need(right, "its output must have scale 1/128 and zero point 0")
        c.need(depth <= 1 << 15, f"rows of {depth} would overflow the sum")
        parameters["zero_in"] = source.zero_point
    c.program.call(c.operator, f"l2_normalization_{kind}", parameters, (source.index,), output.index, in_place=(0,))


def quantize(c: Context) -> None:
    source, output = c.input(0), c.output
    c.same_size(source, output)
    known = output.dtype in INTEGERS and source.dtype in SUFFIX
    c.need(known, f"there is no kernel for {source.dtype} to {output.dtype}")
    c.one_scale(output)
    if source.dtype == "float32":
        parameters = {"count": source.size, "scale": float(output.scale), "zero": output.zero_point}
        kernel = f"quantize_{SUFFIX[output.dtype]}"
        c.program.call(c.operator, kernel, parameters, (source.index,), output.index, block="quantize")
        return
    c.one_scale(source)
    if source.dtype == output.dtype == "int8":
        call_table(c, tables.rescale(source, output, INT8_MIN, INT8_MAX), source)
    else:
        requantize(c, *limits(output))


def dequantize(c: Context) -> None:
    source, output = c.input(0), c.output
    c.same_size(source, output)
    known = source.dtype in INTEGERS and output.dtype == "float32"
    c.need(known, f"there is no kernel for {source.dtype} to {output.dtype}")
    c.one_scale(source)
    parameters = {"count": source.size, "scale": float(source.scale), "zero": source.zero_point}
    kernel = f"dequantize_{SUFFIX[source.dtype]}"
    c.program.call(c.operator, kernel, parameters, (source.index,), output.index, block="quantize")


LOWERINGS = {
    "TANH": unary("tanh", tables.tanh, wide_sigmoid("tanh", (-12, -11))),
    "LOGISTIC": unary("logistic", tables.logistic, wide_sigmoid("logistic", (-12,))),
    "ELU": unary("elu", tables.elu),
    "EXP": unary("exp"),
    "LOG": unary("log"),
    "SQRT": unary("sqrt"),
    "RSQRT": unary("rsqrt", tables.rsqrt, wide_rsqrt),
    "SQUARE": unary("square"),
    "NEG": unary("neg"),
    "ABS": unary("abs", tables.absolute, wide_abs),
    "HARD_SWISH": unary("hard_swish", tables.hard_swish),
    "RELU": rectifier,
    "RELU6": rectifier,
    "SOFTMAX": softmax,
    "L2_NORMALIZATION": l2_normalization,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
}
