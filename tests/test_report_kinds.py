"""The table of all kinds of export, from references of several seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_tree import write_export, write_result

from tinyloc.report import budget, comparison, kinds, ram, reference, results, tables


def written(root: Path, entry: str, right: float, seed: int) -> Path:
    """A result folder with what `Study` adds to it."""
    folder = write_result(root, "shib", entry, right, seed)
    made = {
        "fingerprint": "one",
        "provenance": {"commit": "abc"},
        "origin": "",
        "model": {"family": "forest"},
        "windows": {},
    }
    (folder / "config.json").write_text(json.dumps(made))
    (folder / "timing.json").write_text(json.dumps({"seconds": 1.0}))
    return write_export(folder, 40_000 + seed, 20_000 - seed) if "." in entry else folder


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three seeds of a model, of an int8 that answers alike, and of a dynamic one that is much worse; of the worse one
    the last seed is missing. All are references."""
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    right = {"student": 0.9, "student.int8": 0.9, "student.dynamic": 0.6}
    made = [written(tmp_path, e, r, seed) for e, r in right.items() for seed in (0, 1, 2)][:-1]
    reference.write(made, reference.folder_of(kinds.PROFILE))
    return made


def test_a_row_an_export_against_its_original(folders: list[Path]) -> None:
    found = kinds.table().set_index("kind")
    assert list(found.index) == ["dynamic", "int8"] and set(found["model"]) == {"student"}
    assert found["seeds"].tolist() == [2, 3]
    assert found.loc["int8", ["tflite_bytes", "arena_bytes"]].tolist() == [40_002, 20_000]
    assert found.loc["int8", "difference"] == 0 and found.loc["int8", "equivalent"]
    assert found.loc["dynamic", "difference_high"] < -0.1 and not found.loc["dynamic", "equivalent"]


def test_the_difference_is_that_of_the_seeds_that_both_have(folders: list[Path]) -> None:
    pairs = [f for f in folders if f.parent.name in {"student", "student.dynamic"} and f.name != "seed2"]
    expected = comparison.compare(pairs, "student.dynamic", "student").intervals
    (found,) = kinds.table().query("kind == 'dynamic'").to_dict("records")
    assert np.isclose(found["difference"], expected["mean"][0])
    assert np.isclose(found["difference_low"], expected["low"][0])


def test_the_readers_own_run_stands_beside(folders: list[Path]) -> None:
    own = comparison.summary([f for f in folders if f.parent.name == "student.int8"])
    table = kinds.shown(kinds.table(), own).set_index("kind")
    assert table.loc["int8", "this run: macro F1 (%)"] == table.loc["int8", "macro F1 (%)"]
    assert table.loc["dynamic", "this run: macro F1 (%)"] == "–"
    assert table["equivalent"].tolist() == ["not shown", "yes"]
    assert table.loc["int8", "minus original (points)"] == "0.00 (0.00 to 0.00)"
    words = kinds.words(kinds.table())
    assert "for 2 questions: `student.int8`. Not shown to be: `student.dynamic`." in words
    assert "in the worst of 1 models, `student.int8`, 0.00 points" in words and "within the 0.5 points" in words


def test_a_kind_that_loses_more_than_it_may_is_told(folders: list[Path]) -> None:
    found = kinds.table().replace({"kind": {"dynamic": "int16x8"}})
    (line,) = (line for line in kinds.losses(found).splitlines() if "int16x8" in line)
    assert "`student.dynamic`, −" in line and "more than the 0.1 points" in line


def test_a_kind_that_is_not_for_tflite_micro_has_no_arena(folders: list[Path], tmp_path: Path) -> None:
    folder = written(tmp_path, "student.float16", 0.9, 0)
    export = json.loads((folder / "export.json").read_text())
    for entry in export["folds"].values():
        entry["arena_bytes"] = entry["arena_reported"] = None
    (folder / "export.json").write_text(json.dumps(export))
    reference.write([*folders, folder], reference.folder_of(kinds.PROFILE))
    table = kinds.shown(kinds.table(), pd.DataFrame()).set_index("kind")
    assert table.loc["float16", "arena (KB)"] == "–" and table.loc["float16", "seeds"] == 1
    memory = budget.shown(budget.memory(results.exports([folder]))).iloc[0]
    assert memory["arena (KB)"] == memory["fits 64 KB, all in RAM"] == "–" and memory[".tflite (KB)"] != "–"
    sizes = tables.exports(comparison.summary([folder]), results.exports([folder]))
    assert sizes["arena (KB)"].tolist() == ["–"]
    with_arena = ram.points(folders[:1], [folders[3], folder], [])
    assert set(with_arena["entry"]) == {"student", "student.int8"}


def test_without_references_there_is_a_row_for_the_page_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    nothing = kinds.table()
    assert nothing.empty and len(kinds.shown(nothing, pd.DataFrame())) == 1
    assert kinds.words(nothing).startswith("No reference run")


def test_the_two_forms_of_mamba_stand_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    assert kinds.forms_in_words(kinds.table()) == "No reference run has both forms."
    right = {"mamba": 0.9, "mamba.float32": 0.9, "mamba-window": 0.8, "mamba-window.float32": 0.8, "student.int8": 0.9}
    made = [written(tmp_path, e, r, seed) for e, r in right.items() for seed in (0, 1)]
    folder = next(f for f in made if f.parent.name == "mamba-window.float32")
    write_export(folder, 50_000, 60_000)
    reference.write(made, reference.folder_of(kinds.PROFILE))
    table = kinds.forms(kinds.table())
    assert table["form"].tolist() == ["a step at a time", "by windows"] and set(table["kind"]) == {"float32"}
    assert table["arena (KB)"].tolist() == ["19.5", "58.6"]
    words = kinds.forms_in_words(kinds.table())
    assert words.count("\n") == 0 and words.startswith("- **shib**: by windows float32 scores −")
    assert "arena is 58.6 KB, 3.0 times the stream's 19.5 KB" in words and "48.8 KB beside 39.1 KB" in words
