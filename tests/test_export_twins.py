"""The TensorFlow twins compute what PyTorch computes, and their `.tflite` do so in TFLite Micro."""

import numpy as np
import pytest
import torch

from tinyloc.device import arena
from tinyloc.device.tflm import Tflm
from tinyloc.errors import InputError
from tinyloc.export import agreement, flatbuffer
from tinyloc.export.convert import convert
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


@pytest.fixture(scope="module")
def exported(mdcsa, mamba, tmp_path_factory) -> dict:
    """The `.tflite` of both, as paths by kind."""
    from tinyloc.export.twin_mamba import TwinMamba
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    folder = tmp_path_factory.mktemp("exported")
    twin = TwinMDCSA(mdcsa, 20)
    contents = {
        "mdcsa.float32": convert(twin, "float32"),
        "mdcsa.int8": convert(twin, "int8", windows(50, 20)),
        "mamba.float32": convert(TwinMamba(mamba, (N_AP, N_ACC)), "float32"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize(
    ("d", "kernels", "n_steps"), [(16, (1, 4, 7), 20), (8, (2,), 9), (6, (1, 3), 5), (8, (12, 1), 10)]
)
def test_mdcsa_twin_is_pytorch(d, kernels, n_steps):
    from tinyloc.export.twin_mdcsa import TwinMDCSA

    torch.manual_seed(d)
    model = perturbed(MDCSA(N_AP, N_ACC, N_ROOMS, d, kernels))
    inputs = windows(5, n_steps)
    twin = TwinMDCSA(model, n_steps)
    found = np.concatenate([twin.run(inputs["rssi"][[i]], inputs["acc"][[i]])["scores"] for i in range(5)])
    np.testing.assert_allclose(found, by_torch(model, inputs), atol=1e-4)


@pytest.mark.parametrize(("d", "layers", "n_state"), [(16, 1, 8), (6, 2, 3), (20, 1, 4)])
def test_mamba_twin_is_pytorch_step_by_step(d, layers, n_state):
    from tinyloc.export.twin_mamba import TwinMamba

    torch.manual_seed(d)
    model = perturbed(Mamba(N_AP, N_ACC, N_ROOMS, d, n_state, layers=layers))
    inputs = windows(1, 25)
    twin = TwinMamba(model, (N_AP, N_ACC))
    state = {name: np.zeros(s.shape, np.float32) for s in twin.run.input_signature[2:] for name in [s.name]}
    found = []
    for t in range(25):
        after = twin.run(inputs["rssi"][:, t], inputs["acc"][:, t], *state.values())
        found.append(after["scores"][0])
        state = {name: after[name.replace("state_", "next_")] for name in state}
    np.testing.assert_allclose(np.stack(found), by_torch(model, inputs)[0], atol=1e-4)


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


def test_mdcsa_int8_holds_no_float(exported):
    model = flatbuffer.read(exported["mdcsa.int8"])
    types = {flatbuffer.dtype(t) for t in flatbuffer.graph(model).tensors}
    assert types == {np.dtype(np.int8), np.dtype(np.int32)}


@pytest.mark.parametrize(("name", "flash", "ram"), [("mdcsa.int8", 60_000, 30_000), ("mamba.float32", 18_000, 13_312)])
def test_sizes(exported, name, flash, ram):
    """bytes; the study's devices have 64 KB and 32 KB of RAM for these two"""
    assert exported[name].stat().st_size <= flash
    assert arena.measure(exported[name]).needed <= ram


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_converter_bug_is_caught(kind, tmp_path):
    """TensorFlow 2.21 turns concat(unstack(x, 0), -1) into a plain RESHAPE, and says nothing."""
    import tensorflow as tf

    class Heads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 6, 4], name="rssi")])
        def run(self, rssi):
            return {"scores": tf.concat(tf.unstack(tf.reshape(rssi, [2, 3, 4]), axis=0), -1)[None]}

    inputs = np.random.default_rng(0).random((30, 6, 4), np.float32)
    reference = np.concatenate([Heads().run(row[None])["scores"] for row in inputs])
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(Heads(), kind, {"rssi": inputs}))
    tflm = Tflm(path)
    scores = tflm.dequantise(tflm.run(tflm.quantise({"rssi": inputs})))["scores"]
    with pytest.raises(InputError, match=rf"the {kind} export is not the trained model: .*(differ|fewer)"):
        agreement.require(agreement.compare(scores, reference), kind, "model.tflite")


def test_agreement_refuses_what_is_not_a_number():
    scores, reference = np.full((4, 3), np.nan), np.zeros((4, 3))
    with pytest.raises(InputError, match="differ from PyTorch by up to nan"):
        agreement.require(agreement.compare(scores, reference), "float32", "model.tflite")
