"""Reference results: kept without anything about people, and compared only where the data are the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_tree import write_result

from tinyloc.config import Config
from tinyloc.errors import InputError
from tinyloc.report import reference, tables

FROM = (("authors", 0), ("more", 1), ("more", 2))


def written(root: Path, right: float, seed: int = 0, fingerprint: str = "one", entry: str = "teacher") -> Path:
    """A result folder with what `Study` adds to it."""
    folder = write_result(root, "shib", entry, right, seed)
    config = {
        "model": {"family": "mdcsa"},
        "windows": {"length": 20},
        "origin": "made by a test",
        "fingerprint": fingerprint,
        "provenance": {"commit": "abc"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "timing.json").write_text(json.dumps({"seconds": 2.5, "workers": 1}))
    return folder


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """References of two seeds, where `reference.read("quick")` finds them."""
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    folders = [written(tmp_path / "authors", 0.9, seed) for seed in (0, 1)]
    return reference.write(folders, reference.folder_of("quick"))[0]


def test_a_reference_keeps_scores_and_their_making_and_no_predictions(kept: Path) -> None:
    content = json.loads(kept.read_text())
    assert content["seeds"] == [0, 1] and content["seconds"] == 5.0
    assert set(content["macro_f1_by_unit"]) == {"1", "2", "3", "4"}
    assert content["macro_f1"]["low"] < content["macro_f1"]["mean"] < content["macro_f1"]["high"]
    assert np.isclose(content["macro_f1"]["mean"], np.mean(list(content["macro_f1_by_unit"].values())))
    assert not {"predictions", "y_true", "folds"} & set(content)
    assert all(len(line.split()) == 9 for seeds in content["confusion"]["units"].values() for line in seeds)


def test_seeds_are_added_to_those_that_a_reference_has_and_one_computed_again_is_new(
    kept: Path, tmp_path: Path
) -> None:
    before = json.loads(kept.read_text())
    anew = [written(tmp_path / "more", right, seed) for right, seed in ((0.5, 2), (0.8, 1))]
    assert reference.write(anew, reference.folder_of("quick"), add=True) == [kept]
    after, whole = json.loads(kept.read_text()), reference.units_of(kept)
    assert after["seeds"] == [0, 1, 2] and after["commits"] == ["abc"] * 3 and after["seconds"] == 7.5
    for unit, lines in after["confusion"]["units"].items():
        assert lines[0] == before["confusion"]["units"][unit][0] and lines[1] != before["confusion"]["units"][unit][1]
    folders = [tmp_path / where / "results" / "shib" / "teacher" / f"seed{k}" for where, k in FROM]
    alike = json.loads(reference.write(folders, tmp_path / "whole")[0].read_text())
    assert alike["macro_f1"] == after["macro_f1"] and whole.n_seeds == 3
    # without --add the file is this run's alone
    reference.write(anew, reference.folder_of("quick"))
    assert json.loads(kept.read_text())["seeds"] == [2, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "two"}, "'fingerprint' is not as in this run"),
        ({"model": {"family": "mdcsa", "d": 8}}, "'model' is not as in this run"),
        ({"windows": {"length": 5}}, "'windows' is not as in this run"),
        ({"export": {}}, "an export is taken with all its seeds"),
        ({"confusion": {"pooled": False, "units": {"9": ["1 0 0 1"] * 2}}}, "'units' is not as in this run"),
    ],
)
def test_seeds_of_something_else_are_not_added_and_the_file_stays(
    kept: Path, tmp_path: Path, change: dict, said: str
) -> None:
    kept.write_text(json.dumps(json.loads(kept.read_text()) | change))
    before = kept.read_bytes()
    with pytest.raises(InputError, match=said):
        reference.write([written(tmp_path / "more", 0.5, 2)], reference.folder_of("quick"), add=True)
    assert kept.read_bytes() == before


def test_a_setting_that_was_none_when_the_reference_was_taken_has_its_default(kept: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "more", 0.5, 2)
    made = json.loads((folder / "config.json").read_text())
    made["model"] |= {"d": 256, "rssi_bins": 0}
    (folder / "config.json").write_text(json.dumps(made))
    reference.write([folder], reference.folder_of("quick"), add=True)
    assert json.loads(kept.read_text())["seeds"] == [0, 1, 2]


def test_a_run_like_the_reference_agrees_and_a_worse_one_does_not(kept: Path, tmp_path: Path) -> None:
    references = reference.read("quick")
    like = reference.beside([written(tmp_path / "like", 0.9, seed=0)], references)
    assert like["agrees"].tolist() == [True] and reference.disagreements(like) == []
    worse = reference.beside([written(tmp_path / "worse", 0.6)], references)
    assert worse["agrees"].tolist() == [False]
    assert "shib/teacher" in reference.disagreements(worse)[0]


def test_nothing_is_concluded_from_other_data_or_without_a_reference(kept: Path, tmp_path: Path) -> None:
    references = reference.read("quick")
    other = reference.beside([written(tmp_path / "other", 0.6, fingerprint="two")], references)
    assert other["agrees"].tolist() == [None] and reference.disagreements(other) == []
    assert tables.reference(other)["agree"].tolist() == ["other data"]
    assert reference.beside([written(tmp_path / "new", 0.6, entry="mamba")], references).empty
    assert reference.disagreements(reference.beside([], references)) == []


def test_without_an_interval_only_the_same_score_agrees(kept: Path) -> None:
    alone = replace(reference.read("quick")[0], mean=0.9, low=np.nan, high=np.nan)
    assert alone.agrees(0.9, np.nan, np.nan)
    assert not alone.agrees(0.91, np.nan, np.nan)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("fingerprint", {"fingerprint": "two"}),
        ("model", {"model": {"family": "mdcsa", "d": 8}}),
        ("windows", {"windows": {"length": 5}}),
        ("test rows", {}),
    ],
)
def test_seeds_that_were_not_made_alike_are_no_reference(tmp_path: Path, what: str, change: dict) -> None:
    mixed = [written(tmp_path / "mixed", 0.9, seed) for seed in (0, 3)]
    made = json.loads((mixed[1] / "config.json").read_text())
    (mixed[1] / "config.json").write_text(json.dumps(made | change))
    if not change:
        with np.load(mixed[1] / "predictions.npz") as arrays:
            kept = {name: arrays[name] for name in arrays}
        # as many rows, one of which is in another fold
        kept["fold"][kept["recording"] == "2-2"] = "3"
        np.savez(mixed[1] / "predictions.npz", **kept)
    with pytest.raises(InputError, match=f"^shib/teacher: seeds 0 and 3 differ in '{what}'; compute them again"):
        reference.write(mixed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_seeds_whose_settings_differ_in_words_alone_are_one_reference(tmp_path: Path) -> None:
    alike = [written(tmp_path / "alike", 0.9, seed) for seed in (0, 1)]
    made = json.loads((alike[1] / "config.json").read_text())
    made["model"] |= {"d": 256, "rssi_bins": 0}  # the defaults
    (alike[1] / "config.json").write_text(json.dumps(made))
    assert json.loads(reference.write(alike, tmp_path / "out")[0].read_text())["seeds"] == [0, 1]


def test_files_of_another_format_are_refused(kept: Path) -> None:
    kept.write_text(kept.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(InputError, match="format 9"):
        reference.read("quick")


def test_references_alone_are_a_row_a_model_and_a_column_a_data_set(kept: Path) -> None:
    table = reference.shown(reference.read("quick"))
    assert list(table) == ["model", "shib"] and table["model"].tolist() == ["teacher"]
    assert len(reference.shown([])) == 1


def test_a_page_gets_a_row_though_nothing_has_a_reference(kept: Path) -> None:
    assert len(tables.reference(reference.beside([], reference.read("quick")))) == 1


def test_how_much_of_a_profile_was_computed(kept: Path) -> None:
    config = Config.model_validate(
        {
            "name": "p",
            "seeds": [0, 1, 2],
            "datasets": {name: {"kind": "house"} for name in ("shib", "house")},
            "models": {name: {"family": "forest"} for name in ("good", "other", "third")},
        }
    )
    said = reference.computed(config, reference.read("quick"))
    assert said == (
        "That is 1 of the 6 pairs of a data set and a model that the profile trains: teacher, with 2 of its 3 seeds."
    )
    assert reference.computed(config, []) == "None of it was computed."
