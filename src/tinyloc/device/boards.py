"""The boards that QEMU plays. What else a board is made of lies in `firmware/boards/<name>/`."""

from dataclasses import dataclass

from tinyloc.aot.cores import CORES
from tinyloc.errors import InputError


@dataclass(frozen=True)
class Board:
    name: str  # also the folder in firmware/boards, and QEMU's machine
    core: str  # for people
    flags: tuple[str, ...]  # of the cross compiler
    mpu: str  # the source in firmware/boards for this core's memory protection
    ram_bytes: int  # what the board has; a device to be played may have less
    ram_granule: int = 128  # the MPU can end the RAM at multiples of this, bytes


BOARDS = {
    board.name: board
    for board in (
        Board("mps2-an386", "Cortex-M4F", CORES["cortex-m4f"], "mpu_v7m.c", ram_bytes=4 << 20),
        Board("mps2-an500", "Cortex-M7", CORES["cortex-m7"], "mpu_v7m.c", ram_bytes=4 << 20),
        Board("mps3-an547", "Cortex-M55", CORES["cortex-m55"], "mpu_v8m.c", ram_bytes=512 << 10),
    )
}


def find(name: str, ram: int) -> Board:
    """The board of that name, able to play a device with `ram` bytes of RAM.

    Raises InputError: there is no such board, or it cannot have that RAM.
    """
    if name not in BOARDS:
        raise InputError(f"board {name!r}: there is no such board; there are {', '.join(BOARDS)}")
    board = BOARDS[name]
    if not 0 < ram <= board.ram_bytes or ram % board.ram_granule:
        raise InputError(
            f"{name}: {ram} B of RAM; give a multiple of {board.ram_granule} B, at most {board.ram_bytes} B"
        )
    return board
