"""Prose around outputs, sources brought together, and a failed cell in one line."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tinyloc.errors import InputError
from tinyloc.files import write_json
from tinyloc.report.assemble import assemble
from tinyloc.report.execute import execute
from tinyloc.report.weave import WIDGET, code_digest, weave


def source_cells() -> list:
    return [
        new_markdown_cell("# Title", id="title"),
        new_code_cell("n = 1", id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell("print(n)", id="print"),
    ]


def executed_cells() -> list:
    """As papermill leaves them for n = 2."""
    title, parameters, print_ = source_cells()
    parameters.execution_count = 1
    injected = new_code_cell("# Parameters\nn = 2\n", id="injected", metadata={"tags": ["injected-parameters"]})
    print_ |= {"execution_count": 3, "outputs": [new_output("stream", name="stdout", text="2\n")]}
    print_.metadata["papermill"] = {"duration": 0.1}
    return [title, parameters, injected, print_]


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    source, executed = tmp_path / "notebooks" / "a.ipynb", tmp_path / "root" / "notebooks" / "a.ipynb"
    for path, cells in ((source, source_cells()), (executed, executed_cells())):
        path.parent.mkdir(parents=True)
        nbformat.write(new_notebook(cells=cells), path)
    return source, executed


def rewrite(path: Path, change) -> None:
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, path)


def test_weave_takes_outputs_by_cell_id_and_everything_else_from_the_source(paths: tuple[Path, Path]) -> None:
    def edit(cells: list) -> None:
        cells[0].source = "# New title"
        cells[2].metadata["tags"] = ["hide-input"]
        cells.insert(1, new_markdown_cell("A paragraph more.", id="more"))

    rewrite(paths[0], edit)
    woven = weave(*paths)
    assert [cell.id for cell in woven.cells] == ["title", "more", "parameters", "injected", "print"]
    assert woven.cells[0].source == "# New title"
    assert woven.cells[4].outputs[0].text == "2\n"
    assert woven.cells[4].execution_count == 3
    assert woven.cells[4].metadata == {"tags": ["hide-input"]}  # and nothing of papermill's
    nbformat.validate(woven)


def test_weave_folds_away_the_parameters_of_this_execution(paths: tuple[Path, Path]) -> None:
    injected = weave(*paths).cells[2]
    assert injected.source == "# Parameters\nn = 2\n"
    assert "hide-input" in injected.metadata.tags


def test_weave_refuses_outputs_of_other_code(paths: tuple[Path, Path]) -> None:
    rewrite(paths[0], lambda cells: cells[2].update(source="print(n + 1)"))
    with pytest.raises(InputError, match=r"a\.ipynb, cell 3: was not executed as it now stands"):
        weave(*paths)


def test_weave_refuses_a_widget(paths: tuple[Path, Path]) -> None:
    widget = new_output("display_data", data={WIDGET: {"model_id": "1"}, "text/plain": "Slider"})
    rewrite(paths[1], lambda cells: cells[3].update(outputs=[widget]))
    with pytest.raises(InputError, match="cell 3: shows a widget"):
        weave(*paths)


def test_weave_refuses_a_notebook_without_cell_ids(paths: tuple[Path, Path]) -> None:
    old = nbformat.read(paths[0], as_version=4)
    old.nbformat_minor = 4
    for cell in old.cells:
        del cell["id"]
    write_json(paths[0], old)
    with pytest.raises(InputError, match=r"format 4\.4 has no cell ids"):
        weave(*paths)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda cells: cells[0].update(source="# Other"), False),
        (lambda cells: cells[2].metadata.update(tags=["hide-input"]), False),
        (lambda cells: cells[2].update(source="print(-n)"), True),
        (lambda cells: cells.append(new_code_cell("1", id="one")), True),
        (lambda cells: cells[1].metadata.update(tags=[]), True),
        (lambda cells: cells.append(cells.pop(1)), True),
    ],
    ids=["prose", "tag", "code", "new cell", "no parameters", "order"],
)
def test_code_digest_changes_with_what_decides_the_outputs(paths: tuple[Path, Path], change, counts: bool) -> None:
    before = code_digest(paths[0])
    rewrite(paths[0], change)
    assert (code_digest(paths[0]) != before) is counts


@pytest.fixture
def book(paths: tuple[Path, Path], tmp_path: Path) -> Path:
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "intro.md").write_text("# Intro\n")
    (folder / ".intro.md.swp").write_text("an editor's\n")
    return folder


def assembled(book: Path) -> Path:
    assemble(book.parent / "root", book, book.parent / "notebooks")
    return book.parent / "root" / "book"


def test_assemble_holds_the_sources_and_nothing_else(book: Path) -> None:
    target = assembled(book)
    (target / "stray.md").write_text("left from before\n")
    (book / "intro.md").rename(book / "preface.md")
    assembled(book)
    assert {path.name for path in target.iterdir()} == {"a.ipynb", "preface.md"}


def test_assemble_keeps_the_time_of_what_is_unchanged(book: Path) -> None:
    target = assembled(book)
    for path in target.iterdir():
        os.utime(path, (1, 1))
    (book / "intro.md").write_text("# Introduction\n")
    assembled(book)
    assert {path.name for path in target.iterdir() if path.stat().st_mtime > 1} == {"intro.md"}


def test_assemble_refuses_two_pages_of_one_name(book: Path) -> None:
    (book / "a.md").write_text("# A\n")
    with pytest.raises(InputError, match=r"a\.ipynb: .* has a page of this name too"):
        assembled(book)


def test_assemble_refuses_a_page_that_shows_what_nothing_made(book: Path) -> None:
    (book / "intro.md").write_text("```{figure} figures/nowhere.svg\n```\n")
    with pytest.raises(InputError, match="intro: shows figure 'nowhere', which nothing has made"):
        assembled(book)


def run(notebook: Path, folder: Path) -> Path:
    out = folder / "out" / notebook.name
    execute(notebook, out, folder / "logs" / f"{notebook.stem}.log", {"n": "2"})
    return out


def test_execute_passes_parameters_and_moves_the_finished_notebook(paths: tuple[Path, Path], tmp_path: Path) -> None:
    cells = nbformat.read(run(paths[0], tmp_path), as_version=4).cells
    assert [o.text for cell in cells for o in cell.get("outputs", ())] == ["2\n"]
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["a.log"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("n = 1\nraise ValueError('no such\\nroom')", "ValueError: no such room"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "DeadKernelError: Kernel died"),
    ],
    ids=["exception", "killed"],
)
def test_execute_names_notebook_and_cell(paths: tuple[Path, Path], tmp_path: Path, code: str, reason: str) -> None:
    # papermill puts a cell before it, which must not count
    rewrite(paths[0], lambda cells: cells[2].update(source=code))
    with pytest.raises(InputError) as caught:
        run(paths[0], tmp_path)
    line = str(caught.value)
    assert line.startswith(f"{paths[0]}, cell 3 (begins `{code.splitlines()[0]}`): {reason}")
    assert "\n" not in line
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "logs" / "a.ipynb").is_file()


def test_sources_are_not_changed_by_weaving(paths: tuple[Path, Path]) -> None:
    before = [path.read_bytes() for path in paths]
    weave(*paths)
    assert [path.read_bytes() for path in paths] == before
