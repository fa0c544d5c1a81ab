"""Paired tests against enumeration and textbook cases: the right p, the right correction, no verdict without proof."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tinyloc.evaluation import paired, statistics

ROOMS = 3


def units(right, n=50, pooled=False, seed=0):
    """Units with this share of right answers each; the same windows are hard for every model. right: [U] or [K, U]."""
    rng = np.random.default_rng(seed)
    shares = np.atleast_2d(right)
    true, luck = np.tile(np.arange(ROOMS), n), rng.random((shares.shape[1], ROOMS * n))
    counts = [
        [
            statistics.confusion(true, np.where(luck[u] < share, true, (true + 1) % ROOMS), ROOMS)
            for u, share in enumerate(k)
        ]
        for k in shares
    ]
    return statistics.Units(np.asarray(counts), tuple(f"u{i}" for i in range(shares.shape[1])), pooled)


def verdict(found):
    """Of a single question."""
    return paired.verdict(found.difference, found.low, found.high, found.p, found.p_equivalent)


def test_the_p_of_folds_is_that_of_all_sign_flips():
    rng = np.random.default_rng(3)
    ours, theirs = units(rng.uniform(0.7, 0.9, 8)), units(rng.uniform(0.6, 0.9, 8))
    difference = ours.by_unit() - theirs.by_unit()
    flipped = (np.array(list(product((1, -1), repeat=8))) * difference).mean(1)
    expected = np.mean(np.abs(flipped) >= abs(difference.mean()) - 1e-12)
    found = paired.compare([ours], [theirs])
    assert found.p == pytest.approx(expected)
    assert found.difference == pytest.approx(difference.mean())
    assert found.low < found.difference < found.high


def test_one_row_in_hundred_thousands_is_no_difference():
    """One fold alone differs, so that flips change the sign or nothing, but for the rounding of the sum."""
    theirs = units(np.random.default_rng(4).uniform(0.7, 0.95, 8), n=20_000)
    counts = theirs.counts.copy()
    counts[0, 3] += [[1, -1, 0], [0, 0, 0], [0, 0, 0]]
    found = paired.compare([replace(theirs, counts=counts)], [theirs])
    assert 0 < found.difference < 1e-5 and found.p == 1
    assert verdict(found) == paired.EQUIVALENT


def test_the_p_of_pooled_recordings_swaps_their_counts():
    ours, theirs = units([0.9, 0.8, 0.95], pooled=True), units([0.85, 0.85, 0.6], pooled=True)
    observed, found = paired.compare([ours], [theirs]), []
    for swap in product((False, True), repeat=3):
        pick = np.array(swap)[:, None, None]
        one, other = (
            np.where(pick, *pair)[None]
            for pair in ((theirs.counts[0], ours.counts[0]), (ours.counts[0], theirs.counts[0]))
        )
        found.append(float(statistics.macro_f1(one.sum(1))[0] - statistics.macro_f1(other.sum(1))[0]))
    assert observed.difference == pytest.approx(found[0])
    assert observed.p == pytest.approx(np.mean(np.abs(found) >= abs(found[0]) - 1e-12))


def test_no_difference_gives_as_small_a_p_as_it_says():
    rng = np.random.default_rng(5)
    p = []
    for _ in range(60):
        a, b = (units(np.clip(rng.normal(0.8, 0.1, 6), 0, 1), n=10) for _ in range(2))
        p.append(paired.compare([a], [b]).p)
    assert np.mean(np.array(p) <= 0.25) <= 0.25 + 0.15 and min(p) >= 2 / 2**6


def test_one_unit_proves_nothing():
    found = paired.compare([units([0.9])], [units([0.1])])
    assert np.isnan([found.low, found.p, found.p_equivalent]).all()
    assert verdict(found) == paired.UNDECIDED


def test_data_sets_together_have_the_units_of_all():
    ours, theirs = [units([0.9, 0.92, 0.94], seed=s) for s in (0, 1)], [units([0.6, 0.5, 0.7], seed=s) for s in (0, 1)]
    alone, both = paired.compare(ours[:1], theirs[:1]), paired.compare(ours, theirs)
    assert (alone.p, alone.p_least, both.p) == (2 / 8, 2 / 8, 2 / 64)
    second = paired.compare(ours[1:], theirs[1:])
    assert both.difference == pytest.approx((alone.difference + second.difference) / 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (np.full(8, 0.9), np.full(8, 0.7), paired.BETTER),
        (np.full(8, 0.7), np.full(8, 0.9), paired.WORSE),
        (np.full(8, 0.9), np.full(8, 0.9), paired.EQUIVALENT),
        ([0.9, 0.6, 0.8, 0.7] * 2, [0.7, 0.8, 0.6, 0.9] * 2, paired.UNDECIDED),
        (np.full(3, 0.9), np.full(3, 0.5), paired.UNDECIDED),  # three people can never give a small p
    ],
)
def test_verdicts(ours, theirs, expected):
    found = paired.compare([units(ours)], [units(theirs)])
    assert verdict(found) == expected


@pytest.mark.parametrize(
    ("low", "high", "p", "p_equivalent", "expected"),
    [
        (0.001, 0.008, 0.01, 0.01, paired.BETTER),  # certain, however small
        (-0.001, 0.03, 0.01, 0.9, paired.UNDECIDED),  # other seeds may turn it round
        (-0.001, 0.008, 0.01, 0.01, paired.EQUIVALENT),
        (0.001, 0.03, 0.06, 0.9, paired.UNDECIDED),  # the units may be luck
        (np.nan, np.nan, np.nan, np.nan, paired.UNDECIDED),
    ],
)
def test_a_certain_difference_passes_the_test_and_its_interval_leaves_out_zero(low, high, p, p_equivalent, expected):
    assert paired.verdict(0.004, low, high, p, p_equivalent) == expected
    turned = {paired.BETTER: paired.WORSE}.get(expected, expected)
    assert paired.verdict(-0.004, -high, -low, p, p_equivalent) == turned


def test_what_does_not_pair_is_refused():
    with pytest.raises(ValueError, match="not the same units"):
        paired.compare([units([0.9, 0.8])], [units([0.9, 0.8, 0.7])])
    with pytest.raises(ValueError, match="× 2"):
        paired.compare([units([[0.9, 0.8]] * 2)], [units([0.9, 0.8])])


def test_of_means_over_units_not_worse_is_the_paired_t_test():
    rng = np.random.default_rng(7)
    theirs = units(rng.uniform(0.85, 0.9, 8))
    ours = units(theirs.by_unit() - 0.004 + rng.normal(0, 0.006, 8))
    difference = ours.by_unit() - theirs.by_unit()
    expected = stats.ttest_1samp(difference, -paired.MARGIN, alternative="greater").pvalue
    assert paired.compare([ours], [theirs]).p_not_worse == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("n_units", "pooled"), [(8, False), (8, True), pytest.param(24, True, marks=pytest.mark.slow)])
def test_a_model_at_the_margin_is_found_not_worse_as_seldom_as_it_says(n_units, pooled, monkeypatch):
    """Percentiles of a bootstrap alone would find it in 5.5 % of all studies of eight people."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)
    monkeypatch.setattr(paired, "_swapped", lambda *two: np.nan)
    rng, found, studies = np.random.default_rng(8), 0, 400
    for _ in range(studies):
        people = np.clip(rng.normal(0.8, 0.05, n_units), 0, 1)
        worse = people - paired.MARGIN + rng.normal(0, 0.02, n_units)
        ours, theirs = (units(shares, n=400, pooled=pooled) for shares in (worse, people))
        found += paired.compare([ours], [theirs]).p_not_worse <= paired.ONE_SIDED
    assert found / studies <= paired.ONE_SIDED + 2.5 * np.sqrt(paired.ONE_SIDED / studies)


def test_not_worse_keeps_the_lower_end_of_the_interval_inside_and_both_ways_make_equivalent():
    rng = np.random.default_rng(6)
    theirs = units(rng.uniform(0.85, 0.9, 8))
    said = set()
    for shift in (-0.05, -0.02, -0.012, -0.008, -0.004, 0.0, 0.004, 0.03):
        ours = units(theirs.by_unit() + shift + rng.normal(0, 0.003, 8))
        found, back = paired.compare([ours], [theirs]), paired.compare([theirs], [ours])
        assert found.low > -paired.MARGIN or found.p_not_worse > paired.ONE_SIDED
        assert found.p_equivalent == max(found.p_not_worse, back.p_not_worse)
        assert found.p_not_worse + found.p_worse == pytest.approx(1, abs=0.1)
        said.add(found.p_not_worse <= paired.ONE_SIDED)
    assert said == {True, False}


def test_holm_by_hand():
    """The example of Holm's staircase: 0.01 × 4, 0.02 × 3, then never less than before, and at most 1."""
    assert paired.holm([0.02, 0.01, 0.6, 0.03]) == pytest.approx([0.06, 0.04, 0.6, 0.06])
    assert paired.holm([0.5, np.nan, 0.9])[[0, 2]] == pytest.approx([1, 1])
    assert np.isnan(paired.holm([0.5, np.nan, 0.9])[1])


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p):
    adjusted = paired.holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all() and (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_seeds_that_answer_all_recordings_widen_the_interval_and_seeds_of_folds_do_not():
    right = [[0.95] * 4, [0.6] * 4]  # a good seed and a bad one, alike on every unit
    spread = {}
    for pooled in (True, False):
        both = units(right, pooled=pooled)
        found = statistics.interval(both.score, 4, 2)
        spread[pooled] = found["high"] - found["low"]
    assert spread[True] > 0.3 and spread[False] < 0.1
