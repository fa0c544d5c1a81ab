"""A toy world for the tests of models and training: two rooms, two gateways, each heard best in its own room."""

import numpy as np

from tinyloc.data.features import Steps
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Windows

GATEWAYS, ROOMS = ("east", "west"), ("attic", "cellar")


def windows(n: int, length: int = 6, seed: int = 0, noise: float = 0.3) -> Windows:
    """`n` scaled windows, each wholly in one room; neither gateway alone is sure."""
    rng = np.random.default_rng(seed)
    room = np.repeat(rng.integers(2, size=n)[:, None], length, 1)
    heard = np.stack([room == 0, room == 1], -1)
    return Windows(
        rssi=(0.3 + 0.3 * heard + noise * rng.standard_normal((n, length, 2))).astype(np.float32),
        acc=rng.random((n, length, 6), np.float32),
        room=room,
        recording=np.full(n, "toy"),
        segment=np.zeros(n, np.int64),
        step=np.arange(n) + length - 1,
    )


def steps(name: str, n_segments: int = 4, length: int = 30, seed: int = 0) -> Steps:
    """A recording, in dBm and g, whose segments lie in one room each, by turns."""
    rng = np.random.default_rng(seed)
    segment = np.repeat(np.arange(n_segments), length)
    n = len(segment)
    room = segment % 2
    near = np.stack([room == 0, room == 1], -1)
    return Steps(
        recording=name,
        participant=name,
        phase="calibration",
        rssi=(np.where(near, -60, -80) + 5 * rng.standard_normal((n, 2))).astype(np.float32),
        heard=np.ones((n, 2), np.int64),
        acc=rng.random((n, 6)).astype(np.float32),
        room=room,
        segment=segment,
        step=np.arange(n),
        time=np.datetime64("2024-05-01", "us") + np.arange(n).astype("timedelta64[s]"),
    )


def fold() -> Fold:
    return Fold("c", train=[steps("a", seed=1)], validation=[steps("b", seed=2)], test=[steps("c", seed=3)])
