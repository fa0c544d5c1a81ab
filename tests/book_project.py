"""A repository in small: the workflow and the book's settings as they are, with a page and a notebook of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

REPOSITORY = Path(__file__).parents[1]

TOC = """\
format: jb-book
root: intro
chapters:
  - file: 01-chapter
"""
INTRO = """\
# A book

The one chapter is {ref}`chapter-one`, after {cite}`somebody2020`.
"""
REFERENCES = "@book{somebody2020, author = {Somebody}, title = {Something}, publisher = {A press}, year = {2020}}\n"
# One model that fits in a second, on a house that is simulated in one; with names that a shell would take apart.
CONFIG = """\
name: tiny & home
seeds: [0]
datasets:
  my house: {kind: house, fingerprint_minutes: 3, fingerprint_walks: 1, living_minutes: 3, living_recordings: 1}
models:
  neighbours: {family: neighbours, k: 7}
"""

PARAMETERS = 'profile: str = "quick"  # a configuration\nroot: str = ""  # where its results lie'
FIGURE = """\
from pathlib import Path

import matplotlib.pyplot as plt
from tinyloc.report.manifest import Page

with open("executions", "a") as count:
    count.write("x")
figure, axes = plt.subplots()
axes.plot([1, 2])
plt.close(figure)
drawn = Page(Path(root), "01-chapter").figure("line", figure, inputs=[])
print("six times seven is", 6 * 7)"""
OPENING = "(chapter-one)=\n# The chapter\n\nWith $x^2$ in the middle.\n"
CAPTION = "```{figure} figures/line.svg\n:name: fig-line\nA line.\n```\n\n{numref}`fig-line` is above.\n"


def chapter() -> nbformat.NotebookNode:
    cells = [
        new_markdown_cell(OPENING, id="opening"),
        new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(FIGURE, id="figure"),
        new_markdown_cell(CAPTION, id="caption"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notebook = folder / "notebooks" / "01-chapter.ipynb"
        self.intro = folder / "book" / "intro.md"
        self.config = folder / "configs" / "tiny.yaml"

    @property
    def root(self) -> Path:
        return self.folder / "build" / yaml.safe_load(self.config.read_text())["name"]

    def invent(self) -> None:
        """Settings of the real book around one page and one notebook of our own."""
        shutil.copytree(REPOSITORY / "workflow", self.folder / "workflow")
        shutil.copytree(REPOSITORY / "book" / "vendor", self.folder / "book" / "vendor")
        for name in ("_config.yml", "logo.svg"):
            shutil.copy(REPOSITORY / "book" / name, self.folder / "book")
        (self.folder / "book" / "_toc.yml").write_text(TOC)
        (self.folder / "book" / "references.bib").write_text(REFERENCES)
        self.intro.write_text(INTRO + "\n```{bibliography}\n```\n")
        self.notebook.parent.mkdir()
        nbformat.write(chapter(), self.notebook)
        self._configure(CONFIG)

    def take_all(self, config: str) -> None:
        """The repository's own chapters and pages, with a configuration of our own."""
        for name in ("workflow", "book", "notebooks"):
            shutil.copytree(REPOSITORY / name, self.folder / name)
        self._configure(config)

    def _configure(self, config: str) -> None:
        self.config.parent.mkdir()
        self.config.write_text(config)

    def copy(self, folder: Path) -> "Project":
        """The same state in another place, times included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def make(self, *words: str) -> subprocess.CompletedProcess:
        """Run the workflow here; stdout and stderr together in `.stdout`."""
        command = [sys.executable, "-m", "snakemake", *words, "--config", "profile=configs/tiny.yaml"]
        return subprocess.run(
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    @property
    def executions(self) -> int:
        return len((self.folder / "executions").read_text())

    def page(self, name: str) -> str:
        return (self.root / "html" / f"{name}.html").read_text()
