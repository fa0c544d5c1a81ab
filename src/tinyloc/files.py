"""Where files lie, and how they are written: to a temporary name first, then renamed."""

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyloc.errors import InputError

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parents[1]


def shipped(folder: str) -> Path:
    """A folder that travels with the library: beside it when installed, in the repository otherwise."""
    installed = PACKAGE / f"_{folder}"
    return installed if installed.is_dir() else REPOSITORY / folder


# What a file system says that a user can mend: no room, no permission, or something else in the place.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSALS = NO_ROOM | {errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
REFUSALS |= {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes `path`. Raises InputError: the file system does not let it, in one line."""
    try:
        yield
    except OSError as error:
        raise refusal(error, f"{path}: cannot be written") from None


def refusal(error: OSError, what: str) -> Exception:
    """The error to raise instead: one line for what a user can mend, and otherwise the same."""
    if error.errno not in REFUSALS:
        return error
    mend = "make room and run it again" if error.errno in NO_ROOM else "choose another place"
    return InputError(f"{what} ({os.strerror(error.errno)}); {mend}")


def contents(path: Path) -> bytes:
    """The bytes of a file. Raises OSError: also for a pipe or a device, which may never come to an end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "a pipe or a device, and not a file", str(path))
    return path.read_bytes()


PARTIAL = ".partial-"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    The temporary name keeps the suffix of `path`, because many writers choose their format by it.

    Raises InputError: it cannot be written there. What was at `path` stays.
    """
    with writing(path), _temporary(path) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, which is gone after the block if it still has its name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # of /proc and the like, where nothing can be made
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from error
    handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    # mkstemp makes private files; results should be as readable as any other file of the user's
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """A block that no other process runs for this folder at the same time; `waiting` is called if one does.

    The system lets go of the folder when we die, however that is. A file system without such locks gives none.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("w")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        yield


def sweep(folder: Path) -> None:
    """Remove what a killed writer left half written in and below `folder`, which must have no other writer now."""
    for left in folder.rglob(f"{PARTIAL}*"):
        left.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
