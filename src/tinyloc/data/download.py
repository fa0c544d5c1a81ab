"""Public recordings, fetched on request: verified, taken up again where a download broke off, never half there.

What arrives goes to a hidden `.partial-` file beside its place. It gets its name only when it is whole and right; a
partial file is continued by the next run (HTTP range requests), and one that is whole and wrong is removed.
"""

import gzip
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from tinyloc.data import residential, shib
from tinyloc.errors import InputError
from tinyloc.files import writing

SHIB_URL = "https://github.com/rymc/a-dataset-for-indoor-localization-using-a-smart-home-in-a-box/raw/27455f3/data"
RESIDENTIAL_URL = "https://ndownloader.figshare.com/files/14220518"
TIMEOUT_S = 30.0
CHUNK = 1 << 16


def download_shib(into: Path, url: str = SHIB_URL, say: Callable[[str], None] = print) -> Path:
    """SHIB's fifteen sessions and `freeliving.csv` under `into/shib`; each is checked against its git blob id.

    url: what stands before `calibration/1-1.csv`. Files that are there and right are kept.

    Raises InputError: a file cannot be fetched, or is not the published one.
    """
    folder = into / "shib"
    for name in shib.BLOBS:
        path = folder / name
        if path.is_file() and shib.is_published(path, name):
            say(f"{path}: there and right")
            continue
        fetch(f"{url.rstrip('/')}/{name}", path, lambda part, path=path, name=name: _check_shib(part, path, name))
        say(f"{path}: {path.stat().st_size} bytes, the published file")
    return folder


def _check_shib(part: Path, path: Path, name: str) -> None:
    if not shib.is_published(part, name):
        raise InputError(
            f"{path}: what was downloaded is not the published file (git blob {shib.BLOBS[name]}); try again"
        )


def download_residential(into: Path, url: str = RESIDENTIAL_URL, say: Callable[[str], None] = print) -> Path:
    """The four houses of the study's authors under `into/sphere`.

    The archive (.zip or .tar.gz) is read through before anything of it is unpacked: its checksums must be right, its
    members must lie in its one folder, and every house must be there.

    Raises InputError: the archive cannot be fetched, is truncated or altered, or holds something else.
    """
    folder = into / "sphere" / residential.FOLDER
    if folder.is_dir():
        say(f"{folder}: there; remove it to download it again")
        return folder
    archive = into / "sphere" / "archive"
    if not archive.is_file():
        fetch(url, archive, _check_archive)
    unpacked = archive.with_name(".partial-unpacked")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        with _opened(archive) as members:
            for name, content in members:
                if (path := _inside(name)) is not None:
                    _unpack(content, unpacked / path)
        with writing(folder):
            os.replace(unpacked / residential.FOLDER, folder)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    archive.unlink()
    say(f"{folder}: four houses")
    return folder


def _unpack(content: BinaryIO, path: Path) -> None:
    """Raises InputError: it cannot be written there, which says nothing against the archive.

    What is wrong with the archive is no error of the file system's, and passes.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)


# ── one file ─────────────────────────────────────────────────────────────────────────────────────
def fetch(url: str, path: Path, verify: Callable[[Path], None]) -> None:
    """Download `url` to `path`, which appears whole and verified or not at all.

    verify: raises InputError for a file that is not the wanted one; it is then removed.

    Raises InputError: as `verify` does, or where the server cannot be reached or breaks off. What came until then is
    kept, and the next call goes on from there.
    """
    part = path.with_name(f".partial-{path.name}")
    part.parent.mkdir(parents=True, exist_ok=True)
    _transfer(url, part)
    try:
        verify(part)
    except InputError:
        part.unlink()
        raise
    os.replace(part, path)


def _transfer(url: str, part: Path) -> None:
    import pooch
    import requests
    from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

    with part.open("ab") as file, _bar(url.rsplit("/", 1)[-1]) as bar:

        def start_over(response: requests.Response, **_: Any) -> None:
            # a server that does not know ranges sends the file from its start
            if response.status_code == requests.codes.ok:
                file.truncate(0)

        begun = file.tell()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
        download = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=CHUNK, timeout=TIMEOUT_S, headers=headers, hooks={"response": start_over}
        )
        try:
            download(url, file, None)
        except requests.HTTPError as error:
            if begun and error.response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # there is nothing after what we have; `verify` judges it
            raise InputError(f"{url}: the server says {error.response.status_code} {error.response.reason}") from None
        except (InvalidSchema, InvalidURL, MissingSchema) as error:
            raise InputError(
                f"{url}: no address to fetch from ({type(error).__name__}); give http:// or https://"
            ) from None
        except (requests.RequestException, OSError) as error:
            why = error.strerror or type(error).__name__  # a full disk, or what requests met
            raise InputError(
                f"{url}: the download broke off ({why}); run it again, it goes on from {file.tell()} bytes"
            ) from None


@contextmanager
def _bar(title: str) -> Iterator["_Bar | bool"]:
    """A progress bar for pooch where somebody is there to see it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    if not sys.stderr.isatty():
        yield False
        return
    shown = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, progress.add_task(title, total=None))


class _Bar:
    """rich's bar with the methods that pooch calls."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "total":
            self._progress.update(self._task, total=value)
        else:
            super().__setattr__(name, value)

    def update(self, n: int) -> None:
        self._progress.advance(self._task, n)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop_task(self._task)


# ── an archive ───────────────────────────────────────────────────────────────────────────────────
def _check_archive(path: Path) -> None:
    """Raises InputError: not an archive, damaged, or not the residential recordings."""
    names = set()
    with _opened(path) as members:
        for name, content in members:
            if (inside := _inside(name)) is not None:
                names.add(inside)
            while content.read(CHUNK):  # to the end, where the checksum is compared
                pass
    for house in residential.HOUSES:
        home = PurePosixPath(residential.FOLDER) / f"house_{house}"
        wanted = [home / "metadata" / f"{name}.dat" for name in residential.METADATA]
        wanted += [home / "experiments" / residential.WALK / f"{name}.dat" for name in residential.EXPERIMENT]
        if lacking := [str(name) for name in wanted if name not in names]:
            raise InputError(f"the archive that was downloaded has no {lacking[0]}; it is not the published one")


@contextmanager
def _opened(path: Path) -> Iterator[Iterable[tuple[str, BinaryIO]]]:
    """Name and content of every file in an archive, one after the other."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield ((info.filename, archive.open(info)) for info in archive.infolist() if not info.is_dir())
        else:
            with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                yield ((info.name, archive.extractfile(info)) for info in archive if info.isfile())
                # tarfile takes a damaged header for the archive's end; gzip's checksum stands after everything
                while stream.read(CHUNK):
                    pass
    # a RuntimeError is zipfile's word for encrypted, which a single bit can say
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, OSError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"the archive that was downloaded is truncated or altered ({why}); try again") from None


def _inside(name: str) -> PurePosixPath | None:
    """A member's path, None for what a packing program adds beside the folder.

    Raises InputError: a member that would land outside the archive's one folder.
    """
    path = PurePosixPath(name)
    if path.parts[:1] == ("__MACOSX",):
        return None
    if path.parts[:1] != (residential.FOLDER,) or ".." in path.parts:
        raise InputError(f"the archive that was downloaded holds {name!r}, outside {residential.FOLDER}/; not unpacked")
    return path
