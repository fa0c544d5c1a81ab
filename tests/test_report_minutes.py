"""How long one must walk: two families of paired tests along a curve, and sentences that follow from them alone."""

import numpy as np
import pandas as pd
import pytest

from tinyloc.config import Config, profile
from tinyloc.evaluation import paired, statistics
from tinyloc.report import minutes
from tinyloc.report.figures import minutes as drawn
from tinyloc.report.runs import Scored

HOUSE = {"kind": "house", "plan": "B", "fingerprint_minutes": 10, "fingerprint_walks": 1}
CONFIG = Config.model_validate(
    {
        "name": "small",
        "seeds": [0],
        # not in their order
        "datasets": {f"walk-{m}": {**HOUSE, "fingerprint_kept_minutes": m} for m in (5, 2)} | {"whole": HOUSE},
        "models": {
            "forest": {"family": "forest"},
            "hmm": {"family": "hmm"},
            "teacher": {"family": "mdcsa", "d": 8},
        },
    }
)
UNITS, WINDOWS = 12, 600
RIGHT = {  # share of right answers after 2, 5 and 10 minutes
    "forest": (0.5, 0.6, 0.7),
    "hmm": (0.8, 0.8, 0.8),
    "teacher": (0.6, 0.9, 0.9),
}


def scored(right: float, seeds: tuple[int, ...] = (0, 1)) -> Scored:
    """Recordings in which the same windows are hard for everybody."""
    luck = np.random.default_rng(0).random((UNITS, 2 * WINDOWS))
    true = np.tile([0, 1], WINDOWS)
    counts = [statistics.confusion(true, np.where(one < right, true, 1 - true), 2) for one in luck]
    names = tuple(f"living-{u}" for u in range(UNITS))
    return Scored(statistics.Units(np.array([counts] * len(seeds)), names, pooled=True), seeds)


@pytest.fixture(scope="module")
def scores():
    lengths = ("walk-2", "walk-5", "whole")
    return {(d, entry): scored(r) for entry, right in RIGHT.items() for d, r in zip(lengths, right, strict=True)}


def test_walks_come_by_their_length_and_a_whole_one_counts_in_full():
    assert minutes.walks(CONFIG) == {"walk-2": 2, "walk-5": 5, "whole": 10}
    shipped = profile("minutes")
    assert list(minutes.walks(shipped).values()) == [5, 10, 20, 40, 60]
    # nothing but the length differs, so that living is the same, recording by recording
    houses = [house.model_dump(exclude={"fingerprint_kept_minutes"}) for house in shipped.datasets.values()]
    assert all(house == houses[0] for house in houses)


def test_the_transformer_of_the_profile_is_that_of_the_four_houses_but_for_its_updates():
    ours, theirs = (profile(name).models["teacher"] for name in ("minutes", "houses"))
    assert ours.training.least_updates > 0
    training = ours.training.model_copy(update={"least_updates": 0})
    assert ours.model_copy(update={"training": training}) == theirs


def test_rooms_are_counted_as_the_walk_goes_through_them():
    found = minutes.rooms(CONFIG)
    assert found["minutes"].tolist() == [2, 5, 10] and (found["rooms"] == 11).all()
    assert found["walked"].is_monotonic_increasing and found["walked"].iloc[0] < 11 == found["walked"].iloc[-1]
    assert found["least_s"].iloc[0] == 0 < found["least_s"].iloc[-1]


def test_the_curve_has_an_interval_for_every_length_and_model(scores):
    found = minutes.curve(CONFIG, scores)
    assert len(found) == 9 and found["seeds"].eq(2).all() and found["units"].eq(UNITS).all()
    assert ((found["low"] < found["macro_f1"]) & (found["macro_f1"] < found["high"])).all()


def test_the_teacher_meets_each_rival_at_each_length_in_one_family(scores):
    tests = minutes.against_rivals(CONFIG, scores)
    assert list(tests["minutes"]) == [2, 2, 5, 5, 10, 10] and set(tests["entry"]) == {"teacher"}
    np.testing.assert_allclose(tests["p_holm"], paired.holm(tests["p"]))
    assert tests.set_index(["minutes", "against"])["verdict"].to_dict() == {
        (2, "forest"): "better",
        (2, "hmm"): "worse",
        **{(m, rival): "better" for m in (5, 10) for rival in ("forest", "hmm")},
    }


def test_each_model_meets_itself_after_the_longest_walk(scores):
    tests = minutes.against_longest(CONFIG, scores)
    assert set(tests["against"]) == {"whole"} and len(tests) == 6
    assert tests.set_index(["entry", "minutes"])["verdict"].to_dict() == {
        **{("forest", m): "worse" for m in (2, 5)},
        **{("hmm", m): "equivalent" for m in (2, 5)},
        ("teacher", 2): "worse",
        ("teacher", 5): "equivalent",
    }


def said(scores):
    return minutes.in_words(CONFIG, minutes.against_rivals(CONFIG, scores), minutes.against_longest(CONFIG, scores))


def test_the_sentences_say_from_when_on(scores):
    ahead, forest, hmm, teacher = said(scores).splitlines()
    assert "**teacher** is better than each of forest, hmm from walks of **5 min** on" in ahead
    assert "for 6 tests). Otherwise: after 2 min worse against hmm (−" in ahead
    assert "**forest**: no shorter walk is shown to be as good as one of 10 min" in forest
    assert "after 5 min it is worse (−" in forest
    assert "**hmm**: walks of **2 min** are as good" in hmm and "**teacher**: walks of **5 min**" in teacher


def test_a_length_at_which_it_is_better_by_luck_is_no_start(scores):
    """Ahead after 2 minutes and not after 5: what holds from some length on has to hold to the end."""
    turned = {**scores, ("walk-2", "teacher"): scored(0.95), ("whole", "teacher"): scored(0.8)}
    first = said(turned).splitlines()[0]
    assert (
        "after walks of **no length**" in first and "after 2 min better than all; after 5 min better than all" in first
    )
    assert "after 10 min equivalent against hmm" in first


def test_tables_and_figure_hold_every_length_and_what_is_missing_says_so(scores):
    ahead, found = minutes.against_rivals(CONFIG, scores), minutes.curve(CONFIG, scores)
    table = minutes.curve_table(found, minutes.rooms(CONFIG))
    assert table["minutes a walk"].tolist() == ["2", "5", "10"] and not table.eq("–").any(axis=None)
    shown = minutes.tests_table(ahead, "against", "minutes")
    assert shown.columns.tolist() == ["", "2 min", "5 min", "10 min"] and shown[""].tolist() == ["forest", "hmm"]
    assert shown.iloc[1, 1].endswith(": **worse**")
    left, right = drawn.curves(found, ahead).axes
    assert len(left.get_lines()) == 3 and [t.get_text() for t in left.get_xticklabels()] == ["2", "5", "10"]
    filled = [line for line in right.get_lines() if line.get_ls() == "None"]
    assert [len(line.get_xdata()) for line in filled] == [3, 3]
    del scores["walk-5", "hmm"]
    partial = minutes.against_rivals(CONFIG, scores)
    assert len(partial) == 5 and minutes.tests_table(partial, "against", "minutes").iloc[1, 2] == "–"
    nothing = minutes.against_rivals(CONFIG, {}), minutes.against_longest(CONFIG, {})
    assert minutes.in_words(CONFIG, *nothing) == "There is nothing to judge by."
    assert isinstance(minutes.tests_table(nothing[0], "against", "minutes"), pd.DataFrame)
    assert len(minutes.curve_table(minutes.curve(CONFIG, {}), minutes.rooms(CONFIG))) == 3
    assert drawn.curves(minutes.curve(CONFIG, {}), nothing[0]).axes == []
