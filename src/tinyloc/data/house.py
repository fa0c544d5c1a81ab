"""The floor plan of the simulated house: rooms, doors, walls, access points. Metres, seen from above.

     0        5.0   6.5        10.5
8.0  +---------+-----+----------+
     | kitchen | hall| bedroom  |
5.0  +--  -----+     +----------+
     | living  |     | study    |
2.5  |         |     +--------+-+
     |         |     |bathroom|
0.0  +---------+-----+--------+
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np

DOOR_WIDTH = 0.9


@dataclass(frozen=True)
class Spot:
    """A place where one stays, with what one does there."""

    x: float
    y: float
    activity: str


@dataclass(frozen=True)
class Room:
    """A rectangle from (x0, y0) to (x1, y1). Any two of its points see each other, so people walk straight in it."""

    name: str
    x0: float
    y0: float
    x1: float
    y1: float
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class House:
    rooms: tuple[Room, ...]
    doors: dict[tuple[int, int], tuple[float, float]]  # rooms a < b -> the middle of their door
    gateways: dict[str, tuple[float, float]]  # name -> where its antenna is

    @property
    def room_names(self) -> tuple[str, ...]:
        return tuple(room.name for room in self.rooms)

    @cached_property
    def access_points(self) -> np.ndarray:
        """Where the gateways are [n_ap, 2]."""
        return np.array(list(self.gateways.values()))

    @cached_property
    def walls(self) -> np.ndarray:
        """Upright walls without their doors [W, 4]: axis across the wall (0 = x), where on it, from, to."""
        pieces = {piece for room in self.rooms for piece in _edges(room)}
        merged = [piece for line in {p[:2] for p in pieces} for piece in _union(line, pieces)]
        for door in self.doors.values():
            merged = [part for piece in merged for part in _opened(piece, door)]
        return np.array(sorted(merged))

    def room_at(self, xy: np.ndarray) -> np.ndarray:
        """Index of the room at every point of `xy` [P, 2] -> [P]; -1 outside the house."""
        room = np.full(len(xy), -1)
        for i, r in reversed(list(enumerate(self.rooms))):
            inside = (xy[:, 0] >= r.x0) & (xy[:, 0] <= r.x1) & (xy[:, 1] >= r.y0) & (xy[:, 1] <= r.y1)
            room[inside] = i
        return room

    def path(self, start: int, goal: int) -> list[tuple[float, float]]:
        """The doors on the way with the fewest rooms (breadth first)."""
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
        return [self.doors[min(pair), max(pair)] for pair in zip(rooms[:0:-1], rooms[-2::-1], strict=True)]


def _edges(room: Room) -> list[tuple[int, float, float, float]]:
    return [
        (0, room.x0, room.y0, room.y1),
        (0, room.x1, room.y0, room.y1),
        (1, room.y0, room.x0, room.x1),
        (1, room.y1, room.x0, room.x1),
    ]


def _union(line: tuple[int, float], pieces: set) -> list[tuple[int, float, float, float]]:
    """The pieces on one line, overlaps joined: two rooms share one wall, not two."""
    joined: list[list[float]] = []
    for low, high in sorted(piece[2:] for piece in pieces if piece[:2] == line):
        if joined and low <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return [(*line, low, high) for low, high in joined]


def _opened(piece: tuple[int, float, float, float], door: tuple[float, float]) -> list:
    axis, at, low, high = piece
    along = door[1 - axis]
    if door[axis] != at or not low < along < high:
        return [piece]
    return [(axis, at, low, along - DOOR_WIDTH / 2), (axis, at, along + DOOR_WIDTH / 2, high)]


HOUSE = House(
    rooms=(
        Room("living", 0, 0, 5, 5, (Spot(1, 1, "sitting"), Spot(3.5, 1.2, "sitting"), Spot(2.2, 4.2, "standing"))),
        Room(
            "kitchen", 0, 5, 5, 8, (Spot(0.8, 7.4, "standing"), Spot(2.8, 7.3, "standing"), Spot(3.8, 5.8, "sitting"))
        ),
        Room(
            "hall", 5, 0, 6.5, 8, (Spot(5.7, 0.8, "standing"), Spot(5.8, 4.2, "standing"), Spot(5.7, 7.2, "standing"))
        ),
        Room(
            "bedroom", 6.5, 5, 10.5, 8, (Spot(9.3, 7, "lying"), Spot(8.8, 5.8, "sitting"), Spot(7.2, 7.4, "standing"))
        ),
        Room("study", 6.5, 2.5, 10.5, 5, (Spot(9.8, 3.6, "sitting"), Spot(7.3, 3, "standing"))),
        Room("bathroom", 6.5, 0, 9.5, 2.5, (Spot(9, 1.8, "standing"), Spot(8, 0.5, "sitting"))),
    ),
    doors={
        (0, 1): (1.6, 5.0),
        (0, 2): (5.0, 2.2),
        (1, 2): (5.0, 6.2),
        (2, 3): (6.5, 6.6),
        (2, 4): (6.5, 3.8),
        (2, 5): (6.5, 1.2),
    },
    gateways={
        "gw-living": (0.4, 2.6),
        "gw-kitchen": (4.6, 7.6),
        "gw-hall": (5.2, 4.0),
        "gw-bedroom": (10.2, 6.4),
        "gw-study": (10.1, 4.6),
        "gw-bathroom": (8.6, 0.3),
    },
)
