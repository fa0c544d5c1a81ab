"""C of firmware/chain that decides step after step, compiled for this machine, for the tests to call."""

import ctypes
from pathlib import Path

import numpy as np


class OnlineChain:
    """The C of one number of rooms and one lag."""

    def __init__(self, library: Path, rooms: int, lag: int):
        self.library = ctypes.CDLL(str(library))
        self.rooms, self.lag = rooms, lag

    def set(self, energies: dict[str, np.ndarray]) -> None:
        """Write the C arrays of these names, as float32, and begin anew."""
        for name, values in energies.items():
            place = (ctypes.c_float * values.size).in_dll(self.library, name)
            ctypes.memmove(place, values.astype(np.float32).tobytes(), 4 * values.size)
        self.library.tl_online_begin()

    def push(self, scores: np.ndarray) -> int:
        """The room that the scores [R] of the next step decide, or NO_ROOM."""
        self.library.tl_online_push(scores.tobytes())
        return self.library.tl_online_room()

    def finish(self) -> list[int]:
        """The rooms of the last `lag` steps."""
        due = np.full(self.lag, 99, np.int32)
        if self.lag:
            self.library.tl_online_finish(due.ctypes.data_as(ctypes.c_void_p))
        return due.tolist()
