"""The processors that the emitted C is meant for, and how to compile it for them.

The sources are the same for all: the kernels choose their forms by what the compiler says of the processor
(`__ARM_FEATURE_DSP`, `__ARM_FEATURE_SAT`, `__ARM_FEATURE_MVE`, `__SOFTFP__`).
"""

from tinyloc.errors import InputError

CORES = {
    "generic": (),
    "cortex-m4f": ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "cortex-m7": ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
    "cortex-m55": ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
}
"""Flags of GCC by core."""

# No fused multiply-add but where a kernel says so, which is how host and target agree; and no errno, which nobody
# reads: sqrtf is then the FPU's instruction, and the 1 KB of RAM that newlib keeps for errno stays out of the image.
ARITHMETIC = ("-O2", "-ffp-contract=off", "-fno-math-errno")


def flags(core: str) -> tuple[str, ...]:
    """What to compile the emitted sources with.

    Raises InputError: there is no such core.
    """
    if core not in CORES:
        raise InputError(f"core {core!r}: there is no such core; there are {', '.join(CORES)}")
    return ("-std=c99", *ARITHMETIC, *CORES[core])
