"""The residential recordings of the study's authors: four houses, wrist wearable, floor tags as ground truth.

D. Byrne, M. Kozlowski, R. Santos-Rodriguez, R. Piechocki, I. Craddock, "Residential wearable RSSI and accelerometer
measurements with detailed location annotations", Scientific Data 5:180168 (2018). A house has metadata (which tag lies
in which room) and experiments: a scripted walk over every tag (`fingerprint_floor`) and free living (`living*`), each
with three streams of its own clock – RSSI, accelerometer, tags – that are brought together here:

- Room: that of the last tag that was annotated. Packets before the first and after the last annotation have no known
  room and are left out.
- Acceleration: five samples in a row are a block, as in a SHIB packet, and the block's number stands for the packet's.
  A row of RSSI carries the newest block that was complete; rows before the first block are left out.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.config import ResidentialData
from tinyloc.data.packets import (
    ACCELERATION,
    ACCELERATION_RANGE,
    COLUMNS,
    RSSI_RANGE,
    SAMPLES_PER_PACKET,
    UNKNOWN,
    Dataset,
    Recording,
    schema,
)
from tinyloc.errors import InputError

FOLDER = "ble-accelerometer-indoor-localisation-measurements"
HOUSES = ("A", "B", "C", "D")
METADATA = ("ap_coordinates", "room_names", "room_tags", "act_desc")
EXPERIMENT = ("rx_wearable_data", "accelerometer_filtered", "tag_annotations", "activity_annotation_times")
WALK = "fingerprint_floor"


def load(name: str, root: Path, config: ResidentialData) -> Dataset:
    """One house. root: the folder that holds `house_A` … `house_D`.

    Gateways are `ap<id>`; rooms have the names of the metadata. Rows are sorted by time.

    Raises InputError: a file is missing, or differs from the published layout.
    """
    house = root / f"house_{config.house}"
    metadata, experiments = house / "metadata", house / "experiments"
    gateways = {number: f"ap{number}" for number in _entries(metadata / "ap_coordinates.dat")}
    rooms = {number: row[0] for number, row in _entries(metadata / "room_names.dat").items()}
    tags = _room_of_tag(metadata / "room_tags.dat", rooms)
    activities = {number: row[0] for number, row in _entries(metadata / "act_desc.dat").items()}
    folders = [experiments / WALK, *sorted(path for path in experiments.glob("living*") if path.is_dir())]
    if len(folders) == 1:
        raise InputError(f"{experiments}: no folder living*; unpack the archive again")
    recordings = tuple(_recording(folder, gateways, tags, activities) for folder in folders)
    return Dataset(
        name=name,
        gateways=tuple(gateways.values()),
        rooms=tuple(dict.fromkeys(rooms.values())),
        recordings=recordings,
        origin=f"Real packets: house {config.house} of the residential recordings of Byrne et al. (2018), "
        f"a walk over floor tags and {len(folders) - 1} of free living.",
    )


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────
def _entries(path: Path) -> dict[int, list[str]]:
    """A metadata file: id -> the other fields. A first row whose first field is no integer is a header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [(i, row) for i, row in enumerate(csv.reader(file, skipinitialspace=True), 1) if any(row)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; unpack the archive again") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); unpack the archive again") from None
    if lines and not _is_integer(lines[0][1][0]):
        del lines[0]
    if not lines:
        raise InputError(f"{path}: no entries; unpack the archive again")
    entries = {}
    for line, (first, *rest) in lines:
        if not _is_integer(first):
            raise InputError(f"{path}: line {line}: id: {first!r} is not a whole number")
        fields = [field.strip() for field in rest if field.strip()]
        if not fields:
            raise InputError(f"{path}: line {line}: nothing after the id {first.strip()}")
        if int(first) in entries:
            raise InputError(f"{path}: line {line}: id: {first.strip()} stands there twice")
        entries[int(first)] = fields
    return entries


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("-").isdecimal()


def _room_of_tag(path: Path, rooms: Mapping[int, str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for room, tags in _entries(path).items():
        if room not in rooms:
            raise InputError(f"{path}: room {room} has no name in room_names.dat")
        for tag in tags:
            if not _is_integer(tag):
                raise InputError(f"{path}: room {room}: tag: {tag!r} is not a whole number")
            if found.setdefault(int(tag), rooms[room]) != rooms[room]:
                raise InputError(f"{path}: tag {tag} lies in {found[int(tag)]!r} and in {rooms[room]!r}")
    return found


# ── one experiment ───────────────────────────────────────────────────────────────────────────────
def _recording(
    folder: Path, gateways: Mapping[int, str], tags: Mapping[int, str], activities: Mapping[int, str]
) -> Recording:
    rssi = _table(folder / "rx_wearable_data.dat", {"timestamp": 0, "ap_id": 1, "rssi": 3})
    moved = _table(folder / "accelerometer_filtered.dat", {"timestamp": 0, "x": 4, "y": 5, "z": 6})
    annotated = _table(folder / "tag_annotations.dat", {"timestamp": 0, "tag_id": 2})
    heard, heard_at = rssi.by_time()
    block, block_at = _blocks(moved)
    mark, mark_at = annotated.by_time()
    newest = np.searchsorted(block_at, heard_at, side="right") - 1
    last = np.searchsorted(mark_at, heard_at, side="right") - 1
    known = (newest >= 0) & (last >= 0) & (heard_at <= mark_at[-1])
    if not known.any():
        raise InputError(f"{folder}: no packet between the first and the last tag annotation; unpack the archive again")
    room = annotated.names("tag_id", tags)[mark]
    felt = dict(zip(ACCELERATION, block[newest[known]].T, strict=True))
    table = pd.DataFrame(
        {
            "timestamp": heard_at[known],
            "rssi": rssi.numbers("rssi", RSSI_RANGE, whole=True)[heard][known].astype(np.int64),
            "seqno": newest[known],
            **felt,
            "gateway": rssi.names("ap_id", gateways)[heard][known],
            "true_room": room[last[known]],
            "activity": _activity(folder / "activity_annotation_times.dat", heard_at[known], activities),
        }
    )[list(COLUMNS)]
    phase = "fingerprint" if folder.name == WALK else "living"
    packets = schema(tuple(gateways.values()), tuple(set(tags.values()))).validate(table)
    return Recording(folder.name, folder.name, phase, packets)


def _blocks(moved: "_Table") -> tuple[np.ndarray, np.ndarray]:
    """Five samples each [n, 15] in g, and when the last of them was there [n]."""
    order, time = moved.by_time()
    samples = np.stack([moved.numbers(axis, ACCELERATION_RANGE) for axis in "xyz"], axis=1)[order]
    n = len(samples) // SAMPLES_PER_PACKET
    whole = n * SAMPLES_PER_PACKET
    return samples[:whole].reshape(n, -1), time[:whole].reshape(n, SAMPLES_PER_PACKET)[:, -1]


def _activity(path: Path, time: np.ndarray, activities: Mapping[int, str]) -> np.ndarray:
    """What was annotated at each time [P]: of intervals that overlap, the one that began last."""
    table = _table(path, {"timestamp_start": 0, "timestamp_end": 1, "activity_tag": 2}, may_be_empty=True)
    order, start = table.by_time("timestamp_start")
    end, name = table.times("timestamp_end")[order], table.names("activity_tag", activities)[order]
    activity = np.full(len(time), UNKNOWN, dtype=object)
    for begins, ends, what in zip(start, end, name, strict=True):
        activity[(time >= begins) & (time <= ends)] = what
    return activity


# ── a file of an experiment ──────────────────────────────────────────────────────────────────────
class _Table:
    """Some columns of a `.dat` file as text, which know how to say where they are wrong."""

    def __init__(self, path: Path, cells: pd.DataFrame) -> None:
        self._path = path
        self._cells = cells

    def by_time(self, column: str = "timestamp") -> tuple[np.ndarray, np.ndarray]:
        """Order of the rows by time [n], and the times in that order [n] datetime64[us]."""
        time = self.times(column)
        order = np.argsort(time, kind="stable")
        return order, time[order]

    def times(self, column: str) -> np.ndarray:
        time = pd.to_datetime(self._cells[column], format="ISO8601", errors="coerce", utc=True)
        self._refuse(column, time.isna().to_numpy(), "is not an ISO time")
        return time.dt.tz_localize(None).to_numpy("datetime64[us]")

    def numbers(self, column: str, between: tuple[float, float], whole: bool = False) -> np.ndarray:
        number = pd.to_numeric(self._cells[column], errors="coerce").to_numpy(np.float64)
        self._refuse(column, ~np.isfinite(number), "is not a number")
        if whole:
            self._refuse(column, number != np.floor(number), "is not a whole number")
        low, high = between
        self._refuse(column, (number < low) | (number > high), f"is outside {low:g} … {high:g}")
        return number

    def names(self, column: str, known: Mapping[int, str]) -> np.ndarray:
        number = pd.to_numeric(self._cells[column], errors="coerce")
        name = number.map(known)
        self._refuse(column, name.isna().to_numpy(), "is not in the metadata of the house")
        return name.to_numpy(object)

    def _refuse(self, column: str, bad: np.ndarray, why: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            with self._path.open(encoding="utf-8-sig") as file:
                filled = [line for line, text in enumerate(file, 1) if text.strip()]
            raise InputError(f"{self._path}: line {filled[row + 1]}: {column}: {self._cells[column].iloc[row]!r} {why}")


def _table(path: Path, positions: Mapping[str, int], may_be_empty: bool = False) -> _Table:
    """The columns at `positions` of a file with one header row."""
    try:
        cells = pd.read_csv(
            path,
            header=None,
            skiprows=1,
            usecols=list(positions.values()),
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; unpack the archive again") from None
    except pd.errors.EmptyDataError:
        cells = pd.DataFrame(columns=list(positions.values()), dtype=str)
    except (ValueError, pd.errors.ParserError) as error:
        wanted = ", ".join(f"{name} at {at}" for name, at in positions.items())
        raise InputError(f"{path}: not the published columns ({wanted}): {' '.join(str(error).split())}") from None
    if cells.empty and not may_be_empty:
        raise InputError(f"{path}: a header and no rows; unpack the archive again")
    return _Table(path, cells.rename(columns={at: name for name, at in positions.items()}).fillna(""))
