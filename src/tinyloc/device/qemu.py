"""The compiled model on a Cortex-M that QEMU plays: link into the capped RAM, run, count instructions."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tinyloc.aot.cores import ARITHMETIC
from tinyloc.device import boards, faults, host, records, toolchain
from tinyloc.device.boards import Board
from tinyloc.device.emitted import Emitted
from tinyloc.device.records import Answer, DeviceError, RunResult
from tinyloc.errors import InputError
from tinyloc.files import shipped

STACK_BYTES = 2048
CODE = (
    "-g",  # names the line of a fault; takes no flash
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
)
# the bench and the startup must not call libc: its code in the image is to be the model's own need
NO_LIBC = ("-fno-tree-loop-distribute-patterns",)
STARTUP = ("startup.c",)
BENCH = ("fault.c", "port_bare.c", "semihosting.c")
OUTPUT = "out.bin"  # the name that port_bare.c writes


@dataclass(frozen=True)
class DeviceBuild:
    elf: Path
    board: Board
    emitted: Emitted
    ram: int  # bytes that the played device has
    stack: int  # bytes of them kept for the stack
    profiled: bool = False

    @property
    def steps(self) -> int:
        """How many counts of a profile every record brings."""
        return self.emitted.steps if self.profiled else 0

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Address of every symbol."""
        lines = toolchain.call(toolchain.CROSS_NM, [str(self.elf)]).splitlines()
        rows = (line.split() for line in lines)
        return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def build(aot: Path, board: str, ram: int, out: Path, stack: int = STACK_BYTES, profile: bool = False) -> DeviceBuild:
    """Compile and link the sources of folder `aot` for a board with `ram` bytes of RAM: `out/model.elf`.

    stack: bytes of the RAM kept for the stack; a run that needs more ends with that name. profile: count the
    instructions of every step too; the calls that this takes are in no step, but in the count of the whole.
    Raises InputError: tools missing, no compiled model in the folder, a board that does not exist, or too little
    RAM or flash, with how much is missing. DeviceError: the compiler refuses the sources.
    """
    target = boards.find(board, ram)
    check_stack(stack)
    toolchain.require(toolchain.CROSS_GCC, toolchain.CROSS_NM, toolchain.QEMU)
    emitted = Emitted.read(aot)
    out.mkdir(parents=True, exist_ok=True)
    try:
        link(target, _compile_all(target, emitted, out, profile), ram, stack, out)
    except toolchain.ToolFailed as error:
        raise too_small(target, str(error), ram, stack) or host.refused(aot, error) from error
    return DeviceBuild(out.resolve() / "model.elf", target, emitted, ram, stack, profile)


def check_stack(stack: int) -> None:
    """Raises InputError: no stack can have that size."""
    if stack <= 0 or stack % 8:
        raise InputError(f"{stack} B of stack; give a positive multiple of 8 B")


def run(built: DeviceBuild, inputs: np.ndarray, reset: np.ndarray, timeout_s: float = 120) -> RunResult:
    """N inferences in one QEMU. inputs: [N, input_bytes] uint8; reset: [N] bool, zero the state before this one.

    Raises InputError: more records than the test bench has memory for. DeviceError: a fault of the processor, by
    its name and place, with the finished records in `.result`; QEMU failed, or did not end in time.
    """
    _check_size(built, len(inputs))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.bin").write_bytes(records.pack(inputs, reset, built.emitted.output_bytes))
        said = emulate(built, folder, len(inputs), timeout_s)
        got = folder / OUTPUT
        answer = _answer(built, got.read_bytes()) if got.exists() else None
    where = _device(built.board, built.ram)
    if answer is None:
        raise DeviceError(f"{where}: QEMU ended without results: {said or 'it said nothing'}")
    if answer.status == records.FAULT:
        raise DeviceError(f"{where}: {_fault(built, answer, len(inputs))}", answer.result)
    if answer.status == records.REFUSED:
        raise DeviceError(f"{where}: {records.refused(said)}", answer.result)
    if answer.status != records.OK or len(answer.result.outputs) != len(inputs):
        raise DeviceError(f"{where}: the runner refused its input (status {answer.status})", answer.result)
    return answer.result


def _answer(built: DeviceBuild, blob: bytes) -> Answer | None:
    return records.unpack(blob, built.emitted.output_bytes, True, built.steps)


# ── build ────────────────────────────────────────────────────────────────────────────────────────
def _compile_all(board: Board, emitted: Emitted, out: Path, profile: bool) -> list[str]:
    """Objects in the folders model, board and bench, by which sections.ld tells them apart."""
    model = emitted.folder.resolve()
    define = ("-DTINYLOC_PROFILE",) if profile else ()
    return [
        *(_compile(board, source, out / "model", (model,), define) for source in emitted.sources),
        *harness(board, out, model, profile, (emitted.work,)),
    ]


def harness(board: Board, out: Path, model: Path, profile: bool, work: Sequence[str] = ()) -> list[str]:
    """Compile what surrounds a model on a board: objects in the folders board and bench of `out`.

    model: where `model.h` is. work: sources of firmware/runner that tell the runner what to do with a record.
    Raises toolchain.ToolFailed.
    """
    firmware = shipped("firmware").resolve()
    ours = (firmware / "boards" / board.name, firmware / "boards", firmware / "runner", model)
    startup = [firmware / "boards" / name for name in (*STARTUP, board.mpu)]
    runner = [firmware / "runner" / name for name in ("runner.c", *work)]
    bench = [*runner, *(firmware / "boards" / name for name in BENCH)]
    define = ("-DTINYLOC_PROFILE",) if profile else ()
    return [
        *(_compile(board, source, out / "board", ours, NO_LIBC) for source in startup),
        *(_compile(board, source, out / "bench", ours, (*NO_LIBC, *define)) for source in bench),
    ]


def _compile(board: Board, source: Path, folder: Path, include: tuple[Path, ...], flags: tuple[str, ...] = ()) -> str:
    """Compile into `folder`; returns the object's name as seen from the folder above."""
    folder.mkdir(exist_ok=True)
    name = f"{folder.name}/{source.stem}.o"
    options = [*board.flags, *host.LANGUAGE, *ARITHMETIC, *CODE, *flags, *(f"-I{path}" for path in include)]
    toolchain.call(toolchain.CROSS_GCC, [*options, "-c", str(source), "-o", name], folder.parent)
    return name


def link(board: Board, objects: list[str], ram: int, stack: int, out: Path) -> None:
    """Link `out/model.elf` of objects and libraries. Raises toolchain.ToolFailed."""
    folder = shipped("firmware").resolve() / "boards"
    layout = [f"-L{folder}", "-T", str(folder / board.name / "memory.ld")]
    sizes = [f"-Wl,--defsym=RAM_SIZE={ram}", f"-Wl,--defsym=STACK_SIZE={stack}"]
    # no start files and no system calls: whatever wants a heap does not link
    libraries = ["-nostdlib", "-Wl,--gc-sections", "-Wl,--fatal-warnings", *objects, "-lm", "-lc", "-lgcc"]
    toolchain.call(toolchain.CROSS_GCC, [*board.flags, *layout, *sizes, *libraries, "-o", "model.elf"], folder=out)


def too_small(board: Board, message: str, ram: int, stack: int) -> InputError | None:
    """The linker's complaint of a memory that is full, as one that says how much is missing."""
    found = re.search(r"region `(RAM|CODE)' overflowed by (\d+) bytes", message)
    if not found:
        return None
    missing = int(found[2])
    if found[1] == "RAM":
        return InputError(
            f"{_device(board, ram)}: the model needs {ram + missing} B ({stack} B of them stack), {missing} B more "
            "than there is; give it more RAM or a smaller model"
        )
    return InputError(f"{board.name}: the model needs {missing} B more of flash than there is; give it a smaller model")


def _device(board: Board, ram: int) -> str:
    return f"{board.name} with {ram} B of RAM"


# ── run ──────────────────────────────────────────────────────────────────────────────────────────
def _check_size(built: DeviceBuild, n: int) -> None:
    start = built.symbols["__bench_start"]
    room = start + built.symbols["__bench_size"] - built.symbols["__bench_blob"]
    sizes = (built.emitted.input_bytes, built.emitted.output_bytes, built.steps)
    need = records.blob_bytes(n, *sizes)
    if need > room:
        one = records.blob_bytes(1, *sizes)
        raise InputError(
            f"{built.board.name}: {n} records take {need} B, the test bench has {room} B; run at most {room // one}"
        )


def emulate(built: DeviceBuild, folder: Path, n: int, timeout_s: float, options: Sequence[str] = ()) -> str:
    """Run QEMU on the `in.bin` of `folder` and return what it said. options: more for its command line.

    Raises DeviceError: it did not end in time.
    """
    # names in `folder`, without the commas at which its options are split
    address = built.symbols["__bench_blob"]
    command = [
        *(str(toolchain.find(toolchain.QEMU)), "-M", built.board.name),
        *("-display", "none", "-monitor", "none", "-serial", "none"),
        *("-icount", "shift=10"),  # one instruction lasts 1024 ns: the board's clocks count instructions
        *("-semihosting-config", "enable=on,target=native"),
        *("-kernel", str(built.elf)),
        *("-device", f"loader,file=in.bin,addr={address:#x},force-raw=on"),
        *options,
    ]
    try:
        finished = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"{built.board.name}: {n} records did not end in {timeout_s:g} s; a model that never ends, or too "
            "many records for one run"
        ) from None
    return " ".join(finished.stderr.split())[:400]


def _fault(built: DeviceBuild, answer: Answer, n: int) -> str:
    phrase = faults.name(answer.fault, built.symbols["__stack_bottom"])
    if phrase == faults.STACK_OVERFLOW:
        phrase += f" ({built.stack} B are kept for the stack)"
    place = _place(built, answer.fault.pc)
    return f"{phrase}, in record {len(answer.result.outputs) + 1} of {n}{place}"


def _place(built: DeviceBuild, pc: int) -> str:
    """`, at function (file:line)`, as far as it is known. pc: 0 if it is not."""
    if pc == 0:
        return ""
    lines = toolchain.call(toolchain.CROSS_ADDR2LINE, ["-fs", "-e", str(built.elf), f"{pc:#x}"]).splitlines()
    if "??" in lines[0]:
        return ""
    return f", at {lines[0]} ({lines[1].split(' ')[0]})"
