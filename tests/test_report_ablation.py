"""The ablation's report: who is compared with whom, by how much, and what stands where nothing was computed."""

import json

import numpy as np
import pandas as pd
import pytest
from report_tree import SHIB, write_result

from tinyloc.config import Config, profile
from tinyloc.files import write_json
from tinyloc.report import ablation, comparison, reference, tables, words
from tinyloc.report.figures import learning

SMALL = {"family": "mdcsa", "d": 4}
CONFIG = Config.model_validate(
    {
        "name": "small",
        "seeds": [0],
        "datasets": {"shib": {"kind": "shib"}},
        "models": {
            "teacher": {"family": "mdcsa", "d": 8},
            "plain": SMALL,
            "taught": {**SMALL, "distillation": {"teacher": "teacher"}},
            "by-two": {
                **SMALL,
                "distillation": {"teacher": "teacher", "teacher_seeds": [0, 1], "targets": {"paths": 1, "features": 2}},
            },
            "alone": {"family": "mdcsa", "d": 5, "distillation": {"teacher": "teacher"}},
        },
    }
)


def test_a_student_is_compared_with_the_one_that_is_alike_but_for_its_teacher():
    assert ablation.pairs(CONFIG) == {"taught": "plain", "by-two": "plain"}
    shipped = ablation.pairs(profile("ablation"))
    assert len(shipped) == 11 and all(name.split("-")[0] == plain for name, plain in shipped.items())


@pytest.fixture
def folders(tmp_path):
    return [write_result(tmp_path, "shib", "plain", 0.7), write_result(tmp_path, "shib", "taught", 0.9)]


def test_differences_are_those_of_the_paired_comparison(folders):
    taught, by_two = ablation.table(CONFIG, ablation.of_folders(folders)).to_dict("records")
    expected = comparison.compare(folders, "taught", "plain").intervals.iloc[0]
    assert [taught[k] for k in ("difference", "low", "high")] == pytest.approx(
        expected[["mean", "low", "high"]].tolist()
    )
    assert taught["macro_f1"] - taught["plain_f1"] == pytest.approx(taught["difference"]) and taught["units"] == 4
    assert by_two["units"] == 0 and np.isnan(by_two["difference"])


def test_references_say_the_same_as_the_folders_they_were_made_from(folders, tmp_path):
    files = []
    for (dataset, entry), by_unit in ablation.of_folders(folders).items():
        files.append(tmp_path / f"{entry}.json")
        kept = {"dataset": dataset, "entry": entry, "macro_f1_by_unit": by_unit[::-1].to_dict()}
        files[-1].write_text(json.dumps(kept))
    ours, theirs = (ablation.table(CONFIG, s) for s in (ablation.of_folders(folders), ablation.of_references(files)))
    # the units of a file come in another order, and the same resamples draw others of them
    exact = ["dataset", "entry", "units", "plain_f1", "macro_f1", "difference"]
    pd.testing.assert_frame_equal(ours[exact], theirs[exact])
    assert theirs["low"][0] == pytest.approx(ours["low"][0], abs=0.01)


def test_scores_of_other_people_are_not_compared():
    scores = {("shib", "plain"): pd.Series(0.7, SHIB), ("shib", "taught"): pd.Series(0.9, ["1", "9"])}
    assert ablation.table(CONFIG, scores)["difference"].isna().all()


def test_what_was_not_computed_says_so(folders):
    table = ablation.table(CONFIG, ablation.of_folders(folders))
    shown = tables.ablation(table)
    assert shown["imitates"].tolist() == ["scores", "paths + features of 2 teachers"]
    assert shown.iloc[1, 3:].eq("not computed").all() and not shown.iloc[0, 3:].eq("not computed").any()
    assert words.ablation(table).startswith("Of 1 differences, 1 have")
    assert words.ablation(ablation.table(CONFIG, {})) == "There is no interval to judge by."
    for students in (table, ablation.table(CONFIG, {})):
        assert len(learning.ablation(students).axes[0].get_yticks()) == 2


def test_a_run_on_this_machine_goes_before_the_reference_and_either_before_nothing(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    nothing = ablation.found(tmp_path / "elsewhere")
    assert nothing.scores == {} and "not computed" in nothing.origin
    plain = comparison.units_of([folders[0]]).by_unit()
    kept = {
        **{"format": 1, "dataset": "shib", "entry": "plain", "seeds": [0, 1], "fingerprint": "one"},
        "macro_f1": {"mean": plain.mean(), "low": plain.min(), "high": plain.max()},
        "macro_f1_by_unit": {"1": 0.5},
        "provenance": {"commit": "abc"},
    }
    write_json(tmp_path / "reference" / "ablation" / "shib" / "plain.json", kept)
    theirs = ablation.found(tmp_path / "elsewhere")
    assert theirs.scores["shib", "plain"]["1"] == 0.5 and theirs.agreement == ""
    assert "reference run (2 seeds a student, commit abc)" in theirs.origin
    other = tmp_path / "reference" / "ablation" / "house" / "plain.json"
    write_json(other, {**kept, "dataset": "house", "seeds": [0]})
    assert "(seeds a student: 1 in house, 2 in shib, commit abc)" in ablation.found(tmp_path / "elsewhere").origin
    for folder in folders:
        write_json(folder / "config.json", {"fingerprint": "one"})
    ours = ablation.found(tmp_path)
    assert set(ours.scores) == {("shib", "plain"), ("shib", "taught")}
    assert "this machine (one seed a student)" in ours.origin
    assert "Of 1 results of the same data, 1 agree" in ours.agreement
    assert folders[0] / "metrics.json" in ours.inputs
