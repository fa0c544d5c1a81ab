"""Disturbed test parts: the same questions whatever was lost, the undisturbed answers unchanged, and done once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from packet_tables import table
from typer.testing import CliRunner

from tinyloc import cli, config
from tinyloc.config import Features, HouseData, Robustness
from tinyloc.data import houses
from tinyloc.data.features import steps
from tinyloc.data.packets import ACCELERATION
from tinyloc.data.simulate import simulate
from tinyloc.data.splits import folds
from tinyloc.errors import InputError
from tinyloc.evaluation import conditions, robustness
from tinyloc.evaluation.conditions import CLEAN, DEAD, DROPPED, LENGTH, Condition, kept
from tinyloc.files import read_json
from tinyloc.report import results
from tinyloc.study import Study
from tinyloc.training import run
from tinyloc.training.predictions import read_predictions
from tinyloc.training.run import train_fold

SHORT = HouseData(kind="house", fingerprint_minutes=4, fingerprint_walks=1, living_minutes=3, living_recordings=2)
CONFIG = {
    "name": "disturbed",
    "seeds": [0, 1],
    "windows": {"train_hop": 5},
    "datasets": {
        "one": SHORT.model_dump(),
        "two": {**SHORT.model_dump(), "seed": 8},
        "across": {"kind": "houses", "houses": ["one", "two"]},
    },
    "models": {
        "neighbours": {"family": "neighbours"},
        "window": {"family": "mdcsa", "d": 4, "training": {"epochs": 1, "batch": 64}},
        "stream": {"family": "mamba", "d": 4, "n_state": 2, "training": {"epochs": 1, "batch": 64}},
    },
    "robustness": {"models": ["neighbours", "window", "stream"], "dropped": [0.5], "window_lengths": [5, 20]},
}


@pytest.fixture(scope="module")
def home():
    return simulate("one", SHORT)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "disturbed.yaml").write_text(yaml.safe_dump(CONFIG))
    return Study.open(folder / "disturbed.yaml", folder / "build", workers=1, progress=False)


# ── packets ──────────────────────────────────────────────────────────────────────────────────────
def test_a_larger_loss_contains_a_smaller_one_and_takes_whole_packets(home):
    packets = home.recordings[0].packets
    masks = {share: kept(packets, Condition(DROPPED, share), 3, "r") for share in (0.0, 0.2, 0.5, 0.8)}
    assert masks[0.0].all()
    for less, more in ((0.2, 0.5), (0.5, 0.8)):
        assert not (masks[more] & ~masks[less]).any()
    assert 1 - masks[0.5].mean() == pytest.approx(0.5, abs=0.05)
    # a simulated recording is too short for a number to come twice
    assert all(len(set(fate)) == 1 for _, fate in pd.Series(masks[0.5]).groupby(packets["seqno"].to_numpy()))
    assert (masks[0.5] == kept(packets, Condition(DROPPED, 0.5), 3, "r")).all()
    assert (masks[0.5] != kept(packets, Condition(DROPPED, 0.5), 4, "r")).any()


def test_a_packet_is_one_though_a_full_second_lies_within_it_and_its_number_is_used_again():
    packets = table(
        # 990 and 1010: one packet heard by two; 1600: its number again, so soon; the last two at two gateways at once
        ms=[990, 1000, 1010, 1600, 51_000, 51_400],
        seqno=[7, 8, 7, 7, 7, 7],
        gateway=["east", "east", "west", "east", "east", "west"],
    )
    sent = [0, 1, 0, 2, 3, 3]
    masks = np.array([kept(packets, Condition(DROPPED, 0.5), seed, "r") for seed in range(40)])
    for i, packet in enumerate(sent):
        alike = (masks == masks[:, [i]]).all(0)
        assert (alike == (np.array(sent) == packet)).all()


def test_what_is_lost_leaves_bins_rooms_and_gaps_as_they_were(home):
    recording = home.recordings[0]
    whole = steps(recording, home, Features())
    for share in (0.0, 0.8, 1.0):
        mask = kept(recording.packets, Condition(DROPPED, share), 0, recording.name)
        found = steps(recording, home, Features(), mask)
        for same in ("room", "segment", "step", "time"):
            assert (getattr(found, same) == getattr(whole, same)).all()
        assert found.heard.sum() == mask.sum()
        silent = found.heard == 0
        assert (found.rssi[silent] == Features().silent_dbm).all()
        if share == 0.0:
            assert (found.rssi == whole.rssi).all() and (found.acc == whole.acc).all()
        if share == 1.0:
            assert silent.all() and (found.acc == 0).all()


def test_acceleration_stays_what_it_was_while_nothing_arrives(home):
    recording = home.recordings[0]
    whole = steps(recording, home, Features())
    lost = recording.packets["timestamp"].to_numpy() >= whole.time[30]
    found = steps(recording, home, Features(), ~lost)
    assert (found.acc[:30] == whole.acc[:30]).all() and (found.acc[30:] == whole.acc[29]).all()


def test_a_dead_gateway_is_silent_and_the_others_are_as_before(home):
    recording, gateway = home.recordings[0], home.gateways[1]
    found = steps(recording, home, Features(), kept(recording.packets, Condition(DEAD, gateway), 0, "r"))
    whole = steps(recording, home, Features())
    assert found.heard[:, 1].sum() == 0
    assert (np.delete(found.rssi, 1, 1) == np.delete(whole.rssi, 1, 1)).all()


def test_the_conditions_of_a_configuration_have_the_undisturbed_one_among_them():
    asked = conditions.conditions(Robustness(models=["m"], dropped=[0.4], window_lengths=[20, 5]), ["a", "b"])
    assert [c.name for c in asked] == [
        "dropped 0.0", "dropped 0.4", "dead gateway a", "dead gateway b", "window length 5", "window length 20",
    ]  # fmt: skip


# ── the stage ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("model", ["neighbours", "window", "stream"])
def test_undisturbed_the_answers_are_those_of_the_fit(study, model):
    path = study.robustness("one", model, 0)
    fitted = read_predictions(path.parent / "predictions.npz")["living"]
    found = read_predictions(path.parent / "fold-living" / "robustness.npz")
    assert (found[CLEAN.name].y_pred == fitted.y_pred).all()
    for rows in found.values():
        assert (rows.recording == fitted.recording).all() and (rows.step == fitted.step).all()
        assert (rows.segment == fitted.segment).all() and (rows.y_true == fitted.y_true).all()
    if model != "stream":  # whose window of 20 steps begins with nothing before it
        assert (found["window length 20"].y_pred == fitted.y_pred).all()
    rows = {(c["kind"], c["value"]): c for c in read_json(path)["conditions"]}
    assert rows[DROPPED, 0.0]["macro_f1"] == read_json(path.parent / "metrics.json")["macro_f1"]
    assert rows[DROPPED, 0.0]["reference"] and rows[LENGTH, 20]["reference"] and not rows[LENGTH, 5]["reference"]
    assert rows[LENGTH, 20]["lost"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_where_a_part_of_a_recording_is_tested_no_other_part_is_asked(home, tmp_path, monkeypatch):
    recordings = [steps(r, home, Features()) for r in home.recordings]
    (fold,) = folds(recordings, "last-part", 0.2)
    windows, neighbours = config.Windows(train_hop=5), config.NeighboursModel(family="neighbours")
    asked = [CLEAN, Condition(DROPPED, 0.5), Condition(LENGTH, 20)]
    trained, making, asking = {20: tmp_path}, {"key": "k"}, []
    monkeypatch.setattr(robustness, "answer", lambda *a: asking.append(a) or run.answer(*a))
    found = robustness.run_fold(neighbours, fold, home, Features(), windows, asked, trained, 0, tmp_path, making)
    fitted = train_fold(neighbours, fold, windows, Features(), home.gateways, home.rooms, 0, tmp_path)
    for rows in found.values():
        assert (rows.step == fitted.step).all() and (rows.recording == fitted.recording).all()
    assert (found[CLEAN.name].y_pred == fitted.y_pred).all()
    # all losses of packets in one go; with windows of their own length, streams begin anew
    assert [(a[2].length, a[-1]) for a in asking] == [(20, False), (20, True)]


def test_only_a_network_that_sees_windows_is_trained_again(study):
    for model in CONFIG["models"]:
        study.robustness("one", model, 0)
    trained = {
        path.parent.parent.name for path in (study.root / "lengths" / "5").glob("results/one/*/seed0/config.json")
    }
    assert trained == {"window"}
    assert not (study.root / "lengths" / "5" / "data").exists() and not (study.root / "lengths" / "20").exists()


def test_it_is_done_once_and_what_is_left_is_done_after_a_kill(study, monkeypatch):
    path = study.robustness("one", "neighbours", 0)
    before = path.read_bytes()
    asked = []
    monkeypatch.setattr("tinyloc.evaluation.robustness.answer", lambda *_, **__: asked.append(1))
    assert study.robustness("one", "neighbours", 0) == path and path.read_bytes() == before
    path.unlink()  # as after a kill between the folds and the summary
    assert study.robustness("one", "neighbours", 0).read_bytes() == before
    assert asked == []


def test_seeds_are_gathered_into_one_row_a_condition(study):
    table = results.robustness([study.robustness("one", "neighbours", seed) for seed in (0, 1)])
    assert len(table) == 2 + len(study.prepared("one").gateways) + 2
    assert set(table["entry"]) == {"neighbours"}
    assert (table.loc[table["reference"], "lost"] == 0).all()


def test_the_command_names_every_condition(study):
    path = study.root.parent / "disturbed.yaml"
    done = CliRunner().invoke(
        cli.app, ["robustness", "-c", str(path), "--root", str(study.root), "-d", "one", "-m", "neighbours"]
    )
    assert done.exit_code == 0, done.output
    assert "dropped 0.5: macro F1" in done.output and "window length 5: macro F1" in done.output


def test_a_model_that_is_not_to_be_disturbed_is_named(study):
    with pytest.raises(InputError, match=r"robustness model 'nobody': .* there are neighbours, window, stream"):
        study.robustness("one", "nobody", 0)
    without = Study(study.config.model_copy(update={"robustness": None}), study.root, progress=False)
    with pytest.raises(InputError, match="has no `robustness`; add one with models"):
        without.robustness("one", "neighbours", 0)


def test_a_length_that_no_window_has_is_named_before_anything_is_trained(study):
    asked = study.config.robustness.model_copy(update={"window_lengths": [5, 2000]})
    long = Study(study.config.model_copy(update={"robustness": asked}), study.root, progress=False)
    with pytest.raises(InputError, match=r"robustness\.window_lengths 2000: the longest stretch without a gap has"):
        long.robustness("one", "window", 0)
    assert not (study.root / "lengths" / "2000").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"robustness": {"models": ["nobody"]}}, "robustness.models: no model is called 'nobody'"),
        ({"robustness": {"models": ["neighbours"], "dropped": [1.5]}}, "robustness.dropped.0"),
        ({"datasets": {"x": {"kind": "lomapp", "folder": "x"}}}, "'x' is of arrays, which have no packets to lose"),
        ({"datasets": {"x": {"kind": "houses", "houses": ["a", "b"]}}}, "no data set of one house is called 'a'"),
    ],
)
def test_a_slip_in_the_configuration_is_one_line(change, message, tmp_path):
    (tmp_path / "slip.yaml").write_text(yaml.safe_dump({**CONFIG, **change}))
    with pytest.raises(InputError) as caught:
        config.read(tmp_path / "slip.yaml")
    assert message in str(caught.value)


# ── houses ───────────────────────────────────────────────────────────────────────────────────────
def test_each_house_is_tested_on_its_free_living_by_a_model_of_the_others(study):
    found = {fold.name: fold for fold in study.prepared("across").folds}
    assert set(found) == {"one", "two"}
    for name, fold in found.items():
        assert {s.phase for s in fold.test} == {"living"} and {s.participant for s in fold.test} == {name}
        trained = [*fold.train, *fold.validation]
        assert name not in {s.participant for s in trained}
        assert {s.phase for s in trained} == {"fingerprint", "living"}
    metrics = read_json(study.fit("across", "neighbours", 0) / "metrics.json")
    assert set(metrics["folds"]) == {"one", "two"}


def test_houses_without_free_living_are_tested_on_all(home):
    walks = tuple(replace(r, phase="calibration") for r in home.recordings)
    joined = houses.join("x", [replace(home, recordings=walks), replace(home, name="b", recordings=walks)])
    found = folds([steps(r, joined, Features()) for r in joined.recordings], "house-to-house", 0.2)
    assert [len(fold.test) for fold in found] == [len(walks)] * 2


@pytest.mark.parametrize("what", ["gateways", "rooms"])
def test_houses_that_share_no_names_are_refused_in_one_line(home, what):
    other = replace(home, name="b", **{what: (*getattr(home, what)[1:], "elsewhere")})
    with pytest.raises(InputError, match=rf"datasets.x.houses: 'one' and 'b' do not share the {what} .*elsewhere"):
        houses.join("x", [home, other])


def test_houses_with_unlike_accelerometers_are_not_joined(home):
    without = [replace(r, packets=r.packets.drop(columns=list(ACCELERATION))) for r in home.recordings]
    with pytest.raises(InputError, match=r"'one' carry 5 accelerometer samples and those of 'b' 0"):
        houses.join("x", [home, replace(home, name="b", recordings=tuple(without))])


def test_silence_lies_below_all_that_is_heard(study, tmp_path):
    loud = study.config.features.model_copy(update={"silent_dbm": -80.0})
    with pytest.raises(InputError, match=r"one: features\.silent_dbm -80: gateways were heard at -1\d\d? dBm"):
        Study(study.config.model_copy(update={"features": loud}), tmp_path, progress=False).prepared("one")
