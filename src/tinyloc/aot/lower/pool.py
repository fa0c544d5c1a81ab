"""MAX_POOL_2D and AVERAGE_POOL_2D."""

from tinyloc.aot.lower.common import Context
from tinyloc.aot.lower.conv import window
from tinyloc.aot.quantise import activation_range, float_activation_range

MOST_TAPS = 1 << 15  # whose sum of int16 fits 32 bits


def _pool(c: Context, kernel: str) -> None:
    source, output = c.input(0), c.output
    c.need(len(source.shape) == 4, f"{source} is not 4-D")
    filter_h, filter_w = c.options["filter_h"], c.options["filter_w"]
    c.need(min(filter_h, filter_w) >= 1, "its window is empty")
    kind = c.kind(source, output, wide=True)
    c.need(filter_h * filter_w <= MOST_TAPS, f"sums of {filter_h * filter_w} values would overflow")
    activation = c.options["activation"]
    low, high = float_activation_range(activation) if kind == "f32" else activation_range(activation, output)
    parameters = {
        "window": window(c, source, filter_h, filter_w, source.shape[3]),
        "batches": source.shape[0],
        "channels": source.shape[3],
        "low": low,
        "high": high,
    }
    c.program.call(
        c.operator,
        f"{kernel}_{kind}",
        parameters,
        (source.index,),
        output.index,
        block="pool_f32" if kind == "f32" else "pool_int",
    )


def max_pool(c: Context) -> None:
    _pool(c, "max_pool")


def average_pool(c: Context) -> None:
    _pool(c, "average_pool")


LOWERINGS = {"MAX_POOL_2D": max_pool, "AVERAGE_POOL_2D": average_pool}
