"""`tinyloc train`, killed again and again: the answers and weights are those of a run that was left alone."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tinyloc import cli
from tinyloc.config import HouseData
from tinyloc.data.packets import write_csv
from tinyloc.data.simulate import simulate
from tinyloc.files import read_json

pytestmark = pytest.mark.slow

STUDY = """\
name: killed
seeds: [0]
datasets:
  flat: {kind: csv, folder: flat, gateways: GATEWAYS, rooms: ROOMS}
windows: {train_hop: 3}
models:
  teacher: {family: mdcsa, d: 8, training: {epochs: 20, batch: 16, learning_rate: 0.01, acc_shift: 0.1}}
  endless: {family: mdcsa, d: 8, training: {epochs: 2000, batch: 16, patience: 2000}}
"""
KILLS = 10


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study of two people in a simulated house, from CSV files; nothing of it is prepared."""
    folder = tmp_path_factory.mktemp("killed")
    house = simulate("house", HouseData(kind="house", fingerprint_minutes=2, living_minutes=1, living_recordings=1))
    for person, recording in zip(("ada", "ben"), house.recordings, strict=False):
        write_csv(folder / "flat" / f"{person}.csv", recording.packets)
    names = {"GATEWAYS": house.gateways, "ROOMS": house.rooms}
    text = STUDY
    for name, values in names.items():
        text = text.replace(name, f"[{', '.join(values)}]")
    (folder / "study.yaml").write_text(text)
    return folder


def command(study: Path, root: str, model: str = "teacher") -> list[str]:
    options = ["--config", str(study / "study.yaml"), "--root", str(study / root), "--workers", "1"]
    return ["train", "--dataset", "flat", "--model", model, *options]


def tinyloc(arguments: list[str]) -> None:
    """What the installed program does, in a process that has imported torch already."""
    sys.argv = ["tinyloc", *arguments]
    cli.main()


@pytest.fixture(scope="module")
def processes():
    """A process that has imported torch and makes others like it: ten starts for the price of one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tinyloc.cli", "tinyloc.training.run", "joblib", "rich.progress"])
    return context


def results(study: Path, root: str) -> dict:
    folder = study / root / "results" / "flat" / "teacher" / "seed0"
    found = {"metrics": read_json(folder / "metrics.json")}
    for fold in found["metrics"]["folds"]:
        path = folder / f"fold-{fold}"
        assert sorted(p.name for p in path.iterdir()) == ["history.csv", "model.pt", "predictions.npz"]
        state = torch.load(path / "model.pt", weights_only=True)["state_dict"]
        found[fold] = torch.cat([t.flatten() for t in state.values()]).numpy().tobytes()
        found[fold, "history"] = (path / "history.csv").read_text()
    return found


def test_ten_kills_at_random_moments_change_nothing(study, processes):
    """A run that ends before its kill is compared, and the next begins from nothing, until ten were killed."""

    def start(root: str) -> multiprocessing.Process:
        run = processes.Process(target=tinyloc, args=(command(study, root),))
        run.start()
        return run

    def half_trained(root: str) -> bool:
        return any((study / root).rglob("training.pt"))

    start("first").join()  # imports torch; the next start is as fast as all that follow
    began = time.perf_counter()
    start("alone").join()
    duration = time.perf_counter() - began
    expected = results(study, "alone")
    rng = np.random.default_rng(0)
    kills, halfway, ended = 0, 0, 0
    while kills < KILLS or not ended:
        root = f"killed-{ended}"
        run = start(root)
        while kills % 2 and run.is_alive() and not half_trained(root):
            time.sleep(0.01)  # every other kill waits for an epoch, however busy the machine is
        run.join(duration * rng.uniform(0.0, 0.4) if kills < KILLS else None)
        if run.exitcode is None:
            run.kill()
            run.join()
            assert run.exitcode == -signal.SIGKILL
            kills += 1
            halfway += half_trained(root)
            continue
        assert run.exitcode == 0 and results(study, root) == expected
        ended += 1
    assert halfway >= KILLS // 3


def test_ctrl_c_leaves_one_line_and_a_checkpoint_to_go_on_from(study):
    run = subprocess.Popen(
        [sys.executable, "-m", "tinyloc.cli", *command(study, "stopped", "endless")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # whoever runs the tests in the background of a shell hands down that SIGINT is ignored
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while run.poll() is None and not list((study / "stopped").rglob("training.pt")):
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # the terminal tells all processes of the command
    said = run.communicate()[1]
    assert run.returncode == 130
    assert "Traceback" not in said and said.splitlines()[-1].startswith("tinyloc: stopped")
    assert list((study / "stopped").rglob("training.pt"))
