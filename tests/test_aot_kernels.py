"""Every kernel against TFLite Micro, on random shapes, scales and zero points, and on extreme values."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from aot_tools import Compiled, Micro, assert_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_writer import ModelWriter

pytestmark = pytest.mark.slow

SETTINGS = settings(max_examples=6, deadline=None, derandomize=True)
ACTIVATIONS = st.integers(0, 3)  # NONE, RELU, RELU_N1_TO_1, RELU6
BOTH = pytest.mark.parametrize("dtype", ["int8", "float32"])
SIZES = st.integers(1, 7)


class Model(ModelWriter):
    """A model of one operator, its free choices drawn by hypothesis."""

    def __init__(self, draw, dtype: str):
        super().__init__()
        self.draw, self.dtype = draw, dtype
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def scale(self) -> float:
        """Also powers of two: they make exact halves, where the direction of rounding shows."""
        if self.draw(st.booleans()):
            return 2.0 ** self.draw(st.integers(-10, 0))
        return float(np.float32(10.0 ** self.draw(st.floats(-3, 0))))

    def quantisation(self) -> dict:
        if self.dtype != "int8":
            return {}
        return {"scale": self.scale(), "zero": self.draw(st.integers(-128, 127))}

    def source(self, shape, **more) -> int:
        return self.input(shape, self.dtype, **(more or self.quantisation()))

    def result(self, shape, **more) -> int:
        return self.output(self.tensor(shape, self.dtype, **(more or self.quantisation())))

    def integers(self, *values) -> int:
        return self.constant(np.array(values, np.int32))

    def weights(self, source: int, shape, axis: int) -> tuple[int, int]:
        """Weights and a bias of `shape[axis]` values; one scale, or one for each output channel."""
        units = shape[axis]
        if self.dtype == "float32":
            return (
                self.constant(self.random.normal(size=shape).astype(np.float32)),
                self.constant(self.random.normal(size=units).astype(np.float32)),
            )
        count = self.draw(st.sampled_from([1, units]))
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        scale = 10.0 ** self.random.uniform(-3, -1, count)
        bias = self.random.integers(-20000, 20000, units).astype(np.int32)
        bias_scale = scale * self.graph.tensors[source].quantization.scale[0]
        return self.constant(values, scale=scale, axis=axis), self.constant(bias, scale=bias_scale)

    def spread(self, terms: int) -> dict:
        """A quantisation that a sum of `terms` products fills rather than saturates."""
        if self.dtype != "int8":
            return {}
        return {"scale": self.scale() * 2.0 * terms**0.5, "zero": self.draw(st.integers(-128, 127))}


def check(model: Model, low: float = -4.0, high: float = 4.0) -> None:
    """Compile the model; compare it with TFLite Micro on random inputs and on the extremes."""

    def sample(tensor):
        if tensor.dtype == "int8":
            return model.random.integers(-128, 128, tensor.shape)
        return model.random.uniform(low, high, tensor.shape)

    def rounds(inputs):
        yield from ([sample(tensor) for tensor in inputs] for _ in range(3))
        if model.dtype == "int8":
            yield from ([np.full(t.shape, extreme) for t in inputs] for extreme in (-128, 127))

    agree(model, rounds)


def agree(model: ModelWriter, rounds, **tolerance) -> None:
    """Compile the model; compare it with TFLite Micro on all that `rounds` makes of the input tensors."""
    with tempfile.TemporaryDirectory() as name:
        path = model.save(Path(name) / "model.tflite")
        compiled, micro = Compiled(path, Path(name) / "c"), Micro(path)
        for inputs in rounds(compiled.inputs):
            assert_agree(compiled.run(*inputs), micro.run(*inputs), **tolerance)


@BOTH
@given(data=st.data())
@SETTINGS
def test_fully_connected(dtype, data):
    m = Model(data.draw, dtype)
    rows, depth, units = (data.draw(st.integers(1, n)) for n in (5, 40, 11))
    source = m.source((1, rows, depth))
    weights, bias = m.weights(source, (units, depth), axis=0)
    given_bias = data.draw(st.sampled_from([bias, -1]))
    result = m.result((1, rows, units), **m.spread(depth))
    options = {"fusedActivationFunction": data.draw(ACTIVATIONS), "keepNumDims": True}
    m.operator("FULLY_CONNECTED", [source, weights, given_bias], [result], "FullyConnected", **options)
    check(m)


def window(draw, size_h: int, size_w: int) -> tuple[dict, int, int]:
    """(options of a convolution, output height, output width, filter height, filter width)"""
    filter_h, filter_w = draw(st.integers(1, min(3, size_h))), draw(st.integers(1, min(4, size_w)))
    stride_h, stride_w = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    same = draw(st.booleans())
    dilation_h = draw(st.integers(1, 2)) if same or 2 * filter_h - 1 <= size_h else 1
    dilation_w = draw(st.integers(1, 2)) if same or 2 * filter_w - 1 <= size_w else 1
    reach_h, reach_w = (filter_h - 1) * dilation_h + 1, (filter_w - 1) * dilation_w + 1
    out_h = -(-size_h // stride_h) if same else (size_h - reach_h) // stride_h + 1
    out_w = -(-size_w // stride_w) if same else (size_w - reach_w) // stride_w + 1
    options = {"padding": 0 if same else 1, "strideH": stride_h, "strideW": stride_w}
    options |= {"dilationHFactor": dilation_h, "dilationWFactor": dilation_w}
    options |= {"fusedActivationFunction": draw(ACTIVATIONS)}
    return options, out_h, out_w, filter_h, filter_w


@BOTH
@given(data=st.data())
@settings(SETTINGS, max_examples=20)
def test_conv(dtype, data):
    m = Model(data.draw, dtype)
    size_h, size_w, depth = data.draw(SIZES), data.draw(st.integers(1, 9)), data.draw(SIZES)
    groups, group_units = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    batches, units = data.draw(st.integers(1, 2)), groups * group_units
    options, out_h, out_w, filter_h, filter_w = window(data.draw, size_h, size_w)
    source = m.source((batches, size_h, size_w, groups * depth))
    weights, bias = m.weights(source, (units, filter_h, filter_w, depth), axis=0)
    result = m.result((batches, out_h, out_w, units), **m.spread(filter_h * filter_w * depth))
    m.operator("CONV_2D", [source, weights, bias], [result], "Conv2D", **options)
    check(m)


@BOTH
@pytest.mark.parametrize("dilation", [(1, 2), (2, 1), (2, 3)])
def test_conv_with_dilation(dtype, dilation):
    """Windows that lie inside the input, and windows that reach over every edge."""
    m = Model(lambda strategy: 1, dtype)
    source = m.input((1, 9, 9, 2), dtype, **({"scale": 0.1, "zero": 7} if dtype == "int8" else {}))
    weights, bias = m.weights(source, (4, 3, 3, 2), axis=0)
    result = m.output(m.tensor((1, 9, 9, 4), dtype, **({"scale": 1.0, "zero": -9} if dtype == "int8" else {})))
    options = {"strideH": 1, "strideW": 1, "dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
    m.operator("CONV_2D", [source, weights, bias], [result], "Conv2D", **options)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_depthwise_conv(dtype, data):
    m = Model(data.draw, dtype)
    size_h, size_w, channels = data.draw(SIZES), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    multiplier = data.draw(st.integers(1, 3))
    options, out_h, out_w, filter_h, filter_w = window(data.draw, size_h, size_w)
    source = m.source((1, size_h, size_w, channels))
    weights, bias = m.weights(source, (1, filter_h, filter_w, channels * multiplier), axis=3)
    result = m.result((1, out_h, out_w, channels * multiplier), **m.spread(filter_h * filter_w))
    options["depthMultiplier"] = multiplier
    m.operator("DEPTHWISE_CONV_2D", [source, weights, bias], [result], "DepthwiseConv2D", **options)
    check(m)


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@BOTH
@given(data=st.data())
@SETTINGS
def test_pool(name, dtype, data):
    m = Model(data.draw, dtype)
    size_h, size_w, channels = data.draw(SIZES), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    filter_h, filter_w = data.draw(st.integers(1, size_h)), data.draw(st.integers(1, min(4, size_w)))
    stride_h, stride_w = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    same = data.draw(st.booleans())
    out_h = -(-size_h // stride_h) if same else (size_h - filter_h) // stride_h + 1
    out_w = -(-size_w // stride_w) if same else (size_w - filter_w) // stride_w + 1
    quantisation = m.quantisation()
    source = m.source((1, size_h, size_w, channels), **quantisation)
    result = m.result((1, out_h, out_w, channels), **quantisation)
    options = {"padding": 0 if same else 1, "strideH": stride_h, "strideW": stride_w}
    options |= {"filterHeight": filter_h, "filterWidth": filter_w}
    m.operator(name, [source], [result], "Pool2D", fusedActivationFunction=data.draw(ACTIVATIONS), **options)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_batch_matmul(dtype, data):
    m = Model(data.draw, dtype)
    rows, depth, columns = (data.draw(st.integers(1, 9)) for _ in range(3))
    batch = [data.draw(st.integers(1, 3)) for _ in range(2)]
    batch_a = [n if data.draw(st.booleans()) else 1 for n in batch]
    batch_b = [n if data.draw(st.booleans()) else 1 for n in batch]
    adj_x, adj_y = data.draw(st.booleans()), data.draw(st.booleans())
    a = m.source((*batch_a, depth, rows) if adj_x else (*batch_a, rows, depth))
    b = m.source((*batch_b, columns, depth) if adj_y else (*batch_b, depth, columns))
    shape = (*np.maximum(batch_a, batch_b), rows, columns)
    result = m.result([int(n) for n in shape], **m.spread(depth))
    m.operator("BATCH_MATMUL", [a, b], [result], "BatchMatMul", adjX=adj_x, adjY=adj_y)
    check(m)


BINARY = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "SQUARED_DIFFERENCE": "SquaredDifference"}


@pytest.mark.parametrize("name", BINARY)
@BOTH
@given(data=st.data())
@SETTINGS
def test_binary(name, dtype, data):
    m = Model(data.draw, dtype)
    a, b, shape = operands(m)
    result = m.result(shape)
    options = {"fusedActivationFunction": data.draw(ACTIVATIONS)} if name != "SQUARED_DIFFERENCE" else {}
    m.operator(name, [a, b], [result], BINARY[name], **options)
    check(m)


def operands(m: Model, **quantisation) -> tuple[int, int, list[int]]:
    """Two inputs that broadcast in some way, or an input and a constant scalar."""
    shape = [m.draw(SIZES) for _ in range(m.draw(st.integers(1, 4)))]
    if m.draw(st.booleans()) and m.dtype == "int8":
        constant = m.constant(m.random.integers(-128, 128, ()).astype(np.int8), **(quantisation or m.quantisation()))
        pair = (m.source(shape, **quantisation), constant)
        return (*(pair if m.draw(st.booleans()) else pair[::-1]), shape)
    # in TFLite Micro a tensor may lack leading axes, and either may have length 1
    shapes = [[n if m.draw(st.integers(0, 3)) else 1 for n in shape] for _ in range(2)]
    kept = m.draw(st.integers(0, len(shape) - 1))
    pair = [shapes[0], shapes[1][kept:]]
    if m.draw(st.booleans()):
        pair.reverse()
    a, b = (m.source(one, **quantisation) for one in pair)
    return a, b, [int(n) for n in np.broadcast_shapes(*pair)]


@pytest.mark.parametrize("name", ["MINIMUM", "MAXIMUM"])
@BOTH
@given(data=st.data())
@SETTINGS
def test_extremum(name, dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    a, b, shape = operands(m, **quantisation)
    m.operator(name, [a, b], [m.result(shape, **quantisation)], "MaximumMinimum")
    check(m)


@given(st.data())
@settings(SETTINGS, max_examples=3)
def test_division(data):
    m = Model(data.draw, "float32")
    a, b, shape = operands(m)
    m.operator("DIV", [a, b], [m.result(shape)], "Div", fusedActivationFunction=data.draw(ACTIVATIONS))
    check(m, low=0.25)


FIXED = {
    "TANH": (1 / 128, 0),
    "LOGISTIC": (1 / 256, -128),
    "L2_NORMALIZATION": (1 / 128, 0),
    "SOFTMAX": (1 / 256, -128),
}


OPTIONS = {"ABS": "Abs", "LEAKY_RELU": "LeakyRelu"}


@pytest.mark.parametrize("name", ["TANH", "LOGISTIC", "ELU", "RELU", "ABS", "LEAKY_RELU"])
@given(data=st.data())
@SETTINGS
def test_int8_function(name, data):
    """All 256 entries of the table."""
    m = Model(data.draw, "int8")
    scale, zero = FIXED.get(name, (m.scale(), data.draw(st.integers(-128, 127))))
    more = {"alpha": data.draw(st.floats(0, 2, width=32))} if name == "LEAKY_RELU" else {}
    source = m.source((256,))
    m.operator(name, [source], [m.result((256,), scale=scale, zero=zero)], OPTIONS.get(name, ""), **more)
    every_value(m)


@given(st.data())
@settings(SETTINGS, max_examples=12)
def test_int8_hard_swish(data):
    """Scales at which the gate opens within a few steps, and at which it never does."""
    m = Model(data.draw, "int8")
    ratio, scale = data.draw(st.floats(0.01, 100)), m.scale()  # of 128 or more TFLite Micro refuses
    m.operator("HARD_SWISH", [m.source((256,), scale=scale * ratio, zero=data.draw(st.integers(-128, 127)))],
               [m.result((256,), scale=scale, zero=data.draw(st.integers(-128, 127)))], "HardSwish")  # fmt: skip
    every_value(m)


@pytest.mark.parametrize(
    ("scale", "out"), [(0.08804728835821152, 0.08322420716285706), (0.01602836698293686, 0.03557721525430679)]
)
def test_multipliers_of_hard_swish_come_from_double_precision(scale, out):
    """Scales whose ratio has another 15-bit mantissa, and the output other values, if it is first rounded to single."""
    m = ModelWriter()
    source = m.input((256,), "int8", scale=scale, zero=-100)
    m.operator("HARD_SWISH", [source], [m.output(m.tensor((256,), "int8", scale=out))], "HardSwish")
    agree(m, lambda inputs: [[np.arange(-128, 128)]])


@BOTH
@given(data=st.data())
@SETTINGS
def test_slopes(dtype, data):
    m = Model(data.draw, dtype)
    shape = [data.draw(SIZES) for _ in range(3)]
    other = [n if data.draw(st.booleans()) else 1 for n in shape]
    m.operator("PRELU", [m.source(shape), m.source(other)], [m.result(shape)])
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_extremes_and_where_they_are(dtype, data):
    m = Model(data.draw, dtype)
    quantisation, shape = m.quantisation(), [data.draw(SIZES) for _ in range(4)]
    axes = sorted(data.draw(st.sets(st.integers(0, 3), min_size=1, max_size=2)))
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    for name in ("REDUCE_MAX", "REDUCE_MIN"):
        inputs = [m.source(shape, **quantisation), m.integers(*axes)]
        m.operator(name, inputs, [m.result(kept, **quantisation)], "Reducer", keepDims=True)
    axis = data.draw(st.integers(0, 3))
    for name, options in {"ARG_MAX": "ArgMax", "ARG_MIN": "ArgMin"}.items():
        result = m.output(m.tensor([*shape[:axis], *shape[axis + 1 :]], "int32"))
        m.operator(name, [m.source(shape), m.integers(axis - 4)], [result], options, outputType=2)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_resizing(dtype, data):
    m = Model(data.draw, dtype)
    quantisation, (b, h, w, depth) = m.quantisation(), (data.draw(SIZES) for _ in range(4))
    size = [data.draw(st.integers(1, 15)) for _ in range(2)]
    options = data.draw(st.sampled_from([{}, {"alignCorners": True}, {"halfPixelCenters": True}]))
    inputs = [m.source((b, h, w, depth), **quantisation), m.integers(*size)]
    result = m.result((b, *size, depth), **quantisation)
    m.operator("RESIZE_NEAREST_NEIGHBOR", inputs, [result], "ResizeNearestNeighbor", **options)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_transpose_conv(dtype, data):
    m = Model(data.draw, dtype)
    sides, taps, strides = ([data.draw(st.integers(1, n)) for _ in range(2)] for n in (5, 4, 3))
    depth, units, same = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6)), data.draw(st.booleans())
    source = m.source((2, *sides, depth))
    weights, bias = m.weights(source, (units, *taps, depth), axis=0)
    beyond = [0, 0] if same else [max(f - s, 0) for f, s in zip(taps, strides, strict=True)]
    size = [n * s + more for n, s, more in zip(sides, strides, beyond, strict=True)]
    result = m.result((2, *size, units), **m.spread(taps[0] * taps[1] * depth))
    options = {"padding": 0 if same else 1, "strideH": strides[0], "strideW": strides[1]}
    inputs = [m.integers(2, *size, units), weights, source, bias]
    m.operator("TRANSPOSE_CONV", inputs, [result], "TransposeConv", **options)
    check(m)


def every_value(m: Model, first: int = -128) -> None:
    agree(m, lambda inputs: [[np.maximum(np.arange(-128, 128), first)]])


@given(st.data())
@SETTINGS
def test_int8_rsqrt(data):
    """All values that are not negative, which are the ones that TFLite Micro accepts."""
    m = Model(data.draw, "int8")
    zero = data.draw(st.integers(-128, 127))
    m.operator("RSQRT", [m.source((256,), scale=m.scale(), zero=zero)], [m.result((256,))])
    every_value(m, first=zero)


@given(st.data())
@SETTINGS
def test_requantisation(data):
    m = Model(data.draw, "int8")
    m.operator("QUANTIZE", [m.source((256,))], [m.result((256,))], "Quantize")
    every_value(m)


@pytest.mark.parametrize(
    ("name", "options", "low", "high"),
    [
        ("TANH", "", -12.0, 12.0),
        ("LOGISTIC", "", -30.0, 30.0),
        ("EXP", "Exp", -30.0, 5.0),
        ("LOG", "", 1e-6, 50.0),
        ("SQRT", "", 0.0, 50.0),
        ("RSQRT", "", 1e-3, 50.0),
        ("SQUARE", "Square", -9.0, 9.0),
        ("NEG", "Neg", -9.0, 9.0),
        ("ABS", "Abs", -9.0, 9.0),
        ("ELU", "", -20.0, 9.0),
        ("RELU", "", -9.0, 9.0),
        ("RELU6", "", -9.0, 9.0),
    ],
)
def test_float_function(name, options, low, high):
    m = Model(lambda strategy: 3, "float32")
    m.operator(name, [m.source((4, 50))], [m.result((4, 50))], options)
    check(m, low, high)


@BOTH
@given(data=st.data())
@SETTINGS
def test_softmax(dtype, data):
    m = Model(data.draw, dtype)
    shape = (data.draw(st.integers(20, 60)), data.draw(st.integers(1, 70)))
    fixed = {"scale": 1 / 256, "zero": -128} if dtype == "int8" else {}
    beta = data.draw(st.sampled_from([1.0, 0.25, 2.0]))
    m.operator("SOFTMAX", [m.source(shape)], [m.result(shape, **fixed)], "Softmax", beta=beta)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_l2_normalization(dtype, data):
    m = Model(data.draw, dtype)
    shape = (1, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40)))
    fixed = {"scale": 1 / 128, "zero": 0} if dtype == "int8" else {}
    m.operator("L2_NORMALIZATION", [m.source(shape)], [m.result(shape, **fixed)], "L2Norm")
    check(m)
    check(m, 0.0, 0.0)  # a row of zeros has no direction


@pytest.mark.parametrize("name", ["MEAN", "SUM"])
@BOTH
@given(data=st.data())
@SETTINGS
def test_reduction(name, dtype, data):
    m = Model(data.draw, dtype)
    shape = [data.draw(SIZES) for _ in range(4)]
    axes = data.draw(st.sets(st.integers(0, 3), min_size=1, max_size=2))
    keep = data.draw(st.booleans())
    kept = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    named = [axis - 4 if data.draw(st.booleans()) else axis for axis in sorted(axes)]
    m.operator(name, [m.source(shape), m.integers(*named)], [m.result(kept)], "Reducer", keepDims=keep)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_transpose(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(2, 4)))]
    order = data.draw(st.permutations(range(len(shape))))
    result = m.result([shape[i] for i in order], **quantisation)
    m.operator("TRANSPOSE", [m.source(shape, **quantisation), m.integers(*order)], [result], "Transpose")
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_concatenation(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 4)))]
    axis = data.draw(st.integers(0, len(shape) - 1))
    parts = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    sources = [m.source([*shape[:axis], n, *shape[axis + 1 :]], **quantisation) for n in parts]
    result = m.result([*shape[:axis], sum(parts), *shape[axis + 1 :]], **quantisation)
    m.operator("CONCATENATION", sources, [result], "Concatenation", axis=axis - len(shape))
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_pack_and_unpack(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 3)))]
    axis, count = data.draw(st.integers(0, len(shape))), data.draw(st.integers(1, 4))
    packed = m.tensor([*shape[:axis], count, *shape[axis:]], dtype, **quantisation)
    sources = [m.source(shape, **quantisation) for _ in range(count)]
    m.operator("PACK", sources, [packed], "Pack", axis=axis, valuesCount=count)
    across = data.draw(st.integers(0, len(shape)))
    whole = [*shape[:axis], count, *shape[axis:]]
    results = [m.result([*whole[:across], *whole[across + 1 :]], **quantisation) for _ in range(whole[across])]
    m.operator("UNPACK", [packed], results, "Unpack", axis=across, num=whole[across])
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_split(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 4)))]
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    shape[axis] = sum(sizes)
    source = m.source(shape, **quantisation)
    results = [m.result([*shape[:axis], n, *shape[axis + 1 :]], **quantisation) for n in sizes]
    if len(set(sizes)) == 1:
        m.operator("SPLIT", [m.constant(np.int32(axis)), source], results, "Split", numSplits=len(sizes))
    else:
        inputs = [source, m.integers(*sizes), m.constant(np.int32(axis))]
        m.operator("SPLIT_V", inputs, results, "SplitV", numSplits=len(sizes))
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_strided_slice(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 4)))]
    begin, end, stride, kept, masks = [], [], [], [], [0, 0, 0]
    for axis, n in enumerate(shape):
        first, step = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 2))
        last = data.draw(st.integers(first + 1, n))
        choice = data.draw(st.integers(0, 3))
        if choice == 1:
            first, masks[0] = 0, masks[0] | 1 << axis
        if choice == 2:
            last, masks[1] = n, masks[1] | 1 << axis
        if choice == 3 and len(shape) > 1:
            last, step, masks[2] = first + 1, 1, masks[2] | 1 << axis
        else:
            kept.append(len(range(first, last, step)))
        negative = data.draw(st.booleans()) and last < n
        begin.append(first), end.append(last - n if negative else last), stride.append(step)
    source = m.source(shape, **quantisation)
    bounds = [m.integers(*values) for values in (begin, end, stride)]
    options = dict(zip(["beginMask", "endMask", "shrinkAxisMask"], masks, strict=True))
    m.operator("STRIDED_SLICE", [source, *bounds], [m.result(kept, **quantisation)], "StridedSlice", **options)
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_slice(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 4)))]
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    size = [data.draw(st.sampled_from([-1, 1, n - b])) for n, b in zip(shape, begin, strict=True)]
    kept = [n - b if s == -1 else s for n, b, s in zip(shape, begin, size, strict=True)]
    inputs = [m.source(shape, **quantisation), m.integers(*begin), m.integers(*size)]
    m.operator("SLICE", inputs, [m.result(kept, **quantisation)], "Slice")
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_pad(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 4)))]
    margins = [[data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))] for _ in shape]
    inputs = [m.source(shape, **quantisation), m.constant(np.array(margins, np.int32))]
    result = m.result([n + sum(margin) for n, margin in zip(shape, margins, strict=True)], **quantisation)
    if data.draw(st.booleans()):
        inputs.append(m.constant(np.array([5], dtype), **quantisation))
        m.operator("PADV2", inputs, [result], "PadV2")
    else:
        m.operator("PAD", inputs, [result], "Pad")
    check(m)


@BOTH
@given(data=st.data())
@SETTINGS
def test_gather(dtype, data):
    m = Model(data.draw, dtype)
    quantisation = m.quantisation()
    shape = [data.draw(SIZES) for _ in range(data.draw(st.integers(1, 3)))]
    axis = data.draw(st.integers(0, len(shape) - 1))
    chosen = data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=4))
    inputs = [m.source(shape, **quantisation), m.integers(*chosen)]
    result = m.result([*shape[:axis], len(chosen), *shape[axis + 1 :]], **quantisation)
    m.operator("GATHER", inputs, [result], "Gather", axis=axis)
    check(m)


@given(st.data())
@SETTINGS
def test_quantize_and_dequantize(data):
    """Also values that lie half way between two integers, and far outside."""
    m = Model(data.draw, "float32")
    scale, zero = data.draw(st.sampled_from([0.5, 0.25, 0.1, 0.037])), data.draw(st.integers(-128, 127))
    source = m.source((800,))
    middle = m.output(m.tensor((800,), "int8", scale=scale, zero=zero))
    m.operator("QUANTIZE", [source], [middle], "Quantize")
    m.operator("DEQUANTIZE", [middle], [m.result((800,))], "Dequantize")
    halves = (np.arange(-400, 400) / 2 * np.float32(scale)).astype(np.float32)
    agree(m, lambda inputs: [[halves], [halves * 100], [np.nextafter(halves, 0)]], tolerance=0)


@pytest.mark.parametrize("kernel", ["FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL"])
def test_multipliers_come_from_double_precision(kernel):
    """Products of scales chosen so that a factor rounded to single precision first would change the output."""
    random = np.random.default_rng(3)
    for _ in range(3):
        scales, value, weight = knife_edge(random)
        m = ModelWriter()
        rank = 4 if kernel == "CONV_2D" else 2
        shape = (1,) * rank
        source = m.input(shape, "int8", scale=scales[0])
        if kernel == "BATCH_MATMUL":
            weights = m.input(shape, "int8", scale=scales[1])
        else:
            weights = m.constant(np.full(shape, weight, np.int8), scale=scales[1])
        result = m.output(m.tensor(shape, "int8", scale=scales[2]))
        if kernel == "CONV_2D":
            m.operator(kernel, [source, weights, -1], [result], "Conv2D", strideH=1, strideW=1)
        elif kernel == "FULLY_CONNECTED":
            m.operator(kernel, [source, weights, -1], [result], "FullyConnected", keepNumDims=True)
        else:
            m.operator(kernel, [source, weights], [result], "BatchMatMul")
        both = [np.full(shape, q) for q in (value, weight)]
        agree(m, lambda inputs, both=both: [both[: len(inputs)]])


def knife_edge(random) -> tuple[list[np.float32], int, int]:
    """Three scales and two int8 whose product, rescaled, rounds differently in the two precisions."""
    values, weights = np.meshgrid(np.arange(1, 128), np.arange(1, 128))
    while True:
        a, b = random.uniform(0.001, 1, 2).astype(np.float32)
        out = np.float32(float(a) * float(b) * random.uniform(130, 160))
        products = (values * weights).astype(np.float64)
        exact = np.floor(products * (float(a) * float(b) / float(out)) + 0.5)
        single = np.floor(products * (float(a * b) / float(out)) + 0.5)
        found = np.argwhere(exact != single)
        if len(found):
            i, j = found[0]
            return [a, b, out], int(values[i, j]), int(weights[i, j])
