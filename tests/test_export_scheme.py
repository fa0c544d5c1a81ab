"""Rulers, ranges, the scheme's groups, and the order of operators."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinyloc.aot import fixed_point
from tinyloc.aot.quantise import quantize_multiplier
from tinyloc.errors import InputError
from tinyloc.export import flatbuffer, noise, ranges
from tinyloc.export.calibration import Calibration
from tinyloc.export.convert import float_graph
from tinyloc.export.order import order_for_memory
from tinyloc.export.passes import compacted
from tinyloc.export.quantise import quantise
from tinyloc.export.reach import Reach
from tinyloc.export.scheme import INT8, INT16, MOST_BIAS, Ruler, Scheme, weight_scales
from tinyloc.export.simulation import Simulation, fake_quantise, requantised
from tinyloc.export.tflm import Tflm
from tinyloc.export.weights import decay, elu_plus_two, inverse, log1p_over, softplus

some = settings(derandomize=True, deadline=None, max_examples=60)
reals = st.floats(-1e3, 1e3, width=32)


@some
@given(st.lists(reals, min_size=2, max_size=30), st.sampled_from([INT8, INT16]))
def test_a_ruler_holds_its_range_to_half_a_mark_and_zero_exactly(values, integers):
    values = np.array(values)
    ruler = Ruler.over(values.min(), values.max(), integers)
    assert ruler.real(ruler.quantise(np.zeros(1))) == 0
    # the ends may move by the rounding of the zero point
    assert np.abs(ruler.real(ruler.quantise(values)) - values).max() <= ruler.scale * 1.001


def test_quantised_by_hand():
    ruler = Ruler.over(-0.2, 1.1, INT8)
    assert ruler.scale == pytest.approx(1.3 / 255) and ruler.zero_point == -89
    assert ruler.quantise(np.array([0.0, 0.5, 2.0])).tolist() == [-89, 9, 127]


@some
@given(st.lists(reals, min_size=3, max_size=3), st.floats(1e-3, 10))
def test_a_bias_always_fits(bias, input_scale):
    weight = np.array([[0.0, 0.0], [1e-6, 0.0], [3.0, -2.0]])
    scales = weight_scales(weight, 0, np.array(bias), input_scale)
    assert (np.abs(np.array(bias) / (scales * input_scale)) <= MOST_BIAS * 1.001).all()
    assert (np.abs(weight / scales[:, None]) <= 127.001).all()


def test_the_best_range_is_better_than_the_whole_one():
    values = np.append(np.random.default_rng(0).normal(size=20_000), 60.0)
    whole, best = (ranges._range(values, method, INT8) for method in ("min-max", "mean-squared-error"))
    assert best[1] < whole[1]
    assert ranges.error(values, *best, INT8) < ranges.error(values, *whole, INT8)


def test_fake_quantisation_rounds_and_lets_the_gradient_through_within_the_ruler():
    x = torch.tensor([-3.0, -0.26, 0.1, 0.74, 9.0], requires_grad=True)
    y = fake_quantise(x, 0.5, -4, 4)
    assert y.tolist() == [-2.0, -0.5, 0.0, 0.5, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@some
@given(st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=20), st.floats(2.0**-22, 40))
def test_sums_are_brought_to_scale_as_the_compiler_has_it(sums, factor):
    expected = [fixed_point.multiply(value, *quantize_multiplier(factor)) for value in sums]
    found = requantised(torch.tensor(sums, dtype=torch.float64), torch.tensor([factor], dtype=torch.float64))
    assert found.tolist() == expected


def test_forms_without_exponentials():
    from tinyloc.export.tensorflow import tf

    x = np.linspace(-30, 30, 2001).astype(np.float32)
    np.testing.assert_allclose(softplus(tf.constant(x)), np.logaddexp(0, x), atol=3e-5)
    np.testing.assert_allclose(elu_plus_two(tf.constant(x)), np.where(x > 0, x, np.expm1(x)) + 2, atol=2e-6)
    np.testing.assert_allclose(decay(tf.constant(x[x >= 0])), np.exp(-x[x >= 0]), atol=1e-6)
    np.testing.assert_allclose(inverse(tf.constant([0.5, 2.0])), [2, 0.5], rtol=1e-6)


@some
@given(st.lists(st.floats(-9, 0.7), min_size=1, max_size=5))
def test_softplus_behind_elu(v_most):
    """As `twin_mamba` has it, from far below each channel's largest input up to that."""
    rows = log1p_over(g := np.exp(v_most))
    v = np.multiply.outer(np.linspace(1, 0, 50), np.full(len(v_most), -12.0)) + v_most
    p = np.exp(v) / g
    found = g * p * sum(row * p**power for power, row in enumerate(rows[::-1]))
    np.testing.assert_allclose(found, np.logaddexp(0, v), rtol=1.2e-4)


@some
@given(arrays(np.float64, (3, 4), elements=st.floats(0, 100)), arrays(np.float64, 4, elements=st.floats(0, 100)))
def test_channels_that_are_evened_out_are_wider_and_none_is_wider_than_the_widest(h, y):
    a, b = Reach(np.zeros(4), h, y).even()
    assert a.min() >= 1 - 1e-9 and b.min() >= 1 - 1e-9
    even = a[:, None] * h * b
    assert even.max() <= h.max() * (1 + 1e-9) and (y * b).max() <= y.max() * (1 + 1e-9)
    for e in np.flatnonzero((h.max(0) > 0.01 * h.max()) & (y > 0.01 * y.max())):
        assert np.isclose(max((h * b).max(0)[e] / h.max(), (y * b)[e] / y.max()), 1)


@pytest.fixture(scope="module")
def recurrent():
    """h <- h / 2 + W rssi; a slice of a wide tensor that is wanted last."""
    from tinyloc.export.tensorflow import tf

    weight = tf.constant(np.random.default_rng(0).normal(size=(4, 64)), tf.float32)

    class Recurrent(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4], name="rssi"), tf.TensorSpec([1, 64], name="state_h")])
        def run(self, rssi, state_h):
            h = 0.5 * state_h + tf.matmul(rssi, weight)
            wide = tf.tanh(tf.concat([h, 2 * h, 3 * h], -1))
            return {"scores": tf.tanh(tf.nn.elu(wide))[:, :2] * wide[:, 70:72], "next_h": h}

    return float_graph(Recurrent())


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(1)
    return Calibration([], {"rssi": rng.normal(size=(50, 3, 4)).astype(np.float32)}, [50, 20, 50])


def test_filling_up_a_short_segment_is_not_seen(recurrent, seen):
    values = seen.run(Simulation(recurrent))
    assert values["rssi"].shape == (120, 1, 4)
    again = Calibration([], {"rssi": seen.inputs["rssi"][:20, 1:2]}, [20]).run(Simulation(recurrent))
    assert all(np.isin(again[name].round(4), values[name].round(4)).mean() > 0.99 for name in values)


@pytest.mark.parametrize("wide", [frozenset(), frozenset({"state/h"})])
def test_integers_on_either_side(recurrent, seen, wide, tmp_path):
    found = ranges.choose(recurrent, seen.run(Simulation(recurrent)), "min-max", INT8)
    path = tmp_path / "model.tflite"
    path.write_bytes(flatbuffer.pack(compacted(quantise(recurrent, found, INT8, wide))))
    tflm = Tflm(path)
    assert tflm.inputs["state/h"].dtype == tflm.outputs["next/h"].dtype == (INT16 if wide else INT8)
    assert tflm.inputs["rssi"].dtype == tflm.outputs["scores"].dtype == INT8
    assert ("QUANTIZE" in flatbuffer.operator_counts(flatbuffer.read(path))) == bool(wide)
    records = {"rssi": seen.inputs["rssi"][:, 0]}
    scores = tflm.dequantise(tflm.run(tflm.quantise(records)))["scores"]
    expected = Simulation(recurrent).stream({"rssi": torch.from_numpy(records["rssi"][:, None])})["scores"][:, 0, 0]
    assert noise.decibels(expected.numpy(), scores) > 15


def test_the_loudest_can_be_widened_and_bring_most_of_the_noise(recurrent, seen):
    found = ranges.choose(recurrent, seen.run(Simulation(recurrent)), "min-max", INT8)
    rows = noise.by_ruler(recurrent, found, INT8, seen)
    chosen = noise.loudest(rows)
    able = rows[rows["widens"]]
    assert 0 < len(chosen) < len(able) and "ELU" not in set(able["operator"])
    share = able["noise"][able["tensor"].isin(chosen)].sum() / able["noise"].sum()
    assert share >= noise.WIDENED
    quantise(recurrent, found, INT8, chosen)


def test_a_range_that_is_missing_or_not_finite(recurrent, seen):
    found = ranges.choose(recurrent, seen.run(Simulation(recurrent)), "min-max", INT8)
    del found["scores"]
    with pytest.raises(InputError, match="no range of tensor 'scores'"):
        quantise(recurrent, found, INT8)
    values = seen.run(Simulation(recurrent))
    values["scores"] = np.full(3, np.inf)
    with pytest.raises(InputError, match="'scores' is not finite"):
        ranges.choose(recurrent, values, "min-max", INT8)


def test_states_share_a_ruler(recurrent):
    index = {t.name.decode(): i for i, t in enumerate(flatbuffer.graph(recurrent).tensors)}
    scheme = Scheme(recurrent)
    assert scheme.group(index["state/h"]) == scheme.group(index["next/h"])


def test_operators_are_ordered_for_less_memory_and_the_same_result(recurrent, seen):
    from tinyloc.export.order import _Memory

    memory = _Memory(recurrent)
    before = flatbuffer.graph(recurrent).operators
    assert memory.peak(memory.greedy(before)) <= memory.peak(before)
    made = {int(t) for t in flatbuffer.graph(recurrent).inputs}
    for operator in memory.greedy(before):
        assert set(memory._read(operator)) <= made
        made |= {int(t) for t in operator.outputs}
    order_for_memory(recurrent)
    assert len(flatbuffer.graph(recurrent).operators) == len(before)
