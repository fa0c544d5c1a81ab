"""The chapters as sources: clean, parametrised, cited, and with no number that nobody computed."""

import re
from pathlib import Path

import nbformat
import papermill
import pytest

from tinyloc.files import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.name[0].isdigit()]
PROSE = sorted((REPOSITORY / "book").glob("*.md"))
SOURCES = REPOSITORY / "src" / "tinyloc"
GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "lambda", "mu", "phi", "sigma", "tau", "omega"}

by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
by_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path: Path, kind: str | None = None) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if kind in (None, cell.cell_type)]


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def test_the_seven_chapters_are_there():
    assert [path.stem[:2] for path in CHAPTERS] == ["01", "02", "03", "04", "05", "06", "07"]


@by_name
def test_it_is_committed_without_outputs_counts_or_traces_of_an_execution(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@by_name
def test_its_cells_have_readable_names(path):
    names = [cell.id for cell in cells(path)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) and not re.search(r"\d{3}", name) for name in names)


@by_name
def test_papermill_knows_each_parameter_its_type_and_what_it_means(path):
    parameters = papermill.inspect_notebook(path)
    assert {"profile", "root"} <= set(parameters)
    for name, known in parameters.items():
        assert known["inferred_type_name"] != "None" and known["help"], name


@by_name
def test_it_says_at_its_top_which_data_made_it(path):
    first = next(i for i, cell in enumerate(cells(path)) if cell.source.startswith("## "))
    assert any("Markdown(banner(study))" in cell.source for cell in cells(path)[:first])


@by_name
def test_what_the_page_shows_from_a_file_is_not_shown_twice(path):
    for cell in cells(path, "code"):
        if "page.figure(" in cell.source or "page.table(" in cell.source:
            assert {"hide-input", "remove-output"} <= set(cell.metadata.tags), cell.id


@by_name
def test_every_figure_has_a_name_and_a_text_for_those_who_cannot_see_it(path):
    for figure in re.findall(r"```\{figure\}.*?```", prose(path), re.S):
        assert re.search(r":name: fig-[\w-]+\n", figure) and re.search(r":alt: .{30,}\n", figure), figure


@by_name
def test_every_table_has_a_name_a_caption_and_a_header(path):
    for table in re.findall(r"```\{csv-table\}.*?```", prose(path), re.S):
        assert re.match(r"```\{csv-table\} .{20,}\n", table), table
        assert ":header-rows: 1" in table and re.search(r":name: tab-[\w-]+\n", table), table


def test_no_heading_has_a_citation():
    """The list of contents beside a page shows its key and not the work."""
    texts = [*map(prose, NOTEBOOKS), *(path.read_text() for path in PROSE)]
    assert [line for text in texts for line in re.findall(r"^#+ .*\{cite.*", text, re.M)] == []


@by_name
def test_no_fence_has_a_backtick_in_its_first_line(path):
    """CommonMark takes such a fence for inline code, and the figure or table would silently be missing."""
    assert not re.search(r"^```\{[\w-]+\}[^\n]*`", prose(path), re.M)


@by_chapter
def test_a_chapter_asks_interprets_doubts_and_sets_exercises(path):
    text = prose(path)
    assert re.search(r"^\(chapter-[a-z]+\)=\n# .+\n\n\*\*Question\.\*\*", text)
    assert "## What could fool us" in text or "## How to read a verdict" in text
    exercises = text.split("## Exercises")[1]
    assert 2 <= len(re.findall(r"^\d\. ", exercises, re.M)) <= 3


@by_chapter
def test_every_exercise_that_starts_in_a_cell_has_a_folded_solution_that_checks_itself(path):
    """They run with the notebook, so a solution that is wrong stops the book."""
    code = {cell.id: cell for cell in cells(path, "code") if cell.id.startswith("exercise-")}
    starts = {name.removesuffix("-start") for name in code if name.endswith("-start")}
    solutions = {name.removesuffix("-solution") for name in code if name.endswith("-solution")}
    assert starts == solutions and len(code) == 2 * len(starts)
    for name in solutions:
        solution = code[f"{name}-solution"]
        assert {"hide-cell", "solution"} <= set(solution.metadata.tags)
        assert re.search(r"^ *(assert |torch\.testing\.assert_close\()", solution.source, re.M)


@pytest.mark.parametrize("number", ["01", "02", "03", "05"])
def test_a_chapter_on_results_has_figures_tables_and_a_hidden_solution_for_every_exercise(number):
    path = next(chapter for chapter in CHAPTERS if chapter.stem.startswith(number))
    text = prose(path)
    assert (
        len(re.findall(r"^```\{figure\}", text, re.M)) >= 4 and len(re.findall(r"^```\{csv-table\}", text, re.M)) >= 3
    )
    asked = re.findall(r"^\d\. ", text.split("## Exercises")[1], re.M)
    solved = [cell.id for cell in cells(path, "code") if re.fullmatch(r"exercise-.*-solution", cell.id)]
    assert len(solved) == len(asked) >= 3


@by_chapter
def test_its_prose_states_no_result(path):
    """Decimal fractions and percentages are results, and results come from code. Exercises may make numbers up."""
    text = re.sub(
        r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\{cite[^}]*\}`[^`]*`", "", prose(path).split("## Exercises")[0], flags=re.S
    )
    found = [number for number in re.findall(r"\d+\.\d+|\d+ ?%", text) if number != "95 %"]
    assert not found


def test_every_work_in_the_bibliography_is_cited_and_every_citation_is_there():
    text = "".join(map(prose, NOTEBOOKS)) + "".join(path.read_text() for path in PROSE)
    cited = {key.strip() for keys in re.findall(r"\{cite(?::\w)?\}`([^`]+)`", text) for key in keys.split(",")}
    listed = set(re.findall(r"^@\w+\{([^,]+),", (REPOSITORY / "book" / "references.bib").read_text(), re.M))
    assert cited == listed


def glossary() -> list[list[str]]:
    """The rows of its tables: symbol, meaning, name in the code."""
    lines = (REPOSITORY / "book" / "glossary.md").read_text().splitlines()
    return [line.split("|")[1:4] for line in lines if line.startswith("| ") and line.count("|") == 4]


def letters(formula: str) -> set[str]:
    """The letters of a formula, Latin and Greek, without the words and the commands in it."""
    formula = re.sub(r"\\(?:text|begin|end)\{[^}]*\}", " ", formula)
    greek = {name for name in re.findall(r"\\([A-Za-z]+)", formula) if name.lower() in GREEK}
    return greek | set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", formula)))


def test_every_letter_of_a_displayed_formula_is_in_the_glossary():
    explained = [re.findall(r"\$([^$]+)\$", symbol + meaning) for symbol, meaning, _ in glossary()]
    known = {letter for formulas in explained for formula in formulas for letter in letters(formula)}
    for path in CHAPTERS:
        formulas = re.findall(r"\$\$(.*?)\$\$", prose(path).split("## Exercises")[0], re.S)
        assert set().union(*map(letters, formulas)) - known == set(), path.stem


def test_every_name_in_the_glossary_is_in_the_code():
    source = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    named = {
        name
        for _, _, cell in glossary()
        for quoted in re.findall(r"`([^`]+)`", cell)
        for name in re.findall(r"[A-Za-z_]\w+", quoted)
    }
    assert len(named) > 40
    modules = {path.stem for path in SOURCES.rglob("*.py")} | {path.name for path in SOURCES.iterdir()} | {"tinyloc"}
    assert {name for name in named - modules if not re.search(rf"\b{name}\b", source)} == set()
