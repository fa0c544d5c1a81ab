"""Steps on disk, and a cheap way to tell that the data behind them changed."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from tinyloc.config import CsvData, Data, ShibData
from tinyloc.data import shib
from tinyloc.data.features import Steps
from tinyloc.data.sources import find_shib
from tinyloc.files import atomic


def write_steps(path: Path, recordings: Sequence[Steps]) -> None:
    """All recordings in one `.npz`, in their order."""
    arrays = {f"{i}/{f.name}": np.asarray(getattr(s, f.name)) for i, s in enumerate(recordings) for f in fields(Steps)}
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_steps(path: Path) -> list[Steps]:
    """What `write_steps` wrote."""
    with np.load(path) as arrays:
        count = len({name.split("/")[0] for name in arrays.files})
        stored = [{f.name: arrays[f"{i}/{f.name}"] for f in fields(Steps)} for i in range(count)]
    return [Steps(**{name: a if a.ndim else str(a) for name, a in one.items()}) for one in stored]


def stamp(data: Data) -> list[tuple[str, int, int]]:
    """Name, size in bytes and time of change in ns of every file behind a data set; nothing for a simulated one."""
    files: Sequence[Path] = ()
    if isinstance(data, ShibData) and (folder := find_shib()):
        files = shib.sessions(folder)
    if isinstance(data, CsvData):
        files = sorted(data.folder.glob("*.csv"))
    return [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
