"""RSSI in pieces: the twin is PyTorch everywhere, in integers too, and the graph stays small."""

import numpy as np
import pytest
import torch
from aot_tools import Compiled, Micro, assert_agree
from test_export_twins import N_ACC, N_AP, N_ROOMS, by_torch, perturbed, windows

from tinyloc.config import Features, MdcsaModel
from tinyloc.data.windows import Scaler
from tinyloc.export import agreement, arena, flatbuffer, kinds, lookup, noise
from tinyloc.export.aware import FakeQuantised
from tinyloc.export.calibration import Calibration
from tinyloc.export.convert import float_graph
from tinyloc.export.kinds import AVOID
from tinyloc.export.passes import compacted
from tinyloc.export.pieces import Pieces
from tinyloc.export.quantise import quantise
from tinyloc.export.ranges import choose
from tinyloc.export.scheme import INT8, INT16, Ruler, Scheme, is_whole, weight_scales
from tinyloc.export.simulation import Simulation
from tinyloc.export.tflm import Tflm
from tinyloc.models.mdcsa import HEARD_SLOPE, MDCSA, piecewise
from tinyloc.training.checkpoint import Trained

BINS = 10
LAYERS = {"FULLY_CONNECTED", "CONV_2D"}


def told(d: int = 16, bins: int = BINS, **settings) -> MDCSA:
    torch.manual_seed(d)
    return perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, d, rssi_bins=bins, **settings))


def levels(n: int, n_steps: int) -> dict[str, np.ndarray]:
    """Windows with silence, levels that no training has seen, ends of pieces, and the ramp beside silence."""
    inputs, rng = windows(n, n_steps), np.random.default_rng(5)
    rssi = inputs["rssi"]
    rssi[rng.random(rssi.shape) < 0.4] = 0
    odd = np.float32([-0.3, 1.4, 0.5 / HEARD_SLOPE, 1 / HEARD_SLOPE, *np.arange(1, BINS + 1) / BINS])
    rssi[:, 0] = rng.choice(odd, rssi[:, 0].shape)
    return inputs


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(network, its `.tflite` by kind)"""
    model, folder, seen = told(), tmp_path_factory.mktemp("pieces"), Calibration([], levels(50, 20))
    unit = (np.zeros(N_AP), np.ones(N_AP), np.zeros(N_ACC), np.ones(N_ACC))
    config = MdcsaModel(family="mdcsa", d=16, rssi_bins=BINS)
    names = tuple(map(str, range(N_AP)))
    trained = Trained(model, config, Scaler(*unit), names, names[:N_ROOMS], Features(), 20)
    for kind in ("float32", "dynamic", "int8", "int16x8"):
        made = kinds.make(trained, 20, kind, seen, "min-max")
        (folder / kind).write_bytes(flatbuffer.pack(made.model))
    return model, {path.name: path for path in folder.iterdir()}


def cut(model):
    """The operator that cuts levels in pieces: the only one with RELU6."""
    operators = flatbuffer.graph(model).operators
    (found,) = [o for o in operators if getattr(o.builtinOptions, "fusedActivationFunction", 0) == 3]
    return found


@pytest.mark.parametrize(
    ("d", "bins", "kind", "modalities"),
    [
        (16, 10, "float32", ("rssi", "acc")),
        (8, 1, "int16x8", ("rssi", "acc")),  # as many pieces as it is wide, twice over
        (40, 3, "mixed", ("rssi", "acc")),  # wider than there are pieces
        (8, 5, "int8", ("rssi",)),
    ],
)
def test_the_twin_is_pytorch_for_any_level(d, bins, kind, modalities):
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    model, inputs = told(d, bins, kernels=(1, 3), modalities=modalities), levels(4, 7)
    twin = TwinMDCSA(model, 7, AVOID[kind])
    found = [twin.run(*(inputs[name][[i]] for name in modalities))["scores"] for i in range(4)]
    np.testing.assert_allclose(np.concatenate(found), by_torch(model, inputs), atol=1e-4)


def test_columns_lie_between_0_and_1_and_come_near_both_ends():
    """Their ends are those of the function: reached by the levels at which a gateway's share is largest and least."""
    rng = np.random.default_rng(1)
    embed = rng.normal(size=(2 * (4 + 1), 3))
    pieces = Pieces(embed, 4, within_unit=True)
    grid = np.unique(np.concatenate([np.linspace(-0.2, 1.2, 57), np.arange(5) / 4, [1 / HEARD_SLOPE]]))
    rssi = np.stack(np.meshgrid(grid, grid), -1).reshape(1, -1, 2).astype(np.float32)
    columns = pieces.columns(rssi).numpy()[0]
    np.testing.assert_allclose(columns.min(0), 0, atol=1e-5)
    np.testing.assert_allclose(columns.max(0), 1, atol=1e-5)
    wanted = piecewise(torch.from_numpy(rssi), 4)[0].numpy() @ embed
    np.testing.assert_allclose(columns @ pieces.weight + pieces.offset, wanted, atol=1e-4)
    plain = Pieces(embed, 4, within_unit=False)
    np.testing.assert_allclose(plain.columns(rssi)[0] @ plain.weight + plain.offset, wanted, atol=1e-4)
    assert np.array_equal(plain.weight, np.eye(3))


def test_cutting_is_one_operator_whose_weights_int8_keeps_exactly(exported):
    model = flatbuffer.read(exported[1]["int8"])
    assert flatbuffer.operator_name(model, cut(model)) == "FULLY_CONNECTED"
    weight = flatbuffer.graph(model).tensors[int(cut(model).inputs[1])]
    assert set(np.unique(flatbuffer.constant(model, weight))) == {0, BINS, HEARD_SLOPE}
    assert len(weight.quantization.scale) == 1 and weight.quantization.scale[0] == pytest.approx(6)


def test_whole_weights_have_one_scale_and_others_one_a_channel():
    weight = np.array([[6.0, 0.0], [0.0, -762.0]])
    assert is_whole(weight) and weight_scales(weight, 0, None, 1.0).tolist() == [6.0]
    assert weight_scales(weight, 0, np.array([0.0, 6e9]), 1.0) == pytest.approx([6e9 / 2**24])
    for other in (weight + 0.01, np.zeros((2, 2)), np.array([[1.0, 0.5], [0.0, 127.0]])):
        assert not is_whole(other) and weight_scales(other, 0, None, 1.0).shape == (2,)


@pytest.mark.parametrize("kind", ["float32", "dynamic", "int8", "int16x8"])
def test_tflite_micro_computes_pytorch(exported, kind):
    model, paths = exported
    inputs = levels(40, 20)
    tflm = Tflm(paths[kind])
    scores = tflm.dequantise(tflm.run(tflm.quantise(inputs)))["scores"]
    reference = by_torch(model, inputs)
    agreement.require(agreement.compare(scores, reference), kind, "it")
    # the noise of weights rounded each to its nearest mark would be 0.03, of both kinds
    most = {"float32": 1e-5, "dynamic": 0.03, "int8": 0.02, "int16x8": 0.006}[kind]
    assert np.std(scores - reference) < most * np.std(reference)


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_simulation_cuts_as_tflite_micro_does(exported, kind):
    """In int8 bit for bit: the clamp is of integers. Sums of int16 are rounded once, and here and there a mark off."""
    path = exported[1][kind]
    model, ports = flatbuffer.read(path), Tflm(path).inputs
    inputs = {}  # on the marks of the inputs' rulers, or the two might round one of them differently
    for name, values in levels(40, 20).items():
        ruler = Ruler(ports[name].dtype, ports[name].scale, ports[name].zero_point)
        inputs[name] = ruler.real(ruler.quantise(values)).astype(np.float32)
    found = Simulation(model).run({name: torch.from_numpy(values) for name, values in inputs.items()})
    micro = noise.all_tensors(model, inputs)
    tensor = flatbuffer.graph(model).tensors[int(cut(model).outputs[0])]
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
    name = tensor.name.decode()
    marks = np.round(found[name].numpy() / scale) + zero
    assert np.abs(marks.reshape(micro[name].shape) - micro[name]).max() <= (kind == "int16x8")
    assert (marks == marks.max()).mean() > 0.05 and (marks == zero).mean() > 0.3


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_the_compiled_model_gives_tflite_micros_bits(exported, kind, tmp_path):
    path = exported[1][kind]
    compiled, micro, tflm = Compiled(path, tmp_path / "c"), Micro(path), Tflm(path)
    inputs = tflm.quantise(levels(6, 20))
    rng = np.random.default_rng(3)
    for i in range(6):
        one = {name: values[i : i + 1] for name, values in inputs.items()}
        assert_agree(compiled.run(*one.values()), micro.run(*one.values()))
        if kind != "float32":
            info = np.iinfo(one["rssi"].dtype)
            wild = [rng.integers(info.min, info.max + 1, values.shape, values.dtype) for values in one.values()]
            assert_agree(compiled.run(*wild), micro.run(*wild))


def test_training_with_rounding_leaves_the_cuts_where_they_are(exported):
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    graph = float_graph(TwinMDCSA(told(8, 4), 20))
    seen = levels(30, 20)
    ranges = choose(graph, Calibration([], seen).run(Simulation(graph)), "min-max", INT8)
    net = FakeQuantised(graph, ranges)
    rssi, acc = (torch.from_numpy(seen[name][:4]) for name in ("rssi", "acc"))
    net(rssi, acc).sum().backward()
    still = [values for values in net.parameters() if not values.requires_grad]
    assert [values.shape for values in still] == [(40, 8), (40,)]
    assert all(v.grad is None for v in still)
    assert all(v.grad.isfinite().all() for v in net.parameters() if v.requires_grad)


def test_training_with_rounding_sees_the_model_that_is_exported(tmp_path):
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    graph, inputs = float_graph(TwinMDCSA(told(8, 4), 20)), levels(60, 20)
    ranges = choose(graph, Calibration([], inputs).run(Simulation(graph)), "min-max", INT8)
    path = tmp_path / "model.tflite"
    net = FakeQuantised(graph, ranges)
    path.write_bytes(flatbuffer.pack(compacted(quantise(net.float_model(), ranges, INT8))))
    tflm = Tflm(path)
    scores = tflm.dequantise(tflm.run(tflm.quantise(inputs)))["scores"]
    with torch.no_grad():
        found = net(torch.from_numpy(inputs["rssi"]), torch.from_numpy(inputs["acc"])).numpy()
    assert agreement.compare(found, scores).argmax >= 0.999


def test_inputs_are_widened_together(exported):
    """RSSI has a ruler of its own here, but one type with the accelerometer: a device has one type of elements."""
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    graph = float_graph(TwinMDCSA(told(8, 4), 20, AVOID["mixed"]))
    scheme, index = Scheme(graph), {t.name: i for i, t in enumerate(flatbuffer.graph(graph).tensors)}
    assert scheme.group(index[b"rssi"]) != scheme.group(index[b"acc"])
    for wide in (frozenset(), {"rssi"}, {"acc"}):
        types = scheme.types(INT8, frozenset(wide))
        assert types[index[b"rssi"]] == types[index[b"acc"]] == (INT16 if wide else INT8)


def test_sizes(exported):
    """Bytes, beside 41,024 and 24,528 of the network that is told levels as they are."""
    path = exported[1]["int8"]
    assert path.stat().st_size <= 51_000
    assert arena.measure(path).needed <= 25_600


def test_codes_of_few_bits_leave_the_cuts_alone(exported):
    model = flatbuffer.read(exported[1]["int8"])
    weights = {
        int(o.inputs[1]) for o in flatbuffer.graph(model).operators if flatbuffer.operator_name(model, o) in LAYERS
    }
    assert weights - {*lookup.layers(model)} == {int(cut(model).inputs[1])}
