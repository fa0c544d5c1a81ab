"""What may be said of pairs, delays, probabilities and disturbances; nothing is called better without a test."""

import json

import numpy as np
import pandas as pd
import pytest
from report_tree import ROOMS, SHIB, write_result

from tinyloc.config import Config, profile
from tinyloc.errors import InputError
from tinyloc.evaluation import calibration, delay
from tinyloc.evaluation.conditions import DEAD, DROPPED, LENGTH
from tinyloc.report import comparison, results, roles, trust
from tinyloc.report.figures import evidence

MANY = {"living": tuple(f"living-{i}" for i in range(8))}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Eight recordings a house: enough for a small p. `good` and `twin` answer alike, `bad` is bad."""
    monkeypatch.setattr("report_tree.HOUSE", MANY)
    shares = {"bad": 0.6, "good": 0.95, "twin": 0.95}
    return [
        write_result(tmp_path, home, entry, share) for home in ("house", "cabin") for entry, share in shares.items()
    ]


def test_every_pair_of_a_data_set_is_one_family(folders):
    tests = comparison.pairs(folders)
    assert list(tests.columns) == list(comparison.PAIRS)
    house = tests[tests["dataset"] == "house"].set_index(["entry", "against"])
    assert list(house.index) == [("bad", "good"), ("bad", "twin"), ("good", "twin")]
    assert house["p"].iloc[0] == 2 / 2**8 and house["p_holm"].iloc[0] == pytest.approx(3 * 2 / 2**8)
    assert list(house["verdict"]) == ["worse", "worse", "equivalent"]


def test_one_entry_against_the_others_is_a_smaller_family(folders):
    tests = comparison.pairs(folders, entry="good", together={"both": ["house", "cabin"]})
    assert list(tests["dataset"].unique()) == ["house", "cabin", "both"]
    assert set(tests["entry"]) == {"good"} and list(tests["against"]) == ["bad", "twin"] * 3
    both = tests[tests["dataset"] == "both"].iloc[0]
    assert both["n_units"] == 16 and both["p"] < 2 / 2**8
    assert both["difference"] == pytest.approx(tests[tests["against"] == "bad"]["difference"].iloc[:2].mean())


def test_other_seeds_do_not_pair(tmp_path):
    found = [write_result(tmp_path, "shib", "a", 0.9), write_result(tmp_path, "shib", "b", 0.8)]
    found.append(write_result(tmp_path, "shib", "b", 0.8, seed=1))
    with pytest.raises(InputError, match=r"shib: 'b' and 'a' .*units or seeds|shib: 'a' and 'b' .*units or seeds"):
        comparison.pairs(found)


def test_a_lone_entry_has_no_pairs(tmp_path):
    tests = comparison.pairs([write_result(tmp_path, "shib", "a", 0.9)])
    assert len(tests) == 0 and list(trust.verdicts_table(tests).columns) == ["data set", "model"]
    assert trust.verdicts(tests) == ""


def test_better_is_said_either_way_round_and_never_without_a_test(folders):
    tests = comparison.pairs(folders)
    said = trust.better(tests, "house", "good", "bad")
    assert said.startswith("good is better than bad by ") and "(p = 0.023)" in said
    with pytest.raises(InputError, match=r"house: nothing backs that 'bad' is better than 'good'.*worse"):
        trust.better(tests, "house", "bad", "good")
    with pytest.raises(InputError, match=r"nothing backs that 'good' is better than 'twin'.*equivalent"):
        trust.better(tests, "house", "good", "twin")
    with pytest.raises(InputError, match="house: 'good' and 'nobody' were not tested"):
        trust.better(tests, "house", "good", "nobody")


def test_verdicts_in_words(folders, tmp_path):
    text = trust.verdicts(comparison.pairs(folders, entry="good"))
    assert "- **house** (8 units, 2 pairs): good is better than bad by" in text
    assert "good and twin are equivalent within 1 point" in text
    few = [write_result(tmp_path / "few", "shib", e, s) for e, s in (("a", 0.9), ("b", 0.5))]
    assert len(SHIB) == 4
    assert "corrected, is 0.125, so that no difference" in trust.verdicts(comparison.pairs(few))


def test_the_table_of_pairs_has_its_numbers(folders):
    table = trust.pairs_table(comparison.pairs(folders, entry="good"))
    assert list(table["pair"]) == ["good − bad", "good − twin"] * 2
    assert list(table["the first is"].iloc[:2]) == ["**better**", "**equivalent**"]
    assert table["p"].iloc[0] == "0.008" and table["p, Holm"].iloc[0] == "0.016"
    crossed = trust.verdicts_table(comparison.pairs(folders))
    assert list(crossed.columns) == ["data set", "model", "good", "twin"]
    assert crossed.iloc[1].tolist() == ["house", "good", "–", "equivalent: 0.0 (0.0 to 0.0)"]


def test_what_few_units_promise_is_said_by_their_number():
    shib, house, one = trust.promises({"shib": 8, "house": 96, "alone": 1}).splitlines()
    # two-sided Student's t of 7 degrees at 1.960 √(7/8)
    assert "(8 units): a 95.0 % interval would hold the truth in 89.1 %" in shib and "2.2 would miss it" in shib
    assert "in 94.5 %" in house or "in 94.6 %" in house
    assert "no interval and no test" in one


def test_delays_are_counted_and_never_is_shown_as_endless(folders):
    waits = results.delays(folders)
    # three rooms a recording, one after the other
    assert waits.groupby(["dataset", "entry"]).size().eq(2 * 8).all()
    moves = results.restlessness(folders)
    table = trust.delay_table(waits, moves, [("house", "good"), ("shib", "good")], bin_s=2.0)
    hourly = "changes of the answer an hour (of the room)"
    house = moves.query("dataset == 'house' and entry == 'good'")[["said", "was", "steps"]].sum()
    per_hour = 3600 / (2 * house["steps"])
    assert table[hourly].iloc[0] == f"{house['said'] * per_hour:.0f} ({house['was'] * per_hour:.0f})"
    assert table[hourly].iloc[1] == "–"
    good = waits.query("dataset == 'house' and entry == 'good'")["wait"].to_numpy()
    assert table["changes of room"].tolist() == ["16", "0"]
    assert table["median delay (s)"].iloc[0].startswith(f"{2 * delay.quantile(good, 0.5):.0f} (")
    assert table["median delay (s)"].iloc[1] == "–"
    missed = waits.assign(wait=np.inf)
    assert set(trust.delay_table(missed, moves, [("house", "good")], 1.0)["median delay (s)"]) == {"∞"}
    alone = waits[waits["unit"] == waits["unit"].iloc[0]].assign(wait=4.0)
    (row,) = trust.delay_table(alone, moves, [(alone["dataset"].iloc[0], "good")], 1.0).to_dict("records")
    assert (row["median delay (s)"], row["never noticed (%)"]) == ("4", "0")
    assert "Most of them were missed by bad, good, twin." in trust.notice(missed, 1.0)
    assert "were noticed" not in trust.notice(missed, 1.0)
    part = waits.assign(wait=np.where(waits["entry"] == "bad", np.inf, 3.0))
    assert "noticed within 3 s (good), 3 s (twin). Most of them were missed by bad." in trust.notice(part, 1.0)
    assert "house**: 1 change of room." in trust.notice(part[part["entry"] == "good"].iloc[:1], 1.0)
    assert "house**: 16 changes of room." in trust.notice(waits, 1.0)
    assert "no delay" in trust.notice(waits.iloc[:0], 1.0)


@pytest.fixture
def calibrated():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(len(ROOMS)) * 0.3, 400)
    found = calibration.summary([probability], np.zeros(400, int), np.arange(400) % 8)
    ends = {"": "value", "_low": "low", "_high": "high"}
    numbers = {name + end: found[name][key] for name in ("ece", "nll", "excess") for end, key in ends.items()}
    row = {"dataset": "house", "entry": "teacher", "probabilities": "softmax", **numbers}
    return pd.DataFrame([{**row, "excess_p": found["excess"]["p"], "reliability": found["reliability"]}])


def test_probabilities_in_words_and_numbers(calibrated):
    table = trust.calibration_table(calibrated)
    ece, low, high = (f"{100 * calibrated[name].item():.1f}" for name in ("ece", "ece_low", "ece_high"))
    assert table["expected calibration error (points)"].item() == f"{ece} ({low} – {high})"
    assert "teacher: +" in trust.honesty(calibrated) and trust.honesty(calibrated).endswith("p = 0.008: too sure.")
    # the correction counts the models of a data set
    many = pd.concat([calibrated.assign(excess_p=0.02)] * 3)
    assert trust.honesty(many).count("p = 0.060: no miscalibration is certain.") == 3
    assert "too modest" in trust.honesty(calibrated.assign(excess=-0.1))
    assert "no miscalibration is certain" in trust.honesty(calibrated.assign(excess_low=-0.01))
    alone = trust.honesty(calibrated.assign(excess_p=np.nan))
    assert alone.endswith("points surer than right, which cannot be tested with a single unit.")
    assert len(trust.calibration_table(calibrated.iloc[:0])) == 0


def with_probabilities(folder, told):
    with np.load(folder / "predictions.npz") as arrays:
        table = dict(arrays)
    table["probability"] = told(table["y_true"]).astype(np.float32)
    fold = {name: "softmax" for name in dict.fromkeys(table["fold"].tolist())}
    table["notes"] = json.dumps({"parameters": dict.fromkeys(fold), "probability_source": fold})
    np.savez(folder / "predictions.npz", **table)


def test_the_calibration_of_all_seeds_is_made_from_their_answers(tmp_path):
    def told(confidence):
        return lambda true: (1 - confidence) / 2 + (confidence - (1 - confidence) / 2) * np.eye(len(ROOMS))[true]

    folders = [write_result(tmp_path, "house", "net", 0.9, seed) for seed in (0, 1)]
    silent = write_result(tmp_path, "house", "forest", 0.9)
    with_probabilities(silent, told(0.5))
    for folder, confidence in zip(folders, (0.9, 0.7), strict=True):
        with_probabilities(folder, told(confidence))
    (row,) = comparison.calibrations(folders).to_dict("records")
    assert row["nll"] == pytest.approx(-np.log([0.9, 0.7]).mean(), abs=1e-6)
    assert row["nll_low"] == pytest.approx(-np.log(0.9), abs=1e-6)  # of recordings: seeds are resampled
    assert row["excess"] == pytest.approx(0.8 - 1, abs=1e-6) and row["probabilities"] == "softmax"
    assert len(comparison.calibrations([])) == 0


def test_scores_are_shown_without_the_people_that_settings_were_chosen_on(tmp_path):
    right = {"1-1": 0.6, "2-1": 0.9, "2-2": 0.9, "3-1": 0.9, "4-1": 0.6}
    found = comparison.seen_and_unseen(
        [write_result(tmp_path, d, "net", 0.9 if d == "house" else right) for d in ("shib", "house")],
        {"shib": ["1", "4"]},
    )
    (row,) = found.to_dict("records")
    assert (row["units"], row["units_unseen"], row["units_seen"]) == (4, 2, 2)
    assert row["macro_f1"] == pytest.approx((row["macro_f1_seen"] + row["macro_f1_unseen"]) / 2)
    assert row["macro_f1_unseen"] > 0.8 > row["macro_f1_seen"]
    said = trust.seen(found, "net", {"shib": ["1", "4"]})
    assert "the scores of the units 1, 4, so" in said and "**optimistic**" in said
    assert "over the 2 that were never looked at" in said
    assert trust.seen_table(found).shape == (1, 5) and trust.seen_table(found.iloc[:0]).iloc[0, 0] == "–"
    assert "No setting" in trust.seen(comparison.seen_and_unseen([], {}), "net", {})


@pytest.fixture
def fragile():
    conditions = [
        (DROPPED, 0.0, True, 0),
        (DROPPED, 0.6, False, 0.1),
        (DROPPED, 0.8, False, 0.3),
        (DEAD, "hall", False, 0.05),
    ]
    conditions += [(LENGTH, 5, False, -0.02), (LENGTH, 20, True, 0)]
    rows = [
        ("house", entry, kind, value, reference, 0.9 - lost, 0.85 - lost, 0.95 - lost, lost, lost - 0.01, lost + 0.01)
        for entry in ("forest", "mamba")
        for kind, value, reference, lost in conditions
    ]
    return pd.DataFrame(rows, columns=results.ROBUSTNESS)


def test_disturbances_in_words_and_numbers(fragile):
    table = trust.robustness_table(fragile)
    assert list(table.columns) == ["data set", "condition", "forest", "mamba"]
    assert list(table["condition"]) == [
        "60 % of the packets lost",
        "80 % of the packets lost",
        "hall dead",
        "windows of 5 steps",
    ]
    assert table["forest"].tolist()[0] == "+10.0 (+9.0 to +11.0)"
    said = trust.fragility(fragile).splitlines()[2]
    assert "80 % of the packets lost +30.0 (+29.0 to +31.0), hall dead +5.0 (+4.0 to +6.0), windows of 5" in said
    assert "was disturbed" in trust.fragility(fragile.iloc[:0]) and len(trust.robustness_table(fragile.iloc[:0])) == 0


def test_every_figure_draws_what_it_is_given_and_says_so_where_that_is_nothing(folders, calibrated, fragile):
    pairs = evidence.pairs(comparison.pairs(folders, entry="good"))
    assert [ax.get_title(loc="left") for ax in pairs.axes] == ["house", "cabin"]
    tests = comparison.pairs(folders, entry="good").iloc[:1]
    draws = pd.concat([tests.assign(difference=d) for d in (0.01, 0.03)])
    (rings,) = [line for line in evidence.pairs(tests, draws).axes[0].get_lines() if len(line.get_xdata()) == 2][1:]
    assert list(rings.get_xdata()) == [1.0, 3.0]
    waits = results.delays(folders)
    curves = evidence.delays(waits, 1.0).axes[0].get_lines()
    last = {line.get_label(): line.get_ydata()[-1] for line in curves if not line.get_label().startswith("_")}
    good = waits.query("dataset == 'house' and entry == 'good'")["wait"]
    assert last["good"] == pytest.approx(100 * (good <= 60).mean())
    assert len(evidence.reliability(calibrated).axes) == 1
    assert len(evidence.disturbed(fragile).axes) == 2 and len(evidence.dead_gateways(fragile).axes) == 1
    for drawn in (
        evidence.delays(waits.iloc[:0], 1.0),
        evidence.reliability(calibrated.iloc[:0]),
        evidence.disturbed(fragile.iloc[:0]),
        evidence.dead_gateways(fragile.iloc[:0]),
    ):
        assert drawn.axes == [] and len(drawn.texts) == 1


# ── roles ────────────────────────────────────────────────────────────────────────────────────────
def configured(models, exports=()):
    data = {"house": {"kind": "house"}}
    return Config.model_validate(
        {"name": "p", "seeds": [0], "datasets": data, "models": models, "exports": list(exports)}
    )


WIDE, NARROW = {"family": "mdcsa", "d": 64}, {"family": "mdcsa", "d": 8}


def test_roles_follow_the_configuration_and_not_names():
    models = {"a": NARROW, "b": WIDE, "c": {**NARROW, "distillation": {"teacher": "a"}}, "d": {"family": "neighbours"}}
    models |= {"e": {"family": "mamba"}, "f": {"family": "forest"}}
    exports = [{"model": "c", "kinds": ["float32", "int8"]}, {"model": "e", "kinds": ["float32"]}]
    found = configured(models, exports)
    assert roles.teacher(found) == "a" and roles.rivals(found) == ["d", "f"]
    assert roles.of(found) == roles.Roles("a", "f", "c.int8", "e.float32")

    assert roles.teacher(configured({"a": NARROW, "b": WIDE})) == "b"
    assert roles.of(configured({"b": WIDE, "d": {"family": "neighbours"}})).yardstick == "d"


def test_a_model_that_chapter_4_cannot_export_is_refused_with_those_that_it_can():
    exports = [{"model": "a", "kinds": ["float32", "dynamic", "int8"]}, {"model": "e", "kinds": ["float32"]}]
    found = configured({"a": NARROW, "e": {"family": "mamba"}}, exports)
    assert roles.kinds(found, "a") == ["float32", "dynamic", "int8"]
    for name in ("e", "nobody"):
        with pytest.raises(InputError, match=rf"model '{name}': profile 'p' does not export it.*take one of: a$"):
            roles.kinds(found, name)


def test_a_configuration_without_a_part_is_told_in_one_line():
    with pytest.raises(InputError, match="profile 'p': no teacher; add a model of family mdcsa"):
        roles.teacher(configured({"d": {"family": "neighbours"}}))
    with pytest.raises(InputError, match="profile 'p': nothing to compare with"):
        roles.rivals(configured({"b": WIDE}))


def test_what_the_chapters_need_is_asked_for_before_anything_runs():
    roles.require_chapters(profile("quick"))
    roles.require_chapters(profile("paper"))
    quick = profile("quick").model_dump(exclude_unset=True)
    for change, said in (
        ({"devices": []}, "`devices` names nothing to run on a board"),
        ({"devices": [], "exports": []}, "model 'student-distilled': profile 'quick' does not export it"),
        ({"devices": [], "exports": quick["exports"][:1]}, "no Mamba to run along a stream"),
        ({"models": {"forest": {"family": "forest"}}, "exports": [], "devices": [], "robustness": None}, "lacks neigh"),
    ):
        with pytest.raises(InputError, match=said):
            roles.require_chapters(Config.model_validate({**quick, **change}))


def test_settings_were_not_chosen_on_data_that_are_not_there():
    config = configured({"b": WIDE, "d": {"family": "neighbours"}})
    assert config.tuned_on == {}
    with pytest.raises(ValueError, match=r"tuned_on: no data set is called 'shib'"):
        Config.model_validate({**config.model_dump(), "tuned_on": {"shib": ["4"]}})
