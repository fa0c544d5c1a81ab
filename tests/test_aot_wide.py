"""int16 activations against TFLite Micro: random scales and shapes, extreme values, every value of a function.

Many operators share a model, each with inputs and outputs of its own: compiling C is what these tests cost.
"""

import numpy as np
import pytest
from aot_tools import Compiled
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_aot_kernels import Model, agree, window
from tflite_writer import ModelWriter

from tinyloc.errors import InputError

pytestmark = pytest.mark.slow

# no shrinking: it would compile hundreds of models, and the message says which output is wrong
SETTINGS = settings(max_examples=5, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
EVERY = np.arange(-32768, 32768)
SMALLEST, LARGEST = -32768, 32767


class Wide(Model):
    """Operators of int16, whose zero point is 0, with int8 weights and an int64 bias."""

    def __init__(self, draw):
        super().__init__(draw, "int16")

    def quantisation(self) -> dict:
        return {"scale": self.scale() / 256}

    def spread(self, terms: int) -> dict:
        """A quantisation that a sum of `terms` products fills rather than saturates."""
        return {"scale": self.scale() * 10.0 ** self.draw(st.integers(-3, 2)) * terms**0.5}

    def weights(self, source: int, shape, axis: int) -> tuple[int, int]:
        units = shape[axis]
        count = self.draw(st.sampled_from([1, units]))
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        scale = 10.0 ** self.random.uniform(-3, -1, count)
        bias = self.random.integers(-(2**40), 2**40, units) >> self.random.integers(0, 40, units)
        bias_scale = scale * self.graph.tensors[source].quantization.scale[0]
        return self.constant(values, scale=scale, axis=axis), self.constant(bias, scale=bias_scale)

    def activation(self) -> dict:
        return {"fusedActivationFunction": self.draw(st.integers(0, 3))}


def check(model: Wide) -> None:
    """Random inputs, small ones, the extremes, and products of the extremes."""

    def rounds(inputs):
        for bits in (16, 16, 6):
            yield [model.random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), t.shape) for t in inputs]
        for values in ([SMALLEST], [LARGEST], [SMALLEST, LARGEST]):
            yield [model.random.choice(values, t.shape) for t in inputs]

    agree(model, rounds)


@given(st.data())
@settings(SETTINGS, max_examples=3)
def test_sums_of_products(data):
    m, draw = Wide(data.draw), data.draw
    rows, depth, units = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 7))
    for length in (depth, 512 + depth):  # more than a sum of 32 bits holds
        source = m.source((1, rows, length))
        weights, bias = m.weights(source, (units, length), axis=0)
        result = m.result((1, rows, units), **m.spread(length))
        inputs = [source, weights, draw(st.sampled_from([bias, -1]))]
        m.operator("FULLY_CONNECTED", inputs, [result], "FullyConnected", keepNumDims=True, **m.activation())

    size_h, size_w, channels = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    options, out_h, out_w, filter_h, filter_w = window(draw, size_h, size_w)
    groups = draw(st.integers(1, 2))
    source = m.source((2, size_h, size_w, groups * channels))
    weights, bias = m.weights(source, (groups * units, filter_h, filter_w, channels), axis=0)
    result = m.result((2, out_h, out_w, groups * units), **m.spread(filter_h * filter_w * channels))
    m.operator("CONV_2D", [source, weights, bias], [result], "Conv2D", **options)

    multiplier = draw(st.integers(1, 2))
    source = m.source((1, size_h, size_w, channels))
    weights, bias = m.weights(source, (1, filter_h, filter_w, channels * multiplier), axis=3)
    result = m.result((1, out_h, out_w, channels * multiplier), **m.spread(filter_h * filter_w))
    options = {**options, "depthMultiplier": multiplier}
    m.operator("DEPTHWISE_CONV_2D", [source, weights, bias], [result], "DepthwiseConv2D", **options)

    adj_x, adj_y = draw(st.booleans()), draw(st.booleans())
    a = m.source((2, depth, rows) if adj_x else (2, rows, depth))
    b = m.source((2, units, depth) if adj_y else (1, depth, units))
    scale = m.scale() * depth**0.5
    m.operator("BATCH_MATMUL", [a, b], [m.result((2, rows, units), scale=scale)], "BatchMatMul", adjX=adj_x, adjY=adj_y)
    check(m)


@given(st.data())
@SETTINGS
def test_element_by_element_and_reductions(data):
    m, draw = Wide(data.draw), data.draw
    for name, options in {**dict(ADD="Add", SUB="Sub", MUL="Mul"), "SQUARED_DIFFERENCE": "SquaredDifference"}.items():
        for _ in range(2):
            shape = [draw(st.integers(1, 5)) for _ in range(3)]
            other = [n if draw(st.integers(0, 2)) else 1 for n in shape]
            values = m.random.integers(SMALLEST, LARGEST + 1, other).astype(np.int16)
            pair = [m.source(shape), m.source(other) if draw(st.booleans()) else m.constant(values, **m.quantisation())]
            if draw(st.booleans()):
                pair.reverse()
            more = m.activation() if options in ("Add", "Sub", "Mul") else {}
            m.operator(name, pair, [m.result(shape)], options, **more)
    same = m.quantisation()  # the one scale at which both factors are exactly a half
    m.operator("SUB", [m.source((8,), **same), m.source((8,), **same)], [m.result((8,))], "Sub")
    shape = [draw(st.integers(1, 5)) for _ in range(4)]
    axes = sorted(draw(st.sets(st.integers(0, 3), min_size=1, max_size=2)))
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    for more in ({}, same):
        for name in ("MEAN", "SUM"):
            inputs = [m.source(shape, **(more or m.quantisation())), m.integers(*axes)]
            m.operator(name, inputs, [m.result(kept, **more)], "Reducer", keepDims=True)
    pair = [m.source((3, 5), **same), m.source((1, 5), **same)]
    for name in ("MINIMUM", "MAXIMUM"):
        m.operator(name, pair, [m.result((3, 5), **same)], "MaximumMinimum")
    slopes = m.constant(
        m.random.integers(-128, 128, (5,)).astype(np.int8), scale=m.scale(), zero=draw(st.integers(-128, 127))
    )
    m.operator("PRELU", [m.source((3, 5)), slopes], [m.result((3, 5))])
    m.operator("SUM", [m.source((1, 3000)), m.integers(1)], [m.result((1,), scale=m.scale())], "Reducer")
    check(m)


@given(st.data())
@settings(SETTINGS, max_examples=3)
def test_pools(data):
    m, draw = Wide(data.draw), data.draw
    for name in 2 * ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        size_h, size_w, channels = draw(st.integers(1, 6)), draw(st.integers(1, 7)), draw(st.integers(1, 4))
        options, out_h, out_w, filter_h, filter_w = window(draw, size_h, size_w)
        # a pool has no dilation; without one the window is smaller, so where it fits does not change if it is SAME
        same = options["padding"] == 0
        out_h = out_h if same else (size_h - filter_h) // options["strideH"] + 1
        out_w = out_w if same else (size_w - filter_w) // options["strideW"] + 1
        options = {k: v for k, v in options.items() if "dilation" not in k}
        quantisation = m.quantisation()
        source, result = m.source((2, size_h, size_w, channels), **quantisation), (2, out_h, out_w, channels)
        options |= {"filterHeight": filter_h, "filterWidth": filter_w}
        m.operator(name, [source], [m.result(result, **quantisation)], "Pool2D", **options)
    check(m)


@given(st.data())
@SETTINGS
def test_softmax(data):
    m = Wide(data.draw)
    for scale in (m.scale() / 1000, m.scale() / 1000, 10 / 65535):
        shape = (40, data.draw(st.integers(1, 50)))
        result = m.result(shape, scale=1 / 32768)
        beta = data.draw(st.sampled_from([1.0, 0.25, 2.0]))
        m.operator("SOFTMAX", [m.source(shape, scale=scale)], [result], "Softmax", beta=beta)
    check(m)


@given(st.data())
@SETTINGS
def test_functions_of_every_value(data):
    """Also scales that TFLite takes for powers of two though they are not."""
    m = Wide(data.draw)
    scales = [m.scale() / 256, 2.0**-12, 2.0**-11 * 1.0004, data.draw(st.sampled_from([1e-7, 0.5, 3.9]))]
    for name in ("TANH", "LOGISTIC"):
        for scale in scales:
            m.operator(name, [m.source((65536,), scale=scale)], [m.result((65536,), scale=1 / 32768)])
    for name, options in {"RELU": "", "ABS": "Abs"}.items():
        m.operator(name, [m.source((65536,))], [m.result((65536,))], options)
    for alpha in (data.draw(st.floats(0, 1, width=32)), 3.5):
        m.operator("LEAKY_RELU", [m.source((65536,))], [m.result((65536,))], "LeakyRelu", alpha=alpha)
    same = m.quantisation()
    m.operator("RELU6", [m.source((65536,), **same)], [m.result((65536,), **same)])
    root = m.source((65536,))
    m.operator("RSQRT", [root], [m.result((65536,), scale=m.scale() / 64)])
    m.operator("QUANTIZE", [m.source((65536,))], [m.result((65536,))], "Quantize")
    narrow = {"scale": m.scale(), "zero": data.draw(st.integers(-128, 127))}
    m.operator("QUANTIZE", [m.source((65536,))], [m.output(m.tensor((65536,), "int8", **narrow))], "Quantize")
    m.operator("QUANTIZE", [m.input((65536,), "int8", **narrow)], [m.result((65536,))], "Quantize")
    m.operator("DEQUANTIZE", [m.source((65536,))], [m.output(m.tensor((65536,)))], "Dequantize")
    m.operator("QUANTIZE", [m.input((65536,))], [m.result((65536,))], "Quantize")

    def rounds(inputs):
        values = {"int16": EVERY, "int8": EVERY // 256, "float32": EVERY * 0.001}
        # of a negative number there is no root: TFLite Micro would stop
        yield [np.maximum(EVERY, 0) if t.name == f"t{root}" else values[t.dtype] for t in inputs]

    agree(m, rounds, tolerance=0)


def test_what_only_moves_moves_int16():
    m = ModelWriter()
    q = {"dtype": "int16", "scale": 0.01}
    x = m.input((1, 3, 4, 5), **q)
    order, margins = (
        m.constant(np.array([0, 2, 1, 3], np.int32)),
        m.constant(np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)),
    )
    m.operator("TRANSPOSE", [x, order], [turned := m.tensor((1, 4, 3, 5), **q)], "Transpose")
    m.operator("PAD", [turned, margins], [padded := m.tensor((1, 7, 4, 5), **q)], "Pad")
    parts = [m.tensor((1, 7, 2, 5), **q) for _ in range(2)]
    m.operator("SPLIT", [m.constant(np.int32(2)), padded], parts, "Split", numSplits=2)
    m.operator("CONCATENATION", parts[::-1], [m.output(m.tensor((1, 7, 4, 5), **q))], "Concatenation", axis=2)
    agree(m, lambda inputs: [[np.arange(-30000, 30000, 1000).reshape(1, 3, 4, 5)]])


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("ELU", "", "there is no kernel for int16"),
        ("TANH", "", "its output must have scale 1/32768"),
        ("HARD_SWISH", "HardSwish", "there is no kernel for int16"),
    ],
)
def test_what_is_unknown_in_int16_is_refused_by_name(name, options, why, tmp_path):
    m = ModelWriter()
    result = m.output(m.tensor((1, 4), "int16", scale=0.1, name="y"))
    m.operator(name, [m.input((1, 4), "int16", scale=0.1)], [result], options)
    with pytest.raises(InputError, match=rf"operator 0 \({name}, version 1\), which makes tensor 'y' int16.*: {why}"):
        Compiled(m.save(tmp_path / "m.tflite"), tmp_path / "c")


def test_a_zero_point_of_int16_is_refused(tmp_path):
    m = ModelWriter()
    x = m.input((1, 4), "int16", scale=0.1, zero=3, name="x")
    m.operator("RELU", [x], [m.output(m.tensor((1, 4), "int16", scale=0.1))])
    with pytest.raises(InputError, match=r"'x' int16.* has a zero point"):
        Compiled(m.save(tmp_path / "m.tflite"), tmp_path / "c")
