"""The packet table: its columns, its schema, and a CSV reader that names line, column and value of what is wrong.

A row is one packet as one gateway heard it. A packet that several gateways heard stands on several rows with the
same `seqno` and the same accelerometer samples. The columns are those of the SHIB release (McConville et al.,
"A dataset for room level indoor localization using a smart home in a box", Data in Brief 22, 2019), with as many
accelerometer samples a packet as there are: five in SHIB, none where the wearable has no accelerometer.
"""

import csv
import difflib
import io
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from tinyloc.errors import InputError
from tinyloc.files import atomic, contents, sha256

WHOLE = ("rssi", "seqno")
TEXT = ("timestamp", "gateway", "true_room", "activity")
SAMPLE = re.compile(r"s([1-9]\d?)[xyz]")
DATE = r"\s*\d{4}-?\d{2}-?\d{2}[T ]\d{2}"  # a day and an hour at least, at the beginning of a time
OFFSET = r":\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"  # from UTC, at the end of a time
EXACT = 2**53  # whole numbers below it are exact in float64, which is what a column with a decimal point becomes
UNKNOWN = "unknown"  # the activity of a packet whose file says none


def acceleration(samples: int) -> tuple[str, ...]:
    """The columns of the accelerometer samples that every packet carries: s1x, s1y, s1z, s2x, …"""
    return tuple(f"s{i}{axis}" for i in range(1, samples + 1) for axis in "xyz")


def columns(samples: int) -> tuple[str, ...]:
    """The columns of a packet table with `samples` accelerometer samples a packet, in their order."""
    return ("timestamp", "rssi", "seqno", *acceleration(samples), "gateway", "true_room", "activity")


def samples(names: Iterable[str]) -> int:
    """The highest number of an accelerometer sample among the names of columns; 0 where there is none."""
    return max((int(match[1]) for match in map(SAMPLE.fullmatch, names) if match), default=0)


SAMPLES_PER_PACKET = 5  # of SHIB
ACCELERATION = acceleration(SAMPLES_PER_PACKET)
COLUMNS = columns(SAMPLES_PER_PACKET)

# Bluetooth Core Specification, Vol 4 Part E, LE Advertising Report: RSSI is -127 … +20 dBm, and 127 "not available".
RSSI_RANGE = (-127, 20)
# the widest range of the accelerometers in wearables; above it the unit is not g
ACCELERATION_RANGE = (-16.0, 16.0)


@dataclass(frozen=True)
class Recording:
    """One uninterrupted use of the wearable by one person; `phase` is calibration, fingerprint or living."""

    name: str
    participant: str
    phase: str
    packets: pd.DataFrame


@dataclass(frozen=True)
class Dataset:
    """Recordings in one home. `origin` is one sentence for a reader: what made these data."""

    name: str
    gateways: tuple[str, ...]
    rooms: tuple[str, ...]
    recordings: tuple[Recording, ...]
    origin: str

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the contents: two data sets with the same packets and names have the same one."""
        parts = [repr((self.name, self.gateways, self.rooms)).encode()]
        for recording in self.recordings:
            parts.append(repr((recording.name, recording.participant, recording.phase)).encode())
            parts.append(pd.util.hash_pandas_object(recording.packets, index=False).to_numpy().tobytes())
        return sha256(*parts)


def schema(
    gateways: Sequence[str] | None = None, rooms: Sequence[str] | None = None, samples: int = SAMPLES_PER_PACKET
) -> pa.DataFrameSchema:
    """What a packet table has to hold; None allows any name. The `error` of each check ends a message to the user."""
    low, high = RSSI_RANGE
    g_low, g_high = ACCELERATION_RANGE
    rssi = pa.Check.between(low, high, error=f"is outside {low} … {high} dBm; leave out packets of unknown RSSI")
    in_g = pa.Check.between(g_low, g_high, error=f"is outside {g_low:g} … {g_high:g}; give it in g")
    forward = pa.Check(lambda time: ~(time.diff() < pd.Timedelta(0)), error="goes backwards")
    return pa.DataFrameSchema(
        {
            "timestamp": pa.Column("datetime64[us]", forward),
            "rssi": pa.Column("int64", rssi),
            "seqno": pa.Column("int64", pa.Check.ge(0, error="is negative; packets are counted from 0")),
            **{column: pa.Column("float64", in_g) for column in acceleration(samples)},
            "gateway": pa.Column(str, _name("gateway", gateways)),
            "true_room": pa.Column(str, _name("room", rooms)),
            "activity": pa.Column(str, _name("activity", None)),
        },
        strict=True,
        ordered=True,
    )


def _name(what: str, known: Sequence[str] | None) -> pa.Check | list[pa.Check]:
    if known is not None:
        return pa.Check.isin(list(known), error=f"is not a known {what}")
    return [
        pa.Check(lambda names: ~names.isin([""]), error=f"is empty; give the name of the {what}"),
        pa.Check(
            lambda names: ~names.isin([name for name in names.unique() if name != _plain(name)]),
            error="begins or ends with a blank or holds a line break; leave that out",
        ),
    ]


def _plain(name: str) -> str:
    """A name as it can stand on a line of its own."""
    return "".join(character for character in name.strip() if character.isprintable())


def read_csv(
    path: Path,
    gateways: Sequence[str] | None = None,
    rooms: Sequence[str] | None = None,
    accelerometer: bool | None = None,
) -> pd.DataFrame:
    """Read one recording; the names of gateways and rooms are checked where the known ones are given.

    Timestamps are ISO 8601; with a UTC offset they become UTC. Columns beyond those of the packet table are left out.
    accelerometer: True requires its columns, False leaves them out, None takes what is there. Without them `seqno` may
    be missing too (each row is then a packet of its own), since it only tells which rows carry the same samples; a
    missing `activity` becomes `unknown`.

    Returns the packet table: timestamp [datetime64[us]], rssi [dBm, int64], seqno [int64], s1x … [g, float64],
    gateway, true_room, activity [str], in the file's order.

    Raises InputError: one line with file, line, column, value and what to do.
    """
    file = _open(path)
    header = _header(file)
    number = samples(header) if accelerometer is not False else 0
    if accelerometer and not number:
        what = f"no accelerometer column (s1x, …); there are {_shown(header)}; use it without (accelerometer: false)"
        raise file.error(what, next(file.records())[1])
    _check_header(file, header, number)
    cells = _parse(file)
    if cells.empty:
        raise file.error("an empty recording: a header and no packets; record again or remove the file")
    given = _completed(cells)
    table = pd.DataFrame({column: _convert(file, given[column]) for column in columns(number)})
    try:
        return schema(gateways, rooms, number).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise _first_failure(file, error, {"gateway": gateways, "true_room": rooms}) from None


def missing(path: Path) -> tuple[str, ...]:
    """The columns that a recording, which `read_csv` has read, does not have."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(record for record in csv.reader(file) if "".join(record).strip())
    return tuple(column for column in columns(max(samples(header), 1)) if column not in header)


def write_csv(path: Path, packets: pd.DataFrame) -> None:
    """Write a packet table so that `read_csv` reads the same again."""
    with atomic(path) as temporary:
        packets.to_csv(temporary, index=False)


# ── the file as text ─────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class _File:
    """A CSV file as text, with line ends as they are on Unix."""

    path: Path
    text: str

    def error(self, what: str, line: int | None = None) -> InputError:
        return InputError(f"{self.path}: " + (f"line {line}: " if line else "") + what)

    def records(self) -> Iterator[tuple[list[str], int]]:
        """Every record that is not blank, with the line on which it ends; the header is the first."""
        reader = csv.reader(io.StringIO(self.text))
        try:
            yield from ((record, reader.line_num) for record in reader if len(record) > 1 or "".join(record).strip())
        except csv.Error:  # a value longer than any value is
            raise self.error("a quote is opened and not closed", reader.line_num) from None

    def cell(self, row: int, column: str) -> tuple[str, int]:
        """What stands in data row `row`, and on which line. Only an error pays for this walk."""
        header = next(self.records())[0]
        record, line = next(itertools.islice(self.records(), row + 1, None))
        at = header.index(column)
        return record[at] if at < len(record) else "", line


MAGIC = {
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"PK\x03\x04": "a zip archive or a spreadsheet; save the table as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
"""How files begin that are taken for CSV by mistake, and what to do."""


def _open(path: Path) -> _File:
    try:
        raw = contents(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path of the recording") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    for magic, what in MAGIC.items():
        if raw.startswith(magic):
            raise InputError(f"{path}: {what}")
    if (zero := raw.find(b"\0")) >= 0:
        line = raw.count(b"\n", 0, zero) + 1
        raise InputError(f"{path}: line {line}: a zero byte; the file is damaged or not CSV, export it again as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: not UTF-8 (byte 0x{raw[error.start]:02x}); save it as UTF-8") from None
    if not text.strip():
        raise InputError(f"{path}: an empty recording: nothing in the file; record again or remove the file")
    return _File(path, text.replace("\r\n", "\n").replace("\r", "\n"))


def _header(file: _File) -> list[str]:
    return next(file.records())[0]


def _check_header(file: _File, header: list[str], number: int) -> None:
    line = next(file.records())[1]
    optional = {"activity"} if number else {"activity", "seqno"}
    for column in columns(number):
        if column not in header and column not in optional:
            near = [name for name in header if name.strip().lower() == column]
            hint = f"; write {near[0]!r} as {column!r}" if near else ""
            hint = "; separate the columns with commas" if len(header) == 1 else hint
            hint = "; begin the file with the names of its columns" if header[0].lstrip().startswith("#") else hint
            if column == "seqno":
                hint += "; without it, leave the accelerometer out (--no-accelerometer, or accelerometer: false)"
            raise file.error(f"no column {column!r}; there are {_shown(header)}{hint}", line)
        if header.count(column) > 1:
            raise file.error(f"the column {column!r} stands there twice; leave one", line)


def _parse(file: _File) -> pd.DataFrame:
    """The cells, row by row; a column of numbers that holds anything else comes back as text."""
    try:
        with warnings.catch_warnings():
            # pandas warns, and drops the last values, when every row is longer than the header
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(file.text),
                dtype=dict.fromkeys(TEXT, str),
                keep_default_na=False,
                index_col=False,
                low_memory=False,
            )
    except (pd.errors.ParserWarning, pd.errors.ParserError):
        raise _misshapen(file) from None


def _misshapen(file: _File) -> InputError:
    """Why pandas could not make a table of the file."""
    records = file.records()
    (header, end), start = next(records), 1
    for record, line in records:
        if len(record) > len(header):
            what = f"{len(record)} values for {len(header)} columns; quote a value that holds a comma"
            return file.error(what, line)
        start, end = end + 1, line
    return file.error("a quote is opened and not closed", start)


# ── the cells ────────────────────────────────────────────────────────────────────────────────────
def _completed(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with the columns that a recording may do without."""
    spare = {"seqno": np.arange(len(cells)), "activity": pd.Series(UNKNOWN, index=cells.index, dtype="str")}
    return cells.assign(**{column: values for column, values in spare.items() if column not in cells})


def _convert(file: _File, cells: pd.Series) -> pd.Series:
    """One column in the type of the packet table."""
    if cells.name == "timestamp":
        return _times(file, cells)
    if cells.name in TEXT:
        return cells
    wanted = {"rssi": "give whole dBm, such as -71", "seqno": "give the packet's number"}.get(
        cells.name, "give it in g"
    )
    # pandas reads True and False as what they are, and would count them as 1 and 0
    number = pd.to_numeric(cells.astype(str) if cells.dtype == bool else cells, errors="coerce")
    _refuse(file, cells, ~np.isfinite(number.astype("float64")), f"is not a number; {wanted}")
    if cells.name not in WHOLE:
        return number.astype("float64")
    if number.dtype == "int64":
        return number  # by way of float64, long ones would lose their last digits
    _refuse(file, cells, number != np.floor(number), f"is not a whole number; {wanted}")
    _refuse(file, cells, abs(number.astype("float64")) >= EXACT, f"has too many digits; {wanted}")
    return number.astype("int64")


def _times(file: _File, cells: pd.Series) -> pd.Series:
    """UTC of times with an offset, all of them; those without stay what they are."""
    try:
        time = pd.to_datetime(cells, format="ISO8601", errors="coerce")
    except ValueError:  # several offsets, or some times without
        time = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
        _refuse(file, cells, ~cells.str.contains(OFFSET) & time.notna(), "has no UTC offset, as others have; give it")
    # pandas takes 1000 for a year
    _refuse(file, cells, time.isna() | ~cells.str.match(DATE), "is not a time; write it as 2017-08-07 13:09:34.524300")
    return (time if time.dt.tz is None else time.dt.tz_convert(None)).astype("datetime64[us]")


def _refuse(file: _File, cells: pd.Series, bad: pd.Series, why: str) -> None:
    if bad.any():
        value, line = file.cell(int(np.flatnonzero(bad)[0]), cells.name)
        raise file.error(f"{cells.name}: {_quoted(value)} {why}", line)


def _first_failure(file: _File, error: pa.errors.SchemaErrors, known: dict[str, Sequence[str] | None]) -> InputError:
    """What the schema says of the first row that it refuses."""
    case = error.failure_cases.sort_values("index", kind="stable").iloc[0]
    row, column, why = int(case["index"]), case["column"], case["check"]
    value, line = file.cell(row, column)
    if column == "timestamp":
        why += f": the packet before has {_quoted(file.cell(row - 1, column)[0])}; sort the file by time"
    if known.get(column) is not None:
        near = difflib.get_close_matches(value, known[column], n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        why += f"; {guess}known are {', '.join(known[column])}"
    return file.error(f"{column}: {_quoted(value)} {why}", line)


def _shown(header: list[str]) -> str:
    return ", ".join(_quoted(name)[1:-1] for name in header)


def _quoted(value: str) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…'"
