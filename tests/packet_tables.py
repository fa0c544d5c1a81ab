"""Small packet tables for the tests of the data part."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tinyloc.data.packets import ACCELERATION, COLUMNS, Dataset, Recording

GATEWAYS, ROOMS = ("east", "west"), ("attic", "cellar", "hall")
START = np.datetime64("2024-05-01T10:00:00", "us")


def table(ms, rssi=-60, seqno=None, gateway="east", room="attic", activity="sitting", acceleration=0.25):
    """A packet table with packets at `ms` milliseconds; every other column is one value or one a packet."""
    n = len(ms)
    samples = np.broadcast_to(np.asarray(acceleration, float), (n, len(ACCELERATION)))
    columns = {
        "timestamp": START + np.asarray(ms, dtype="timedelta64[ms]"),
        "rssi": np.broadcast_to(rssi, n).astype(np.int64),
        "seqno": np.arange(n) if seqno is None else np.asarray(seqno),
        **dict(zip(ACCELERATION, samples.T, strict=True)),
        **{k: [v] * n if isinstance(v, str) else list(v) for k, v in (("gateway", gateway), ("true_room", room))},
        "activity": activity,
    }
    return pd.DataFrame(columns)[list(COLUMNS)]


def dataset(*tables, phases=None, participants=None) -> Dataset:
    phases = phases or ["calibration"] * len(tables)
    participants = participants or [f"p{i}" for i in range(len(tables))]
    recordings = [
        Recording(f"{p}-{i}", p, phase, t)
        for i, (t, phase, p) in enumerate(zip(tables, phases, participants, strict=True))
    ]
    return Dataset("toy", GATEWAYS, ROOMS, tuple(recordings), "made by a test")


@st.composite
def tables(draw, max_size: int = 80):
    """Any packet table: pauses from nothing to several gaps, packets heard once or twice, rooms at random."""
    pause = st.one_of(st.integers(0, 400), st.sampled_from([1000, 2500, 5000, 5001, 7000, 20_000]))
    rows = draw(
        st.lists(
            st.tuples(pause, st.integers(-105, -20), st.booleans(), st.sampled_from(GATEWAYS), st.sampled_from(ROOMS)),
            min_size=1,
            max_size=max_size,
        )
    )
    pauses, rssi, new, gateway, room = map(list, zip(*rows, strict=True))
    seqno = np.cumsum(new)
    # one packet has one set of samples, on whichever row it stands
    samples = np.random.default_rng(draw(st.integers(0, 99))).integers(-64, 64, (seqno[-1] + 1, len(ACCELERATION))) / 32
    return table(np.cumsum(pauses), rssi, seqno, gateway, room, acceleration=samples[seqno])
