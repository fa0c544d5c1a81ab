"""What made a result: version, commit, libraries, machine."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from tinyloc import __version__
from tinyloc.files import PACKAGE, sha256, shipped

LIBRARIES = ("numpy", "pandas", "scikit-learn", "torch", "tensorflow", "tflite-micro")


@cache
def commit() -> str:
    """The git commit of the code that runs, with `+changes` where files differ; `unknown` outside git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def record() -> dict:
    """What every results file says of its making. No wall time: the same seed gives the same file."""
    return {
        "tinyloc": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "accelerator": accelerator(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def accelerator() -> str:
    """The GPU that networks are trained on where `training.device` is `auto`, by its name; `none` without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def processor() -> str:
    """The processor's name as the system gives it. No result depends on it, and how long one takes does."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def code_digest(*packages: str) -> str:
    """A digest of the sources of the named parts of tinyloc (`data`, `models`, `config.py`, …)."""
    files = []
    for name in packages:
        path = PACKAGE / name
        files += sorted(p for p in path.rglob("*") if p.suffix in {".py", ".j2", ".yaml"}) if path.is_dir() else [path]
    return sha256(*(part for f in files for part in (str(f.relative_to(PACKAGE)).encode(), f.read_bytes())))


def firmware_digest() -> str:
    """A digest of the C sources that a device run is built from."""
    root = shipped("firmware")
    files = sorted(p for p in root.rglob("*") if p.suffix in {".c", ".h", ".ld", ".s", ".S"})
    return sha256(*(part for f in files for part in (str(f.relative_to(root)).encode(), f.read_bytes())))
