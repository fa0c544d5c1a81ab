"""The TensorFlow twins compute what PyTorch computes, and their `.tflite` do so in TFLite Micro."""

import numpy as np
import pytest
import torch

from tinyloc.errors import InputError
from tinyloc.export import agreement, arena, flatbuffer, reach
from tinyloc.export.aware import FakeQuantised
from tinyloc.export.calibration import Calibration
from tinyloc.export.convert import float_graph
from tinyloc.export.kinds import AVOID
from tinyloc.export.noise import decibels
from tinyloc.export.passes import compacted
from tinyloc.export.quantise import quantise
from tinyloc.export.ranges import choose
from tinyloc.export.scheme import INT8, INT16
from tinyloc.export.simulation import Simulation
from tinyloc.export.tflm import Tflm
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA

N_AP, N_ACC, N_ROOMS = 8, 6, 7


def perturbed(model: torch.nn.Module) -> torch.nn.Module:
    """Every parameter away from its initial value, or a gain of 1 and an offset of 0 would hide an error."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def windows(n: int, n_steps: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {"rssi": rng.random((n, n_steps, N_AP), np.float32), "acc": rng.random((n, n_steps, N_ACC), np.float32)}


@torch.no_grad()
def by_torch(model: torch.nn.Module, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return model(torch.from_numpy(inputs["rssi"]), torch.from_numpy(inputs["acc"])).numpy()


@pytest.fixture(scope="module")
def mdcsa() -> MDCSA:
    """The student of the study: d = 16, windows of 20 steps."""
    torch.manual_seed(0)
    return perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, d=16))


@pytest.fixture(scope="module")
def mamba() -> Mamba:
    torch.manual_seed(0)
    return perturbed(Mamba(N_AP, N_ACC, N_ROOMS, d=16, n_state=8))


def integers(twin, on: Calibration, base: np.dtype) -> bytes:
    graph = float_graph(twin)
    ranges = choose(graph, on.run(Simulation(graph)), "min-max", base)
    return flatbuffer.pack(compacted(quantise(graph, ranges, base)))


@pytest.fixture(scope="module")
def exported(mdcsa, mamba, tmp_path_factory) -> dict:
    """The `.tflite` of both, as paths by kind."""
    from tinyloc.export.twin_mamba import TwinMamba
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    folder = tmp_path_factory.mktemp("exported")
    contents = {
        "mdcsa.float32": flatbuffer.pack(float_graph(TwinMDCSA(mdcsa, 20))),
        "mdcsa.int8": integers(TwinMDCSA(mdcsa, 20), Calibration([], windows(50, 20)), INT8),
        "mdcsa32.int8": integers(
            TwinMDCSA(perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, d=32)), 20), Calibration([], windows(9, 20)), INT8
        ),
        "mdcsa.int16x8": integers(TwinMDCSA(mdcsa, 20, AVOID["int16x8"]), Calibration([], windows(50, 20)), INT16),
        "mamba.float32": flatbuffer.pack(float_graph(TwinMamba(mamba, (N_AP, N_ACC)))),
        "mamba.int16x8": integers(TwinMamba(mamba, (N_AP, N_ACC), AVOID["int16x8"]), along(3, 60), INT16),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize(
    ("d", "kernels", "n_steps", "kind"),
    [
        (16, (1, 4, 7), 20, "float32"),
        (8, (2,), 9, "float32"),
        (6, (1, 3), 5, "mixed"),
        (8, (12, 1), 10, "int16x8"),
    ],
)
def test_mdcsa_twin_is_pytorch(d, kernels, n_steps, kind):
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    torch.manual_seed(d)
    model = perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, d, kernels))
    inputs = windows(5, n_steps)
    twin = TwinMDCSA(model, n_steps, AVOID[kind])
    found = np.concatenate([twin.run(inputs["rssi"][[i]], inputs["acc"][[i]])["scores"] for i in range(5)])
    np.testing.assert_allclose(found, by_torch(model, inputs), atol=1e-4)


@pytest.mark.parametrize("columns", [(3, 5), (4, 4)])
def test_either_modality_may_have_more_features(columns):
    """The one with most lies first in the groups of the convolutions, and its place must be known behind them."""
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    torch.manual_seed(0)
    model = perturbed(MDCSA(*columns, N_ROOMS, 8, (1, 3)))
    inputs = {name: values[..., :n] for (name, values), n in zip(windows(3, 7).items(), columns, strict=True)}
    twin = TwinMDCSA(model, 7)
    found = np.concatenate([twin.run(inputs["rssi"][[i]], inputs["acc"][[i]])["scores"] for i in range(3)])
    np.testing.assert_allclose(found, by_torch(model, inputs), atol=1e-4)


@pytest.mark.parametrize("modality", ["rssi", "acc"])
def test_mdcsa_twin_of_one_modality_is_pytorch(modality):
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    torch.manual_seed(0)
    model = perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, 8, (1, 3), modalities=[modality]))
    inputs = windows(5, 7)
    twin = TwinMDCSA(model, 7)
    found = np.concatenate([twin.run(inputs[modality][[i]])["scores"] for i in range(5)])
    np.testing.assert_allclose(found, by_torch(model, inputs), atol=1e-4)


def test_mamba_without_an_accelerometer_has_no_such_input():
    from tinyloc.export.twin_mamba import TwinMamba

    torch.manual_seed(0)
    model = perturbed(Mamba(N_AP, 0, N_ROOMS, 8))
    rssi = windows(1, 1)["rssi"]
    twin = TwinMamba(model, (N_AP, 0))
    state = [np.zeros(s.shape, np.float32) for s in twin.run.input_signature[1:]]
    found = twin.run(rssi[:, 0], *state)["scores"]
    np.testing.assert_allclose(found, by_torch(model, {"rssi": rssi, "acc": rssi[..., :0]})[:, 0], atol=1e-4)


def along(n: int, n_steps: int) -> Calibration:
    """Streams side by side."""
    return Calibration([], {name: values.swapaxes(0, 1) for name, values in windows(n, n_steps).items()}, [n_steps] * n)


@pytest.mark.parametrize(
    ("d", "layers", "n_state", "kind", "even"),
    [
        (16, 1, 8, "float32", False),
        (6, 2, 3, "float32", False),
        (20, 1, 4, "int8", False),
        (20, 1, 4, "int8", True),
        (6, 2, 3, "mixed", True),
        (16, 1, 8, "int16x8", False),
    ],
)
def test_mamba_twin_is_pytorch_step_by_step(d, layers, n_state, kind, even):
    from tinyloc.export.twin_mamba import TwinMamba, _EvenStep

    torch.manual_seed(d)
    model = perturbed(Mamba(N_AP, N_ACC, N_ROOMS, d, n_state, layers=layers))
    inputs = windows(1, 25)
    twin = TwinMamba(model, (N_AP, N_ACC), AVOID[kind], reach.measure(model, along(1, 25)) if even else None)
    assert all(isinstance(layer, _EvenStep) == even for layer in twin.layers)
    state = {name: np.zeros(s.shape, np.float32) for s in twin.run.input_signature[2:] for name in [s.name]}
    found = []
    for t in range(25):
        after = twin.run(inputs["rssi"][:, t], inputs["acc"][:, t], *state.values())
        found.append(after["scores"][0])
        state = {name: after[name.replace("state_", "next_")] for name in state}
    np.testing.assert_allclose(np.stack(found), by_torch(model, inputs)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("layers", "kind", "even"),
    [(1, "float32", False), (2, "float32", False), (1, "int8", True), (2, "mixed", True), (1, "int16x8", False)],
)
def test_mamba_twin_of_a_window_is_pytorch(layers, kind, even):
    from tinyloc.export.twin_mamba import MOST_JOINED, TwinMambaWindow

    torch.manual_seed(layers)
    model = perturbed(Mamba(N_AP, N_ACC, N_ROOMS, 6, 3, layers=layers))
    n_steps = 2 * MOST_JOINED + 1
    inputs = windows(3, n_steps)
    reaches = reach.measure(model, Calibration([], inputs).as_streams()) if even else None
    twin = TwinMambaWindow(model, (N_AP, N_ACC), n_steps, AVOID[kind], reaches)
    found = np.concatenate([twin.run(inputs["rssi"][[i]], inputs["acc"][[i]])["scores"] for i in range(3)])
    np.testing.assert_allclose(found, by_torch(model, inputs), atol=1e-4)


def test_steps_that_are_evened_out_lose_less_in_int8(tmp_path):
    """Of a model that listens to its state, as trained ones do."""
    from tinyloc.export.twin_mamba import TwinMamba

    torch.manual_seed(0)
    mamba = perturbed(Mamba(N_AP, N_ACC, N_ROOMS, d=16, n_state=8))
    with torch.no_grad():
        mamba.layers[0].block.x_proj.weight[1:].mul_(6)
    inputs, seen = windows(3, 40), along(3, 60)
    records = {name: values.reshape(120, -1) for name, values in inputs.items()}
    snr = {}
    for name, reaches in (("even", reach.measure(mamba, seen)), ("plain", None)):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(integers(TwinMamba(mamba, (N_AP, N_ACC), AVOID["int8"], reaches), seen, INT8))
        tflm = Tflm(path)
        scores = tflm.dequantise(tflm.run(tflm.quantise(records), np.arange(120) % 40 == 0))["scores"]
        snr[name] = decibels(by_torch(mamba, inputs).reshape(120, -1), scores)
    assert snr["even"] > snr["plain"] + 3
    assert (tmp_path / "even.tflite").stat().st_size < (tmp_path / "plain.tflite").stat().st_size


def test_a_step_beyond_the_series_is_left_as_it_is(mamba):
    from tinyloc.export.twin_mamba import MOST_V, TwinMamba, _EvenStep

    (seen,) = reach.measure(mamba, along(2, 20))
    assert seen.v.max() <= MOST_V
    far = reach.Reach(seen.v + 5, seen.h, seen.y)
    assert not isinstance(TwinMamba(mamba, (N_AP, N_ACC), AVOID["int8"], [far]).layers[0], _EvenStep)


def test_reach_is_what_pytorch_goes_through_without_the_filling(mamba):
    seen = along(2, 12)
    short = Calibration([], seen.inputs, [12, 5])
    (found,) = reach.measure(mamba, short)
    alone = [
        reach.measure(mamba, Calibration([], {k: v[:n, i : i + 1] for k, v in seen.inputs.items()}, [n]))[0]
        for i, n in enumerate((12, 5))
    ]
    for part in ("v", "h", "y"):
        most = np.maximum(*(getattr(one, part) for one in alone))
        np.testing.assert_allclose(getattr(found, part), most, rtol=1e-5)
    assert found.h.shape == (8, 32) and (found.h < reach.measure(mamba, seen)[0].h).any()


def test_mamba_twin_keeps_the_epsilon_of_its_norm(mamba):
    """With inputs so small that RMSNorm's 1e-5 is most of what it divides by."""
    from tinyloc.export.twin_mamba import TwinMamba

    torch.manual_seed(3)
    model = perturbed(Mamba(N_AP, N_ACC, N_ROOMS, d=8))
    with torch.no_grad():
        model.embed.weight.mul_(1e-3)
        model.embed.bias.zero_()
        model.layers[0].block.out_proj.weight.mul_(1e-3)
    inputs = windows(1, 1)
    twin = TwinMamba(model, (N_AP, N_ACC))
    state = [np.zeros(s.shape, np.float32) for s in twin.run.input_signature[2:]]
    found = twin.run(inputs["rssi"][:, 0], inputs["acc"][:, 0], *state)["scores"]
    np.testing.assert_allclose(found, by_torch(model, inputs)[:, 0], atol=1e-4)


def test_mdcsa_float32_in_tflite_micro(mdcsa, exported):
    inputs = windows(40, 20)
    scores = Tflm(exported["mdcsa.float32"]).run(inputs)["scores"]
    found = agreement.compare(scores, by_torch(mdcsa, inputs))
    assert found.argmax == 1
    assert found.max_difference < agreement.MAX_FLOAT32_DIFFERENCE


def test_mamba_float32_in_tflite_micro_along_streams(mamba, exported):
    inputs = windows(3, 40)
    reset = np.zeros(120, bool)
    reset[[40, 80]] = True
    records = {name: values.reshape(120, -1) for name, values in inputs.items()}
    scores = Tflm(exported["mamba.float32"]).run(records, reset)["scores"]
    np.testing.assert_allclose(scores.reshape(3, 40, -1), by_torch(mamba, inputs), atol=1e-4)


def test_mdcsa_int8_in_tflite_micro(mdcsa, exported):
    inputs = windows(40, 20)
    tflm = Tflm(exported["mdcsa.int8"])
    scores = tflm.dequantise(tflm.run(tflm.quantise(inputs)))["scores"]
    reference = by_torch(mdcsa, inputs)
    assert agreement.compare(scores, reference).argmax > 0.94
    # the noise of 8 bits, in proportion to the scores' own spread
    assert np.std(scores - reference) < 0.05 * np.std(reference)


@pytest.mark.parametrize(
    ("name", "types"),
    [("mdcsa.int8", {"int8", "int32"}), ("mdcsa.int16x8", {"int8", "int16", "int32", "int64"})],
)
def test_integer_models_hold_no_float(exported, name, types):
    model = flatbuffer.read(exported[name])
    assert {flatbuffer.dtype(t).name for t in flatbuffer.graph(model).tensors} == types


def test_mamba_int16x8_in_tflite_micro_along_a_stream(mamba, exported):
    """Its states go in as they come out, for hundreds of steps, and the noise of sixteen bits does not pile up."""
    inputs = windows(1, 300)
    tflm = Tflm(exported["mamba.int16x8"])
    for name in ("h0", "recent0"):
        assert tflm.inputs[f"state/{name}"].scale == tflm.outputs[f"next/{name}"].scale
    records = tflm.quantise({name: values[0] for name, values in inputs.items()})
    scores = tflm.dequantise(tflm.run(records))["scores"]
    reference = by_torch(mamba, inputs)[0]
    assert agreement.compare(scores, reference).argmax > 0.98
    assert np.std((scores - reference)[150:]) < 0.02 * np.std(reference)


def test_states_of_two_scales_are_refused(exported, tmp_path):
    model = flatbuffer.read(exported["mamba.int16x8"])
    state = next(t for t in flatbuffer.graph(model).tensors if t.name == b"state/h0")
    state.quantization.scale = state.quantization.scale * 2
    path = tmp_path / "model.tflite"
    path.write_bytes(flatbuffer.pack(model))
    with pytest.raises(InputError, match="state/h0 and next/h0 differ in type or scale"):
        Tflm(path)


@pytest.mark.parametrize("name", ["mdcsa.float32", "mdcsa.int8", "mdcsa.int16x8"])
def test_the_simulation_is_tflite_micro(exported, name):
    """Exactly, but for float32's own rounding and, here and there, the last bit of a fixed-point kernel."""
    inputs = windows(40, 20)
    tflm = Tflm(exported[name])
    scores = tflm.dequantise(tflm.run(tflm.quantise(inputs)))["scores"]
    simulation = Simulation(flatbuffer.read(exported[name]))
    found = simulation.run({n: torch.from_numpy(v) for n, v in inputs.items()})["scores"][:, 0].numpy()
    mark = tflm.outputs["scores"].scale
    most = {"float32": 1e-5, "int8": 3 * (mark or 0), "int16x8": 30 * (mark or 0)}[name.removeprefix("mdcsa.")]
    np.testing.assert_allclose(found, scores, atol=most)
    assert np.abs(found - scores).mean() <= most / 6
    if name == "mdcsa.int8":
        assert (np.abs(found - scores) < mark / 2).mean() > 0.98


@pytest.mark.parametrize(
    ("name", "flash", "ram"),
    [("mdcsa.int8", 42_000, 25_000), ("mdcsa32.int8", 150_000, 38 * 1024), ("mamba.float32", 18_000, 13_312)],
)
def test_sizes(exported, name, flash, ram):
    """bytes; the study's devices have 64 KB and 32 KB of RAM for these two"""
    assert exported[name].stat().st_size <= flash
    assert arena.measure(exported[name]).needed <= ram


def test_a_converter_bug_is_caught(tmp_path):
    """TensorFlow 2.21 turns concat(unstack(x, 0), -1) into a plain RESHAPE, and says nothing."""
    from tinyloc.export.tensorflow import tf

    class Heads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 6, 4], name="rssi")])
        def run(self, rssi):
            return {"scores": tf.concat(tf.unstack(tf.reshape(rssi, [2, 3, 4]), axis=0), -1)[None]}

    inputs = {"rssi": np.random.default_rng(0).random((30, 6, 4), np.float32)}
    reference = np.concatenate([Heads().run(row[None])["scores"] for row in inputs["rssi"]])
    models = {
        "float32": flatbuffer.pack(float_graph(Heads())),
        "int8": integers(Heads(), Calibration([], inputs), INT8),
        "int16x8": integers(Heads(), Calibration([], inputs), INT16),
    }
    for kind, model in models.items():
        path = tmp_path / kind
        path.write_bytes(model)
        tflm = Tflm(path)
        scores = tflm.dequantise(tflm.run(tflm.quantise(inputs)))["scores"]
        with pytest.raises(InputError, match=rf"the {kind} export is not the trained model: .*(differ|fewer)"):
            agreement.require(agreement.compare(scores, reference), kind, "model.tflite")


def test_a_product_in_row_form_keeps_its_value(tmp_path):
    """TensorFlow's own quantiser wrecks D x, a row times a constant row, in a one-step Mamba; ours must not."""
    from tinyloc.export.tensorflow import tf

    D = np.linspace(-2, 2, 32, dtype=np.float32)

    class Skip(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([1, 32], name="rssi"), tf.TensorSpec([1, 1, 1, 32], name="state_h")]
        )
        def run(self, rssi, state_h):
            h = 0.5 * state_h + tf.reshape(rssi, [1, 1, 1, 32])
            return {"scores": tf.reshape(h, [1, 32]) + D * rssi, "next_h": h}

    x = np.random.default_rng(0).normal(size=(40, 1, 32)).astype(np.float32)
    path = tmp_path / "skip.tflite"
    path.write_bytes(integers(Skip(), Calibration([], {"rssi": x}, [40]), INT16))
    tflm = Tflm(path)
    found = tflm.dequantise(tflm.run(tflm.quantise({"rssi": x[:, 0]})))["scores"]
    h = np.zeros(32)
    for row, scores in zip(x[:, 0], found, strict=True):
        h = 0.5 * h + row
        np.testing.assert_allclose(scores, h + D * row, atol=2e-3)


def test_training_sees_the_model_that_is_exported(mdcsa, tmp_path):
    """The fake-quantised network and its `.tflite` choose the same room at 99.9 % of the steps."""
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    graph = float_graph(TwinMDCSA(mdcsa, 20))
    ranges = choose(graph, Calibration([], windows(50, 20)).run(Simulation(graph)), "min-max", INT8)
    net = FakeQuantised(graph, ranges)
    with torch.no_grad():  # as if it had been trained: other constants than those of the calibration
        for values in net.parameters():
            values.mul_(1 + 0.03 * torch.randn(values.shape, generator=torch.Generator().manual_seed(4)))
    path = tmp_path / "model.tflite"
    path.write_bytes(flatbuffer.pack(compacted(quantise(net.float_model(), ranges, INT8))))
    inputs = windows(100, 20)
    tflm = Tflm(path)
    scores = tflm.dequantise(tflm.run(tflm.quantise(inputs)))["scores"]
    with torch.no_grad():
        found = net(torch.from_numpy(inputs["rssi"]), torch.from_numpy(inputs["acc"])).numpy()
    assert agreement.compare(found, scores).argmax >= 0.999
    assert (np.abs(found - scores) < tflm.outputs["scores"].scale / 2).mean() > 0.98
    net(torch.from_numpy(inputs["rssi"][:2]), torch.from_numpy(inputs["acc"][:2])).sum().backward()
    assert all(values.grad is not None and values.grad.isfinite().all() for values in net.parameters())


def test_agreement_refuses_what_is_not_a_number():
    scores, reference = np.full((4, 3), np.nan), np.zeros((4, 3))
    with pytest.raises(InputError, match="differ from PyTorch by up to nan"):
        agreement.require(agreement.compare(scores, reference), "float32", "model.tflite")
