"""Exporting a fold, from the checkpoint to the files that the device stage takes."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tinyloc.aot import reader
from tinyloc.aot.compiler import compile_model
from tinyloc.config import Aware, Features, MambaModel, MdcsaModel, Windows
from tinyloc.data.features import Steps
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Scaler
from tinyloc.device import host, windows
from tinyloc.errors import InputError
from tinyloc.export import agreement, desktop, flatbuffer
from tinyloc.export.card import CARD, Making, leave
from tinyloc.export.run import Exported, export_fold
from tinyloc.export.tflm import Tflm
from tinyloc.files import read_json
from tinyloc.models import registry
from tinyloc.training import checkpoint
from tinyloc.training.predict import predict_steps
from tinyloc.training.predictions import ALWAYS

N_AP, ROOMS = 3, ("kitchen", "hall", "bedroom")
WINDOWS = Windows(length=6)
VECTORS = 25


def recording(name: str, segments: tuple[int, ...]) -> Steps:
    """Random steps; `segments`: steps of each stretch without a gap."""
    rng = np.random.default_rng(sum(name.encode()))
    n = sum(segments)
    return Steps(
        recording=name,
        participant=name,
        phase="living",
        rssi=rng.uniform(-100, -50, (n, N_AP)).astype(np.float32),
        heard=np.ones((n, N_AP), np.int64),
        acc=rng.normal(size=(n, 6)).astype(np.float32),
        room=rng.integers(0, len(ROOMS), n),
        segment=np.repeat(np.arange(len(segments)), segments),
        step=np.arange(n),
        time=np.datetime64("2026-01-01", "us") + np.arange(n) * np.timedelta64(1, "s"),
    )


@pytest.fixture(scope="module")
def fold() -> Fold:
    train, validation = [recording("a", (60, 40))], [recording("b", (30,))]
    return Fold("c", train, validation, test=[recording("c", (20, 4, 15)), recording("d", (12,))])


@pytest.fixture(scope="module")
def checkpoints(fold, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trained")
    configs = {"mdcsa": MdcsaModel(family="mdcsa", d=8), "mamba": MambaModel(family="mamba", d=8, n_state=4)}
    configs["mamba-window"] = configs["mamba"].model_copy(update={"form": "window"})
    for name, config in configs.items():
        model = registry.build(config, N_AP, 6, len(ROOMS), seed=5).eval()
        with torch.no_grad():
            model.head.weight.mul_(5)  # an untrained head hardly tells rooms apart
        trained = checkpoint.Trained(model, config, Scaler.fit(fold.train), ("x", "y", "z"), ROOMS, Features(), 8)
        checkpoint.save(folder / f"{name}.pt", trained)
    return {name: folder / f"{name}.pt" for name in configs}


def export(path: Path, fold: Fold, kind: str, out: Path, seed: int = 0) -> Exported:
    return export_fold(
        checkpoint=path,
        fold=fold,
        windows=WINDOWS,
        kind=kind,
        calibration_windows=20,
        vectors=VECTORS,
        seed=seed,
        out=out,
        method="min-max",
        how=Aware(epochs=1, learning_rate=0.003),
    )


@pytest.fixture(scope="module")
def exports(checkpoints, fold, tmp_path_factory) -> dict[tuple[str, str], tuple[Exported, Path]]:
    made = {}
    kinds = {
        "mdcsa": ("float32", "dynamic", "int8", "int8-aware", "mixed", "int16x8"),
        "mamba": ("float32", "int8", "int16x8"),
        "mamba-window": ("float32", "int8", "int16x8"),
    }
    for name, kind in ((family, kind) for family, all_kinds in kinds.items() for kind in all_kinds):
        out = tmp_path_factory.mktemp(f"{name}-{kind}")
        made[name, kind] = export(checkpoints[name], fold, kind, out), out
    return made


@pytest.mark.parametrize("name", ["mdcsa", "mamba", "mamba-window"])
def test_float32_answers_as_pytorch_for_the_same_rows(exports, checkpoints, fold, name):
    rows = exports[name, "float32"][0].rows
    expected = predict_steps(checkpoint.load(checkpoints[name]), fold.test, WINDOWS)
    for column in ALWAYS:
        np.testing.assert_array_equal(getattr(rows, column), getattr(expected, column))
    np.testing.assert_allclose(rows.scores, expected.scores, atol=1e-3)
    assert rows.parameters == expected.parameters


def test_int8_answers_for_the_same_rows(exports, checkpoints, fold):
    rows = exports["mdcsa", "int8"][0].rows
    expected = predict_steps(checkpoint.load(checkpoints["mdcsa"]), fold.test, WINDOWS)
    np.testing.assert_array_equal(rows.step, expected.step)
    assert (rows.y_pred == expected.y_pred).mean() >= 0.9


def test_entry(exports):
    for (_, kind), (exported, out) in exports.items():
        entry = exported.entry
        assert entry["tflite_bytes"] == (out / "model.tflite").stat().st_size
        assert entry["arena_bytes"] >= entry["arena_reported"] - 16 > 0
        assert sum(entry["operators"].values()) > 20
        assert entry["argmax_agreement"] >= (1 if kind == "float32" else agreement.MIN_AGREEMENT[kind])
        assert 0 < entry["max_abs_difference"] < (1e-3 if kind == "float32" else 2)
        assert 0 < entry["weights_bytes"] < entry["tflite_bytes"]


def test_wider_numbers_are_closer(exports):
    snr = {kind: exports["mdcsa", kind][0].entry["score_snr_db"] for kind in ("int8", "mixed", "int16x8")}
    assert snr["int8"] + 0.5 < snr["mixed"] < snr["int16x8"] - 0.5
    assert exports["mdcsa", "mixed"][0].entry["wide"]


def test_every_operator_has_its_noise(exports):
    exported, out = exports["mdcsa", "int8"]
    errors = pd.read_csv(out / "errors.csv")
    assert len(errors) >= sum(exported.entry["operators"].values())
    assert errors["tensor"].is_unique and (errors["snr_db"] > 5).all()
    assert errors.set_index("tensor")["snr_db"]["scores"] == pytest.approx(exported.entry["score_snr_db"], abs=1e-3)


def test_trained_with_its_rounding_a_model_has_other_weights_and_the_same_rulers(exports):
    plain, aware = (flatbuffer.read(exports["mdcsa", kind][1] / "model.tflite") for kind in ("int8", "int8-aware"))
    changed = 0
    for one, other in zip(flatbuffer.graph(plain).tensors, flatbuffer.graph(aware).tensors, strict=True):
        values = [flatbuffer.constant(m, t) for m, t in ((plain, one), (aware, other))]
        if values[0] is None:
            assert (one.quantization.scale == other.quantization.scale).all()
        else:
            changed += not np.array_equal(*values)
    assert changed > 5


def test_a_kind_that_tflite_micro_cannot_run_says_which_operator(checkpoints, fold, tmp_path, monkeypatch):
    monkeypatch.setattr(desktop, "runtime", lambda kind: desktop.MICRO)
    with pytest.raises(InputError, match=r"model\.tflite: TFLite Micro does not take this model: .*DEQUANTIZE"):
        export(checkpoints["mdcsa"], fold, "float16", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mdcsa", "mamba"])
def test_weights_of_float16_are_compared_in_tensorflow_lite_and_said_not_to_be_for_a_microcontroller(
    exports, checkpoints, fold, name, tmp_path
):
    exported = export(checkpoints[name], fold, "float16", tmp_path)
    expected = predict_steps(checkpoint.load(checkpoints[name]), fold.test, WINDOWS)
    assert (exported.rows.y_pred == expected.y_pred).mean() >= 0.99
    assert 1e-6 < np.abs(exported.rows.scores - expected.scores).max() < 0.05
    assert (exported.entry["runtime"], exported.entry["arena_bytes"]) == ("TensorFlow Lite", None)
    assert exported.entry["weights_bytes"] < 0.9 * exports[name, "float32"][0].entry["weights_bytes"]
    making = Making("a model", "float16", "c", "Random numbers.", "f00d", Features(), WINDOWS.length)
    metrics = {"macro_f1": 1 / 3, "accuracy": 0.5, "n": 9}
    leave(tmp_path, checkpoint.load(checkpoints[name]), making, exported.entry, metrics)
    assert "does not run in TFLite Micro" in (tmp_path / CARD).read_text()


def test_vectors_are_what_a_device_gets_and_gives(exports):
    """Run again from the file alone, the model gives the file's outputs, bit for bit."""
    for _, out in exports.values():
        with np.load(out / "windows.npz") as file:
            arrays = dict(file)
        expected, reset = arrays.pop("scores"), arrays.pop("reset")
        tflm = Tflm(out / "model.tflite")
        assert {len(a) for a in (*arrays.values(), reset, expected)} == {min(VECTORS, len(reset))}
        assert all(values.dtype == tflm.inputs[name].dtype for name, values in arrays.items())
        assert tflm.run(arrays, reset)["scores"].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("mdcsa", "mixed"), ("mdcsa", "int16x8"), ("mamba", "int8"), ("mamba", "int16x8"), ("mamba-window", "int8")],
)
def test_the_compiled_export_gives_the_same_outputs_bit_for_bit(exports, name, kind, tmp_path):
    out = exports[name, kind][1]
    compile_model(out / "model.tflite", tmp_path / "c")
    given = windows.read(out / "windows.npz", graph := reader.read(out / "model.tflite"))
    answer = host.run(host.build(tmp_path / "c", tmp_path / "host"), given.records, given.reset)
    assert windows.difference(graph, windows.split(graph, answer.outputs), given.expected)["bit_identical"]


def test_mamba_starts_afresh_at_every_gap(exports):
    with np.load(exports["mamba", "float32"][1] / "windows.npz") as file:
        assert np.flatnonzero(file["reset"]).tolist() == [0, 20, 24]


def test_calibration_is_a_list_of_training_windows(exports):
    lines = (exports["mdcsa", "int8"][1] / "calibration.csv").read_text().splitlines()
    assert lines[0] == "recording,first,last"
    first, steps = zip(*(map(int, line.removeprefix("a,").split(",")) for line in lines[1:]), strict=True)
    assert all(b - a == WINDOWS.length - 1 for a, b in zip(first, steps, strict=True))
    assert len(set(steps)) == 20
    assert all(s % 60 >= WINDOWS.length - 1 for s in steps), "a window lies within one segment"


def test_a_stream_is_calibrated_along_whole_segments(exports):
    lines = (exports["mamba", "int16x8"][1] / "calibration.csv").read_text().splitlines()
    assert set(lines[1:]) == {"a,0,59", "a,60,99"}


def test_the_same_seed_gives_the_same_files(exports, checkpoints, fold, tmp_path):
    export(checkpoints["mdcsa"], fold, "int8", tmp_path)
    for name in ("model.tflite", "calibration.csv", "windows.npz"):
        assert (tmp_path / name).read_bytes() == (exports["mdcsa", "int8"][1] / name).read_bytes()
    export(checkpoints["mdcsa"], fold, "int8", tmp_path / "other", seed=1)
    assert (tmp_path / "other" / "calibration.csv").read_bytes() != (tmp_path / "calibration.csv").read_bytes()


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_an_export_that_is_another_function_is_not_kept(checkpoints, fold, kind, tmp_path, monkeypatch):
    from tinyloc.export import twin_mdcsa
    from tinyloc.export.tensorflow import tf

    before = tmp_path / "model.tflite"
    before.write_bytes(b"of an earlier run")
    right = twin_mdcsa.TwinMDCSA._score
    other_order = tf.constant(np.roll(np.eye(len(ROOMS)), 1, 0), tf.float32)
    monkeypatch.setattr(twin_mdcsa.TwinMDCSA, "_score", lambda self, views: tf.matmul(right(self, views), other_order))
    with pytest.raises(InputError, match=f"the {kind} export is not the trained model"):
        export(checkpoints["mdcsa"], fold, kind, tmp_path)
    assert before.read_bytes() == b"of an earlier run"
    assert not list(tmp_path.glob(".partial-*"))


def test_a_stranger_finds_all_there_is_to_know(exports, checkpoints):
    for name in ("mdcsa", "mamba", "mamba-window"):
        exported, out = exports[name, "int16x8"]
        making = Making("a model", "int16x8", "c", "Random numbers.", "f00d", Features(), WINDOWS.length)
        leave(
            out,
            checkpoint.load(checkpoints[name]),
            making,
            exported.entry,
            {"macro_f1": 1 / 3, "accuracy": 0.5, "n": 9},
        )
        card = (out / CARD).read_text()
        for line in re.findall(r"\| `([\w.]+)` \| `([0-9a-f]{64})`", card):
            assert hashlib.sha256((out / line[0]).read_bytes()).hexdigest() == line[1]
        assert "macro F1 0.3333" in card and exported.entry["calibration"]["sha256"] in card
        assert (out / "labels.txt").read_text().split() == list(ROOMS)
        assert list(read_json(out / "scaler.json")["rssi"]) == ["x", "y", "z"]
        assert read_json(out / "features.json")["window_steps"] == WINDOWS.length
        assert (out / "decoder.json").is_file() == (name == "mdcsa")
        assert read_json(out / "features.json")["decoder"] == ("viterbi" if name == "mdcsa" else None)
        assert ("state/h0" in card) == (name == "mamba")


def damaged(fold: Fold, **changes) -> Fold:
    return replace(fold, train=[replace(steps, **changes) for steps in fold.train])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rssi": np.full((100, N_AP), -120, np.float32)}, "calibration: all 20 windows are silent"),
        ({"acc": np.full((100, 6), np.nan, np.float32)}, r"calibration: acc\[0, 0, 0\] is nan"),
        (
            {"rssi": np.zeros((100, N_AP + 2), np.float32)},
            f"rssi has {N_AP + 2} columns a step, but the model reads {N_AP}",
        ),
    ],
)
def test_calibration_data_that_are_wrong(checkpoints, fold, tmp_path, changes, problem):
    with pytest.raises(InputError, match=problem) as raised:
        export(checkpoints["mdcsa"], damaged(fold, **changes), "int8", tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_test_data_of_other_columns(checkpoints, fold, tmp_path):
    wide = replace(fold.test[0], rssi=np.zeros((len(fold.test[0]), N_AP + 2), np.float32))
    with pytest.raises(
        InputError, match=f"recording c: rssi has {N_AP + 2} columns a step, but the model reads {N_AP}"
    ):
        export(checkpoints["mamba"], replace(fold, test=[wide]), "int8", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint(fold, tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: no such checkpoint"):
        export(tmp_path / "none.pt", fold, "float32", tmp_path)
