"""The workflow over a repository in small: what runs, what does not run again, and how it fails."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from book_project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project") / "repository")
    project.invent()
    run = project.make()
    assert run.returncode == 0, run.stdout
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    return built.copy(tmp_path / "repository")


def test_build_leaves_the_page_with_what_its_notebook_printed_and_drew(built: Project) -> None:
    page = built.page("01-chapter")
    assert "six times seven is 42" in page
    assert 'src="_images/line.svg"' in page
    assert "Fig. 1" in page
    assert (built.root / "html" / "index.html").is_file()


def test_published_notebook_is_the_executed_one(built: Project) -> None:
    downloaded = nbformat.read(built.root / "html" / "_sources" / "01-chapter.ipynb", as_version=4)
    outputs = [output.text for cell in downloaded.cells for output in cell.get("outputs", ())]
    assert outputs == ["six times seven is 42\n"]


def test_every_notebook_has_a_log(built: Project) -> None:
    assert "Executing Cell" in (built.root / "logs" / "01-chapter.log").read_text()


def test_second_build_does_nothing(project: Project) -> None:
    assert "Nothing to be done" in project.make().stdout


def test_edited_prose_is_published_without_executing(project: Project) -> None:
    project.edit(project.notebook, "in the middle", "in its middle")
    run = project.make()
    assert run.returncode == 0, run.stdout
    assert "in its middle" in project.page("01-chapter")
    assert "six times seven is 42" in project.page("01-chapter")
    assert project.executions == 1


def test_edited_code_is_executed_and_published(project: Project) -> None:
    project.edit(project.notebook, "six times seven is", "6 x 7 =")
    run = project.make()
    assert run.returncode == 0, run.stdout
    assert "6 x 7 = 42" in project.page("01-chapter")
    assert project.executions == 2


def test_changed_model_trains_again_and_the_rest_of_the_stages_stay(project: Project) -> None:
    project.edit(project.config, "k: 7", "k: 3")
    run = project.make("--dry-run", "--quiet", "host")
    rules = {line.split()[0] for line in run.stdout.splitlines() if line.split()[1:] == ["1"]}
    assert {"train", "notebook", "html"} <= rules, run.stdout
    assert "prepare" not in rules


def said_last(output: str) -> str:
    """The last line that is about the study and not about Snakemake."""
    return next(line for line in reversed(output.splitlines()) if line.startswith("build/tiny & home/logs/"))


def test_failed_cell_stops_the_build_and_is_named_last(project: Project) -> None:
    project.edit(project.notebook, "6 * 7)", "6 * seven)")
    before = project.page("01-chapter")
    run = project.make()
    assert run.returncode != 0
    line = said_last(run.stdout)
    assert line.startswith("build/tiny & home/logs/01-chapter.log: notebooks/01-chapter.ipynb, cell 3 ")
    assert "NameError: name 'seven' is not defined" in line
    # no half output: the page stays, and how far the notebook came lies with the logs
    assert project.page("01-chapter") == before
    assert not (project.root / "notebooks" / "01-chapter.ipynb").exists()
    assert (project.root / "logs" / "01-chapter.ipynb").is_file()


def test_failed_stage_fails_again_though_the_last_book_is_there(project: Project) -> None:
    project.edit(project.config, "k: 7", "k: 7000")  # more neighbours than there are windows
    for _ in range(2):
        run = project.make()
        assert run.returncode != 0
        line = said_last(run.stdout)
        assert line.startswith(
            "build/tiny & home/logs/train-my house-neighbours-seed0.log: tinyloc: neighbours: k 7000, but "
        )


def test_broken_reference_fails_every_time_and_keeps_the_last_good_book(project: Project) -> None:
    project.edit(project.intro, "{ref}`chapter-one`", "{ref}`chapter-two`")
    for _ in range(2):
        run = project.make()
        assert run.returncode != 0
        assert "chapter-two" in run.stdout
    assert "The chapter" in project.page("intro")


def test_wrong_configuration_is_said_in_one_line(project: Project) -> None:
    shutil.rmtree(project.root)
    project.edit(project.config, "name: tiny", "nam: tiny")
    run = project.make()
    assert run.returncode != 0
    assert "Traceback" not in run.stdout
    assert "configs/tiny.yaml: nam: no such key" in run.stdout


def test_assembled_sources_are_listed_with_their_digests(built: Project) -> None:
    listed = json.loads((built.root / "assembled.json").read_text())
    assert {"_config.yml", "_toc.yml", "intro.md", "01-chapter.ipynb", "figures/line.svg"} <= set(listed)
    assert {p for p in listed if not (built.root / "book" / p).is_file()} == set()
