"""Delays against a walk along the recording, calibration against its definitions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from toy_rooms import ROOMS, steps

from tinyloc.data.windows import cut
from tinyloc.evaluation import calibration, delay
from tinyloc.evaluation.metrics import evaluate
from tinyloc.training.predictions import ALWAYS, Predictions


def walked(recording, segment, step, true, predicted, hop):
    """The definition, row by row: in order of recording, segment and step, a stay begins with a change and ends with
    the next."""
    rows = sorted(zip(recording, segment, step, true, predicted, strict=True))
    found = []
    for i in range(1, len(rows)):
        if not near(rows[i - 1], rows[i], hop) or rows[i][3] == rows[i - 1][3]:
            continue
        waited, j = np.inf, i
        while True:
            if rows[j][4] == rows[i][3]:
                waited = rows[j][2] - rows[i][2]
                break
            j += 1
            if j == len(rows) or not near(rows[j - 1], rows[j], hop) or rows[j][3] != rows[i][3]:
                break
        found.append(waited)
    return found


def near(row, following, hop):
    return row[:2] == following[:2] and following[2] - row[2] == hop


def in_segments(recording, pairs, hop, gaps, shift):
    """Rows of a recording: a segment ends before each of `gaps`, and steps are `hop` apart, across a gap `shift` more.

    A number of a step does not say how long a gap was.
    """
    segment = np.cumsum([i in gaps for i in range(len(pairs))]).tolist()
    step = [hop * i + max(shift, 1 - hop) * s for i, s in enumerate(segment)]
    return [(recording, *row, *pair) for *row, pair in zip(segment, step, pairs, strict=True)]


rooms = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30)
# two rows side by side always stay, so that the hop can be seen
gaps, shifts = st.sets(st.integers(2, 30), max_size=4), st.integers(-2, 2)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(
    st.lists(rooms, min_size=1, max_size=3), st.integers(1, 3), gaps, shifts, st.sets(st.integers(2, 60)), st.randoms()
)
def test_delays_are_those_of_a_walk(recordings, hop, gaps, shift, lost, random):
    rows = [row for r, pairs in enumerate(recordings) for row in in_segments(f"r{r}", pairs, hop, gaps, shift)]
    rows = [row for i, row in enumerate(rows) if i not in lost]
    random.shuffle(rows)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    changed, waited = delay.delays(*columns)
    expected = walked(*columns, hop)
    assert sorted(waited) == sorted(expected)
    assert len(changed) == len(expected)


def test_delays_counted_by_hand():
    true = np.array([0, 0, 1, 1, 1, 2, 2, 0, 0, 0])
    said = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    changed, waited = delay.delays(np.full(10, "r"), np.zeros(10, int), np.arange(10), true, said)
    assert changed.tolist() == [2, 5, 7] and waited.tolist() == [2, np.inf, 0]
    found = delay.summary(waited, ["a", "a", "b"])
    assert found["changes"] == 3
    assert found["median_steps"]["value"] == 2 and found["p90_steps"]["value"] is None
    assert found["never_found"] == {"value": pytest.approx(1 / 3), "low": 0.0, "high": 0.5}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rooms, st.integers(1, 3), gaps, shifts, st.sets(st.integers(2, 30)), st.randoms())
def test_restlessness_counts_changes_between_neighbouring_steps(pairs, hop, gaps, shift, lost, random):
    rows = [row for i, row in enumerate(in_segments("r", pairs, hop, gaps, shift)) if i not in lost]
    neighbours = [(a, b) for a, b in pairwise(rows) if near(a, b, hop)]
    expected = tuple(sum(a[k] != b[k] for a, b in neighbours) for k in (4, 3))
    random.shuffle(rows)
    assert delay.restlessness(*map(np.array, zip(*rows, strict=True))) == (*expected, hop * len(neighbours))


def test_nobody_moves_in_a_recording_of_one_step():
    assert delay.restlessness(np.array(["a", "b"]), *np.array([[0, 0], [0, 1], [0, 1], [0, 1]])) == (0, 0, 0)


@pytest.mark.parametrize(("length", "hop"), [(1, 1), (5, 5), (20, 20), (8, 9)])
def test_a_change_across_a_gap_was_not_seen_whatever_the_windows(length, hop):
    asked = cut([steps("a", n_segments=6, length=40)], length, hop)  # each segment in one room
    rows = Predictions.of(asked, asked.target)
    assert len(set(rows.segment)) == 6
    assert evaluate({"all": rows}, ROOMS)["delay"]["changes"] == 0
    assert delay.restlessness(*(getattr(rows, name) for name in ALWAYS))[:2] == (0, 0)


def test_rooms_that_never_change_have_no_delay():
    zeros = np.zeros(3, int)
    assert delay.summary(*delay.delays(np.full(3, "r"), zeros, np.arange(3), zeros, zeros))["changes"] == 0


def test_honest_probabilities_are_calibrated_and_boastful_ones_are_not():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    probability = np.stack([p, 1 - p], 1)
    true = (rng.random(20_000) >= p).astype(int)
    unit = np.arange(20_000) % 8
    honest = calibration.summary([probability], true, unit)
    assert honest["ece"]["value"] < 0.015
    assert honest["nll"]["value"] == pytest.approx(log_loss(true, probability))
    assert honest["nll"]["low"] < honest["nll"]["value"] < honest["nll"]["high"]
    bins = honest["reliability"]
    assert [b["n"] for b in bins] == [2000] * calibration.BINS
    sharp = probability**4 / (probability**4).sum(1, keepdims=True)
    boastful = calibration.summary([sharp], true, unit)
    assert boastful["ece"]["value"] > 0.1 and boastful["nll"]["value"] > honest["nll"]["value"]
    assert all(b["confidence"] > b["accuracy"] for b in boastful["reliability"][1:])


def test_calibration_by_hand():
    probability = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    found = calibration.summary([probability], np.array([0, 1, 1, 0]), ["a", "a", "b", "b"])
    # four rows, four bins of one row each
    assert found["ece"]["value"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)
    assert found["nll"]["value"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())


def test_a_room_that_was_ruled_out_does_not_cost_everything():
    found = calibration.summary([np.array([[1.0, 0.0], [1.0, 0.0]])], np.array([1, 0]), ["a", "b"])
    assert np.isfinite(found["nll"]["value"])


def test_seeds_are_averaged_and_resampled_where_all_units_had_the_same_models():
    rng = np.random.default_rng(2)
    true, unit = rng.integers(0, 2, 400), np.arange(400) % 4
    sure = np.column_stack([true == 0, true == 1]) * 0.8 + 0.1
    good, bad = sure, sure[:, ::-1]
    one, twice = calibration.summary([good], true, unit), calibration.summary([good, good], true, unit, crossed=True)
    assert twice["nll"] == one["nll"] and twice["ece"] == one["ece"] and twice["excess"] == one["excess"]
    assert [b["n"] for b in twice["reliability"]] == [2 * b["n"] for b in one["reliability"]]
    apart, joined = (calibration.summary([good, bad], true, unit, crossed=crossed) for crossed in (False, True))
    assert apart["nll"]["value"] == joined["nll"]["value"] == pytest.approx(-np.log(0.9 * 0.1) / 2)
    # every unit is alike: only the seeds can widen the interval, and a resample may hold one of them twice
    assert apart["nll"]["high"] == pytest.approx(apart["nll"]["low"])
    assert joined["nll"]["low"] == pytest.approx(-np.log(0.9)) and joined["nll"]["high"] == pytest.approx(-np.log(0.1))


def test_what_is_surer_than_right_has_its_test():
    rng = np.random.default_rng(3)
    true, unit = rng.integers(0, 2, 800), np.arange(800) // 4 % 8
    probability = np.column_stack([1 - true, true]) * 0.98 + 0.01
    probability[::4] = probability[::4, ::-1]  # 75 % right, 99 % sure
    found = calibration.summary([probability], true, unit)
    assert found["excess"]["value"] == pytest.approx(0.99 - 0.75)
    assert found["excess"]["p"] == 2 / 2**8  # all eight units are surer than right
    assert calibration.summary([probability], true, np.zeros(800))["excess"] == {
        **dict.fromkeys(("low", "high", "p")),
        "value": pytest.approx(0.24),
    }
    bins = found["reliability"]
    assert all(b["low"] <= b["accuracy"] <= b["high"] for b in bins)


def test_the_share_that_was_noticed_rises_to_what_was_ever_found():
    waited, unit = np.array([0.0, 2.0, np.inf, 5.0]), ["a", "a", "b", "b"]
    value, low, high = delay.noticed(waited, unit, np.array([0.0, 2.0, 9.0]))
    assert value.tolist() == [0.25, 0.5, 0.75] and low.tolist() == [0.0, 0.0, 0.5] and high.tolist() == [0.5, 1.0, 1.0]
    assert np.isnan(delay.noticed(waited, ["a"] * 4, np.array([2.0]))[1:]).all()


def test_an_unlucky_seed_widens_the_delays_of_recordings_and_not_those_of_people():
    waited, unit, seed = np.array([1.0, 1.0, 9.0, 9.0]), ["a", "b", "a", "b"], [0, 0, 1, 1]
    people = delay.summary(waited, unit, seed)["median_steps"]
    recordings = delay.summary(waited, unit, seed, crossed=True)["median_steps"]
    assert people == {"value": 1, "low": 1, "high": 1} and recordings == {"value": 1, "low": 1, "high": 9}
