"""Which kinds of instructions an inference executes: the ground of any estimate of its cycles.

QEMU logs every block of instructions that it executes. A block is a straight run of instructions, so that the log is
a count of every instruction of the program, and the disassembly says what each one is.
"""

import re
import tempfile
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinyloc.device import qemu, records, toolchain
from tinyloc.device.qemu import DeviceBuild

Block = tuple[int, int]  # addresses of its first and its last instruction

LOG = "trace.log"
TIMEOUT_S = 120
YOUNGEST = "armv8.1-m.main"  # knows the instructions of all older cores, and Helium

# The first that matches decides; of a mnemonic `ldr.w` what stands before the point. Any may carry a condition.
CONDITION = "eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
KINDS = {
    "block": r"v?(ldm|stm|push|pop)\w*|(ldr|str)d\w*",
    "branch": rf"(b|bx)({CONDITION})?|blx?|cbn?z|tb[bh]|le|letp|[dw]lst?p?",
    "load": r"v?ldr\w*",
    "store": r"v?str\w*",
    "divide": r"[su]div\w*",
    "multiply": r"ml[as]\w*|mul\w*|sm[lmu]\w*|um(aa|la|ul)l\w*",
    "float_divide": r"(vdiv|vsqrt)\w*",
    "float_multiply_add": r"v(n?ml|fn?m)[as]\w*",
    "float": r"v\w+",
}
CLASSES = ("integer", *KINDS, "vector")
"""integer: whatever is not one of KINDS. vector: Helium, which works on four, eight or sixteen numbers at once."""

_HELIUM = re.compile(r"\bq[0-7]\b")
_HELIUM_CONTROL = re.compile(r"vctp|vpst|vpt\w*|vpnot")
_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\t(.*))?$")
_TRANSLATED = re.compile(r"^0x([0-9a-f]+):")


def mix(built: DeviceBuild, record: np.ndarray) -> dict[str, int]:
    """Instructions of one inference by class, and `block_words`: 32-bit words that its block transfers move.

    record: [input_bytes] uint8. The inference is the second of two alike, less what a run of the first alone takes,
    so that the start is no part of it. It does not count what the test bench executes, but for its calls of the model.
    Raises DeviceError: QEMU did not end in time.
    """
    code = disassembly(built.elf)
    addresses = sorted(code)
    found = Counter(dict.fromkeys((*CLASSES, "block_words"), 0))
    times = executed(built, np.stack([record, record]), np.array([True, False]))
    times.subtract(executed(built, record[None], np.array([True])))
    for (first, last), often in times.items():
        # the range alone is QEMU's: its disassembler does not know the youngest instructions, and takes some apart
        for address in addresses[bisect_left(addresses, first) : bisect_right(addresses, last)]:
            name = classify(*code[address])
            found[name] += often
            if name == "block":
                found["block_words"] += often * words_moved(code[address][1])
    return dict(found)


def executed(built: DeviceBuild, inputs: np.ndarray, reset: np.ndarray) -> Counter[Block]:
    """How often each straight run of instructions in the model's code was executed.

    inputs: [N, input_bytes] uint8; reset: [N] bool, as `qemu.run` takes them. Few records do: the log takes about ten
    bytes for every instruction.
    """
    start, size = _text(built)
    options = ("-d", "exec,nochain,in_asm", "-D", LOG, "-dfilter", f"{start:#x}+{size:#x}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.bin").write_bytes(records.pack(inputs, reset, built.emitted.output_bytes))
        qemu.emulate(built, folder, len(inputs), TIMEOUT_S, options)
        with (folder / LOG).open() as log:
            return count(log)


def count(log: Iterable[str]) -> Counter[Block]:
    """Executions of every block in QEMU's log (`exec,nochain,in_asm`).

    A block is listed when it is translated, right before its first execution, and then known by its address on the
    host. An execution that QEMU stops at the block's door is logged and taken back.
    """
    times: Counter[Block] = Counter()
    blocks: dict[str, Block] = {}
    listed: list[int] = []
    for line in log:
        if line.startswith("Trace"):
            host = line.split(maxsplit=3)[2]
            if listed:
                blocks[host], listed = (listed[0], listed[-1]), []
            times[blocks[host]] += 1
        elif line.startswith("Stopped execution"):
            times[blocks[host]] -= 1
        elif found := _TRANSLATED.match(line):
            listed.append(int(found[1], 16))
    return times


def classify(mnemonic: str, operands: str) -> str:
    """The class of an instruction, as objdump writes it."""
    name = mnemonic.split(".")[0]
    if name.startswith("v") and (_HELIUM.search(operands) or _HELIUM_CONTROL.fullmatch(name)):
        return "vector"
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), "integer")


def words_moved(operands: str) -> int:
    """Words of 32 bits that a block transfer moves: `push {r4-r7, lr}` moves five."""
    listed = re.search(r"\{(.*)\}", operands)
    if not listed:
        return 2  # ldrd, strd
    size = 2 if re.search(r"\bd\d", listed[1]) else 1  # d0 is 64 bits wide
    # objdump writes ranges of registers that have numbers alone: `sl` and `fp` stand by themselves
    ends = [[int(n) for n in re.findall(r"\d+", part)] for part in listed[1].split(",")]
    return size * sum(pair[1] - pair[0] + 1 if len(pair) == 2 else 1 for pair in ends)


def disassembly(elf: Path) -> dict[int, tuple[str, str]]:
    """(mnemonic, operands) by address."""
    lines = toolchain.call(toolchain.CROSS_OBJDUMP, ["-d", "-m", YOUNGEST, "--no-show-raw-insn", str(elf)]).splitlines()
    rows = filter(None, map(_LINE.match, lines))
    return {int(row[1], 16): (row[2], row[3] or "") for row in rows}


def _text(built: DeviceBuild) -> tuple[int, int]:
    """Address and size of the section that holds the model's code, its kernels, and what they need of libc."""
    lines = toolchain.call(toolchain.CROSS_SIZE, ["-A", "-d", str(built.elf)]).splitlines()
    return next((int(row[2]), int(row[1])) for row in (line.split() for line in lines) if row[:1] == [".text"])
