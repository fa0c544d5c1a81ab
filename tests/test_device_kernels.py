"""The DSP and Helium forms of the integer kernels, in QEMU, against their portable forms here and TFLite Micro."""

import numpy as np
import pytest
import tiny_model
from aot_tools import Micro
from test_aot_loops import layer_norm
from tflite_writer import ModelWriter

from tinyloc.aot.compiler import compile_model
from tinyloc.aot.reader import read
from tinyloc.device import host, qemu, toolchain, windows

RECORDS = 12


@pytest.mark.slow
def test_many_shapes_agree_to_the_bit(tmp_path):
    """Rows, units and depths around the kernels' blocks of 2, 4 and 16, in one image; full-range and extreme inputs."""
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    path = every_block(np.random.default_rng(5)).save(tmp_path / "model.tflite")
    graph, micro = read(path), Micro(path)
    random = np.random.default_rng(6)
    given = []
    for tensor in windows.inputs(graph):
        limits = np.iinfo(tensor.dtype)
        values = random.integers(limits.min, limits.max + 1, (RECORDS, *tensor.shape)).astype(tensor.dtype)
        values[-2], values[-1] = limits.min, limits.max
        given.append(values)
    wanted = [micro.run(*(values[i] for values in given)) for i in range(RECORDS)]
    expected = {t.name: np.stack([row[i] for row in wanted]) for i, t in enumerate(windows.outputs(graph))}
    records = np.concatenate([values.reshape(RECORDS, -1).view(np.uint8) for values in given], axis=1)

    aot, reset = tmp_path / "aot", np.zeros(RECORDS, bool)
    compile_model(path, aot)
    runs = {"host": host.run(host.build(aot, tmp_path / "host"), records, reset)}
    for board in ("mps2-an386", "mps3-an547"):
        runs[board] = qemu.run(qemu.build(aot, board, 64 * 1024, tmp_path / board), records, reset)
    for name, result in runs.items():
        found = windows.split(graph, result.outputs)
        for tensor in windows.outputs(graph):
            np.testing.assert_array_equal(found[tensor.name], expected[tensor.name], f"{tensor.name} on {name}")


def every_block(random: np.random.Generator) -> ModelWriter:
    m = ModelWriter()

    def q() -> dict:
        return {"scale": float(10.0 ** random.uniform(-2, 0)), "zero": int(random.integers(-128, 128))}

    def weights(shape: tuple, axis: int = 0) -> list[int]:
        values = random.integers(-127, 128, shape).astype(np.int8)
        scale = 10.0 ** random.uniform(-3, -1, shape[axis])
        bias = random.integers(-20000, 20000, shape[axis]).astype(np.int32)
        return [m.constant(values, scale=scale, axis=axis), m.constant(bias, scale=scale)]

    def result(shape: tuple, terms: int) -> list[int]:
        return [m.output(m.tensor(shape, "int8", **q() | {"scale": float(random.uniform(0.05, 2) * terms**0.5)}))]

    for rows, depth, units in [(1, 1, 1), (1, 9, 4), (1, 36, 7), (2, 5, 2), (3, 16, 5), (5, 22, 9)]:
        operands = [m.input((rows, depth), "int8", **q()), *weights((units, depth))]
        activation = int(random.integers(0, 4))
        m.operator("FULLY_CONNECTED", operands, result((rows, units), depth), "FullyConnected",
                   keepNumDims=True, fusedActivationFunction=activation)  # fmt: skip
    for length, taps, depth, groups, units in [(7, 3, 5, 1, 6), (6, 1, 4, 3, 3), (5, 4, 3, 2, 5)]:
        operands = [m.input((1, 1, length, depth * groups), "int8", **q()), *weights((units * groups, 1, taps, depth))]
        m.operator("CONV_2D", operands, result((1, 1, length, units * groups), taps * depth), "Conv2D",
                   strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)  # fmt: skip
    for rows, depth, columns, adj_y in [(1, 3, 5, False), (4, 8, 6, True), (5, 17, 3, False), (3, 32, 9, True)]:
        shape = (2, columns, depth) if adj_y else (2, depth, columns)
        operands = [m.input((2, rows, depth), "int8", **q()), m.input(shape, "int8", **q())]
        m.operator("BATCH_MATMUL", operands, result((2, rows, columns), depth), "BatchMatMul", adjY=adj_y)
    for name, options in [("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("SQUARED_DIFFERENCE", "SquaredDifference")]:
        for other in [(3, 37), (1, 37), (3, 1)]:
            operands = [m.input((3, 37), "int8", **q()), m.input(other, "int8", **q())]
            m.operator(name, operands, result((3, 37), 1), options)
    m.operator("SOFTMAX", [m.input((3, 11), "int8", **q())],
               [m.output(m.tensor((3, 11), "int8", scale=1 / 256, zero=-128))], "Softmax", beta=1.0)  # fmt: skip
    m.operator("L2_NORMALIZATION", [m.input((3, 11), "int8", **q())],
               [m.output(m.tensor((3, 11), "int8", scale=1 / 128, zero=0))], "L2Norm")  # fmt: skip
    tabled, made = m.input((3, 9), "int8", **q()), m.tensor((3, 5), "int8", **q() | {"scale": 0.5})
    m.operator("FULLY_CONNECTED", [tabled, *weights((5, 9))], [made], "FullyConnected", keepNumDims=True)
    m.operator("TANH", [made], [m.output(m.tensor((3, 5), "int8", scale=1 / 128))])
    m.output(layer_norm(m, m.input((1, 4, 11), "int8", **q()), "int8", (1, 4, 11), "MUL"))
    wide_blocks(m, random)
    return m


def wide_blocks(m: ModelWriter, random: np.random.Generator) -> None:
    """int16 rows: units and depths around multiples of 4, 8 and 16, rows that begin between words, more products than
    a sum of 32 bits holds."""

    def source(*shape: int) -> int:
        return m.input(shape, "int16", scale=0.001)

    def weights(*shape: int) -> list[int]:
        values, scale = random.integers(-127, 128, shape).astype(np.int8), 10.0 ** random.uniform(-3, -1, shape[0])
        bias = random.integers(-(2**30), 2**30, shape[0])
        return [m.constant(values, scale=scale, axis=0), m.constant(bias, scale=0.001 * scale)]

    def result(*shape: int, terms: int) -> list[int]:
        return [m.output(m.tensor(shape, "int16", scale=0.003 * terms**0.5))]

    for rows, depth, units in [(1, 3, 1), (2, 16, 4), (1, 22, 7), (3, 37, 6), (2, 600, 5)]:
        m.operator("FULLY_CONNECTED", [source(rows, depth), *weights(units, depth)],
                   result(rows, units, terms=depth), "FullyConnected", keepNumDims=True)  # fmt: skip
    for length, taps, depth, groups, units in [(5, 3, 5, 1, 6), (4, 1, 4, 3, 3)]:
        operands = [source(1, 1, length, depth * groups), *weights(units * groups, 1, taps, depth)]
        m.operator("CONV_2D", operands, result(1, 1, length, units * groups, terms=taps * depth), "Conv2D",
                   strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)  # fmt: skip
    for rows, depth, columns, adj_y in [(2, 7, 5, False), (3, 8, 4, True), (2, 16, 6, False), (2, 21, 3, True)]:
        operands = [source(2, rows, depth), source(2, *((columns, depth) if adj_y else (depth, columns)))]
        made = m.output(m.tensor((2, rows, columns), "int16", scale=0.002 * depth**0.5))
        m.operator("BATCH_MATMUL", operands, [made], "BatchMatMul", adjY=adj_y)
    m.output(layer_norm(m, source(1, 3, 10), "int16", (1, 3, 10), "MUL"))
