"""Damaged .tflite files for the compiler: it may refuse one with an InputError; it may not crash, hang or swell.

    python tests/tflite_fuzzer.py --seconds 600        (PYTHONPATH=src:tests)

Seeds are the models of tests/peers and one for each operator and type (operator_zoo). Files are damaged as bytes, and
as models whose fields no longer fit together: those come through the reader to what is behind it. What goes wrong is
kept with the file that did it; the exit status is 1 then. test_aot_fuzz runs it for seconds.
"""

import argparse
import json
import math
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import flatbuffers
import numpy as np
from aot_tools import run_filter
from operator_zoo import one_by_one, zoo
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinyloc.aot.compiler import compile_model
from tinyloc.aot.lower import LOWERINGS
from tinyloc.device.emitted import Emitted
from tinyloc.errors import InputError

PEERS = Path(__file__).parent / "peers"
MEMORY = 2 << 30  # bytes of address space
SMALL = 1 << 20  # bytes of arena of a model that is run
SLOW_S = 5  # of the processor for one file
INTEGERS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 65535, 1 << 16, (1 << 31) - 1, -1, -2, -128, -(1 << 31))
SCALES = (0.0, -1.0, math.nan, math.inf, 1e-45, 1e-38, 1e-20, 1e-7, 2.0**-15, 1 / 256, 1 / 128, 1.0, 3e4, 1e20, 3e38)
NAMES = (b"", b"state/a", b"next/a", b"state/b", b"scores", b"*/", b"\xff\xfe", b"n" * 5000)
WORDS = (0, 1, 4, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC)


# ── damage to bytes ──────────────────────────────────────────────────────────────────────────────
def place(rng: random.Random, data: bytearray) -> int:
    """A position: often near an end of the file, where its structure is; the middle is weights."""
    reach = min(len(data), 2000)
    return rng.choice([rng.randrange(reach), len(data) - 1 - rng.randrange(reach), rng.randrange(len(data))])


def truncate(rng: random.Random, data: bytearray) -> None:
    del data[place(rng, data) :]


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randint(1, 4)):
        data[place(rng, data)] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, data: bytearray) -> None:
    at = place(rng, data) // 4 * 4
    word = rng.choice([*WORDS, rng.getrandbits(32), rng.randrange(len(data))])
    data[at : at + 4] = word.to_bytes(4, "little")[: len(data) - at]


def move(rng: random.Random, data: bytearray) -> None:
    """A stretch of the file to another place, over what is there or between it."""
    at, to, length = place(rng, data), place(rng, data), rng.choice([1, 4, 16, 64, 1000])
    stretch = data[at : at + length]
    data[to : to + rng.choice([0, len(stretch)])] = stretch


BYTES = (truncate, flip, overwrite, move)


# ── damage to fields ─────────────────────────────────────────────────────────────────────────────
def altered(rng: random.Random, values, choices) -> list:
    """A list with an item changed, lost, added or moved."""
    items = [] if values is None else [v.item() if hasattr(v, "item") else v for v in values]
    at = rng.randrange(len(items) + 1)
    what = rng.randrange(5)
    if what == 0 or not items:
        items.insert(at, rng.choice(choices))
    elif what == 1:
        del items[at % len(items)]
    elif what == 2:
        rng.shuffle(items)
    else:
        items[at % len(items)] = rng.choice(choices)
    return items


def shape(rng: random.Random, graph, model) -> None:
    tensor = rng.choice(graph.tensors)
    tensor.shape = altered(rng, tensor.shape, INTEGERS)


def element_type(rng: random.Random, graph, model) -> None:
    rng.choice(graph.tensors).type = rng.choice([0, 2, 4, 7, 9, rng.randrange(20)])


def buffer_number(rng: random.Random, graph, model) -> None:
    rng.choice(graph.tensors).buffer = rng.choice([0, rng.randrange(len(model.buffers) + 1)])


def name(rng: random.Random, graph, model) -> None:
    rng.choice(graph.tensors).name = rng.choice(NAMES)


def quantisation(rng: random.Random, graph, model) -> None:
    tensor = rng.choice(graph.tensors)
    kept = tensor.quantization or schema.QuantizationParametersT()
    if rng.random() < 0.1:
        tensor.quantization = None
        return
    if rng.random() < 0.5:
        kept.scale = altered(rng, kept.scale, SCALES)
    elif rng.random() < 0.7:
        kept.zeroPoint = altered(rng, kept.zeroPoint, INTEGERS)
    else:
        kept.quantizedDimension = rng.choice(INTEGERS)
    tensor.quantization = kept


def operands(rng: random.Random, graph, model) -> None:
    operator, choices = rng.choice(graph.operators), [-1, *range(len(graph.tensors) + 1)]
    if rng.random() < 0.7:
        operator.inputs = altered(rng, operator.inputs, choices)
    else:
        operator.outputs = altered(rng, operator.outputs, choices)


def ports(rng: random.Random, graph, model) -> None:
    choices = [-1, *range(len(graph.tensors) + 1)]
    if rng.random() < 0.5:
        graph.inputs = altered(rng, graph.inputs, choices)
    else:
        graph.outputs = altered(rng, graph.outputs, choices)


def kind(rng: random.Random, graph, model) -> None:
    """Another operator with these operands, and perhaps with these options."""
    code = rng.choice(model.operatorCodes)
    code.builtinCode = rng.choice([getattr(schema.BuiltinOperator, rng.choice(KNOWN)), rng.randrange(210)])
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    if rng.random() < 0.5:
        for operator in graph.operators:
            operator.builtinOptions, operator.builtinOptionsType = None, 0


def options(rng: random.Random, graph, model) -> None:
    operator = rng.choice(graph.operators)
    fields = vars(operator.builtinOptions) if operator.builtinOptions else {}
    numbers = [field for field, value in fields.items() if isinstance(value, int | float)]
    if not numbers or rng.random() < 0.1:
        operator.builtinOptionsType = rng.randrange(110)
        return
    field = rng.choice(numbers)
    new = rng.choice(SCALES if isinstance(fields[field], float) else INTEGERS)
    setattr(operator.builtinOptions, field, bool(new) if isinstance(fields[field], bool) else new)


def constant(rng: random.Random, graph, model) -> None:
    """Axes, bounds and sizes; and weights, which may say anything."""
    held = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data)]
    if not held:
        return
    buffer = rng.choice(held)
    data = bytearray(np.asarray(buffer.data, np.uint8).tobytes())
    if rng.random() < 0.8:
        at = rng.randrange(len(data)) // 4 * 4
        data[at : at + 4] = (rng.choice(INTEGERS) & 0xFFFFFFFF).to_bytes(4, "little")[: len(data) - at]
    else:
        del data[rng.randrange(len(data)) :]
    buffer.data = np.frombuffer(bytes(data), np.uint8)


def order(rng: random.Random, graph, model) -> None:
    if rng.random() < 0.5:
        rng.shuffle(graph.operators)
    else:
        graph.operators.append(rng.choice(graph.operators))


def chain(rng: random.Random, graph, model) -> None:
    """Many copies of an operator of one input, each reading what the one before made."""
    operator = rng.choice(graph.operators)
    if len(operator.outputs) != 1:
        return
    for _ in range(rng.choice([3, 30, 300])):
        graph.tensors.append(graph.tensors[operator.outputs[0]])
        more = schema.OperatorT()
        vars(more).update(vars(operator))
        more.inputs = [operator.outputs[0], *operator.inputs[1:]]
        more.outputs = [len(graph.tensors) - 1]
        graph.operators.append(more)
        operator = more


KNOWN = sorted(LOWERINGS)
FIELDS: tuple[Callable, ...] = (
    *(shape, element_type, buffer_number, name, quantisation, operands, ports, kind, options, constant, order, chain),
)


def with_damaged_fields(rng: random.Random, data: bytes) -> tuple[str, bytes | None]:
    """(what was damaged first, the file, None where it cannot be written)"""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    done = rng.choices(FIELDS, k=rng.choice([1, 1, 2, 3]))
    for damage in done:
        with suppress(IndexError, TypeError):  # of a field that the damage before has taken away
            damage(rng, model.subgraphs[0], model)
    return f"field: {done[0].__name__}", _packed(model)


def each_field(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(what was damaged, the file), for every field of the model and every value that may be trouble, one at a time."""
    for what, site, values in _sites(schema.ModelT.InitFromPackedBuf(data, 0)):
        for value in values:
            model = schema.ModelT.InitFromPackedBuf(data, 0)
            site(model, value)
            if packed := _packed(model):
                yield f"each {what}", packed


def _sites(model) -> Iterator[tuple[str, Callable, Sequence]]:
    """(what, what sets it, to which values)"""
    graph = model.subgraphs[0]
    for i, tensor in enumerate(graph.tensors):
        yield "element type", lambda m, v, i=i: setattr(_tensor(m, i), "type", v), range(20)
        yield "name", lambda m, v, i=i: setattr(_tensor(m, i), "name", v), NAMES
        for axis in range(0 if tensor.shape is None else len(tensor.shape)):
            yield "dimension", lambda m, v, i=i, axis=axis: _set(_tensor(m, i), "shape", axis, v), INTEGERS
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            yield "scale", lambda m, v, i=i: _fill(_tensor(m, i).quantization, "scale", v), SCALES
            yield "zero point", lambda m, v, i=i: _fill(_tensor(m, i).quantization, "zeroPoint", v), INTEGERS
    for i, operator in enumerate(graph.operators):
        for at in range(len(operator.inputs)):
            others = range(-1, len(graph.tensors) + 1)
            yield "input", lambda m, v, i=i, at=at: _set(_operator(m, i), "inputs", at, v), others
        for field, now in vars(operator.builtinOptions or schema.AddOptionsT()).items():
            if operator.builtinOptions and isinstance(now, int | float):
                values = SCALES if isinstance(now, float) else INTEGERS
                yield "option", lambda m, v, i=i, field=field: setattr(_operator(m, i).builtinOptions, field, v), values
    for i, buffer in enumerate(model.buffers):
        for at in range(0, min(0 if buffer.data is None else len(buffer.data), 64) // 4):
            yield "constant", lambda m, v, i=i, at=at: _write(m.buffers[i], at, v), INTEGERS
    codes = [getattr(schema.BuiltinOperator, name) for name in KNOWN]
    yield "kind", lambda m, v: setattr(m.operatorCodes[0], "builtinCode", v), codes


def _tensor(model, index: int):
    return model.subgraphs[0].tensors[index]


def _operator(model, index: int):
    return model.subgraphs[0].operators[index]


def _set(owner, field: str, at: int, value: int) -> None:
    values = [int(v) for v in getattr(owner, field)]
    values[at] = value
    setattr(owner, field, values)


def _write(buffer, at: int, value: int) -> None:
    """One of the words of a constant."""
    data = bytearray(np.asarray(buffer.data, np.uint8).tobytes())
    data[4 * at : 4 * at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
    buffer.data = np.frombuffer(bytes(data), np.uint8)


def _fill(quantisation, field: str, value: float) -> None:
    setattr(quantisation, field, [value] * len(getattr(quantisation, field)))


def _packed(model) -> bytes | None:
    """The file; None for a field that the FlatBuffers writer does not write, such as one out of its type's range."""
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    except (TypeError, ValueError, OverflowError, AttributeError, IndexError, struct.error):
        return None
    return bytes(builder.Output())


def damaged(rng: random.Random, seeds: list[bytes]) -> tuple[str, bytes]:
    """(what was done, the file)"""
    data = rng.choice(seeds)
    if rng.random() < 0.6:
        what, file = with_damaged_fields(rng, data)
        if file is not None:
            return what, file
    changed, damage = bytearray(data), rng.choice(BYTES)
    damage(rng, changed)
    return f"bytes: {damage.__name__}", bytes(changed)


# ── the trial ────────────────────────────────────────────────────────────────────────────────────
class Trial:
    """One file after another through `tinyloc compile`."""

    def __init__(self, folder: Path, keep: Path, run_every: int):
        self.path, self.out, self.keep, self.run_every = folder / "m.tflite", folder / "c", keep, run_every
        self.outcomes, self.reasons, self.findings, self.ran = Counter(), set(), {}, 0

    def attempt(self, what: str, data: bytes) -> None:
        self.path.write_bytes(data)
        started = time.process_time()
        signal.alarm(20 * SLOW_S)  # where it would never end
        try:
            report = compile_model(self.path, self.out)
            outcome = "compiled"
        except InputError as error:
            outcome = "refused"
            self.reasons.add("".join(c for c in str(error) if c.isalpha() or c == " "))
            if "\n" in str(error):
                self._found(f"a message of several lines: {error!r}", data)
        except Exception as error:
            outcome = "failed"
            frames = traceback.extract_tb(error.__traceback__)
            inside = next((f for f in reversed(frames) if "tinyloc" in f.filename), frames[-1])
            where = f"{Path(inside.filename).name}:{inside.lineno} ({inside.name})"
            self._found(f"{type(error).__name__} at {where}: {error}"[:300], data)
        signal.alarm(0)
        spent = time.process_time() - started
        if spent > SLOW_S:
            self._found(f"{what} took {spent:.1f} s", data)
        self.outcomes[f"{what}, {outcome}"] += 1
        if outcome == "compiled" and self._is_due() and report.arena_bytes < SMALL:
            self._run(what, data)

    def _is_due(self) -> bool:
        return self.run_every > 0 and self.outcomes.total() % self.run_every == 0

    def _run(self, what: str, data: bytes) -> None:
        """What was accepted has to compile, and to run without undefined behaviour, on random bytes and on extremes."""
        size = Emitted.read(self.out).input_bytes
        given = random.Random(0).randbytes(4 * size) + b"\x80" * size + b"\x7f" * size + bytes(size)
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        try:
            run_filter(self.out, given, "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")
        except AssertionError as error:
            lines = [line for line in str(error).splitlines() if "error" in line.lower()] or [str(error)]
            self._found(f"emitted code, {Path(lines[0]).name[:120]}: {what}", data)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        self.ran += 1

    def _found(self, message: str, data: bytes) -> None:
        kind = message.split(": ")[0]
        if kind not in self.findings:
            self.keep.mkdir(parents=True, exist_ok=True)
            name = f"{len(self.findings)}.tflite"
            (self.keep / name).write_bytes(data)
            self.findings[kind] = {"message": message, "file": name, "times": 0}
        self.findings[kind]["times"] += 1


def too_long(*_) -> None:
    raise TimeoutError("it did not end")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=math.inf, help="of the processor")
    parser.add_argument("--inputs", type=int, default=sys.maxsize)
    parser.add_argument("--each-field", action="store_true", help="first every field of every seed, one at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run-every", type=int, default=0, help="run every so many of them under sanitizers")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="folder for the files that do harm")
    given = parser.parse_args()
    # the hard limit stays: children may need more
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGALRM, too_long)
    rng = random.Random(given.seed)
    peers = [path.read_bytes() for path in sorted(PEERS.glob("*.tflite"))]
    small = list(one_by_one().values())
    seeds = [*small, zoo("int8", "int16", "float32").bytes(), *peers, *peers]
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), given.keep, given.run_every)
        for data in seeds:
            trial.attempt("whole", data)
        for data in small if given.each_field else ():
            for what, file in each_field(data):
                trial.attempt(what, file)
        while trial.outcomes.total() < given.inputs and time.process_time() < given.seconds:
            trial.attempt(*damaged(rng, seeds))
    print(
        json.dumps(
            {
                "inputs": trial.outcomes.total(),
                "cpu_s": round(time.process_time(), 1),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
                "outcomes": dict(sorted(trial.outcomes.items())),
                "run_under_sanitizers": trial.ran,
                "different_refusals": len(trial.reasons),
                "findings": list(trial.findings.values()),
            },
            indent=1,
        )
    )
    return 1 if trial.findings else 0


if __name__ == "__main__":
    sys.exit(main())
