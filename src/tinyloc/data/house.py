"""Floor plans: rooms, doors, walls, floors, stairs and access points, in metres. z = 0 is the floor of storey 0.

A room is a box. A flight of stairs is a room that takes in two storeys and whose floor climbs from one end to the
other, so that everything else (doors, walls, paths) needs to know nothing about stairs.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np

STOREY_M = 2.7  # floor to floor
DOOR_WIDTH = 0.9

# What stands in a room of each kind: where (fractions of its width and depth), and what one does there.
FURNITURE = {
    "living": ((0.2, 0.2, "sitting"), (0.75, 0.25, "sitting"), (0.5, 0.8, "standing"), (0.25, 0.6, "lying")),
    "kitchen": ((0.15, 0.8, "standing"), (0.6, 0.85, "standing"), (0.75, 0.25, "sitting")),
    "dining": ((0.4, 0.5, "sitting"), (0.65, 0.5, "sitting"), (0.2, 0.8, "standing")),
    "hall": ((0.3, 0.3, "standing"), (0.7, 0.7, "standing")),
    "bedroom": ((0.75, 0.65, "lying"), (0.6, 0.3, "sitting"), (0.2, 0.8, "standing")),
    "study": ((0.8, 0.5, "sitting"), (0.25, 0.25, "standing")),
    "bathroom": ((0.8, 0.7, "standing"), (0.3, 0.25, "sitting")),
    "stairs": ((0.5, 0.5, "standing"),),
    "outside": ((0.4, 0.4, "standing"), (0.75, 0.6, "sitting")),
}
# Uphill along an axis: which one, and whether towards its larger values.
UPHILL = {"+x": (0, 1), "-x": (0, -1), "+y": (1, 1), "-y": (1, -1)}


@dataclass(frozen=True)
class Spot:
    """A place where one stays, with what one does there."""

    x: float
    y: float
    activity: str


@dataclass(frozen=True)
class Room:
    """A box over (x0, y0) … (x1, y1). Any two of its points see each other, so people walk straight in it."""

    name: str
    kind: str
    x0: float
    y0: float
    x1: float
    y1: float
    storey: int = 0
    climbs: str | None = None  # a flight of stairs: one of UPHILL; it starts on `storey`

    @cached_property
    def spots(self) -> tuple[Spot, ...]:
        width, depth = self.x1 - self.x0, self.y1 - self.y0
        return tuple(Spot(self.x0 + x * width, self.y0 + y * depth, does) for x, y, does in FURNITURE[self.kind])

    @property
    def storeys(self) -> tuple[int, ...]:
        return (self.storey, self.storey + 1) if self.climbs else (self.storey,)

    def floor(self, xy: np.ndarray) -> np.ndarray:
        """Height of the floor under `xy` [..., 2] -> [...]."""
        level = np.full(np.shape(xy)[:-1], self.storey * STOREY_M)
        if self.climbs is None:
            return level
        axis, way = UPHILL[self.climbs]
        low, high = np.array([self.x0, self.y0])[axis], np.array([self.x1, self.y1])[axis]
        climbed = (xy[..., axis] - low) / (high - low)
        return level + STOREY_M * (climbed if way > 0 else 1 - climbed)

    def holds(self, place: np.ndarray) -> np.ndarray:
        """Whether `place` [P, 3], a point on some floor, lies in this room -> [P]."""
        x, y, z = place.T
        within = (x >= self.x0) & (x <= self.x1) & (y >= self.y0) & (y <= self.y1)
        return within & (np.abs(z - self.floor(place[:, :2])) < STOREY_M / 2)


@dataclass(frozen=True)
class House:
    rooms: tuple[Room, ...]
    doors: dict[tuple[int, int], tuple[float, float, float]]  # rooms a < b -> the middle of their doorstep
    gateways: dict[str, tuple[float, float, float]]  # name -> where its antenna is

    @property
    def room_names(self) -> tuple[str, ...]:
        return tuple(room.name for room in self.rooms)

    @property
    def storeys(self) -> int:
        return 1 + max(storey for room in self.rooms for storey in room.storeys)

    @cached_property
    def access_points(self) -> np.ndarray:
        """Where the gateways are [n_ap, 3]."""
        return np.array(list(self.gateways.values()))

    @cached_property
    def walls(self) -> np.ndarray:
        """Upright walls without their doors [W, 6]: axis across the wall, where on it, from, to, from z, to z."""
        pieces = {piece for room in self.rooms if room.kind != "outside" for piece in _edges(room)}
        merged = [piece for line in sorted({p[:3] for p in pieces}) for piece in _union(line, pieces)]
        for door in self.doors.values():
            merged = [part for piece in merged for part in _opened(piece, door)]
        return np.array([(axis, at, *ends, s * STOREY_M, (s + 1) * STOREY_M) for axis, at, s, *ends in merged])

    @cached_property
    def floors(self) -> np.ndarray:
        """Floors between storeys [F, 6]: 2 (the axis across them), height, from x, to x, from y, to y.

        A stairwell is open.
        """
        upper = [room for room in self.rooms if room.storey > 0 and not room.climbs]
        return np.array([(2, r.storey * STOREY_M, r.x0, r.x1, r.y0, r.y1) for r in upper]).reshape(-1, 6)

    def room_at(self, place: np.ndarray) -> np.ndarray:
        """Index of the room at every point of `place` [P, 3] on its floors -> [P]; -1 outside the house."""
        room = np.full(len(place), -1)
        for i, candidate in reversed(list(enumerate(self.rooms))):
            room[candidate.holds(place)] = i
        return room

    def path(self, start: int, goal: int) -> list[int]:
        """The rooms on the way with the fewest of them (breadth first), `start` and `goal` included."""
        came_from = {start: start}
        queue = deque([start])
        while goal not in came_from:
            here = queue.popleft()
            for a, b in self.doors:
                there = b if a == here else a if b == here else None
                if there is not None and there not in came_from:
                    came_from[there] = here
                    queue.append(there)
        rooms = [goal]
        while rooms[-1] != start:
            rooms.append(came_from[rooms[-1]])
        return rooms[::-1]


def _edges(room: Room) -> list[tuple[int, float, int, float, float]]:
    """Axis across, where on it, storey, from, to."""
    sides = [
        (0, room.x0, room.y0, room.y1),
        (0, room.x1, room.y0, room.y1),
        (1, room.y0, room.x0, room.x1),
        (1, room.y1, room.x0, room.x1),
    ]
    return [(axis, at, storey, low, high) for axis, at, low, high in sides for storey in room.storeys]


def _union(line: tuple[int, float, int], pieces: set) -> list[tuple]:
    """The pieces on one line, overlaps joined: two rooms share one wall, not two."""
    joined: list[list[float]] = []
    for low, high in sorted(piece[3:] for piece in pieces if piece[:3] == line):
        if joined and low <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return [(*line, low, high) for low, high in joined]


def _opened(piece: tuple, door: tuple[float, float, float]) -> list[tuple]:
    axis, at, storey, low, high = piece
    along = door[1 - axis]
    if storey != round(door[2] / STOREY_M) or door[axis] != at or not low < along < high:
        return [piece]
    return [(axis, at, storey, low, along - DOOR_WIDTH / 2), (axis, at, storey, along + DOOR_WIDTH / 2, high)]
