"""`data check`: what it says of somebody's own recordings is so, and the configuration it writes is one."""

import re

import numpy as np
import pandas as pd
import pytest
from packet_tables import START, table
from rich.console import Console

from tinyloc import config
from tinyloc.data import check, sources
from tinyloc.data.packets import ACCELERATION, write_csv
from tinyloc.data.windows import cut
from tinyloc.errors import InputError
from tinyloc.study import Study


def radio(minutes=4, room_minutes=1, pause_s=0, gateways=("ap1", "ap2", "ap3")):
    """Packets without accelerometer, number and activity: five a second, from one gateway after the other."""
    ms = np.arange(0, round(minutes * 60_000), 200)
    visit = ms // round(room_minutes * 60_000)
    return pd.DataFrame(
        {
            "timestamp": START + (ms + visit * pause_s * 1000).astype("timedelta64[ms]"),
            "rssi": -50 - 10 * (visit % 3) - np.arange(len(ms)) % 5,
            "gateway": np.array(gateways)[np.arange(len(ms)) % len(gateways)],
            "true_room": np.array(["shed", "hall", "loft"])[visit % 3],
        }
    )


@pytest.fixture
def folder(tmp_path):
    """Two people; one of them twice."""
    home = tmp_path / "home"
    for name in ("ann-1", "ann-2", "bob-1"):
        write_csv(home / f"{name}.csv", radio())
    return home


def shown(found) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        for made in check.tables(found):
            console.print(made)
    return capture.get()


def rows(text: str) -> dict[str, list[str]]:
    """The lines of the tables, by their first word."""
    return {words[0]: words for line in text.splitlines() if (words := line.split())}


def test_tables_count_what_is_there(tmp_path):
    path = tmp_path / "eve-1.csv"
    ms = [*range(0, 30_000, 500), *range(60_000, 90_000, 500)]  # two packets a second, a gap of half a minute
    room = ["attic"] * 80 + ["hall"] * 40
    packets = table(ms, rssi=[-80, -60] * 60, gateway=["east", "west"] * 60, room=room, activity="sitting")
    write_csv(path, packets.assign(activity=["sitting"] * 90 + ["walking"] * 30))
    found = rows(shown(check.look(path)))
    # the gap is the time between the last packet before it and the first after it
    assert found["eve-1.csv"] == ["eve-1.csv", "eve", "120", "1.5", "2.0", "1", "30", "s", "60"]
    assert found["east"] == ["east", "60", "-80", "-80", "-80", "0", "%"]
    # 60 packets in attic's first 30 s and 20 in the 10 s after the gap
    assert found["attic"] == ["attic", "80", "40", "67", "%", "1", "1"]
    assert found["hall"] == ["hall", "40", "20", "33", "%", "1", "1"]
    assert found["walking"] == ["walking", "30", "25", "%"]


def test_a_gateway_that_is_silent_half_the_time(tmp_path):
    packets = table(np.arange(0, 60_000, 1000), gateway=["east", "west", "west", "west"] * 15)
    write_csv(tmp_path / "eve.csv", packets)
    found = rows(shown(check.look(tmp_path / "eve.csv", gateways=["east", "west", "north"])))
    assert found["east"][-2:] == ["75", "%"] and found["west"][-2:] == ["25", "%"]
    assert found["north"] == ["north", "0", "–", "–", "–", "100", "%"]
    plan = " ".join(check.plan(check.look(tmp_path / "eve.csv", gateways=["east", "west", "north"])))
    assert "gateway north heard nothing at all" in plan and "there is one room" in plan


def test_the_plan_for_a_folder_of_two_people(folder):
    found = check.look(folder)
    plan = "\n".join(check.plan(found))
    for words in ("No activity", "No seqno", "No accelerometer", "Features: 3 of RSSI.", "2 folds (ann, bob)"):
        assert words in plan
    assert f"{3 * 240} steps, segments: 3" in plan and f"Windows of 20 steps: {3 * 221}" in plan
    assert "Warning" not in plan and "activity" not in shown(found)


def test_the_plan_for_one_file(folder):
    found = check.look(folder / "bob-1.csv")
    assert found.protocol == "last-part" and "last quarter of every segment" in "\n".join(check.plan(found))
    # the last quarter of one long segment is in one room alone, and training knows it
    assert not any("never trained on" in line for line in check.plan(found))


def test_a_room_that_only_one_person_visited(tmp_path):
    write_csv(tmp_path / "ann.csv", radio())
    write_csv(tmp_path / "bob.csv", radio().replace({"true_room": {"loft": "cellar"}}))
    warnings = [line for line in check.plan(check.look(tmp_path)) if line.startswith("Warning")]
    assert warnings == [
        "Warning: fold ann: loft is tested and never trained on.",
        "Warning: fold bob: cellar is tested and never trained on.",
    ]


def test_windows_shrink_to_the_shortest_part(tmp_path):
    """Segments of 48 steps: a quarter for validation is 12, so no window of it can have more."""
    for name in ("ann", "bob"):
        write_csv(tmp_path / f"{name}.csv", radio(minutes=4, room_minutes=0.8, pause_s=60))
    found = check.look(tmp_path)
    assert found.windows.length == 12
    assert "a window can have 12 steps and not 20" in "\n".join(check.plan(found))


def test_recordings_too_short_to_train_on(tmp_path):
    write_csv(tmp_path / "ann.csv", radio(minutes=0.1, room_minutes=0.05))
    found = check.look(tmp_path / "ann.csv")
    assert "record longer" in "\n".join(check.plan(found))
    with pytest.raises(InputError, match="no configuration written"):
        check.configuration(found, tmp_path / "ann.csv", tmp_path / "my.yaml", config.profile("quick"))
    assert not (tmp_path / "my.yaml").exists()


def test_files_that_do_not_belong_together(tmp_path):
    write_csv(tmp_path / "ann.csv", radio())
    write_csv(tmp_path / "bob.csv", table([0, 1]))
    with pytest.raises(InputError, match=r"bob\.csv: other accelerometer columns than ann\.csv"):
        check.look(tmp_path)
    assert check.look(tmp_path, accelerometer=False).n_samples == 0
    with pytest.raises(InputError, match=r"ann\.csv: line 1: no accelerometer column"):
        check.look(tmp_path, accelerometer=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no CSV file there"):
        check.look(tmp_path / "empty")


def warned(path, **options) -> str:
    return "\n".join(line for line in check.plan(check.look(path, **options)) if line.startswith("Warning"))


def test_gateways_that_only_one_person_heard(tmp_path):
    write_csv(tmp_path / "ann.csv", radio(gateways=("ap1", "ap2")))
    write_csv(tmp_path / "bob.csv", radio(gateways=("ap1", "ap3")))
    said = warned(tmp_path)
    assert "fold ann: gateway ap2 is heard in testing and never in training" in said
    assert "fold bob: gateway ap3 is heard in testing and never in training" in said


def test_names_that_are_probably_one(tmp_path):
    room = {"hall": "Shed"}
    write_csv(tmp_path / "ann.csv", radio(gateways=("ap1", "AP 1")).replace({"true_room": room}))
    said = warned(tmp_path / "ann.csv", rooms=["shed", "Shed", "loft", "attic"])
    assert "rooms shed, Shed differ in capitals, blanks or the spelling of accents alone" in said
    assert "gateways AP 1, ap1 differ in capitals, blanks or the spelling of accents alone" in said
    assert "nobody was in room attic" in said


def test_rows_that_stand_there_twice(tmp_path):
    packets = table(np.arange(0, 60_000, 500))
    write_csv(tmp_path / "ann.csv", packets.loc[np.repeat(packets.index, [2] * 10 + [1] * 110)])
    assert "10 of 130 rows are of a packet and a gateway that another row is of" in warned(tmp_path / "ann.csv")


def test_acceleration_in_another_unit(tmp_path):
    packets = table(np.arange(0, 60_000, 500))
    at_rest = {column: 1.0 if column.endswith("z") else 0.0 for column in ACCELERATION}
    write_csv(tmp_path / "g.csv", packets.assign(**at_rest))
    write_csv(tmp_path / "si.csv", packets.assign(**{column: 9.81 * value for column, value in at_rest.items()}))
    assert "acceleration" not in warned(tmp_path / "g.csv")
    assert "acceleration is 9.8 g at the median" in warned(tmp_path / "si.csv")


def test_a_beacon_that_is_slower_than_a_step(tmp_path):
    """A packet every ten seconds: by default each is a segment of its own, and with the right bins it is a study."""
    slow = radio(minutes=60)[::50]
    write_csv(tmp_path / "ann.csv", slow)
    assert "(10 s at the median), so that each begins a segment: give a longer --max-gap-s" in warned(
        tmp_path / "ann.csv"
    )
    assert "90 % of the steps hold no packet at all: give a longer --bin-s" in warned(
        tmp_path / "ann.csv", features=config.Features(max_gap_s=60)
    )
    found = check.look(tmp_path / "ann.csv", features=config.Features(bin_s=10, max_gap_s=60))
    assert found.windows.length == 20 and len(found.steps[0]) == 360
    check.configuration(found, tmp_path / "ann.csv", tmp_path / "my.yaml", config.profile("quick"))
    assert config.read(tmp_path / "my.yaml").features == config.Features(bin_s=10, max_gap_s=60)


def test_a_name_with_the_signs_of_a_pattern(tmp_path):
    write_csv(tmp_path / "ann [1].csv", radio())
    found = check.look(tmp_path / "ann [1].csv")
    check.configuration(found, tmp_path / "ann [1].csv", tmp_path / "my.yaml", config.profile("quick"))
    assert [r.name for r in sources.load("my", config.read(tmp_path / "my.yaml").datasets["my"]).recordings] == [
        "ann [1]"
    ]


@pytest.mark.parametrize("name", ["my", "my.json", ".hidden.yaml"])
def test_a_configuration_is_written_only_where_it_can_be_read_again(folder, tmp_path, name):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / name}: ")):
        check.configuration(check.look(folder), folder, tmp_path / name, config.profile("quick"))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("one", [True, False], ids=["file", "folder"])
def test_the_written_configuration_describes_the_same_data(folder, tmp_path, one):
    source, path = folder / "ann-2.csv" if one else folder, tmp_path / "deep" / "my.yaml"
    found = check.look(source)
    check.configuration(found, source, path, config.profile("quick"))
    written = config.read(path)
    data = written.datasets["my"]
    assert data.protocol == found.protocol and not data.accelerometer
    loaded = sources.load("my", data)
    assert (loaded.gateways, loaded.rooms) == (found.dataset.gateways, found.dataset.rooms)
    assert [r.name for r in loaded.recordings] == [r.name for r in found.dataset.recordings]
    quick = config.profile("quick")
    assert list(written.models) == list(quick.models) and written.exports == quick.exports
    assert all(m.training.acc_shift == 0 for m in written.models.values() if isinstance(m, config.Neural))
    with pytest.raises(InputError, match=r"my\.yaml: there already"):
        check.configuration(found, source, path, quick)


def test_a_configuration_with_accelerometer_keeps_what_belongs_to_it(tmp_path):
    packets = table(np.arange(0, 14_400_000, 1000), room=["hall"] * 7200 + ["attic"] * 7200)
    write_csv(tmp_path / "ann.csv", packets.assign(**dict.fromkeys(ACCELERATION, 0.5)))
    check.configuration(
        check.look(tmp_path / "ann.csv"), tmp_path / "ann.csv", tmp_path / "my.yaml", config.profile("quick")
    )
    written = config.read(tmp_path / "my.yaml")
    assert written.datasets["my"].accelerometer and written.models == config.profile("quick").models


def test_few_windows_make_more_epochs_and_as_much_more_patience(folder, tmp_path):
    quick = config.profile("quick")
    found = check.look(folder)
    check.configuration(found, folder, tmp_path / "my.yaml", quick)
    for name, model in config.read(tmp_path / "my.yaml").models.items():
        if not isinstance(model, config.Neural):
            continue
        hop, batch = quick.windows.train_hop, model.training.batch
        length = getattr(model, "train_length", found.windows.length)
        windows = min(len(cut(fold.train, length, hop).step) for fold in found.folds)
        epochs, before = model.training.epochs_over(windows), quick.models[name].training
        assert epochs * -(-windows // batch) >= check.LEAST_UPDATES > before.epochs * -(-windows // batch)
        assert model.training.patience / before.patience == pytest.approx(epochs / before.epochs, rel=0.2)


def test_hidden_files_are_none_and_capitals_do_not_matter(folder, tmp_path):
    names = sorted(path.name for path in folder.glob("*.csv"))
    (folder / names[0]).rename(folder / names[0].replace(".csv", ".CSV"))
    for hidden in (".partial-x.csv", f"._{names[1]}"):
        (folder / hidden).write_bytes(b"\0")
    found = check.look(folder)
    assert [file.name for file in found.files] == [names[0].replace(".csv", ".CSV"), *names[1:]]
    check.configuration(found, folder, tmp_path / "my.yaml", config.profile("quick"))
    loaded = sources.load("my", config.read(tmp_path / "my.yaml").datasets["my"])
    assert [r.name for r in loaded.recordings] == [r.name for r in found.dataset.recordings]


def test_accents_that_are_spelt_in_two_ways(tmp_path):
    write_csv(tmp_path / "ann.csv", radio().replace({"true_room": {"hall": "K\u00fcche", "loft": "Ku\u0308che"}}))
    assert "the spelling of accents alone" in warned(tmp_path / "ann.csv")


def test_a_study_runs_on_it(folder, tmp_path):
    """Steps, folds and a baseline's scores of data with other gateways, other rooms and no accelerometer."""
    path = tmp_path / "my.yaml"
    check.configuration(check.look(folder), folder, path, config.profile("quick"))
    study = Study.open(path, tmp_path / "build", workers=1, progress=False)
    prepared = study.prepared("my")
    assert all(s.acc.shape == (len(s), 0) for s in prepared.steps)
    # the packets that chapters look at are the stored ones, and the same
    assert (
        prepared.dataset.fingerprint
        == prepared.fingerprint
        == sources.load("my", study.config.datasets["my"]).fingerprint
    )
    scores = (study.fit("my", "neighbours", 0) / "metrics.json").read_text()
    assert '"ann"' in scores and '"bob"' in scores
