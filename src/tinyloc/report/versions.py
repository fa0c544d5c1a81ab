"""What made this build: programs, libraries, data, configuration."""

import shutil
import subprocess
from importlib import metadata
from typing import Any

import pandas as pd
import yaml

from tinyloc import provenance

# beyond the libraries that a result records: those that decide how the book looks and runs
BOOK = ("jupyter-book", "papermill", "snakemake", "matplotlib", "scipy")
PROGRAMS = ("qemu-system-arm", "arm-none-eabi-gcc", "gcc")


def software() -> pd.DataFrame:
    """Name and version of what the build used; an absent program or library says so."""
    made = provenance.record()
    rows = {"tinyloc": made["tinyloc"], "git commit": made["commit"], "Python": made["python"]}
    rows |= {"machine": made["machine"], "accelerator": made["accelerator"], **made["libraries"]}
    rows |= {name: _library(name) for name in BOOK}
    rows |= {name: _program(name) for name in PROGRAMS}
    return pd.DataFrame(rows.items(), columns=["name", "version"])


def data(study: Any) -> pd.DataFrame:
    """Each data set of the configuration: what made it, and its fingerprint; an absent one with the reason."""
    rows = [(name, origin, study.prepared(name).fingerprint) for name, origin in study.datasets.items()]
    rows += [(name, f"was not there: {reason}", "–") for name, reason in study.absent.items()]
    return pd.DataFrame(rows, columns=["data set", "what it is", "fingerprint (SHA-256)"])


def configuration(config: Any) -> str:
    """The validated configuration as YAML, with every default written out."""
    settings = config.model_dump(mode="json")
    told = {name: value for name, value in settings.items() if value != {}}  # a reader takes `{}` for a hole
    return yaml.safe_dump(told, sort_keys=False).rstrip()


def _library(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _program(name: str) -> str:
    """The first line of `--version`, without the program's own name."""
    path = shutil.which(name)
    if path is None:
        return "not installed"
    lines = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[0].removeprefix(name).strip()
