"""What holds for every operator in every type: TFLite Micro's answers, and code in which no tool finds anything."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from aot_tools import SEMANTICS, WARNINGS, Compiled, Micro, assert_agree, run_filter
from operator_zoo import BYTE, FLOAT, TYPES, WIDE, zoo

from tinyloc.aot import schema
from tinyloc.aot.compiler import compile_model
from tinyloc.aot.cores import CORES
from tinyloc.aot.folding import FOLDED
from tinyloc.aot.lower import LOWERINGS
from tinyloc.aot.reader import read
from tinyloc.device import boards, host, qemu, toolchain

RANGES = {BYTE: (-128, 128), WIDE: (-32768, 32768)}
EITHER = pytest.mark.parametrize("positive", [False, True], ids=["any", "positive"])


def values(random, tensor, positive=False):
    """One input: random over the whole range, or above zero."""
    if tensor.dtype == FLOAT:
        return random.uniform(0.1 if positive else -4, 4, tensor.shape).astype(np.float32)
    low, high = RANGES[tensor.dtype]
    return random.integers(tensor.zero_point + 1 if positive else low, high, tensor.shape).astype(tensor.dtype)


def extremes(tensor):
    """The ends of the range; of floats also what is no number."""
    ends = [-3e38, 3e38, np.inf, -np.inf, np.nan] if tensor.dtype == FLOAT else [RANGES[tensor.dtype][0], -1]
    ends += [] if tensor.dtype == FLOAT else [RANGES[tensor.dtype][1] - 1, 0]
    return [np.full(tensor.shape, end, tensor.dtype) for end in (ends * 2)[:5]]


def record(tensors, of):
    """The bytes of one inference: all inputs in their order."""
    return b"".join(of(tensor).tobytes() for tensor in tensors)


def inputs(graph):
    return [graph.tensors[i] for i in graph.inputs]


def test_no_operator_is_missing(tmp_path):
    found = set()
    for positive in (False, True):
        graph = read(zoo(*TYPES, positive=positive).save(tmp_path / "m.tflite"))
        found |= {operator.name for operator in graph.operators}
    assert found == set(LOWERINGS) | set(FOLDED) == set(schema.INPUTS)


@EITHER
@pytest.mark.parametrize("dtype", TYPES)
def test_every_operator_gives_tflite_micros_answer(dtype, positive, tmp_path):
    path = zoo(dtype, positive=positive).save(tmp_path / "m.tflite")
    compiled, micro, random = Compiled(path, tmp_path / "c"), Micro(path), np.random.default_rng(0)
    for _ in range(4):
        given = [values(random, tensor, positive) for tensor in compiled.inputs]
        assert_agree(compiled.run(*given), micro.run(*given))
    if dtype != FLOAT and not positive:
        for extreme in (RANGES[dtype][0], RANGES[dtype][1] - 1):
            given = [np.full(tensor.shape, extreme) for tensor in compiled.inputs]
            assert_agree(compiled.run(*given), micro.run(*given))


@pytest.mark.slow
@EITHER
def test_sanitizers_find_nothing_in_any_operator(positive, tmp_path):
    """int8, int16, float and what lies between them, on every kind of number, one that is none included."""
    path, random = zoo(*TYPES, positive=positive).save(tmp_path / "m.tflite"), np.random.default_rng(1)
    compile_model(path, tmp_path / "c")
    tensors = inputs(read(path))
    data = [record(tensors, lambda t: values(random, t)) for _ in range(20)]
    data += [record(tensors, lambda t, i=i: extremes(t)[i]) for i in range(5)]
    run_filter(
        *(tmp_path / "c", b"".join(data), "-fsanitize=address,undefined,float-cast-overflow"),
        "-fno-sanitize-recover=all",
    )


@pytest.mark.slow
@EITHER
@pytest.mark.parametrize("core", CORES)
def test_the_static_analyser_and_the_warnings_find_nothing_in_any_operator(core, positive, tmp_path):
    compiler = toolchain.HOST_GCC if core == "generic" else toolchain.CROSS_GCC
    tiny_model.need(compiler)
    compile_model(zoo(*TYPES, positive=positive).save(tmp_path / "m.tflite"), tmp_path / "c")
    flags = [*WARNINGS, *SEMANTICS, *CORES[core], "-O2", "-fanalyzer", "-c", "-o", str(tmp_path / "object.o")]
    for source in sorted((tmp_path / "c").glob("*.c")):
        done = subprocess.run([compiler, *flags, str(source)], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.slow
@EITHER
def test_every_operator_is_the_same_on_every_board(positive, tmp_path):
    """Bit for bit, floats too; that the host's integers are TFLite Micro's is tested above."""
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    path, random = zoo(*TYPES, positive=positive).save(tmp_path / "m.tflite"), np.random.default_rng(2)
    compile_model(path, tmp_path / "c")
    tensors = inputs(read(path))
    given = [record(tensors, lambda t: values(random, t, positive)) for _ in range(10)]
    if not positive:  # the sign of what is no number is the processor's own
        given += [record(tensors, lambda t, i=i: extremes(t)[i]) for i in range(2)]
    rows, reset = np.array([np.frombuffer(row, np.uint8) for row in given]), np.zeros(len(given), bool)
    wanted = host.run(host.build(tmp_path / "c", tmp_path / "host"), rows, reset)
    for board in boards.BOARDS:
        found = qemu.run(qemu.build(tmp_path / "c", board, 128 * 1024, tmp_path / board), rows, reset)
        assert found.outputs.tobytes() == wanted.outputs.tobytes(), board


@pytest.mark.slow
def test_damaged_files_are_refused_and_nothing_worse(tmp_path):
    """Some hundred files of the harness that ran for ten minutes of a processor; see tflite_fuzzer."""
    harness = Path(__file__).parent / "tflite_fuzzer.py"
    command = [sys.executable, str(harness), "--inputs", "350", "--seed", "7", "--keep", str(tmp_path / "found")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {name.rpartition(", ")[2] for name in report["outcomes"]} == {"compiled", "refused"}
    assert report["inputs"] == 350 and report["different_refusals"] > 50
