"""The committed references against results computed here and now: they agree, and one that was tampered with is told.

A simulated house is the same data for everyone, so what disagrees with its reference is other code. The models that
are fitted in a moment are computed on every run of the tests, networks on the slow ones. Where a change of the
simulator or of a model was meant, take the references again: reference/README.md says how.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tinyloc.cli import app
from tinyloc.errors import InputError
from tinyloc.files import REPOSITORY
from tinyloc.report import reference
from tinyloc.study import Study

KEPT = sorted((REPOSITORY / "reference").glob("*/*/*.json"))  # those of reference/effort are one level higher


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open("quick", tmp_path_factory.mktemp("quick"), workers=1, progress=False)


@pytest.fixture(scope="module")
def fitted(study: Study) -> list[Path]:
    return [study.fit("house", model, 0) for model in ("neighbours", "hmm")]


def test_what_is_computed_here_agrees_with_the_committed_reference(fitted: list[Path]) -> None:
    table = reference.beside(fitted, reference.read("quick"))
    assert table["entry"].tolist() == ["neighbours", "hmm"]
    assert table["same_data"].all(), "the simulated house is not the reference's any more; take the references again"
    assert reference.disagreements(table) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gru", "mamba", "student"])
def test_a_network_that_is_trained_here_agrees_too(study: Study, model: str) -> None:
    table = reference.beside([study.fit("house", model, 0)], reference.read("quick"))
    assert table["same_data"].tolist() == [True] and reference.disagreements(table) == []


def tampered(change: Callable[[dict], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References of which each file went through `change`, in the place of the committed ones."""
    shutil.copytree(REPOSITORY / "reference", tmp_path / "reference")
    for path in (tmp_path / "reference" / "quick").rglob("*.json"):
        kept = json.loads(path.read_text())
        change(kept)
        path.write_text(json.dumps(kept))
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)


def compared(study: Study, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["reference", "--config", "quick", "--root", str(study.root), *words])
    return done.exit_code, done.output


def test_the_command_finds_no_fault_with_an_honest_run(study: Study, fitted: list[Path]) -> None:
    code, said = compared(study)
    # of two, or where the slow tests ran as well of more
    assert code == 0 and re.search(r"(\d+) of \1 results have a reference, 0 of them disagree", said)
    assert "not compared" not in said


def test_the_command_adds_seeds_to_a_folder_alone_that_it_was_given(
    study: Study, fitted: list[Path], tmp_path: Path
) -> None:
    words = ["reference", "--config", "quick", "--root", str(study.root), "--add"]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, InputError) and "--add: goes with --write" in str(refused.exception)
    for _ in range(2):  # a seed that is there already is the new one, and stands there once
        done = CliRunner().invoke(app, [*words, "--write", str(tmp_path)])
        assert done.exit_code == 0 and json.loads((tmp_path / "house" / "hmm.json").read_text())["seeds"] == [0]


def test_the_command_fails_on_a_reference_beyond_the_intervals(
    study: Study, fitted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def better(kept: dict) -> None:
        kept["macro_f1"] = {name: value + 0.3 for name, value in kept["macro_f1"].items()}

    tampered(better, tmp_path, monkeypatch)
    code, said = compared(study)
    assert code == 1 and re.search(r"(\d+) of \1 results have a reference, \1 of them disagree", said)
    assert "house/hmm: macro F1" in said
    table = reference.beside(fitted, reference.read("quick"))
    assert "Of 2 results of the same data, 0 agree" in reference.verdict(table)


def test_other_data_are_not_compared_and_this_is_said(
    study: Study, fitted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(kept: dict) -> None:
        kept["macro_f1"] = dict.fromkeys(kept["macro_f1"], 0.1)
        kept["fingerprint"] = "0" * 64

    tampered(elsewhere, tmp_path, monkeypatch)
    code, said = compared(study)
    assert code == 0 and "house: not compared, because the reference is of other data" in said
    verdict = reference.verdict(reference.beside(fitted, reference.read("quick")))
    assert "Of 0 results of the same data" in verdict and "**house** was not compared" in verdict


@pytest.mark.parametrize("path", KEPT, ids=lambda path: "-".join(path.parts[-3:]))
def test_a_reference_says_what_made_it_and_holds_nothing_else(path: Path) -> None:
    """Scores, counts and a name a unit, and their making; fewer characters than rows, so that no prediction fits in."""
    kept = json.loads(path.read_text())
    assert "export" not in kept or "." in kept["entry"]
    assert set(kept) - {"export", "confusion", "commits"} == {
        *("format", "dataset", "entry", "seeds", "macro_f1", "macro_f1_by_unit", "parameters", "seconds", "model"),
        *("windows", "origin", "fingerprint", "provenance"),
    }
    units = len(kept["macro_f1_by_unit"])
    assert units <= 96 and path.stat().st_size < 4000 + 400 * units * len(kept["seeds"])
    made = kept["provenance"]
    assert not made["commit"].endswith("+changes") and made["commit"] != "unknown"
    assert {"torch", "numpy"} <= set(made["libraries"]) and kept["seconds"] > 0


def test_the_references_of_a_profile_are_of_the_same_data_and_an_export_of_seeds_of_its_original() -> None:
    for profile in {path.parts[-3] for path in KEPT}:
        kept = {path.parts[-2:]: json.loads(path.read_text()) for path in KEPT if path.parts[-3] == profile}
        for dataset in {folder for folder, _ in kept}:
            assert len({e["fingerprint"] for (folder, _), e in kept.items() if folder == dataset}) == 1, profile
        for (folder, name), entry in kept.items():
            original = kept[folder, f"{name.split('.')[0]}.json"]
            assert set(entry["seeds"]) <= set(original["seeds"]), (profile, folder, name)


def test_the_commits_that_made_the_references_are_in_the_history() -> None:
    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("not a git repository with its history")
    kept = [json.loads(path.read_text()) for path in KEPT]
    for commit in {commit for one in kept for commit in (one["provenance"]["commit"], *one.get("commits", ()))}:
        assert git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0, commit
