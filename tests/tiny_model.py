"""A model written by hand against the header that the compiler emits, so that the device part is tested alone.

Inputs `what` (1 byte: which behaviour) and `value` (int32); outputs `sum` (int32, of all values since the last reset)
and `what` again. Records of odd size, on purpose.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from tinyloc.device import toolchain
from tinyloc.errors import InputError

ARENA, STATE = 16, 4

_HEADER = """\
#include <stdint.h>
#define TINYLOC_ARENA_BYTES {arena}
#define TINYLOC_STATE_BYTES 4
#define TINYLOC_N_INPUTS 2
#define TINYLOC_N_OUTPUTS 2
#define TINYLOC_INPUT_BYTES 5
#define TINYLOC_OUTPUT_BYTES 5
#define TINYLOC_STEPS 2
extern const uint32_t tinyloc_input_bytes[], tinyloc_output_bytes[];
void tinyloc_init(void);
void *tinyloc_input(unsigned i);
const void *tinyloc_output(unsigned i);
void tinyloc_run(void);
"""

_SOURCE = """\
#include "model.h"
const uint32_t tinyloc_input_bytes[] = {1, 4}, tinyloc_output_bytes[] = {4, 1};
static int32_t arena[TINYLOC_ARENA_BYTES / 4];
static int32_t state;
void tinyloc_init(void) { state = 0; }
void *tinyloc_input(unsigned i) { return i == 0 ? arena : arena + 1; }
const void *tinyloc_output(unsigned i) { return i == 0 ? arena + 2 : arena + 3; }
static inline void answer(void)
{
    state += arena[1];
    arena[2] = state;
    arena[3] = arena[0];
}
"""

SUM = "void tinyloc_run(void) { answer(); }\n"


def write(folder: Path, run: str = SUM, arena: int = ARENA) -> Path:
    """Write model.h and model.c with this definition of tinyloc_run (and what it calls); returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.h").write_text(_HEADER.format(arena=arena))
    (folder / "model.c").write_text(_SOURCE + run)
    return folder


def records(*rows: tuple[int, int]) -> np.ndarray:
    """(what, value) of each record as [N, 5] uint8."""
    kind = np.dtype([("what", "u1"), ("value", "<i4")])
    return np.array(list(rows), kind).view(np.uint8).reshape(len(rows), 5)


def sums(outputs: np.ndarray) -> list[int]:
    """The first output of each record. outputs: [N, 5] uint8."""
    return np.ascontiguousarray(outputs[:, :4]).view("<i4")[:, 0].tolist()


def need(*programs: str) -> None:
    """Skip the test, with the reason, where a program is missing; in CI nothing may be missing."""
    try:
        toolchain.require(*programs)
    except InputError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
