"""The four simulated houses, with the numbers of rooms and access points of the residential dataset's four.

Byrne et al., "Residential wearable RSSI and accelerometer measurements with detailed location annotations", Scientific
Data 5:180168 (2018): A has 4 rooms and 8 access points, B 11 and 11, C 9 and 11, D 10 and 11. The numbers are
theirs, and so are A's and C's kinds of rooms; the plans, metre by metre, are ours.
"""

from tinyloc.data.house import STOREY_M, House, Room

ANTENNA_M = 1.4  # above its floor: a gateway on a shelf


def _house(
    rooms: tuple[Room, ...],
    doors: dict[tuple[str, str], tuple[float, float]],
    gateways: dict[str, tuple[float, float, int]],
) -> House:
    """doors: names of two rooms -> (x, y); gateways: name -> (x, y, storey)."""
    number = {room.name: i for i, room in enumerate(rooms)}
    steps = {}
    for (a, b), (x, y) in doors.items():
        low, high = sorted((number[a], number[b]))
        flat = a if rooms[number[b]].climbs else b  # a flight has two levels, the other room one
        steps[low, high] = (x, y, rooms[number[flat]].storey * STOREY_M)
    antennas = {f"gw-{name}": (x, y, s * STOREY_M + ANTENNA_M) for name, (x, y, s) in gateways.items()}
    return House(rooms, steps, antennas)


# A flat.
#
#     0           5.0            9.0
# 7.0 +-----------+--------------+
#     |           |   bedroom    |
# 4.2 |           +-------  -----+
#     |  living      hallway     |
# 2.8 |           +----  --------+
#     |           |   bathroom   |
# 0.0 +-----------+--------------+
A = _house(
    rooms=(
        Room("hallway", "hall", 5, 2.8, 9, 4.2),
        Room("bedroom", "bedroom", 5, 4.2, 9, 7),
        Room("living", "living", 0, 0, 5, 7),
        Room("bathroom", "bathroom", 5, 0, 9, 2.8),
    ),
    doors={
        ("living", "hallway"): (5, 3.5),
        ("hallway", "bedroom"): (7.2, 4.2),
        ("hallway", "bathroom"): (6.4, 2.8),
    },
    gateways={
        "living-1": (0.3, 1, 0),
        "living-2": (4.7, 6.6, 0),
        "living-3": (0.3, 6, 0),
        "kitchen": (2.6, 0.3, 0),
        "hallway": (8.7, 3.4, 0),
        "bedroom-1": (8.7, 6.6, 0),
        "bedroom-2": (5.4, 4.6, 0),
        "bathroom": (8.6, 0.4, 0),
    },
)

# Two storeys around a hall; the upper one is set back.
B = _house(
    rooms=(
        Room("living", "living", 0, 0, 4.5, 6),
        Room("dining", "dining", 0, 6, 6, 9),
        Room("hall", "hall", 4.5, 0, 6, 3),
        Room("kitchen", "kitchen", 6, 1.6, 10, 7),
        Room("toilet", "bathroom", 6, 0, 8, 1.6),
        Room("stairs", "stairs", 4.5, 3, 6, 6, 0, climbs="+y"),
        Room("landing", "hall", 4.5, 6, 10, 7.2, 1),
        Room("bedroom-1", "bedroom", 0, 3, 4.5, 9, 1),
        Room("bedroom-2", "bedroom", 6, 0.6, 10, 6, 1),
        Room("bathroom", "bathroom", 4.5, 7.2, 7.2, 9, 1),
        Room("study", "study", 7.2, 7.2, 10, 9, 1),
    ),
    doors={
        ("hall", "living"): (4.5, 1.5),
        ("hall", "toilet"): (6, 0.8),
        ("hall", "kitchen"): (6, 2.3),
        ("hall", "stairs"): (5.2, 3),
        ("living", "dining"): (2.2, 6),
        ("dining", "kitchen"): (6, 6.5),
        ("stairs", "landing"): (5.2, 6),
        ("landing", "bedroom-1"): (4.5, 6.6),
        ("landing", "bedroom-2"): (8, 6),
        ("landing", "bathroom"): (5.6, 7.2),
        ("landing", "study"): (8.8, 7.2),
    },
    gateways={
        "living-1": (0.3, 1, 0),
        "living-2": (4.2, 5.4, 0),
        "dining": (0.3, 8.6, 0),
        "hall": (5.7, 0.3, 0),
        "kitchen-1": (9.7, 2.2, 0),
        "kitchen-2": (7.8, 6.7, 0),
        "landing": (9.7, 6.4, 1),
        "bedroom-1": (0.3, 5.2, 1),
        "bedroom-2": (9.6, 1.2, 1),
        "bathroom": (4.8, 8.7, 1),
        "study": (9.7, 8.6, 1),
    },
)

# A terraced house with a garden; the stairs go up from the kitchen.
C = _house(
    rooms=(
        Room("living", "living", 1.3, 0, 6.5, 7),
        Room("kitchen", "kitchen", 0, 7, 6.5, 10),
        Room("stairs", "stairs", 0, 4, 1.3, 7, 0, climbs="-y"),
        Room("outside", "outside", 0, 10, 6.5, 14),
        Room("hallway", "hall", 0, 2.8, 6.5, 4, 1),
        Room("bathroom", "bathroom", 1.3, 4, 3.4, 7, 1),
        Room("bedroom-1", "bedroom", 2.6, 0, 6.5, 2.8, 1),
        Room("bedroom-2", "bedroom", 3.4, 4, 6.5, 7, 1),
        Room("study", "study", 0, 0, 2.6, 2.8, 1),
    ),
    doors={
        ("living", "kitchen"): (4, 7),
        ("kitchen", "stairs"): (0.6, 7),
        ("kitchen", "outside"): (3, 10),
        ("stairs", "hallway"): (0.6, 4),
        ("hallway", "study"): (1.2, 2.8),
        ("hallway", "bedroom-1"): (4.6, 2.8),
        ("hallway", "bathroom"): (2.3, 4),
        ("hallway", "bedroom-2"): (5, 4),
    },
    gateways={
        "living-1": (1.6, 0.6, 0),
        "living-2": (6.2, 3, 0),
        "living-3": (1.6, 6.2, 0),
        "kitchen-1": (6.2, 8, 0),
        "kitchen-2": (1.6, 9.7, 0),
        "stairs": (0.2, 6.6, 0),
        "hallway": (6.3, 3.4, 1),
        "bathroom": (1.6, 6.7, 1),
        "bedroom-1": (6.2, 0.6, 1),
        "bedroom-2": (6.2, 6.6, 1),
        "study": (0.3, 0.4, 1),
    },
)

# Three storeys: two flights, and an attic under the roof.
D = _house(
    rooms=(
        Room("living", "living", 1.2, 0, 6, 7.5),
        Room("kitchen", "kitchen", 0, 7.5, 6, 10.5),
        Room("stairs-1", "stairs", 0, 4.5, 1.2, 7.5, 0, climbs="-y"),
        Room("landing", "hall", 0, 3.3, 6, 4.5, 1),
        Room("bedroom-1", "bedroom", 0, 0, 3.2, 3.3, 1),
        Room("bathroom", "bathroom", 3.2, 0, 6, 3.3, 1),
        Room("bedroom-2", "bedroom", 1.2, 4.5, 4.8, 9.5, 1),
        Room("stairs-2", "stairs", 4.8, 4.5, 6, 7.5, 1, climbs="+y"),
        Room("attic", "study", 0, 7.5, 6, 10.5, 2),
        Room("bedroom-3", "bedroom", 0, 3.5, 4.8, 7.5, 2),
    ),
    doors={
        ("living", "kitchen"): (4, 7.5),
        ("kitchen", "stairs-1"): (0.6, 7.5),
        ("stairs-1", "landing"): (0.6, 4.5),
        ("landing", "bedroom-1"): (1.6, 3.3),
        ("landing", "bathroom"): (4.6, 3.3),
        ("landing", "bedroom-2"): (3, 4.5),
        ("landing", "stairs-2"): (5.4, 4.5),
        ("stairs-2", "attic"): (5.4, 7.5),
        ("attic", "bedroom-3"): (2, 7.5),
    },
    gateways={
        "living-1": (1.5, 0.6, 0),
        "living-2": (5.7, 5.6, 0),
        "kitchen-1": (0.3, 10.1, 0),
        "kitchen-2": (5.7, 8.4, 0),
        "landing": (3.2, 4.2, 1),
        "bedroom-1": (0.3, 0.6, 1),
        "bathroom": (5.7, 0.5, 1),
        "bedroom-2": (1.5, 9.2, 1),
        "attic-1": (0.3, 10, 2),
        "attic-2": (5.7, 9.8, 2),
        "bedroom-3": (0.4, 3.9, 2),
    },
)

PLANS = {"A": A, "B": B, "C": C, "D": D}
