"""Where data come from: simulated houses, public recordings wherever they lie, anyone's own CSV files, arrays.

`load` gives packets; `binned` gives steps, which is all that arrays have.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tinyloc.config import CsvData, Data, Features, HouseData, LomappData, ResidentialData, ShibData
from tinyloc.data import lomapp, residential, shib, simulate
from tinyloc.data.features import Steps, all_steps
from tinyloc.data.packets import Dataset, Recording, read_csv
from tinyloc.errors import InputError
from tinyloc.files import REPOSITORY

VARIABLE = "TINYLOC_DATA"
FOLDERS = ("data", "../shared/data")


@dataclass(frozen=True)
class Binned:
    """A data set as steps. `dataset` holds the packets behind them, and is None for data that come as arrays."""

    steps: list[Steps]
    gateways: tuple[str, ...]
    rooms: tuple[str, ...]
    origin: str
    fingerprint: str
    dataset: Dataset | None


def binned(name: str, config: Data, features: Features) -> Binned:
    """The steps of the data set that a configuration describes.

    Raises InputError: the data are not there (the line says where they were looked for), or are not as they should be.
    """
    if isinstance(config, LomappData):
        _require(name, config)
        steps, gateways, rooms, fingerprint = lomapp.load(config, features)
        origin = "Real windows: LoMAPP, people with Parkinson's disease and without, given by the reader."
        return Binned(steps, gateways, rooms, origin, fingerprint, None)
    return of_packets(load(name, config), features)


def of_packets(dataset: Dataset, features: Features) -> Binned:
    steps = all_steps(dataset, features)
    return Binned(steps, dataset.gateways, dataset.rooms, dataset.origin, dataset.fingerprint, dataset)


def load(name: str, config: Data) -> Dataset:
    """The packets of the data set that a configuration describes.

    Raises InputError: as `binned`, and for data that hold no packets.
    """
    _require(name, config)
    if isinstance(config, HouseData):
        return simulate.simulate(name, config)
    if isinstance(config, ShibData):
        return shib.load(name, find_shib(), config)
    if isinstance(config, ResidentialData):
        return residential.load(name, find_residential(), config)
    if isinstance(config, CsvData):
        return _load_folder(name, config)
    raise InputError(f"datasets.{name}: data of kind {config.kind} come as windows and hold no packets")


def _require(name: str, config: Data) -> None:
    if missing := why_missing(config):
        raise InputError(f"datasets.{name}: {missing}")


def why_missing(config: Data) -> str | None:
    """One sentence that says why these data cannot be loaded and where they were looked for; None where they can."""
    if isinstance(config, ShibData):
        folder = find_shib()
        if folder is None:
            return f"the SHIB recordings were not found (looked in {', '.join(_places())}); see data/README.md"
        if config.protocol == "fingerprint-to-living" and shib.free_living(folder) is None:
            return f"SHIB's {shib.FREE_LIVING} was not found beside its sessions; see data/README.md"
    if isinstance(config, ResidentialData) and find_residential() is None:
        return f"the residential recordings were not found (looked in {', '.join(_places())}); see data/README.md"
    if isinstance(config, CsvData | LomappData) and not config.folder.is_dir():
        what = "CSV files of packets" if isinstance(config, CsvData) else "the folders PD and C"
        return f"{config.folder}: no such folder; `folder` has to hold {what}"
    return None


def files(config: Data) -> Sequence[Path]:
    """Every file behind a data set that is here; nothing for a simulated one."""
    if isinstance(config, ShibData) and (folder := find_shib()):
        return shib.files(folder, config)
    if isinstance(config, ResidentialData) and (root := find_residential()):
        return sorted((root / f"house_{config.house}").rglob("*.dat"))
    if isinstance(config, CsvData):
        return recordings_in(config.folder, config.files)
    if isinstance(config, LomappData):
        return [path for path in lomapp.files(config) if path.is_file()]
    return ()


def recordings_in(folder: Path, pattern: str = "*.csv") -> list[Path]:
    """The files of a folder that a pattern names, in capitals or not: Windows writes `.CSV`, too.

    Hidden ones are none: half-written files of ours begin with a dot, and what macOS keeps beside a file.
    """
    letters = (f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else c for c in pattern)
    # inside brackets of the user's own, more of them would mean something else
    found = folder.glob(pattern if "[" in pattern else "".join(letters))
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def find_shib() -> Path | None:
    """The folder with SHIB's session files: in $TINYLOC_DATA, then data/, then ../shared/data; None where in none.

    Raises InputError: $TINYLOC_DATA names no folder, since going on to other places would hide the slip.
    """
    for root in _roots():
        for folder in (root / "shib" / "calibration", root / "calibration", root):
            if shib.sessions(folder):
                return folder
    return None


def find_residential() -> Path | None:
    """The folder with `house_A` … of the study's authors, looked for where `find_shib` looks; None where in none."""
    for root in _roots():
        for folder in (root / "sphere" / residential.FOLDER, root / residential.FOLDER, root):
            if (folder / "house_A").is_dir():
                return folder
    return None


def home() -> Path:
    """Where downloads go: `data/` of the repository, of the working directory for an installed library."""
    return (REPOSITORY if (REPOSITORY / "pyproject.toml").is_file() else Path.cwd()) / "data"


def _roots() -> list[Path]:
    roots = []
    if os.environ.get(VARIABLE):
        roots.append(Path(os.environ[VARIABLE]).expanduser())
        if not roots[0].is_dir():
            raise InputError(f"{VARIABLE}={roots[0]}: no such folder; set it to a folder of data, or unset it")
    # an installed library has no repository around it
    bases = [Path.cwd()] + ([REPOSITORY] if (REPOSITORY / "pyproject.toml").is_file() else [])
    return roots + [(base / folder).resolve() for folder in FOLDERS for base in bases]


def _places() -> list[str]:
    variable = f"${VARIABLE}" if os.environ.get(VARIABLE) else f"${VARIABLE} (not set)"
    return [variable, *(f"{folder}/" for folder in FOLDERS)]


def _load_folder(name: str, config: CsvData) -> Dataset:
    """Every file of a folder that `files` names: one a recording, by a participant of the first part of its name."""
    paths = files(config)
    if not paths:
        raise InputError(
            f"{config.folder}: no CSV file there ({config.files}); put one file a recording, called "
            "participant-number.csv"
        )
    recordings = tuple(_own(path, config) for path in paths)
    require_alike(paths, [recording.packets for recording in recordings])
    return Dataset(
        name=name,
        gateways=tuple(config.gateways),
        rooms=tuple(config.rooms),
        recordings=recordings,
        origin=f"Packets from {len(paths)} CSV file{'s' * (len(paths) > 1)} in {config.folder.resolve().name}/, "
        "given by the reader.",
    )


def _own(path: Path, config: CsvData) -> Recording:
    packets = read_csv(path, config.gateways, config.rooms, config.accelerometer)
    return Recording(recording_name(path, config.folder), participant(path), "calibration", packets)


def recording_name(path: Path, folder: Path) -> str:
    """A file's path below the data's folder, without its suffix: two days' folders may hold files of one name.

    Raises InputError: the name holds a line break or the like.
    """
    name = path.relative_to(folder).with_suffix("").as_posix()
    if not name.isprintable():
        raise InputError(f"{str(path)!r}: a line break or the like in a file's name; rename it")
    return name


def require_alike(paths: Sequence[Path], packets: Sequence[pd.DataFrame]) -> None:
    """Raises InputError: the packets of one file carry other accelerometer samples than those of the first."""
    for path, table in zip(paths, packets, strict=True):
        if len(table.columns) != len(packets[0].columns):
            raise InputError(
                f"{path}: other accelerometer columns than {paths[0].name}; a data set needs the same in all"
            )


def participant(path: Path) -> str:
    """Whose recording a file is: its name up to the first `-`."""
    return path.stem.split("-")[0] or path.stem  # a name that begins with it is all there is
