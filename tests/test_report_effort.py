"""What a configuration would take: work counted by hand, rates read back from stages that ran, estimates from both."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tinyloc import config
from tinyloc.config import Config, profile
from tinyloc.data.windows import cut
from tinyloc.models import cost
from tinyloc.report import effort, workload
from tinyloc.report.effort import Rate
from tinyloc.report.workload import Part, Sizes
from tinyloc.study import Study
from tinyloc.timing import Clock, costed

CONFIG = Config.model_validate(
    yaml.safe_load("""
name: small
seeds: [0, 1]
datasets:
  house: {kind: house, fingerprint_minutes: 3, fingerprint_walks: 2, living_minutes: 3, living_recordings: 2}
windows: {length: 10, train_hop: 3}
models:
  neighbours: {family: neighbours}
  teacher: {family: mdcsa, d: 8, training: &brief {epochs: 40, batch: 16, patience: 4}}
  student: {family: mdcsa, d: 4, training: *brief, distillation: {teacher: teacher}}
  mamba: {family: mamba, d: 4, n_state: 2, train_length: 20, training: *brief}
exports: [{model: student, kinds: [float32, int8]}]
devices: [{model: student, kind: int8, ram_kb: 64}]
robustness: {models: [student, mamba], dropped: [0.5], window_lengths: [5, 10]}
""")
)
SIZES = Sizes(4, Part(100, 2), Part(40, 2), Part(60, 1), n_ap=3, n_acc=6, n_rooms=4)


def of(stage: str, entry: str, length: int = 10) -> workload.Work:
    found = [
        w for w in workload.works(CONFIG, "house", SIZES) if (w.stage, w.entry, w.length) == (stage, entry, length)
    ]
    assert len(found) == 1
    return found[0]


def test_a_network_is_counted_in_forward_passes() -> None:
    own, teacher = (cost.of(CONFIG.models[m], 3, 6, 4, 10).macs_per_window for m in ("student", "teacher"))
    n_train, n_validation, n_test = (100 - 2 * 9) / 3, 40 - 2 * 9, 60 - 9
    found = of("fit", "student")
    for epochs, gmacs in ((5, found.low), (40, found.high)):
        by_hand = epochs * (3 * n_train + n_validation) * own + n_test * own + n_train * teacher
        assert gmacs == pytest.approx(by_hand / 1e9)
    assert found.macs == own and found.batch == 16


def test_epochs_that_are_added_for_the_updates_are_counted_too() -> None:
    """Some 27 windows are two batches of 16, so that 100 updates take 50 epochs; a walk counts as far as it goes."""
    training = CONFIG.models["student"].training.model_copy(update={"least_updates": 100})
    assert workload.epochs_of(training, (100 - 2 * 9) / 3) == (5, 50)
    house = CONFIG.datasets["house"].model_copy(update={"fingerprint_kept_minutes": 1})
    sizes = Sizes.of_house(house, CONFIG)
    assert sizes.train.steps + sizes.validation.steps == 2 * 60


def test_a_causal_network_trains_on_windows_of_its_own_length() -> None:
    trained, asked = (cost.of(CONFIG.models["mamba"], 3, 6, 4, steps).macs_per_window for steps in (20, 10))
    by_hand = 40 * (3 * (100 - 2 * 19) / 3 * trained + (40 - 2 * 9) * asked) + (60 - 9) * asked
    assert of("fit", "mamba").high == pytest.approx(by_hand / 1e9)


def test_what_comes_after_training_is_counted_in_answers() -> None:
    n_test = 60 - 9
    conditions = 2 + 3 + 2  # nothing and a half dropped, three gateways, two lengths
    assert of("robustness", "mamba").high == n_test * conditions
    assert of("export", "student.int8").high == n_test
    assert (of("board", "student.int8").high, of("board", "student.int8").folds) == (1, 1)


def test_short_windows_train_a_window_model_and_its_teacher_again_and_no_stream() -> None:
    at = {name: [length for n, length in workload.fits(CONFIG) if n == name] for name in CONFIG.models}
    assert at == {"neighbours": [10], "teacher": [10, 5], "student": [10, 5], "mamba": [10]}


def test_a_house_is_measured_without_being_simulated(study: Study) -> None:
    """Counts of windows, which is all that the steps are for, against those that are really cut."""
    prepared = study.prepared("house")
    guessed = Sizes.of_house(CONFIG.datasets["house"], CONFIG)
    assert (guessed.n_ap, guessed.n_rooms) == (len(prepared.gateways), len(prepared.rooms))
    assert guessed.n_acc == prepared.steps[0].acc.shape[-1]
    for part in ("train", "validation", "test"):
        for length, hop in ((10, 3), (20, 1)):
            real = len(cut(getattr(prepared.folds[0], part), length, hop))
            assert getattr(Sizes.of(prepared), part).windows(length, hop) == pytest.approx(real, abs=2)
            assert getattr(guessed, part).windows(length, hop) == pytest.approx(real, rel=0.05)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The sample of CONFIG, with its networks and its neighbours trained."""
    cut_down = workload.sample(CONFIG)
    found = Study(cut_down, tmp_path_factory.mktemp("sample"), workers=1, progress=False)
    for model in ("neighbours", "teacher", "student"):
        found.fit("house", model, 0)
    return found


def test_a_sample_is_one_epoch_of_one_seed_on_one_data_set(study: Study) -> None:
    assert study.config.seeds == [0] and list(study.config.datasets) == ["house"]
    assert {m.training.epochs for m in study.config.models.values() if hasattr(m, "training")} == {1}
    assert list(study.config.models) == list(CONFIG.models) and study.config.exports == CONFIG.exports


def test_rates_times_work_is_what_the_stages_took(study: Study) -> None:
    sizes = {"house": Sizes.of(study.prepared("house"))}
    found = effort.table(study.config, sizes, effort.rates(study)).set_index("part")
    for model in ("neighbours", "teacher", "student"):
        spent = json.loads((study.root / "results/house" / model / "seed0/timing.json").read_text())["core_seconds"]
        assert spent > 0
        rows = [w for w in workload.works(study.config, "house", sizes["house"]) if w.entry == model]
        again = sum(w.high for w in rows if w.stage == "fit") / next(w.high for w in rows if w.stage == "fit")
        assert found.loc[model, "high"] * 3600 == pytest.approx(spent * again, rel=1e-6)
        assert found.loc[model, "rate"] == "itself"
    assert found.loc["mamba", "rate"] == "others"  # it was not trained, but other networks were
    assert found.loc["exports", "rate"] == "nothing" and pd.isna(found.loc["exports", "high"])


def test_the_nearest_rate_counts() -> None:
    work = of("fit", "student")
    itself = Rate("fit", work.like, 1.05 * work.macs, work.batch, 1.0)
    dearer = replace(itself, seconds=2.0)
    family = replace(itself, like=("mdcsa", "other", ""), seconds=3.0)
    other = replace(itself, like=("gru", "other", ""), seconds=5.0)
    baseline = Rate("fit", ("forest", "", ""), 0, 0, 6.0)
    known = [baseline, other, family, itself, dearer]
    expected = [(dearer, "itself"), (itself, "itself"), (family, "its family"), (other, "others")]
    for rate, whose in expected:
        assert effort.match(known, work) == (rate, whose)
        known.remove(rate)
    assert effort.match(known, work) is None


def test_a_mamba_that_was_measured_before_it_had_forms_is_the_same() -> None:
    """The authors' sample says nothing of `form`; taken for another network, its students' pace decided."""
    model = profile("paper").models["mamba"]
    measured = [rate for rate in effort.read("paper").rates if rate.like == workload._like(model)]
    assert measured and "form" in workload._like(model.model_copy(update={"form": "window"}))[1]


def test_sizes_of_a_family_lie_on_a_line() -> None:
    """Seconds a window = 3 + 2 per MAC, whatever the size; a lone size is taken in proportion."""
    work = replace(of("fit", "student"), macs=1000.0)
    known = [Rate("fit", ("mdcsa", str(macs), ""), macs, 16, 3 / macs + 2) for macs in (10.0, 40.0, 90.0)]
    assert effort.match(known, work)[0].seconds == pytest.approx(3 / 1000 + 2)
    assert effort.match(known[:1], work)[0].seconds == known[0].seconds
    quick = [replace(rate, seconds=rate.seconds / 30) for rate in known]  # of students, whose work is their teachers'
    assert effort.match([*quick, *known], work)[0].seconds == pytest.approx(3 / 1000 + 2)
    falling = [replace(known[0], seconds=9.0), replace(known[1], seconds=1.0)]  # no time is less than none
    assert effort.match(falling, work)[0].seconds > 0


def test_no_number_of_cores_is_faster_than_teacher_and_student(study: Study) -> None:
    found = pd.DataFrame(
        [
            ("neighbours", 1.0, 0.1),
            ("teacher", 80.0, 2.0),
            ("student", 16.0, 1.0),
            ("mamba", 1.0, 0.5),
            ("exports", 2.0, 0.5),
        ],
        columns=["part", "high", "longest"],
    )
    assert effort.wall_hours(CONFIG, found, 1) == (100.0, 103.5)
    assert effort.wall_hours(CONFIG, found, 1000) == (3.5, pytest.approx(3.6))


def test_a_page_shows_every_sample_and_says_what_is_left_out(study: Study) -> None:
    sizes, known = {"house": SIZES}, effort.rates(study)
    both = CONFIG.model_copy(update={"datasets": {**CONFIG.datasets, "shib": config.ShibData(kind="shib")}})
    samples = {"mine": known, "ours": known, "nobody's": []}
    shown, text = effort.frame(both, sizes, samples), effort.in_words(both, sizes, samples)
    assert list(shown.index) == [*CONFIG.models, "robustness", "exports", "boards", "all"]
    assert not shown.isna().any(axis=None) and "nan" not in shown.to_string() and shown.shape[1] == 5
    assert "without shib" in text and text.count(" on 256 cores") == 2 and "nobody's" not in text
    assert effort.frame(CONFIG, sizes, {"ours": []}).empty and "Nothing" in effort.in_words(CONFIG, sizes, {"ours": []})


def test_a_sample_that_is_kept_reads_back(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "shipped", lambda folder: tmp_path / folder)
    known = effort.rates(study)
    effort.write(effort.path_of("small"), study, known)
    kept = effort.read("small")
    assert list(kept.rates) == known and set(kept.sizes) == {"house"}
    assert kept.sizes["house"] == Sizes.of_house(study.config.datasets["house"], study.config)
    assert kept.made["commit"] and effort.read("large").rates == ()


def test_what_a_killed_run_had_done_is_counted_and_another_makings_is_not(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    Clock(path, "a", 1, resumes=True).add(2.0)
    Clock(path, "a", 1, resumes=True).add(1.0)
    assert json.loads(path.read_text())["core_seconds"] == 3.0
    Clock(path, "b", 1, resumes=True).add(1.0)
    assert json.loads(path.read_text())["core_seconds"] == 1.0
    Clock(path, "b", 1).add(0.5)
    assert json.loads(path.read_text())["core_seconds"] == 0.5


def test_core_seconds_are_work_and_not_waiting() -> None:
    def busy_then_idle() -> str:
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        time.sleep(0.5)
        return "done"

    result, spent = costed(busy_then_idle)
    assert result == "done" and 0.05 <= spent < 0.4
