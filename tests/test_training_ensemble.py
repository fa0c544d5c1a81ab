"""Several teachers of one student, and models that answer together: from the configuration to the stage."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from tinyloc.config import Config, Distillation
from tinyloc.report.results import predictions
from tinyloc.study import Study
from tinyloc.training.ensemble import together
from tinyloc.training.predictions import Predictions, read_predictions

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
    few = {"name": "few", "seeds": [5], "datasets": {"house": HOUSE}, "models": models}
    with pytest.raises(ValidationError, match=r"models\.student\.training: slowest and reversed"):
        Config.model_validate(few)
    models["student"]["distillation"]["consistent"] = True
    Config.model_validate(few)


def test_hints_are_of_windows_as_they_are():
    with pytest.raises(ValidationError, match="consistent teachers never see"):
        config(teacher="one", targets={"features": 1}, consistent=True)


def test_what_is_not_augmented_is_taught_alike_consistently_or_not(tmp_path):
    scores = []
    for consistent in (False, True):
        asked = config(teacher="one", targets={"marginals": 1}, consistent=consistent)
        folder = Study(asked, tmp_path / str(consistent), workers=1, progress=False).fit("house", "student", 5)
        (rows,) = read_predictions(folder / "predictions.npz").values()
        scores.append(rows.scores)
    np.testing.assert_allclose(*scores, atol=1e-4)


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


# ── answering together ───────────────────────────────────────────────────────────────────────────
def answers(probability, step=(0, 1)) -> Predictions:
    probability = np.array(probability, np.float32)
    return Predictions(
        recording=np.array(["a"] * len(step)),
        segment=np.zeros(len(step), int),
        step=np.array(step),
        y_true=np.zeros(len(step), int),
        y_pred=probability.argmax(1),
        parameters=10,
        probability=probability,
        probability_source="softmax",
    )


def test_one_who_is_sure_outvotes_two_who_hardly_lean():
    sure, leaning = answers([[0.9, 0.1], [0.2, 0.8]]), answers([[0.45, 0.55], [0.4, 0.6]])
    found = together([sure, leaning, leaning])
    assert found.y_pred.tolist() == [0, 1] and found.parameters == 30
    assert found.probability[0] == pytest.approx([0.6, 0.4]) and found.probability_source == "mean of 3 times softmax"


def test_an_ensemble_names_every_kind_of_probability_that_it_averages():
    plain, crf = (replace(answers([[1, 0], [1, 0]]), probability_source=s) for s in ("softmax", "CRF marginal"))
    assert together([plain, crf, plain]).probability_source == "mean of 3 times CRF marginal, softmax"
    assert together([crf, plain, plain]).probability_source == "mean of 3 times CRF marginal, softmax"


def test_members_must_have_answered_the_same_rows():
    with pytest.raises(ValueError, match="different rows"):
        together([answers([[1, 0], [1, 0]]), answers([[1, 0], [1, 0]], step=(1, 2))])


def test_a_study_trains_the_members_first_and_asks_them_together(tmp_path):
    models = {"one": BRIEF, "all": {"family": "ensemble", "members": ["one"], "member_seeds": [1, 2]}}
    raw = {"name": "few", "seeds": [5], "datasets": {"house": HOUSE}, "models": models}
    study = Study(Config.model_validate(raw), tmp_path, workers=1, progress=False)
    folder = study.fit("house", "all", 5)
    members = [read_predictions(study.fit("house", "one", seed) / "predictions.npz")["living"] for seed in (1, 2)]
    found = predictions(folder)
    assert found["y_pred"].tolist() == (members[0].probability + members[1].probability).argmax(1).tolist()


@pytest.mark.parametrize("members", [["nobody"], ["forest"], ["all"], []])
def test_members_are_networks_of_the_configuration(members):
    models = {"one": BRIEF, "forest": {"family": "forest"}, "all": {"family": "ensemble", "members": members}}
    with pytest.raises(ValidationError, match=r"members"):
        Config.model_validate({"name": "few", "seeds": [5], "datasets": {"house": HOUSE}, "models": models})


def test_an_ensemble_is_not_disturbed_itself():
    models = {"one": BRIEF, "all": {"family": "ensemble", "members": ["one"]}}
    raw = {"name": "few", "seeds": [5], "datasets": {"house": HOUSE}, "models": models}
    with pytest.raises(ValidationError, match=r"robustness\.models: 'all' is an ensemble"):
        Config.model_validate({**raw, "robustness": {"models": ["all"]}})
