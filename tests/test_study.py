"""A study's stages: what is made again and what is not, and who learns from whom over two folds."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest
import yaml

from tinyloc import provenance
from tinyloc.config import HouseData
from tinyloc.data.packets import Dataset, write_csv
from tinyloc.data.simulate import simulate
from tinyloc.errors import InputError
from tinyloc.study import Study
from tinyloc.training import run
from tinyloc.training.predictions import read_predictions

SHORT = HouseData(kind="house", fingerprint_minutes=2, living_minutes=1, living_recordings=1)
BRIEF = {"family": "mdcsa", "d": 4, "kernels": [2], "training": {"epochs": 1, "batch": 64}}
CONFIG = {
    "name": "flat",
    "seeds": [0],
    "windows": {"train_hop": 5},
    "models": {
        "neighbours": {"family": "neighbours"},
        "teacher": BRIEF,
        "student": {**BRIEF, "distillation": {"teacher": "teacher"}},
    },
    "robustness": {"models": ["neighbours"], "dropped": [0.5], "dead_gateways": False, "window_lengths": [20]},
}


@pytest.fixture(scope="module")
def house() -> Dataset:
    return simulate("house", SHORT)


@pytest.fixture
def folder(tmp_path, house) -> Path:
    """The CSV files of two people, and a configuration beside them."""
    for person, recording in zip(("ada", "ben"), house.recordings, strict=False):
        write_csv(tmp_path / "flat" / f"{person}.csv", recording.packets)
    flat = {"kind": "csv", "folder": "flat", "gateways": list(house.gateways), "rooms": list(house.rooms)}
    (tmp_path / "flat.yaml").write_text(yaml.safe_dump({**CONFIG, "datasets": {"flat": flat}}))
    return tmp_path


def opened(folder: Path) -> Study:
    return Study.open(folder / "flat.yaml", folder / "build", workers=1, progress=False)


# ── what is made again ───────────────────────────────────────────────────────────────────────────
def times(folder: Path) -> dict[str, int]:
    """When each stage was last made, after a study that is opened anew was asked for all of them."""
    study = opened(folder)
    made = {
        "prepare": study.data / "flat" / "config.json",
        "fit": study.fit("flat", "neighbours", 0) / "config.json",
        "robustness": study.robustness("flat", "neighbours", 0),
    }
    return {stage: path.stat().st_mtime_ns for stage, path in made.items()}


def remade(folder: Path, before: dict[str, int]) -> set[str]:
    return {stage for stage, at in times(folder).items() if at != before[stage]}


def test_data_that_were_touched_are_the_same_data(folder):
    before, watched = times(folder), opened(folder).data_inputs("flat")
    for path in (folder / "flat").iterdir():
        os.utime(path, (1, 1))
    assert opened(folder).data_inputs("flat") == watched, "the workflow would make everything again"
    assert not remade(folder, before)


def test_other_files_of_the_same_packets_are_prepared_again_and_nothing_is_fitted_again(folder):
    before = times(folder)
    with (folder / "flat" / "ada.csv").open("a") as file:
        file.write("\n")
    assert remade(folder, before) == {"prepare"}


def test_one_other_value_makes_everything_again(folder, house):
    before = times(folder)
    packets = house.recordings[0].packets.copy()
    packets.loc[0, "rssi"] += 1
    write_csv(folder / "flat" / "ada.csv", packets)
    assert remade(folder, before) == {"prepare", "fit", "robustness"}


def test_what_the_configuration_works_out_is_code_of_a_fit(folder, monkeypatch):
    before = opened(folder).fit_inputs("flat", "teacher", 0)
    copied = Path(shutil.copytree(provenance.PACKAGE, folder / "tinyloc"))
    monkeypatch.setattr(provenance, "PACKAGE", copied)
    assert opened(folder).fit_inputs("flat", "teacher", 0) == before
    code = copied / "config.py"
    code.write_text(code.read_text().replace("return max(self.epochs, ", "return min(self.epochs, "))
    assert opened(folder).fit_inputs("flat", "teacher", 0) != before


# ── who learns from whom ─────────────────────────────────────────────────────────────────────────
def test_no_network_and_no_teacher_of_it_has_seen_the_recordings_that_it_is_tested_on(folder, monkeypatch):
    """What `fit` and the teaching are given, fold by fold: recordings, and the teachers' files."""
    seen, taught = {}, {}

    def fit(network, train, validation, *arguments, resume, original=run.fit, **options):
        seen[resume.parent] = {*train.recording, *validation.recording}
        return original(network, train, validation, *arguments, resume=resume, **options)

    def train_fold(original=run.train_fold, **arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "_teaching", partial(teaching, arguments["out"]))
            return original(**arguments)

    def teaching(out, model, student, train, scaler, teachers, seed, original=run._teaching):
        taught[out] = (set(train.recording), [path.parent for path in teachers])
        return original(model, student, train, scaler, teachers, seed)

    monkeypatch.setattr(run, "fit", fit)
    monkeypatch.setattr(run, "train_fold", train_fold)
    study = opened(folder)
    trained = {model: study.fit("flat", model, 0) for model in ("teacher", "student")}
    for model, at in trained.items():
        tested = {
            at / f"fold-{name}": {*rows.recording} for name, rows in read_predictions(at / "predictions.npz").items()
        }
        assert sorted(map(sorted, tested.values())) == [["ada"], ["ben"]]
        for fold, recordings in tested.items():
            assert seen[fold] and not seen[fold] & recordings
            if model == "student":
                told_of, teachers = taught[fold]
                assert not told_of & recordings
                assert len(teachers) == 1 and not seen[teachers[0]] & recordings


# ── what is not for these data ───────────────────────────────────────────────────────────────────
def test_a_shift_of_posture_is_for_packets_alone(tmp_path):
    """Nobody says which columns of windows are means; nothing is read or trained before that is told."""
    model = {**BRIEF, "training": {**BRIEF["training"], "posture_shift": 0.5}}
    models = {"teacher": BRIEF, "student": {**model, "distillation": {"teacher": "teacher"}}}
    raw = {**CONFIG, "datasets": {"arrays": {"kind": "lomapp", "folder": "."}}, "models": models, "robustness": None}
    (tmp_path / "flat.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError) as caught:
        opened(tmp_path).fit("arrays", "student", 0)
    said = str(caught.value)
    assert said.startswith("models.student.training.posture_shift: 0.5, but datasets.arrays comes as windows")
    assert "\n" not in said and not (tmp_path / "build").exists()
