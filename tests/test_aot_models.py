"""Whole models: the emitted C against TFLite Micro, under compilers and sanitizers; its folder, whole or not there."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from aot_tools import PEERS, SEMANTICS, WARNINGS, Compiled, Micro, assert_agree, run_filter
from tflite_writer import ModelWriter

from tinyloc.aot.compiler import compile_model
from tinyloc.errors import InputError

CORTEX_M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
NAMES = ("attn_i8", "cnn_i8", "mlp_i8")


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_of_tflite_micro_are_met_bit_for_bit(name, tmp_path):
    """200 inputs each, on which the wheel and upstream's Cortex-M builds agree (tests/peers/README.md)."""
    compile_model(PEERS / f"{name}.tflite", tmp_path / "c")
    outputs = run_filter(tmp_path / "c", (PEERS / f"{name}.in").read_bytes())
    assert outputs == (PEERS / f"{name}.out").read_bytes()


@pytest.mark.slow
def test_sanitizers_find_nothing_in_an_integer_model(tmp_path):
    compile_model(PEERS / "attn_i8.tflite", tmp_path / "c")
    data = (PEERS / "attn_i8.in").read_bytes()[-50 * 220 :]
    extremes = bytes([128] * 220 + [127] * 220)
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    outputs = run_filter(tmp_path / "c", data + extremes, *sanitizers)
    assert outputs[: 50 * 180] == (PEERS / "attn_i8.out").read_bytes()[-50 * 180 :]


@pytest.mark.slow
def test_sanitizers_find_nothing_in_a_float_model_with_state(tmp_path):
    compile_model(recurrent(tmp_path / "m.tflite", "float32"), tmp_path / "c")
    values = np.random.default_rng(0).normal(scale=20, size=(8, 5)).astype(np.float32)
    values[5:] = [[np.inf] * 5, [np.nan] * 5, [-3e38] * 5]
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    run_filter(tmp_path / "c", values.tobytes(), *sanitizers)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_no_warning_from_the_cross_compiler(tmp_path):
    compile_model(PEERS / "attn_i8.tflite", tmp_path / "c")
    kernels = Path(__file__).parents[1] / "firmware" / "kernels"
    sources = [tmp_path / "c" / "model.c", *sorted(kernels.glob("*.c"))]
    flags = [*WARNINGS, *SEMANTICS, "-O2", *CORTEX_M4F, f"-I{kernels}", "-fsyntax-only"]
    done = subprocess.run(["arm-none-eabi-gcc", *flags, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def recurrent(path: Path, dtype: str) -> Path:
    """y, h = step(x, h): h' = tanh(W x + h), and the last three inputs as a second state."""
    m = ModelWriter()
    random = np.random.default_rng(1)
    integer = dtype == "int8"

    def q(scale: float, zero: int = 0) -> dict:
        return {"scale": scale, "zero": zero} if integer else {}

    x = m.input((1, 5), dtype, name="x", **q(0.1, 7))
    h = m.input((1, 5), dtype, name="state/h", **q(1 / 128))
    recent = m.input((3, 5), dtype, name="state/recent", **q(0.1, 7))
    if integer:
        weights = m.constant(random.integers(-127, 128, (5, 5)).astype(np.int8), scale=0.01)
    else:
        weights = m.constant(random.normal(size=(5, 5)).astype(np.float32))
    wx = m.tensor((1, 5), dtype, **q(0.05, -4))
    m.operator("FULLY_CONNECTED", [x, weights, -1], [wx], "FullyConnected")
    total = m.tensor((1, 5), dtype, **q(0.05, 3))
    m.operator("ADD", [wx, h], [total], "Add")
    m.operator("TANH", [total], [new := m.tensor((1, 5), dtype, name="next/h", **q(1 / 128))])
    m.operator("CONCATENATION", [recent, x], [window := m.tensor((4, 5), dtype, **q(0.1, 7))], "Concatenation")
    bounds = [m.constant(np.array(values, np.int32)) for values in ([1, 0], [4, 5], [1, 1])]
    m.operator("STRIDED_SLICE", [window, *bounds], [later := m.tensor((3, 5), dtype, name="next/recent", **q(0.1, 7))],
               "StridedSlice")  # fmt: skip
    axes = m.constant(np.array([0], np.int32))
    m.operator("MEAN", [window, axes], [mean := m.tensor((1, 5), dtype, **q(0.07, 1))], "Reducer", keepDims=True)
    m.operator("MUL", [mean, new], [y := m.tensor((1, 5), dtype, name="y", **q(0.03, 9))], "Mul")
    m.graph.outputs = [new, y, later]
    return m.save(path)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_state_follows_tflite_micro_through_a_sequence(dtype, tmp_path):
    path = recurrent(tmp_path / "m.tflite", dtype)
    compiled, micro = Compiled(path, tmp_path / "c"), Micro(path)
    random = np.random.default_rng(2)
    steps = random.integers(-128, 128, (30, 1, 5)) if dtype == "int8" else random.normal(size=(30, 1, 5))
    for x in steps:
        assert_agree(compiled.run(x), micro.run(x))
    # a new sequence starts from real zero
    compiled.library.tinyloc_init()
    micro.state.clear()
    for x in steps[::-1]:
        assert_agree(compiled.run(x), micro.run(x))


def test_header_and_report_describe_the_model(tmp_path):
    path = recurrent(tmp_path / "m.tflite", "int8")
    report = compile_model(path, tmp_path / "c")
    header = (tmp_path / "c" / "model.h").read_text()
    for line in (
        "#define TINYLOC_N_INPUTS 1",
        "#define TINYLOC_N_OUTPUTS 1",
        "#define TINYLOC_INPUT_BYTES 5",
        "#define TINYLOC_OUTPUT_BYTES 5",
        f"#define TINYLOC_ARENA_BYTES {report.arena_bytes}",
        f"#define TINYLOC_STATE_BYTES {report.state_bytes}",
        "/* input 0: x, int8 [1x5], real = 0.100000001 * (value -7) */",
        "/* state: state/h, int8 [1x5], real = 0.0078125 * (value +0) */",
    ):
        assert line in header
    assert hashlib.sha256(path.read_bytes()).hexdigest() in header and "do not edit" in header
    stored = json.loads((tmp_path / "c" / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.as_dict()))
    assert report.macs == 25 and report.state_bytes >= 5 + 15
    names = {(row.name, row.region) for row in report.tensors}
    assert {("x", "arena"), ("y", "arena"), ("state/h", "state"), ("next/h", "state")} <= names
    assert {path.name for path in (tmp_path / "c").iterdir()} == {*report.sources, "report.json", "report.txt"}
    assert "FULLY_CONNECTED" in (tmp_path / "c" / "report.txt").read_text()


def test_the_report_says_how_to_build_for_a_core(tmp_path):
    report = compile_model(PEERS / "mlp_i8.tflite", tmp_path / "c", core="cortex-m55")
    assert report.core == "cortex-m55" and {"-mcpu=cortex-m55", "-ffp-contract=off"} <= set(report.flags)
    text = (tmp_path / "c" / "report.txt").read_text()
    assert "cortex-m55: build model.c tl_dense.c tl_dot.c tl_fixed.c tl_units.c" in text and "-mcpu=cortex-m55" in text
    with pytest.raises(InputError, match="core 'm4': there is no such core; there are generic, cortex-m4f"):
        compile_model(PEERS / "mlp_i8.tflite", tmp_path / "d", core="m4")


def test_the_same_model_gives_the_same_files(tmp_path):
    for folder in ("a", "b"):
        compile_model(PEERS / "attn_i8.tflite", tmp_path / folder)
    for one in (tmp_path / "a").iterdir():
        assert one.read_bytes() == (tmp_path / "b" / one.name).read_bytes()


def test_names_cannot_break_out_of_comments(tmp_path):
    m = ModelWriter()
    nasty = '*/ int x = "y\n#error /* \\'
    x = m.input((1, 4), name=nasty)
    state = m.input((1, 4), name=f"state/{nasty}")
    m.operator("ABS", [state], [m.output(m.tensor((1, 4), name=f"next/{nasty}"))], "Abs")
    m.operator("NEG", [x], [m.output(m.tensor((1, 4), name=nasty))], "Neg")
    compiled = Compiled(m.save(tmp_path / "m.tflite"), tmp_path / "c")
    assert_agree(compiled.run(np.ones((1, 4))), [-np.ones((1, 4), np.float32)])


def test_too_little_memory_says_how_much_is_missing(tmp_path):
    report = compile_model(PEERS / "attn_i8.tflite", tmp_path / "c")
    compile_model(PEERS / "attn_i8.tflite", tmp_path / "c", ram=report.arena_bytes)
    with pytest.raises(InputError, match=rf"needs {report.arena_bytes} bytes of RAM .* 156 more than the"):
        compile_model(PEERS / "attn_i8.tflite", tmp_path / "d", ram=report.arena_bytes - 156)
    assert not (tmp_path / "d").exists()


def test_a_failed_compilation_leaves_the_old_one(tmp_path):
    out = tmp_path / "c"
    compile_model(PEERS / "mlp_i8.tflite", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = tmp_path / "broken.tflite"
    broken.write_bytes((PEERS / "mlp_i8.tflite").read_bytes()[:5000])
    with pytest.raises(InputError):
        compile_model(broken, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    compile_model(PEERS / "cnn_i8.tflite", out)
    assert (out / "tl_conv.c").exists() and "cnn_i8" in (out / "model.h").read_text()
    assert sorted(os.listdir(tmp_path)) == ["broken.tflite", "c"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something other than a compiled model"):
        compile_model(PEERS / "mlp_i8.tflite", tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"
