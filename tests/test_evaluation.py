"""Scores against scikit-learn's, and intervals against what they have to do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from tinyloc.evaluation import statistics
from tinyloc.evaluation.metrics import evaluate
from tinyloc.training.predictions import Predictions

ROOMS = ("hall", "kitchen", "bedroom")
room_pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


def rows(true, predicted, recording="r1"):
    true = np.asarray(true)
    names = np.full(len(true), recording) if isinstance(recording, str) else np.asarray(recording)
    return Predictions(names, np.zeros(len(true), int), np.arange(len(true)), true, np.asarray(predicted))


@settings(derandomize=True, deadline=None)
@given(room_pairs)
def test_scores_are_those_of_scikit_learn(pairs):
    true, predicted = map(list, zip(*pairs, strict=True))
    counts = statistics.confusion(np.array(true), np.array(predicted), 3)
    assert (counts == confusion_matrix(true, predicted, labels=[0, 1, 2])).all()
    assert statistics.macro_f1(counts) == pytest.approx(f1_score(true, predicted, average="macro"))
    assert statistics.accuracy(counts) == pytest.approx(accuracy_score(true, predicted))


def test_metrics_of_a_case_counted_by_hand():
    metrics = evaluate({"a": rows([0, 0, 1, 1], [0, 1, 1, 1])}, ROOMS)
    fold = metrics["folds"]["a"]
    assert fold["n"] == 4
    assert fold["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert fold["per_room_f1"] == {"hall": pytest.approx(2 / 3), "kitchen": pytest.approx(4 / 5), "bedroom": None}
    assert fold["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert fold["accuracy"] == pytest.approx(3 / 4)


def test_headline_is_the_mean_over_folds_whatever_their_size():
    small, large = rows([0, 1], [0, 0]), rows([0, 1] * 50, [0, 1] * 50)
    metrics = evaluate({"small": small, "large": large}, ROOMS)
    expected = (metrics["folds"]["small"]["macro_f1"] + 1.0) / 2
    assert metrics["macro_f1"]["mean"] == pytest.approx(expected)
    assert metrics["macro_f1"]["low"] <= expected <= metrics["macro_f1"]["high"]


def test_a_single_fold_is_resampled_by_recording_and_scored_pooled():
    recording = ["r1"] * 4 + ["r2"] * 4
    true, predicted = [0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 1, 0, 1, 0]
    metrics = evaluate({"living": rows(true, predicted, recording)}, ROOMS)
    assert metrics["macro_f1"]["mean"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert metrics["macro_f1"]["low"] == 0.0  # r2 twice
    assert metrics["macro_f1"]["high"] == 1.0  # r1 twice


def test_one_unit_has_no_interval():
    metrics = evaluate({"living": rows([0, 1], [0, 1])}, ROOMS)
    assert metrics["macro_f1"] == {"mean": 1.0, "low": None, "high": None}


def test_interval_of_a_mean_covers_as_often_as_it_says():
    """A percentile interval of 30 units covers a little less often than 95 %; far less would be a mistake."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        values = rng.normal(0.5, 0.1, 30)
        found = statistics.interval(lambda i, _, v=values: v[i].mean(-1), 30)
        covered += found["low"] <= 0.5 <= found["high"]
    assert 85 <= covered <= 99


def test_seeds_are_averaged_and_do_not_narrow_the_interval():
    true = np.array([0, 1] * 10)
    folds = ["a"] * 10 + ["b"] * 10
    wrong = np.concatenate([true[:10], 1 - true[10:]])
    one = statistics.units(folds, folds, [(true, wrong)], 2)
    three = statistics.units(folds, folds, [(true, wrong)] * 3, 2)
    assert statistics.interval(one.score, 2) == statistics.interval(three.score, 2)


def test_resampled_counts_are_the_sums_of_the_drawn_units_to_the_bit():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 10**6, (3, 7, 4, 4))
    units, seeds = rng.integers(7, size=(50, 7)), rng.integers(3, size=(50, 3))
    literal = np.array([counts[:, drawn].sum(1) for drawn in units])
    assert (statistics.pooled(counts, units) == literal).all()
    by_seed = np.array([sums[chosen] for sums, chosen in zip(literal, seeds, strict=True)])
    assert (statistics.pooled(counts, units, seeds) == by_seed).all()
    found = statistics.Units(counts, tuple("abcdefg"), pooled=True).score(units, seeds)
    assert (found == statistics.macro_f1(by_seed).mean(1)).all()


@pytest.mark.parametrize("n", [5, 8, 30])
def test_what_few_units_keep_of_an_interval_is_what_is_seen_when_they_are_drawn(n):
    """Means of normal units; 4,000 studies have a standard error of half a point."""
    values = np.random.default_rng(2).normal(size=(4000, n))
    drawn, _ = statistics.draws(n)
    resampled = np.array([np.quantile(v[drawn[:1000]].mean(1), (0.025, 0.975)) for v in values])
    seen = ((resampled[:, 0] <= 0) & (resampled[:, 1] >= 0)).mean()
    assert statistics.coverage(n) == pytest.approx(seen, abs=0.02)
    assert statistics.coverage(n) < statistics.coverage(1000) < 0.95
