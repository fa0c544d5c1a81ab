"""How far the ruler of an activation reaches, from the values that it took on the calibration windows.

The whole range loses nothing by clipping, and makes every mark as coarse as the rarest outlier asks for. The two
others give outliers up: a percentile of the values, or the ends that minimise the mean squared error of rounding and
clipping together (as in R. Banner et al., "Post training 4-bit quantization of convolutional networks", 2019, but by
search instead of a model of the distribution).
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import numpy as np

from tinyloc.errors import InputError
from tinyloc.export.flatbuffer import schema
from tinyloc.export.scheme import Ruler, Scheme

Method = Literal["min-max", "percentile", "mean-squared-error"]
METHODS: tuple[Method, ...] = get_args(Method)

PERCENTILE = 99.99
"""Of the values, at either end, that `percentile` keeps."""

_SHRINK = np.linspace(0.3, 1, 36)
_MOST = 20_000  # values that a search looks at


def choose(
    model: schema.ModelT, values: Mapping[str, np.ndarray], method: Method, integers: np.dtype
) -> dict[str, tuple[float, float]]:
    """Ranges of the activations of a float model, for rulers of the type `integers`.

    values: what each activation was, by name, any shape. Those that share a ruler are seen as one.
    Raises InputError: an activation was always zero or not finite, so nothing can be learnt of its range.
    """
    found = {}
    for names in Scheme(model).groups.values():
        seen = np.concatenate([np.ravel(values[name]) for name in names])
        if not np.isfinite(seen).all():
            raise InputError(f"calibration: {names[0]!r} is not finite; check the windows and the trained weights")
        found.update(dict.fromkeys(names, _range(seen, method, integers)))
    return found


def _range(seen: np.ndarray, method: Method, integers: np.dtype) -> tuple[float, float]:
    low, high = float(seen.min()), float(seen.max())
    if method == "percentile":
        return tuple(float(q) for q in np.percentile(seen, [100 - PERCENTILE, PERCENTILE]))
    if method == "mean-squared-error":
        some = seen[:: max(1, len(seen) // _MOST)]
        return min(((s * low, s * high) for s in _SHRINK), key=lambda ends: error(some, *ends, integers))
    return low, high


def error(values: np.ndarray, low: float, high: float, integers: np.dtype) -> float:
    """Mean squared error of `values` on the ruler from `low` to `high`."""
    ruler = Ruler.over(low, high, integers)
    return float(np.square(ruler.real(ruler.quantise(values)) - values).mean())


def merged(parts: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Values by name, one after the other."""
    parts = list(parts)
    return {name: np.concatenate([np.ravel(p[name]) for p in parts]) for name in parts[0]}
