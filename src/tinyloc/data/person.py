"""Where the person of the simulated house is, which way they look, what they do, and what their wrist feels.

A life is a list of legs: stay on a spot, or walk in a straight line to the next spot or door. Staying times and the
next room are drawn from distributions that depend on the room alone, which makes the rooms a semi-Markov process.
"""

from dataclasses import dataclass

import numpy as np

from tinyloc.data.house import House, Room, Spot

SPEED_M_S = (0.5, 1.1)  # indoors, slower than in the street
MARGIN_M = 0.4  # nobody walks along a wall

# Free living: how long one stays in a room (median in s, spread of the logarithm) and how often one goes there.
STAY = {
    "living": (45, 0.7),
    "kitchen": (35, 0.7),
    "hall": (8, 0.5),
    "bedroom": (40, 0.7),
    "study": (45, 0.7),
    "bathroom": (25, 0.5),
}
VISITS = {"living": 3.0, "kitchen": 3.0, "hall": 1.0, "bedroom": 2.0, "study": 2.0, "bathroom": 1.5}
SPOT_S = 15.0  # mean time on one spot before the next one in the same room
TURN_S = 6.0  # mean time between two turns of the body

# Fingerprint walk: a few spots in every room in turn, a quarter turn of the body at each
WALK_SPOTS = 4
WALK_STAY_S = 10.0

# Gravity on the wrist in g by activity. An arm that hangs lies along x, one on a lap or table along z (as in SHIB).
GRAVITY = {
    "sitting": (0.0, 0.3, 0.9),
    "standing": (0.8, 0.3, 0.2),
    "lying": (-0.3, 0.0, 0.9),
    "walking": (0.9, 0.25, 0.1),
}
POSTURE_SPREAD = 0.35  # of the direction, drawn for each stay
ARM_SWING_G, ARM_SWING_HZ = 0.25, 0.9  # a stride is two steps
STEP_G = 0.12
NOISE_G = 0.012
FIDGET_G, FIDGET_SHARE = 0.15, 0.15  # movement of the hand while staying: how strong, and in which share of stays
SAMPLE_HZ = 25.0


@dataclass(frozen=True)
class Life:
    """Legs: L moments, between which the person moves in a straight line. Everything holds from its moment on."""

    time: np.ndarray  # [L] s
    xy: np.ndarray  # [L, 2] m
    heading: np.ndarray  # [L] radians
    activity: np.ndarray  # [L] str
    gravity: np.ndarray  # [L, 3] g
    restless: np.ndarray  # [L] g, how much the hand moves

    def at(self, time: np.ndarray) -> np.ndarray:
        """The leg of every moment [P]."""
        return np.clip(np.searchsorted(self.time, time, side="right") - 1, 0, len(self.time) - 1)

    def place(self, time: np.ndarray) -> np.ndarray:
        """Where the person is at every moment [P, 2]."""
        return np.stack([np.interp(time, self.time, self.xy[:, i]) for i in range(2)], axis=1)


class _Diary:
    """Writes down legs, one after the other."""

    def __init__(self, house: House, start: tuple[float, float], rng: np.random.Generator):
        self.house, self.rng = house, rng
        self.now, self.xy = 0.0, np.array(start)
        self.legs: list[tuple] = []
        # how this person wears the device
        self.habit = rng.normal(0, 0.15, 3)

    def _leg(self, heading: float, activity: str) -> None:
        direction = (
            np.array(GRAVITY[activity]) + self.habit + self.rng.normal(0, POSTURE_SPREAD, 3) * (activity != "walking")
        )
        still = activity == "walking" or self.rng.random() > FIDGET_SHARE
        restless = 0.0 if still else self.rng.exponential(FIDGET_G)
        self.legs.append((self.now, *self.xy, heading, activity, *(direction / np.linalg.norm(direction)), restless))

    def walk(self, goal: np.ndarray) -> None:
        way = np.asarray(goal) - self.xy
        self._leg(float(np.arctan2(way[1], way[0])), "walking")
        self.now += float(np.linalg.norm(way)) / self.rng.uniform(*SPEED_M_S)
        self.xy = np.asarray(goal, float)

    def stay(self, seconds: float, activity: str, heading: float) -> None:
        self._leg(heading, activity)
        self.now += seconds

    def go(self, here: int, there: int) -> None:
        """Through the doors to the threshold of another room."""
        for door in self.house.path(here, there):
            self.walk(np.array(door))

    def life(self) -> Life:
        self._leg(0.0, "standing")
        time, x, y, heading, activity, gx, gy, gz, restless = map(np.array, zip(*self.legs, strict=True))
        return Life(time, np.stack([x, y], 1), heading, activity, np.stack([gx, gy, gz], 1), restless)


def living(house: House, seconds: float, rng: np.random.Generator) -> Life:
    """Free living: rooms by preference, spots by what is there, turning about while staying."""
    room = int(rng.integers(len(house.rooms)))
    spot = house.rooms[room].spots[0]
    diary = _Diary(house, (spot.x, spot.y), rng)
    visits = np.array([VISITS[r.name] for r in house.rooms])
    while diary.now < seconds:
        median, spread = STAY[house.rooms[room].name]
        _stay_in(diary, house.rooms[room], median * np.exp(spread * rng.standard_normal()))
        chance = np.where(np.arange(len(visits)) == room, 0, visits)
        there = int(rng.choice(len(visits), p=chance / chance.sum()))
        diary.go(room, there)
        room = there
    return diary.life()


def _stay_in(diary: _Diary, room: Room, seconds: float) -> None:
    until = diary.now + seconds
    while diary.now < until:
        spot: Spot = room.spots[int(diary.rng.integers(len(room.spots)))]
        diary.walk(np.array([spot.x, spot.y]) + diary.rng.normal(0, 0.15, 2))
        leave = diary.now + min(diary.rng.exponential(SPOT_S) + 2, max(until - diary.now, 1))
        heading = diary.rng.uniform(-np.pi, np.pi)
        while diary.now < leave:
            diary.stay(min(diary.rng.exponential(TURN_S) + 0.5, leave - diary.now), spot.activity, heading)
            # sitting and lying people turn less
            heading += diary.rng.normal(0, 1.2 if spot.activity == "standing" else 0.3)


def fingerprint(house: House, seconds: float, rng: np.random.Generator) -> Life:
    """The scripted walk: every room in turn, again and again, a few random spots each, a quarter turn at each."""
    diary = _Diary(house, _random_spot(house.rooms[0], rng), rng)
    room = 0
    while diary.now < seconds:
        for _ in range(WALK_SPOTS):
            diary.walk(np.array(_random_spot(house.rooms[room], rng)))
            heading = rng.uniform(-np.pi, np.pi)
            for quarter in range(4):
                diary.stay(WALK_STAY_S / 4, "standing", heading + quarter * np.pi / 2)
        diary.go(room, (room + 1) % len(house.rooms))
        room = (room + 1) % len(house.rooms)
    return diary.life()


def _random_spot(room: Room, rng: np.random.Generator) -> tuple[float, float]:
    x = rng.uniform(room.x0 + MARGIN_M, room.x1 - MARGIN_M)
    y = rng.uniform(room.y0 + MARGIN_M, room.y1 - MARGIN_M)
    return x, y


def acceleration(life: Life, time: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """What the wrist feels in the `samples` before each packet: time [P] s -> [P, samples, 3] g, in steps of 1/32 g."""
    at = time[:, None] + (np.arange(samples) - samples + 1) / SAMPLE_HZ
    leg = life.at(time)
    walking = (life.activity[leg] == "walking")[:, None]
    phase = 2 * np.pi * ARM_SWING_HZ * at
    swing = np.where(walking, ARM_SWING_G * np.sin(phase), 0)
    tread = np.where(walking, STEP_G * np.sin(2 * phase + 0.6), 0)
    felt = life.gravity[leg][:, None] + np.stack([tread, swing, 0.5 * swing + 0.5 * tread], axis=-1)
    felt = felt + rng.standard_normal(felt.shape) * (NOISE_G + life.restless[leg])[:, None, None]
    return np.clip(np.round(felt * 32) / 32, -4, 4)
