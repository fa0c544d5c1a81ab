"""Where the person of the simulated house is, which way they look, what they do, and what their wrist feels.

A life is a list of legs: stay on a spot, or walk in a straight line to the next spot or door. Staying times and the
next room are drawn from distributions that depend on the room alone, which makes the rooms a semi-Markov process.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tinyloc.data.house import House, Room, Spot

SPEED_M_S = (0.5, 1.1)  # indoors, slower than in the street
MARGIN_M = 0.3  # nobody stands closer to a wall
SCATTER_M = 0.3  # of where people stand at a spot

# Free living: how long one stays in a room (median in s, spread of the logarithm) and how often one goes there.
STAY = {
    "living": (120, 0.6),
    "kitchen": (100, 0.6),
    "hall": (45, 0.5),
    "bedroom": (120, 0.6),
    "study": (120, 0.6),
    "bathroom": (70, 0.5),
}
VISITS = {"living": 3.0, "kitchen": 3.0, "hall": 2.0, "bedroom": 2.0, "study": 2.0, "bathroom": 2.0}
SPOT_S = 25.0  # mean time on one spot before the next one in the same room
TURN_S = 6.0  # mean time between two turns of the body, and how far they go
TURN_RAD = {"standing": 1.2, "sitting": 0.3, "lying": 0.15}

# Fingerprint walk: a few spots in every room in turn, four quarter turns of the body at each.
WALK_SPOTS = 6
WALK_STAY_S = 10.0

# Gravity on the wrist in g by activity. An arm that hangs lies along x, one on a lap or table along z (as in SHIB).
GRAVITY = {
    "sitting": (0.0, 0.3, 0.9),
    "standing": (0.8, 0.3, 0.2),
    "lying": (-0.3, 0.0, 0.9),
    "walking": (0.9, 0.25, 0.1),
}
POSTURE_SPREAD = 0.35  # of the direction, drawn for each stay
HABIT_SPREAD = 0.15  # of how people wear the device, drawn for each recording
ARM_SWING_G, ARM_SWING_HZ = 0.25, 0.9  # a stride is two steps
STEP_G = 0.12
NOISE_G = 0.012
FIDGET_G, FIDGET_SHARE = 0.1, 0.2  # movement of the hand while staying: how strong, and in which share of stays
SAMPLE_HZ = 25.0
RESOLUTION_G, RANGE_G = 1 / 32, 4.0


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

    def __init__(self, house: House, start: np.ndarray, rng: np.random.Generator):
        self.house, self.rng = house, rng
        self.now, self.xy = 0.0, start
        self.legs: list[tuple] = []
        self.habit = rng.normal(0, HABIT_SPREAD, 3)

    def walk(self, goal: np.ndarray) -> None:
        """In a straight line to `goal` [2] m."""
        way = goal - self.xy
        gravity = self._direction(np.array(GRAVITY["walking"]))
        self._write(np.arctan2(way[1], way[0]), "walking", gravity, 0.0)
        self.now += np.hypot(*way) / self.rng.uniform(*SPEED_M_S)
        self.xy = goal

    def go(self, here: int, there: int) -> None:
        """Through the doors to the threshold of another room."""
        for door in self.house.path(here, there):
            self.walk(np.array(door))

    def stay(self, activity: str, turns: Iterable[tuple[float, float]]) -> None:
        """On the spot, in one posture; `turns` are headings in radians and how long they last in s."""
        gravity = self._direction(np.array(GRAVITY[activity]) + self.rng.normal(0, POSTURE_SPREAD, 3))
        restless = self.rng.exponential(FIDGET_G) if self.rng.random() < FIDGET_SHARE else 0.0
        for heading, seconds in turns:
            self._write(heading, activity, gravity, restless)
            self.now += seconds

    def life(self) -> Life:
        self._write(0.0, "standing", self._direction(np.array(GRAVITY["standing"])), 0.0)
        time, xy, heading, activity, gravity, restless = map(np.array, zip(*self.legs, strict=True))
        return Life(time, xy, heading, activity, gravity, restless)

    def _write(self, heading: float, activity: str, gravity: np.ndarray, restless: float) -> None:
        self.legs.append((self.now, self.xy, heading, activity, gravity, restless))

    def _direction(self, gravity: np.ndarray) -> np.ndarray:
        felt = gravity + self.habit
        return felt / np.sqrt(felt @ felt)


def living(house: House, seconds: float, rng: np.random.Generator) -> Life:
    """Free living: rooms by preference, spots by what is there, turning about while staying."""
    room = int(rng.integers(len(house.rooms)))
    diary = _Diary(house, _random_spot(house.rooms[room], rng), rng)
    visits = np.array([VISITS[r.name] for r in house.rooms])
    while diary.now < seconds:
        median, spread = STAY[house.rooms[room].name]
        _spend(diary, house.rooms[room], median * np.exp(spread * rng.standard_normal()))
        chance = np.where(np.arange(len(visits)) == room, 0, visits)
        there = int(rng.choice(len(visits), p=chance / chance.sum()))
        diary.go(room, there)
        room = there
    return diary.life()


def _spend(diary: _Diary, room: Room, seconds: float) -> None:
    """Spend `seconds` in a room, on one of its spots after the other."""
    until = diary.now + seconds
    while diary.now < until:
        spot = room.spots[int(diary.rng.integers(len(room.spots)))]
        diary.walk(_about(room, spot, diary.rng))
        here = min(diary.rng.exponential(SPOT_S), until - diary.now)
        diary.stay(spot.activity, _turns(spot.activity, here, diary.rng))


def _turns(activity: str, seconds: float, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    heading = rng.uniform(-np.pi, np.pi)
    while seconds > 0:
        lasts = min(rng.exponential(TURN_S), seconds)
        yield heading, lasts
        seconds -= lasts
        heading += rng.normal(0, TURN_RAD[activity])


def fingerprint(house: House, seconds: float, rng: np.random.Generator) -> Life:
    """The scripted walk: every room in turn, again and again, a few random spots each, once around at each."""
    diary = _Diary(house, _random_spot(house.rooms[0], rng), rng)
    room = 0
    while diary.now < seconds:
        for _ in range(WALK_SPOTS):
            diary.walk(_random_spot(house.rooms[room], rng))
            first = rng.uniform(-np.pi, np.pi)
            diary.stay("standing", [(first + quarter * np.pi / 2, WALK_STAY_S / 4) for quarter in range(4)])
        there = (room + 1) % len(house.rooms)
        diary.go(room, there)
        room = there
    return diary.life()


def _about(room: Room, spot: Spot, rng: np.random.Generator) -> np.ndarray:
    """A point near a spot [2] m: nobody stands twice on the very same one, nor in a wall."""
    return np.clip(np.array([spot.x, spot.y]) + rng.normal(0, SCATTER_M, 2), *_floor(room))


def _random_spot(room: Room, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(*_floor(room))


def _floor(room: Room) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates [2] m at which one can stand."""
    return np.array([room.x0, room.y0]) + MARGIN_M, np.array([room.x1, room.y1]) - MARGIN_M


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
    return np.clip(np.round(felt / RESOLUTION_G) * RESOLUTION_G, -RANGE_G, RANGE_G)
