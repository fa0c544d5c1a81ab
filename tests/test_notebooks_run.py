"""Every notebook, run by papermill from first cell to last, on a study that is tiny but real, board included."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from book_project import Project

from tinyloc.files import REPOSITORY
from tinyloc.report import manifest
from tinyloc.report.execute import execute

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])


def outputs(book: Project, name: str) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(book.root / "notebooks" / name, as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", ())]


def sentences(book: Project, name: str) -> list[str]:
    return [o.data["text/markdown"] for o in outputs(book, name) if "text/markdown" in o.get("data", {})]


@by_name
def test_the_page_says_which_data_made_it_and_which_were_not_there(tiny_book, name):
    banner = sentences(tiny_book, name)[0]
    assert "**house** – A simulated house" in banner
    assert "**measured was not there**" in banner and "nowhere" in banner
    assert "Profile **tiny**, seed 0." in banner


@by_name
def test_no_sentence_has_a_hole(tiny_book, name):
    """A number that could not be computed would read as nan, None or an empty pair of brackets."""
    for text in sentences(tiny_book, name):
        assert not re.search(r"\bnan\b|\bNone\b|\(\)|\{\w*\}|<bound|<function", text), text


@by_name
def test_no_cell_warns(tiny_book, name):
    assert [output.text for output in outputs(tiny_book, name) if output.get("name") == "stderr"] == []


def test_every_figure_and_table_is_made_shown_and_fresh(tiny_book):
    assert manifest.check(tiny_book.root, [*NOTEBOOKS, *(REPOSITORY / "book").glob("*.md")]) == []
    assert {item.page for item in manifest.read(tiny_book.root)} == {path.stem for path in NOTEBOOKS}


def test_the_three_forms_of_mamba_agree_on_the_page(tiny_book):
    (printed,) = (o.text for o in outputs(tiny_book, "05-mamba.ipynb") if "loop and" in o.get("text", ""))
    differences = [float(number) for number in re.findall(r"\d\.\de[+-]\d+", printed)]
    assert len(differences) == 2 and max(differences) < 1e-5


def test_every_claim_has_a_verdict_for_every_data_set(tiny_book):
    lines = (tiny_book.root / "tables" / "claims.csv").read_text().splitlines()[1:]
    assert len(lines) == 4 * 2
    assert sum("**not tested here**" in line for line in lines if ",measured," in line) == 4


@pytest.mark.parametrize("name", ["01-data.ipynb", "07-results.ipynb"])
def test_a_notebook_run_again_makes_the_same_files(tiny_book, tmp_path, name):
    root: Path = tmp_path / "build"
    shutil.copytree(tiny_book.root, root, ignore=shutil.ignore_patterns("_build", "html", "book"))
    before = [item for item in manifest.read(root) if item.page == Path(name).stem]
    parameters = {"profile": str(tiny_book.config), "root": str(root)}
    execute(tiny_book.folder / "notebooks" / name, tmp_path / name, tmp_path / "log", parameters)
    assert [item for item in manifest.read(root) if item.page == Path(name).stem] == before


def test_a_configuration_that_disturbs_no_model_has_a_book_too(tiny_book, tmp_path):
    """As `tinyloc data check` writes one: sections are optional, and a page with an empty table would not build."""
    project = tiny_book.copy(tmp_path / "repository")
    lines = project.config.read_text().splitlines(keepends=True)
    project.config.write_text("".join(line for line in lines if not line.startswith("robustness")))
    run = project.make()
    assert run.returncode == 0, run.stdout
    assert "No model of this profile was disturbed" in project.page("02-teacher")
