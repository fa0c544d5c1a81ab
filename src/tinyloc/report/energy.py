"""Time and energy of a decision: estimates, each with a best and a worst case, from counted instructions.

The instructions by class are counted (`device.mix`). What follows is not: how many cycles an instruction of a class
takes, and what power a part draws meanwhile, are `constants` with a source each. What neighbouring instructions do to
each other is why those are ranges; flash wait states, caches that miss and everything that sleeps are left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from tinyloc.data.packets import samples
from tinyloc.errors import InputError
from tinyloc.report.constants import CLASS_NAMES, Constants, Part, Range, cite, shown
from tinyloc.report.home import Home

AXES = 3  # of an accelerometer


# ── decisions ────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Estimate:
    """Of one decision, each (best, worst)."""

    cycles: Range
    seconds: Range
    joules: Range


def cycles(mix: Mapping[str, float], core: str, constants: Constants) -> Range:
    """Cycles of the instructions of `mix` (as `device.mix.mix` gives it) on a core.

    Raises InputError: there are instructions of a class of which the core has no cycles.
    """
    table = constants.cycles.get(core, {})
    for name, times in mix.items():
        if times and name not in table:
            raise InputError(
                f"{core}: {times:,.0f} instructions of class {name!r} were counted, but the constants have no cycles "
                f"for it; add cycles.{core}.{name} to their file"
            )
    counted = [(times, table[name].si) for name, times in mix.items() if times]
    return tuple(float(sum(times * each[end] for times, each in counted)) for end in (0, 1))


def estimate(mix: Mapping[str, float], part: Part, constants: Constants) -> Estimate:
    """What the instructions of `mix` take on a part, which draws the power of a case for the time of the same case.

    Raises InputError as `cycles` does.
    """
    found = cycles(mix, part.core, constants)
    seconds = tuple(end / part.hertz for end in found)
    return Estimate(found, seconds, tuple(s * p for s, p in zip(seconds, part.watts, strict=True)))


def parts_with(core: str, constants: Constants) -> dict[str, Part]:
    """Raises InputError: no part has that core."""
    found = {name: part for name, part in constants.parts.items() if part.core == core}
    if not found:
        raise InputError(f"{core}: models ran on it, but no part of the constants has it; add one under parts")
    return found


def decisions(runs: pd.DataFrame, constants: Constants) -> pd.DataFrame:
    """One row a data set, entry and part with the core it ran on: seconds, joules and cycles, _low and _high.

    runs: as `results.devices` gives it; of seeds the cheapest and the dearest.
    Raises InputError as `cycles` and `parts_with` do.
    """
    rows = []
    for (dataset, entry, core), core_runs in runs.groupby(["dataset", "entry", "core"], sort=False):
        for part_name, part in parts_with(core, constants).items():
            found = [estimate(mix_of(run), part, constants) for _, run in core_runs.iterrows()]
            row = {"dataset": dataset, "entry": entry, "core": core, "part": part_name}
            for name, (end, choose) in product(("cycles", "seconds", "joules"), enumerate((min, max))):
                row[f"{name}_{('low', 'high')[end]}"] = choose(getattr(one, name)[end] for one in found)
            rows.append({**row, "clock_hz": part.hertz})
    return pd.DataFrame(rows)


def a_second(found: pd.DataFrame, bin_s: float) -> pd.DataFrame:
    """Joules a second of signal in the place of joules a decision. bin_s: seconds between two decisions."""
    return found.assign(**{name: found[name] / bin_s for name in ("joules_low", "joules_high")})


def mix_of(run: pd.Series) -> dict[str, int]:
    """The instructions by class of one row of `results.devices`."""
    return {name.removeprefix("mix."): int(run[name]) for name in run.index if name.startswith("mix.")}


# ── radio ────────────────────────────────────────────────────────────────────────────────────────
def raw_bytes_per_second(home: Home, bin_s: float, constants: Constants) -> float:
    """Bytes a second that a wearable sends who leaves the deciding to others: all signal strengths and accelerations.

    bin_s: seconds a step. Packets are counted at the gateway that hears most in a step.
    """
    heard = np.concatenate([steps.heard for steps in home.steps])  # [S, n_ap]
    packets, receptions = heard.max(axis=1).mean() / bin_s, heard.sum(axis=1).mean() / bin_s
    bytes_each = constants.choices
    of_acceleration = samples(home.dataset.recordings[0].packets.columns) * AXES * bytes_each.axis.si
    return receptions * (bytes_each.signal_strength.si + bytes_each.gateway.si) + packets * of_acceleration


def connected(payload: float, constants: Constants) -> float:
    """Joules to send `payload` bytes in one connection event: every packet full, asked for and acknowledged once."""
    air, radio = constants.air, constants.radio
    n = math.ceil(payload / air.connection.si)
    sending = (n * air.frame + payload) * air.byte.si
    listening = n * (air.frame * air.byte.si + 2 * air.pause.si)
    return radio.voltage.si * (sending * radio.sending.si + listening * radio.listening.si)


def advertised(payload: float, constants: Constants) -> float:
    """Joules to send `payload` bytes as advertisements, on every channel, since nobody acknowledges them."""
    air, radio = constants.air, constants.radio
    n = math.ceil(payload / air.advertisement.si)
    sending = air.channels.si * (n * (air.frame + air.address.si) + payload) * air.byte.si
    return radio.voltage.si * sending * radio.sending.si


def radio(payload: float, constants: Constants) -> Range:
    """Joules to send `payload` bytes over Bluetooth LE: in a connection that stands, or as advertisements.

    The cheaper comes first: of a few bytes that is the advertisement, because nobody has to listen for an answer.
    """
    low, high = sorted((connected(payload, constants), advertised(payload, constants)))
    return low, high


# ── shown ────────────────────────────────────────────────────────────────────────────────────────
MILLI, MICRO, NANO = 1e3, 1e6, 1e9


def decisions_table(found: pd.DataFrame) -> pd.DataFrame:
    """found: as `decisions` gives it."""
    return pd.DataFrame(
        {
            "data set": found["dataset"],
            "model": found["entry"],
            "part": found["part"],
            "clock (MHz)": [f"{hz / 1e6:g}" for hz in found["clock_hz"]],
            "cycles (thousand), estimate": _ranges(found, "cycles", 1e-3),
            "time (ms), estimate": _ranges(found, "seconds", MILLI),
            "energy (µJ), estimate": _ranges(found, "joules", MICRO),
        }
    )


def cycles_table(constants: Constants) -> pd.DataFrame:
    """Cycles of every class on every core, best to worst; a dash where the core has no such instructions."""
    names = {"block": "block transfer", "block_words": "and a word of it"}
    order = sorted(CLASS_NAMES, key=lambda name: CLASS_NAMES.index(name.removesuffix("_words")))  # below what it is of
    columns = {
        core: [shown(table[name]) if name in table else "–" for name in order]
        for core, table in constants.cycles.items()
    }
    return pd.DataFrame({"class": [names.get(name, name.replace("_", " ")) for name in order], **columns})


def parts_table(constants: Constants) -> pd.DataFrame:
    """What a part's power is, what a cycle of its core therefore costs, and whose word that is."""
    parts = constants.parts.values()
    return pd.DataFrame(
        {
            "part": list(constants.parts),
            "core": [part.core for part in parts],
            "clock (MHz)": [f"{part.hertz / 1e6:g}" for part in parts],
            "power (mW)": [_range(part.watts, MILLI) for part in parts],
            "energy of a thousand cycles (nJ)": [
                _range(tuple(1e3 * end / part.hertz for end in part.watts), NANO) for part in parts
            ],
            "from": [cite(part.sources) for part in parts],
        }
    )


def against_radio(spent: pd.DataFrame, payloads: Mapping[str, float], constants: Constants) -> str:
    """A second of decisions beside a second of sending. spent: as `a_second`; payloads: bytes a second by data set."""
    lines = []
    for dataset, payload in payloads.items():
        low, high = radio(payload, constants)
        lines.append(
            f"- **{dataset}**: {payload:.0f} bytes a second, which the radio sends for an estimated "
            f"{_range((low, high), MICRO)} µJ."
        )
        for _, row in spent[spent["dataset"] == dataset].iterrows():
            least, most = row["joules_low"], row["joules_high"]
            verdict = "less" if most < low else "more" if least > high else "neither surely less nor surely more"
            lines.append(f"  - {row['entry']} on {row['part']}: {_range((least, most), MICRO)} µJ a second, {verdict}.")
    return "\n".join(lines)


def _ranges(found: pd.DataFrame, name: str, factor: float) -> list[str]:
    return [_range(pair, factor) for pair in zip(found[f"{name}_low"], found[f"{name}_high"], strict=True)]


def _range(ends: Range, factor: float) -> str:
    """Two digits: an estimate has no more."""
    low, high = (_two_digits(factor * end) for end in ends)
    return low if low == high else f"{low} – {high}"


def _two_digits(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, 1 - math.floor(math.log10(abs(value))))
    return f"{rounded:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{rounded:,.0f}"
