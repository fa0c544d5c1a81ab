"""Steps and packets on disk, and how to tell that the data behind them changed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from tinyloc.config import Data
from tinyloc.data import sources
from tinyloc.data.features import Steps
from tinyloc.data.packets import Dataset, Recording, samples, schema
from tinyloc.errors import InputError
from tinyloc.files import atomic

ABOUT = b"tinyloc"  # the key of a packets file's metadata


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


def write_packets(path: Path, dataset: Dataset) -> None:
    """The packets of a data set as one Parquet file: the columns of a packet table, and `recording`, a number.

    What no row says (names, participants, phases, origin) is JSON in the file's metadata.
    """
    import pyarrow
    import pyarrow.parquet

    recordings = dataset.recordings
    about = {
        "name": dataset.name,
        "gateways": dataset.gateways,
        "rooms": dataset.rooms,
        "origin": dataset.origin,
        "recordings": [[r.name, r.participant, r.phase, len(r.packets)] for r in recordings],
    }
    table = pd.concat([r.packets for r in recordings], ignore_index=True)
    table.insert(0, "recording", np.repeat(np.arange(len(recordings)), [len(r.packets) for r in recordings]))
    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), ABOUT: json.dumps(about).encode()})
    with atomic(path) as temporary:
        pyarrow.parquet.write_table(arrow, temporary, compression="zstd")


def read_packets(path: Path) -> Dataset:
    """What `write_packets` wrote, held against the schema of a packet table.

    Raises InputError: no such file, or not one of packets.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        arrow = pyarrow.parquet.read_table(path)
        about = json.loads(arrow.schema.metadata[ABOUT])
        table = arrow.to_pandas().drop(columns="recording")
        ends = np.cumsum([count for *_, count in about["recordings"]])
        recordings = tuple(
            Recording(name, participant, phase, _valid(path, table.iloc[end - count : end], about))
            for end, (name, participant, phase, count) in zip(ends, about["recordings"], strict=True)
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of packets") from None
    except (pyarrow.ArrowException, OSError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a file of packets ({' '.join(str(error).split())}); prepare it again") from None
    return Dataset(about["name"], tuple(about["gateways"]), tuple(about["rooms"]), recordings, about["origin"])


def _valid(path: Path, packets: pd.DataFrame, about: dict) -> pd.DataFrame:
    """One recording's rows, numbered from 0."""
    try:
        known = schema(about["gateways"], about["rooms"], samples(packets.columns))
        return known.validate(packets, lazy=True).reset_index(drop=True)
    except pa.errors.SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        what = f"row {case['index']}: {case['column']}: {str(case['failure_case'])!r} {case['check']}"
        raise InputError(f"{path}: {what}; prepare it again") from None


def stamp(data: Data) -> list[tuple[str, str]]:
    """Name and SHA-256 of every file behind a data set; nothing for a simulated one.

    No times of change: a copy or another download of the same files is the same data, to the workflow as well.
    """
    return [(f.name, _digest(f.absolute(), f.stat().st_size, f.stat().st_mtime_ns)) for f in sources.files(data)]


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """Of the contents, read once a process while size and time of change stay; of what cannot be read, none: whoever
    loads it says why."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
