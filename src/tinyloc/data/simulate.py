"""A simulated house: packets in the columns of SHIB, of a scripted fingerprint walk and of free living.

First version. One floor plan, one person at a time, a channel whose parameters were chosen by hand (see `radio`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tinyloc.config import HouseData
from tinyloc.data import person, radio
from tinyloc.data.house import HOUSE, House
from tinyloc.data.packets import ACCELERATION, COLUMNS, SAMPLES_PER_PACKET, Dataset, Recording

# Bluetooth Core Specification, Vol 6 Part B 4.4.2.2: events are an interval and a random 0 … 10 ms apart
ADVERTISING_S, ADVERTISING_DELAY_S = 0.2, 0.01
LATENCY_S = 0.05  # until a gateway has written a packet down, as in SHIB
SEQNO_START = 1_000_000  # the first packet has a number below this one


@dataclass(frozen=True)
class Script:
    """One kind of recording. `stream` keeps its random numbers apart from those of the other kind."""

    phase: str
    stream: int
    first_day: np.datetime64
    life: Callable[[House, float, np.random.Generator], person.Life]


WALK = Script("fingerprint", 1, np.datetime64("2024-01-08T09:00:00", "us"), person.fingerprint)
LIFE = Script("living", 2, np.datetime64("2024-02-05T09:00:00", "us"), person.living)


def simulate(name: str, config: HouseData) -> Dataset:
    """The data set of a configuration; the same configuration gives the same packets.

    Every recording has a random stream of its own, so that another number of recordings leaves it as it is.
    """
    environment = radio.environment(HOUSE, _stream(config.seed, 0))
    plan = [(WALK, i, config.fingerprint_minutes) for i in range(config.fingerprint_walks)]
    plan += [(LIFE, i, config.living_minutes) for i in range(config.living_recordings)]
    return Dataset(
        name=name,
        gateways=tuple(HOUSE.gateways),
        rooms=HOUSE.room_names,
        recordings=tuple(
            _recording(environment, script, i, 60 * minutes, _stream(config.seed, script.stream, i))
            for script, i, minutes in plan
        ),
        origin=f"A simulated house (first version, seed {config.seed}): nothing in it was measured.",
    )


def _recording(
    environment: radio.Environment, script: Script, number: int, seconds: float, rng: np.random.Generator
) -> Recording:
    life = script.life(HOUSE, seconds, rng)
    start = script.first_day + np.timedelta64(number, "D")
    name = f"{script.phase}-{number + 1}"
    return Recording(name, name, script.phase, _packets(HOUSE, environment, life, seconds, start, rng))


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _packets(
    house: House,
    environment: radio.Environment,
    life: person.Life,
    seconds: float,
    start: np.datetime64,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The packets of one recording as the gateways write them down, sorted by time."""
    sent = _sent(seconds, rng)
    xy = life.place(sent)
    leg = life.at(sent)
    level = radio.rssi(house, environment, xy, life.heading[leg], rng)
    packet, gateway = np.nonzero(radio.heard(level, rng))
    written = sent[packet] + rng.uniform(0, LATENCY_S, len(packet))
    order = np.argsort(written, kind="stable")
    packet, gateway, written = packet[order], gateway[order], written[order]
    samples = person.acceleration(life, sent, SAMPLES_PER_PACKET, rng).reshape(len(sent), -1)[packet]
    table = {
        # SHIB's clock shows tenths of a millisecond
        "timestamp": start + (np.round(written * 1e4) * 100).astype("timedelta64[us]"),
        "rssi": np.round(level[packet, gateway]).astype(np.int64),
        "seqno": int(rng.integers(SEQNO_START)) + packet,
        **dict(zip(ACCELERATION, samples.T, strict=True)),
        "gateway": np.array(list(house.gateways))[gateway],
        "true_room": np.array(house.room_names)[house.room_at(xy)][packet],
        "activity": life.activity[leg][packet],
    }
    return pd.DataFrame(table)[list(COLUMNS)]


def _sent(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """When the wearable sends [P] s."""
    shortest = int(seconds / ADVERTISING_S) + 1
    sent = np.cumsum(ADVERTISING_S + rng.uniform(0, ADVERTISING_DELAY_S, shortest))
    return sent[sent < seconds]
