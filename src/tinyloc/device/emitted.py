"""What the compiler emitted, as the builds see it: C sources, and the constants of `model.h`."""

import re
from dataclasses import dataclass
from pathlib import Path

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

    @property
    def sources(self) -> list[Path]:
        """The model and its kernels, absolute, in a fixed order."""
        return sorted(self.folder.resolve().glob("*.c"))

    @staticmethod
    def read(folder: Path) -> "Emitted":
        """Raises InputError: the folder is not one that `tinyloc compile` wrote."""
        for name in (HEADER, SOURCE):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name}: no such file; write the folder with tinyloc compile")
        text = (folder / HEADER).read_text(encoding="utf-8")

        def constant(name: str) -> int:
            found = re.search(rf"^#define TINYLOC_{name} (\d+)u?\b", text, re.MULTILINE)
            if not found:
                raise InputError(f"{folder / HEADER}: TINYLOC_{name} is not defined; write it with tinyloc compile")
            return int(found[1])

        return Emitted(
            folder,
            arena_bytes=constant("ARENA_BYTES"),
            state_bytes=constant("STATE_BYTES"),
            input_bytes=constant("INPUT_BYTES"),
            output_bytes=constant("OUTPUT_BYTES"),
            steps=constant("STEPS"),
        )
