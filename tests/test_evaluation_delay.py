"""Delays against a walk along the recording, calibration against its definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from tinyloc.evaluation import calibration, delay


def walked(recording, step, true, predicted, hop):
    """The definition, row by row: sorted by recording and step, a stay begins with a change and ends with the next."""
    rows = sorted(zip(recording, step, true, predicted, strict=True))
    found = []
    for i in range(1, len(rows)):
        follows = [j for j in (i - 1, i) if rows[j][0] == rows[i][0]]
        if len(follows) < 2 or rows[i][1] - rows[i - 1][1] != hop or rows[i][2] == rows[i - 1][2]:
            continue
        waited, j = np.inf, i
        while True:
            if rows[j][3] == rows[i][2]:
                waited = rows[j][1] - rows[i][1]
                break
            j += 1
            if j == len(rows) or rows[j][:2] != (rows[i][0], rows[j - 1][1] + hop) or rows[j][2] != rows[i][2]:
                break
        found.append(waited)
    return found


rooms = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.lists(rooms, min_size=1, max_size=3), st.integers(1, 3), st.sets(st.integers(0, 60)), st.randoms())
def test_delays_are_those_of_a_walk(recordings, hop, lost, random):
    rows = [(f"r{r}", hop * i, *pair) for r, pairs in enumerate(recordings) for i, pair in enumerate(pairs)]
    # two rows side by side always stay, so that the hop can be seen
    rows = [row for i, row in enumerate(rows) if i < 2 or i not in lost]
    random.shuffle(rows)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    changed, waited = delay.delays(*columns)
    expected = walked(*columns, hop)
    assert sorted(waited) == sorted(expected)
    assert len(changed) == len(expected)


def test_delays_counted_by_hand():
    true = np.array([0, 0, 1, 1, 1, 2, 2, 0, 0, 0])
    said = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    changed, waited = delay.delays(np.full(10, "r"), np.arange(10), true, said)
    assert changed.tolist() == [2, 5, 7] and waited.tolist() == [2, np.inf, 0]
    found = delay.summary(waited, ["a", "a", "b"])
    assert found["changes"] == 3
    assert found["median_steps"]["value"] == 2 and found["p90_steps"]["value"] is None
    assert found["never_found"] == {"value": pytest.approx(1 / 3), "low": 0.0, "high": 0.5}


def test_rooms_that_never_change_have_no_delay():
    assert (
        delay.summary(*delay.delays(np.full(3, "r"), np.arange(3), np.zeros(3, int), np.zeros(3, int)))["changes"] == 0
    )


def test_honest_probabilities_are_calibrated_and_boastful_ones_are_not():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    probability = np.stack([p, 1 - p], 1)
    true = (rng.random(20_000) >= p).astype(int)
    unit = np.arange(20_000) % 8
    honest = calibration.summary(probability, true, unit)
    assert honest["ece"]["value"] < 0.015
    assert honest["nll"]["value"] == pytest.approx(log_loss(true, probability))
    assert honest["nll"]["low"] < honest["nll"]["value"] < honest["nll"]["high"]
    bins = honest["reliability"]
    assert [b["n"] for b in bins] == [2000] * calibration.BINS
    sharp = probability**4 / (probability**4).sum(1, keepdims=True)
    boastful = calibration.summary(sharp, true, unit)
    assert boastful["ece"]["value"] > 0.1 and boastful["nll"]["value"] > honest["nll"]["value"]
    assert all(b["confidence"] > b["accuracy"] for b in boastful["reliability"][1:])


def test_calibration_by_hand():
    probability = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    found = calibration.summary(probability, np.array([0, 1, 1, 0]), ["a", "a", "b", "b"])
    # four rows, four bins of one row each
    assert found["ece"]["value"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)
    assert found["nll"]["value"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean())


def test_a_room_that_was_ruled_out_does_not_cost_everything():
    found = calibration.summary(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0]), ["a", "b"])
    assert np.isfinite(found["nll"]["value"])
