"""Packets to steps to windows to folds: nothing lost, nothing across a gap, nothing of the test in the training."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packet_tables import GATEWAYS, ROOMS, START, dataset, table, tables

from tinyloc.config import Features
from tinyloc.data.features import all_steps, stacked
from tinyloc.data.packets import ACCELERATION
from tinyloc.data.splits import folds
from tinyloc.data.store import read_packets, read_steps, write_packets, write_steps
from tinyloc.data.windows import Scaler, cut
from tinyloc.errors import InputError

PROPERTY = settings(derandomize=True, deadline=None, max_examples=50)
GAP_S = Features().max_gap_s


def steps_of(packets, **features):
    return all_steps(dataset(packets), Features(**features))[0]


def several(n, **kind):
    """Data sets of n recordings."""
    return st.lists(tables(**kind), min_size=n, max_size=n)


# ── steps ────────────────────────────────────────────────────────────────────────────────────────
@PROPERTY
@given(packets=tables(), bin_s=st.sampled_from([0.5, 1.0, 2.0]))
def test_every_packet_is_counted_once(packets, bin_s):
    steps = steps_of(packets, bin_s=bin_s)
    for i, gateway in enumerate(GATEWAYS):
        assert steps.heard[:, i].sum() == (packets["gateway"] == gateway).sum()
    # means weighted by their packets give back the sum of all RSSI
    assert np.sum(steps.rssi * steps.heard) == pytest.approx(packets["rssi"].sum(), rel=1e-5)


@PROPERTY
@given(packets=tables(max_size=30), bin_s=st.sampled_from([0.5, 1.0, 2.0]))
def test_steps_agree_with_a_loop_over_packets(packets, bin_s):
    """The vectorised binning against the definition, packet by packet."""
    steps = steps_of(packets, bin_s=bin_s)
    ms = ((packets["timestamp"] - packets["timestamp"][0]).to_numpy() / np.timedelta64(1, "ms")).astype(int).tolist()
    bins: list[list[list[int]]] = []  # segment -> bin -> rows
    for row, now in enumerate(ms):
        if row == 0 or now - ms[row - 1] > 1000 * GAP_S:
            bins.append([])
            start = now
        while len(bins[-1]) <= (now - start) // (1000 * bin_s):
            bins[-1].append([])
        bins[-1][-1].append(row)
    expected = [(segment, rows) for segment, its_bins in enumerate(bins) for rows in its_bins]
    assert steps.segment.tolist() == [segment for segment, _ in expected]
    gateway, rssi, room = (packets[c].to_numpy() for c in ("gateway", "rssi", "true_room"))
    seqno, samples = packets["seqno"].tolist(), packets[list(ACCELERATION)].to_numpy()
    for i, (_, rows) in enumerate(expected):
        for g, name in enumerate(GATEWAYS):
            heard = [rssi[r] for r in rows if gateway[r] == name]
            assert steps.rssi[i, g] == pytest.approx(np.mean(heard) if heard else -120)
        if rows:
            last_room = room[rows[-1]]
            once = np.concatenate([samples[r].reshape(5, 3) for r in {seqno[r]: r for r in rows}.values()])
            felt = [*once.mean(0), *once.std(0)]
        assert ROOMS[steps.room[i]] == last_room
        np.testing.assert_allclose(steps.acc[i], felt, atol=1e-6)


def test_a_pause_ends_a_segment_only_when_it_is_longer_than_the_limit():
    assert steps_of(table([0, 5000])).segment.tolist() == [0] * 6
    assert steps_of(table([0, 5001])).segment.tolist() == [0, 1]
    assert steps_of(table([0, 5001]), max_gap_s=6).segment.tolist() == [0] * 6


def test_bins_start_at_the_first_packet_of_a_segment():
    steps = steps_of(table([300, 1299, 1300, 20_000]))
    assert steps.heard.sum(1).tolist() == [2, 1, 1]
    assert ((steps.time - START).astype(int) // 1000).tolist() == [300, 1300, 20_000]


def test_a_bin_without_packets_is_silent_and_keeps_acceleration_and_room():
    steps = steps_of(table([0, 3000], room=["cellar", "hall"], acceleration=[[0.5] * 15, [1.0] * 15]))
    assert steps.rssi[1:3].tolist() == [[-120, -120]] * 2
    assert steps.acc[:, 0].tolist() == [0.5, 0.5, 0.5, 1.0]
    assert steps.room.tolist() == [1, 1, 1, 2]


def test_the_room_of_a_step_is_that_of_its_last_packet():
    assert steps_of(table([0, 100, 200, 900], room=["attic", "attic", "attic", "hall"])).room.tolist() == [2]


def test_a_packet_heard_twice_counts_once_in_the_acceleration():
    packets = table(
        [0, 10, 500], seqno=[1, 1, 2], gateway=["east", "west", "east"], acceleration=[[0] * 15, [0] * 15, [1] * 15]
    )
    assert steps_of(packets).acc[0, 0] == pytest.approx(0.5)


def test_steps_survive_the_disk(tmp_path):
    steps = all_steps(dataset(table([0, 900, 9000]), table([0])), Features())
    write_steps(tmp_path / "steps.npz", steps)
    for before, after in zip(steps, read_steps(tmp_path / "steps.npz"), strict=True):
        for name, value in vars(before).items():
            np.testing.assert_array_equal(value, getattr(after, name))


@settings(PROPERTY, max_examples=10)
@given(data=several(2))
def test_packets_survive_the_disk(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("packets")
    for made in (dataset(*data), dataset(*(t.drop(columns=list(ACCELERATION)) for t in data))):
        write_packets(folder / "packets.parquet", made)
        back = read_packets(folder / "packets.parquet")
        assert back.fingerprint == made.fingerprint and back.origin == made.origin
        for before, after in zip(made.recordings, back.recordings, strict=True):
            pd.testing.assert_frame_equal(before.packets, after.packets, check_dtype=False)


def test_a_file_of_packets_that_is_none(tmp_path):
    path = tmp_path / "packets.parquet"
    with pytest.raises(InputError, match=r"packets\.parquet: no such file"):
        read_packets(path)
    write_packets(path, dataset(table([0, 1, 2])))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"packets\.parquet: not a file of packets"):
        read_packets(path)
    pd.DataFrame({"rssi": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="not a file of packets"):
        read_packets(path)
    write_packets(path, dataset(table([0, 1, 2], rssi=[-60, 99, -60])))
    with pytest.raises(InputError, match=r"row 1: rssi: '99' is outside -127"):
        read_packets(path)


# ── windows ──────────────────────────────────────────────────────────────────────────────────────
@PROPERTY
@given(data=several(2), length=st.integers(1, 8), hop=st.integers(1, 4))
def test_windows_are_all_the_stretches_without_a_gap(data, length, hop):
    steps = all_steps(dataset(*data), Features())
    expected = []
    for s in steps:
        for segment in np.unique(s.segment):
            rows = np.flatnonzero(s.segment == segment)
            expected += [(s, rows[i : i + length]) for i in range(0, len(rows) - length + 1, hop)]
    assume(expected)
    windows = cut(steps, length, hop)
    assert len(windows) == len(expected)
    for i, (s, rows) in enumerate(expected):
        np.testing.assert_array_equal(windows.rssi[i], s.rssi[rows])
        np.testing.assert_array_equal(windows.acc[i], s.acc[rows])
        np.testing.assert_array_equal(windows.room[i], s.room[rows])
        assert windows.recording[i] == s.recording and windows.step[i] == rows[-1]
        assert windows.segment[i] == s.segment[rows[-1]]
        assert windows.target[i] == s.room[rows[-1]]
        # the times of a window are one bin apart: there is no pause inside
        assert set(np.diff(s.time[rows])) <= {np.timedelta64(1, "s")}


def test_a_window_does_not_jump_over_steps_that_were_taken_out():
    steps = steps_of(table(np.arange(10) * 1000))
    holed = steps.select(np.array([0, 1, 2, 3, 5, 6, 7, 8]))
    assert cut([holed], 3, 1).step.tolist() == [2, 3, 7, 8]


def test_no_window_fits():
    with pytest.raises(InputError, match=r"windows\.length 4: the longest stretch without a gap has 3 steps"):
        cut(all_steps(dataset(table([0, 2500, 9000])), Features()), 4, 1)


# ── scaling ──────────────────────────────────────────────────────────────────────────────────────
@PROPERTY
@given(data=several(2))
def test_scaling_maps_the_training_steps_onto_0_to_1_and_back(data):
    steps = all_steps(dataset(*data), Features())
    scaler = Scaler.fit(steps)
    scaled = [scaler.transform(s) for s in steps]
    for name in ("rssi", "acc"):
        before, after = stacked(steps, name), stacked(scaled, name)
        assert after.dtype == np.float32 and after.min() >= 0 and after.max() <= 1
        varies = np.ptp(before, axis=0) > 0
        assert (after.max(0)[varies] == 1).all() and (after.min(0) == 0).all()
        np.testing.assert_allclose(stacked([scaler.inverse(s) for s in scaled], name), before, atol=1e-4)


@PROPERTY
@given(data=several(2), length=st.integers(1, 3))
def test_windows_scale_as_their_steps_do_and_the_scaler_survives_json(data, length):
    steps = all_steps(dataset(*data), Features())
    scaler = Scaler.from_dict(Scaler.fit(steps[:1]).to_dict())
    assume(any(len(s) >= length for s in steps))
    try:
        windows = scaler.transform(cut(steps, length, 1))
    except InputError:
        assume(False)
    again = cut([Scaler.fit(steps[:1]).transform(s) for s in steps], length, 1)
    np.testing.assert_array_equal(windows.rssi, again.rssi)
    np.testing.assert_array_equal(windows.acc, again.acc)


# ── folds ────────────────────────────────────────────────────────────────────────────────────────
def keys(parts):
    return [(s.recording, int(i)) for s in parts for i in s.step]


@PROPERTY
@given(data=several(4), share=st.sampled_from([0.05, 0.15, 0.25, 0.49]), length=st.integers(1, 5))
def test_one_participant_is_left_out_and_no_step_is_in_two_parts(data, share, length):
    steps = all_steps(dataset(*data, participants=["ann", "bob", "ann", "cat"]), Features())
    made = folds(steps, "leave-one-participant-out", share)
    assert [fold.name for fold in made] == ["ann", "bob", "cat"]
    assert sorted(key for fold in made for key in keys(fold.test)) == sorted(keys(steps))
    for fold in made:
        assert {s.participant for s in fold.test} == {fold.name}
        # every step exactly once: the parts are disjoint and cover all
        assert sorted(keys([*fold.train, *fold.validation, *fold.test])) == sorted(keys(steps))
        _check_tails(fold, share)
        _check_windows_apart(fold, length)


def _check_tails(fold, share):
    """Validation is the last share of every training segment, to the nearest step."""
    for train, validation in zip(fold.train, fold.validation, strict=True):
        for segment in np.unique(np.concatenate([train.segment, validation.segment])):
            head, tail = train.step[train.segment == segment], validation.step[validation.segment == segment]
            assert abs(len(tail) - share * (len(head) + len(tail))) <= 0.5
            if len(head) and len(tail):
                assert head.max() < tail.min()


def _check_windows_apart(fold, length):
    """The steps under all training windows and those under all validation windows share none."""
    try:
        windows = [cut(part, length, 1) for part in (fold.train, fold.validation)]
    except InputError:
        return  # one of the parts is too short for any window
    under = [
        {(r, e - back) for r, e in zip(w.recording, w.step, strict=True) for back in range(length)} for w in windows
    ]
    assert not under[0] & under[1]


def test_fingerprint_trains_and_living_tests():
    walk, day = table(np.arange(40) * 1000), table(np.arange(20) * 1000)
    steps = all_steps(dataset(walk, day, walk, phases=["fingerprint", "living", "fingerprint"]), Features())
    (fold,) = folds(steps, "fingerprint-to-living", 0.25)
    assert fold.name == "living"
    assert [s.recording for s in fold.test] == ["p1-1"] and len(fold.test[0]) == 20
    assert [len(s) for s in fold.train] == [30, 30] and [len(s) for s in fold.validation] == [10, 10]


def test_the_last_part_of_every_segment_is_tested():
    steps = all_steps(dataset(table([*range(0, 40_000, 1000), *range(60_000, 80_000, 1000)])), Features())
    (fold,) = folds(steps, "last-part", 0.25)
    assert fold.name == "last-part"
    assert fold.test[0].step.tolist() == [*range(30, 40), *range(55, 60)]
    assert fold.validation[0].step.tolist() == [*range(22, 30), *range(51, 55)]
    assert fold.train[0].step.tolist() == [*range(22), *range(40, 51)]


def test_protocols_that_the_recordings_do_not_allow():
    steps = all_steps(dataset(table([0]), table([0]), participants=["ann", "ann"]), Features())
    with pytest.raises(InputError, match="no other recording to train on"):
        folds(steps, "leave-one-participant-out", 0.2)
    with pytest.raises(InputError, match="nothing to test on"):
        folds(steps, "fingerprint-to-living", 0.2)
    with pytest.raises(InputError, match="no such protocol"):
        folds(steps, "by-moonlight", 0.2)
