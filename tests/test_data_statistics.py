"""Statistics of recordings, on cases that can be counted by hand and on signals that are known."""

import numpy as np
import pytest
from packet_tables import ROOMS, dataset, table

from tinyloc.config import Features
from tinyloc.data.features import all_steps
from tinyloc.data.packets import ACCELERATION
from tinyloc.data.statistics import SPECTRUM_PACKETS, silences, spectra, statistics

FEATURES = Features()


def of(*tables):
    return statistics(dataset(*tables), FEATURES)


def steps_of(*tables):
    return all_steps(dataset(*tables), FEATURES)


def test_runs_of_silence_are_counted_gateway_by_gateway_and_end_at_a_gap():
    # east in seconds 0, 1, 4; west in second 2; then a gap and one second of east
    times = [0, 1000, 2000, 4000, 20_000]
    recorded = table(times, gateway=["east", "east", "west", "east", "east"])
    (steps,) = steps_of(recorded)
    # east: seconds 2 and 3; west: 0 and 1, 3 and 4, and the one after the gap
    assert sorted(silences(steps)) == [1, 2, 2, 2]
    assert of(recorded).silent == pytest.approx([2 / 6, 5 / 6])


def test_changes_of_room_count_gaps_and_stays_do_not():
    rooms = [ROOMS[i] for i in (0, 0, 1, 1, 1, 0)] + [ROOMS[2]] * 4
    times = [0, 1000, 2000, 3000, 4000, 5000, 60_000, 61_000, 62_000, 63_000]
    found = of(table(times, room=rooms))
    assert found.changes_per_hour == pytest.approx(3 / (10 / 3600))
    assert list(found.stays) == [3]  # the only one with both ends in sight


def test_strength_is_of_packets_and_jumps_are_within_a_second():
    times = np.arange(0, 40_000, 250)
    rssi = np.where(np.arange(160) % 2, -60, -64)
    found = of(table(times, rssi=rssi))
    assert found.jump == pytest.approx(np.sqrt(np.var([-60, -64, -60, -64], ddof=1)))
    assert found.spread == pytest.approx([rssi.std(ddof=1)])
    assert found.room_range == pytest.approx([4])


def test_a_swing_of_known_frequency_and_amplitude_is_found():
    n = 40 * SPECTRUM_PACKETS
    interval, frequency, amplitude = 200, 2.0, 0.3
    moments = np.arange(5 * n) * interval / 5000
    samples = np.zeros((5 * n, 3))
    samples[:, 1] = amplitude * np.sin(2 * np.pi * frequency * moments)
    recorded = table(np.arange(n) * interval, activity="walking", acceleration=samples.reshape(n, 15))
    (spectrum,) = spectra(dataset(recorded).recordings).values()
    assert spectrum.pieces == 40
    assert spectrum.frequency[spectrum.density.argmax()] == pytest.approx(frequency, abs=spectrum.frequency[1] / 2)
    assert spectrum.strength == pytest.approx(amplitude / np.sqrt(2), rel=0.05)


def test_no_spectrum_is_made_across_a_lost_packet_or_a_change_of_activity():
    n = 2 * SPECTRUM_PACKETS - 1
    lost = np.where(np.arange(n) < SPECTRUM_PACKETS - 1, np.arange(n), np.arange(n) + 1)
    whole = spectra(dataset(table(np.arange(n) * 200, activity="sitting")).recordings)
    assert whole["sitting"].pieces == 1
    broken = table(np.arange(n) * 200, seqno=lost, activity="sitting")
    assert spectra(dataset(broken).recordings)["sitting"].pieces == 1  # the part after the loss is just long enough
    short = table(np.arange(n - 1) * 200, seqno=lost[:-1], activity="sitting")
    assert spectra(dataset(short).recordings) == {}
    mixed = table(np.arange(n - 1) * 200, activity=["sitting"] * (n // 2) + ["lying"] * (n // 2))
    assert spectra(dataset(mixed).recordings) == {}


def test_without_an_accelerometer_there_is_no_spectrum():
    bare = table(np.arange(0, 20_000, 200)).drop(columns=list(ACCELERATION))
    assert of(bare).spectra == {}


def test_a_phase_can_be_chosen_and_has_to_exist():
    data = dataset(table([0, 1000, 2000], rssi=-50), table([0, 1000, 2000], rssi=-70), phases=["fingerprint", "living"])
    assert set(statistics(data, FEATURES, "living").rssi) == {-70}
    with pytest.raises(ValueError, match="no recording of phase 'calibration'"):
        statistics(data, FEATURES, "calibration")
