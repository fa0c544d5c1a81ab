"""The ablation's report: who is compared with whom, by how much, and what stands where nothing was computed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_tree import write_result

from tinyloc.config import Config, profile
from tinyloc.errors import InputError
from tinyloc.evaluation import paired
from tinyloc.files import write_json
from tinyloc.report import ablation, comparison, reference, runs, tables, words
from tinyloc.report.figures import learning

DECISIVE = ["difference", "difference_low", "difference_high", "p_holm", "p_equivalent"]
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
    assert len(shipped) == 13 and all(name.split("-")[0] == plain for name, plain in shipped.items())


@pytest.fixture
def folders(tmp_path):
    return [write_result(tmp_path, "shib", "plain", 0.7), write_result(tmp_path, "shib", "taught", 0.9)]


def test_differences_are_those_of_the_paired_comparison(folders):
    taught, by_two = ablation.table(CONFIG, runs.of_folders(folders)).to_dict("records")
    expected = comparison.compare(folders, "taught", "plain").intervals.iloc[0]
    names = ("difference", "difference_low", "difference_high", "p")
    assert [taught[k] for k in names] == expected[["mean", "low", "high", "p"]].tolist()
    assert taught["macro_f1"] - taught["plain_f1"] == pytest.approx(taught["difference"]) and taught["units"] == 4
    assert by_two["units"] == 0 and np.isnan(by_two["difference"]) and by_two["verdict"] == "undecided"


def test_references_say_the_same_as_the_folders_they_were_made_from(tmp_path):
    """Every number: a reference keeps the counts of each unit and seed."""
    folders = [
        write_result(tmp_path, dataset, entry, right, seed)
        for dataset in ("shib", "house")
        for entry, right in (("plain", 0.7), ("taught", 0.9))
        for seed in (0, 1)
    ]
    for folder in folders:
        made = {"fingerprint": "", "model": {"family": "forest"}, "windows": {}, "origin": ""}
        made["provenance"] = {"commit": "abc"}
        write_json(folder / "config.json", made)
        write_json(folder / "timing.json", {"seconds": 1})
    files = reference.write(folders, tmp_path / "kept")
    for path, (key, scored) in zip(files, runs.of_folders(folders).items(), strict=True):
        kept = runs.of_references([path])[key]
        assert kept.seeds == scored.seeds == (0, 1)
        order = [scored.units.names.index(name) for name in kept.units.names]
        assert (kept.units.counts == scored.units.counts[:, order]).all()
    both = CONFIG.model_copy(update={"datasets": {name: CONFIG.datasets["shib"] for name in ("shib", "house")}})
    ours, theirs = (ablation.table(both, s) for s in (runs.of_folders(folders), runs.of_references(files)))
    pd.testing.assert_frame_equal(ours, theirs)


def test_a_reference_without_counts_asks_to_be_taken_again(tmp_path):
    write_json(tmp_path / "old.json", {"dataset": "shib", "entry": "plain", "seeds": [0]})
    with pytest.raises(InputError, match=r"old.json: keeps no confusion counts; take the file again"):
        runs.of_references([tmp_path / "old.json"])


def test_scores_of_other_people_or_other_seeds_are_not_compared(folders, tmp_path):
    scores = runs.of_folders(folders)
    plain = scores["shib", "plain"]
    strangers = replace(plain, units=replace(plain.units, names=tuple("5678")))
    for other in (strangers, replace(plain, seeds=(7,))):
        assert ablation.table(CONFIG, {**scores, ("shib", "plain"): other})["difference"].isna().all()


def test_the_seeds_that_both_have_are_compared(folders, tmp_path):
    more = [*folders, write_result(tmp_path, "shib", "plain", 0.1, seed=1)]
    found = ablation.table(CONFIG, runs.of_folders(more))
    pd.testing.assert_frame_equal(found, ablation.table(CONFIG, runs.of_folders(folders)))


@pytest.fixture
def many(tmp_path, monkeypatch):
    """Eight recordings, a student of which one way of teaching makes much, one nothing and one a mess."""
    monkeypatch.setattr("report_tree.HOUSE", {"living": tuple(f"living-{i}" for i in range(8))})
    shares = {"plain": 0.8, "good": 0.95, "none": 0.8, "bad": 0.5}
    models = {name: {**SMALL, "distillation": {"teacher": "teacher", "alpha": i / 10}} for i, name in enumerate(shares)}
    models |= {"teacher": {"family": "mdcsa", "d": 8}, "plain": SMALL}
    config = Config.model_validate({**CONFIG.model_dump(), "datasets": {"house": {"kind": "house"}}, "models": models})
    folders = [write_result(tmp_path, "house", entry, share) for entry, share in shares.items()]
    return config, ablation.table(config, runs.of_folders(folders))


def test_holms_correction_counts_the_ways_of_teaching_one_student(many):
    _, table = many
    found = table.set_index("entry")
    assert found.loc["good", "p"] == 2 / 2**8 and found.loc["good", "p_holm"] == pytest.approx(3 * 2 / 2**8)
    assert found["verdict"].to_dict() == {"good": "better", "none": "equivalent", "bad": "worse"}


def test_a_difference_that_another_seed_would_turn_round_is_not_certain(many, tmp_path):
    """One seed is good on all recordings, the other a little worse than the plain student: the swaps do not see it."""
    config, _ = many
    found = [write_result(tmp_path / "two", "house", "plain", 0.8, seed) for seed in (0, 1)]
    found += [write_result(tmp_path / "two", "house", "good", share, seed) for seed, share in ((0, 0.98), (1, 0.78))]
    row = ablation.table(config, runs.of_folders(found)).set_index("entry").loc["good"]
    assert row["p_holm"] < paired.ALPHA and row["difference_low"] < 0 < row["difference"]
    assert row["verdict"] == paired.UNDECIDED


def test_helps_and_hurts_are_said_by_the_corrected_test_alone(many):
    _, table = many
    said = words.ablation(table)
    assert said == (
        "- **house**, plain: these help: scores; these hurt: scores; these change less than a point either way: scores."
    )
    assert tables.ablation(table)["the teaching"].tolist() == [
        *("**helps**", "**less than a point either way**", "**hurts**"),
    ]
    # among nine questions, the least p of 8 recordings is no longer small enough
    crowd = pd.concat([table] * 3).assign(p_holm=lambda t: paired.holm(t["p"]), p_equivalent=1.0)
    judged = [paired.verdict(*row) for row in crowd[DECISIVE].itertuples(index=False)]
    said = words.ablation(crowd.assign(verdict=judged))
    assert "help" not in said and "hurt" not in said and "No corrected p of so few units can be below 0.070" in said
    filled = learning.ablation(table).axes[0].get_lines()
    assert sorted(len(line.get_xdata()) for line in filled if line.get_ls() == "None") == [2, 3]


def test_what_helps_is_told_seed_by_seed_and_without_the_one_it_rests_on(many, tmp_path):
    _, certain = many
    shares = {"plain": (0.9, 0.5, 0.85), "good": (0.95, 0.95, 0.95), "none": (0.9, 0.5, 0.85), "bad": (0.5, 0.4, 0.5)}
    folders = [
        write_result(tmp_path / "three", "house", entry, share, seed)
        for entry, seeds in shares.items()
        for seed, share in enumerate(seeds)
    ]
    scores = runs.of_folders(folders)
    said = ablation.seeds_in_words(certain, scores).splitlines()
    assert len(said) == 4, "a heading, an empty line, and one of what helps and one of what hurts"
    scored = {entry: ablation._by_seed(scores["house", entry].units) for entry in ("plain", "good")}
    added = 100 * (scored["good"] - scored["plain"])
    assert (
        added.argmax() == 1 and f"Without the seed that counts most ({100 * scored['plain'][1]:.1f} % alone)" in said[2]
    )
    assert f"that is {added[[0, 2]].mean():+.1f} in the mean." in said[2]
    assert scored["good"].mean() == pytest.approx(scores["house", "good"].units.score(np.arange(8)[None])[0])
    one = runs.of_folders([f for f in folders if f.name == "seed0"])
    assert ablation.seeds_in_words(certain, one) == "" == ablation.seeds_in_words(certain.assign(verdict=""), scores)


def test_what_was_not_computed_says_so(folders):
    table = ablation.table(CONFIG, runs.of_folders(folders))
    shown = tables.ablation(table)
    assert shown["imitates"].tolist() == ["scores", "paths + features of 2 teachers"]
    assert shown.iloc[1, 3:].eq("not computed").all() and not shown.iloc[0, 3:].eq("not computed").any()
    assert "of these no difference can be measured: scores. (No corrected p of so few units can be below 0.125" in (
        words.ablation(table)
    )
    assert words.ablation(ablation.table(CONFIG, {})) == "There is nothing to judge by."
    for students in (table, ablation.table(CONFIG, {})):
        assert len(learning.ablation(students).axes[0].get_yticks()) == 2


def test_a_run_on_this_machine_goes_before_the_reference_and_either_before_nothing(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "shipped", lambda folder: tmp_path / folder)
    nothing = runs.found(tmp_path / "elsewhere", "ablation")
    assert nothing.scores == {} and "`ablation` was **not computed**" in nothing.origin
    plain = comparison.units_of([folders[0]]).by_unit()
    kept = {
        **{"format": 1, "dataset": "shib", "entry": "plain", "seeds": [0, 1], "fingerprint": "one"},
        "macro_f1": {"mean": plain.mean(), "low": plain.min(), "high": plain.max()},
        "confusion": {"pooled": False, "units": {"1": ["1 1 1 1", "1 1 1 1"]}},
        "provenance": {"commit": "abc"},
    }
    write_json(tmp_path / "reference" / "ablation" / "shib" / "plain.json", kept)
    theirs = runs.found(tmp_path / "elsewhere", "ablation")
    assert theirs.scores["shib", "plain"].units.by_unit().tolist() == [0.5] and theirs.agreement == ""
    assert "reference run (2 seeds a model, commit abc)" in theirs.origin
    other = tmp_path / "reference" / "ablation" / "house" / "plain.json"
    write_json(other, {**kept, "dataset": "house", "seeds": [0]})
    both = runs.found(tmp_path / "elsewhere", "ablation")
    assert "(seeds a model: 1 in house, 2 in shib, commit abc)" in both.origin
    more = tmp_path / "reference" / "ablation" / "shib" / "taught.json"
    write_json(more, {**kept, "entry": "taught", "seeds": [0], "commits": ["def"]})
    some = runs.found(tmp_path / "elsewhere", "ablation")
    assert "(seeds a model: 1 in house, 1 – 2 in shib, commit abc, def)" in some.origin
    more.unlink()
    for folder in folders:
        write_json(folder / "config.json", {"fingerprint": "one"})
    ours = runs.found(tmp_path, "ablation")
    assert set(ours.scores) == {("shib", "plain"), ("shib", "taught")}
    assert "this machine (one seed a model)" in ours.origin
    assert "Of 1 results of the same data, 1 agree" in ours.agreement
    assert folders[0] / "metrics.json" in ours.inputs
