"""The simulated houses: their plans are sound, people walk through doors, the radio does what its docstring says."""

import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import f1_score

from tinyloc.config import Channel, Features, HouseData
from tinyloc.data import person, radio
from tinyloc.data.features import all_steps, stacked
from tinyloc.data.house import STOREY_M
from tinyloc.data.packets import ACCELERATION, schema
from tinyloc.data.plans import ANTENNA_M, PLANS, A, B, D
from tinyloc.data.simulate import simulate
from tinyloc.data.splits import folds
from tinyloc.data.windows import cut
from tinyloc.errors import InputError
from tinyloc.models.baselines import Neighbours

PROPERTY = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)
CHANNEL = Channel()
SHORT = {"kind": "house", "fingerprint_minutes": 4, "living_minutes": 4, "living_recordings": 2, "fingerprint_walks": 1}
SHIB_HEADER = (
    "timestamp,rssi,seqno,s1x,s1y,s1z,s2x,s2y,s2z,s3x,s3y,s3z,s4x,s4y,s4z,s5x,s5y,s5z,gateway,true_room,activity"
)
by_plan = pytest.mark.parametrize("plan", PLANS)


def short(**changes):
    return simulate("house", HouseData(**{**SHORT, **changes}))


@pytest.fixture(scope="module")
def whole():
    return {plan: simulate("house", HouseData(kind="house", plan=plan)) for plan in PLANS}


# ── plans ────────────────────────────────────────────────────────────────────────────────────────
def test_the_houses_have_the_studys_numbers_of_rooms_and_access_points():
    sizes = {name: (len(house.rooms), len(house.gateways)) for name, house in PLANS.items()}
    assert sizes == {"A": (4, 8), "B": (11, 11), "C": (9, 11), "D": (10, 11)}
    assert [house.storeys for house in PLANS.values()] == [1, 2, 2, 3]


@by_plan
def test_rooms_do_not_overlap_and_hold_their_spots(plan):
    house = PLANS[plan]
    for i, room in enumerate(house.rooms):
        spots = np.array([[spot.x, spot.y] for spot in room.spots])
        assert (house.room_at(np.column_stack([spots, room.floor(spots)])) == i).all()
        assert {spot.activity for spot in room.spots} == set(person.DWELL_S[room.kind])
    xy = np.random.default_rng(0).uniform(-1, 15, (3000, 2))
    for storey in range(house.storeys):
        on_floor = np.column_stack([xy, np.full(len(xy), storey * STOREY_M)])
        # the boxes over the floor plan, stairs on both of their storeys
        inside = [(storey in r.storeys) & (xy > (r.x0, r.y0)).all(1) & (xy < (r.x1, r.y1)).all(1) for r in house.rooms]
        assert np.sum(inside, axis=0).max() == 1
        assert (house.room_at(on_floor)[np.sum(inside, axis=0) == 0] == -1).all()


@by_plan
def test_doors_are_on_the_border_of_their_two_rooms_at_the_level_of_both_floors(plan):
    house = PLANS[plan]
    for (a, b), (x, y, z) in house.doors.items():
        assert a < b
        for room in (house.rooms[a], house.rooms[b]):
            assert room.x0 <= x <= room.x1 and room.y0 <= y <= room.y1
            assert x in (room.x0, room.x1) or y in (room.y0, room.y1)
            assert room.floor(np.array([x, y])) == pytest.approx(z)
        for axis, at, low, high, bottom, _ in house.walls:
            assert not ((x, y)[int(axis)] == at and low < (x, y)[1 - int(axis)] < high and bottom == pytest.approx(z))


@by_plan
def test_a_gateway_hangs_within_the_walls_of_its_storey(plan):
    house = PLANS[plan]
    below = house.access_points - (0, 0, ANTENNA_M)
    assert (house.room_at(below) >= 0).all()


@by_plan
def test_a_path_leads_through_doors_from_room_to_room(plan):
    house = PLANS[plan]
    for start in range(len(house.rooms)):
        for goal in range(len(house.rooms)):
            way = house.path(start, goal)
            assert (way[0], way[-1]) == (start, goal)
            assert all((min(pair), max(pair)) in house.doors for pair in pairwise(way))


# ── people ───────────────────────────────────────────────────────────────────────────────────────
@PROPERTY
@given(seed=SEEDS, plan=st.sampled_from(list(PLANS)), script=st.sampled_from([person.living, person.fingerprint]))
def test_people_stay_on_the_floor_walk_at_their_speed_and_change_rooms_through_doors(seed, plan, script):
    house = PLANS[plan]
    life = script(house, 600, np.random.default_rng(seed))
    place = life.place(np.arange(0, 600, 0.05))
    room = house.room_at(place)
    assert room.min() >= 0
    # on the doorstep a point belongs to both rooms
    floor = np.array([house.rooms[r].floor(p[:2]) for r, p in zip(room[::20], place[::20], strict=True)])
    assert floor == pytest.approx(place[::20, 2], abs=0.1)
    steps = np.diff(place, axis=0)
    assert np.hypot(steps[:, 0], steps[:, 1]).max() <= person.SPEED_M_S[1] * 0.05 * (1 + 1e-6)
    for before in np.flatnonzero(np.diff(room)):
        pair = tuple(sorted(room[before : before + 2]))
        assert np.linalg.norm(place[before] - house.doors[pair]) < 0.1


def test_stays_are_as_long_as_the_dwell_times_say():
    """One spot a stay would make the median the table's; going on at another spot only ever lengthens it."""
    life = person.living(A, 40_000, np.random.default_rng(0))
    changes = np.flatnonzero(np.diff(life.activity) != 0) + 1
    length, kind = np.diff(life.time[changes]), life.activity[changes[:-1]]
    room = A.room_at(life.position[changes[:-1]])
    lying = length[(kind == person.ACTIVITIES.index("lying")) & (room == A.room_names.index("bedroom"))]
    assert len(lying) > 30
    assert np.median(lying) == pytest.approx(person.DWELL_S["bedroom"]["lying"], rel=0.3)
    assert np.log(lying).std() == pytest.approx(person.DWELL_SPREAD, rel=0.35)


@PROPERTY
@given(seed=SEEDS)
def test_the_wrist_feels_gravity_at_rest_and_more_while_walking(seed):
    rng = np.random.default_rng(seed)
    life = person.living(B, 900, rng)
    moments = np.arange(1, 900, 0.2)
    felt = person.acceleration(life, moments, 5, rng)
    assert (felt * 32 == np.round(felt * 32)).all() and np.abs(felt).max() <= 4
    leg = life.at(moments)
    walking = life.activity[leg] == person.WALKING
    calm = ~walking & (life.restless[leg] == 0)
    assert np.linalg.norm(felt[calm].mean(1), axis=1) == pytest.approx(1, abs=0.05)
    assert np.median(felt[walking].std(1).sum(1)) > 2 * np.median(felt[calm].std(1).sum(1))


def test_arms_swing_once_a_stride_and_strides_follow_from_the_speed():
    speed = 1.0
    life = person.Life(
        time=np.zeros(1),
        position=np.zeros((1, 3)),
        heading=np.zeros(1),
        activity=np.array([person.WALKING]),
        gravity=np.array([[1.0, 0, 0]]),
        restless=np.zeros(1),
        speed=np.array([speed]),
        mounting=np.eye(3),
        harmonics=person.HARMONICS_G,
        phases=np.zeros_like(person.HARMONICS_G),
    )
    felt = person.acceleration(life, np.arange(0.2, 60, 0.2), 5, np.random.default_rng(0)).reshape(-1, 3)
    spectrum = np.abs(np.fft.rfft(felt[:, 1] - felt[:, 1].mean()))
    steps_hz = np.sqrt(speed / (60 * person.WALK_RATIO_M_MIN))
    assert 1.2 < steps_hz < 2.2  # steps a second of a person who walks
    assert np.fft.rfftfreq(len(felt), 1 / 25)[spectrum.argmax()] == pytest.approx(steps_hz / 2, abs=0.02)


# ── radio ────────────────────────────────────────────────────────────────────────────────────────
def crossed(house, kind, place, gateway):
    antenna = house.access_points[[list(house.gateways).index(gateway)]]
    return radio.crossed(getattr(house, kind), radio.wrist(np.array([place], float)), antenna)[0, 0]


def test_walls_are_counted_on_the_line_of_sight():
    assert crossed(A, "walls", (1, 1, 0), "gw-living-3") == 0
    assert crossed(A, "walls", (4, 1, 0), "gw-bathroom") == 1
    # from the living room through the wall of the hallway and that of the bedroom
    assert crossed(A, "walls", (4.5, 2.9, 0), "gw-bedroom-2") == 1
    assert crossed(A, "walls", (8, 1, 0), "gw-bedroom-1") == 2
    # the open door lies on the line
    assert crossed(A, "walls", (4, 3.52, 0), "gw-hallway") == 0


def test_floors_are_counted_where_there_is_no_stairwell():
    assert crossed(D, "floors", (2, 1, 0), "gw-bedroom-1") == 1
    assert crossed(D, "floors", (5.5, 8, 0), "gw-attic-2") == 1
    assert crossed(D, "floors", (2, 4, 0), "gw-bedroom-3") == 2
    # up the flight, in the open
    assert crossed(D, "floors", (5.4, 6, 1.5 * STOREY_M), "gw-attic-2") == 0


def test_each_further_floor_costs_less():
    channel = Channel(wall_db=0, floor_db=10)
    place = np.array([[2, 1, 0], [2, 4, 0]], float)
    loss = radio.obstacle_loss(D, channel, place)
    one, two = (loss[i, list(D.gateways).index(g)] for i, g in enumerate(("gw-bedroom-1", "gw-bedroom-3")))
    # COST 231: k^((k + 2) / (k + 1) - 0.46)
    assert (one, two) == pytest.approx((10, 10 * 2 ** (4 / 3 - 0.46)))


@by_plan
def test_no_wall_inside_a_room(plan):
    house = PLANS[plan]
    rng = np.random.default_rng(0)
    for gateway, room in enumerate(house.room_at(house.access_points - (0, 0, ANTENNA_M))):
        r = house.rooms[room]
        if r.climbs is None:
            xy = rng.uniform((r.x0, r.y0), (r.x1, r.y1), (200, 2))
            places = radio.wrist(np.column_stack([xy, r.floor(xy)]))
            antenna = house.access_points[[gateway]]
            assert (radio.crossed(house.walls, places, antenna) == 0).all()
            assert (radio.crossed(house.floors, places, antenna) == 0).all()


def test_signal_falls_with_distance_and_behind_the_body():
    gateway = A.access_points[0] - (0, 0, radio.WRIST_M)
    away = gateway + np.array([[0.5, 0, 0], [1, 0, 0], [3, 0, 0], [30, 0, 0]])
    loss = radio.path_loss(A, CHANNEL, away)[:, 0]
    assert (np.diff(loss) > 0).all()
    # ten times the distance costs 10 n dB
    assert loss[3] - loss[2] == pytest.approx(10 * CHANNEL.exponent)
    pose = radio.Pose(np.repeat(away[:1], 3, 0), np.array([np.pi, np.pi / 2, 0]), np.arange(3))
    body = radio.body_loss(A, CHANNEL, pose)[:, 0]
    assert body == pytest.approx([0, CHANNEL.body_db / 2, CHANNEL.body_db])


@pytest.mark.parametrize("k", [0.0, 2.0])
def test_fading_keeps_the_mean_power(k):
    power = 10 ** (radio.fading(Channel(rice_k=k), (50_000, 2), np.random.default_rng(0)) / 10)
    assert power.mean() == pytest.approx(1, abs=0.02)
    # variance of Rician power: (1 + 2K) / (1 + K)²
    assert power.var() == pytest.approx((1 + 2 * k) / (1 + k) ** 2, rel=0.05)


def test_shadowing_is_correlated_over_distance_as_it_says():
    values = radio.Volume.of(B, correlation=2.0).fields(400, 5.0, np.random.default_rng(0))
    assert values.std() == pytest.approx(5, rel=0.05)
    cells = round(2.0 / radio.GRID_M)
    for a, b in ((values[:, cells:], values[:, :-cells]), (values[:, :, cells:], values[:, :, :-cells])):
        assert (a * b).mean() / 25 == pytest.approx(np.exp(-1), abs=0.06)
    between = (values[..., 0] * values[..., 1]).mean() / 25
    assert between == pytest.approx(np.exp(-STOREY_M / 2), abs=0.06)


def test_the_three_channels_stay_while_the_wearer_does():
    """Without fading, all packets of a pose have one of three levels at each gateway, and another pose has others."""
    channel = Channel(rice_k=1e12)
    environment = radio.environment(A, channel, np.random.default_rng(0))
    pose = radio.Pose(np.array([[1.0, 1, 0], [1, 1, 0]]), np.array([0.0, 0]), np.repeat([0, 1], 60))
    level = radio.rssi(environment, pose, np.random.default_rng(1)).round(2)
    for gateway in level.T:
        assert len(set(gateway[:60])) == len(set(gateway[60:])) == 3
        assert len(set(gateway)) == 6


def test_weak_packets_are_lost():
    level = np.repeat([[-120.0], [CHANNEL.sensitivity_dbm], [-40.0]], 20_000, axis=1).T
    share = radio.heard(CHANNEL, level, np.random.default_rng(0)).mean(0)
    assert share == pytest.approx([0, CHANNEL.best_reception / 2, CHANNEL.best_reception], abs=0.02)


# ── packets ──────────────────────────────────────────────────────────────────────────────────────
@by_plan
def test_packets_have_the_columns_of_shib_and_pass_the_schema(whole, plan):
    for recording in whole[plan].recordings[-2:]:
        assert ",".join(recording.packets.columns) == SHIB_HEADER
        schema(whole[plan].gateways, whole[plan].rooms).validate(recording.packets)


@by_plan
def test_the_seed_decides(plan):
    assert short(seed=1, plan=plan).fingerprint == short(seed=1, plan=plan).fingerprint
    assert short(seed=1, plan=plan).fingerprint != short(seed=2, plan=plan).fingerprint


def test_more_recordings_leave_the_others_as_they_are():
    few, more = short(), short(fingerprint_walks=2, living_recordings=3)
    packets = {r.name: r.packets for r in more.recordings}
    for recording in few.recordings:
        pd.testing.assert_frame_equal(recording.packets, packets[recording.name])
    assert not packets["living-1"].equals(packets["living-2"])


def test_a_walk_that_is_broken_off_is_the_start_of_the_whole_one_and_living_stays_as_it_is():
    whole, broken = short(), short(fingerprint_kept_minutes=1.5)
    walk, start = (one.recordings[0].packets for one in (whole, broken))
    pd.testing.assert_frame_equal(start, walk.iloc[: len(start)])
    assert start["timestamp"].iloc[-1] - walk["timestamp"].iloc[0] < pd.Timedelta(minutes=1.5)
    assert walk["timestamp"].iloc[len(start)] - walk["timestamp"].iloc[0] >= pd.Timedelta(minutes=1.5)
    for one, other in zip(whole.recordings[1:], broken.recordings[1:], strict=True):
        assert one.phase == "living"
        pd.testing.assert_frame_equal(one.packets, other.packets)
    assert "walks broken off after 1.5 min" in broken.origin and "broken" not in whole.origin


def test_no_more_of_a_walk_is_kept_than_there_is():
    with pytest.raises(ValidationError, match="fingerprint_kept_minutes: 5, but a walk has only 4"):
        HouseData(**SHORT, fingerprint_kept_minutes=5)


def test_a_channel_without_noise_hears_everything_it_can():
    quiet = Channel(sensitivity_dbm=-200, best_reception=1)
    packets = short(channel=quiet).recordings[-1].packets
    assert (packets.groupby("seqno").size() == len(A.gateways)).all()


def test_a_receiver_reports_nothing_outside_its_range():
    channel = {"reference_dbm": 60.0, "sensitivity_dbm": -300.0}
    rssi = np.concatenate([r.packets["rssi"] for r in short(channel=channel).recordings])
    assert rssi.max() == 20 and rssi.min() >= -127


@pytest.mark.parametrize(
    "changes", [{"channel": {"best_reception": 0.0}}, {"living_minutes": 0.003}], ids=["deaf", "too short"]
)
def test_a_recording_without_packets_says_what_to_change(changes):
    with pytest.raises(InputError, match=r"^a simulated recording of .* s: .*give more minutes"):
        short(**changes)


def test_one_packet_on_several_rows_is_the_same_packet(whole):
    packets = whole["A"].recordings[-1].packets
    heard = packets.groupby("seqno")
    assert heard.size().max() > 1
    assert (heard[list(ACCELERATION)].nunique() == 1).all().all()
    assert not packets.duplicated(["seqno", "gateway"]).any()
    # clocks of the gateways, as far apart as SHIB's
    apart = heard["timestamp"].agg(np.ptp).dt.total_seconds()
    assert 0.005 < apart.median() < 0.04 and apart.max() < 0.1
    seconds = (packets["timestamp"].iloc[-1] - packets["timestamp"].iloc[0]).total_seconds()
    # 200 ms and the 0 … 10 ms of Bluetooth's advertising delay; SHIB has 4.88 … 4.90
    assert (packets["seqno"].max() - packets["seqno"].min()) / seconds == pytest.approx(1 / 0.205, rel=0.01)


def test_more_than_a_hundred_thousand_packets_a_second():
    """With a generous margin; the benchmark measures it."""
    config = HouseData(kind="house", plan="B")
    began = time.process_time()
    packets = sum(len(r.packets) for r in simulate("house", config).recordings)
    assert packets / (time.process_time() - began) > 100_000


@by_plan
def test_every_room_trains_chooses_and_tests(whole, plan):
    (fold,) = folds(all_steps(whole[plan], Features()), "fingerprint-to-living", 0.25)
    for part in (fold.train, fold.validation, fold.test):
        share = np.bincount(stacked(part, "room"), minlength=len(whole[plan].rooms)) / sum(map(len, part))
        assert share.min() > 0.005


@by_plan
def test_free_living_is_neither_trivial_nor_hopeless(whole, plan):
    """Neighbours trained on the walks are mostly right about free living, and leave something to improve on."""
    (fold,) = folds(all_steps(whole[plan], Features()), "fingerprint-to-living", 0.25)
    train, test = (cut(part, 20, hop) for part, hop in (([*fold.train, *fold.validation], 4), (fold.test, 3)))
    found = Neighbours(7).fit(train).predict(test)
    assert 0.6 < f1_score(test.target, found, average="macro") < 0.93
