"""The repository itself: what its files say of each other, and what a newcomer is told."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import typer.main
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tinyloc.cli import app

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
PYTHONS = ("3.11", "3.12")


def lock(python: str) -> dict[str, Version]:
    """The lock's versions by name, as they apply to a version of Python."""
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate({"python_version": python})]
    assert all([s.operator for s in pin.specifier] == ["=="] for pin in pins), "the lock pins exact versions"
    assert len({canonicalize_name(pin.name) for pin in here}) == len(here), "a package is pinned twice"
    return {canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version) for pin in here}


def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def wanted() -> list[Requirement]:
    """Every direct dependency of the library, of the book, of the tests and of the build."""
    settings = project()
    extras = settings["project"]["optional-dependencies"]
    words = settings["project"]["dependencies"] + extras["book"] + extras["test"] + settings["build-system"]["requires"]
    return [Requirement(word) for word in words]


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git repository")
    return [REPOSITORY / name for name in listing.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


# ── environment ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("requirement", wanted(), ids=lambda r: r.name)
def test_lock_satisfies_every_direct_dependency(requirement: Requirement, python: str) -> None:
    pins = lock(python)
    name = canonicalize_name(requirement.name)
    assert name in pins, f"{name}: in pyproject.toml and not in requirements.lock"
    assert requirement.specifier.contains(pins[name], prereleases=True)


def test_lock_names_no_place_and_no_build() -> None:
    pins = [line for line in (REPOSITORY / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert [pin for pin in pins if re.search(r"[/@+]|--", pin)] == []


def test_lock_alone_builds_the_package() -> None:
    pins = lock("3.11")
    # hatchling needs the second to make an editable install; pip would look for both on the network otherwise
    assert {"hatchling", "editables"} <= set(pins)


def test_supported_pythons_are_those_of_the_lock() -> None:
    supported = Requirement(f"python{project()['project']['requires-python']}").specifier
    assert [minor for minor in range(9, 16) if f"3.{minor}.5" in supported] == [11, 12]


def test_environment_is_a_shell_around_the_lock() -> None:
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    *system, last = environment["dependencies"]
    assert last == {"pip": ["-r requirements.lock", "-e ."]}
    python = next(word for word in system if word.startswith("python="))
    assert python.removeprefix("python=") in PYTHONS


def test_binder_installs_what_the_book_needs() -> None:
    binder = REPOSITORY / "binder"
    named = set(re.findall(r"missing\+=\(([^)]*)\)", (REPOSITORY / "workflow" / "system-packages").read_text()))
    packages = {package for words in named for package in words.split()} - {"chromium", "g++"}
    assert set((binder / "apt.txt").read_text().split()) == packages
    assert "-r ../requirements.lock" in (binder / "requirements.txt").read_text().splitlines()


# ── what is committed ────────────────────────────────────────────────────────────────────────────
def test_no_tracked_file_is_large() -> None:
    assert [str(path) for path in tracked() if path.stat().st_size >= 1_000_000] == []


def test_table_of_contents_has_every_page_once() -> None:
    contents = yaml.safe_load((REPOSITORY / "book" / "_toc.yml").read_text())
    listed = [contents["root"], *(chapter["file"] for part in contents["parts"] for chapter in part["chapters"])]
    pages = [path.stem for path in (*(REPOSITORY / "book").glob("*.md"), *NOTEBOOKS)]
    assert sorted(listed) == sorted(pages)


def test_the_address_of_the_repository_is_one() -> None:
    book = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert book["repository"]["url"] == citation["repository-code"]
    assert citation["version"] == project()["project"]["version"]


# ── what a newcomer is told ──────────────────────────────────────────────────────────────────────
def script(name: str, *words: str, path: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a script of workflow/ with nothing on its path but `path`."""
    return subprocess.run(
        [shutil.which("bash"), str(REPOSITORY / "workflow" / name), *words],
        cwd=path.parent,
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_missing_debian_packages_are_named_in_one_line_to_paste(tmp_path: Path) -> None:
    program(tmp_path / "bin", "id", "echo 1000")
    program(tmp_path / "bin", "qemu-system-arm", "exit 0")
    run = script("system-packages", "book", path=tmp_path / "bin")
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.splitlines() == [
        "make book needs Debian packages; run: sudo apt-get install --no-install-recommends "
        "gcc libc6-dev gcc-arm-none-eabi libnewlib-arm-none-eabi"
    ]


def test_missing_debian_packages_are_installed_where_we_are_root(tmp_path: Path) -> None:
    called = tmp_path / "called"
    program(tmp_path / "bin", "id", "echo 0")
    program(tmp_path / "bin", "apt-get", f'echo "$@" >> {called}')
    for name in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"):
        program(tmp_path / "bin", name, "exit 0")
    run = script("system-packages", "test", path=tmp_path / "bin")
    assert run.returncode == 0, run.stderr
    update, install = called.read_text().splitlines()
    assert update.startswith("update")
    assert install.startswith("install") and install.endswith(" chromium")


def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    for name in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm", "g++", "chromium"):
        program(tmp_path / "bin", name, "exit 0")
    program(tmp_path / "bin", "apt-get", "exit 1")
    run = script("system-packages", "test", path=tmp_path / "bin")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_compiler_without_its_c_library_is_missing_its_library(tmp_path: Path) -> None:
    program(tmp_path / "bin", "id", "echo 1000")
    program(tmp_path / "bin", "arm-none-eabi-gcc", "exit 1")
    for name in ("gcc", "qemu-system-arm"):
        program(tmp_path / "bin", name, "exit 0")
    run = script("system-packages", "book", path=tmp_path / "bin")
    assert run.stderr.strip().endswith("gcc-arm-none-eabi libnewlib-arm-none-eabi")


def commands() -> list[str]:
    """Every `tinyloc …` in fences, in indented lines and between backticks of the pages and the notes."""
    notes = [REPOSITORY / name for name in ("README.md", "data/README.md", "firmware/README.md", "reference/README.md")]
    texts = [path.read_text() for path in (*notes, *(REPOSITORY / "book").glob("*.md"))]
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        texts.append("\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))
    call = r"(?:TFLM_DIR=\S+ )?tinyloc "
    found = [re.findall(rf"`({call}[^`]+)`|^ *({call}.+)", text, re.M) for text in texts]
    # a sentence that begins a line with "tinyloc" has no command behind it
    spoken = [" ".join((span or line).split()) for text in found for span, line in text]
    groups = set(typer.main.get_command(app).commands)
    return sorted({words for words in spoken if words.split("tinyloc ")[1].split()[0] in groups})


@pytest.mark.parametrize("line", commands())
def test_a_command_that_a_reader_is_told_to_type_is_understood(line: str) -> None:
    """Its words and options are those of the command line; files and data sets need not be there."""
    words = shlex.split(line.split("tinyloc ", 1)[1], comments=True)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if words:  # a name alone is no call
        command.make_context("tinyloc", words)


def test_commands_that_a_reader_is_told_to_type_are_found() -> None:
    found = commands()
    assert {"tinyloc reference", "tinyloc estimate --config paper"} <= set(found)
    assert len(found) > 25


def test_no_fitting_python_is_said_in_one_line(tmp_path: Path) -> None:
    program(tmp_path / "bin", "python3", "exit 1")  # as a Python that is too old, or has no venv, answers
    run = script("python-environment", path=tmp_path / "bin")
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("tinyloc needs Python 3.11 or 3.12 with venv")
    assert not (tmp_path / ".venv").exists()


# ── workflow ─────────────────────────────────────────────────────────────────────────────────────
def dry_run(*words: str) -> subprocess.CompletedProcess:
    """A dry run of the whole study in the repository itself, as if nothing had ever been built."""
    command = ["snakemake", "book", "--dry-run", "--forceall", "--nolock", "--quiet", "host", *words]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def jobs(run: subprocess.CompletedProcess) -> dict[str, int]:
    """How many jobs of each rule a dry run lists."""
    assert run.returncode == 0, run.stderr
    table = re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in table}


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_stages_are_one_job_each_on_slurm(profile: str) -> None:
    from tinyloc.study import Study

    study = Study.open(profile)
    here = len(study.config.datasets) - len(study.absent)
    runs = here * len(study.seeds)
    listed = jobs(dry_run("--profile", "workflow/profiles/slurm", "--config", f"profile={profile}"))
    distilled = [m for m in study.config.models.values() if getattr(m, "distillation", None)]
    assert listed["prepare"] == here
    assert listed["train"] == runs * (len(study.config.models) - len(distilled))
    assert listed["distil"] == runs * len(distilled)
    assert listed["export"] == runs * sum(len(export.kinds) for export in study.config.exports)
    assert listed["device"] == runs * len(study.config.devices)
    assert listed["notebook"] == len(NOTEBOOKS)
    assert listed["assemble"] == listed["html"] == listed["book"] == 1


ORDER = ("config", "data", "models", "training", "export", "aot", "device", "evaluation", "report", "cli")


@pytest.mark.parametrize("package", ORDER[:-1])
def test_data_flows_one_way(package):
    """A package imports from those that stand before it in the design, and none that stands behind it."""
    behind = set(ORDER[ORDER.index(package) + 1 :])
    root = REPOSITORY / "src" / "tinyloc"
    files = [root / f"{package}.py"] if (root / f"{package}.py").is_file() else sorted((root / package).rglob("*.py"))
    for file in files:
        imported = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        names = {part for node in imported if node.module for part in node.module.split(".")[1:2]}
        names |= {a.name for node in imported if node.module == "tinyloc" for a in node.names}
        assert not names & behind, (file, names & behind)
