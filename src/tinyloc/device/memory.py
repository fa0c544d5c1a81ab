"""What a linked model takes of the device: flash by section and RAM by part."""

from tinyloc.device import toolchain
from tinyloc.device.qemu import DeviceBuild

# names of the report -> output sections of firmware/boards/sections.ld
FLASH = {
    "startup": ".startup",  # vectors, reset, memory protection
    "text": ".text",  # the model's code, its kernels, and what they need of libc
    "rodata": ".rodata",  # constants of kernels and libc
    "model": ".weights",  # constants of model.c: weights, biases, multipliers, tables
    "data": ".data",  # initial values, copied to RAM at the start
}
HARNESS = ".harness"  # the test bench's code: in the image, not in the device


def flash(built: DeviceBuild) -> dict[str, int]:
    """Bytes by section; `total` is the device's own, `harness` (runner, semihosting, counting) comes on top."""
    sections = _sections(built)
    parts = {part: sections.get(section, 0) for part, section in FLASH.items()}
    return {**parts, "total": sum(parts.values()), "harness": sections.get(HARNESS, 0)}


def ram(built: DeviceBuild, stack_high_water: int) -> dict[str, int]:
    """Bytes by part; `static` is all static data but the arena and the state, `total` counts the stack as used."""
    sections = _sections(built)
    data = sections.get(".data", 0) + sections.get(".bss", 0)
    arena, state = built.emitted.arena_bytes, built.emitted.state_bytes
    return {
        "arena": arena,
        "state": state,
        "static": data - arena - state,
        "stack_high_water": stack_high_water,
        "stack_reserved": built.stack,
        "total": data + stack_high_water,
    }


def _sections(built: DeviceBuild) -> dict[str, int]:
    """Size of every output section."""
    lines = toolchain.call(toolchain.CROSS_SIZE, ["-A", "-d", str(built.elf)]).splitlines()
    rows = (line.split() for line in lines)
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdecimal()}
