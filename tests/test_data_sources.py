"""Where data come from: found in the right order, loaded whole, and said plainly where they are missing or wrong."""

import time

import numpy as np
import pytest
from packet_tables import GATEWAYS, ROOMS, table

from tinyloc.config import CsvData, Features, HouseData, ShibData
from tinyloc.data import shib, sources
from tinyloc.data.features import all_steps
from tinyloc.data.packets import ACCELERATION, write_csv
from tinyloc.data.splits import folds
from tinyloc.data.store import stamp
from tinyloc.data.windows import cut
from tinyloc.errors import InputError

SHIB = ShibData(kind="shib")


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A working directory with nothing around it, and a library that is not in its repository."""
    home = tmp_path / "project"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.delenv("TINYLOC_DATA", raising=False)
    monkeypatch.setattr(sources, "REPOSITORY", tmp_path / "site-packages")
    return home


def put_sessions(folder, names=("1-1", "2-1", "10-1")):
    """Small files in the layout of SHIB."""
    for name in names:
        packets = table(np.arange(30) * 200, gateway="kitchen", room="stairs")
        write_csv(folder / f"{name}.csv", packets)
    return folder


@pytest.fixture
def published(monkeypatch):
    """`put_sessions`, where what it puts is what was published."""

    def put(folder, names=("1-1", "2-1", "10-1")):
        put_sessions(folder, names)
        blobs = {f"calibration/{name}.csv": shib.git_blob((folder / f"{name}.csv").read_bytes()) for name in names}
        monkeypatch.setattr(shib, "BLOBS", blobs)
        return folder

    return put


# ── finding ──────────────────────────────────────────────────────────────────────────────────────
def test_not_found_says_where_it_looked(alone):
    assert sources.find_shib() is None
    reason = sources.why_missing(SHIB)
    assert "\n" not in reason and str(alone) not in reason
    for place in ("$TINYLOC_DATA (not set)", "data/", "../shared/data/"):
        assert place in reason
    with pytest.raises(InputError, match=r"datasets\.mine: the SHIB recordings were not found"):
        sources.load("mine", SHIB)


def test_the_order_of_the_places(alone, tmp_path, monkeypatch):
    shared = put_sessions(tmp_path / "shared" / "data" / "shib" / "calibration")
    assert sources.find_shib() == shared
    own = put_sessions(alone / "data" / "shib" / "calibration")
    assert sources.find_shib() == own
    named = put_sessions(tmp_path / "elsewhere" / "shib" / "calibration")
    monkeypatch.setenv("TINYLOC_DATA", str(tmp_path / "elsewhere"))
    assert sources.find_shib() == named
    assert sources.why_missing(SHIB) is None


def test_the_repository_is_looked_at_from_any_working_directory(alone, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    folder = put_sessions(repository / "data" / "shib" / "calibration")
    monkeypatch.setattr(sources, "REPOSITORY", repository)
    assert sources.find_shib() is None  # a folder that only looks like one
    (repository / "pyproject.toml").touch()
    assert sources.find_shib() == folder


@pytest.mark.parametrize("inside", ["shib/calibration", "calibration", "."])
def test_the_variable_may_name_any_level(alone, tmp_path, monkeypatch, inside):
    folder = put_sessions(tmp_path / "mine" / inside)
    monkeypatch.setenv("TINYLOC_DATA", str(tmp_path / "mine"))
    assert sources.find_shib() == folder.resolve()


def test_a_variable_that_names_no_folder_is_a_mistake(alone, tmp_path, monkeypatch):
    put_sessions(alone / "data" / "shib" / "calibration")
    monkeypatch.setenv("TINYLOC_DATA", str(tmp_path / "typo"))
    with pytest.raises(InputError, match=r"TINYLOC_DATA=.*typo: no such folder"):
        sources.find_shib()


def test_the_house_is_always_there(alone):
    house = HouseData(kind="house", fingerprint_minutes=1, living_minutes=1)
    assert sources.why_missing(house) is None
    assert "simulated" in sources.load("house", house).origin.lower()


# ── SHIB ─────────────────────────────────────────────────────────────────────────────────────────
def test_participant_and_session_come_from_the_name_in_the_order_of_numbers(alone, published):
    folder = published(alone / "data" / "shib" / "calibration", ["10-1", "2-2", "2-1"])
    write_csv(folder.parent / "test" / "freeliving.csv", table([0]))  # of the same release, but no session
    dataset = sources.load("shib", SHIB)
    assert [(r.name, r.participant, r.phase) for r in dataset.recordings] == [
        ("2-1", "2", "calibration"),
        ("2-2", "2", "calibration"),
        ("10-1", "10", "calibration"),
    ]
    assert dataset.name == "shib" and dataset.gateways == tuple(SHIB.gateways) and dataset.rooms == tuple(SHIB.rooms)
    assert "3 calibration sessions of 2 people" in dataset.origin


def test_free_living_is_tested_on_where_the_protocol_says_so(alone, published, monkeypatch):
    folder = published(alone / "data" / "shib" / "calibration", ["1-1", "2-1"])
    config = ShibData(kind="shib", protocol="fingerprint-to-living")
    assert "freeliving.csv was not found" in sources.why_missing(config)
    path = folder.parent / "test" / "freeliving.csv"
    write_csv(path, table(np.arange(30) * 200, gateway="kitchen", room="stairs"))
    with pytest.raises(InputError, match=r"freeliving\.csv: differs from the published"):
        sources.load("shib", config)
    monkeypatch.setitem(shib.BLOBS, "test/freeliving.csv", shib.git_blob(path.read_bytes()))
    dataset = sources.load("shib", config)
    assert [(r.name, r.phase) for r in dataset.recordings][1:] == [("2-1", "calibration"), ("freeliving", "living")]
    assert "free living" in dataset.origin and len(stamp(config)) == 3 and len(stamp(SHIB)) == 2
    (fold,) = folds(all_steps(dataset, Features()), config.protocol, 0.25)
    assert [s.recording for s in fold.test] == ["freeliving"] and len(fold.train) == 2


def test_the_ids_are_gits():
    """The id of an empty file is the best known one of all."""
    assert shib.git_blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert len(shib.BLOBS) == len(set(shib.BLOBS.values())) == 16


@pytest.mark.parametrize("name", ["1-2", "77-1"], ids=["altered", "unknown"])
def test_a_file_that_differs_from_the_published_is_refused(alone, published, name):
    folder = published(alone / "data" / "shib" / "calibration", ["1-1", "1-2"])
    assert len(sources.load("shib", SHIB).recordings) == 2
    with (folder / f"{name}.csv").open("a") as file:
        file.write("\n" if name == "1-2" else (folder / "1-1.csv").read_text())
    with pytest.raises(InputError, match=rf"{name}\.csv: differs from the published recording"):
        sources.load("shib", SHIB)


def test_an_error_in_a_session_names_the_file(alone, published):
    folder = published(alone / "data" / "shib" / "calibration", ["1-1", "2-1"])
    text = (folder / "2-1.csv").read_text()
    (folder / "2-1.csv").write_text(text.replace("kitchen,", "garage,", 1))
    with pytest.raises(InputError, match=r"2-1\.csv: line 2: gateway: 'garage' is not a known gateway"):
        sources.load("shib", SHIB)


# ── own CSV files ────────────────────────────────────────────────────────────────────────────────
def own(folder, **settings):
    return CsvData(kind="csv", folder=folder, gateways=list(GATEWAYS), rooms=list(ROOMS), **settings)


def test_a_folder_of_csv_files_is_a_data_set(tmp_path):
    for name in ("anna-1", "anna-2", "bo"):
        write_csv(tmp_path / f"{name}.csv", table(np.arange(50) * 300))
    config = own(tmp_path)
    dataset = sources.load("mine", config)
    assert [(r.name, r.participant) for r in dataset.recordings] == [
        ("anna-1", "anna"),
        ("anna-2", "anna"),
        ("bo", "bo"),
    ]
    made = folds(all_steps(dataset, Features()), config.protocol, 0.25)
    assert [fold.name for fold in made] == ["anna", "bo"]
    before = stamp(config)
    (tmp_path / "bo.csv").write_text((tmp_path / "bo.csv").read_text() + "\n")
    assert stamp(config) != before


def test_files_of_one_name_in_two_folders_are_two_recordings(tmp_path):
    for day in ("monday", "tuesday"):
        write_csv(tmp_path / day / "ann-1.csv", table([0, 500]))
    loaded = sources.load("own", own(tmp_path, files="*/*.csv"))
    assert [(r.name, r.participant) for r in loaded.recordings] == [("monday/ann-1", "ann"), ("tuesday/ann-1", "ann")]


def test_a_line_break_in_a_files_name_is_refused(tmp_path):
    write_csv(tmp_path / "ann\n1.csv", table([0, 500]))
    with pytest.raises(InputError, match="a line break or the like in a file's name"):
        sources.load("own", own(tmp_path))


def test_one_file_of_a_folder(tmp_path):
    for name in ("anna-1", "bo"):
        write_csv(tmp_path / f"{name}.csv", table(np.arange(50) * 300))
    config = own(tmp_path).model_copy(update={"files": "bo.csv", "accelerometer": False})
    dataset = sources.load("mine", config)
    assert [r.name for r in dataset.recordings] == ["bo"] and "s1x" not in dataset.recordings[0].packets
    assert [name for name, *_ in stamp(config)] == ["bo.csv"]


def test_recordings_with_different_accelerometers_are_no_data_set(tmp_path):
    write_csv(tmp_path / "anna-1.csv", table([0, 1]))
    write_csv(tmp_path / "bo.csv", table([0, 1]).drop(columns=["s5x", "s5y", "s5z"]))
    with pytest.raises(InputError, match=r"bo\.csv: other accelerometer columns than anna-1\.csv"):
        sources.load("mine", own(tmp_path))
    write_csv(tmp_path / "bo.csv", table([0, 1]).drop(columns=list(ACCELERATION)))
    with pytest.raises(InputError, match=r"bo\.csv: line 1: no accelerometer column"):
        sources.load("mine", own(tmp_path))


def test_a_folder_that_is_missing_or_empty(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        sources.load("mine", own(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no CSV file there"):
        sources.load("mine", own(tmp_path))


# ── the real recordings ──────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def real():
    if reason := sources.why_missing(SHIB):
        pytest.skip(reason)
    start = time.process_time()  # of our own, whatever else the machine is doing
    dataset = sources.load("shib", SHIB)
    return dataset, time.process_time() - start


def test_real_sessions_are_loaded_whole_and_fast(real):
    dataset, seconds = real
    assert seconds < 0.3 * len(dataset.recordings)
    for recording in dataset.recordings:
        path = sources.find_shib() / f"{recording.name}.csv"
        assert len(recording.packets) == path.read_bytes().count(b"\n") - 1
        assert 2500 < len(recording.packets) < 6000


def test_real_sessions_visit_every_room_once_in_segments_with_gaps_between(real):
    dataset, _ = real
    for steps in all_steps(dataset, Features()):
        assert len(np.unique(steps.segment)) == len(dataset.rooms)
        in_segments = [set(steps.room[steps.segment == s]) for s in np.unique(steps.segment)]
        assert sorted(min(rooms) for rooms in in_segments) == list(range(len(dataset.rooms)))
        assert all(len(rooms) == 1 for rooms in in_segments)
        # within a segment there is at most a step or two in which nothing was heard
        assert (steps.heard.sum(1) == 0).mean() < 0.01


def test_every_part_of_every_real_fold_has_windows_of_20_steps_in_every_room(real):
    dataset, _ = real
    made = folds(all_steps(dataset, Features()), SHIB.protocol, 0.25)
    assert [fold.name for fold in made] == list(dict.fromkeys(r.participant for r in dataset.recordings))
    for fold in made:
        for part in (fold.train, fold.validation, fold.test):
            assert set(cut(part, 20, 2).target) == set(range(len(dataset.rooms)))
