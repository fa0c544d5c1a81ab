"""Several teachers of one student, from the configuration to the stage that trains them."""

import pytest
from pydantic import ValidationError

from tinyloc.config import Config, Distillation
from tinyloc.study import Study

BRIEF = {"family": "mdcsa", "d": 4, "kernels": [2], "training": {"epochs": 1, "batch": 64}}
HOUSE = {"kind": "house", "fingerprint_minutes": 2, "fingerprint_walks": 1, "living_minutes": 1, "living_recordings": 1}


def config(**distillation) -> Config:
    models = {"one": BRIEF, "two": BRIEF, "student": {**BRIEF, "distillation": distillation}}
    return Config.model_validate({"name": "few", "seeds": [5], "datasets": {"house": HOUSE}, "models": models})


def test_teachers_are_models_times_seeds():
    assert Distillation(teacher="a").runs(5) == [("a", 5)]
    assert Distillation(teacher=["a", "b"], teacher_seeds=[1, 2]).runs(5) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


@pytest.mark.parametrize("changes", [{"slowest": 2.0}, {"reversed": 0.5}])
def test_a_student_sees_the_windows_that_its_teacher_answered_for(changes):
    training = {**BRIEF["training"], **changes}
    models = {"one": BRIEF, "student": {**BRIEF, "training": training, "distillation": {"teacher": "one"}}}
    with pytest.raises(ValidationError, match=r"models\.student\.training: slowest and reversed"):
        Config.model_validate({"name": "few", "seeds": [5], "datasets": {"house": HOUSE}, "models": models})


@pytest.mark.parametrize(
    ("distillation", "said"),
    [
        ({"teacher": []}, "teacher"),
        ({"teacher": ["one", "nobody"]}, "no neural model is called 'nobody'"),
        ({"teacher": ["one", "student"]}, "'student' is itself distilled"),
        ({"teacher": "one", "targets": {}}, "targets"),
        ({"teacher": "one", "targets": {"scores": 0}}, "targets"),
    ],
    ids=["none", "unknown", "distilled", "no target", "weight"],
)
def test_a_configuration_without_what_it_needs_is_refused(distillation, said):
    with pytest.raises(ValidationError, match=said):
        config(**distillation)


def test_a_study_trains_all_teachers_of_a_student_first(tmp_path):
    study = Study(config(teacher=["one", "two"], teacher_seeds=[1, 2]), tmp_path, workers=1, progress=False)
    folder = study.fit("house", "student", 5)
    trained = {(path.parts[-3], path.parts[-2]) for path in tmp_path.glob("results/house/*/*/config.json")}
    assert trained == {("one", "seed1"), ("one", "seed2"), ("two", "seed1"), ("two", "seed2"), ("student", "seed5")}
    written = (folder / "config.json").stat().st_mtime_ns
    assert study.fit("house", "student", 5) == folder and (folder / "config.json").stat().st_mtime_ns == written
