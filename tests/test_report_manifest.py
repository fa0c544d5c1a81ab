"""The manifest: an item that is missing, stale or not shown is found, and the files are the same every time."""

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tinyloc.errors import InputError
from tinyloc.report import manifest
from tinyloc.report.manifest import Page

FRAME = pd.DataFrame({"model": ["forest", "teacher"], "macro F1 (%)": ["98.3", "98.9"]})


def drawn(height: float = 1.0) -> Figure:
    figure = Figure()
    figure.subplots().plot([0.0, height])
    return figure


def write_page(folder: Path, name: str, markdown: str, code: str = "") -> Path:
    cells = [
        {"cell_type": "markdown", "source": markdown.splitlines(keepends=True)},
        {"cell_type": "code", "source": code},
    ]
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A run with one figure and one table, both made from one result file, and the page that shows them."""
    root = tmp_path / "build"
    metrics = root / "results" / "metrics.json"
    metrics.parent.mkdir(parents=True)
    metrics.write_text("{}")
    page = Page(root, "02-teacher")
    page.figure("confusion", drawn(), [metrics])
    page.table("scores", FRAME, [metrics])
    shown = "```{figure} figures/confusion.svg\n```\n```{csv-table}\n:file: tables/scores.csv\n```\n"
    return root, [write_page(tmp_path, "02-teacher", shown)]


def test_a_complete_run_has_no_problem(run):
    assert manifest.check(*run) == []


def test_an_item_records_its_page_files_and_inputs(run):
    figure, table = manifest.read(run[0])
    assert (figure.kind, figure.id, figure.page) == ("figure", "confusion", "02-teacher")
    assert set(figure.files) == {"figures/confusion.svg", "figures/confusion.png"}
    assert set(table.files) == {"tables/scores.csv"}
    assert set(table.inputs) == {"results/metrics.json"}


def test_merge_gathers_every_item_by_kind_and_id(run):
    merged = json.loads(manifest.merge(run[0]).read_text())
    assert {key: entry["page"] for key, entry in merged.items()} == {
        "figures/confusion": "02-teacher",
        "tables/scores": "02-teacher",
    }


@pytest.mark.parametrize("name", ["figures/confusion.svg", "figures/confusion.png", "tables/scores.csv"])
def test_a_missing_file_is_found(run, name):
    root, pages = run
    (root / name).unlink()
    (problem,) = manifest.check(root, pages)
    assert f"file {name} is missing" in problem


def test_a_file_changed_by_hand_is_stale(run):
    root, pages = run
    (root / "tables/scores.csv").write_text("model,macro F1 (%)\nteacher,100.0\n")
    (problem,) = manifest.check(root, pages)
    assert "stale: file tables/scores.csv" in problem


def test_results_newer_than_their_figure_make_it_stale(run):
    root, pages = run
    (root / "results/metrics.json").write_text('{"macro_f1": 1}')
    problems = manifest.check(root, pages)
    assert len(problems) == 2 and all("stale: input results/metrics.json" in problem for problem in problems)


def test_a_page_that_shows_what_nothing_made_is_found(run, tmp_path):
    root, pages = run
    stray = tmp_path / "intro.md"
    stray.write_text("```{figure} figures/unknown.svg\n```\n")
    (problem,) = manifest.check(root, [*pages, stray])
    assert problem == "intro: shows figure 'unknown', which nothing has made"


def test_an_item_that_its_page_does_not_show_is_found(run, tmp_path):
    root, _ = run
    pages = [write_page(tmp_path, "02-teacher", "{figure} figures/confusion.svg", code="tables/scores.csv")]
    (problem,) = manifest.check(root, pages)
    assert problem == "02-teacher: makes table 'scores' and does not show it"


def test_an_item_dropped_from_a_notebook_is_not_left_over(run):
    root, pages = run
    Page(root, "02-teacher").table("scores", FRAME, [])
    (problem,) = manifest.check(root, pages)
    assert problem == "02-teacher: shows figure 'confusion', which nothing has made"


def test_two_pages_cannot_make_the_same_item(run):
    with pytest.raises(InputError, match=r"03-distillation: figure 'confusion' is already made by 02-teacher"):
        Page(run[0], "03-distillation").figure("confusion", drawn(), [])


def test_an_input_that_is_not_there_is_named(run):
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        Page(run[0], "02-teacher").table("other", FRAME, [run[0] / "gone.json"])


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    paths = [Page(tmp_path / name, "01-data").figure("line", drawn(), []).path for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].with_suffix(".png").read_bytes() == paths[1].with_suffix(".png").read_bytes()


def test_another_figure_gives_another_digest(tmp_path):
    digests = []
    for height in (1.0, 2.0):
        Page(tmp_path, "01-data").figure("line", drawn(height), [])
        digests.append(manifest.read(tmp_path)[0].files["figures/line.svg"])
    assert digests[0] != digests[1]


def test_a_drawn_figure_shows_itself_in_jupyter(tmp_path):
    shown = Page(tmp_path, "01-data").figure("line", drawn(), [])
    assert shown._repr_png_().startswith(b"\x89PNG")


def test_a_table_is_written_without_an_index(run):
    assert (run[0] / "tables/scores.csv").read_text() == "model,macro F1 (%)\nforest,98.3\nteacher,98.9\n"


def test_a_table_without_rows_is_shown_as_a_row_of_dashes(tmp_path):
    Page(tmp_path, "01-data").table("nothing", pd.DataFrame(columns=["model", "score"]), [])
    assert (tmp_path / "tables/nothing.csv").read_text() == "model,score\n–,–\n"
