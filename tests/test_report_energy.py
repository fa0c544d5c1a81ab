"""Estimates: the arithmetic by hand, and ranges that are ranges."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_tree import write_device, write_export, write_result
from test_report_figures import Home

from tinyloc.device.boards import BOARDS
from tinyloc.device.mix import CLASSES
from tinyloc.report import budget, energy, pace, results

NAMES = (*CLASSES, "block_words")
mixes = st.fixed_dictionaries({name: st.integers(0, 10**7) for name in NAMES})


def test_every_board_has_a_table_of_cycles_and_a_part():
    cores = {board.core for board in BOARDS.values()}
    assert cores == set(energy.CYCLES) == {part.core for part in energy.PARTS}
    assert all(set(table) == set(NAMES) for table in energy.CYCLES.values())


@settings(derandomize=True, deadline=None, max_examples=50)
@given(mixes, st.sampled_from(energy.PARTS))
def test_the_best_case_is_never_worse_than_the_worst(mix, part):
    found = energy.estimate(mix, part)
    for low, high in (found.cycles, found.seconds, found.joules):
        assert 0 <= low <= high
    assert found.seconds[1] == pytest.approx(found.cycles[1] / part.clock_hz)


def test_cycles_by_hand():
    mix = dict.fromkeys(NAMES, 0) | {"integer": 10, "load": 4, "block": 2, "block_words": 9, "divide": 1}
    assert energy.cycles(mix, "Cortex-M4F") == (10 + 4 + 2 + 9 + 2, 10 + 8 + 8 + 9 + 12)


def test_a_million_cycles_of_the_nrf52840_take_the_charge_of_its_data_sheet():
    part = next(part for part in energy.PARTS if part.name == "nRF52840")
    found = energy.estimate(dict.fromkeys(NAMES, 0) | {"integer": 64_000}, part)
    assert found.seconds == pytest.approx((1e-3, 1e-3))
    assert found.joules == pytest.approx((3.0 * 3.328e-3 * 1e-3, 3.0 * 6.3e-3 * 1e-3))


def test_a_full_advertisement_lasts_376_microseconds_on_each_channel():
    assert energy.advertised(31) == pytest.approx(3 * 376e-6 * 6.4e-3 * 3.0)
    assert energy.advertised(32) > 1.3 * energy.advertised(31)


def test_a_connection_sends_a_payload_for_less_than_advertisements():
    for payload in (1, 31, 100, 251, 252, 5000):
        low, high = energy.radio(payload)
        assert 0 < low < high


def test_raw_bytes_count_every_reception_and_each_acceleration_once():
    home = Home("house")
    seconds = sum(map(len, home.steps))
    rows = sum(len(recording.packets) for recording in home.dataset.recordings)
    receptions = 2 * rows / seconds
    found = energy.raw_bytes_per_second(home, 1.0)
    assert receptions < found < receptions + 5 * 3 * rows / seconds


@pytest.fixture
def runs(tmp_path):
    reports = []
    for entry, instructions in (("student.int8", 4_000_000), ("mamba.float32", 40_000)):
        folder = write_export(write_result(tmp_path, "shib", entry, 0.9), 60_000, 40_000)
        reports.append(write_device(folder, 20_480, 64, instructions))
    return results.devices(reports)


def test_a_decision_has_a_row_for_every_part_with_its_core(runs):
    found = energy.decisions(runs)
    parts = [part.name for part in energy.PARTS if part.core == "Cortex-M4F"]
    assert list(found["part"]) == parts * 2
    assert (found["joules_low"] < found["joules_high"]).all()
    table = energy.decisions_table(found)
    assert all("estimate" in name for name in table if "µJ" in name or "ms" in name)
    assert table["time (ms), estimate"].str.fullmatch(r"[\d.,]+ – [\d.,]+").all()


def test_deciding_is_judged_only_where_the_ranges_do_not_overlap(runs):
    spent = energy.a_second(energy.decisions(runs), bin_s=2.0)
    assert spent["joules_low"].iloc[0] == energy.decisions(runs)["joules_low"].iloc[0] / 2
    said = energy.against_radio(spent, {"shib": 200.0}).splitlines()
    assert [line.rsplit(", ")[-1] for line in said[1:]] == ["more.", "more.", "less.", "less."]


def test_an_estimate_has_two_digits():
    assert energy._range((0.012345, 1234.5), 1.0) == "0.012 – 1,200"
    assert energy._range((99.6, 100.4), 1.0) == "100"


def test_a_stream_pays_for_every_step_and_a_window_for_every_answer(runs):
    table = pace.table(runs, {"mamba"}, bin_s=1.0, length=20).set_index("model")
    assert table.loc["student.int8", "a second, one answer a window"] == "200,000"
    assert table.loc["mamba.float32", "a second, one answer a window"] == "40,000"
    assert "as many instructions as 100.0 of mamba.float32" in pace.break_even(runs, {"mamba"}, 1.0)
    assert "no stream" in pace.break_even(runs, {"other"}, 1.0)


def test_what_fits_depends_on_the_reading(runs):
    table = budget.programs(runs).set_index("model")
    assert (table["fits 32 KB, weights in flash"] == "yes").all()
    assert (table["fits 64 KB, all in RAM"] == "no").all()  # 20 KB of RAM and 48 KB of flash
