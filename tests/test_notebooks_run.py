"""Every notebook, run by the workflow from first cell to last, on a study that is tiny but real, board included."""

import re
from pathlib import Path

import nbformat
import pytest
from book_project import Project

from tinyloc.files import REPOSITORY
from tinyloc.report import manifest
from tinyloc.report.execute import execute

# One worker builds the book once for all of these and for test_book_pages.py.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny_book")]

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def root(tiny_book: Project) -> Path:
    return tiny_book.root


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


def test_a_notebook_run_twice_makes_the_same_tables_and_figures(tiny_book, root):
    before = {item.id: item.files for item in manifest.read(root)}
    path = REPOSITORY / "notebooks" / "07-results.ipynb"
    parameters = {"profile": str(tiny_book.config), "root": str(root)}
    execute(path, root / "notebooks" / path.name, root / "logs" / "again.log", parameters)
    assert {item.id: item.files for item in manifest.read(root)} == before
