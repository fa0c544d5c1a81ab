"""Small packet tables for the tests of the data part."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tinyloc.data.features import REMEMBERED
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


@st.composite
def unruly(draw, accelerometer: bool | None = None):
    """Packet tables whose numbers come back late, jump and repeat, with samples that no float holds exactly.

    accelerometer: whether packets carry samples; None leaves it to chance.
    Hypothesis draws few rows where it draws each; what needs a crowd (many packets a bin, many bins) comes from a seed.
    """
    n, rng = draw(st.integers(1, 120)), np.random.default_rng(draw(st.integers(0, 9999)))
    pause = rng.integers(0, draw(st.sampled_from([2, 60, 400, 900])), n)
    rare = rng.random(n) < draw(st.sampled_from([0, 0.05, 0.3]))
    pause[rare] = rng.choice([500, 501, 1000, 2500, 5000, 5001, 20_000], rare.sum())
    jumps = rng.choice([0, 1, 1, 2, REMEMBERED - 1, REMEMBERED, REMEMBERED + 1, -1, -3, -REMEMBERED], n)
    size = draw(st.sampled_from([1e-3, 1.0, 16.0]))
    samples = rng.uniform(-size, size, (n, len(ACCELERATION)))
    samples[rng.random(n) < 0.2] = 0.1  # a device that lies still
    packets = table(
        np.cumsum(pause),
        rssi=rng.integers(-105, -20, n),
        seqno=10_000 + np.cumsum(jumps),
        gateway=rng.choice(GATEWAYS[: draw(st.sampled_from([1, len(GATEWAYS)]))], n),  # one of them may never hear
        acceleration=samples,
    )
    carried = draw(st.booleans()) if accelerometer is None else accelerometer
    return packets if carried else packets.drop(columns=list(ACCELERATION))
