"""Where the person of a simulated house is, which way they look, what they do, and what their wrist feels.

A life is a list of legs: stay on a spot, or walk in a straight line to the next spot or door. Which room comes next
depends on the room alone, and how long one stays on a spot on the room's kind and the activity there (log-normal), so
that rooms and activities are a semi-Markov process (Yu, "Hidden semi-Markov models", Artificial Intelligence 174,
2010). The stays are shorter than a real day's: a short recording has to visit every room.

Sources for gait: the ratio of step length to step rate of a walker is constant (Sekiya and Nagasaki, "Reproducibility
of the walking patterns of normal young adults", Gait & Posture 7, 1998); arms swing once a stride, two steps, when
walking is not slow (Wagenaar and van Emmerik, "Resonant frequencies of arms and legs identify different walking
patterns", Journal of Biomechanics 33, 2000). Amplitudes and spectra were set beside those of the SHIB recordings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tinyloc.data.house import House, Room, Spot

ACTIVITIES = ("sitting", "standing", "lying", "walking")
WALKING = ACTIVITIES.index("walking")

SPEED_M_S = (0.5, 1.1)  # indoors, slower than in the street
STAIRS_SLOWER = 0.6  # speed over the ground on a flight of stairs, as a share of that on the level
MARGIN_M = 0.3  # nobody stands closer to a wall
SCATTER_M = 0.3  # of where people stand at a spot

# How long one stays at a spot (median in s) by kind of room and activity, and the spread of its logarithm.
DWELL_S = {
    "living": {"sitting": 65, "standing": 25, "lying": 65},
    "kitchen": {"standing": 40, "sitting": 55},
    "dining": {"sitting": 55, "standing": 25},
    "hall": {"standing": 22},
    "bedroom": {"lying": 65, "sitting": 45, "standing": 25},
    "study": {"sitting": 65, "standing": 25},
    "bathroom": {"standing": 35, "sitting": 45},
    "stairs": {"standing": 12},
    "outside": {"standing": 35, "sitting": 55},
}
DWELL_SPREAD = 0.6
ANOTHER_SPOT = 0.45  # chance that a stay in a room goes on at another spot
VISITS = {  # how often one goes to a room of each kind
    "living": 3, "kitchen": 3, "dining": 2, "hall": 1.5, "bedroom": 2, "study": 2, "bathroom": 2, "stairs": 1,
    "outside": 1.5,
}  # fmt: skip
TURN_S = 6.0  # mean time between two turns of the body, and how far they go
TURN_RAD = {"standing": 1.2, "sitting": 0.3, "lying": 0.15}

# Fingerprint walk: some spots in every room in turn, four quarter turns of the body at each.
WALK_SPOTS = 4
WALK_STAY_S = 6.0

# Gravity on the wrist in g by activity. An arm that hangs lies along x, one on a lap or table along z (as in SHIB).
GRAVITY = {
    "sitting": (0.0, 0.3, 0.9),
    "standing": (0.8, 0.3, 0.2),
    "lying": (-0.3, 0.0, 0.9),
    "walking": (0.9, 0.25, 0.1),
}
POSTURE_SPREAD = 0.35  # of the direction, drawn for each stay
MOUNTING_RAD = 0.2  # how the device sits on the arm: a rotation about a random axis, drawn for each recording

# Step length in m over steps a minute. It grows below about 1 m/s, which is left out.
WALK_RATIO_M_MIN = 0.0065
# Walking: amplitude in g of the stride's harmonics at 1 m/s on x (along the forearm), y and z. The first is the swing
# of the arm, the second the tread of the feet.
HARMONICS_G = np.array([(0.10, 0.20, 0.15), (0.13, 0.09, 0.11), (0.07, 0.07, 0.06), (0.07, 0.05, 0.06)])
GAIT_SPREAD = 0.3  # of the amplitudes' logarithm between people
# Beside gait, the hand moves like a random walk with a pull back: in restless stays, and while walking.
RESTLESS_G, RESTLESS_SHARE = 0.12, 0.6  # how strong (in stays: on average), and in which share of stays
RESTLESS_HZ = 0.6  # above this its spectrum falls
NOISE_G = 0.008  # of the sensor
SAMPLE_HZ = 25.0
RESOLUTION_G, RANGE_G = 1 / 32, 4.0


@dataclass(frozen=True)
class Life:
    """Legs: L moments, between which the person moves in a straight line. Everything holds from its moment on."""

    time: np.ndarray  # [L] s
    position: np.ndarray  # [L, 3] m, on the floor
    heading: np.ndarray  # [L] radians
    activity: np.ndarray  # [L] int64, index into ACTIVITIES
    gravity: np.ndarray  # [L, 3] g
    restless: np.ndarray  # [L] g, how much the hand moves
    speed: np.ndarray  # [L] m/s
    mounting: np.ndarray  # [3, 3] rotation from the arm to the device, of the whole life
    harmonics: np.ndarray  # [H, 3] g, how this person walks
    phases: np.ndarray  # [H, 3] radians

    def at(self, time: np.ndarray) -> np.ndarray:
        """The leg of every moment [P]."""
        return np.clip(np.searchsorted(self.time, time, side="right") - 1, 0, len(self.time) - 1)

    def place(self, time: np.ndarray) -> np.ndarray:
        """Where the person is at every moment [P, 3] m; while they stay, exactly the same."""
        return np.stack([np.interp(time, self.time, self.position[:, i]) for i in range(3)], axis=1)


class _Diary:
    """Writes down legs, one after the other."""

    def __init__(self, house: House, start: np.ndarray, rng: np.random.Generator):
        self.house, self.rng = house, rng
        self.now, self.here = 0.0, start
        self.legs: list[tuple] = []

    def walk(self, goal: np.ndarray) -> None:
        """In a straight line to `goal` [3] m."""
        way = goal - self.here
        slower = STAIRS_SLOWER if way[2] else 1.0
        speed = slower * self.rng.uniform(*SPEED_M_S)
        self._write(np.arctan2(way[1], way[0]), "walking", np.array(GRAVITY["walking"]), RESTLESS_G, speed)
        self.now += np.hypot(way[0], way[1]) / speed
        self.here = goal

    def go(self, here: int, there: int) -> None:
        """Through the doors into another room, straight across every doorstep: nobody walks along inside a wall."""
        for near, far in pairwise(self.house.path(here, there)):
            door = self.house.doors[min(near, far), max(near, far)]
            for place in (_inside(self.house.rooms[near], door), door, _inside(self.house.rooms[far], door)):
                self.walk(np.array(place))

    def stay(self, activity: str, turns: Iterable[tuple[float, float]]) -> None:
        """On the spot, in one posture; `turns` are headings in radians and how long they last in s."""
        gravity = np.array(GRAVITY[activity]) + self.rng.normal(0, POSTURE_SPREAD, 3)
        restless = self.rng.exponential(RESTLESS_G) if self.rng.random() < RESTLESS_SHARE else 0.0
        for heading, seconds in turns:
            self._write(heading, activity, gravity, restless, 0.0)
            self.now += seconds

    def life(self) -> Life:
        from scipy.spatial.transform import Rotation  # slow to import, as lfilter is

        self._write(0.0, "standing", np.array(GRAVITY["standing"]), 0.0, 0.0)
        axis = self.rng.standard_normal(3)
        turn = self.rng.normal(0, MOUNTING_RAD) * axis / np.linalg.norm(axis)
        shape = HARMONICS_G.shape
        return Life(
            *map(np.array, zip(*self.legs, strict=True)),
            mounting=Rotation.from_rotvec(turn).as_matrix(),
            harmonics=HARMONICS_G * np.exp(self.rng.normal(0, GAIT_SPREAD, shape)),
            phases=self.rng.uniform(0, 2 * np.pi, shape),
        )

    def _write(self, heading: float, activity: str, gravity: np.ndarray, restless: float, speed: float) -> None:
        upright = gravity / np.sqrt(gravity @ gravity)
        self.legs.append((self.now, self.here, heading, ACTIVITIES.index(activity), upright, restless, speed))


def living(house: House, seconds: float, rng: np.random.Generator) -> Life:
    """Free living: rooms by preference, spots by what is there, turning about while staying."""
    room = int(rng.integers(len(house.rooms)))
    diary = _Diary(house, _random_place(house.rooms[room], rng), rng)
    visits = np.array([VISITS[r.kind] for r in house.rooms], float)
    while diary.now < seconds:
        _spend(diary, house.rooms[room])
        chance = np.where(np.arange(len(visits)) == room, 0, visits)
        there = int(rng.choice(len(visits), p=chance / chance.sum()))
        diary.go(room, there)
        room = there
    return diary.life()


def _spend(diary: _Diary, room: Room) -> None:
    """One stay in a room, at one of its spots or at several."""
    rng = diary.rng
    while True:
        spot = room.spots[int(rng.integers(len(room.spots)))]
        diary.walk(_about(room, spot, rng))
        seconds = DWELL_S[room.kind][spot.activity] * np.exp(DWELL_SPREAD * rng.standard_normal())
        diary.stay(spot.activity, _turns(spot.activity, seconds, rng))
        if rng.random() >= ANOTHER_SPOT:
            return


def _turns(activity: str, seconds: float, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    heading = rng.uniform(-np.pi, np.pi)
    while seconds > 0:
        lasts = min(rng.exponential(TURN_S), seconds)
        yield heading, lasts
        seconds -= lasts
        heading += rng.normal(0, TURN_RAD[activity])


def fingerprint(house: House, seconds: float, rng: np.random.Generator) -> Life:
    """The scripted walk: every room in turn, again and again, a few random spots each, once around at each."""
    diary = _Diary(house, _random_place(house.rooms[0], rng), rng)
    room = 0
    while diary.now < seconds:
        for _ in range(WALK_SPOTS):
            diary.walk(_random_place(house.rooms[room], rng))
            first = rng.uniform(-np.pi, np.pi)
            diary.stay("standing", [(first + quarter * np.pi / 2, WALK_STAY_S / 4) for quarter in range(4)])
        there = (room + 1) % len(house.rooms)
        diary.go(room, there)
        room = there
    return diary.life()


def _about(room: Room, spot: Spot, rng: np.random.Generator) -> np.ndarray:
    """A place near a spot [3] m: nobody stands twice on the very same one, nor in a wall."""
    return _on_floor(room, np.clip(np.array([spot.x, spot.y]) + rng.normal(0, SCATTER_M, 2), *_free(room)))


def _inside(room: Room, door: tuple[float, float, float]) -> np.ndarray:
    """The place in a room [3] m from which one steps through a door."""
    return _on_floor(room, np.clip(door[:2], *_free(room)))


def _random_place(room: Room, rng: np.random.Generator) -> np.ndarray:
    return _on_floor(room, rng.uniform(*_free(room)))


def _on_floor(room: Room, xy: np.ndarray) -> np.ndarray:
    return np.array([*xy, room.floor(xy)])


def _free(room: Room) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates [2] m at which one can stand."""
    return np.array([room.x0, room.y0]) + MARGIN_M, np.array([room.x1, room.y1]) - MARGIN_M


def acceleration(life: Life, time: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """What the wrist feels in the `samples` before each packet: time [P] s -> [P, samples, 3] g, in steps of 1/32 g.

    Packets follow each other so closely that their samples make one stream.
    """
    leg = life.at(time)
    felt = np.repeat(life.gravity[leg][:, None], samples, axis=1)
    hand = _wander((len(time) * samples, 3), rng).reshape(felt.shape)
    felt += hand * life.restless[leg][:, None, None]
    walking = np.flatnonzero(life.activity[leg] == WALKING)
    before = (np.arange(samples) - samples + 1) / SAMPLE_HZ
    felt[walking] += _gait(life, time[walking, None] + before, leg[walking])
    felt = felt @ life.mounting.T
    felt += NOISE_G * rng.standard_normal(felt.shape)
    return np.clip(np.round(felt / RESOLUTION_G) * RESOLUTION_G, -RANGE_G, RANGE_G)


def _gait(life: Life, time: np.ndarray, leg: np.ndarray) -> np.ndarray:
    """What walking adds at time [P, samples] s on legs [P] -> [P, samples, 3] g."""
    speed = life.speed[leg]
    steps_hz = np.sqrt(speed / (60 * WALK_RATIO_M_MIN))  # speed = step length · step rate = ratio · step rate²
    phase = np.pi * steps_hz[:, None] * time  # of the stride, which is two steps
    order = np.arange(1, len(life.harmonics) + 1)
    # sin(n p + a) = sin(n p) cos(a) + cos(n p) sin(a): the shifts become two small matrices
    turns = phase[..., None] * order
    sway = np.sin(turns) @ (life.harmonics * np.cos(life.phases)) + np.cos(turns) @ (
        life.harmonics * np.sin(life.phases)
    )
    return sway * speed[:, None, None]


def _wander(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Low-pass noise of unit variance along the first axis."""
    stays = np.exp(-2 * np.pi * RESTLESS_HZ / SAMPLE_HZ)
    from scipy.signal import lfilter  # half a second, which commands that simulate nothing need not wait

    return lfilter([np.sqrt(1 - stays**2)], [1, -stays], rng.standard_normal(shape), axis=0)
