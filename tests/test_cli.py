"""The real command line: a user's mistake is one line on stderr and exit code 2, and never a traceback."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from tiny_model import need

from tinyloc.aot.reader import read
from tinyloc.cli import app
from tinyloc.device import toolchain

HEADER = (
    "timestamp,rssi,seqno,"
    + ",".join(f"s{i}{axis}" for i in range(1, 6) for axis in "xyz")
    + ",gateway,true_room,activity\n"
)


def tinyloc(*words: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tinyloc.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def row(second: int = 0, rssi: object = -60, gateway: str = "living", room: str = "kitchen") -> str:
    acceleration = ",".join(["0.25"] * 15)
    return f"2020-01-01 10:00:{second:02d}.000000,{rssi},{second},{acceleration},{gateway},{room},sitting\n"


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """The contract of an error: code 2, one line that holds every one of `words`."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("tinyloc: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def check(tmp_path: Path, text: str | bytes, *options: str) -> subprocess.CompletedProcess:
    path = tmp_path / "packets.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tinyloc("data", "check", path, *options)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["data"],
        ["data", "check"],
        ["data", "simulate"],
        ["data", "download"],
        ["data", "prepare"],
        ["train"],
        ["distil"],
        ["evaluate"],
        ["export"],
        ["compile"],
        ["run"],
        ["reproduce"],
        ["energy"],
        ["estimate"],
        ["reference"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(words):
    done = tinyloc(*words, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


@pytest.mark.parametrize("page", ["README.md", "data/README.md"])
def test_the_commands_of_a_page_exist_with_their_options(page):
    """Every line of a page that begins with the command, up to what is said of it after three blanks."""
    lines = (Path(__file__).parents[1] / page).read_text(encoding="utf-8").splitlines()
    said = [re.split(r"\s{3,}|\s#", line)[0].split() for line in lines]
    commands = [words[1:] for words in said if words and words[0] in ("tinyloc", ".venv/bin/tinyloc")]
    assert commands
    for words in commands:
        command = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", ()):
            command, words = command.commands[words[0]], words[1:]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for word in words:
            assert not word.startswith("-") or word in known, f"{page}: {command.name} has no {word}"


def test_good_packets_are_described(tmp_path):
    done = check(tmp_path, HEADER + row(0) + row(1, gateway="stairs") + row(2))
    assert done.returncode == 0, done.stderr
    for word in ("3 ", "living", "stairs", "kitchen"):
        assert word in done.stdout


def test_names_are_shown_as_they_are(tmp_path):
    """rich would take brackets for its markup, and stop at one that closes nothing."""
    text = HEADER + row(0, room="[/kitchen]") + row(1, room="[bold]hall") + row(2, gateway=":smile:")
    done = check(tmp_path, text)
    assert done.returncode == 0, done.stderr
    for name in ("[/kitchen]", "[bold]hall", ":smile:"):
        assert name in done.stdout


def test_seeds_and_lists_that_cannot_be(tmp_path):
    for seed in ("-1", str(2**32)):
        refused(tinyloc("train", "-d", "house", "-m", "forest", "--seed", seed), "--seed", "`tinyloc train --help`")
    refused(check(tmp_path, HEADER + row(), "--gateways", "living,living"), "'living' stands there twice")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "No such command 'nope'. See `tinyloc --help`."),
        (["train"], "Missing option '--dataset' / '-d'. See `tinyloc train --help`."),
        (["train", "--sed", "0"], "No such option: --sed"),
        (["data", "simulate", "-o", "x", "--plan", "Z"], "--plan"),
        (["compile", "a.tflite", "-o", "c", "--hop", "0"], "--hop"),
        (["run", "a", "b", "c"], "(c)"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_words_that_no_command_knows(words, said):
    refused(tinyloc(*words), said)


@pytest.mark.parametrize("words", [[], ["data"]], ids=["tinyloc", "data"])
def test_no_words_ask_for_help(words):
    done = tinyloc(*words)
    assert done.returncode == 2 and (done.stdout + done.stderr).count("Usage:") == 1


def test_missing_file(tmp_path):
    refused(tinyloc("data", "check", tmp_path / "nowhere.csv"), "nowhere.csv")


def test_missing_column(tmp_path):
    lines = (HEADER + row()).replace(",gateway", "", 1).replace(",living", "", 1)
    refused(check(tmp_path, lines), "packets.csv", "gateway")


def test_rssi_that_is_no_number(tmp_path):
    refused(check(tmp_path, HEADER + row(0) + row(1, rssi="loud")), "packets.csv", "3", "rssi", "loud")


def test_empty_recording(tmp_path):
    refused(check(tmp_path, HEADER), "packets.csv", "no packets")
    refused(check(tmp_path, b""), "packets.csv")


def test_unknown_room_and_gateway(tmp_path):
    text = HEADER + row(0) + row(1, gateway="garage") + row(2, room="attic")
    refused(check(tmp_path, text, "--gateways", "living"), "packets.csv", "3", "gateway", "garage")
    refused(check(tmp_path, text, "--rooms", "kitchen"), "packets.csv", "4", "true_room", "attic")


def test_timestamps_that_go_backwards(tmp_path):
    refused(check(tmp_path, HEADER + row(5) + row(4)), "packets.csv", "3", "timestamp", "backwards")


def test_configuration_key_that_does_not_exist(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nseeds: [0]\nsedes: [1]\ndatasets: {house: {kind: house}}\nmodels: {}\n")
    refused(tinyloc("train", "-c", path, "-d", "house", "-m", "forest"), "mine.yaml", "sedes", "seeds")


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("{m: {family: mdcsa, dd: 3}}", ("models.m.dd", "no such key")),
        ("{m: {family: mdcsa, distillation: {teacher: t}}}", ("models.m.distillation.teacher", "'t'")),
        (
            "{t: {family: mdcsa}, m: {family: mamba, train_length: 60, distillation: {teacher: t}}}",
            ("models.m.train_length", "60", "20"),
        ),
    ],
    ids=["key", "teacher", "length"],
)
def test_models_that_cannot_be(tmp_path, models, words):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nseeds: [0]\ndatasets: {{house: {{kind: house}}}}\nmodels: {models}\n")
    refused(tinyloc("train", "-c", path, "-d", "house", "-m", "m"), "mine.yaml", *words)


def test_a_configuration_that_has_no_book_says_so_at_once(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nseeds: [0]\ndatasets: {house: {kind: house}}\nmodels: {forest: {family: forest}}\n")
    refused(tinyloc("reproduce", "-c", path), "the chapters show models called", "--target results")


def test_profile_dataset_and_model_that_do_not_exist():
    refused(tinyloc("train", "-c", "quikc", "-d", "house", "-m", "forest"), "quikc", "quick")
    refused(tinyloc("train", "-d", "castle", "-m", "forest"), "castle", "house")
    refused(tinyloc("train", "-d", "house", "-m", "oracle"), "oracle", "teacher")


def test_train_and_distil_say_which_is_which():
    refused(tinyloc("train", "-d", "house", "-m", "student-distilled"), "tinyloc distil")
    refused(tinyloc("distil", "-d", "house", "-m", "student"), "tinyloc train")


def test_tflite_that_is_cut_short(tmp_path):
    whole = (Path(__file__).parent / "peers" / "mlp_i8.tflite").read_bytes()
    path = tmp_path / "short.tflite"
    path.write_bytes(whole[: len(whole) // 2])
    refused(tinyloc("compile", path, "-o", tmp_path / "c"), "short.tflite")
    assert not (tmp_path / "c").exists()


def test_ram_that_is_no_size_or_too_small(tmp_path):
    model = Path(__file__).parent / "peers" / "mlp_i8.tflite"
    refused(tinyloc("compile", model, "-o", tmp_path / "c", "--ram", "lots"), "lots", "64K")
    refused(tinyloc("compile", model, "-o", tmp_path / "c", "--ram", "64"), "64", "more than")
    assert not (tmp_path / "c").exists()


def test_compile_writes_c_and_a_report(tmp_path):
    model = Path(__file__).parent / "peers" / "mlp_i8.tflite"
    done = tinyloc("compile", model, "-o", tmp_path / "c", "--ram", "64K")
    assert done.returncode == 0, done.stderr
    for name in ("model.c", "model.h", "report.json", "report.txt"):
        assert (tmp_path / "c" / name).is_file()
    assert "FULLY_CONNECTED" in done.stdout


def test_qemu_and_cross_compiler_missing(tmp_path):
    """Only the host's own compiler is there, then the cross compiler too, but not QEMU."""
    peers = Path(__file__).parent / "peers"
    windows = tmp_path / "windows.npz"
    graph = read(peers / "mlp_i8.tflite")
    tensor = graph.tensors[graph.inputs[0]]
    inputs = np.fromfile(peers / "mlp_i8.in", np.int8).reshape(-1, *tensor.shape)
    np.savez(windows, **{tensor.name: inputs[:3]})
    programs = tmp_path / "bin"
    programs.mkdir()
    refused(
        tinyloc("run", peers / "mlp_i8.tflite", windows, PATH=str(programs)), "arm-none-eabi-gcc", "apt-get install"
    )
    for found in (p for folder in os.environ["PATH"].split(":") for p in Path(folder).glob("*")):
        link = programs / found.name
        if "qemu" not in found.name and not link.is_symlink():
            link.symlink_to(found)
    refused(tinyloc("run", peers / "mlp_i8.tflite", windows, PATH=str(programs)), "qemu-system-arm", "apt-get install")


def test_run_says_what_it_wants():
    refused(tinyloc("run"), "MODEL.tflite", "--dataset")


def own_packets(tmp_path: Path) -> Path:
    """Two people's packets from other gateways in other rooms, without accelerometer, number or activity, and the
    configuration that `tinyloc data check` wrote for them, with one epoch a network."""
    room = ["shed"] * 60 + ["loft"] * 60 + ["barn"] * 60
    rows = [
        f"2021-03-04 09:{s // 60:02d}:{s % 60:02d},{-40 - 9 * (s // 60) - s % 7},ap{s % 3},{room[s]}"
        for s in range(180)
    ]
    for name in ("zoe-1.csv", "max-1.csv"):
        (tmp_path / name).write_text("\n".join(["timestamp,rssi,gateway,true_room", *rows]) + "\n")
    written = tinyloc("data", "check", tmp_path, "--write-config", tmp_path / "my.yaml")
    assert written.returncode == 0, written.stderr
    for word in ("No accelerometer", "ap2", "barn", "2 folds (max, zoe)"):
        assert word in written.stdout
    config = tmp_path / "my.yaml"
    config.write_text(re.sub(r"epochs: \d+", "epochs: 1", config.read_text()))
    return config


@pytest.mark.slow
def test_own_packets_from_check_to_a_score_from_the_command_line_alone(tmp_path):
    """Files, a configuration, a model, its score: by windows of the length that the model was trained for."""
    config = own_packets(tmp_path)
    config.write_text(re.sub(r"length: \d+", "length: 12", config.read_text()))
    trained = tinyloc("train", "-c", config, "-d", "my", "-m", "mamba", "--root", tmp_path / "build", "--workers", "1")
    assert trained.returncode == 0, trained.stderr
    assert "fold zoe" in trained.stdout
    model = tmp_path / "build" / "results" / "my" / "mamba" / "seed0" / "fold-zoe" / "model.pt"
    scored = tinyloc("evaluate", model, tmp_path / "zoe-1.csv")
    assert scored.returncode == 0, scored.stderr
    assert "169 windows" in scored.stdout and "barn: F1" in scored.stdout


@pytest.mark.slow
def test_own_packets_reach_a_board_from_the_command_line_alone(tmp_path):
    """Teacher, distilled student, int8, C, and a Cortex-M that says the room of every step, from `my.yaml` on."""
    need(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    config, root = own_packets(tmp_path), tmp_path / "build"
    which = ("-c", config, "-d", "my", "-m", "student-distilled", "-k", "int8", "--root", root, "--workers", "1")
    exported = tinyloc("export", *which)
    assert exported.returncode == 0, exported.stderr
    assert "fold max" in exported.stdout and (root / "results" / "my" / "teacher" / "seed0" / "metrics.json").is_file()
    folder = root / "results" / "my" / "student-distilled.int8" / "seed0" / "fold-zoe"
    compiled = tinyloc("compile", folder, "-o", tmp_path / "c", "--ram", "64K", "--lag", "5")
    assert compiled.returncode == 0, compiled.stderr
    ran = tinyloc("run", folder, tmp_path / "zoe-1.csv", "--ram", "64K", "--lag", "5", "--out", tmp_path / "rooms.csv")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["ram"]["total"] <= 64 * 1024
    said = (tmp_path / "rooms.csv").read_text().splitlines()
    assert len(said) > 100 and {line.split(",")[-1] for line in said[1:]} <= {"shed", "loft", "barn", ""}


def test_download_of_nothing_known_and_from_nowhere(tmp_path):
    refused(tinyloc("data", "download", "shub"), "shub", "shib, sphere")
    nowhere = "http://127.0.0.1:9"
    refused(tinyloc("data", "download", "shib", "--into", tmp_path, "--url", nowhere), nowhere, "broke off")


@pytest.mark.slow
def test_simulated_packets_pass_their_own_check(tmp_path):
    done = tinyloc("data", "simulate", "-o", tmp_path, "--seed", "3")
    assert done.returncode == 0, done.stderr
    for path in sorted(tmp_path.glob("*.csv"))[:1]:
        assert tinyloc("data", "check", path).returncode == 0
