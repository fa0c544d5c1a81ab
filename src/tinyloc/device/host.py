"""The compiled model as a program of this machine: the same sources and the same runner as on a board."""

import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyloc.aot.cores import ARITHMETIC
from tinyloc.device import records, toolchain
from tinyloc.device.emitted import Emitted
from tinyloc.device.records import DeviceError, RunResult
from tinyloc.files import shipped

LANGUAGE = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")


@dataclass(frozen=True)
class HostBuild:
    program: Path
    emitted: Emitted


def build(aot: Path, out: Path, flags: tuple[str, ...] = ()) -> HostBuild:
    """Compile the sources of folder `aot` into the program `out/runner`.

    flags: further ones for the compiler, such as -fsanitize=address.
    Raises InputError: no compiler, or no compiled model in the folder. DeviceError: the compiler refuses the sources.
    """
    emitted = Emitted.read(aot)
    out.mkdir(parents=True, exist_ok=True)
    program = out.resolve() / "runner"
    runner = shipped("firmware") / "runner"
    sources = [*emitted.sources, *(runner / name for name in ("runner.c", emitted.work, "port_host.c"))]
    include = [f"-I{runner}", f"-I{aot.resolve()}"]
    try:
        toolchain.call(
            toolchain.HOST_GCC,
            [*LANGUAGE, *ARITHMETIC, *flags, *include, *map(str, sources), "-lm", "-o", str(program)],
        )
    except toolchain.ToolFailed as error:
        raise refused(aot, error) from error
    return HostBuild(program, emitted)


def run(built: HostBuild, inputs: np.ndarray, reset: np.ndarray, timeout_s: float = 120) -> RunResult:
    """N inferences. inputs: [N, input_bytes] uint8; reset: [N] bool, zero the state before this one.

    Raises DeviceError: the program died or did not end in time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given, got = folder / "in.bin", folder / "out.bin"
        given.write_bytes(records.pack(inputs, reset, built.emitted.output_bytes))
        try:
            finished = subprocess.run(
                [built.program, given, got], capture_output=True, text=True, errors="replace", timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{built.program}: {len(inputs)} records did not end in {timeout_s:g} s") from None
        answer = records.unpack(got.read_bytes(), built.emitted.output_bytes, False) if got.exists() else None
    if answer is not None and answer.status == records.REFUSED:
        raise DeviceError(f"{built.program}: {records.refused(finished.stderr)}", answer.result)
    if finished.returncode != 0 or answer is None or answer.status != records.OK:
        raise DeviceError(f"{built.program}: {_death(finished.returncode)} {_last_line(finished.stderr)}".rstrip())
    return answer.result


def compile_c(source: Path, out: Path, flags: tuple[str, ...] = ()) -> str:
    """Compile a source of the runner by itself; returns the object's name in `out`. Raises toolchain.ToolFailed."""
    name = f"{source.stem}.o"
    toolchain.call(toolchain.HOST_GCC, [*LANGUAGE, *ARITHMETIC, *flags, "-c", str(source), "-o", name], out)
    return name


def refused(aot: Path, error: toolchain.ToolFailed) -> DeviceError:
    """The compiler's first complaint in one line; all of them are in `error`."""
    lines = str(error).splitlines()
    first = next((line for line in lines if "error" in line or "undefined" in line), lines[0])
    return DeviceError(f"{aot}: the C compiler refuses it: {first.strip()}")


def _death(returncode: int) -> str:
    if returncode < 0:
        return f"died of {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
