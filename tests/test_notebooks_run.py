"""Every notebook, run by papermill from first cell to last, on a study that is tiny but real, board included."""

import re
from pathlib import Path

import nbformat
import pytest

from tinyloc.files import REPOSITORY
from tinyloc.report import manifest
from tinyloc.report.execute import execute
from tinyloc.study import Study

# One worker computes the study once for all of these.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("notebooks")]

# `measured` stands for data that a reader does not have.
CONFIG = """\
name: tiny
seeds: [0]
datasets:
  measured: {kind: csv, folder: nowhere, gateways: [one], rooms: [kitchen, hall]}
  house: {kind: house, fingerprint_minutes: 5, fingerprint_walks: 1, living_minutes: 3, living_recordings: 2}
windows: {train_hop: 5}
models:
  forest: {family: forest, trees: 10}
  neighbours: {family: neighbours}
  teacher: {family: mdcsa, d: 16, training: &brief {epochs: 2, batch: 16, learning_rate: 0.003, patience: 2}}
  student: {family: mdcsa, d: 8, training: *brief}
  student-distilled: {family: mdcsa, d: 8, training: *brief, distillation: {teacher: teacher}}
  mamba: {family: mamba, d: 8, n_state: 4, training: *brief}
exports:
  - {model: student-distilled, kinds: [float32, int8], calibration_windows: 10}
  - {model: mamba, kinds: [float32]}
devices:
  - {model: student-distilled, kind: int8, ram_kb: 64, windows: 10}
  - {model: mamba, kind: float32, ram_kb: 32, windows: 10}
"""
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the study and of every notebook; a cell that fails fails here, with notebook and cell in its message."""
    folder = tmp_path_factory.mktemp("study")
    config = folder / "tiny.yaml"
    config.write_text(CONFIG)
    root = folder / "build"
    for stage, arguments in Study.open(config, root, workers=1, progress=False).everything():
        stage(*arguments)
    for path in NOTEBOOKS:
        parameters = {"profile": str(config), "root": str(root)}
        execute(path, root / "notebooks" / path.name, root / "logs" / f"{path.stem}.log", parameters)
    return root


def outputs(root: Path, path: Path, kind: str) -> list[str]:
    cells = nbformat.read(root / "notebooks" / path.name, as_version=4).cells
    return [o.data[kind] for c in cells for o in c.get("outputs", ()) if kind in o.get("data", {})]


@by_name
def test_the_page_says_which_data_made_it_and_which_were_not_there(root, path):
    banner = outputs(root, path, "text/markdown")[0]
    assert "**house** – A simulated house" in banner
    assert "**measured was not there**" in banner and "nowhere" in banner
    assert "Profile **tiny**, seed 0." in banner


@by_name
def test_no_sentence_has_a_hole(root, path):
    """A number that could not be computed would read as nan, None or an empty pair of brackets."""
    for text in outputs(root, path, "text/markdown"):
        assert not re.search(r"\bnan\b|\bNone\b|\(\)|\{\w*\}|<bound|<function", text), text


@by_name
def test_no_cell_warns(root, path):
    cells = nbformat.read(root / "notebooks" / path.name, as_version=4).cells
    assert [o.text for c in cells for o in c.get("outputs", ()) if o.get("name") == "stderr"] == []


def test_every_figure_and_table_is_made_shown_and_fresh(root):
    assert manifest.check(root, [*NOTEBOOKS, *(REPOSITORY / "book").glob("*.md")]) == []
    assert {item.page for item in manifest.read(root)} == {path.stem for path in NOTEBOOKS}


def test_the_three_forms_of_mamba_agree_on_the_page(root):
    cells = nbformat.read(root / "notebooks" / "05-mamba.ipynb", as_version=4).cells
    (printed,) = (c.outputs[0].text for c in cells if c.id == "three-forms")
    differences = [float(number) for number in re.findall(r"\d\.\de[+-]\d+", printed)]
    assert len(differences) == 2 and max(differences) < 1e-5


def test_every_claim_has_a_verdict_for_every_data_set(root):
    lines = (root / "tables" / "claims.csv").read_text().splitlines()[1:]
    assert len(lines) == 4 * 2
    assert sum("**not tested here**" in line for line in lines if ",measured," in line) == 4


def test_a_notebook_run_twice_makes_the_same_tables_and_figures(root):
    before = {item.id: item.files for item in manifest.read(root)}
    path = REPOSITORY / "notebooks" / "07-results.ipynb"
    parameters = {"profile": str(root.parent / "tiny.yaml"), "root": str(root)}
    execute(path, root / "notebooks" / path.name, root / "logs" / "again.log", parameters)
    assert {item.id: item.files for item in manifest.read(root)} == before
