"""Simulated houses: packets in the columns of SHIB, of scripted fingerprint walks and of free living."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tinyloc.config import HouseData
from tinyloc.data import person, radio
from tinyloc.data.house import House
from tinyloc.data.packets import ACCELERATION, COLUMNS, RSSI_RANGE, SAMPLES_PER_PACKET, Dataset, Recording
from tinyloc.data.plans import PLANS
from tinyloc.errors import InputError

# Bluetooth Core Specification, Vol 6 Part B 4.4.2.2: events are an interval and a random 0 … 10 ms apart
ADVERTISING_S, ADVERTISING_DELAY_S = 0.2, 0.01
# Vol 6 Part B 4.2.2: a sleep clock may be wrong by 500 ppm; drawn for each recording
CLOCK_PPM = 100.0
# A gateway writes a packet down by its own clock, synchronised over the network: an offset for each recording, and a
# jitter for each packet. SHIB's gateways are that far apart.
OFFSET_S, JITTER_S = 0.008, 0.004
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
    environment = the_environment(config)
    house = environment.house
    plan = [(WALK, i, config.fingerprint_minutes) for i in range(config.fingerprint_walks)]
    plan += [(LIFE, i, config.living_minutes) for i in range(config.living_recordings)]
    recordings = [
        _recording(environment, script, i, 60 * minutes, _stream(config.seed, script.stream, i))
        for script, i, minutes in plan
    ]
    kept, said = config.fingerprint_kept_minutes, ""
    if kept is not None:
        recordings = [_first(one, kept) if one.phase == WALK.phase else one for one in recordings]
        said = f", walks broken off after {kept:g} min"
    return Dataset(
        name=name,
        gateways=tuple(house.gateways),
        rooms=house.room_names,
        recordings=tuple(recordings),
        origin=f"A simulated house (plan {config.plan}, seed {config.seed}{said}): nothing in it was measured.",
    )


def _first(recording: Recording, minutes: float) -> Recording:
    """The first minutes of a recording, counted from its first packet."""
    time = recording.packets["timestamp"]
    kept = time < time.iloc[0] + pd.Timedelta(minutes=minutes)
    return replace(recording, packets=recording.packets[kept].reset_index(drop=True))


def the_environment(config: HouseData) -> radio.Environment:
    """The house of a configuration and what of its radio is the same in all recordings."""
    return radio.environment(PLANS[config.plan], config.channel, _stream(config.seed, 0))


def in_every_plan(config: HouseData, minutes: float) -> list[Dataset]:
    """The same configuration in each of the four houses, named after their plans; recordings of at most `minutes`."""
    shortened = {
        "fingerprint_minutes": min(config.fingerprint_minutes, minutes),
        "living_minutes": min(config.living_minutes, minutes),
    }
    return [simulate(f"house {plan}", config.model_copy(update={**shortened, "plan": plan})) for plan in PLANS]


def _recording(
    environment: radio.Environment, script: Script, number: int, seconds: float, rng: np.random.Generator
) -> Recording:
    life = script.life(environment.house, seconds, rng)
    start = script.first_day + np.timedelta64(number, "D")
    name = f"{script.phase}-{number + 1}"
    return Recording(name, name, script.phase, _packets(environment, life, seconds, start, rng))


def _stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _packets(
    environment: radio.Environment,
    life: person.Life,
    seconds: float,
    start: np.datetime64,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The packets of one recording as the gateways write them down, sorted by time.

    Raises InputError: there are none.
    """
    house = environment.house
    sent = _sent(seconds, rng)
    if not len(sent):
        raise InputError(f"a simulated recording of {seconds:g} s: over before the first packet; give more minutes")
    leg = life.at(sent)
    pose = _poses(life.place(sent), life.heading[leg])
    level = radio.rssi(environment, pose, rng)
    packet, gateway = np.nonzero(radio.heard(environment.channel, level, rng))
    if not len(packet):
        raise InputError(
            f"a simulated recording of {seconds:g} s: no gateway heard a packet; give more minutes, or a channel that "
            "lets some through (reference_dbm, sensitivity_dbm, best_reception)"
        )
    written = sent[packet] + _lag(gateway, len(house.gateways), rng)
    order = np.argsort(written, kind="stable")
    packet, gateway, written = packet[order], gateway[order], written[order]
    samples = person.acceleration(life, sent, SAMPLES_PER_PACKET, rng).reshape(len(sent), -1)[packet]
    table = {
        # SHIB's clock shows tenths of a millisecond
        "timestamp": start + (np.round(written * 1e4) * 100).astype("timedelta64[us]"),
        # a Bluetooth receiver reports whole dBm, and nothing outside its range
        "rssi": np.clip(np.round(level[packet, gateway]), *RSSI_RANGE).astype(np.int64),
        "seqno": int(rng.integers(SEQNO_START)) + packet,
        **dict(zip(ACCELERATION, samples.T, strict=True)),
        "gateway": _named(tuple(house.gateways), gateway),
        "true_room": _named(house.room_names, house.room_at(pose.place)[pose.packet[packet]]),
        "activity": _named(person.ACTIVITIES, life.activity[leg][packet]),
    }
    return pd.DataFrame(table)[list(COLUMNS)]


def _sent(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """When the wearable sends [P] s."""
    shortest = int(seconds / ADVERTISING_S * (1 + 1e-5 * CLOCK_PPM)) + 1
    sent = np.cumsum(ADVERTISING_S + rng.uniform(0, ADVERTISING_DELAY_S, shortest))
    sent = sent * (1 + 1e-6 * rng.normal(0, CLOCK_PPM))
    return sent[sent < seconds]


def _poses(place: np.ndarray, heading: np.ndarray) -> radio.Pose:
    """Packets [P] sent one after the other from the same place [P, 3] with the same heading [P] share a pose."""
    moved = (np.diff(place, axis=0) != 0).any(1) | (np.diff(heading) != 0)
    first = np.concatenate([[True], moved])
    return radio.Pose(place[first], heading[first], np.cumsum(first) - 1)


def _lag(gateway: np.ndarray, n_ap: int, rng: np.random.Generator) -> np.ndarray:
    """By how much later than sent each packet [rows] is written down, by its gateway's clock, s."""
    return rng.normal(0, OFFSET_S, n_ap)[gateway] + rng.normal(0, JITTER_S, len(gateway))


def _named(names: Sequence[str], codes: np.ndarray) -> pd.api.extensions.ExtensionArray:
    return pd.array(list(names), dtype="str").take(codes)
