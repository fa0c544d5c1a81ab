"""LoMAPP's arrays, as its public loader saves them: each window stays a window, and no stranger's pickle is opened."""

import pickle

import numpy as np
import pytest

from tinyloc.config import Features, LomappData
from tinyloc.data import sources
from tinyloc.data.lomapp import ARRAYS, GROUPS
from tinyloc.data.splits import folds
from tinyloc.data.store import stamp
from tinyloc.data.windows import cut
from tinyloc.errors import InputError
from tinyloc.study import Study

ROOMS = ("bathroom", "kitchen", "living room")
N, T, N_AP, N_ACC = 12, 20, 4, 3


def arrays(group: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(GROUPS.index(group))
    rssi = np.where(rng.random((N, T, N_AP)) < 0.4, -120, rng.integers(-100, -40, (N, T, N_AP)))
    return {"rssi": rssi, "accl": rng.normal(size=(N, T, N_ACC)), "location": rng.choice(ROOMS, (N, T))}


@pytest.fixture
def folder(tmp_path):
    for group in GROUPS:
        (tmp_path / group).mkdir()
        for name, array in arrays(group).items():
            np.savez(tmp_path / group / f"{name}.npz", array)
    return tmp_path


def load(folder, **options):
    return sources.binned("lomapp", LomappData(kind="lomapp", folder=folder, **options), Features())


def test_every_window_comes_back_and_one_group_is_tested_at_a_time(folder):
    data = load(folder)
    assert data.rooms == ROOMS and data.gateways == ("0", "1", "2", "3") and data.dataset is None
    made = folds(data.steps, "group-to-group", 0.25)
    assert [fold.name for fold in made] == list(GROUPS)
    for fold, group in zip(made, GROUPS, strict=True):
        tested, expected = cut(fold.test, T, 1), arrays(group)
        np.testing.assert_array_equal(tested.rssi, expected["rssi"])
        np.testing.assert_array_equal(tested.acc, expected["accl"].astype(np.float32))
        np.testing.assert_array_equal(np.array(ROOMS)[tested.room], expected["location"])
        # whole windows are kept for validation: the last quarter
        assert len(cut(fold.train, T, 1)) == 9 and len(cut(fold.validation, T, 1)) == 3
    assert (data.steps[0].heard == (arrays("PD")["rssi"].reshape(-1, N_AP) > -120)).all()


def test_its_fingerprint_follows_its_contents(folder):
    before, config = load(folder).fingerprint, LomappData(kind="lomapp", folder=folder)
    stamped = stamp(config)
    np.savez(folder / "C" / "rssi.npz", arrays("C")["rssi"] - 1)
    assert load(folder).fingerprint != before and stamp(config) != stamped and len(stamped) == 6


def test_its_fingerprint_knows_where_windows_end(folder):
    before = load(folder).fingerprint
    for group in GROUPS:
        for name, array in arrays(group).items():
            np.savez(folder / group / f"{name}.npz", array.reshape(2 * N, T // 2, *array.shape[2:]))
    assert load(folder).fingerprint != before


def test_a_study_of_windows_has_folds_and_no_packets(folder, tmp_path):
    path = tmp_path / "lomapp.yaml"
    models = "{near: {family: neighbours}}"
    path.write_text(f"name: lomapp\nseeds: [0]\ndatasets: {{l: {{kind: lomapp, folder: .}}}}\nmodels: {models}\n")
    study = Study.open(path, tmp_path / "build", workers=1, progress=False)
    prepared = study.prepared("l")
    assert [fold.name for fold in prepared.folds] == list(GROUPS) and prepared.rooms == ROOMS
    with pytest.raises(InputError, match=r"datasets\.l: .* no packets to look at"):
        prepared.dataset  # noqa: B018 – reading it is what is tested
    with pytest.raises(InputError, match=r"datasets\.lomapp: .* hold no packets"):
        sources.load("lomapp", LomappData(kind="lomapp", folder=folder))


def test_pickles_are_read_on_request_alone(folder):
    expected = load(folder).fingerprint
    for group in GROUPS:
        for name in ARRAYS:
            (folder / group / f"{name}.npz").unlink()
            (folder / group / f"{name}.pkl").write_bytes(pickle.dumps(arrays(group)[name]))
    with pytest.raises(InputError, match=r"rssi\.npz: no such file; rssi\.pkl is there: reading it runs code"):
        load(folder)
    assert load(folder, pickles=True).fingerprint == expected


def test_a_pickle_inside_an_archive_is_refused(folder):
    class Bomb:
        def __reduce__(self):
            return (folder / "ran").touch, ()

    np.savez(folder / "PD" / "location.npz", np.array([[Bomb()] * T] * N, dtype=object))
    with pytest.raises(InputError, match=r"location\.npz: cannot be read .*allow_pickle"):
        load(folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("group", "name", "array", "words"),
    [
        ("PD", "rssi", np.zeros((N, T)), r"rssi\.npz: shape \(12, 20\); it has to be \[N, T, n_ap\]"),
        ("C", "accl", np.zeros((N, T - 1, 3)), r"accl\.npz: shape .* but rssi\.npz has \(12, 20, 4\)"),
        ("C", "rssi", np.zeros((N, T, 5)), r"C/rssi\.npz: 5 columns, but .*PD/rssi\.npz has 4"),
        ("PD", "accl", np.full((N, T, 3), np.nan), r"accl\.npz: not a number at \[0, 0, 0\]"),
        ("PD", "rssi", np.full((N, T, 4), "loud"), r"rssi\.npz: values of type .*numbers"),
        ("PD", "location", np.zeros((N, T)), r"location\.npz: values of type float64; they have to be names"),
    ],
)
def test_arrays_of_another_shape_or_kind(folder, group, name, array, words):
    np.savez(folder / group / f"{name}.npz", array)
    with pytest.raises(InputError, match=words) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_damaged_or_holds_two_arrays(folder):
    path = folder / "PD" / "rssi.npz"
    np.savez(path, a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(InputError, match=r"rssi\.npz: 2 arrays \(a, b\)"):
        load(folder)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"rssi\.npz: cannot be read"):
        load(folder)
    with pytest.raises(InputError, match="no such folder"):
        load(folder / "nowhere")
