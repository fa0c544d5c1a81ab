"""What the compiler emitted, as the builds see it: C sources, and the constants of `model.h`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyloc.aot.chain import CONFIG
from tinyloc.errors import InputError

HEADER, SOURCE = "model.h", "model.c"


@dataclass(frozen=True)
class Emitted:
    folder: Path
    arena_bytes: int
    state_bytes: int
    input_bytes: int  # of one inference, all inputs together, without the states
    output_bytes: int
    steps: int  # kernel calls and copies
    chain: bool = False  # with the chain from packets to rooms; a record is then an offer of a packet

    @property
    def sources(self) -> list[Path]:
        """The model and its kernels, absolute, in a fixed order."""
        return sorted(self.folder.resolve().glob("*.c"))

    @property
    def work(self) -> str:
        """The source in firmware/runner that tells the runner what to do with a record."""
        return "work_chain.c" if self.chain else "work_model.c"

    @staticmethod
    def read(folder: Path) -> "Emitted":
        """Raises InputError: the folder is not one that `tinyloc compile` wrote."""
        for name in (HEADER, SOURCE):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: no such file; write the folder with tinyloc compile")
        constant = _constants(folder / HEADER, "TINYLOC_")
        chain = (folder / CONFIG).is_file()
        of_chain = _constants(folder / CONFIG, "CHAIN_") if chain else None
        return Emitted(
            folder,
            arena_bytes=constant("ARENA_BYTES"),
            state_bytes=constant("STATE_BYTES"),
            input_bytes=of_chain("OFFER_BYTES") if chain else constant("INPUT_BYTES"),
            output_bytes=of_chain("ANSWER_BYTES") if chain else constant("OUTPUT_BYTES"),
            steps=constant("STEPS"),
            chain=chain,
        )


def _constants(header: Path, prefix: str) -> Callable[[str], int]:
    text = header.read_text(encoding="utf-8")

    def constant(name: str) -> int:
        found = re.search(rf"^#define {prefix}{name} (\d+)u?\b", text, re.MULTILINE)
        if not found:
            raise InputError(f"{header}: {prefix}{name} is not defined; write it with tinyloc compile")
        return int(found[1])

    return constant
