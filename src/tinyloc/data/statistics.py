"""What a data set is like as a recording: strength, silence, movement between rooms, and of the wrist.

The same numbers for real and for simulated homes, so that the two can stand side by side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tinyloc.config import Features
from tinyloc.data.features import Steps, all_steps, stacked
from tinyloc.data.packets import Dataset, Recording, acceleration, samples

SPECTRUM_PACKETS = 12  # heard one after the other, whose samples make one piece for a spectrum
STILL = ("sitting", "standing", "lying")
MOVING = "walking"
GAIT_HZ = (0.5, 4.0)  # where strides and steps are


@dataclass(frozen=True)
class Spectrum:
    """Mean power spectral density of the acceleration, summed over the three axes, and how many pieces are behind it.

    The axes are summed because no two people wear the device alike.
    """

    frequency: np.ndarray  # [F] Hz
    density: np.ndarray  # [F] g²/Hz; NaN where nothing is behind it
    pieces: int

    @property
    def strength(self) -> float:
        """Root mean square of the movement within GAIT_HZ, in g."""
        band = (self.frequency >= GAIT_HZ[0]) & (self.frequency <= GAIT_HZ[1])
        return float(np.sqrt(self.density[band].sum() * self.frequency[1]))


@dataclass(frozen=True)
class Statistics:
    """Of one data set. A second is a step; a run of silence ends at the end of its segment too."""

    name: str
    rssi: np.ndarray  # [rows] dBm, of every packet at every gateway
    room_range: np.ndarray  # [R] dB, 5th to 95th percentile over the packets heard from a room
    spread: np.ndarray  # [pairs] dB, standard deviation of packets from one room at one gateway
    jump: float  # dB, standard deviation within one second at one gateway
    silent: np.ndarray  # [n_ap] share of the seconds
    runs: np.ndarray  # [runs] s, lengths of silence
    stays: np.ndarray  # [stays] s in one room, between two changes of room that were both seen
    changes_per_hour: float  # of the room, while it was recorded
    spectra: dict[str, Spectrum]  # by activity, of those in STILL and MOVING that occur


def statistics(dataset: Dataset, features: Features, phase: str | None = None) -> Statistics:
    """Statistics of a data set, or of its recordings of one phase.

    Raises ValueError: no recording of that phase.
    """
    recordings = tuple(r for r in dataset.recordings if phase in (None, r.phase))
    if not recordings:
        raise ValueError(f"{dataset.name}: no recording of phase {phase!r}")
    chosen = Dataset(dataset.name, dataset.gateways, dataset.rooms, recordings, dataset.origin)
    steps = all_steps(chosen, features)
    packets = pd.concat([r.packets for r in recordings], keys=range(len(recordings)), names=["recording", None])
    by_room = packets.groupby("true_room", sort=False)["rssi"]
    by_pair = packets.groupby(["true_room", "gateway"], sort=False)["rssi"]
    second = packets["timestamp"].dt.floor("s")
    within = packets.groupby(["recording", "gateway", second])["rssi"].var().dropna()
    hours = sum(map(len, steps)) * features.bin_s / 3600
    return Statistics(
        name=dataset.name,
        rssi=packets["rssi"].to_numpy(),
        room_range=(by_room.quantile(0.95) - by_room.quantile(0.05)).to_numpy(),
        spread=by_pair.std()[by_pair.size() >= 30].to_numpy(),
        jump=float(np.sqrt(within.mean())),
        silent=(stacked(steps, "heard") == 0).mean(0),
        runs=features.bin_s * np.concatenate([silences(s) for s in steps]),
        stays=features.bin_s * np.concatenate([_stays(s) for s in steps]),
        changes_per_hour=sum(_changes(s) for s in steps) / hours,
        spectra=spectra(recordings),
    )


def silences(steps: Steps) -> np.ndarray:
    """Lengths in steps of every run of silence of every gateway; no run crosses a gap."""
    lengths = []
    for rows in _segments(steps):
        silent = np.pad(steps.heard[rows].T == 0, ((0, 0), (1, 1))).astype(np.int8)
        edges = np.diff(silent, axis=1)  # one run after the other, gateway by gateway
        lengths.append(np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1])
    return np.concatenate(lengths)


def _segments(steps: Steps) -> Iterator[np.ndarray]:
    for segment in np.unique(steps.segment):
        yield np.flatnonzero(steps.segment == segment)


def _changes(steps: Steps) -> int:
    """Changes of room, those behind a gap among them: somebody went there."""
    return int(np.count_nonzero(np.diff(steps.room)))


def _stays(steps: Steps) -> np.ndarray:
    """Lengths in steps of the stays whose start and end lie within one segment."""
    lengths = [np.diff(np.flatnonzero(np.diff(steps.room[rows]))) for rows in _segments(steps)]
    return np.concatenate(lengths)


def spectra(recordings: tuple[Recording, ...]) -> dict[str, Spectrum]:
    """Spectrum by activity, over pieces of SPECTRUM_PACKETS packets that follow each other without a loss.

    Recordings without an accelerometer have none.
    """
    found: dict[str, list[np.ndarray]] = {activity: [] for activity in (*STILL, MOVING)}
    rates = []
    for recording in recordings:
        columns = acceleration(samples(recording.packets.columns))
        packets = recording.packets.drop_duplicates("seqno").sort_values("seqno", kind="stable")
        if not columns or len(packets) < SPECTRUM_PACKETS:
            continue
        number, time = packets["seqno"].to_numpy(), packets["timestamp"].to_numpy("datetime64[us]").astype(np.int64)
        rates.append(len(columns) / 3 * (number[-1] - number[0]) * 1e6 / (time[-1] - time[0]))
        activity = packets["activity"].to_numpy()
        felt = packets[list(columns)].to_numpy().reshape(len(packets), -1, 3)
        for start in _unbroken(number, activity):
            if activity[start] in found:
                found[activity[start]].append(felt[start : start + SPECTRUM_PACKETS].reshape(-1, 3))
    # a gap in the recording only ever lowers the rate that was seen
    return {activity: _spectrum(np.array(pieces), max(rates)) for activity, pieces in found.items() if pieces}


def _unbroken(number: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """First rows of pieces, side by side, in which no packet is missing and the activity stays."""
    broken = (np.diff(number) != 1) | (activity[1:] != activity[:-1])
    run = np.concatenate([[0], np.cumsum(broken)])
    within = np.arange(len(run)) - np.searchsorted(run, run)
    left = np.searchsorted(run, run, side="right") - np.arange(len(run))
    return np.flatnonzero((within % SPECTRUM_PACKETS == 0) & (left >= SPECTRUM_PACKETS))


def _spectrum(pieces: np.ndarray, rate: float) -> Spectrum:
    """pieces: [N, samples, 3] g, sampled at `rate` Hz."""
    from scipy.signal import periodogram  # half a second, which reports without a spectrum need not wait

    frequency, density = periodogram(pieces, rate, window="hann", detrend="linear", axis=1)
    return Spectrum(frequency, density.sum(-1).mean(0), len(pieces))
