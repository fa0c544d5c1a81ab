"""Paired comparisons: the right unit, the right sign, intervals that shrink with evidence."""

import numpy as np
import pytest
from report_tree import HOUSE, SHIB, write_result

from tinyloc.errors import InputError
from tinyloc.evaluation import paired
from tinyloc.report import comparison, results


def test_the_summary_is_the_mean_over_folds(tmp_path):
    folder = write_result(tmp_path, "shib", "teacher", 0.9)
    (row,) = comparison.summary([folder]).to_dict("records")
    assert row["macro_f1"] == pytest.approx(results.folds([folder])["macro_f1"].mean())
    assert row["low"] < row["macro_f1"] < row["high"]


def test_a_single_fold_is_scored_whole_and_resampled_by_recording(tmp_path):
    folder = write_result(tmp_path, "house", "teacher", {"living-1": 0.95, "living-2": 0.9, "living-3": 0.5})
    (row,) = comparison.summary([folder]).to_dict("records")
    assert row["macro_f1"] == pytest.approx(results.folds([folder])["macro_f1"].iloc[0])
    assert row["high"] - row["low"] > 0.1


def test_seeds_are_averaged_and_are_not_observations(tmp_path):
    one = comparison.summary([write_result(tmp_path, "shib", "teacher", 0.9, seed=0)])
    folders = [tmp_path / "results/shib/teacher/seed0", write_result(tmp_path, "shib", "teacher", 0.9, seed=1)]
    (row,) = comparison.summary(folders).to_dict("records")
    assert row["seeds"] == 2 and len(one) == 1
    assert row["macro_f1"] == pytest.approx(results.folds(folders)["macro_f1"].mean())


def test_a_better_entry_has_positive_differences_in_every_unit(tmp_path):
    folders = [write_result(tmp_path, "shib", "good", 0.99), write_result(tmp_path, "shib", "bad", 0.6)]
    found = comparison.compare(folders, "good", "bad")
    assert list(found.units["unit"]) == list(SHIB)
    assert (found.units["difference"] > 0.2).all()
    assert found.intervals["low"].iloc[0] > 0.2
    back = comparison.compare(folders, "bad", "good").intervals.iloc[0]
    assert back["mean"] == pytest.approx(-found.intervals["mean"].iloc[0])


def test_pairing_is_sharper_than_two_intervals(tmp_path):
    """People differ a lot, the two entries differ a little and always alike: only a paired comparison sees it."""
    hard = {"1-1": 0.95, "2-1": 0.5, "2-2": 0.5, "3-1": 0.8, "4-1": 0.65}
    easier = {name: right + 0.05 for name, right in hard.items()}
    folders = [write_result(tmp_path, "shib", "a", easier), write_result(tmp_path, "shib", "b", hard)]
    together = comparison.compare(folders, "a", "b").intervals.iloc[0]
    alone = comparison.summary(folders).iloc[0]
    assert together["high"] - together["low"] < 0.5 * (alone["high"] - alone["low"])


def test_an_entry_compared_with_itself_differs_by_nothing(tmp_path):
    write_result(tmp_path, "house", "a", 0.8)
    found = comparison.compare([tmp_path / "results/house/a/seed0"], "a", "a")
    assert list(found.units["unit"]) == list(HOUSE["living"])
    assert found.intervals[["mean", "low", "high"]].eq(0).all(axis=None)


def test_every_data_set_with_both_entries_is_compared(tmp_path):
    folders = [write_result(tmp_path, d, e, 0.8) for d in ("shib", "house") for e in ("a", "b")]
    folders.append(write_result(tmp_path, "other", "a", 0.8))
    assert list(comparison.compare(folders, "a", "b").intervals["dataset"]) == ["shib", "house"]


def test_entries_of_one_data_set_stand_together(tmp_path):
    folders = [write_result(tmp_path, d, e, 0.8) for e in ("a", "b") for d in ("shib", "house")]
    assert list(comparison.summary(folders)["dataset"]) == ["shib", "shib", "house", "house"]


def test_no_common_data_set_is_an_error(tmp_path):
    folders = [write_result(tmp_path, "shib", "a", 0.8), write_result(tmp_path, "house", "b", 0.8)]
    with pytest.raises(InputError, match="no data set has results of both 'a' and 'b'"):
        comparison.compare(folders, "a", "b")


def test_the_same_results_give_the_same_interval(tmp_path):
    folder = write_result(tmp_path, "shib", "teacher", 0.9)
    assert comparison.summary([folder]).equals(comparison.summary([folder]))


def test_the_accuracy_has_an_interval_of_its_own(tmp_path):
    (row,) = comparison.summary([write_result(tmp_path, "shib", "teacher", 0.9)]).to_dict("records")
    folds = results.folds([tmp_path / "results/shib/teacher/seed0"])
    assert row["accuracy"] == pytest.approx(folds["accuracy"].mean())
    assert folds["accuracy"].min() <= row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


@pytest.mark.parametrize("dataset", ["shib", "house"])
def test_a_room_that_one_seed_invents_is_found_by_none(tmp_path, dataset):
    folders = [write_result(tmp_path, dataset, "a", 0.9, seed) for seed in (0, 1)]
    for folder in folders:
        with np.load(folder / "predictions.npz") as arrays:
            table = dict(arrays)
        for name in ("y_true", "y_pred"):
            table[name] = np.minimum(table[name], 1)  # nobody is in the third room
        if folder == folders[0]:
            table["y_pred"][0] = 2
        np.savez(folder / "predictions.npz", **table)
    found = comparison.by_room(folders).set_index("room")["f1"]
    assert found["hall"] == 0.0 and (found[["living", "kitchen"]] > 0.8).all()


def test_questions_of_not_worse_are_one_family_and_those_without_results_are_none_of_it(tmp_path):
    names = ("plain", "near", "far", "farther")
    folders = [write_result(tmp_path, "shib", name, 0.97 - 0.01 * i**3) for i, name in enumerate(names)]
    asked = [("near", "plain"), ("far", "plain"), ("farther", "plain"), ("nobody", "plain")]
    found = comparison.not_worse(folders, asked)
    assert list(found["entry"]) == ["near", "far", "farther"]
    assert found["p_holm"].tolist() == pytest.approx(paired.holm(found["p"]).tolist())
    assert found["p"].is_monotonic_increasing and not found["holds"].iloc[2] and found["worse"].iloc[2]
    assert comparison.not_worse(folders, [("nobody", "plain")]).empty
