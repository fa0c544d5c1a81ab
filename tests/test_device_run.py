"""From a `.tflite` to a Cortex-M4F in QEMU: the compiler, the board, the host and TFLite Micro's outputs."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from typer.testing import CliRunner

from tinyloc.aot import reader
from tinyloc.cli import app
from tinyloc.device import boards, toolchain, windows
from tinyloc.device.records import DeviceError
from tinyloc.device.runner import run_model
from tinyloc.errors import InputError

PEERS = Path(__file__).parent / "peers"
BOARD = "mps2-an386"


@pytest.fixture
def peer(tmp_path):
    """A model of tests/peers with its 200 inputs and TFLite Micro's outputs as an .npz."""
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)

    def prepare(name, change=lambda outputs: outputs):
        model = PEERS / f"{name}.tflite"
        graph = reader.read(model)
        (source,), (sink,) = windows.inputs(graph), windows.outputs(graph)
        given = np.fromfile(PEERS / f"{name}.in", np.int8).reshape(-1, *source.shape[1:])
        expected = change(np.fromfile(PEERS / f"{name}.out", np.int8).reshape(-1, *sink.shape[1:]))
        np.savez(tmp_path / "windows.npz", **{source.name: given, sink.name: expected})
        return model, tmp_path / "windows.npz"

    return prepare


@pytest.mark.parametrize(("name", "ram"), [("mlp_i8", 1152), ("cnn_i8", 2432), ("attn_i8", 3840)])
def test_a_peer_gives_tflite_micros_outputs_bit_for_bit_within_its_ram(peer, name, ram):
    report = run_model(*peer(name), BOARD, ram, stack=400)
    assert report["windows"] == 200
    assert report["bit_identical"] is True
    assert report["max_abs_difference"] == 0
    assert report["host"] == {"bit_identical": True, "max_abs_difference": 0}
    assert report["ram"]["static"] >= 0
    assert report["ram"]["total"] <= report["ram_limit"] == ram
    assert 0 < report["instructions"]["min"] <= report["instructions"]["median"] <= report["instructions"]["max"]
    in_steps = sum(step["instructions"]["median"] for step in report["steps"])
    assert sum(step["macs"] for step in report["steps"]) > 16_000
    assert abs(report["instructions"]["median"] - in_steps) < 0.005 * in_steps  # the medians of other windows


@pytest.mark.slow
@pytest.mark.parametrize("board", boards.BOARDS)
def test_the_command_line_tells_all_of_a_run(peer, board):
    model, given = peer("mlp_i8")
    kept = given.parent / "outputs.npz"
    done = CliRunner().invoke(app, ["run", str(model), str(given), "--board", board, "--ram", "32K", "-o", str(kept)])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["board"] == board and report["ram_limit"] == 32 * 1024 and report["windows"] == 200
    assert report["bit_identical"] is True and report["host"]["bit_identical"] is True
    assert {"startup", "text", "rodata", "model", "data", "total", "harness"} == report["flash"].keys()
    parts = {"arena", "state", "static", "stack_high_water", "stack_reserved", "total"}
    assert parts == report["ram"].keys() and 0 < report["ram"]["arena"] < report["ram"]["total"]
    count = report["instructions"]
    assert 0 < count["min"] <= count["median"] <= count["max"]
    with np.load(kept) as outputs, np.load(given) as expected:
        (name,) = outputs.files
        np.testing.assert_array_equal(outputs[name].reshape(200, -1), expected[name].reshape(200, -1))
    assert "fully_connected_s8" in done.stderr and "share" in done.stderr  # by operator, for people


@pytest.mark.slow
def test_a_stack_too_small_for_a_model_is_named(peer):
    with pytest.raises(DeviceError, match=r"stack overflow \(64 B are kept for the stack\), in record 1 of 200"):
        run_model(*peer("attn_i8"), BOARD, 32 * 1024, stack=64)


def test_an_output_that_differs_is_reported(peer):
    def one_step_off(outputs):
        outputs[17, 3] ^= 1
        return outputs

    report = run_model(*peer("mlp_i8", one_step_off), BOARD, 32 * 1024)
    assert report["bit_identical"] is False
    assert report["max_abs_difference"] > 0
    assert report["host"]["bit_identical"] is True


@pytest.mark.slow
def test_the_same_model_counts_the_same_in_two_builds(peer, tmp_path):
    first = run_model(*peer("mlp_i8"), BOARD, 32 * 1024, tmp_path / "a")
    second = run_model(*peer("mlp_i8"), BOARD, 64 * 1024, tmp_path / "b")
    assert first["instructions"] == second["instructions"]
    assert first["flash"] == second["flash"]
    assert (tmp_path / "a" / "aot" / "model.c").is_file()
    assert (tmp_path / "a" / BOARD / "model.elf").is_file()


def test_too_little_ram_says_how_much_is_missing(peer):
    arena, stack, ram = 736, 2048, 1024
    with pytest.raises(InputError, match=f"{arena + stack - ram} B more than there is"):
        run_model(*peer("mlp_i8"), BOARD, ram, stack=stack)


def test_a_missing_tool_is_said_before_any_work(peer, tmp_path, monkeypatch):
    given = peer("mlp_i8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt-get install"):
        run_model(*given, BOARD, 32 * 1024, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
