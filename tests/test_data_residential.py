"""The residential recordings: three clocks brought together, and a file that differs from its layout said plainly."""

import shutil

import numpy as np
import pytest
from residential_houses import at, write_houses

from tinyloc.config import Features, ResidentialData
from tinyloc.data import sources
from tinyloc.data.features import all_steps
from tinyloc.data.packets import ACCELERATION
from tinyloc.data.splits import folds
from tinyloc.data.store import stamp
from tinyloc.errors import InputError

HOUSE = ResidentialData(kind="residential", house="B")


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLOC_DATA", str(tmp_path))
    return write_houses(tmp_path / "sphere", "AB") / "house_B"


def test_a_house_is_a_walk_to_train_on_and_living_to_test_on(house):
    dataset = sources.load("home", HOUSE)
    assert dataset.gateways == ("ap1", "ap2", "ap7") and dataset.rooms == ("hallway", "kitchen")
    assert [(r.name, r.phase) for r in dataset.recordings] == [
        ("fingerprint_floor", "fingerprint"),
        ("living_1", "living"),
        ("living_2", "living"),
    ]
    assert "house B" in dataset.origin and "Byrne" in dataset.origin
    (fold,) = folds(all_steps(dataset, Features()), HOUSE.protocol, 0.25)
    assert [s.recording for s in fold.test] == ["living_1", "living_2"]


def test_a_packet_has_the_room_of_the_last_tag_and_the_newest_whole_block_of_samples(house):
    packets = sources.load("home", HOUSE).recordings[0].packets
    ms = ((packets["timestamp"] - np.datetime64("2016-10-05T10:00:00")) / np.timedelta64(1, "ms")).astype(int)
    # tags begin at 1 s and end at 58 s; rows stand at 160 ms, 360 ms, …
    assert ms.min() == 1160 and ms.max() == 57_960 and len(packets) == 285
    assert (packets["true_room"] == np.where(ms >= 30_000, "kitchen", "hallway")).all()
    assert (packets["rssi"] == -50 - (ms // 200) % 9).all()
    assert (packets["gateway"] == np.where(ms // 200 % 2, "ap2", "ap1")).all()
    # block b holds samples 5 b … 5 b + 4, and is whole when the last of them is there
    assert (packets["seqno"] == (ms - 160) // 200).all()
    x = packets[[name for name in ACCELERATION if name.endswith("x")]].to_numpy() * 1000
    np.testing.assert_allclose(x, packets["seqno"].to_numpy()[:, None] * 5 + np.arange(5))
    walking, lying = (ms >= 10_000) & (ms <= 12_000), ms <= 29_999
    assert (packets["activity"] == np.where(walking, "walking", np.where(lying, "lying", "unknown"))).all()


def test_rows_out_of_time_and_a_header_in_the_metadata_do_not_matter(house):
    before = sources.load("home", HOUSE).fingerprint
    path = house / "experiments" / "living_1" / "rx_wearable_data.dat"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join(["\ufeff" + header, *rows[::-1], "", ""]))
    names = house / "metadata" / "room_names.dat"
    names.write_text("id, name\n" + names.read_text())
    assert sources.load("home", HOUSE).fingerprint == before


def test_what_is_behind_a_house_is_watched(house):
    before = stamp(HOUSE)
    assert len(before) == 10 + 3 * 4
    (house / "metadata" / "room_names.dat").write_text("1,hallway\n2,cuisine\n")
    assert stamp(HOUSE) != before


def test_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLOC_DATA", str(tmp_path))
    monkeypatch.setattr(sources, "FOLDERS", ())
    with pytest.raises(InputError, match=r"datasets\.home: the residential recordings were not found"):
        sources.load("home", HOUSE)


RX, TAGS = "experiments/living_2/rx_wearable_data.dat", "experiments/living_2/tag_annotations.dat"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (RX, {f"{at(360)},2": f"{at(360)},9"}, r"line 3: ap_id: '9' is not in the metadata of the house"),
        (RX, {f"{at(360)},2": "noon,2"}, r"line 3: timestamp: 'noon' is not an ISO time"),
        (RX, {",1,-51": ",1,-151"}, r"line 3: rssi: '-151' is outside -127 … 20"),
        (RX, {",1,-51": ",1,"}, r"line 3: rssi: '' is not a number"),
        (RX, {",1,-51": ",1,-51.5"}, r"line 3: rssi: '-51.5' is not a whole number"),
        (RX, {",1,-": ";1;-"}, r"not the published columns \(timestamp at 0, ap_id at 1, rssi at 3\)"),
        (RX, {"2016-": "2026-"}, r"no packet between the first and the last tag annotation"),
        (TAGS, {",1,3,": ",1,8,"}, r"line 31: tag_id: '8' is not in the metadata of the house"),
        ("experiments/living_2/accelerometer_filtered.dat", {"-1.0": "-100"}, r"line 2: z: '-100' is outside -16 … 16"),
        (
            "experiments/living_2/activity_annotation_times.dat",
            {",5": ",6"},
            r"line 3: activity_tag: '6' is not in the",
        ),
        ("metadata/room_tags.dat", {"2,3": "2,3,1"}, r"tag 1 lies in 'hallway' and in 'kitchen'"),
        ("metadata/room_tags.dat", {"2,3": "5,3"}, r"room 5 has no name"),
        ("metadata/room_names.dat", {"2,kitchen": "2"}, r"line 2: nothing after the id 2"),
        ("metadata/room_names.dat", {"2,kitchen": "1,kitchen"}, r"line 2: id: 1 stands there twice"),
    ],
)
def test_a_file_that_differs_from_the_layout(house, file, change, words):
    path = house / file
    text = path.read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        sources.load("home", HOUSE)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(house))


@pytest.mark.parametrize("file", ["metadata/act_desc.dat", RX, "experiments/fingerprint_floor/tag_annotations.dat"])
def test_a_file_that_is_missing_or_empty(house, file):
    (house / file).write_text("")
    with pytest.raises(InputError, match=r"no entries|a header and no rows"):
        sources.load("home", HOUSE)
    (house / file).unlink()
    with pytest.raises(InputError, match="no such file"):
        sources.load("home", HOUSE)


def test_no_free_living(house):
    for folder in house.glob("experiments/living*"):
        shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"no folder living\*"):
        sources.load("home", HOUSE)
