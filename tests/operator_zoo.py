"""One model with every operator that the compiler knows, in each element type: for tests of what holds for all of them.

Each operator has inputs and outputs of its own. The random forms of an operator are in test_aot_kernels and
test_aot_wide; here every one is there once, with shapes that fill no word and no vector.
"""

from collections.abc import Callable, Iterable

import numpy as np
from tflite_writer import ModelWriter

FLOAT, BYTE, WIDE = "float32", "int8", "int16"
TYPES = (BYTE, WIDE, FLOAT)


class Zoo(ModelWriter):
    """Operators of one type at a time: `dtype` may be changed between them."""

    def __init__(self, dtype: str, seed: int = 0):
        super().__init__()
        self.dtype = dtype
        self.random = np.random.default_rng(seed)

    def quantisation(self, scale: float = 0.05, zero: int = -3) -> dict:
        return {FLOAT: {}, BYTE: {"scale": scale, "zero": zero}, WIDE: {"scale": scale / 256}}[self.dtype]

    def source(self, shape, **more) -> int:
        return self.input(shape, self.dtype, **(more or self.quantisation()))

    def result(self, shape, **more) -> int:
        return self.output(self.tensor(shape, self.dtype, **(more or self.quantisation(0.11, 4))))

    def fixed(self, bits: int, zero: int = 0) -> dict:
        """The quantisation that TFLite fixes for the output of a function: 1 / 2^bits, or 1 / 2^15 for int16."""
        return {FLOAT: {}, BYTE: {"scale": 2.0**-bits, "zero": zero}, WIDE: {"scale": 2.0**-15}}[self.dtype]

    def integers(self, *values) -> int:
        return self.constant(np.array(values, np.int32))

    def weights(self, source: int, shape, axis: int = 0) -> list[int]:
        """Weights, a scale for each output channel, and a bias."""
        units = shape[axis]
        if self.dtype == FLOAT:
            values = self.random.normal(size=shape).astype(np.float32)
            return [self.constant(values), self.constant(self.random.normal(size=units).astype(np.float32))]
        scale = self.random.uniform(0.005, 0.02, units)
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        bias = self.random.integers(-2000, 2000, units).astype(np.int32 if self.dtype == BYTE else np.int64)
        bias_scale = scale * self.graph.tensors[source].quantization.scale[0]
        return [self.constant(values, scale=scale, axis=axis), self.constant(bias, scale=bias_scale)]


# ── sums of products ─────────────────────────────────────────────────────────────────────────────
def dense(z: Zoo) -> None:
    x = z.source((1, 3, 11))
    y = z.result((1, 3, 5))
    z.operator(
        "FULLY_CONNECTED",
        [x, *z.weights(x, (5, 11))],
        [y],
        "FullyConnected",
        keepNumDims=True,
        fusedActivationFunction=3,
    )


def convolution(z: Zoo) -> None:
    x = z.source((1, 5, 6, 3))
    options = {"padding": 0, "strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 2}
    y = z.result((1, 3, 6, 5))
    z.operator("CONV_2D", [x, *z.weights(x, (5, 3, 2, 3))], [y], "Conv2D", fusedActivationFunction=1, **options)


def convolution_of_a_sequence(z: Zoo) -> None:
    """A 1-D convolution as converters write it."""
    x, q = z.source((1, 9, 3)), z.quantisation()
    column, row = z.tensor((1, 1, 9, 3), z.dtype, **q), z.tensor((1, 1, 7, 4), z.dtype, **z.quantisation(0.11, 4))
    z.operator("EXPAND_DIMS", [x, z.integers(1)], [column], "ExpandDims")
    options = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    z.operator("CONV_2D", [column, *z.weights(x, (4, 1, 3, 3))], [row], "Conv2D", **options)
    z.operator("SQUEEZE", [row], [z.result((1, 7, 4))], "Squeeze", squeezeDims=[1])


def depthwise_convolution(z: Zoo) -> None:
    x = z.source((1, 5, 6, 3))
    options = {"padding": 0, "strideH": 1, "strideW": 2, "dilationHFactor": 1, "dilationWFactor": 1}
    weights, y = z.weights(x, (1, 3, 2, 6), axis=3), z.result((1, 5, 3, 6))
    z.operator(
        "DEPTHWISE_CONV_2D",
        [x, *weights],
        [y],
        "DepthwiseConv2D",
        depthMultiplier=2,
        fusedActivationFunction=2,
        **options,
    )


def transposed_convolution(z: Zoo) -> None:
    for padding, shape in ((0, (2, 6, 7, 5)), (1, (2, 7, 10, 5))):
        x = z.source((2, 3, 4, 3))
        weights, bias = z.weights(x, (5, 3, 4, 3))
        inputs = [z.integers(*shape), weights, x, bias]
        z.operator("TRANSPOSE_CONV", inputs, [z.result(shape)], "TransposeConv", padding=padding, strideH=2, strideW=2)


def matrices(z: Zoo) -> None:
    for adjoint in (False, True):
        a, b = z.source((2, 3, 5)), z.source((1, 7, 5) if adjoint else (1, 5, 7))
        y = z.result((2, 3, 7), **z.quantisation(0.3, 4))
        z.operator("BATCH_MATMUL", [a, b], [y], "BatchMatMul", adjX=False, adjY=adjoint)
    a = z.source((1, 5, 3))
    y = z.result((1, 3, 3), **z.quantisation(0.3, 4))
    z.operator("BATCH_MATMUL", [a, z.source((1, 5, 3))], [y], "BatchMatMul", adjX=True)


def selective_step(z: Zoo) -> None:
    """The one-step Mamba update, which becomes one kernel, and its gate."""
    wide, row = (1, 1, 3, 5), (1, 1, 1, 5)
    delta, x, b, c, h = (z.source(shape) for shape in (row, row, (1, 1, 3, 1), (1, 1, 1, 3), wide))
    a = z.constant(z.random.uniform(-1, 0, (3, 5)).astype(np.float32))
    exponent, decay, decayed, driven, new = (z.tensor(wide) for _ in range(5))
    drive, y, gate = (z.tensor(row) for _ in range(3))
    for name, inputs, output, options in (
        ("MUL", [delta, a], exponent, "Mul"),
        ("EXP", [exponent], decay, "Exp"),
        ("MUL", [decay, h], decayed, "Mul"),
        ("MUL", [delta, x], drive, "Mul"),
        ("MUL", [drive, b], driven, "Mul"),
        ("ADD", [decayed, driven], new, "Add"),
        ("BATCH_MATMUL", [c, new], y, "BatchMatMul"),
        ("LOGISTIC", [y], gate, ""),
        ("MUL", [gate, y], z.result(row), "Mul"),
    ):
        z.operator(name, inputs, [output], options)


# ── windows and axes ─────────────────────────────────────────────────────────────────────────────
def pool(name: str) -> Callable[[Zoo], None]:
    def add(z: Zoo) -> None:
        for padding, shape in ((0, (1, 3, 6, 3)), (1, (1, 2, 4, 3))):
            options = {"padding": padding, "strideH": 2, "strideW": 1, "filterHeight": 2, "filterWidth": 3}
            x, y = z.source((1, 5, 6, 3)), z.result(shape, **z.quantisation())
            z.operator(name, [x], [y], "Pool2D", fusedActivationFunction=padding, **options)

    return add


def reduction(name: str) -> Callable[[Zoo], None]:
    def add(z: Zoo) -> None:
        z.operator(name, [z.source((2, 3, 4, 5)), z.integers(1, -1)], [z.result((2, 4))], "Reducer")
        z.operator(name, [z.source((2, 3, 5)), z.integers(2)], [z.result((2, 3, 1))], "Reducer", keepDims=True)

    return add


def extreme(name: str) -> Callable[[Zoo], None]:
    def add(z: Zoo) -> None:
        q = z.quantisation()
        for axes, shape, keep in (((1, -1), (2, 4), False), ((2,), (2, 3, 1, 5), True)):
            inputs = [z.source((2, 3, 4, 5), **q), z.integers(*axes)]
            z.operator(name, inputs, [z.result(shape, **q)], "Reducer", keepDims=keep)

    return add


def arg(name: str, options: str) -> Callable[[Zoo], None]:
    def add(z: Zoo) -> None:
        for axis, shape in ((-1, (2, 3)), (0, (3, 5))):
            y = z.output(z.tensor(shape, "int32"))
            z.operator(name, [z.source((2, 3, 5)), z.integers(axis)], [y], options, outputType=2)

    return add


def softmax(z: Zoo) -> None:
    z.operator("SOFTMAX", [z.source((3, 7))], [z.result((3, 7), **z.fixed(8, -128))], "Softmax", beta=1.0)


def direction(z: Zoo) -> None:
    z.operator("L2_NORMALIZATION", [z.source((3, 7))], [z.result((3, 7), **z.fixed(7))], "L2Norm")


# ── element by element ───────────────────────────────────────────────────────────────────────────
def binary(name: str, options: str, same: bool = False) -> Callable[[Zoo], None]:
    """same: TFLite wants one quantisation of all tensors, and fuses no activation."""

    def add(z: Zoo) -> None:
        own, theirs = (z.quantisation(), z.quantisation(0.05 if same else 0.031, -3 if same else 9))
        out = own if same else z.quantisation(0.11, 4)
        for activation, other in enumerate(((2, 3, 5), (3, 1), (1,))):
            pair, y = [z.source((2, 3, 5), **own), z.source(other, **theirs)], z.result((2, 3, 5), **out)
            more = {} if same or name == "SQUARED_DIFFERENCE" else {"fusedActivationFunction": 3 * (activation % 2)}
            z.operator(name, pair, [y], options, **more)
        if not same:
            fixed = z.constant(z.random.integers(1, 100, ()).astype(z.dtype), **theirs)
            z.operator(name, [z.source((2, 5), **own), fixed], [z.result((2, 5), **out)], options)

    return add


def function(name: str, options: str = "", bits: int | None = None, zero: int = 0) -> Callable[[Zoo], None]:
    """bits: of an output whose quantisation TFLite fixes."""

    def add(z: Zoo) -> None:
        more = z.quantisation() if bits is None else z.fixed(bits, zero)
        z.operator(name, [z.source((3, 7))], [z.result((3, 7), **more)], options)

    return add


def leaky(z: Zoo) -> None:
    for slope in (0.2, 1.7):
        z.operator("LEAKY_RELU", [z.source((3, 7))], [z.result((3, 7))], "LeakyRelu", alpha=slope)


def prelu(z: Zoo) -> None:
    """Slopes of channels, of elements, and one for all; of int16 they are int8 that are known."""
    dtype = FLOAT if z.dtype == FLOAT else BYTE
    q = {} if dtype == FLOAT else {"scale": 0.013, "zero": 7}
    for shape in ((5,), (2, 3, 5), (1,)):
        values = z.random.integers(-9, 9, shape).astype(dtype)
        z.operator("PRELU", [z.source((2, 3, 5)), z.constant(values, **q)], [z.result((2, 3, 5))])
    if z.dtype != WIDE:
        z.operator("PRELU", [z.source((2, 3, 5)), z.source((1, 5))], [z.result((2, 3, 5))])


def requantisation(z: Zoo) -> None:
    """To every other type, and to the same one with another scale."""
    x = z.source((3, 7))
    if z.dtype != FLOAT:
        z.operator("DEQUANTIZE", [x], [z.output(z.tensor((3, 7)))], "Dequantize")
    for dtype, q in {BYTE: {"scale": 0.083, "zero": 5}, WIDE: {"scale": 0.0007}}.items():
        z.operator("QUANTIZE", [x], [z.output(z.tensor((3, 7), dtype, **q))], "Quantize")


# ── what only moves ──────────────────────────────────────────────────────────────────────────────
def reshape(z: Zoo) -> None:
    q = z.quantisation()
    x, y = z.source((2, 3, 4), **q), z.result((4, 6), **q)
    z.operator("RESHAPE", [x, z.integers(4, 6)], [y], "Reshape", newShape=[4, 6])


def transpose(z: Zoo) -> None:
    q = z.quantisation()
    z.operator("TRANSPOSE", [z.source((2, 3, 4), **q), z.integers(2, 0, 1)], [z.result((4, 2, 3), **q)], "Transpose")


def split(z: Zoo) -> None:
    q = z.quantisation()
    halves = [z.result((2, 3, 2), **q) for _ in range(2)]
    z.operator("SPLIT", [z.integers(2), z.source((2, 3, 4), **q)], halves, "Split", numSplits=2)


def split_by_sizes(z: Zoo) -> None:
    q = z.quantisation()
    parts = [z.result((2, n, 4), **q) for n in (1, 2)]
    z.operator("SPLIT_V", [z.source((2, 3, 4), **q), z.integers(1, 2), z.integers(1)], parts, "SplitV", numSplits=2)


def unpack(z: Zoo) -> None:
    q = z.quantisation()
    z.operator("UNPACK", [z.source((2, 3, 4), **q)], [z.result((2, 4), **q) for _ in range(3)], "Unpack", num=3, axis=1)


def pack(z: Zoo) -> None:
    q = z.quantisation()
    rows = [z.source((2, 3), **q) for _ in range(2)]
    z.operator("PACK", rows, [z.result((2, 2, 3), **q)], "Pack", valuesCount=2, axis=1)


def concatenation(z: Zoo) -> None:
    q = z.quantisation()
    parts = [z.source((2, n), **q) for n in (3, 1)]
    z.operator("CONCATENATION", parts, [z.result((2, 4), **q)], "Concatenation", axis=-1)


def slices(z: Zoo) -> None:
    q = z.quantisation()
    z.operator("SLICE", [z.source((3, 5), **q), z.integers(1, 2), z.integers(2, -1)], [z.result((2, 3), **q)], "Slice")


def strided_slice(z: Zoo) -> None:
    q = z.quantisation()
    bounds = [z.integers(*values) for values in ((1, 0, 0), (2, 6, 4), (1, 2, 1))]
    masks = {"beginMask": 4, "endMask": 4, "shrinkAxisMask": 1}
    z.operator("STRIDED_SLICE", [z.source((2, 6, 4), **q), *bounds], [z.result((3, 4), **q)], "StridedSlice", **masks)


def gather(z: Zoo) -> None:
    q = z.quantisation()
    z.operator("GATHER", [z.source((3, 5), **q), z.integers(4, 0)], [z.result((3, 2), **q)], "Gather", axis=1)


def blocks(z: Zoo) -> None:
    q = z.quantisation()
    z.operator(
        "SPACE_TO_DEPTH", [z.source((2, 4, 6, 3), **q)], [z.result((2, 2, 3, 12), **q)], "SpaceToDepth", blockSize=2
    )
    z.operator(
        "DEPTH_TO_SPACE", [z.source((2, 2, 3, 12), **q)], [z.result((2, 4, 6, 3), **q)], "DepthToSpace", blockSize=2
    )


def images(z: Zoo) -> None:
    """To blocks and back, of one axis and of two, with margins and without."""
    q = z.quantisation()
    for shape, block, margins, parted in (
        ((2, 6, 3), [2], [[0, 0]], (4, 3, 3)),
        ((1, 5, 4, 3), [3, 2], [[1, 0], [0, 2]], (6, 2, 3, 3)),
    ):
        more = z.integers(*block), z.constant(np.array(margins, np.int32))
        z.operator("SPACE_TO_BATCH_ND", [z.source(shape, **q), *more], [z.result(parted, **q)], "SpaceToBatchND")
        z.operator("BATCH_TO_SPACE_ND", [z.source(parted, **q), *more], [z.result(shape, **q)], "BatchToSpaceND")


def broadcast(z: Zoo) -> None:
    q = z.quantisation()
    inputs = [z.source((3, 1, 5), **q), z.integers(2, 3, 4, 5)]
    z.operator("BROADCAST_TO", inputs, [z.result((2, 3, 4, 5), **q)], "BroadcastTo")


def resize(z: Zoo) -> None:
    q = z.quantisation()
    for more in ({}, {"alignCorners": True}, {"halfPixelCenters": True}):
        inputs = [z.source((2, 3, 4, 3), **q), z.integers(5, 3)]
        z.operator("RESIZE_NEAREST_NEIGHBOR", inputs, [z.result((2, 5, 3, 3), **q)], "ResizeNearestNeighbor", **more)


def shape_of(z: Zoo) -> None:
    """What a converter writes before a RESHAPE if it does not know the batch: all of it goes at compile time."""
    q = z.quantisation()
    x, (shape, batch, both) = z.source((2, 3, 4), **q), (z.tensor(s, "int32") for s in ((3,), (), (2,)))
    z.operator("SHAPE", [x], [shape], "Shape", outType=2)
    bounds = [z.integers(0), z.integers(1), z.integers(1)]
    z.operator("STRIDED_SLICE", [shape, *bounds], [batch], "StridedSlice", shrinkAxisMask=1)
    z.operator("PACK", [batch, z.constant(np.int32(12))], [both], "Pack", valuesCount=2)
    z.operator("RESHAPE", [x, both], [z.result((2, 12), **q)], "Reshape")


def pad(z: Zoo) -> None:
    q = z.quantisation()
    margins = z.constant(np.array([[0, 1], [2, 0]], np.int32))
    z.operator("PAD", [z.source((3, 5), **q), margins], [z.result((4, 7), **q)], "Pad")


def pad_with_a_value(z: Zoo) -> None:
    q = z.quantisation()
    margins, filler = z.constant(np.array([[0, 1], [2, 0]], np.int32)), z.constant(np.array(5, z.dtype), **q)
    z.operator("PADV2", [z.source((3, 5), **q), margins, filler], [z.result((4, 7), **q)], "PadV2")


ALL, NARROW, FLOATS = TYPES, (BYTE, FLOAT), (FLOAT,)
ANIMALS: dict[str, tuple[Iterable[str], Callable[[Zoo], None]]] = {
    "FULLY_CONNECTED": (ALL, dense),
    "CONV_2D": (ALL, convolution),
    "EXPAND_DIMS, CONV_2D, SQUEEZE": (ALL, convolution_of_a_sequence),
    "DEPTHWISE_CONV_2D": (ALL, depthwise_convolution),
    "TRANSPOSE_CONV": (ALL, transposed_convolution),
    "BATCH_MATMUL": (ALL, matrices),
    "selective step": (FLOATS, selective_step),
    "AVERAGE_POOL_2D": (ALL, pool("AVERAGE_POOL_2D")),
    "MAX_POOL_2D": (ALL, pool("MAX_POOL_2D")),
    "MEAN": (ALL, reduction("MEAN")),
    "SUM": (ALL, reduction("SUM")),
    "REDUCE_MAX": (NARROW, extreme("REDUCE_MAX")),
    "REDUCE_MIN": (NARROW, extreme("REDUCE_MIN")),
    "ARG_MAX": (NARROW, arg("ARG_MAX", "ArgMax")),
    "ARG_MIN": (NARROW, arg("ARG_MIN", "ArgMin")),
    "SOFTMAX": (ALL, softmax),
    "L2_NORMALIZATION": (NARROW, direction),
    "ADD": (ALL, binary("ADD", "Add")),
    "SUB": (ALL, binary("SUB", "Sub")),
    "MUL": (ALL, binary("MUL", "Mul")),
    "SQUARED_DIFFERENCE": (ALL, binary("SQUARED_DIFFERENCE", "SquaredDifference")),
    "MINIMUM": (ALL, binary("MINIMUM", "MaximumMinimum", same=True)),
    "MAXIMUM": (ALL, binary("MAXIMUM", "MaximumMinimum", same=True)),
    "TANH": (ALL, function("TANH", bits=7)),
    "LOGISTIC": (ALL, function("LOGISTIC", bits=8, zero=-128)),
    "ELU": (NARROW, function("ELU")),
    "RELU": (ALL, function("RELU")),
    "RELU6": (ALL, function("RELU6")),
    "LEAKY_RELU": (ALL, leaky),
    "PRELU": (ALL, prelu),
    "HARD_SWISH": (NARROW, function("HARD_SWISH", "HardSwish")),
    "ABS": (ALL, function("ABS", "Abs")),
    "EXP": (FLOATS, function("EXP", "Exp")),
    "NEG": (FLOATS, function("NEG", "Neg")),
    "SQUARE": (FLOATS, function("SQUARE", "Square")),
    "QUANTIZE, DEQUANTIZE": (ALL, requantisation),
    "RESHAPE": (ALL, reshape),
    "TRANSPOSE": (ALL, transpose),
    "SPLIT": (ALL, split),
    "SPLIT_V": (ALL, split_by_sizes),
    "UNPACK": (ALL, unpack),
    "PACK": (ALL, pack),
    "CONCATENATION": (ALL, concatenation),
    "SLICE": (ALL, slices),
    "STRIDED_SLICE": (ALL, strided_slice),
    "GATHER": (NARROW, gather),
    "SPACE_TO_DEPTH, DEPTH_TO_SPACE": (NARROW, blocks),
    "SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND": (NARROW, images),
    "BROADCAST_TO": (ALL, broadcast),
    "RESIZE_NEAREST_NEIGHBOR": (ALL, resize),
    "SHAPE, STRIDED_SLICE, PACK, RESHAPE": (ALL, shape_of),
    "PAD": (ALL, pad),
    "PADV2": (ALL, pad_with_a_value),
}
# Those that are defined for numbers above zero only.
POSITIVE: dict[str, tuple[Iterable[str], Callable[[Zoo], None]]] = {
    "DIV": (FLOATS, binary("DIV", "Div")),
    "LOG": (FLOATS, function("LOG")),
    "SQRT": (FLOATS, function("SQRT")),
    "RSQRT": (ALL, function("RSQRT")),
}


def zoo(*dtypes: str, positive: bool = False) -> Zoo:
    """All operators of these types in one model. positive: those instead whose inputs must be above zero."""
    z = Zoo(dtypes[0])
    for z.dtype in dtypes:
        for known, add in (POSITIVE if positive else ANIMALS).values():
            if z.dtype in known:
                add(z)
    return z


def one_by_one() -> dict[str, bytes]:
    """A .tflite for each operator and type, by name."""
    files = {}
    for name, (dtypes, add) in {**ANIMALS, **POSITIVE}.items():
        for dtype in dtypes:
            add(z := Zoo(dtype))
            files[f"{name} {dtype}"] = z.bytes()
    return files
