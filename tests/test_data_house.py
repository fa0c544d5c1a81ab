"""The simulated house: its plan is sound, people walk through doors, its radio does what its docstring says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tinyloc.config import Features, HouseData
from tinyloc.data import person, radio
from tinyloc.data.features import all_steps, stacked
from tinyloc.data.house import HOUSE
from tinyloc.data.packets import ACCELERATION, schema
from tinyloc.data.simulate import simulate
from tinyloc.data.splits import folds
from tinyloc.data.windows import cut
from tinyloc.models.baselines import Forest

PROPERTY = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)
SHORT = {"kind": "house", "fingerprint_minutes": 4, "living_minutes": 4, "living_recordings": 2, "fingerprint_walks": 1}
SHIB_HEADER = (
    "timestamp,rssi,seqno,s1x,s1y,s1z,s2x,s2y,s2z,s3x,s3y,s3z,s4x,s4y,s4z,s5x,s5y,s5z,gateway,true_room,activity"
)


def short(**changes):
    return simulate("house", HouseData(**{**SHORT, **changes}))


@pytest.fixture(scope="module")
def whole():
    return simulate("house", HouseData(kind="house"))


# ── plan ─────────────────────────────────────────────────────────────────────────────────────────
def test_spots_and_gateways_lie_in_rooms_and_rooms_do_not_overlap():
    for i, room in enumerate(HOUSE.rooms):
        spots = np.array([[spot.x, spot.y] for spot in room.spots])
        assert (HOUSE.room_at(spots) == i).all()
    assert (HOUSE.room_at(HOUSE.access_points) >= 0).all()
    points = np.random.default_rng(0).uniform(-1, 12, (2000, 2))
    inside = [(points >= (r.x0, r.y0)).all(1) & (points <= (r.x1, r.y1)).all(1) for r in HOUSE.rooms]
    assert np.sum(inside, axis=0).max() == 1
    assert (HOUSE.room_at(points)[np.sum(inside, axis=0) == 0] == -1).all()


def test_doors_are_on_the_border_of_their_two_rooms_and_no_wall_stands_in_them():
    for (a, b), (x, y) in HOUSE.doors.items():
        assert a < b
        for room in (HOUSE.rooms[a], HOUSE.rooms[b]):
            assert room.x0 <= x <= room.x1 and room.y0 <= y <= room.y1
        for axis, at, low, high in HOUSE.walls:
            assert not ((x, y)[int(axis)] == at and low < (x, y)[1 - int(axis)] < high)


@pytest.mark.parametrize("start", range(len(HOUSE.rooms)))
@pytest.mark.parametrize("goal", range(len(HOUSE.rooms)))
def test_a_path_leads_through_doors_from_room_to_room(start, goal):
    here = start
    for door in HOUSE.path(start, goal):
        (pair,) = [pair for pair, place in HOUSE.doors.items() if place == door]
        assert here in pair
        here = sum(pair) - here
    assert here == goal


# ── people ───────────────────────────────────────────────────────────────────────────────────────
@PROPERTY
@given(seed=SEEDS, script=st.sampled_from([person.living, person.fingerprint]))
def test_people_stay_inside_walk_at_their_speed_and_change_rooms_through_doors(seed, script):
    life = script(HOUSE, 600, np.random.default_rng(seed))
    time = np.arange(0, 600, 0.05)
    xy = life.place(time)
    room = HOUSE.room_at(xy)
    assert room.min() >= 0
    assert np.linalg.norm(np.diff(xy, axis=0), axis=1).max() <= person.SPEED_M_S[1] * 0.05 * (1 + 1e-6)
    for before in np.flatnonzero(np.diff(room)):
        pair = tuple(sorted(room[before : before + 2]))
        assert np.linalg.norm(xy[before] - HOUSE.doors[pair]) < 0.1


@PROPERTY
@given(seed=SEEDS)
def test_the_wrist_feels_gravity_at_rest_and_more_while_walking(seed):
    rng = np.random.default_rng(seed)
    life = person.living(HOUSE, 900, rng)
    time = np.arange(1, 900, 0.2)
    felt = person.acceleration(life, time, 5, rng)
    assert (felt * 32 == np.round(felt * 32)).all() and np.abs(felt).max() <= 4
    walking = life.activity[life.at(time)] == "walking"
    calm = ~walking & (life.restless[life.at(time)] == 0)
    assert np.linalg.norm(felt[calm].mean(1), axis=1) == pytest.approx(1, abs=0.15)
    assert np.median(felt[walking].std(1).sum(1)) > 2 * np.median(felt[calm].std(1).sum(1))


# ── radio ────────────────────────────────────────────────────────────────────────────────────────
def test_walls_are_counted_on_the_line_of_sight():
    at = {name: i for i, name in enumerate(HOUSE.gateways)}

    def walls(x, y, gateway):
        return radio.walls_between(HOUSE, np.array([[x, y]]))[0, at[gateway]]

    assert walls(2, 2, "gw-living") == 0
    assert walls(3, 5.1, "gw-living") == 1
    # from the kitchen through both walls of the hall, and through one and the bedroom's open door
    assert walls(3, 7.9, "gw-bedroom") == 2
    assert walls(1, 7.5, "gw-bedroom") == 1
    # bathroom, study, then the wall to the bedroom
    assert walls(8, 1, "gw-bedroom") == 2
    # the open door to the living room lies on the line
    x, y = HOUSE.doors[0, 2]
    gx, gy = HOUSE.gateways["gw-living"]
    assert walls(x + 0.3, y + 0.3 * (y - gy) / (x - gx), "gw-living") == 0
    assert walls(x + 0.3, y + 2, "gw-living") == 1


def test_no_wall_inside_a_room():
    rng = np.random.default_rng(0)
    rooms = HOUSE.room_at(HOUSE.access_points)
    for gateway, room in enumerate(rooms):
        r = HOUSE.rooms[room]
        points = rng.uniform((r.x0, r.y0), (r.x1, r.y1), (200, 2))
        assert (radio.walls_between(HOUSE, points)[:, gateway] == 0).all()


def test_signal_falls_with_distance_and_behind_the_body():
    gateway = HOUSE.access_points[0]
    away = gateway + np.array([[0.5, 0], [1, 0], [2, 0], [4, 0]])
    loss = radio.path_loss(HOUSE, away)[:, 0]
    assert (np.diff(loss) > 0).all()
    # ten times the distance costs 10 n dB
    far = np.sqrt((np.array([3.0, 30.0])) ** 2 - radio.HEIGHT_M**2)
    near_far = radio.path_loss(HOUSE, gateway + np.stack([far, [0, 0]], 1))[:, 0]
    assert near_far[1] - near_far[0] == pytest.approx(10 * radio.EXPONENT)
    body = radio.body_loss(HOUSE, np.repeat(away[:1], 3, 0), np.array([np.pi, np.pi / 2, 0]))[:, 0]
    assert body == pytest.approx([0, radio.BODY_DB / 2, radio.BODY_DB])


def test_fading_keeps_the_mean_power():
    power = 10 ** (radio.fading((50_000, 2), np.random.default_rng(0)) / 10)
    assert power.mean() == pytest.approx(1, abs=0.02)
    # variance of Rician power: (1 + 2K) / (1 + K)²
    assert power.var() == pytest.approx((1 + 2 * radio.RICE_K) / (1 + radio.RICE_K) ** 2, rel=0.05)


def test_shadowing_is_correlated_over_distance_as_it_says():
    values = radio.Floor(HOUSE, correlation=2.0).field(400, 5.0, np.random.default_rng(0)).values
    assert values.std() == pytest.approx(5, rel=0.05)
    cells = round(2.0 / radio.GRID_M)
    for a, b in ((values[:, cells:], values[:, :-cells]), (values[..., cells:], values[..., :-cells])):
        assert (a * b).mean() / 25 == pytest.approx(np.exp(-1), abs=0.06)


def test_weak_packets_are_lost():
    level = np.repeat([[-120.0], [radio.SENSITIVITY_DBM], [-40.0]], 20_000, axis=1).T
    share = radio.heard(level, np.random.default_rng(0)).mean(0)
    assert share == pytest.approx([0, radio.BEST_RECEPTION / 2, radio.BEST_RECEPTION], abs=0.02)


# ── packets ──────────────────────────────────────────────────────────────────────────────────────
def test_packets_have_the_columns_of_shib_and_pass_the_schema(whole):
    for recording in whole.recordings:
        assert ",".join(recording.packets.columns) == SHIB_HEADER
        schema(whole.gateways, whole.rooms).validate(recording.packets)


def test_the_seed_decides():
    assert short(seed=1).fingerprint == short(seed=1).fingerprint
    assert short(seed=1).fingerprint != short(seed=2).fingerprint


def test_more_recordings_leave_the_others_as_they_are():
    few, more = short(), short(fingerprint_walks=2, living_recordings=3)
    packets = {r.name: r.packets for r in more.recordings}
    for recording in few.recordings:
        pd.testing.assert_frame_equal(recording.packets, packets[recording.name])
    assert not packets["living-1"].equals(packets["living-2"])


def test_one_packet_on_several_rows_is_the_same_packet(whole):
    packets = whole.recordings[-1].packets
    heard = packets.groupby("seqno")
    assert heard.size().max() > 1
    assert (heard[list(ACCELERATION)].nunique() == 1).all().all()
    assert not packets.duplicated(["seqno", "gateway"]).any()
    assert heard["timestamp"].agg(np.ptp).max() < pd.Timedelta(milliseconds=50)
    seconds = (packets["timestamp"].iloc[-1] - packets["timestamp"].iloc[0]).total_seconds()
    # 200 ms and the 0 … 10 ms of Bluetooth's advertising delay; SHIB has 4.88 … 4.90
    assert (packets["seqno"].max() - packets["seqno"].min()) / seconds == pytest.approx(1 / 0.205, rel=0.01)


def test_ranges_are_near_those_of_shib(whole):
    steps = all_steps(whole, Features())
    silent = (stacked(steps, "heard") == 0).mean(0)
    # SHIB within its segments: 0.28 … 0.69, mean 0.41; rssi -107 … -1, median -76
    assert silent.min() > 0.02 and silent.max() < 0.75 and 0.25 < silent.mean() < 0.55
    rssi = np.concatenate([r.packets["rssi"] for r in whole.recordings])
    assert -125 < rssi.min() < -100 and -45 < rssi.max() < 0 and -85 < np.median(rssi) < -70


def test_every_room_trains_chooses_and_tests(whole):
    (fold,) = folds(all_steps(whole, Features()), "fingerprint-to-living", 0.25)
    for part in (fold.train, fold.validation, fold.test):
        share = np.bincount(stacked(part, "room"), minlength=len(whole.rooms)) / sum(map(len, part))
        assert share.min() > 0.02


def test_free_living_is_neither_trivial_nor_hopeless(whole):
    """A forest trained on the walks is mostly right about free living, and leaves something to improve on."""
    (fold,) = folds(all_steps(whole, Features()), "fingerprint-to-living", 0.25)
    train, test = (cut(part, 20, hop) for part, hop in (([*fold.train, *fold.validation], 2), (fold.test, 1)))
    found = Forest(trees=100, seed=0).fit(train).predict(test)
    assert 0.7 < f1_score(test.target, found, average="macro") < 0.93
