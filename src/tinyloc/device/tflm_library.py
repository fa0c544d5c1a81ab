"""A TFLite Micro that the reader brings: where its headers and its library are.

The project has none and builds none. A reader who has built one (upstream's `make … microlite` leaves the library, and
`create_tflm_tree.py` a folder of the headers) names its folder in the environment variable TFLM_DIR.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tinyloc.device import toolchain
from tinyloc.errors import InputError

VARIABLE = "TFLM_DIR"
ARCHIVE = "libtensorflow-microlite.a"
HEADER = "tensorflow/lite/micro/micro_interpreter.h"
HOST = "host"
# Where the headers that TFLite Micro's own headers include lie in a tree of create_tflm_tree.py and in a checkout.
_OTHERS = ("third_party", "tensorflow/lite/micro/tools/make/downloads")
_OTHER_ROOTS = ("flatbuffers/include", "gemmlowp", "ruy")


@dataclass(frozen=True)
class Library:
    folder: Path
    core: str  # what it is for: a core of aot.cores, or HOST
    archive: Path
    include: tuple[Path, ...]


def find(core: str) -> Library:
    """The reader's library for `core` (cortex-m4f, cortex-m7, cortex-m55, or host).

    It is `libtensorflow-microlite.a` in TFLM_DIR's folder of the core's name, in `lib/` or in TFLM_DIR itself; the
    headers are in TFLM_DIR or in its `include/`.
    Raises InputError: TFLM_DIR is not set or no folder, or headers or library are not there.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        raise InputError(
            f"{VARIABLE} is not set: the runtime tflm links a TFLite Micro that you have built; set {VARIABLE} to a "
            f"folder with its headers and {ARCHIVE}"
        )
    folder = Path(name).resolve()
    if not folder.is_dir():
        raise InputError(f"{VARIABLE}={name}: no such folder; give one with TFLite Micro's headers and {ARCHIVE}")
    return Library(folder, core, _archive(folder, core), _include(folder))


def _archive(folder: Path, core: str) -> Path:
    places = [Path(place) / ARCHIVE for place in (core, f"lib/{core}", "lib", ".")]
    found = next((folder / place for place in places if (folder / place).is_file()), None)
    if found is None:
        raise InputError(f"{folder}: no library for {core}; put it in {' or '.join(map(str, places))}")
    return found


def _include(folder: Path) -> tuple[Path, ...]:
    roots = [root for root in (folder, folder / "include") if (root / HEADER).is_file()]
    if not roots:
        raise InputError(f"{folder}: no {HEADER} in it or in its include/; copy TFLite Micro's headers there")
    others = (roots[0] / other / root for other in _OTHERS for root in _OTHER_ROOTS)
    return (roots[0], *filter(Path.is_dir, others))


# What a compiler or linker says when the fault is the library's -> what that means. The first that matches.
_FAULTS = (
    (r"fatal error: ([^/]+?(?<!\.h)): No such file", "the compiler has no C++ library: <{0}> is missing; {cxx}"),
    (r"fatal error: (\S+): No such file", "a header of TFLite Micro includes {0}, which is not there; copy it too"),
    (r"has no member named '(Add\w+)'", "the resolver of this TFLite Micro has no {0}; take a newer one"),
    (r"undefined reference to `([^']+)'", "{archive} wants or lacks {0}; build it anew, for {core}, without a heap"),
    (r"(file format not recognized|incompatible|file in wrong format)", "{archive} is not a library for {core}"),
    (r"(uses VFP register arguments|uses variable-size enums)", "{archive} was built with other options: it {0}"),
)


def refused(library: Library, error: toolchain.ToolFailed) -> InputError:
    """What headers and library have been found wanting in, in one line; all of the compiler's words are in `error`."""
    said = str(error)
    package = toolchain.PACKAGES[toolchain.HOST_GXX][0] if library.core == HOST else toolchain.CROSS_CXX_LIBRARY
    cxx = f"on Debian or Ubuntu: sudo apt-get install -y {package}"
    for pattern, meaning in _FAULTS:
        if found := re.search(pattern, said):
            words = meaning.format(*found.groups(), archive=library.archive, core=library.core, cxx=cxx)
            return InputError(f"{VARIABLE}={library.folder}: {words}")
    lines = [line for line in said.splitlines() if not line.startswith("collect2")]
    first = next((line for line in lines if re.search("error|warning", line)), said)
    return InputError(f"{VARIABLE}={library.folder}: the C++ compiler refuses it: {' '.join(first.split())}")
