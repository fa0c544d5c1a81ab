"""Time and energy of a decision: estimates, each with a best and a worst case, from counted instructions.

The instructions by class are counted (`device.mix`). What follows is not: a class takes as many cycles as Arm's manual
says, or as we assume where there is no such table, and a cycle as much charge as a data sheet says. Flash wait
states, caches, the pipeline between two instructions, the regulator and everything that sleeps are left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from tinyloc.data.packets import samples
from tinyloc.report.home import Home

Range = tuple[float, float]
"""Best and worst case."""

ASSUMED = "assumption"

# ── cycles ───────────────────────────────────────────────────────────────────────────────────────
# Cortex-M4: its Technical Reference Manual (ARM DDI 0439), tables of the instruction set and of the FPU. A load takes
# two cycles, one behind a load or store; a branch that is taken refills the pipeline in one to three; a block transfer
# takes one cycle and one a word. A float result that is used at once costs one more.
M4F: dict[str, Range] = {
    "integer": (1, 1),
    "multiply": (1, 1),
    "divide": (2, 12),
    "load": (1, 2),
    "store": (1, 2),
    "block": (1, 4),
    "block_words": (1, 1),
    "branch": (1, 4),
    "float": (1, 2),
    "float_multiply_add": (3, 4),
    "float_divide": (14, 15),
    "vector": (0, 0),  # it has none
}

# For neither of these is there a table of cycles: the worst case is assumed to be that of the Cortex-M4F, with a branch
# mispredicted all the way down the pipeline. The best is what the manuals (ARM DDI 0489, ARM 101051) say of the
# pipelines: the M7 issues two instructions a cycle, of which one may be a load of 64 bits; the M55 two short integer
# ones, and passes half a Helium vector a cycle, the next one overlapping.
M7: dict[str, Range] = {
    **M4F,
    **dict.fromkeys(("integer", "multiply"), (0.5, 1)),
    **dict.fromkeys(("load", "store", "float"), (0.5, 2)),
    "block": (0.5, 7),
    "block_words": (0.5, 1),
    "branch": (0.5, 7),
    "float_multiply_add": (1, 4),
}
M55: dict[str, Range] = {
    **M4F,
    "integer": (0.5, 1),
    "block_words": (0.5, 1),
    "branch": (0.5, 5),
    "float_multiply_add": (1, 4),
    "vector": (1, 2),
}
CYCLES = {"Cortex-M4F": M4F, "Cortex-M7": M7, "Cortex-M55": M55}
"""Cycles of an instruction (of a word, for `block_words`), by core and class."""


# ── parts ────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Part:
    """A microcontroller that runs from its flash, everything but the core switched off."""

    name: str
    core: str
    clock_hz: float
    amperes_per_hz: Range
    volts: float
    source: str  # of the currents


UA_PER_MHZ = 1e-12  # amperes a hertz

PARTS = (
    Part(
        "nRF52840",
        "Cortex-M4F",
        64e6,
        # with its DC/DC converter; 6.3 mA with its linear regulator
        (52 * UA_PER_MHZ, 6.3e-3 / 64e6),
        3.0,
        "product specification (unchecked)",
    ),
    Part(
        "STM32L4",
        "Cortex-M4F",
        80e6,
        # linear regulator: the first pages for the STM32L412 and the STM32L476
        (79 * UA_PER_MHZ, 100 * UA_PER_MHZ),
        3.3,
        "data sheets",
    ),
    Part("a Cortex-M7 at 216 MHz", "Cortex-M7", 216e6, (400 * UA_PER_MHZ, 600 * UA_PER_MHZ), 3.3, ASSUMED),
    Part("a Cortex-M55 at 160 MHz", "Cortex-M55", 160e6, (20 * UA_PER_MHZ, 100 * UA_PER_MHZ), 3.3, ASSUMED),
)


@dataclass(frozen=True)
class Estimate:
    """Of one decision, each (best, worst)."""

    cycles: Range
    seconds: Range
    joules: Range


def cycles(mix: Mapping[str, float], core: str) -> Range:
    """Cycles of the instructions of `mix` (as `device.mix.mix` gives it) on a core."""
    table = CYCLES[core]
    return tuple(sum(times * table[name][end] for name, times in mix.items()) for end in (0, 1))


def estimate(mix: Mapping[str, float], part: Part) -> Estimate:
    """What the instructions of `mix` take on a part. The current is drawn for the time of the same case."""
    found = cycles(mix, part.core)
    seconds = tuple(end / part.clock_hz for end in found)
    power = [part.clock_hz * each * part.volts for each in part.amperes_per_hz]
    return Estimate(found, seconds, tuple(s * p for s, p in zip(seconds, power, strict=True)))


def decisions(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, entry and part with the core it ran on: seconds, joules and cycles, _low and _high.

    runs: as `results.devices` gives it; of seeds the cheapest and the dearest.
    """
    rows = []
    for (dataset, entry, core), part_runs in runs.groupby(["dataset", "entry", "core"], sort=False):
        for part in (p for p in PARTS if p.core == core):
            found = [estimate(mix_of(run), part) for _, run in part_runs.iterrows()]
            row = {"dataset": dataset, "entry": entry, "core": core, "part": part.name}
            for name, (end, choose) in product(("cycles", "seconds", "joules"), enumerate((min, max))):
                row[f"{name}_{('low', 'high')[end]}"] = choose(getattr(one, name)[end] for one in found)
            rows.append({**row, "clock_hz": part.clock_hz, "source": part.source})
    return pd.DataFrame(rows)


def a_second(found: pd.DataFrame, bin_s: float) -> pd.DataFrame:
    """Joules a second of signal in the place of joules a decision. bin_s: seconds between two decisions."""
    return found.assign(**{name: found[name] / bin_s for name in ("joules_low", "joules_high")})


def mix_of(run: pd.Series) -> dict[str, int]:
    """The instructions by class of one row of `results.devices`."""
    return {name.removeprefix("mix."): int(run[name]) for name in run.index if name.startswith("mix.")}


# ── radio ────────────────────────────────────────────────────────────────────────────────────────
# Bluetooth Core Specification, Vol 6 Part B: LE 1M sends a bit a microsecond; a packet is preamble, access address,
# header, payload and check sum; the other side acknowledges after a pause.
S_PER_BYTE = 8e-6
FRAME_BYTES = 1 + 4 + 2 + 3
ADDRESS_BYTES = 6  # of the sender, in an advertisement
ADVERTISED_BYTES = 31  # payload of a legacy advertisement at most
ADVERTISING_CHANNELS = 3  # on each of which it is sent
CONNECTION_BYTES = 251  # payload of a data packet at most
PAUSE_S = 150e-6

# nRF52840 at 0 dBm from 3 V through its DC/DC converter: the radio alone, and with what else must run for it.
RADIO_VOLTS = 3.0
SENDING_A: Range = (4.8e-3, 6.4e-3)
LISTENING_A = 4.6e-3

# What a packet that was heard amounts to. Assumed, as a frugal programmer would choose.
RSSI_BYTES = 1
GATEWAY_BYTES = 1
AXIS_BYTES = 1
AXES = 3


def raw_bytes_per_second(home: Home, bin_s: float) -> float:
    """Bytes a second that a wearable sends who leaves the deciding to others: all signal strengths and accelerations.

    bin_s: seconds a step. Packets are counted at the gateway that hears most in a step.
    """
    heard = np.concatenate([steps.heard for steps in home.steps])  # [S, n_ap]
    packets, receptions = heard.max(axis=1).mean() / bin_s, heard.sum(axis=1).mean() / bin_s
    of_acceleration = samples(home.dataset.recordings[0].packets.columns) * AXES * AXIS_BYTES
    return receptions * (RSSI_BYTES + GATEWAY_BYTES) + packets * of_acceleration


def connected(payload: float) -> float:
    """Joules to send `payload` bytes in one connection event: every packet full, asked for and acknowledged once."""
    n = math.ceil(payload / CONNECTION_BYTES)
    sending = (n * FRAME_BYTES + payload) * S_PER_BYTE
    listening = n * (FRAME_BYTES * S_PER_BYTE + 2 * PAUSE_S)
    return RADIO_VOLTS * (sending * SENDING_A[0] + listening * LISTENING_A)


def advertised(payload: float) -> float:
    """Joules to send `payload` bytes as advertisements, on every channel, since nobody acknowledges them."""
    n = math.ceil(payload / ADVERTISED_BYTES)
    sending = ADVERTISING_CHANNELS * (n * (FRAME_BYTES + ADDRESS_BYTES) + payload) * S_PER_BYTE
    return RADIO_VOLTS * sending * SENDING_A[1]


def radio(payload: float) -> Range:
    """Joules to send `payload` bytes over Bluetooth LE: in a connection that stands, or as advertisements."""
    return connected(payload), advertised(payload)


# ── shown ────────────────────────────────────────────────────────────────────────────────────────
MILLI, MICRO = 1e3, 1e6


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
            "currents from": found["source"],
        }
    )


def constants_table() -> pd.DataFrame:
    """Cycles of every class on every core, best to worst."""
    names = {"block": "block transfer", "block_words": "and a word of it"}
    columns = {core: [_range(table[name], 1) for name in M4F] for core, table in CYCLES.items()}
    return pd.DataFrame({"class": [names.get(name, name.replace("_", " ")) for name in M4F], **columns})


def against_radio(spent: pd.DataFrame, payloads: Mapping[str, float]) -> str:
    """A second of decisions beside a second of sending. spent: as `a_second`; payloads: bytes a second by data set."""
    lines = []
    for dataset, payload in payloads.items():
        low, high = radio(payload)
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
