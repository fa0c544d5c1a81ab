"""The runner on TFLite Micro: with the real library of the wheel on this machine, and with a stand-in on the boards.

The stand-in (tests/tflm_api) shows the protocol, the RAM's cap, the counts and the errors; its answers mean nothing.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tflm_libraries
import tiny_model
from test_cli import refused, tinyloc

from tinyloc import cli
from tinyloc.aot import reader
from tinyloc.device import boards, host, memory, qemu, tflm_build, tflm_library, tflm_run, tflm_sources, toolchain
from tinyloc.device import windows as npz
from tinyloc.device.records import DeviceError, pack, unpack
from tinyloc.device.runner import run_model
from tinyloc.errors import InputError

PEERS = Path(__file__).parent / "peers"
MLP, MAMBA = PEERS / "mlp_i8.tflite", PEERS / "mamba_d16_float32.tflite"
BOARD, RAM = "mps2-an386", 8 * 1024
HOST_TOOLS = (toolchain.HOST_GCC, toolchain.HOST_GXX)
BOARD_TOOLS = (toolchain.CROSS_GCC, toolchain.CROSS_GXX, toolchain.QEMU)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder for TFLM_DIR: made("wheel"), or made(a core, defines of the stand-in …); each is made once."""
    folders = {}

    def make(*what):
        tiny_model.need(*(HOST_TOOLS if what[0] in ("wheel", tflm_library.HOST) else BOARD_TOOLS))
        if what not in folders:
            folder = tmp_path_factory.mktemp("tflm")
            folders[what] = (
                tflm_libraries.wheel(folder) if what == ("wheel",) else tflm_libraries.standin(folder, *what)
            )
        return folders[what]

    return make


@pytest.fixture
def library(made, monkeypatch):
    def find(core, *defines, folder=None):
        monkeypatch.setenv(tflm_library.VARIABLE, str(folder or made(core, *defines)))
        return tflm_library.find(core)

    return find


@pytest.fixture
def device(library, tmp_path):
    """The stand-in behind a model, on a board."""

    def build(*defines, model=MLP, board=BOARD, ram=RAM, stack=1024, profile=False):
        emitted = tflm_sources.emit(model, reader.read(model), tmp_path / "emitted")
        found = library(boards.BOARDS[board].core.lower(), *defines)
        return tflm_build.board(emitted, found, board, ram, tmp_path / "out", stack, profile)

    return build


def given(model, n=40, resets=()):
    """Random windows of a model, as an .npz would bring them, with what the stand-in makes of them."""
    graph = reader.read(model)
    generator = np.random.default_rng(0)
    arrays = {}
    for tensor in npz.inputs(graph):
        real = generator.normal(size=(n, *tensor.shape)).astype(np.float32)
        arrays[tensor.name] = real if tensor.dtype == "float32" else generator.integers(-128, 128, real.shape, np.int8)
    reset = np.zeros(n, bool)
    reset[list(resets)] = True
    records = np.concatenate([a.reshape(n, -1).view(np.uint8) for a in arrays.values()], axis=1)
    return graph, arrays, records, reset


def standins_answers(graph, records, reset):
    """[N, output_bytes] uint8: every byte is the sum of all input bytes and of its place; the states go round."""
    states = sum(t.bytes for t in (graph.tensors[i] for i in graph.inputs) if t.name.startswith(npz.STATE))
    kept, rows = np.zeros(states, np.uint8), []
    nexts = [t for t in (graph.tensors[i] for i in graph.outputs) if t.name.startswith(npz.NEXT)]
    for record, zeroed in zip(records, reset, strict=True):
        if zeroed:
            kept[:] = 0
        total = int(record.sum(dtype=np.int64)) + int(kept.sum(dtype=np.int64))
        rows.append(np.concatenate([(total + np.arange(t.bytes)) % 256 for t in npz.outputs(graph)]))
        if nexts:
            kept = np.concatenate([(total + np.arange(t.bytes)) % 256 for t in nexts])
    return np.array(rows, np.uint8)


# ── the real library ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "name",
    [
        "mlp_i8",
        pytest.param("cnn_i8", marks=pytest.mark.slow),
        pytest.param("attn_i8", marks=pytest.mark.slow),
        "mdcsa_d16_int8",
        "mamba_d16_float32",
    ],
)
def test_the_real_library_gives_the_interpreters_bits_on_this_machine(made, monkeypatch, tmp_path, name):
    monkeypatch.setenv(tflm_library.VARIABLE, str(made("wheel")))
    model = PEERS / f"{name}.tflite"
    graph, arrays, _, reset = given(model, resets=(7, 30))
    if (PEERS / f"{name}.out").exists():  # what upstream's builds for a Cortex-M gave
        (source,), (sink,) = npz.inputs(graph), npz.outputs(graph)
        arrays = {
            tensor.name: np.fromfile(PEERS / f"{name}.{suffix}", np.int8).reshape(-1, *tensor.shape)
            for tensor, suffix in ((source, "in"), (sink, "out"))
        }
        reset = np.zeros(len(arrays[source.name]), bool)
    np.savez(tmp_path / "windows.npz", reset=reset, **arrays)
    report = tflm_run.run_model(model, tmp_path / "windows.npz", tflm_library.HOST, 64 * 1024)
    assert report["host"] == {"bit_identical": True, "max_abs_difference": 0}
    assert report["bit_identical"] is (True if (PEERS / f"{name}.out").exists() else None)
    assert report["windows"] == len(reset)
    parts = report["arena"]
    assert parts["activations"] + parts["persistent"] >= report["ram"]["arena"] > 0  # recording takes some
    assert 0 < parts["tensors"] + parts["operators"] + parts["buffers"] + parts["variables"] <= parts["persistent"]
    assert parts["operators"] >= 32 * len(graph.operators)  # a node and its registration, in a 64-bit build


def test_the_real_library_announces_every_operator_once(library, made, tmp_path):
    model = PEERS / "attn_i8.tflite"
    graph, _, records, reset = given(model, n=3)
    emitted = tflm_sources.emit(model, graph, tmp_path / "emitted")
    (
        tmp_path / "steps.c"
    ).write_text(  # of the board's port what a program of this machine lacks: every count is of all
        '#include "model.h"\nunsigned n;\nvoid tinyloc_step(void) { n++; }\n'
        "void port_steps(unsigned counts[]) { for (int i = 0; i < TINYLOC_STEPS; i++) counts[i] = n; n = 0; }\n"
    )
    include = f"-I{emitted.folder}"
    steps = tmp_path / "steps.o"
    tflm_libraries.call("gcc", include, "-c", tmp_path / "steps.c", "-o", steps)
    flags = ("-DTINYLOC_PROFILE", include, str(steps))
    built = tflm_build.here(emitted, library(tflm_library.HOST, folder=made("wheel")), tmp_path / "out", flags=flags)
    (tmp_path / "in.bin").write_bytes(pack(records, reset, emitted.output_bytes))
    tflm_libraries.call(built.program, tmp_path / "in.bin", tmp_path / "out.bin")
    blob = (tmp_path / "out.bin").read_bytes()
    answer = unpack(blob, emitted.output_bytes, True, emitted.steps).result
    assert (answer.steps == len(graph.operators) + 1).all()  # the beginning of each, and the end of the last
    assert tflm_sources.take_apart(answer.outputs)[1]["events"] == len(graph.operators)


def test_the_real_librarys_own_words_tell_of_an_arena_that_is_too_small(made, monkeypatch, tmp_path):
    monkeypatch.setenv(tflm_library.VARIABLE, str(made("wheel")))
    _, arrays, _, _ = given(MLP)
    np.savez(tmp_path / "windows.npz", **arrays)
    with pytest.raises(
        DeviceError, match=r"Node \w+ .*failed to prepare.* AllocateTensors failed \(with an arena of 2048 B\)$"
    ) as caught:
        tflm_run.run_model(MLP, tmp_path / "windows.npz", tflm_library.HOST, 2048)
    assert "\n" not in str(caught.value)


def test_the_resolvers_operators_are_the_real_librarys():
    symbols = tflm_libraries.call("nm", "-DC", "--defined-only", tflm_libraries.RUNTIME)
    there = {word.split("Register_")[1][:-2] for word in symbols.split() if word.startswith("tflite::micro::Register_")}
    subgraphs_and_variables = {"ASSIGN_VARIABLE", "CALL_ONCE", "IF", "READ_VARIABLE", "VAR_HANDLE", "WHILE"}
    builtin = there.intersection(reader.schema.OPERATORS)
    assert set(tflm_sources.RESOLVER) == builtin - subgraphs_and_variables
    for name, method in (("ADD_N", "AddAddN"), ("CONV_2D", "AddConv2D"), ("SPLIT_V", "AddSplitV")):
        assert tflm_sources.RESOLVER[name] == method


@pytest.mark.parametrize("board", [tflm_library.HOST, *boards.BOARDS])
def test_the_readers_own_library_gives_the_same_bits(board, tmp_path):
    if not os.environ.get(tflm_library.VARIABLE):
        pytest.skip(f"{tflm_library.VARIABLE} is not set: we found no package with TFLite Micro and its headers")
    tiny_model.need(*BOARD_TOOLS)
    try:
        tflm_library.find(board if board == tflm_library.HOST else boards.BOARDS[board].core.lower())
    except InputError as missing:
        pytest.skip(str(missing))
    _, arrays, _, _ = given(MLP)
    np.savez(tmp_path / "windows.npz", **arrays)
    assert tflm_run.run_model(MLP, tmp_path / "windows.npz", board, 64 * 1024)["host"]["bit_identical"]


# ── the protocol, on the boards ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("board", "defines"),
    [
        ("mps2-an386", ()),
        pytest.param("mps2-an500", ("TFLM_API_BEFORE_2026",), marks=pytest.mark.slow),
        pytest.param("mps3-an547", (), marks=pytest.mark.slow),
    ],
)
def test_states_and_resets_are_the_same_on_a_board_and_here(device, library, tmp_path, board, defines):
    graph, _, records, reset = given(MAMBA, resets=(0, 5, 6, 31))
    built = device(*defines, model=MAMBA, board=board, ram=16 * 1024)
    on_board, arena = tflm_sources.take_apart(qemu.run(built, records, reset).outputs)
    assert on_board.tobytes() == standins_answers(graph, records, reset).tobytes()
    assert arena["used"] > 0 and arena["persistent"] == 0  # nothing records outside a profile
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = tflm_build.here(built.emitted, library(tflm_library.HOST, *defines), tmp_path / "host", flags=sanitizers)
    here, _ = tflm_sources.take_apart(host.run(program, records, reset).outputs)
    assert here.tobytes() == on_board.tobytes()


@pytest.mark.slow
def test_instructions_are_counted_exactly_and_by_operator(device):
    graph, _, records, reset = given(MLP, n=5)
    light, heavy = (qemu.run(device(f"STANDIN_WORK={nops}"), records, reset) for nops in (100, 1100))
    operators = len(graph.operators)
    assert (heavy.instructions - light.instructions == 1000 * operators).all()
    light, heavy = (
        qemu.run(device(f"STANDIN_WORK={nops}", profile=True, ram=1 << 20), records, reset) for nops in (100, 1100)
    )
    assert light.steps.shape == (5, operators)
    assert (heavy.steps - light.steps == 1000).all()
    assert (light.steps > 100).all()
    _, arena = tflm_sources.take_apart(light.outputs)
    assert arena["events"] == operators
    assert arena["operators"] == 64 * operators
    assert arena["activations"] + arena["persistent"] == arena["used"]


@pytest.mark.slow
def test_all_ram_that_is_left_is_the_arena_and_too_little_is_said_with_the_librarys_words(device):
    _, _, records, reset = given(MLP, n=2)
    result = qemu.run(built := device(), records, reset)
    _, arena = tflm_sources.take_apart(result.outputs)
    sizes = memory.ram(built, result.stack_high_water)
    assert (sizes["state"], sizes["arena"]) == (0, 0)
    needed = sizes["static"] + built.stack + arena["used"]
    enough = -(-(needed + 16) // 128) * 128
    assert qemu.run(device(ram=enough), records, reset).outputs.tobytes() == result.outputs.tobytes()
    with pytest.raises(
        DeviceError, match=r"Requested: \d+, available \d+, missing: \d+.*with an arena of \d+ B"
    ) as caught:
        qemu.run(device(ram=(needed // 128 - 1) * 128), records, reset)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"the model needs \d+ B \(1024 B of them stack\)"):
        device(ram=1024)


@pytest.mark.slow
def test_what_goes_wrong_in_an_inference_ends_the_run_with_its_name(device):
    _, _, records, reset = given(MLP, n=2)
    with pytest.raises(DeviceError, match=r"operator says no, -3 of 7 Invoke failed"):
        qemu.run(device("STANDIN_FAILS"), records, reset)
    with pytest.raises(DeviceError, match=r"stack overflow \(1024 B are kept for the stack\), in record 1 of 2"):
        qemu.run(device("STANDIN_OVERFLOWS"), records, reset)


@pytest.mark.slow
def test_the_command_takes_and_gives_the_same_for_both_runtimes(made, tmp_path):
    graph, arrays, records, reset = given(MLP)
    arrays |= npz.split(graph, standins_answers(graph, records, reset))
    np.savez(tmp_path / "windows.npz", **arrays)
    compiled = run_model(MLP, tmp_path / "windows.npz", BOARD, RAM)
    words = ("run", MLP, tmp_path / "windows.npz", "--board", BOARD, "--ram", "8K", "--runtime", "tflm")
    done = tinyloc(*words, TFLM_DIR=str(made("cortex-m4f")))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["bit_identical"] is True  # with the stand-in's answers, in the .npz
    assert report["host"]["bit_identical"] is False  # the real TFLite Micro's
    assert (report["runtime"], report["board"], report["core"]) == ("tflm", BOARD, "Cortex-M4F")
    assert set(report) == set(compiled) - {"steps"} | {"arena"}
    for part in ("flash", "ram", "instructions", "mix"):
        assert set(report[part]) == set(compiled[part]), part
    assert report["flash"]["model"] == MLP.stat().st_size
    assert report["ram"]["total"] <= report["ram_limit"] == RAM
    assert "FULLY_CONNECTED (TFLite Micro)" in done.stderr  # the table by operator


# ── what a reader can give wrong ─────────────────────────────────────────────────────────────────
def test_without_a_library_the_command_says_what_to_set(tmp_path):
    _, arrays, _, _ = given(MLP)
    np.savez(tmp_path / "windows.npz", **arrays)
    refused(tinyloc("run", MLP, tmp_path / "windows.npz", "--runtime", "tflm", TFLM_DIR=""), "TFLM_DIR is not set")
    with pytest.raises(InputError, match=r"--runtime tflm: it runs a \.tflite alone; give MODEL\.tflite"):
        cli.run(runtime="tflm", dataset="house", model="student", kind="int8")


def test_a_folder_without_headers_or_library_is_named(tmp_path, monkeypatch):
    def found(core="cortex-m7"):
        monkeypatch.setenv(tflm_library.VARIABLE, str(tmp_path / "given"))
        return tflm_library.find(core)

    with pytest.raises(InputError, match="given: no such folder"):
        found()
    (tmp_path / "given" / "cortex-m7").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"no library for cortex-m7; put it in cortex-m7/libtensorflow-microlite\.a or"
    ):
        found()
    (tmp_path / "given" / "cortex-m7" / tflm_library.ARCHIVE).touch()
    with pytest.raises(InputError, match=r"no tensorflow/lite/micro/micro_interpreter\.h in it or in its include/"):
        found()
    tflm_libraries.headers(tmp_path / "given" / "include")
    (tmp_path / "given" / "include" / "third_party" / "flatbuffers" / "include").mkdir(parents=True)
    assert [path.name for path in found().include] == ["include", "include"]
    with pytest.raises(InputError, match="no library for host"):
        found(tflm_library.HOST)
    (tmp_path / "given" / tflm_library.ARCHIVE).touch()  # serves every core that has none of its own
    assert found("host").archive.parent == tmp_path / "given"
    assert found().archive.parent.name == "cortex-m7"


HEADERS = "tensorflow/lite/micro"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            ("micro_interpreter.h", "", '#include "flatbuffers/flatbuffers.h"\n'),
            "includes flatbuffers/flatbuffers.h, which",
        ),
        (
            ("micro_interpreter.h", "", "#include <no_such_part>\n"),
            "no C++ library: <no_such_part> is missing; on Debian",
        ),
        (("operators.h", "AddReshape", "AddOther"), "the resolver of this TFLite Micro has no AddReshape"),
        (("micro_interpreter.h", "", "#error not today\n"), "refuses it: "),
        (None, "wants or lacks tflite::micro::"),
    ],
)
def test_headers_or_a_library_that_do_not_fit_are_one_line(library, made, tmp_path, spoil, words):
    folder = shutil.copytree(made(tflm_library.HOST), tmp_path / "lib")
    if spoil:
        name, old, new = spoil
        path = folder / HEADERS / name
        path.write_text(path.read_text().replace(old, new, 1))
    else:
        tflm_libraries.call("ar", "d", folder / "host" / tflm_library.ARCHIVE, "standin.o")
    emitted = tflm_sources.emit(MLP, reader.read(MLP), tmp_path / "emitted")
    with pytest.raises(InputError) as caught:
        tflm_build.here(emitted, library(tflm_library.HOST, folder=folder), tmp_path / "out")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"TFLM_DIR={folder}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_library_of_another_processor_or_with_a_heap_does_not_link(device, library, made, tmp_path):
    tiny_model.need(*HOST_TOOLS)
    emitted = tflm_sources.emit(MLP, reader.read(MLP), tmp_path / "emitted")
    folder = shutil.copytree(made(tflm_library.HOST), tmp_path / "lib")
    (folder / "host").rename(folder / "cortex-m4f")
    with pytest.raises(InputError, match=r"libtensorflow-microlite\.a is not a library for cortex-m4f$"):
        tflm_build.board(emitted, library("cortex-m4f", folder=folder), BOARD, RAM, tmp_path / "out", 1024)
    with pytest.raises(InputError, match=r"wants or lacks _sbrk; build it anew, for cortex-m4f, without a heap"):
        device("STANDIN_HEAP")


def test_an_operator_that_the_resolver_does_not_know_is_named(tmp_path):
    graph = reader.read(MLP)
    operators = [replace(graph.operators[0], name="GELU"), *graph.operators[1:]]
    with pytest.raises(InputError, match=r"mlp_i8\.tflite: operator 0 \(GELU, version 1\).*resolver does not know it"):
        tflm_sources.emit(MLP, replace(graph, operators=operators), tmp_path / "emitted")
