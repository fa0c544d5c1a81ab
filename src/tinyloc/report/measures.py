"""The numbers by which recordings are compared, each with its name and unit: one list for the table and the text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyloc.data.statistics import GAIT_HZ, MOVING, STILL, Statistics


@dataclass(frozen=True)
class Measure:
    """`value` is NaN where the recordings cannot say."""

    name: str
    unit: str
    value: Callable[[Statistics], float]
    text: str = "{:.1f}"

    def shown(self, value: float) -> str:
        return "–" if np.isnan(value) else self.text.format(value).replace("-", "−")


def _rssi(percentile: float) -> Callable[[Statistics], float]:
    return lambda s: float(np.percentile(s.rssi, percentile))


def _runs(percentile: float) -> Callable[[Statistics], float]:
    return lambda s: float(np.percentile(s.runs, percentile)) if len(s.runs) else np.nan


def _still(s: Statistics) -> float:
    """Over the activities at rest, weighted by how much of each there is."""
    spectra = [s.spectra[activity] for activity in STILL if activity in s.spectra]
    pieces = [spectrum.pieces for spectrum in spectra]
    power = [spectrum.strength**2 for spectrum in spectra]
    return float(np.sqrt(np.average(power, weights=pieces))) if spectra else np.nan


def _walking(s: Statistics) -> float:
    return s.spectra[MOVING].strength if MOVING in s.spectra else np.nan


_BAND = f"{GAIT_HZ[0]:g} – {GAIT_HZ[1]:g} Hz"
MEASURES = (
    Measure("RSSI, 1st percentile", "dBm", _rssi(1), "{:.0f}"),
    Measure("RSSI, median", "dBm", _rssi(50), "{:.0f}"),
    Measure("RSSI, 99th percentile", "dBm", _rssi(99), "{:.0f}"),
    Measure("range of RSSI from one room, 5 to 95 %", "dB", lambda s: float(s.room_range.mean())),
    Measure("spread of RSSI from one room at one gateway", "dB", lambda s: float(np.median(s.spread))),
    Measure("spread of RSSI within a second", "dB", lambda s: s.jump),
    Measure("silent seconds, least silent gateway", "%", lambda s: 100 * float(s.silent.min())),
    Measure("silent seconds, mean", "%", lambda s: 100 * float(s.silent.mean())),
    Measure("silent seconds, most silent gateway", "%", lambda s: 100 * float(s.silent.max())),
    Measure("run of silence, median", "s", _runs(50)),
    Measure("run of silence, 90th percentile", "s", _runs(90)),
    Measure("changes of room", "an hour", lambda s: s.changes_per_hour, "{:.0f}"),
    Measure("time in a room, median", "s", lambda s: float(np.median(s.stays)) if len(s.stays) else np.nan, "{:.0f}"),
    Measure(f"wrist at rest, {_BAND}", "g", _still, "{:.2f}"),
    Measure(f"wrist walking, {_BAND}", "g", _walking, "{:.2f}"),
)
