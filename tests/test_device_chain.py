"""The chain from packets to rooms in C: Python's features to the bit, and its rooms, on the host and on a board."""

import ctypes
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import tiny_model
from aot_tools import gcc
from hypothesis import given, settings
from packet_tables import GATEWAYS, table, unruly
from tflite_writer import ModelWriter
from typer.testing import CliRunner

from tinyloc.aot.chain import answer_type, emit_chain
from tinyloc.aot.deployed import Deployed
from tinyloc.cli import app
from tinyloc.config import HouseData
from tinyloc.data import sources
from tinyloc.data.features import ACC_NAMES
from tinyloc.data.packets import ACCELERATION, Recording, read_csv, write_csv
from tinyloc.data.simulate import simulate
from tinyloc.device import chain, host, pipeline, toolchain
from tinyloc.device.records import DeviceError
from tinyloc.errors import InputError

ROOMS, LENGTH = ("attic", "cellar", "hall"), 4
PROPERTY = settings(derandomize=True, deadline=None, max_examples=15)
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def windowed(n_ap: int) -> ModelWriter:
    """int8, a window at once: one linear map of each modality, added."""
    m, random = ModelWriter(), np.random.default_rng(2)
    parts = []
    for name, columns, scale, zero in (("rssi", n_ap, 0.009, -100), ("acc", 6, 0.013, 7)):
        source = m.input((1, LENGTH, columns), "int8", scale=scale, zero=zero, name=name)
        weights = m.constant(random.integers(-127, 128, (len(ROOMS), columns)).astype(np.int8), scale=0.02)
        parts.append(m.tensor((1, LENGTH, len(ROOMS)), "int8", scale=0.05, zero=3))
        m.operator("FULLY_CONNECTED", [source, weights, -1], parts[-1:], "FullyConnected", keepNumDims=True)
    scores = m.output(m.tensor((1, LENGTH, len(ROOMS)), "int8", scale=0.07, zero=-5, name="scores"))
    m.operator("ADD", parts, [scores], "Add")
    return m


def marginal(n_ap: int) -> ModelWriter:
    """The same, whose answer is the likeliest room."""
    return windowed(n_ap)


def undecoded(n_ap: int) -> ModelWriter:
    """The same, of which the best score of the last step is the answer."""
    return windowed(n_ap)


def streamed(n_ap: int) -> ModelWriter:
    """float32, a step at a time: a leaky sum of linear maps of RSSI."""
    m, random, shape = ModelWriter(), np.random.default_rng(3), (1, len(ROOMS))
    rssi, state = m.input((1, n_ap), name="rssi"), m.input(shape, name="state/h")
    weights = m.constant(random.normal(size=(len(ROOMS), n_ap)).astype(np.float32))
    drive, kept, new = (m.tensor(shape, name=name) for name in ("drive", "kept", "next/h"))
    m.operator("FULLY_CONNECTED", [rssi, weights, -1], [drive], "FullyConnected", keepNumDims=True)
    m.operator("MUL", [state, m.constant(np.float32([[0.7]]))], [kept], "Mul")
    m.operator("ADD", [kept, drive], [new], "Add")
    bias = m.constant(random.normal(size=(len(ROOMS), len(ROOMS))).astype(np.float32))
    scores = m.tensor(shape, name="scores")
    m.operator("FULLY_CONNECTED", [new, bias, -1], [scores], "FullyConnected", keepNumDims=True)
    m.graph.outputs = [scores, new]
    return m


def export(folder, kind, gateways=GATEWAYS):
    """The folder of an export, as `tinyloc export` writes it."""
    folder.mkdir(parents=True)
    felt = () if kind is streamed else ACC_NAMES
    kind(len(gateways)).save(folder / "model.tflite")
    (folder / "labels.txt").write_text("".join(f"{room}\n" for room in ROOMS))
    (folder / "features.json").write_text(
        json.dumps(
            {
                **{"bin_s": 1.0, "silent_dbm": -120.0, "max_gap_s": 2.5, "window_steps": LENGTH},
                "decoder": {windowed: "viterbi", marginal: "marginal"}.get(kind),
                **{"rssi": {"columns": list(gateways)}, "acc": {"columns": list(felt)}},
            }
        )
    )
    limits = {"acc": {name: {"min": -0.1, "max": 0.7} for name in felt} | {"mean_x": {"min": 0.25, "max": 0.25}}}
    limits["rssi"] = {name: {"min": -120.0, "max": -41.3 - i} for i, name in enumerate(gateways)}
    (folder / "scaler.json").write_text(json.dumps(limits))
    if kind in (windowed, marginal):
        random = np.random.default_rng(4)
        energies = {"start": random.normal(size=3), "transition": np.eye(3) + random.normal(size=(3, 3))}
        energies["end"] = random.normal(size=3)
        (folder / "decoder.json").write_text(
            json.dumps({k: v.astype(np.float32).tolist() for k, v in energies.items()})
        )
    return folder


KINDS = {
    "window": (windowed, 2, None),
    "stream": (streamed, 1, None),
    "no-decoder": (undecoded, 1, None),
    "lag": (windowed, 3, 4),
    "no-lag": (windowed, 1, 0),
    "marginal": (marginal, 1, None),
    "filter": (marginal, 2, 0),
    "smoother": (marginal, 3, 4),
}

SLOW = {
    name: [pytest.mark.slow] if name in {"no-lag", "no-decoder", "filter"} else [] for name in KINDS
}  # what building with sanitizers takes


@pytest.fixture(scope="module", params=[pytest.param(kind, id=name, marks=SLOW[name]) for name, kind in KINDS.items()])
def on_host(request, tmp_path_factory):
    """(export, (hop, lag), the chain built for the host with all that looks for mistakes)"""
    tiny_model.need(toolchain.HOST_GCC)
    kind, hop, lag = request.param
    folder = tmp_path_factory.mktemp("chain")
    exported = export(folder / "export", kind)
    emit_chain(exported, folder / "aot", hop=hop, lag=lag)
    return Deployed.read(exported), (hop, lag), host.build(folder / "aot", folder / "host", SANITIZERS)


def play(deployed, pace, built, packets):
    """(the chain's trace, Python's) of one recording."""
    wanted, over = pipeline.follow(deployed, Recording("toy", "", "living", packets), *pace)
    rows, ends = chain.offers(packets, deployed, over, "toy")
    answers = host.run(built, rows, np.arange(len(rows)) == 0).outputs
    return chain.trace(answers.view(answer_type(wanted.scaled.shape[1], pace[1]))[:, 0], ends), wanted


def test_features_are_pythons_to_the_bit_and_rooms_are_its_rooms(on_host):
    deployed, pace, built = on_host
    rooms = set()

    @PROPERTY
    @given(packets=unruly(accelerometer=deployed.accelerometer))
    def check(packets):
        got, wanted = play(deployed, pace, built, packets)
        assert chain.same_steps(got, wanted)
        assert got.rooms.tolist() == wanted.rooms.tolist()
        rooms.update(got.rooms.ravel().tolist())
        known = chain.room_of_each_step(got, deployed.length, *pace) != pipeline.NO_ROOM
        assert known.sum() == (got.rooms != pipeline.NO_ROOM).sum()

    check()
    assert len(rooms - {pipeline.NO_ROOM}) > 1  # or nothing was decided


def test_another_feature_another_step_or_another_answer_is_told(on_host):
    deployed, pace, built = on_host
    packets = table(np.arange(40) * 300, rssi=-50 - np.arange(40))
    if not deployed.accelerometer:
        packets = packets.drop(columns=list(ACCELERATION))
    got, wanted = play(deployed, pace, built, packets)
    assert chain.same_steps(got, wanted)
    got.scaled[3, 1] = np.nextafter(got.scaled[3, 1], 9)
    assert not chain.same_steps(got, wanted)
    with pytest.raises(DeviceError, match="offer 1 of 2 ended a step"):
        chain.trace(np.ones(2, answer_type(3)), np.array([False, True]))


def test_the_root_is_correctly_rounded(tmp_path):
    emit_chain(export(tmp_path / "export", windowed), tmp_path / "aot")
    gcc("-O2", "-fPIC", "-shared", tmp_path / "aot" / "tl_features.c", "-o", tmp_path / "root.so")
    root = ctypes.CDLL(str(tmp_path / "root.so")).tl_root
    root.argtypes, root.restype = [ctypes.c_double], ctypes.c_double
    random = np.random.default_rng(0)
    values = np.concatenate([random.uniform(0, 4, 4000), 10.0 ** random.uniform(-199, 300, 4000)])
    near = np.nextafter(values[:2000] ** 2, np.repeat([0, 9], 1000))  # beside a square
    middle = (1 + random.integers(0, 2**23, 2000) * 2.0**-23 + 2.0**-24) ** 2  # the root lies between two floats
    for value in np.concatenate([values, values[:2000] ** 2, near, middle, [1.0, 0.25, 2.0, 4.0]]).tolist():
        assert root(value) == math.sqrt(value)
    assert root(0.0) == root(1e-201) == 0.0
    assert np.float32(math.sqrt(1e-200)) == 0


def test_the_emitted_code_is_clean_for_the_static_analyser(tmp_path):
    tiny_model.need(toolchain.HOST_GCC)
    for kind, hop, lag in (KINDS[name] for name in ("window", "stream", "lag", "marginal", "smoother")):
        folder = tmp_path / f"{kind.__name__}-{lag}"
        emit_chain(export(folder / "export", kind), folder / "c", hop=hop, lag=lag)
        sources = {path.name for path in (folder / "c").glob("tl_*.c")}
        decoders = {"tl_decode.c", "tl_online.c", "tl_marginal.c", "tl_smooth.c"}
        forward = {"tl_forward.c", "tl_math.c"} if kind is marginal else set()
        decoder = ("tl_marginal.c", "tl_smooth.c") if kind is marginal else ("tl_decode.c", "tl_online.c")
        assert sources & decoders == {decoder[lag is not None]} and forward <= sources
        for source in ("tl_chain.c", "tl_features.c", *(sources & decoders), *forward, "chain_config.c"):
            gcc("-O2", "-fanalyzer", "-c", folder / "c" / source, "-o", tmp_path / "object.o")


def recording():
    """(gateways, packets) of a real session where there is one, of a simulated house otherwise."""
    folder = sources.find_shib()
    if folder:
        return (packets := read_csv(folder / "1-1.csv").iloc[:250])["gateway"].unique(), packets
    house = HouseData(kind="house", fingerprint_minutes=1, living_minutes=1, living_recordings=1, fingerprint_walks=1)
    data = simulate("house", house)
    return data.gateways, data.recordings[-1].packets.iloc[:250]


@pytest.mark.parametrize(
    ("kind", "board", "lag"),
    [
        (windowed, "mps2-an386", None),
        (marginal, "mps2-an386", None),
        pytest.param(marginal, "mps2-an500", None, marks=pytest.mark.slow),
        pytest.param(marginal, "mps3-an547", None, marks=pytest.mark.slow),
        pytest.param(marginal, "mps2-an500", 0, marks=pytest.mark.slow),
        (marginal, "mps3-an547", 0),
    ],
)
def test_a_recording_gives_the_same_rooms_on_a_board(tmp_path, kind, board, lag):
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    gateways, packets = recording()
    write_csv(tmp_path / "packets.csv", packets)
    exported = export(tmp_path / "export", kind, sorted(gateways))
    report = chain.run_chain(exported, tmp_path / "packets.csv", board, 2048, stack=512, lag=lag)
    assert report["packets"] == 250 and report["rooms"] > 0
    assert report["agreement"] == {"features": True, "rooms": report["rooms"], "host": True}
    count = report["instructions"]
    assert count["packet"]["count"] == 250 and count["room"]["count"] == report["rooms"]
    assert 0 < count["packet"]["min"] < count["step"]["min"] < count["room"]["max"]
    assert report["ram"]["total"] <= report["ram_limit"] - 512 + report["ram"]["stack_high_water"]


def test_a_model_with_a_state_begins_anew_after_a_gap_on_a_board(tmp_path):
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    ms = np.concatenate([np.arange(20) * 400, 60_000 + np.arange(15) * 400])
    packets = table(ms, rssi=-40 - np.arange(35), gateway=["east", "west", "west", "east", "west"] * 7)
    write_csv(tmp_path / "packets.csv", packets)
    report = chain.run_chain(export(tmp_path / "e", streamed), tmp_path / "packets.csv", "mps3-an547", 2048, stack=512)
    assert report["agreement"] == {"features": True, "rooms": report["steps"], "host": True}
    assert report["instructions"]["step"] is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", [windowed, marginal])
@pytest.mark.parametrize(("board", "hop", "lag"), [("mps2-an386", 1, 5), ("mps2-an500", 2, 1), ("mps3-an547", 3, 2)])
def test_a_lag_gives_the_rooms_of_the_online_search_on_a_board(tmp_path, board, hop, lag, kind):
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    ms = np.concatenate([np.arange(40) * 400, 60_000 + np.arange(30) * 400, 120_000 + np.arange(4) * 400])
    random = np.random.default_rng(5)
    packets = table(ms, rssi=random.integers(-100, -40, len(ms)), gateway=random.choice(GATEWAYS, len(ms)))
    write_csv(tmp_path / "packets.csv", packets)
    exported = export(tmp_path / "e", kind)
    given = exported, tmp_path / "packets.csv", board, 2048
    report = chain.run_chain(*given, stack=512, hop=hop, lag=lag, outputs=tmp_path / "rooms.csv")
    kept = pd.read_csv(tmp_path / "rooms.csv")
    assert len(kept) == report["steps"] and kept["room"].notna().sum() == report["rooms"]
    assert set(kept["room"].dropna()) <= set(ROOMS)
    assert report["lag"] == lag and report["rooms"] > 2 * lag  # each of the two long segments ends with that many
    assert report["agreement"] == {"features": True, "rooms": report["rooms"], "host": True}


@pytest.mark.slow
def test_too_little_ram_for_the_chain_says_how_much_is_missing(tmp_path):
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    write_csv(tmp_path / "packets.csv", table(np.arange(40) * 400))
    exported = export(tmp_path / "e", windowed)
    given = exported, tmp_path / "packets.csv", "mps2-an386"
    with pytest.raises(InputError, match=r"needs \d+ B \(512 B of them stack\), (\d+) B more") as caught:
        chain.run_chain(*given, 896, stack=512, lag=100)
    missing = int(re.search(r"(\d+) B more", str(caught.value))[1])
    enough = 896 + -(-missing // 128) * 128
    assert chain.run_chain(*given, enough, stack=512, lag=100)["agreement"]["features"] is True


@pytest.mark.parametrize(
    ("kind", "hop", "lag", "message"),
    [
        (streamed, 1, 3, "lag 3: .* has no CRF, whose energies the search needs"),
        (windowed, 1, -1, "lag -1: give a whole number of steps from 0 to 3600"),
        (windowed, LENGTH + 1, 3, "hop 5: the search needs every step, and a window has 4"),
    ],
)
def test_a_lag_that_is_not_possible_is_refused(tmp_path, kind, hop, lag, message):
    with pytest.raises(InputError, match=message):
        emit_chain(export(tmp_path / "export", kind), tmp_path / "aot", hop=hop, lag=lag)
    assert not (tmp_path / "aot").exists()


def edited(folder, name, change):
    values = json.loads((folder / name).read_text())
    change(values)
    (folder / name).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "scaler.json").unlink(), r"scaler\.json: no such file; give a folder"),
        (lambda f: (f / "labels.txt").write_text("attic\n"), "not the scores of 1 rooms"),
        (lambda f: (f / "features.json").write_text("{"), r"features\.json: not JSON"),
        (lambda f: (f / "decoder.json").unlink(), r"decoder\.json: no such file; give a folder"),
        (lambda f: edited(f, "decoder.json", lambda d: d.pop("end")), "not the files of one export"),
        (lambda f: edited(f, "decoder.json", lambda d: d["transition"].pop()), "not the energies of 3 rooms"),
        (lambda f: edited(f, "features.json", lambda d: d.update(decoder=True)), "not the files of one export .*True"),
        (lambda f: edited(f, "scaler.json", lambda d: d["rssi"].pop("west")), "not the files of one export"),
        (lambda f: edited(f, "features.json", lambda d: d["rssi"]["columns"].pop()), "does not take the features"),
    ],
)
def test_an_export_that_is_not_whole_is_named(tmp_path, spoil, message):
    folder = export(tmp_path / "export", windowed)
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        emit_chain(folder, tmp_path / "aot")
    assert "\n" not in str(caught.value) and not (tmp_path / "aot").exists()


def test_odds_that_float32_would_not_hold_are_refused(tmp_path):
    folder = export(tmp_path / "export", marginal)
    emit_chain(folder, tmp_path / "c")
    edited(folder, "decoder.json", lambda d: d["transition"][1].__setitem__(2, -70.0))
    with pytest.raises(InputError, match=r"decoder\.json: energies of transition are 7\d apart, and .* device take 40"):
        emit_chain(folder, tmp_path / "d")
    edited(folder, "features.json", lambda d: d.update(decoder="viterbi"))
    emit_chain(folder, tmp_path / "d")  # whose search only adds


def test_a_model_with_a_state_needs_every_step_and_a_number_32_bits(tmp_path):
    folder = export(tmp_path / "export", streamed)
    with pytest.raises(InputError, match="hop 2: give"):
        emit_chain(folder, tmp_path / "aot", hop=2)
    packets = table([0, 1], seqno=[1, 2**32])
    with pytest.raises(InputError, match="packet 2: seqno 4294967296 needs more than 32 bits"):
        chain.offers(packets, Deployed.read(folder), np.zeros(2, int), "toy")


def test_the_command_line_takes_an_export_where_it_takes_a_model(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyloc.device.chain.run_chain", lambda *given, **options: {"given": list(map(str, given))})
    folder = export(tmp_path / "export", windowed)
    runner = CliRunner()
    done = runner.invoke(app, ["compile", str(folder), "-o", str(tmp_path / "c"), "--hop", "5"])
    assert done.exit_code == 0, done.output
    assert "FULLY_CONNECTED" in done.output
    assert "#define CHAIN_HOP 5U" in (tmp_path / "c" / "chain_config.h").read_text()
    done = runner.invoke(app, ["compile", str(folder), "-o", str(tmp_path / "c"), "--lag", "7"])
    assert "#define CHAIN_LAG 7 " in (tmp_path / "c" / "chain_config.h").read_text()
    sources = {path.name for path in (tmp_path / "c").glob("tl_*.c")}
    assert "tl_online.c" in sources and "tl_decode.c" not in sources
    done = runner.invoke(app, ["compile", str(folder / "model.tflite"), "-o", str(tmp_path / "d"), "--lag", "7"])
    assert done.exit_code and "--lag 7: only the whole chain decodes rooms" in str(done.exception)
    done = runner.invoke(app, ["run", str(folder), "packets.csv", "--ram", "8K"])
    assert done.exit_code == 0 and json.loads(done.output) == {"given": [str(folder), "packets.csv"]}


def test_a_room_goes_to_the_step_that_it_is_of():
    """A segment of five steps and one of two: a window of three, a search that lags by two."""
    segment, no = np.int32([0, 0, 0, 0, 0, 1, 1]), pipeline.NO_ROOM
    rest = np.full((7, 2), no, np.int32)
    rest[4] = [1, 2]
    room = np.int32([no, no, 0, 1, 0, no, no])
    trace = pipeline.Trace(segment, np.arange(7), np.zeros((7, 1)), np.zeros((7, 1)), room, rest)
    assert chain.room_of_each_step(trace, 3, 1, 2).tolist() == [0, 1, 0, 1, 2, no, no]
    assert chain.room_of_each_step(trace, 3, 1, None).tolist() == room.tolist()
    # windows at every third step: the only one ends at step 2, and the search has seen no later one
    assert chain.inferences(segment, 3, 3).tolist() == [False, False, True, False, False, False, False]
    room[3:5] = no
    assert chain.room_of_each_step(trace, 3, 3, 2).tolist() == [0, 1, 2, no, no, no, no]
