"""The SHIB recordings: real packets of a wrist wearable in a home with four gateways.

R. McConville, D. Byrne, I. Craddock, R. Piechocki, J. Pope, R. Santos-Rodriguez, "A dataset for room level indoor
localization using a smart home in a box", Data in Brief 22 (2019). Calibration sessions are `P-S.csv`: participant P,
session S; `freeliving.csv` is the release's test recording.
"""

import hashlib
import re
from pathlib import Path

from tinyloc.config import ShibData
from tinyloc.data.packets import Dataset, Recording, read_csv
from tinyloc.errors import InputError

SESSION = re.compile(r"(\d+)-(\d+)\.csv")
FREE_LIVING = "freeliving.csv"

# Git's ids of the published files (commit 27455f3 of the release, folder data/): SHA-1 of a header and the bytes.
BLOBS = {
    "calibration/1-1.csv": "ab12f0664a03195373761fb3c61cc36234cb8d11",
    "calibration/2-1.csv": "1a8228de9a8648c28de91510d8d181ba6d339fb7",
    "calibration/2-2.csv": "c90bee89d6932dcda29882b54711596517836fab",
    "calibration/3-1.csv": "98d6b9b58574f7ade167636b9e4117a64d9466cc",
    "calibration/4-1.csv": "1a2f0cc7d9a9d928d1064f7c606c271af697ffac",
    "calibration/4-2.csv": "0f21a7ee62e4a00cd55c17bfb4828855f3d5932d",
    "calibration/5-1.csv": "a9cb83be9e0c100349b29ab4ea3d74857f277d8c",
    "calibration/6-1.csv": "546c6f59b55c154fb1dc3be690e05f1b7ffc1957",
    "calibration/7-1.csv": "f87195d48d69492677ccabd36ebe74feb397fc47",
    "calibration/8-1.csv": "b454d3de923bc5a4296219ebd28f7b5d971ebb19",
    "calibration/9-1.csv": "b281668d1cb2c5f5ea309d528bb45eb4f3fd6344",
    "calibration/9-2.csv": "3ede583e0f0099970e2351d10c118dce9126b728",
    "calibration/10-1.csv": "43dc682e5600d9547caf273df69cd9959151910e",
    "calibration/10-2.csv": "77eb3e38b7c2dce1e19d14d83db4193c7d0b1462",
    "calibration/10-3.csv": "1b52d181b8345a531a6efd184809f13e1dfa6732",
    "test/freeliving.csv": "55bce0a12b42c962ba3c2902073ae59750187940",
}


def sessions(folder: Path) -> list[Path]:
    """The session files of a folder, by participant and session."""
    named = [(SESSION.fullmatch(path.name), path) for path in folder.glob("*.csv")]
    return [path for _, path in sorted(((int(m[1]), int(m[2])), path) for m, path in named if m)]


def free_living(folder: Path) -> Path | None:
    """`freeliving.csv` of the release whose sessions are in `folder`; None where it is not there."""
    places = (folder.parent / "test" / FREE_LIVING, folder.parent / FREE_LIVING, folder / FREE_LIVING)
    return next((path for path in places if path.is_file()), None)


def files(folder: Path, config: ShibData) -> list[Path]:
    """What a configuration reads of the release in `folder`: the sessions, and free living where it is tested on."""
    living = free_living(folder) if config.protocol == "fingerprint-to-living" else None
    return sessions(folder) + ([living] if living else [])


def load(name: str, folder: Path, config: ShibData) -> Dataset:
    """Every session of `folder`, one recording each, and `freeliving.csv` where the protocol tests on it.

    Raises InputError: no session there, a file that is not a packet table, or one that differs from the published.
    """
    if not sessions(folder):
        raise InputError(f"{folder}: no session files; SHIB's are called 1-1.csv, 1-2.csv, … (participant-session)")
    recordings = tuple(_recording(path, config) for path in files(folder, config))
    calibrations = [recording for recording in recordings if recording.phase == "calibration"]
    participants = len({recording.participant for recording in calibrations})
    living = ", and its free living" if len(recordings) > len(calibrations) else ""
    return Dataset(
        name=name,
        gateways=tuple(config.gateways),
        rooms=tuple(config.rooms),
        recordings=recordings,
        origin=f"Real packets: {len(calibrations)} calibration sessions of {participants} people from the SHIB release "
        f"(McConville et al., 2019){living}.",
    )


def _recording(path: Path, config: ShibData) -> Recording:
    packets = read_csv(path, config.gateways, config.rooms, accelerometer=True)
    living = path.name == FREE_LIVING
    name = f"test/{path.name}" if living else f"calibration/{path.name}"
    if not is_published(path, name):
        raise InputError(f"{path}: differs from the published recording; `tinyloc data download shib` fetches it")
    participant = path.stem if living else path.stem.split("-")[0]
    return Recording(path.stem, participant, "living" if living else "calibration", packets)


def is_published(path: Path, name: str) -> bool:
    """Whether a file is, byte for byte, the release's `name` (such as `calibration/1-1.csv`)."""
    return name in BLOBS and git_blob(path.read_bytes()) == BLOBS[name]


def git_blob(contents: bytes) -> str:
    """The id that git gives a file of these contents."""
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()
