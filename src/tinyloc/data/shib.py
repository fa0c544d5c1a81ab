"""The SHIB calibration recordings: real packets of a wrist wearable in a home with four gateways.

R. McConville, D. Byrne, I. Craddock, R. Piechocki, J. Pope, R. Santos-Rodriguez, "A dataset for room level indoor
localization using a smart home in a box", Data in Brief 22 (2019). Files are `P-S.csv`: participant P, session S.
"""

import hashlib
import re
from pathlib import Path

from tinyloc.config import ShibData
from tinyloc.data.packets import Dataset, Recording, read_csv
from tinyloc.errors import InputError

SESSION = re.compile(r"(\d+)-(\d+)\.csv")


def sessions(folder: Path) -> list[Path]:
    """The session files of a folder, by participant and session."""
    named = [(SESSION.fullmatch(path.name), path) for path in folder.glob("*.csv")]
    return [path for _, path in sorted(((int(m[1]), int(m[2])), path) for m, path in named if m)]


def load(name: str, folder: Path, config: ShibData) -> Dataset:
    """Every session of `folder`, one recording each.

    Raises InputError: no session there, a file that is not a packet table, or one that differs from the published.
    """
    files = sessions(folder)
    if not files:
        raise InputError(f"{folder}: no session files; SHIB's are called 1-1.csv, 1-2.csv, … (participant-session)")
    recordings = []
    published = _published(folder)
    for path in files:
        packets = read_csv(path, config.gateways, config.rooms)
        _verify(path, published)
        recordings.append(Recording(path.stem, path.stem.split("-")[0], "calibration", packets))
    participants = len({recording.participant for recording in recordings})
    return Dataset(
        name=name,
        gateways=tuple(config.gateways),
        rooms=tuple(config.rooms),
        recordings=tuple(recordings),
        origin=f"Real packets: {len(recordings)} calibration sessions of {participants} people from the SHIB release "
        "(McConville et al., 2019).",
    )


def _published(folder: Path) -> dict[str, str]:
    """Git blob id by file name, from the `GIT_BLOBS` list of the release where a reader keeps it beside the data."""
    listing = folder.parent / "GIT_BLOBS"
    if not listing.is_file():
        return {}
    lines = (line.split() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip())
    return {Path(name).name: blob for blob, name in lines}


def _verify(path: Path, published: dict[str, str]) -> None:
    contents = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()
    if published.get(path.name, blob) != blob:
        raise InputError(f"{path}: differs from the published recording (git blob {blob}); download it again")
