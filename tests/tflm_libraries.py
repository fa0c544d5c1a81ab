"""Folders for TFLM_DIR: with the stand-in of tests/tflm_api, and with the library of the tflite-micro wheel."""

import shutil
import subprocess
from pathlib import Path

import tflite_micro

from tinyloc.aot.cores import CORES
from tinyloc.device import tflm_library

API = Path(__file__).parent / "tflm_api"
RUNTIME = Path(tflite_micro.__file__).parent / "python" / "tflite_micro" / "_runtime.so"


def call(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def headers(folder: Path, *defines: str) -> Path:
    """Our declarations in `folder`, with defines ahead of them."""
    shutil.copytree(API / "include", folder, dirs_exist_ok=True)
    path = folder / "tensorflow/lite/micro/declarations.h"
    path.write_text("".join(f"#define {word}\n" for word in defines) + path.read_text())
    return folder


def standin(folder: Path, core: str, *defines: str) -> Path:
    """The stand-in's library for a core of aot.cores, or for this machine, and the declarations."""
    headers(folder, *(word for word in defines if word.startswith("TFLM_API")))
    cross = "" if core == tflm_library.HOST else "arm-none-eabi-"
    place = folder / core
    place.mkdir()
    flags = [*CORES.get(core, ()), "-std=c++17", "-O2", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics"]
    call(
        *(f"{cross}g++", *flags, f"-I{folder}", *(f"-D{word}" for word in defines if not word.startswith("TFLM_API"))),
        *("-c", API / "standin.cc", "-o", place / "standin.o"),
    )
    call(f"{cross}ar", "rc", place / tflm_library.ARCHIVE, place / "standin.o")
    return folder


def wheel(folder: Path) -> Path:
    """The library of the wheel for this machine.

    It is a module of Python; what it wants of Python is there by name alone, as nothing of it is called.
    """
    headers(folder)
    place = folder / tflm_library.HOST
    place.mkdir()
    wanted = call("nm", "-D", "--undefined-only", RUNTIME).split()
    names = sorted({word.split("@")[0] for word in wanted if word.startswith(("Py", "_Py"))})
    (place / "python.c").write_text("".join(f"char {name}[256];\n" for name in names))
    call("gcc", "-w", "-shared", "-fPIC", "-fno-builtin", place / "python.c", "-o", place / "python.so")
    # the linker takes a text of this name for a script of its own
    (place / tflm_library.ARCHIVE).write_text(f"INPUT({RUNTIME} {place / 'python.so'})\n")
    return folder
