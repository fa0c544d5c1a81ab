"""Where data come from: the simulated house, the SHIB recordings wherever they lie, anyone's own CSV files."""

import os
from pathlib import Path

from tinyloc.config import CsvData, Data, HouseData, ShibData
from tinyloc.data import shib, simulate
from tinyloc.data.packets import Dataset, Recording, read_csv
from tinyloc.errors import InputError
from tinyloc.files import REPOSITORY

VARIABLE = "TINYLOC_DATA"
FOLDERS = ("data", "../shared/data")


def load(name: str, config: Data) -> Dataset:
    """The data set that a configuration describes.

    Raises InputError: the data are not there (the line says where they were looked for), or are not as they should be.
    """
    missing = why_missing(config)
    if missing:
        raise InputError(f"datasets.{name}: {missing}")
    if isinstance(config, HouseData):
        return simulate.simulate(name, config)
    if isinstance(config, ShibData):
        return shib.load(name, find_shib(), config)
    return _load_folder(name, config)


def why_missing(config: Data) -> str | None:
    """One sentence that says why these data cannot be loaded and where they were looked for; None where they can."""
    if isinstance(config, ShibData) and find_shib() is None:
        return f"the SHIB recordings were not found (looked in {', '.join(_places())}); see data/README.md"
    if isinstance(config, CsvData) and not config.folder.is_dir():
        return f"{config.folder}: no such folder; `folder` has to hold CSV files of packets"
    return None


def find_shib() -> Path | None:
    """The folder with SHIB's session files: in $TINYLOC_DATA, then data/, then ../shared/data; None where in none.

    Raises InputError: $TINYLOC_DATA names no folder, since going on to other places would hide the slip.
    """
    for root in _roots():
        for folder in (root / "shib" / "calibration", root / "calibration", root):
            if shib.sessions(folder):
                return folder
    return None


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
    """Every CSV file of a folder: one file a recording, the participant is the file's name up to the first `-`."""
    files = sorted(config.folder.glob("*.csv"))
    if not files:
        raise InputError(f"{config.folder}: no CSV file there; put one file a recording, called participant-number.csv")
    recordings = tuple(
        Recording(path.stem, path.stem.split("-")[0], "calibration", read_csv(path, config.gateways, config.rooms))
        for path in files
    )
    return Dataset(
        name=name,
        gateways=tuple(config.gateways),
        rooms=tuple(config.rooms),
        recordings=recordings,
        origin=f"Packets from {len(files)} CSV files in {config.folder.name}/, given by the reader.",
    )
