"""Reading, checking and rewriting `.tflite` files, and running them in TFLite Micro, on two tiny models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tinyloc.errors import InputError
from tinyloc.export import arena, flatbuffer
from tinyloc.export.convert import float_graph
from tinyloc.export.passes import compacted
from tinyloc.export.quantise import quantise
from tinyloc.export.ranges import choose
from tinyloc.export.scheme import INT8
from tinyloc.export.simulation import Simulation
from tinyloc.export.tflm import Tflm

N = 40


@pytest.fixture(scope="module")
def attention():
    """A twin with all that the passes touch: [1, 4, 3] and [1, 4, 2] -> softmax(0.5 elu(W x + b)), elu(W x + b)."""
    from tinyloc.export.tensorflow import tf

    rng = np.random.default_rng(0)
    weight, bias = (tf.constant(rng.normal(size=shape), tf.float32) for shape in ((5, 6), 6))

    class Attention(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4, 3], name="rssi"), tf.TensorSpec([1, 4, 2], name="acc")])
        def run(self, rssi, acc):
            hidden = tf.nn.elu(tf.matmul(tf.concat([rssi, acc], -1), weight) + bias)
            return {"scores": tf.nn.softmax(0.5 * hidden), "hidden": hidden}

    return Attention()


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(1)
    return {"rssi": rng.random((N, 4, 3), np.float32), "acc": rng.random((N, 4, 2), np.float32)}


def int8_bytes(twin, inputs) -> bytes:
    graph = float_graph(twin)
    seen = Simulation(graph).run({name: torch.from_numpy(values) for name, values in inputs.items()})
    values = {name: value.numpy() for name, value in seen.items()}
    return flatbuffer.pack(compacted(quantise(graph, choose(graph, values, "min-max", INT8), INT8)))


@pytest.fixture(scope="module")
def int8(attention, inputs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "model.tflite"
    path.write_bytes(int8_bytes(attention, inputs))
    return path


@pytest.fixture(scope="module")
def counter(tmp_path_factory) -> Path:
    """A stream model: total <- total + rssi; scores = -total."""
    from tinyloc.export.tensorflow import tf

    class Counter(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 3], name="rssi"), tf.TensorSpec([1, 3], name="state_total")])
        def run(self, rssi, state_total):
            total = rssi + state_total
            return {"scores": -total, "next_total": total}

    path = tmp_path_factory.mktemp("counter") / "model.tflite"
    path.write_bytes(flatbuffer.pack(float_graph(Counter())))
    return path


def test_ports_have_their_names_and_order(int8, counter):
    assert [*Tflm(int8).inputs] == ["rssi", "acc"]
    assert {*Tflm(int8).outputs} == {"scores", "hidden"}
    assert [*Tflm(counter).inputs] == ["rssi", "state/total"]
    assert {*Tflm(counter).outputs} == {"scores", "next/total"}


def test_int8_has_no_float_and_agrees_with_tensorflow(attention, inputs, int8):
    model = flatbuffer.read(int8)
    assert flatbuffer.operator_counts(model) == {"CONCATENATION": 1, "ELU": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    tflm = Tflm(int8)
    result = tflm.dequantise(tflm.run(tflm.quantise(inputs)))
    for row in range(N):
        expected = attention.run(inputs["rssi"][row : row + 1], inputs["acc"][row : row + 1])
        for name, scale in (("hidden", 0.06), ("scores", 0.02)):
            np.testing.assert_allclose(result[name][row], expected[name][0], atol=scale)


def test_the_same_twin_gives_the_same_bytes(attention, inputs, int8):
    assert int8_bytes(attention, inputs) == int8.read_bytes()


@pytest.mark.parametrize("size", [16, 100, 3_000, 1 << 20])
def test_no_gap_is_left_where_the_writer_ran_out_of_room(int8, size):
    """An equal table is taken back; where the buffer grew while it was written, that once left kilobytes of nothing."""
    builder = flatbuffer._Builder(size)
    written = flatbuffer._without_bias_scales(flatbuffer.read(int8))
    builder.Finish(written.Pack(builder), flatbuffer.IDENTIFIER)
    assert bytes(builder.Output()) == int8.read_bytes()


def test_tables_of_other_types_stay_apart():
    """SOFTMAX with beta = 1.0 and MUL with the activation 1 (RELU) have one slot each, and 1 == 1.0 in Python."""
    schema = flatbuffer.schema
    builder = flatbuffer._Builder(64)
    softmax, mul = schema.SoftmaxOptionsT(), schema.MulOptionsT()
    softmax.beta, mul.fusedActivationFunction = 1.0, 1
    written = {softmax.Pack(builder), mul.Pack(builder)}
    assert len(written) == 2 and {softmax.Pack(builder), mul.Pack(builder)} == written


def test_constants_are_aligned_and_names_short(int8):
    data = int8.read_bytes()
    model = flatbuffer.schema.Model.GetRootAs(data)
    for i in range(model.BuffersLength()):
        if model.Buffers(i).DataLength():
            start = model.Buffers(i)._tab.Vector(model.Buffers(i)._tab.Offset(4))
            assert start % 16 == 0
    assert all(len(t.name) <= 6 for t in flatbuffer.graph(flatbuffer.read(int8)).tensors)


def test_an_operator_without_an_integer_kernel_is_refused(inputs):
    from tinyloc.export.tensorflow import tf

    class Island(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4, 3], name="rssi")])
        def run(self, rssi):
            return {"scores": tf.exp(rssi) + rssi}

    with pytest.raises(InputError, match="int8 export: EXP has no int8 kernel"):
        int8_bytes(Island(), {"rssi": inputs["rssi"]})


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_short(int8, tmp_path, share):
    data = int8.read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[: int(share * len(data))])
    for use in (flatbuffer.read, Tflm, arena.measure):
        with pytest.raises(InputError, match=r"cut\.tflite: (not a \.tflite|cut short)"):
            use(path)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        Tflm(tmp_path / "none.tflite")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda g: setattr(g.operators[0], "inputs", [999]), "operator 0 refers to tensor 999"),
        (lambda g: setattr(g, "outputs", [-1]), "the graph refers to tensor -1"),
        (lambda g: setattr(g.tensors[0].quantization, "scale", [np.nan]), "scale that is not positive"),
        (lambda g: setattr(g.tensors[0], "shape", np.array([1, 0, 3], np.int32)), "has shape"),
        (lambda g: setattr(g.operators[1], "opcodeIndex", 77), "operator 1 has unknown code 77"),
    ],
)
def test_a_reference_that_points_nowhere(int8, tmp_path, damage, message):
    model = flatbuffer.read(int8)
    damage(flatbuffer.graph(model))
    path = tmp_path / "damaged.tflite"
    path.write_bytes(flatbuffer.pack(model))
    with pytest.raises(InputError, match=message):
        Tflm(path)


def test_scales_of_biases_are_left_out_and_come_back(int8):
    """They are those of the input and of the weights, multiplied; one that says something else is kept."""
    written = flatbuffer.schema.ModelT.InitFromObj(flatbuffer.schema.Model.GetRootAsModel(int8.read_bytes(), 0))
    model = flatbuffer.read(int8)
    operators = flatbuffer.graph(model).operators
    dense = next(o for o in operators if flatbuffer.operator_name(model, o) == "FULLY_CONNECTED")
    source, weights, bias = (flatbuffer.graph(model).tensors[int(t)] for t in dense.inputs)
    assert flatbuffer.graph(written).tensors[int(dense.inputs[2])].quantization is None
    np.testing.assert_allclose(bias.quantization.scale, source.quantization.scale * weights.quantization.scale)
    bias.quantization.scale = 2 * bias.quantization.scale
    again = flatbuffer.parse(flatbuffer.pack(model), "again")
    kept = flatbuffer.graph(again).tensors[int(dense.inputs[2])].quantization.scale
    np.testing.assert_array_equal(kept, bias.quantization.scale)


def test_constants_shorter_than_their_shape(int8, tmp_path):
    model = flatbuffer.read(int8)
    weight = next(t for t in flatbuffer.graph(model).tensors if flatbuffer.constant(model, t) is not None)
    model.buffers[weight.buffer].data = model.buffers[weight.buffer].data[:-1]
    path = tmp_path / "damaged.tflite"
    path.write_bytes(flatbuffer.pack(model))
    with pytest.raises(InputError, match=r"has \d+ bytes of \d+"):
        flatbuffer.read(path)


def test_an_operator_that_tflite_micro_lacks(tmp_path):
    from tinyloc.export.tensorflow import tf

    class Power(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 3], name="rssi")])
        def run(self, rssi):
            return {"scores": tf.pow(rssi, 2.5)}

    path = tmp_path / "pow.tflite"
    path.write_bytes(flatbuffer.pack(float_graph(Power())))
    for use in (Tflm, arena.measure):
        with pytest.raises(InputError, match=r"pow\.tflite: TFLite Micro does not take this model: .*POW"):
            use(path)


def test_state_is_carried_and_reset(counter):
    steps = np.arange(15, dtype=np.float32).reshape(5, 3)
    reset = np.array([False, False, True, False, False])
    scores = Tflm(counter).run({"rssi": steps}, reset)["scores"]
    np.testing.assert_array_equal(scores, -np.concatenate([np.cumsum(steps[:2], 0), np.cumsum(steps[2:], 0)]))


def test_wrong_inputs_are_named(counter):
    with pytest.raises(InputError, match=r"inputs are \['rssi'\], not \['acc'\]"):
        Tflm(counter).run({"acc": np.zeros((1, 3), np.float32)})


def test_quantise_clips_and_returns_within_half_a_step(int8):
    port = Tflm(int8).inputs["rssi"]
    values = np.linspace(0, 1, 101, dtype=np.float32)
    assert np.abs(port.dequantise(port.quantise(values)) - values).max() <= port.scale / 2 + 1e-6
    assert port.quantise(np.array([-9.0, 9.0])).tolist() == [-128, 127]


def test_arena_is_the_least_that_runs(int8):
    measured = arena.measure(int8)
    assert measured.needed % arena.STEP == 0
    assert measured.reported - arena.STEP < measured.needed < measured.reported + 2048
    wanted = arena._outputs(int8)
    assert arena._runs_in(int8, measured.needed, wanted)
    assert not arena._runs_in(int8, measured.needed - arena.STEP, wanted)
