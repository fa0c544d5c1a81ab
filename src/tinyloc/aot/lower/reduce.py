"""MEAN and SUM; REDUCE_MAX and REDUCE_MIN; ARG_MAX and ARG_MIN."""

from collections.abc import Callable
from math import prod

from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import Context, collapse, dense_strides, padded
from tinyloc.aot.quantise import Multiplier, quantize_multiplier, scale_row

LOOPS = 2  # kept and summed, each, in struct tl_reduction


def _axes(c: Context) -> list[int]:
    """The axes that go. Checks the output's shape."""
    source = c.input(0)
    rank = len(source.shape)
    axes = sorted({c.axis(axis, rank) for axis in c.integers(1)})
    keep_dims = c.options["keep_dims"]
    c.shape(c.output, [1 if i in axes else n for i, n in enumerate(source.shape) if keep_dims or i not in axes])
    return axes


def _reduce(c: Context, mean: bool) -> None:
    source, output = c.input(0), c.output
    axes = _axes(c)
    kind = c.kind(source, output, wide=True)
    count = prod(source.shape[i] for i in axes)
    parameters = {"shape": _loops(c, source, axes)}
    block = "sum_f32" if kind == "f32" else "sum_int"
    if kind == "f32":
        parameters["divisor"] = float(count if mean else 1)
    else:
        c.need(count <= 1 << (23 if kind == "s8" else 15), f"sums of {count} values would overflow")
        factor = quantize_multiplier(float(source.scale) / float(output.scale))
        parameters |= {
            "offset": source.zero_point * count,
            "zero_out": output.zero_point,
            "scale": scale_row(_divided(factor, count) if mean else factor),
        }
    c.program.call(c.operator, f"sum_{kind}", parameters, (source.index,), output.index, block=block)


def _loops(c: Context, source: Tensor, axes: list[int]) -> tuple[tuple[int, ...], ...]:
    """The fields of a struct tl_reduction."""
    steps = dense_strides(source.shape)
    fields = []
    for chosen in ([i for i in range(len(steps)) if i not in axes], axes):
        dims, (strides,) = collapse([source.shape[i] for i in chosen], [steps[i] for i in chosen])
        c.need(len(dims) <= LOOPS, f"{source} is reduced along too many axes in turn")
        fields += [padded(dims, LOOPS, 1), padded(strides, LOOPS, 0)]
    return tuple(fields)


def _divided(factor: Multiplier, count: int) -> Multiplier:
    """factor / count as TFLite divides it: in integers, keeping as many bits of the mantissa as count has."""
    bits = min(count.bit_length() - 1, 32, 31 + factor.exponent)
    return Multiplier((factor.mantissa << bits) // count, factor.exponent - bits)


def mean(c: Context) -> None:
    _reduce(c, mean=True)


def sum_(c: Context) -> None:
    _reduce(c, mean=False)


def _extreme(kernel: str) -> Callable[[Context], None]:
    def lowering(c: Context) -> None:
        source, output = c.input(0), c.output
        kind = c.kind(source, output)
        if kind == "s8":
            c.same_quantisation(source, output)
        parameters = {"shape": _loops(c, source, _axes(c))}
        c.program.call(c.operator, f"{kernel}_{kind}", parameters, (source.index,), output.index, block="extreme")

    return lowering


def _arg(kernel: str) -> Callable[[Context], None]:
    def lowering(c: Context) -> None:
        source, output = c.input(0), c.output
        kind = c.kind(source)
        c.need(output.dtype == "int32", f"there is no kernel for indices of {output.dtype}")
        axes = c.integers(1)
        c.need(len(axes) == 1, "it has more than one axis")
        axis = c.axis(axes[0], len(source.shape))
        before, after = source.shape[:axis], source.shape[axis + 1 :]
        c.need(output.size == prod(before) * prod(after), f"{output} does not hold an index for each row of {source}")
        parameters = {"outer": prod(before), "depth": source.shape[axis], "inner": prod(after)}
        c.program.call(c.operator, f"{kernel}_{kind}", parameters, (source.index,), output.index, block="arg")

    return lowering


LOWERINGS = {
    "MEAN": mean,
    "SUM": sum_,
    "REDUCE_MAX": _extreme("largest"),
    "REDUCE_MIN": _extreme("smallest"),
    "ARG_MAX": _arg("arg_largest"),
    "ARG_MIN": _arg("arg_smallest"),
}
