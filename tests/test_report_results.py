"""Result folders as tables: nothing lost, nothing mixed up, and a missing file is named."""

from dataclasses import dataclass

import numpy as np
import pytest
from report_tree import HOUSE, ROOMS, SHIB, STEPS, write_device, write_export, write_result

from tinyloc.errors import InputError
from tinyloc.report import results


@dataclass
class FakeSteps:
    recording: str
    step: np.ndarray
    time: np.ndarray


def test_a_row_for_every_fold_of_every_folder(tmp_path):
    folders = [write_result(tmp_path, "shib", "teacher", 0.9, seed) for seed in (0, 1)]
    folders.append(write_result(tmp_path, "house", "forest", 0.8, parameters=None))
    table = results.folds(folders)
    assert list(table.groupby(["dataset", "entry", "seed"], sort=False).size()) == [len(SHIB), len(SHIB), len(HOUSE)]
    assert set(table.loc[table["entry"] == "forest", "fold"]) == set(HOUSE)
    assert table.loc[table["entry"] == "forest", "parameters"].isna().all()
    assert table["n"].sum() == STEPS * (2 * sum(map(len, SHIB.values())) + len(HOUSE["living"]))


def test_confusion_sums_folds_and_seeds(tmp_path):
    folders = [write_result(tmp_path, "shib", "teacher", 0.9, seed) for seed in (0, 1)]
    counts = results.confusion(folders)
    assert list(counts.index) == list(counts.columns) == list(ROOMS)
    assert counts.to_numpy().sum() == results.folds(folders)["n"].sum()
    assert np.trace(counts) > 0.8 * counts.to_numpy().sum()


def test_histories_keep_the_chosen_epoch(tmp_path):
    table = results.histories([write_result(tmp_path, "shib", "teacher", 0.9)])
    assert list(table.groupby("fold").size()) == [4] * len(SHIB)
    assert set(table.loc[table["chosen"] == 1, "epoch"]) == {3}


def test_history_files_are_those_that_histories_reads(tmp_path):
    folder = write_result(tmp_path, "shib", "teacher", 0.9)
    files = results.history_files([folder])
    assert len(files) == len(SHIB) and all(file.is_file() for file in files)


def test_exports_and_devices_name_entry_and_seed(tmp_path):
    folder = write_export(write_result(tmp_path, "shib", "student.int8", 0.9, seed=2), 70_000, 30_000)
    sizes = results.exports([folder])
    assert set(sizes["entry"]) == {"student.int8"} and set(sizes["seed"]) == {2}
    assert set(sizes["arena_bytes"]) == {30_000}
    run = results.devices([write_device(folder, 20_000, 64, 5_000_000)]).iloc[0]
    assert (run["dataset"], run["entry"], run["seed"]) == ("shib", "student.int8", 2)
    assert (run["ram.total"], run["ram_limit"], run["instructions.max"]) == (20_000, 65_536, 5_000_000)
    steps = results.device_steps([folder / "device-mps2-an386.json"])
    assert set(steps["entry"]) == {"student.int8"} and list(steps["name"]) == ["ADD", "CONV_2D"]
    assert list(steps["instructions.median"]) == [1_250_000, 3_750_000]


def test_the_least_certain_window_has_the_smallest_lead(tmp_path):
    folder = write_result(tmp_path, "shib", "teacher", 0.9)
    leads = np.diff(np.sort(results.scores(folder), axis=1)[:, -2:])
    assert np.diff(np.sort(results.least_certain(folder))[-2:])[0] == leads.min()


def test_the_timeline_is_of_the_worst_recording_in_minutes(tmp_path):
    right = {"living-1": 0.9, "living-2": 0.4, "living-3": 0.8}
    folder = write_result(tmp_path, "house", "mamba", right)
    time = np.datetime64("2024-01-01", "us") + np.arange(200) * np.timedelta64(1, "s")
    stream = results.timeline(folder, [FakeSteps(name, np.arange(200), time) for name in right])
    assert set(stream["recording"]) == {"living-2"}
    assert stream["minute"].iloc[0] == pytest.approx(19 / 60) and stream["minute"].is_monotonic_increasing


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(InputError, match=r"shib/teacher/seed0/metrics\.json: no such result; compute it with"):
        results.folds([tmp_path / "results" / "shib" / "teacher" / "seed0"])


def test_a_model_without_scores_says_so(tmp_path):
    folder = write_result(tmp_path, "shib", "forest", 0.9, parameters=None)
    with pytest.raises(InputError, match="holds no scores"):
        results.scores(folder)
