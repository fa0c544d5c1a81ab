"""The programs that the device part calls: compilers, binary tools, QEMU. All are looked for on PATH."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tinyloc.errors import InputError

CROSS = "arm-none-eabi-"
CROSS_GCC, CROSS_GXX, CROSS_SIZE, CROSS_NM, CROSS_ADDR2LINE, CROSS_OBJDUMP = (
    CROSS + n for n in ("gcc", "g++", "size", "nm", "addr2line", "objdump")
)
HOST_GCC, HOST_GXX = "gcc", "g++"
QEMU = "qemu-system-arm"

_CROSS_PACKAGES = ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
PACKAGES = {
    CROSS_GCC: _CROSS_PACKAGES,
    CROSS_GXX: _CROSS_PACKAGES,
    CROSS_SIZE: _CROSS_PACKAGES,
    CROSS_NM: _CROSS_PACKAGES,
    CROSS_ADDR2LINE: _CROSS_PACKAGES,
    CROSS_OBJDUMP: _CROSS_PACKAGES,
    HOST_GCC: ("gcc", "libc6-dev"),
    HOST_GXX: ("g++",),
    QEMU: ("qemu-system-arm",),
}
"""Debian packages that bring each program."""
CROSS_CXX_LIBRARY = "libstdc++-arm-none-eabi-newlib"
"""Debian package of the cross compiler's C++ library, which the headers of a TFLite Micro need and ours do not."""


class ToolFailed(Exception):
    """A program of the tool chain ended with an error; the message is what it said."""


def find(program: str) -> Path:
    """Where a program is.

    Raises InputError: it is not on PATH, or the cross compiler has no C library; names the Debian packages.
    """
    found = shutil.which(program)
    if found is None:
        raise _missing(program, "is not on PATH")
    if program == CROSS_GCC and not _has_c_library(found):
        raise _missing(program, "has no C library (newlib)")
    return Path(found)


def require(*programs: str) -> None:
    """Raise what `find` raises for the first of the programs that is missing, before any work is done."""
    for program in programs:
        find(program)


def call(program: str, arguments: Sequence[str], folder: Path | None = None) -> str:
    """Run a program in a folder and return what it printed.

    Raises ToolFailed: it ended with an error. InputError: it is not there.
    """
    finished = subprocess.run(
        [find(program), *arguments],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},  # its messages are read, so they must be the English ones
        capture_output=True,
        text=True,
        errors="replace",
    )
    if finished.returncode != 0:
        raise ToolFailed(finished.stderr.strip() or f"{program} ended with exit code {finished.returncode}")
    return finished.stdout


def _has_c_library(gcc: str) -> bool:
    # gcc answers with the bare name when it does not find the file
    answer = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True)
    return answer.stdout.strip() != "libc.a"


def _missing(program: str, what: str) -> InputError:
    packages = " ".join(PACKAGES[program])
    return InputError(f"{program} {what}; on Debian or Ubuntu: sudo apt-get install -y {packages}")
