"""Fusions against TFLite Micro: the same bits, fewer kernels, less memory; what is needed elsewhere is not fused."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from aot_tools import PEERS, Compiled, Micro, assert_agree
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tflite_writer import ModelWriter

from tinyloc.aot.lower import lower
from tinyloc.aot.passes import optimised
from tinyloc.aot.plan import plan
from tinyloc.aot.reader import read

LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767)}
ROWS, DEPTH = 5, 12
KEPT_ROWS = 128  # bytes


def q(dtype: str, scale: float, zero: int = 0) -> dict:
    return {"float32": {}, "int8": {"scale": scale, "zero": zero}, "int16": {"scale": scale / 256}}[dtype]


def constant(m: ModelWriter, random: np.random.Generator, dtype: str, shape: tuple, scale: float, zero: int = 0) -> int:
    if dtype == "float32":
        return m.constant(random.normal(size=shape).astype(np.float32))
    values = random.integers(LIMITS[dtype][0], LIMITS[dtype][1] + 1, shape).astype(dtype)
    return m.constant(values, **q(dtype, scale, zero))


def agree(m: ModelWriter, rounds: int = 6) -> Compiled:
    """Random inputs, then the extremes; the compiled model, for its report."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        path = m.save(Path(name) / "m.tflite")
        compiled, micro = Compiled(path, Path(name) / "c"), Micro(path)
        for i in range(rounds):
            inputs = [sample(random, t, i) for t in compiled.inputs]
            assert_agree(compiled.run(*inputs), micro.run(*inputs))
        # on tensors of so few bytes the rows that a loop keeps may cost more than it saves
        assert compiled.report.arena_bytes <= plan(lower(read(path))).arena_bytes + KEPT_ROWS
    return compiled


def sample(random: np.random.Generator, tensor, i: int) -> np.ndarray:
    if tensor.dtype == "float32":
        return random.uniform(-4, 4, tensor.shape)
    low, high = LIMITS[tensor.dtype]
    return np.full(tensor.shape, (low, high)[i]) if i < 2 else random.integers(low, high + 1, tensor.shape)


def kernels(compiled: Compiled) -> list[str]:
    return [step.kernel for step in compiled.report.steps]


def layer_norm(m: ModelWriter, x: int, dtype: str, shape: tuple, squared: str) -> int:
    """The pieces into which converters take LayerNorm apart; the output's tensor."""
    random, row = np.random.default_rng(2), (*shape[:-1], 1)

    def made(name: str, inputs: list[int], size: tuple, scale: float, zero: int = 0, options: str = "", **more) -> int:
        result = m.tensor(size, dtype, **q(dtype, scale, zero))
        m.operator(name, inputs, [result], options, **more)
        return result

    axis = m.constant(np.array([len(shape) - 1], np.int32))
    mean = made("MEAN", [x, axis], row, 0.03, 5, "Reducer", keepDims=True)
    centred = made("SUB", [x, mean], shape, 0.06, -3, "Sub")
    if squared == "SQUARED_DIFFERENCE":
        squares = made(squared, [x, mean], shape, 0.1, -128, "SquaredDifference")
    else:
        squares = made("MUL", [centred, centred], shape, 0.1, -128, "Mul")
    variance = made("MEAN", [squares, axis], row, 0.05, -128, "Reducer", keepDims=True)
    epsilon = m.constant(np.full((), 1e-3, np.float32)) if dtype == "float32" else constant(m, random, dtype, (), 1e-4)
    shifted = made("ADD", [variance, epsilon], row, 0.05, -128, "Add")
    root = made("RSQRT", [shifted], row, 0.04, -128)
    gamma, beta = (constant(m, random, dtype, shape[-1:], 0.01, 4) for _ in range(2))
    scaled = made("MUL", [root, gamma], shape, 0.05, -20, "Mul")
    product = made("MUL", [centred, scaled], shape, 0.08, 9, "Mul")
    return made("ADD", [product, beta], shape, 0.08, 2, "Add")


@pytest.mark.parametrize(("dtype", "squared"), [("int8", "MUL"), ("int8", "SQUARED_DIFFERENCE"), ("float32", "MUL"),
                                                 ("int16", "MUL")])  # fmt: skip
def test_the_pieces_of_layer_norm_are_one_pass(dtype, squared):
    m, shape = ModelWriter(), (1, ROWS, DEPTH)
    source, other = (m.input(shape, dtype, **q(dtype, 0.05, zero)) for zero in (7, -9))
    m.operator("ADD", [source, other], [x := m.tensor(shape, dtype, **q(dtype, 0.07, 1))], "Add")
    m.output(layer_norm(m, x, dtype, shape, squared))
    compiled = agree(m)
    assert kernels(compiled) == [f"fused_{dtype.replace('int', 's').replace('float', 'f')}"]
    (step,) = compiled.report.steps
    assert len(step.operators) == 10


def test_what_is_read_elsewhere_stays_a_tensor():
    """The normalised rows are an output too, and the sums before them are needed twice: two loops, no more."""
    m, shape = ModelWriter(), (1, ROWS, DEPTH)
    x = m.input(shape, "int8", **q("int8", 0.05, 7))
    m.operator("TANH", [x], [t := m.tensor(shape, "int8", scale=1 / 128)])
    m.output(t)
    m.operator("MUL", [t, t], [s := m.tensor(shape, "int8", **q("int8", 0.01, -100))], "Mul")
    m.operator("ADD", [s, t], [m.output(m.tensor(shape, "int8", **q("int8", 0.02)))], "Add")
    compiled = agree(m)
    assert kernels(compiled) == ["table_s8", "fused_s8"]


FUNCTIONS = {
    "TANH": {"scale": 1 / 128, "zero": 0},
    "LOGISTIC": {"scale": 1 / 256, "zero": -128},
    "ELU": {"scale": 0.02, "zero": -70},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_a_product_is_looked_up_where_it_is_stored(name):
    """Behind convolutions (with an activation too), dense layers of one row and of several, and matrix products."""
    m, random = ModelWriter(), np.random.default_rng(3)

    def behind(shape: tuple, kernel: str, operands: list[int], options: str, **more) -> None:
        made = m.tensor(shape, "int8", **q("int8", 0.3, -11))
        m.operator(kernel, operands, [made], options, **more)
        m.operator(name, [made], [m.output(m.tensor(shape, "int8", **FUNCTIONS[name]))])

    def weights(shape: tuple) -> list[int]:
        values = random.integers(-127, 128, shape).astype(np.int8)
        bias = random.integers(-2000, 2000, shape[0]).astype(np.int32)
        return [m.constant(values, scale=random.uniform(0.001, 0.02, shape[0])), m.constant(bias, scale=0.01)]

    conv = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    for activation in (0, 1):
        x = m.input((1, 4, 5, 3), "int8", **q("int8", 0.05, 7))
        more = {**conv, "fusedActivationFunction": activation}
        behind((1, 4, 5, 7), "CONV_2D", [x, *weights((7, 3, 3, 3))], "Conv2D", **more)
    for rows in (1, 3):
        x = m.input((rows, 9), "int8", **q("int8", 0.05, 7))
        behind((rows, 5), "FULLY_CONNECTED", [x, *weights((5, 9))], "FullyConnected", keepNumDims=True)
    a, b = m.input((2, 3, 8), "int8", **q("int8", 0.05, 7)), m.input((2, 8, 5), "int8", **q("int8", 0.05, -7))
    behind((2, 3, 5), "BATCH_MATMUL", [a, b], "BatchMatMul")
    compiled = agree(m)
    wanted = ["conv_table_s8"] * 2 + ["fully_connected_table_s8"] * 2 + ["matmul_table_s8"]
    assert kernels(compiled) == wanted
    assert all(step.macs > 0 and step.name.endswith(name) for step in compiled.report.steps)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_padding_is_a_part_of_the_convolution(dtype):
    """Before two convolutions, with strides; before one that pads as well; behind a reshape; and depthwise."""
    m, random = ModelWriter(), np.random.default_rng(4)

    def weights(shape: tuple, axis: int = 0) -> list[int]:
        if dtype == "float32":
            return [m.constant(random.normal(size=n).astype(np.float32)) for n in (shape, shape[axis])]
        values, scale = random.integers(-127, 128, shape).astype(np.int8), random.uniform(0.001, 0.02, shape[axis])
        bias = random.integers(-2000, 2000, shape[axis]).astype(np.int32 if dtype == "int8" else np.int64)
        return [m.constant(values, scale=scale, axis=axis), m.constant(bias, scale=scale)]

    def padded(x: int, shape: tuple, margins: list) -> int:
        sizes = tuple(n + sum(m) for n, m in zip(shape, margins, strict=True))
        made = m.tensor(sizes, dtype, **q(dtype, 0.05, 7))
        m.operator("PAD", [x, m.constant(np.array(margins, np.int32))], [made], "Pad")
        return made

    def conv(x: int, shape: tuple, taps: tuple, channels: int, kernel: str = "CONV_2D", **more) -> None:
        options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 1} | more
        deep = kernel != "CONV_2D"
        size = weights((1, *taps, channels), 3) if deep else weights((shape[-1], *taps, channels))
        made = m.output(m.tensor(shape, dtype, **q(dtype, 0.4, -5)))
        m.operator(kernel, [x, *size], [made], "DepthwiseConv2D" if deep else "Conv2D", **options)

    x = m.input((1, 5, 6, 3), dtype, **q(dtype, 0.05, 7))
    wide = padded(x, (1, 5, 6, 3), [[0, 0], [2, 1], [1, 3], [0, 0]])
    conv(wide, (1, 6, 8, 4), (3, 3), 3)
    conv(wide, (1, 3, 4, 4), (3, 3), 3, strideH=2, strideW=2, dilationWFactor=1)
    conv(wide, (1, 8, 10, 5), (3, 3), 3, padding=0)
    conv(wide, (1, 7, 9, 3), (2, 2), 3, kernel="DEPTHWISE_CONV_2D", depthMultiplier=1)
    rows = m.input((1, 7, 4), dtype, **q(dtype, 0.05, 7))
    line = padded(rows, (1, 7, 4), [[0, 0], [3, 0], [0, 0]])
    m.operator("RESHAPE", [line], [as_image := m.tensor((1, 1, 10, 4), dtype, **q(dtype, 0.05, 7))])
    conv(as_image, (1, 1, 7, 3), (1, 4), 4)
    compiled = agree(m)
    assert not [kernel for kernel in kernels(compiled) if kernel.startswith(("fill_", "move_"))]


def test_padding_that_a_convolution_cannot_make_is_made():
    """With another value than zero, between channels, and where somebody else reads it."""
    m, random = ModelWriter(), np.random.default_rng(5)

    def conv(x: int, shape: tuple, channels: int) -> None:
        values = m.constant(random.normal(size=(2, 1, 2, channels)).astype(np.float32))
        options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 1}
        m.operator("CONV_2D", [x, values, -1], [m.output(m.tensor(shape))], "Conv2D", **options)

    x = m.input((1, 1, 4, 2))
    along, across = (m.constant(np.array(rows, np.int32)) for rows in
                     ([[0, 0], [0, 0], [1, 1], [0, 0]], [[0, 0], [0, 0], [0, 0], [0, 1]]))  # fmt: skip
    ones = m.constant(np.array([1.0], np.float32))
    m.operator("PADV2", [x, along, ones], [filled := m.tensor((1, 1, 6, 2))], "PadV2")
    m.operator("PAD", [x, across], [deeper := m.tensor((1, 1, 4, 3))], "Pad")
    m.operator("PAD", [x, along], [shown := m.output(m.tensor((1, 1, 6, 2)))], "Pad")
    for tensor, width, channels in ((filled, 5, 2), (deeper, 3, 3), (shown, 5, 2)):
        conv(tensor, (1, 1, width, 2), channels)
    assert kernels(agree(m)).count("fill_f32") == 3


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_parts_are_stored_where_they_are_joined(dtype):
    """Convolutions and dense layers beside one another, and inputs behind one another."""
    m, random = ModelWriter(), np.random.default_rng(6)
    wide = q(dtype, 0.4, -5)

    def layer(name: str, x: int, shape: tuple, size: tuple, options: str, **more) -> int:
        made = m.tensor(shape, dtype, **wide)
        if dtype == "float32":
            values = [m.constant(random.normal(size=n).astype(np.float32)) for n in (size, size[0])]
        else:
            bias = random.integers(-2000, 2000, size[0]).astype(np.int32 if dtype == "int8" else np.int64)
            values = [m.constant(random.integers(-127, 128, size).astype(np.int8), scale=0.01)]
            values.append(m.constant(bias, scale=0.01 * m.graph.tensors[x].quantization.scale[0]))
        m.operator(name, [x, *values], [made], options, **more)
        return made

    x = m.input((1, 1, 5, 3), dtype, **q(dtype, 0.05, 7))
    conv = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    parts = [layer("CONV_2D", x, (1, 1, 5, 4), (4, 1, 2, 3), "Conv2D", **conv)]
    parts.append(layer("FULLY_CONNECTED", x, (1, 1, 5, 3), (3, 3), "FullyConnected", keepNumDims=True))
    parts.append(m.input((1, 1, 5, 1), dtype, **wide))
    m.operator("CONCATENATION", parts, [m.output(m.tensor((1, 1, 5, 8), dtype, **wide))], "Concatenation", axis=3)
    pair = [m.input((1, 4), dtype, **wide), m.input((1, 6), dtype, **wide)]
    m.operator("CONCATENATION", pair, [row := m.tensor((1, 10), dtype, **wide)], "Concatenation", axis=1)
    m.output(layer("FULLY_CONNECTED", row, (1, 2), (2, 10), "FullyConnected", keepNumDims=True))
    compiled = agree(m)
    assert sum(kernel.startswith("move_") for kernel in kernels(compiled)) == 1  # the input between the layers


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_heads_are_read_where_they_lie(dtype):
    """Attention: transposed and split, read by products alone, which take steps; then by somebody else too."""
    m, some = ModelWriter(), q(dtype, 0.05, 3)
    shape, heads, part = (1, 6, 4, 8), (1, 4, 6, 8), (1, 2, 6, 8)
    x = m.input(shape, dtype, **some)
    order = m.constant(np.array([0, 2, 1, 3], np.int32))
    m.operator("TRANSPOSE", [x, order], [turned := m.tensor(heads, dtype, **some)], "Transpose")
    halves = [m.tensor(part, dtype, **some) for _ in range(2)]
    m.operator("SPLIT", [m.constant(np.int32(1)), turned], halves, "Split", numSplits=2)
    for adj_x, adj_y, size in ((False, True, (1, 2, 6, 6)), (True, False, (1, 2, 8, 8))):
        made = m.output(m.tensor(size, dtype, **q(dtype, 0.9, -4)))
        m.operator("BATCH_MATMUL", halves, [made], "BatchMatMul", adjX=adj_x, adjY=adj_y)
    y = m.input(shape, dtype, **some)
    m.operator("TRANSPOSE", [y, order], [needed := m.tensor(heads, dtype, **some)], "Transpose")
    m.operator("MUL", [needed, needed], [m.output(m.tensor(heads, dtype, **q(dtype, 0.3)))], "Mul")
    made = m.output(m.tensor((1, 4, 6, 6), dtype, **q(dtype, 0.9, -4)))
    m.operator("BATCH_MATMUL", [needed, needed], [made], "BatchMatMul", adjY=True)
    found = kernels(agree(m))
    assert sum(kernel.startswith("move_") for kernel in found) == 2  # the left one with adjX, and what MUL reads too
    assert sum(kernel.startswith("matmul_") for kernel in found) == 3


# ── random graphs ────────────────────────────────────────────────────────────────────────────────
class Graph(ModelWriter):
    """Operators that work element by element or on rows, and some that move, on tensors of one size and its rows."""

    def __init__(self, draw, dtype: str):
        super().__init__()
        self.draw, self.dtype = draw, dtype
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.shape = (1, draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(2, 9)))
        self.row = (*self.shape[:-1], 1)
        self.whole, self.rows = [self.input(self.shape, dtype, **self.some()) for _ in range(2)], []

    def some(self) -> dict:
        return q(self.dtype, float(2.0 ** self.random.uniform(-7, -1)), int(self.random.integers(-100, 101)))

    def made(self, shape: tuple, fixed: dict | None = None) -> int:
        return self.tensor(shape, self.dtype, **(self.some() if fixed is None else fixed))

    def pick(self, tensors: list[int]) -> int:
        return self.draw(st.sampled_from(tensors[-4:]))

    def grow(self) -> None:
        steps = [self.add_binary, self.add_binary, self.add_function, self.add_mean, self.add_constant, self.add_turn]
        steps += [self.add_row, self.add_broadcast] if self.rows else []
        self.draw(st.sampled_from(steps))()

    def add_binary(self, other: int | None = None) -> None:
        names = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}
        name = self.draw(st.sampled_from(list(names)))
        pair = [self.pick(self.whole), self.pick(self.whole) if other is None else other]
        if self.draw(st.booleans()):
            pair.reverse()
        self.operator(name, pair, [made := self.made(self.shape)], names[name],
                      fusedActivationFunction=self.draw(st.sampled_from([0, 0, 1, 3])))  # fmt: skip
        self.whole.append(made)

    def add_constant(self) -> None:
        shape = self.draw(st.sampled_from([(), self.shape[-1:], (1, self.shape[1], 1, self.shape[-1])]))
        self.add_binary(constant(self, self.random, self.dtype, shape, 0.05))

    def add_broadcast(self) -> None:
        self.add_binary(self.pick(self.rows))

    def add_function(self) -> None:
        self.whole.append(self.function(self.pick(self.whole), self.shape))

    def add_row(self) -> None:
        self.rows.append(self.function(self.pick(self.rows), self.row))

    def function(self, x: int, shape: tuple) -> int:
        name = self.draw(st.sampled_from(["TANH", "LOGISTIC", "RELU"]))
        fixed = {"TANH": {"scale": 1 / 128}, "LOGISTIC": {"scale": 1 / 256, "zero": -128}}.get(name)
        if self.dtype == "int16" and fixed:
            fixed = {"scale": 1 / 32768}
        made = self.made(shape, {} if self.dtype == "float32" else fixed)
        self.operator(name, [x], [made])
        return made

    def add_mean(self) -> None:
        axis = self.constant(np.array([3], np.int32))
        self.operator("MEAN", [self.pick(self.whole), axis], [made := self.made(self.row)], "Reducer", keepDims=True)
        self.rows.append(made)

    def add_turn(self) -> None:
        """There and back again; somebody else may read the middle of the way, or only the end of it."""
        x, order = self.pick(self.whole), self.constant(np.array([0, 2, 1, 3], np.int32))
        same, turned = self.graph.tensors[x].quantization, tuple(self.shape[i] for i in (0, 2, 1, 3))
        for shape in (turned, self.shape):
            self.operator("TRANSPOSE", [x, order], [made := self.tensor(shape, self.dtype)], "Transpose")
            self.graph.tensors[made].quantization = same
            x = made
        self.whole.append(x)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@given(data=st.data())
@settings(max_examples=12, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
def test_random_graphs_give_the_same_bits(dtype, data):
    m = Graph(data.draw, dtype)
    for _ in range(data.draw(st.integers(3, 14))):
        m.grow()
    m.graph.outputs = sorted({m.whole[-1], *(m.rows[-1:]), data.draw(st.sampled_from(m.whole[2:] or m.rows))})
    agree(m)


@pytest.mark.parametrize(("name", "arena", "steps"), [("attn_i8", 3100, 9), ("mdcsa_d16_int8", 8000, 22)])
def test_the_book_s_models_take_fewer_passes(name, arena, steps):
    path = PEERS / f"{name}.tflite"
    before, after = lower(read(path)), optimised(lower(read(path)))
    assert plan(after).arena_bytes <= min(arena, plan(before).arena_bytes)
    assert len(after.calls) <= steps < len(before.calls)


def test_three_products_by_one_constant_are_one_loop():
    """Nodes of a loop that are alike are still told apart."""
    m, shape = ModelWriter(), (1, ROWS, DEPTH)
    x, factor = m.input(shape, "int8", scale=0.05), m.constant(np.full((1, 1, DEPTH), 3, np.int8), scale=0.4)
    for _ in range(3):
        m.operator("MUL", [x, factor], [y := m.tensor(shape, "int8", scale=0.05)], "Mul")
        x = y
    m.output(x)
    assert kernels(agree(m)) == ["fused_s8"]


def test_without_fusions_every_operator_is_a_call_and_the_answers_are_the_same(tmp_path):
    path = PEERS / "attn_i8.tflite"
    fused, plain = Compiled(path, tmp_path / "fused"), Compiled(path, tmp_path / "plain", fuse=False)
    inputs = np.random.default_rng(0).integers(-128, 128, (20, *plain.inputs[0].shape))
    for given_one in inputs:
        assert_agree(plain.run(given_one), fused.run(given_one))
    assert all(len(step.operators) == 1 for step in plain.report.steps)
    assert len(plain.report.steps) > len(fused.report.steps) and plain.report.arena_bytes >= fused.report.arena_bytes
