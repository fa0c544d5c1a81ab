"""Estimates: the arithmetic by hand, and ranges that are ranges."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_tree import write_device, write_export, write_result
from test_report_figures import Home

from tinyloc.device.boards import BOARDS
from tinyloc.device.mix import CLASSES
from tinyloc.errors import InputError
from tinyloc.report import budget, constants, energy, pace, results

SHIPPED = constants.read()
NONE = dict.fromkeys((*CLASSES, "block_words"), 0)


def mixes_on(core: str) -> st.SearchStrategy:
    return st.fixed_dictionaries({name: st.integers(0, 10**7) for name in SHIPPED.cycles[core]})


def test_every_board_has_a_table_of_cycles_and_a_part():
    cores = {board.core for board in BOARDS.values()}
    assert cores == set(SHIPPED.cycles) == {part.core for part in SHIPPED.parts.values()}


def test_a_core_has_cycles_of_every_class_whose_instructions_it_has():
    for core, table in SHIPPED.cycles.items():
        assert set(NONE) - set(table) == (set() if core == "Cortex-M55" else {"vector"})


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.sampled_from(list(SHIPPED.parts.values())), st.data())
def test_the_best_case_is_never_worse_than_the_worst(part, data):
    found = energy.estimate(data.draw(mixes_on(part.core)), part, SHIPPED)
    for low, high in (found.cycles, found.seconds, found.joules):
        assert 0 <= low <= high
    assert found.seconds[1] == pytest.approx(found.cycles[1] / part.clock.value / 1e6)


def test_cycles_by_hand():
    mix = NONE | {"integer": 10, "load": 4, "block": 2, "block_words": 9, "divide": 1}
    assert energy.cycles(mix, "Cortex-M4F", SHIPPED) == (10 + 4 + 2 + 9 + 2, 10 + 12 + 8 + 9 + 12)


def test_instructions_that_the_core_does_not_have_are_an_error_and_not_free():
    energy.cycles(NONE, "Cortex-M4F", SHIPPED)
    with pytest.raises(
        InputError, match=r"Cortex-M4F: 3 instructions of class 'vector'.*add cycles\.Cortex-M4F\.vector"
    ):
        energy.cycles(NONE | {"vector": 3}, "Cortex-M4F", SHIPPED)


def test_a_class_that_a_core_lacks_is_a_dash():
    table = energy.cycles_table(SHIPPED).set_index("class")
    assert list(table.loc["vector"]) == ["–", "–", "1 – 4"]
    assert (table.drop("vector") != "–").all(axis=None)
    assert list(table.index[1:3]) == ["block transfer", "and a word of it"]
    assert list(table.loc["block transfer"]) == ["1 – 4", "0 – 10.5", "0 – 4"]


def test_a_million_cycles_of_the_nrf52840_take_the_charge_of_its_data_sheet():
    found = energy.estimate(NONE | {"integer": 64_000}, SHIPPED.parts["nRF52840"], SHIPPED)
    assert found.seconds == pytest.approx((1e-3, 1e-3))
    assert found.joules == pytest.approx((3.0 * 3.3e-3 * 1e-3, 3.0 * 6.3e-3 * 1e-3))


def test_a_current_by_frequency_is_that_of_the_clock():
    """80 MHz at 28 to 79 uA/MHz are 2.24 to 6.32 mA, at 3.3 V."""
    assert SHIPPED.parts["STM32L412"].watts == pytest.approx((2.24e-3 * 3.3, 6.32e-3 * 3.3))


# Keyword spotting in MLPerf Tiny v1.1 (closed, STMicroelectronics): seconds and joules an inference, and the clock.
BENCHMARK = {"STM32L4R5": (15.739 / 250, 2833e-6, 120e6)}


@pytest.mark.parametrize("name", BENCHMARK)
def test_a_part_takes_the_energy_that_a_benchmark_measured_for_as_many_cycles(name):
    seconds, joules, hertz = BENCHMARK[name]
    found = energy.estimate(NONE | {"integer": seconds * hertz}, SHIPPED.parts[name], SHIPPED)
    assert found.seconds[0] == pytest.approx(seconds)
    assert 0.999 * found.joules[0] <= joules <= found.joules[1]


# Layers of a network on the Apollo510 at 250 MHz, by its performance counters, as the case studies of neuralSPOT print
# them (work ambiq2026autodeploy): instructions, of these Helium's, and microseconds.
COUNTED = [
    (35_451, 12_813, 224),
    (261_755, 2, 1399),
    (138_755, 6, 662),
    (873_508, 12, 4339),
    (152_251, 71_693, 816),
]


@pytest.mark.parametrize(("instructions", "vector", "microseconds"), COUNTED)
def test_what_was_measured_of_a_cortex_m55_lies_between_its_best_and_its_worst_case(instructions, vector, microseconds):
    """What else the instructions were is not known; most of such layers is integer."""
    mix = {"integer": instructions - vector, "vector": vector}
    low, high = energy.estimate(mix, SHIPPED.parts["Apollo510 at 250 MHz"], SHIPPED).seconds
    assert low < microseconds * 1e-6 < high


def test_a_full_advertisement_lasts_376_microseconds_on_each_channel():
    assert energy.advertised(31, SHIPPED) == pytest.approx(3 * 376e-6 * 6.4e-3 * 3.0)
    assert energy.advertised(32, SHIPPED) > 1.3 * energy.advertised(31, SHIPPED)


def test_the_longest_packet_of_a_connection_lasts_2088_microseconds_between_two_answers():
    """With the four bytes of an encrypted one it would be the 2,120 us that the specification calls the longest."""
    air = SHIPPED.air
    assert (air.frame + air.connection.si + 4) * air.byte.si == pytest.approx(2120e-6)
    expected = 3.0 * (2088e-6 * 6.4e-3 + (80e-6 + 300e-6) * 6.26e-3)
    assert energy.connected(251, SHIPPED) == pytest.approx(expected)


def test_a_connection_sends_all_but_a_few_bytes_for_less_than_advertisements():
    assert energy.radio(1, SHIPPED) == (energy.advertised(1, SHIPPED), energy.connected(1, SHIPPED))
    for payload in (31, 100, 251, 252, 5000):
        low, high = energy.radio(payload, SHIPPED)
        assert (low, high) == (energy.connected(payload, SHIPPED), energy.advertised(payload, SHIPPED))
        assert 0 < low < high


def test_raw_bytes_count_every_reception_and_each_acceleration_once():
    home = Home("house")
    seconds = sum(map(len, home.steps))
    rows = sum(len(recording.packets) for recording in home.dataset.recordings)
    receptions = 2 * rows / seconds
    found = energy.raw_bytes_per_second(home, 1.0, SHIPPED)
    assert receptions < found < receptions + 5 * 3 * rows / seconds


@pytest.fixture
def runs(tmp_path):
    reports = []
    for entry, instructions in (("student.int8", 4_000_000), ("mamba.float32", 40_000)):
        folder = write_export(write_result(tmp_path, "shib", entry, 0.9), 60_000, 40_000)
        reports.append(write_device(folder, 20_480, 64, instructions))
    return results.devices(reports)


def test_a_decision_has_a_row_for_every_part_with_its_core(runs):
    found = energy.decisions(runs, SHIPPED)
    parts = [name for name, part in SHIPPED.parts.items() if part.core == "Cortex-M4F"]
    assert list(found["part"]) == parts * 2
    assert (found["joules_low"] < found["joules_high"]).all()
    table = energy.decisions_table(found)
    assert all("estimate" in name for name in table if "µJ" in name or "ms" in name)
    assert table["time (ms), estimate"].str.fullmatch(r"[\d.,]+ – [\d.,]+").all()


def test_deciding_is_judged_only_where_the_ranges_do_not_overlap(runs):
    spent = energy.a_second(energy.decisions(runs, SHIPPED), bin_s=2.0)
    assert spent["joules_low"].iloc[0] == energy.decisions(runs, SHIPPED)["joules_low"].iloc[0] / 2
    said = energy.against_radio(spent, {"shib": 200.0}, SHIPPED).splitlines()
    assert [line.rsplit(", ")[-1] for line in said[1:]] == ["more."] * 3 + ["less."] * 3


def test_a_core_without_a_part_is_an_error_and_no_empty_table(runs):
    fewer = SHIPPED.model_copy(update={"parts": {"PIC32CZ CA70": SHIPPED.parts["PIC32CZ CA70"]}})
    with pytest.raises(InputError, match=r"Cortex-M4F: .* add one under parts"):
        energy.decisions(runs, fewer)


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
