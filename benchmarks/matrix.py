"""Every MDCSA and Mamba of the project in every kind of export: converted, run in TFLite Micro, compared with PyTorch.

Widths 8 to 256 and 8 to 64, one or two modalities and layers, RSSI as it is and in pieces, Mamba step by step and by
windows. Each is first taught to tell seven rooms apart by their own levels and postures: rooms that an untrained
network prefers by nothing but chance are nearly ties, among which rounding decides.

It takes long, so it runs when it is named alone, and rows that are there, of the same code, are not measured again.
Some are among the slow tests.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks import Table
from benchmarks.export import N_ACC, N_AP, N_ROOMS, N_STEPS, initial, measured
from tinyloc import provenance
from tinyloc.config import ExportKind, MambaModel, MdcsaModel, Modality, Model, Training
from tinyloc.data.windows import Windows
from tinyloc.errors import InputError
from tinyloc.export import agreement, kinds
from tinyloc.files import write_json
from tinyloc.training.checkpoint import Trained
from tinyloc.training.fit import fit

MDCSA_WIDTHS, MAMBA_WIDTHS = (8, 16, 32, 64, 128, 256), (8, 16, 32, 64)
MODALITIES: tuple[list[Modality], ...] = (["rssi", "acc"], ["rssi"], ["acc"])
KINDS: tuple[ExportKind, ...] = tuple(kind for kind in kinds.AVOID if kind != "int8-aware")  # the graph of int8
PIECES = 10
"""`rssi_bins` of every second MDCSA that sees RSSI."""
N_TAUGHT, N_SEEN, N_TEST = 512, 20, 20
STREAM = 60
"""Steps of a recording in which a Mamba with a state is tried."""
TRAINING = Training(batch=32, learning_rate=0.01, schedule="cosine", device="cpu")
CODE = ("models", "training", "export", "config.py")
ROWS = Path(__file__).parents[1] / "build" / "bench" / "matrix"


def run() -> Table:
    """Export every model in every kind."""
    note = "ratio: 1 where the export is accepted, 0 where it is refused or is another function"
    found = [row for item in track([*models().items()], "exports") for row in _kept(*item)]
    return Table("Every export, compared with PyTorch", note, found)


def models() -> dict[str, Model]:
    """All of them, by name."""
    found: dict[str, Model] = {}
    for d in MDCSA_WIDTHS:
        for seen in MODALITIES:
            for bins in (0, PIECES) if "rssi" in seen else (0,):
                name = f"MDCSA d={d} {'+'.join(seen)}{', in pieces' * (bins > 0)}"
                found[name] = MdcsaModel(family="mdcsa", d=d, modalities=seen, rssi_bins=bins)
    for d in MAMBA_WIDTHS:
        for layers in (1, 2):
            for with_acc in (True, False):
                name = f"Mamba d={d} {'rssi+acc' if with_acc else 'rssi'}, {layers} layer{'s' * (layers > 1)}"
                found[name] = MambaModel(family="mamba", d=d, n_state=8, layers=layers)
                found[f"{name}, window"] = MambaModel(family="mamba", d=d, n_state=8, layers=layers, form="window")
    return found


def rows(name: str, config: Model, asked: Iterable[ExportKind] = KINDS) -> Iterator[dict]:
    """One row a kind: whether it was accepted and what it takes."""
    one, accuracy = taught(config, with_acc="acc" in name)
    streams = one.model.streams
    length = STREAM if streams else N_STEPS
    seen, test = (_inputs(toy_windows(n, length, seed)) for n, seed in ((N_SEEN, 3), (N_TEST, 4)))
    for kind in asked:
        yield {"model": f"{name} {kind}", "accuracy": accuracy, **_row(one, kind, seen, test, streams)}


def taught(config: Model, with_acc: bool) -> tuple[Trained, float]:
    """A network that tells the rooms apart, and how often it is right at the last step of windows it has not seen."""
    one = initial(config, by=0, with_acc=with_acc)
    train, validation = (toy_windows(n, N_STEPS, seed, with_acc) for n, seed in ((N_TAUGHT, 1), (N_TAUGHT // 4, 2)))
    epochs = max(12, 320 // config.d)  # narrow ones learn slowly, and cost little
    training = TRAINING.model_copy(update={"epochs": epochs})
    return one, max(epoch.validation_accuracy for epoch in fit(one.model, train, validation, training, seed=0))


def toy_windows(n: int, length: int, seed: int, with_acc: bool = True) -> Windows:
    """Windows of somebody who changes rooms after 4 to 15 steps; each has its levels and its posture, with noise."""
    worlds, rng = np.random.default_rng(0), np.random.default_rng(seed)
    level, posture = worlds.uniform(0.1, 0.9, (N_ROOMS, N_AP)), worlds.uniform(0.1, 0.9, (N_ROOMS, N_ACC))
    room = np.stack([_walk(rng, length) for _ in range(n)])
    rssi, acc = (
        np.clip(of[room] + 0.1 * rng.standard_normal((*room.shape, of.shape[1])), 0, 1) for of in (level, posture)
    )
    return Windows(
        rssi=rssi.astype(np.float32),
        acc=acc.astype(np.float32)[..., : N_ACC * with_acc],
        room=room,
        recording=np.full(n, "toy"),
        segment=np.zeros(n, np.int64),
        step=np.arange(n),
    )


def _walk(rng: np.random.Generator, length: int) -> np.ndarray:
    stays = rng.integers(4, 16, length)
    return np.repeat(rng.integers(N_ROOMS, size=length), stays)[:length]


def _inputs(windows: Windows) -> dict[str, np.ndarray]:
    return {"rssi": windows.rssi, "acc": windows.acc}


def _row(one: Trained, kind: ExportKind, seen: dict, test: dict, streams: bool) -> dict:
    problem = None
    try:
        found, same = measured(one, kind, seen, test, streams)
        agreement.require(same, kind, "it")
    except InputError as error:
        found, problem = {}, str(error)
    sizes = {name: found.get(name) for name in ("tflite", "arena", "operators", "agreement")}
    return {**sizes, "problem": problem, "ratio": float(problem is None), "at least": 1.0}


def _kept(name: str, config: Model) -> list[Mapping]:
    """The rows of a model: those on disk, if they are of this code, else new ones."""
    sources = (Path(__file__).parent / file for file in ("matrix.py", "export.py"))
    code = provenance.sha256(provenance.code_digest(*CODE).encode(), *(file.read_bytes() for file in sources))
    path = ROWS / f"{name}.json"
    if path.is_file() and (kept := json.loads(path.read_text()))["code"] == code:
        return kept["rows"]
    found = [*rows(name, config)]
    write_json(path, {"code": code, "rows": found})
    return found
