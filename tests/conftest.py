"""What several files of tests share."""

import fcntl
import shutil

import pytest
from book_project import Project

# Every stage and every kind of model, each no larger than it takes to run. `measured` stands for data that a reader
# does not have.
TINY = """\
name: tiny
seeds: [0]
datasets:
  measured: {kind: csv, folder: nowhere, gateways: [one], rooms: [kitchen, hall]}
  house: {kind: house, fingerprint_minutes: 5, fingerprint_walks: 1, living_minutes: 3, living_recordings: 2}
windows: {train_hop: 5}
models:
  forest: {family: forest, trees: 10}
  neighbours: {family: neighbours}
  teacher: {family: mdcsa, d: 16, training: &brief {epochs: 2, batch: 16, learning_rate: 0.003, patience: 2}}
  student: {family: mdcsa, d: 8, training: *brief}
  student-distilled: {family: mdcsa, d: 8, training: *brief, distillation: {teacher: teacher}}
  mamba: {family: mamba, d: 8, n_state: 4, training: *brief}
exports:
  - {model: student-distilled, kinds: [float32, int8], calibration_windows: 10}
  - {model: mamba, kinds: [float32]}
devices:
  - {model: student-distilled, kind: int8, ram_kb: 64, windows: 10}
  - {model: mamba, kind: float32, ram_kb: 32, windows: 10}
robustness: {models: [neighbours, mamba], dropped: [0, 0.5], window_lengths: [5, 20]}
"""


@pytest.fixture(scope="session")
def tiny_book(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """The real chapters over that study, built by the workflow as `make book` does; to be read, not to be changed.

    The first worker that asks builds it for all. Its stages run in this process, which saves a dozen imports of torch
    and TensorFlow; the workflow finds them done.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    project, built = Project(shared / "tiny_book"), shared / "tiny_book.built"
    with (shared / "tiny_book.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            _build(project)
            built.touch()
    return project


def _build(project: Project) -> None:
    from tinyloc.study import Study

    shutil.rmtree(project.folder, ignore_errors=True)  # what another worker failed to build
    project.take_all(TINY)
    study = Study.open(project.config, project.root, workers=1, progress=False)
    for stage, arguments in study.everything():
        stage(*arguments)
    run = project.make()
    assert run.returncode == 0, run.stdout
    assert "Train" not in run.stdout
