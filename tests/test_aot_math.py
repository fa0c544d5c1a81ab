"""The kernels' own mathematics: float functions against double precision, fixed point in C against Python."""

import ctypes

import numpy as np
import pytest
from aot_tools import gcc, kernel_objects

from tinyloc.aot import fixed_point


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("math") / "kernels.so"
    gcc("-shared", *kernel_objects(), "-o", path, "-lm")
    return ctypes.CDLL(str(path))


def evaluate(library, name: str, x: np.ndarray) -> np.ndarray:
    """tl_<name>_f32 of the float32 array `x`."""
    result, count = np.empty_like(x), ctypes.c_uint32(x.size)
    getattr(library, f"tl_{name}_f32")(ctypes.byref(count), x.ctypes.data_as(ctypes.c_void_p),
                                       result.ctypes.data_as(ctypes.c_void_p))  # fmt: skip
    return result


def spread(low: float, high: float, count: int = 200_000) -> np.ndarray:
    """Uniform values and, near zero, values of every magnitude."""
    random = np.random.default_rng(0)
    tiny = 10.0 ** random.uniform(-30, 0, count) * random.choice([-1, 1], count)
    values = np.concatenate([random.uniform(low, high, count), tiny]).astype(np.float32)
    return values[(values >= low) & (values <= high)]


@pytest.mark.parametrize(
    ("name", "reference", "low", "high"),
    [
        ("exp", np.exp, -87.0, 88.7),
        ("log", np.log, 1e-30, 1e5),
        ("tanh", np.tanh, -12.0, 12.0),
        ("logistic", lambda x: 1 / (1 + np.exp(-x)), -85.0, 85.0),
    ],
)
def test_relative_error_is_below_one_millionth(library, name, reference, low, high):
    x = spread(low, high)
    exact = reference(x.astype(np.float64))
    known = np.abs(exact) > 1e-35
    error = np.abs(evaluate(library, name, x)[known] / exact[known] - 1)
    assert error.max() < 1e-6


def test_log_across_every_exponent(library):
    x = (np.float32(2) ** np.arange(-148, 128, dtype=np.float32)) * np.float32(1.1)
    np.testing.assert_allclose(evaluate(library, "log", x), np.log(x.astype(np.float64)), rtol=1e-6)


def test_limits(library):
    inf, nan = np.float32(np.inf), np.float32(np.nan)
    with np.errstate(all="ignore"):
        for name, given, expected in (
            ("exp", [-inf, -200, 0, 89, inf, nan], [0, 0, 1, inf, inf, nan]),
            ("log", [-1, 0, 1, inf, nan], [nan, -inf, 0, inf, nan]),
            ("tanh", [-inf, -50, 0, 50, inf, nan], [-1, -1, 0, 1, 1, nan]),
            ("logistic", [-inf, -200, 0, 200, inf, nan], [0, 0, 0.5, 1, 1, nan]),
        ):
            np.testing.assert_array_equal(evaluate(library, name, np.array(given, np.float32)), expected)


class Scale(ctypes.Structure):
    _fields_ = (("multiplier", ctypes.c_int32), ("left", ctypes.c_uint8), ("right", ctypes.c_uint8))


def test_fixed_point_reciprocal(library):
    """1 / (1 + a): C and Python are the same bits, and right to 2^-28."""
    random = np.random.default_rng(0)
    for a in [0, 1, fixed_point.INT32_MAX, *map(int, random.integers(0, 2**31, 2000))]:
        result = library.tl_one_over_one_plus(a)
        assert result == fixed_point.one_over_one_plus(a)
        assert abs(result / 2**31 - 1 / (1 + a / 2**31)) < 2.0**-28


def test_fixed_point_inverse_square_root(library):
    library.tl_inverse_sqrt.restype = Scale
    random = np.random.default_rng(0)
    values = (2 ** random.uniform(1, 31, 2000)).astype(np.int64)
    for x in [0, 1, 2, 3, 4, (1 << 29) - 1, 1 << 29, fixed_point.INT32_MAX, *map(int, values)]:
        scale = library.tl_inverse_sqrt(x)
        assert (scale.multiplier, scale.left - scale.right) == fixed_point.inverse_sqrt(x)
        real = scale.multiplier * 2.0 ** (-31 - scale.right)
        assert abs(real * max(x, 1) ** 0.5 - 1) < 2e-6


def test_fixed_point_functions_are_what_they_claim():
    for a in np.linspace(-15.9, 15.9, 999):
        raw = round(a * 2**27)
        assert abs(fixed_point.tanh(raw, 4) / 2**31 - np.tanh(a)) < 1e-6
        assert abs(fixed_point.logistic(raw, 4) / 2**31 - 1 / (1 + np.exp(-a))) < 1e-6
    for a in np.linspace(-31.9, 0, 999):
        assert abs(fixed_point.exp_on_negative_values(round(a * 2**26), 5) / 2**31 - np.exp(a)) < 1e-6
