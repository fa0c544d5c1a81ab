"""Tables and sentences: the right number in the right cell, rounded once, nothing said that was not computed."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from report_tree import ROOMS, write_device, write_export, write_result

from tinyloc.config import Training
from tinyloc.data.splits import Fold
from tinyloc.data.statistics import MOVING, STILL, Spectrum, Statistics
from tinyloc.report import budget, comparison, pace, ram, results, tables, words
from tinyloc.report.figures import device, edge
from tinyloc.report.measures import MEASURES
from tinyloc.report.numbers import counted, kilobytes, percent, points, small_percent, span


def test_how_numbers_are_written():
    assert percent(0.98765) == "98.8"
    assert (points(0.0123), points(-0.0123)) == ("+1.2", "−1.2")
    assert points(-0.0004) == points(0.0004) == "0.0"
    assert (points(-0.0004, 2), points(0.00004, 2)) == ("−0.04", "0.00")
    assert kilobytes(1536) == "1.5"
    assert [small_percent(x) for x in (0, 0.00042, 0.0729, 1.234)] == ["0", "0.042", "7.3", "123.4"]
    assert (counted(1, "unit"), counted(0, "unit"), counted(1200, "unit")) == ("1 unit", "0 units", "1,200 units")
    assert (span([3, 3]), span([1000, 3000])) == ("3", "1,000 – 3,000")
    assert span([1.01, 1.04], "{:.1f}") == "1.0"


@pytest.fixture
def run(tmp_path):
    """Forest, teacher and two exports on two data sets, and a device run of each int8."""
    trained, exported, reports = [], [], []
    for dataset in ("shib", "house"):
        trained.append(write_result(tmp_path, dataset, "forest", 0.9, parameters=None))
        trained.append(write_result(tmp_path, dataset, "student", 0.95, parameters=25_600))
        for kind, size, arena in (("float32", 120_000, 60_000), ("int8", 60_000, 40_000)):
            folder = write_result(tmp_path, dataset, f"student.{kind}", 0.94, parameters=25_600)
            exported.append(write_export(folder, size, arena))
        reports.append(write_device(exported[-1], 20_480, 64, 5_000_000))
    return trained, exported, reports


def test_scores_have_a_row_an_entry_with_interval_and_parameters(run):
    table = tables.scores(comparison.summary(run[0]))
    assert list(table["model"]) == ["forest", "student"] * 2
    assert list(table["parameters"]) == ["–", "25,600"] * 2
    assert table[tables.SCORE].str.fullmatch(r"\d+\.\d \(\d+\.\d – \d+\.\d\)").all()


def test_a_table_of_models_without_parameters_has_no_such_column(run):
    assert "parameters" not in tables.scores(comparison.summary(run[0][:1]))


def test_a_score_without_an_interval_has_no_brackets():
    row = pd.Series({"macro_f1": 0.9, "low": np.nan, "high": np.nan})
    assert tables.with_interval(row) == "90.0"


def test_exports_stand_beside_their_original(run):
    trained, exported, _ = run
    table = tables.exports(comparison.summary([*trained, *exported]), results.exports(exported))
    row = table[(table["data set"] == "house") & (table["model"] == "student.int8")].iloc[0]
    assert (row[".tflite (KB)"], row["arena (KB)"], row["agrees with PyTorch (%)"]) == ("58.6", "39.1", "98.00")
    assert (table.loc[table["model"] == "student", ".tflite (KB)"] == "–").all()


def test_device_parts_add_up_to_the_total(run):
    table = tables.devices(results.devices(run[2])).set_index("")
    assert list(table) == ["shib: student.int8", "house: student.int8"]
    for column in table:
        ram_kb = table.loc[table.index.str.startswith("RAM: "), column].astype(float)
        assert len(ram_kb) == 4 and ram_kb.sum() == pytest.approx(float(table.loc["RAM in all (KB)", column]), abs=0.2)
    assert (table.loc["instructions, most"] == "5,000,000").all()
    assert (table.loc["RAM, limit (KB)"] == "64").all()


def test_seeds_of_one_model_share_a_column(tmp_path):
    reports = []
    for seed, total in ((0, 20_480), (1, 21_504)):
        folder = write_export(write_result(tmp_path, "shib", "student.int8", 0.9, seed), 60_000, 40_000)
        reports.append(write_device(folder, total, 64, 5_000_000 + seed))
    runs = results.devices(reports)
    table = tables.devices(runs).set_index("")["shib: student.int8"]
    assert (table["RAM in all (KB)"], table["inferences"]) == ("20.0 – 21.0", "800")
    assert (table["instructions, fewest"], table["instructions, most"]) == ("4,999,990", "5,000,001")
    assert words.agreement(runs).count("\n") == words.budget(runs, 1.0).count("- **") - 1 == 0


def test_several_boards_of_one_model_are_told_apart(tmp_path):
    """A column, a bar and a line for each board; the model that ran on one board keeps its plain name."""
    student = write_export(write_result(tmp_path, "shib", "student.int8", 0.9), 60_000, 40_000)
    mamba = write_export(write_result(tmp_path, "shib", "mamba.float32", 0.9), 60_000, 40_000)
    boards = {"mps2-an386": "Cortex-M4F", "mps2-an500": "Cortex-M7", "mps3-an547": "Cortex-M55"}
    reports = [
        write_device(student, 20_480 + 1024 * i, 64, 4_000_000 - 1_000_000 * i, board=board)
        for i, board in enumerate(boards.items())
    ]
    reports.append(write_device(mamba, 4096, 64, 40_000))
    runs, steps = results.devices(reports), results.device_steps(reports)
    names = [*(f"student.int8 ({core})" for core in boards.values()), "mamba.float32"]
    assert list(runs["label"]) == list(dict.fromkeys(steps["label"])) == names
    table = tables.devices(runs).set_index("")
    assert list(table) == [f"shib: {name}" for name in names]
    assert list(table.loc["core"]) == [*boards.values(), "Cortex-M4F"]
    assert list(table.loc["RAM in all (KB)"])[:3] == ["20.0", "21.0", "22.0"]
    assert list(table.loc["instructions, most"])[:3] == ["4,000,000", "3,000,000", "2,000,000"]
    assert list(budget.programs(runs)["model"]) == list(pace.table(runs, {"mamba"}, 1.0, 20)["model"]) == names
    for text in (words.agreement(runs), words.budget(runs, 1.0)):
        assert all(f"**shib**, {name}:" in text for name in names)
    # models are compared on the core that both ran on
    assert pace.break_even(runs, {"mamba"}, 1.0).count("\n") == 0
    assert "student.int8 (Cortex-M4F) takes as many instructions as 100.0" in pace.break_even(runs, {"mamba"}, 1.0)
    for figure in (edge.memory(runs), device.flash(runs), device.mixes(runs), device.kernels(steps)):
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [f"shib: {name}" for name in names]


def test_ram_is_counted_in_three_ways_that_are_named(run):
    found = ram.points(*run).set_index(["dataset", "entry", "counted"])["ram"]
    assert found["shib", "student", ram.WEIGHTS] == 4 * 25_600
    assert found["shib", "student.int8", ram.ARENA] == 40_000
    assert found["shib", "student.int8", ram.PROGRAM] == 20_480
    assert ("shib", "student.int8", ram.WEIGHTS) not in found.index
    assert set(ram.references(run[0])["entry"]) == {"forest"}


def test_ram_without_exports_or_devices_is_weights_alone(run):
    assert set(ram.points(run[0], [], [])["counted"]) == {ram.WEIGHTS}


def test_the_results_table_has_every_entry_and_says_what_is_counted(run):
    table = tables.results(ram.points(*run), ram.references(run[0]))
    assert list(dict.fromkeys(table["data set"])) == ["shib", "house"]
    assert (table.loc[table["model"] == "forest", "RAM (KB)"] == "–").all()
    assert len(table) == 2 * (1 + 1 + 2 + 1)


def test_a_difference_says_whether_it_may_be_chance(tmp_path):
    folders = [write_result(tmp_path, "shib", "good", 0.99), write_result(tmp_path, "shib", "bad", 0.7)]
    sure = words.difference(comparison.compare(folders, "bad", "good"))
    # however large the difference: of 4 people no test can be certain
    assert sure.startswith("- **shib**: bad minus good is −") and "4 units: undecided, p 0.125" in sure
    mixed = {"1-1": 0.9, "2-1": 0.99, "2-2": 0.99, "3-1": 0.99, "4-1": 1.0}
    folders.append(write_result(tmp_path, "shib", "mixed", mixed))
    unsure = words.difference(comparison.compare(folders, "mixed", "good"))
    assert "undecided" in unsure and "better" not in unsure
    folders.append(write_result(tmp_path, "shib", "same", 0.99))
    assert "same and good score the same in every unit" in words.difference(comparison.compare(folders, "same", "good"))


def test_a_difference_is_called_better_by_its_test(tmp_path, monkeypatch):
    monkeypatch.setattr("report_tree.HOUSE", {"living": tuple(f"living-{i}" for i in range(8))})
    folders = [write_result(tmp_path, "house", entry, right) for entry, right in (("good", 0.95), ("bad", 0.6))]
    assert "the first is better, p 0.008" in words.difference(comparison.compare(folders, "good", "bad"))
    assert "the second is better, p 0.008" in words.difference(comparison.compare(folders, "bad", "good"))
    folders.append(write_result(tmp_path, "house", "near", {f"living-{i}": 0.95 - 0.01 * (i == 3) for i in range(8)}))
    assert "equivalent within 1 point, p 0.003" in words.difference(comparison.compare(folders, "near", "good"))


def test_the_f1_of_every_room_stands_with_its_interval(tmp_path):
    """Where every fold visits all rooms, the mean over rooms is the macro F1."""
    folders = [write_result(tmp_path, "shib", "good", {"1-1": 0.9, "2-1": 0.9, "2-2": 0.8, "3-1": 1.0, "4-1": 0.7})]
    found = comparison.by_room(folders)
    assert found["room"].tolist() == list(ROOMS) and (found["low"] < found["f1"]).all()
    assert (found["f1"] < found["high"]).all()
    assert np.isclose(found["f1"].mean(), comparison.summary(folders)["macro_f1"].iloc[0])
    table = tables.rooms(found)
    assert list(table) == ["data set", "room", "good"] and len(table) == 3 and "–" in table["good"].iloc[0]


def test_a_room_that_nobody_enters_has_no_f1(tmp_path):
    folder = write_result(tmp_path, "house", "good", 1.0)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["rooms"] = [*ROOMS, "cellar"]
    for scores in metrics["folds"].values():
        scores["confusion"] = np.pad(scores["confusion"], (0, 1)).tolist()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    found = comparison.by_room([folder]).set_index("room")
    assert np.isnan(found.loc["cellar", "f1"]) and found.loc["hall", "f1"] == 1.0
    assert tables.rooms(found.reset_index()).set_index("room").loc["cellar", "good"] == "–"


def test_the_cost_of_quantisation_compares_like_with_like(run):
    trained, exported, _ = run
    found = words.quantisation(
        results.exports(exported), comparison.compare([*trained, *exported], "student.int8", "student")
    )
    assert "2.0 times smaller (117.2 to 58.6 KB)" in found and "1.5 times (58.6 to 39.1 KB)" in found


def test_the_budget_is_a_share_of_the_cycles_until_the_next_answer(run):
    found = words.budget(results.devices(run[2]), bin_s=2.0)
    assert "every 50,000,000 cycles" in found and "10.0 % of the cycles" in found


def test_agreement_says_bits_only_where_they_are_the_same(run):
    assert words.agreement(results.devices(run[2])).count("the same bits as TFLite Micro") == 2
    apart = write_device(run[1][0], 20_480, 64, 1000, apart=2e-6)
    assert "at most 2e-06 away from TFLite Micro" in words.agreement(results.devices([apart]))


def test_the_arena_in_words_counts_shared_bytes_once():
    def tensor(offset, size, first, last, region="arena"):
        return {"region": region, "offset": offset, "bytes": size, "first": first, "last": last}

    report = {
        "arena_bytes": 3072,
        "tensors": [
            tensor(0, 2048, 0, 1),
            tensor(0, 1024, 0, 1),  # the same buffer, handed on in place
            tensor(1024, 1024, 1, 1),  # a view of its end
            tensor(2048, 1024, 1, 2),
            tensor(0, 1024, 2, 3),
            tensor(0, 9999, 0, 3, region="state"),
        ],
    }
    text = words.arenas({"student": report})
    assert text.startswith("- **student**: 5 tensors, which side by side would need 6.0 KB, share an arena of 3.0 KB.")
    assert "At the busiest call 3.0 KB" in text


def test_transitions_count_wrong_answers_near_a_change_of_room():
    stream = pd.DataFrame({"recording": "1-1", "minute": np.arange(100) / 60, "y_true": np.repeat([0, 1], 50)})
    stream["y_pred"] = stream["y_true"]
    stream.loc[[50, 51, 80, 81], "y_pred"] = 2
    text = words.transitions({"shib": stream})
    assert "4 of 100 answers are wrong, 50.0 % of them within 10 s of the beginning of a stay" in text
    one = stream.assign(y_pred=np.where(stream.index == 50, 2, stream["y_true"]))
    assert "one of 100 answers is wrong, within 10 s" in words.transitions({"shib": one})
    none = stream.assign(y_pred=stream["y_true"])
    assert words.transitions({"shib": none}) == "- **shib**, recording 1-1: none of 100 answers is wrong."
    # the first 11 seconds, and 10 on either side of second 50
    assert "as are 32.0 % of all)" in text


def test_the_recipe_has_every_setting_beside_the_studys():
    table = tables.recipe({"teacher": Training(learning_rate=0.003, epochs=2), "mamba": Training()}).set_index(
        "setting"
    )
    assert len(table) == len(Training.model_fields)
    assert list(table.loc["`learning_rate`"]) == ["0.0001", "0.003", "0.0001"]
    assert list(table.loc["`epochs`"]) == ["300", "2", "300"]
    assert list(table.loc["`gradient_clip`"]) == ["–", "–", "–"]


def test_size_in_words_spans_data_sets():
    text = words.size("teacher", 32, pd.DataFrame({"parameters": [1024, 2048]}))
    assert "1,024 – 2,048 parameters" in text and "4 – 8 KB" in text


def test_memory_is_told_under_both_readings(run):
    sizes = budget.memory(results.exports(run[1])).set_index(["dataset", "entry"])
    int8, wide = sizes.loc["shib", "student.int8"], sizes.loc["shib", "student.float32"]
    assert (int8["weights"], int8["tflite"], int8["arena"]) == (30_000, 60_000, 40_000)
    assert (int8["ram_flash"], int8["ram_all"]) == (40_000, 100_000)
    assert int8["fits 64 KB, weights in flash"] and not int8["fits 64 KB, all in RAM"]
    assert wide["fits 64 KB, weights in flash"] and not wide["fits 32 KB, weights in flash"]
    table = budget.shown(budget.memory(results.exports(run[1])))
    assert list(table["RAM, all in RAM (KB)"][:2]) == ["175.8", "97.7"]
    assert set(table["fits 32 KB, weights in flash"]) == {"no"}


def recorded(name, loudest, activities=(*STILL, MOVING)):
    """Statistics of nothing in particular, but for the strongest packet."""
    spectrum = Spectrum(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.04, 0.05]), pieces=3)
    return Statistics(
        name=name,
        rssi=np.concatenate([np.full(90, -80), np.full(10, loudest)]),
        room_range=np.array([40.0]),
        spread=np.array([8.0]),
        jump=7.0,
        silent=np.array([0.1, 0.3]),
        runs=np.array([1.0, 2.0, 9.0]),
        stays=np.array([]),
        changes_per_hour=20.0,
        spectra=dict.fromkeys(activities, spectrum),
    )


def test_statistics_stand_side_by_side_and_what_is_unknown_is_a_dash():
    table = tables.statistics([recorded("real", -30), recorded("house", -40, activities=())]).set_index("")
    assert list(table) == ["real", "house"] and len(table) == len(MEASURES)
    assert list(table.loc["RSSI, 99th percentile (dBm)"]) == ["−30", "−40"]
    assert list(table.loc["silent seconds, mean (%)"]) == ["20.0", "20.0"]
    assert list(table.loc["time in a room, median (s)"]) == ["–", "–"]
    # the band holds both bins: sqrt((0.04 + 0.05) g²/Hz · 1 Hz)
    assert list(table.loc["wrist walking, 0.5 – 4 Hz (g)"]) == ["0.30", "–"]


def test_a_simulation_beside_reality_says_where_they_part():
    houses = [recorded("house A", -40), recorded("house B", -44)]
    apart = words.beside([recorded("real", -30)], houses)
    assert f"**real**: {len(MEASURES) - 2} of {len(MEASURES) - 1} measures lie within" in apart
    assert "These do not: RSSI, 99th percentile (−30 dBm; houses −44 – −40)." in apart
    assert "one side has none: time in a room, median" in apart
    assert "These do not" not in words.beside([recorded("real", -42)], houses)
    assert "stand alone" in words.beside([], houses)


class Timed:
    """A home in which the gateway of the room is heard but for the last second in each; two folds, each tested on the
    other's training."""

    name, rooms, gateways = "home", ("bed", "hall", "attic"), ("gw-bed", "gw-hall")

    def __init__(self) -> None:
        a, b = ([self.steps(times)] for times in ((30, 10), (16, 4)))
        self.folds = [Fold("a", train=b, validation=[], test=a), Fold("b", train=a, validation=[], test=b)]

    def steps(self, times: tuple[int, int]) -> SimpleNamespace:
        room = np.repeat([0, 1], times)
        heard = np.stack([room == 0, room == 1], 1)
        heard[[times[0] - 1, -1]] = False
        return SimpleNamespace(room=room, heard=heard, rssi=np.where(heard, -50.0, -120.0))


def test_the_balance_of_rooms_is_that_of_the_folds():
    table = tables.balance([Timed()])
    assert table["room"].tolist() == ["bed", "hall", "attic"]
    assert table["of training (%)"].tolist() == table["of testing (%)"].tolist() == ["77.5", "22.5", "0.0"]


def test_rules_in_the_place_of_a_model():
    """Always the bed: right in 3 of 4 seconds of one fold and in 4 of 5 of the other; the hall has an F1 of 0 in both.
    The strongest gateway: one second in each fold is wrong, the last of the hall, where silence says bed."""
    always = np.mean([2 * 0.75 / 1.75, 2 * 0.8 / 1.8]) / 2
    by_room = [(2 * 30 / 61, 2 * 9 / 19), (2 * 16 / 33, 2 * 3 / 7)]
    assert words.without_a_model([Timed()]) == (
        f"- **home**: whoever always says bed is right in 77.5 % of the seconds (macro F1 {100 * always:.1f} %); "
        f"whoever goes by the strongest gateway is right in {50 * (39 / 40 + 19 / 20):.1f} % of the seconds (macro F1 "
        f"{100 * np.mean(by_room):.1f} %)."
    )
