"""Weights rounded together: on the marks, never worse than each to its nearest, and right on average."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinyloc.export.rounding import DAMPING, _by_group, descend

FLOATS = st.floats(-1, 1, width=32)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(arrays.arrays(np.float64, (3, 5), elements=FLOATS), arrays.arrays(np.float64, (20, 5), elements=FLOATS))
def test_never_worse_than_the_nearest_marks(exact: np.ndarray, inputs: np.ndarray) -> None:
    scales = np.maximum(np.abs(exact).max(1), 1e-3) / 127
    covariance = inputs.T @ inputs / len(inputs)
    rounded = descend(exact, scales, covariance)
    steps = rounded / scales[:, None]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert np.abs(steps).max() <= 127 + 1e-6
    damped = covariance + (DAMPING * np.trace(covariance) / 5 + 1e-12) * np.eye(5)
    nearest = np.round(exact / scales[:, None]) * scales[:, None]
    error, before = (np.einsum("ci,ij,cj->c", e, damped, e) for e in (rounded - exact, nearest - exact))
    assert (error <= before + 1e-12).all()


def test_inputs_that_move_together_are_rounded_together() -> None:
    """Two inputs that are always alike: what one weight loses, the other makes up for."""
    rng = np.random.default_rng(0)
    inputs = np.repeat(rng.normal(size=(100, 1)), 2, axis=1)
    exact = np.array([[1.27, 0.004, 0.004]])[:, 1:]
    exact = np.concatenate([exact, [[1.27, 0.004]]])
    rounded, _ = _by_group(exact, np.full(2, 0.01), inputs, with_bias=False)
    np.testing.assert_allclose(rounded.sum(1), [0.01, 1.27], atol=1e-9)


def test_each_group_sees_its_own_inputs_and_the_bias_takes_the_mean() -> None:
    rng = np.random.default_rng(1)
    exact, inputs = rng.normal(size=(4, 3)), 2 + rng.normal(size=(200, 6))
    scales = np.abs(exact).max(1) / 7  # coarse marks
    rounded, shift = _by_group(exact, scales, inputs, with_bias=True)
    own = np.concatenate([inputs[:, :3] @ (rounded - exact)[:2].T, inputs[:, 3:] @ (rounded - exact)[2:].T], 1)
    np.testing.assert_allclose((own - shift).mean(0), 0, atol=1e-12)
