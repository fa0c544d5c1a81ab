"""Exports of the reference models: file, weights and arena of every kind, and how often its best room is PyTorch's.

The reference: windows of 20 steps, 8 access points, 6 accelerometer features, 7 rooms. Weights are those of a seeded
initialisation, moved at random: sizes hardly depend on them (which tensors a mixed model widens does). Agreement on
random inputs shows that the graphs are right; of trained models on real windows it is in the results of the study.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks import Table
from tinyloc.config import ExportKind, Features, MambaModel, MdcsaModel, Model
from tinyloc.data.windows import Scaler
from tinyloc.errors import InputError
from tinyloc.export import agreement, arena, desktop, flatbuffer, kinds
from tinyloc.export.calibration import Calibration
from tinyloc.models import registry
from tinyloc.training.checkpoint import Trained

N_AP, N_ACC, N_ROOMS, N_STEPS = 8, 6, 7, 20
KB = 1024
MODELS: dict[str, Model] = {
    "MDCSA d=16": MdcsaModel(family="mdcsa", d=16),
    "MDCSA d=32": MdcsaModel(family="mdcsa", d=32),
    "Mamba d=16": MambaModel(family="mamba", d=16, n_state=8),
    "Mamba d=16, window": MambaModel(family="mamba", d=16, n_state=8, form="window"),
}
TO_BEAT = {("MDCSA d=16", "int8"): (60, 30), ("MDCSA d=32", "int8"): (150, 38), ("Mamba d=16", "float32"): (18, 13)}
"""File and arena, KB."""


def run() -> Table:
    """Measure every model and kind."""
    note = "ratio: the limit over what is needed, of file or arena the smaller; at least 1 where there is a limit"
    return Table("Exports of the reference models (bytes)", note, [*rows()])


def rows() -> Iterator[dict]:
    """One row a model and kind; without sizes where its runtime refuses it, with the operator it names."""
    rng = np.random.default_rng(0)
    for name, config in MODELS.items():
        one = initial(config)
        streams = one.model.streams
        seen, test = (inputs(rng, 4, 60) if streams else inputs(rng, 60, N_STEPS) for _ in range(2))
        for kind in kinds.AVOID:
            if kind == "int8-aware":  # the graph and the sizes of int8
                continue
            try:
                found, _ = measured(one, kind, seen, test, streams)
            except InputError as error:
                found = {"refused": re.search(r"Node (\w+)", str(error)).group(1)}
            yield _row(name, kind, found)


def _row(name: str, kind: ExportKind, found: dict) -> dict:
    sizes = ("tflite", "weights", "arena", "operators", "agreement", "refused")
    ratio = None
    if limits := TO_BEAT.get((name, kind)):
        ratio = min(limit * KB / found[part] for limit, part in zip(limits, ("tflite", "arena"), strict=True))
    row = {part: found.get(part) for part in sizes}
    return {"model": f"{name} {kind}", **row, "ratio": ratio, "at least": 1.0 if limits else None}


def initial(config: Model, by: float = 0.2, with_acc: bool = True) -> Trained:
    """A network of seeded weights, moved at random by about `by`; with or without accelerometer columns."""
    n_acc = N_ACC if with_acc else 0
    model = registry.build(config, N_AP, n_acc, N_ROOMS, seed=0).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    unit = (np.zeros(N_AP), np.ones(N_AP), np.zeros(n_acc), np.ones(n_acc))
    rooms = tuple(f"room {i}" for i in range(N_ROOMS))
    return Trained(model, config, Scaler(*unit), tuple(f"gateway {i}" for i in range(N_AP)), rooms, Features(), N_STEPS)


def inputs(rng: np.random.Generator, n: int, n_steps: int) -> dict[str, np.ndarray]:
    """N windows, or streams of their own: rssi [N, T, n_ap] and acc [N, T, n_acc]."""
    return {
        "rssi": rng.random((n, n_steps, N_AP), np.float32),
        "acc": rng.random((n, n_steps, N_ACC), np.float32),
    }


def measured(
    one: Trained, kind: ExportKind, seen: dict[str, np.ndarray], test: dict[str, np.ndarray], streams: bool
) -> tuple[dict, agreement.Agreement]:
    """What an export takes, and how it agrees with PyTorch. seen, test: of `inputs`.

    Raises InputError: its runtime does not take it.
    """
    test = test | {"acc": test["acc"][..., : one.n_acc]}
    calibration = Calibration([], seen | {"acc": seen["acc"][..., : one.n_acc]})
    if streams:
        n, n_steps = seen["rssi"].shape[:2]
        along = {name: values.swapaxes(0, 1) for name, values in calibration.inputs.items()}
        calibration = Calibration([], along, [n_steps] * n)
    made = kinds.make(one, N_STEPS, kind, calibration, "min-max")
    with torch.no_grad():
        reference = one.model(*(torch.from_numpy(test[name]) for name in ("rssi", "acc"))).numpy()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(flatbuffer.pack(made.model))
        tflm = desktop.load(path, kind)
        fed = {name: test[name] for name in kinds.input_names(one)}
        records, reset = _records(fed) if streams else (fed, None)
        scores = tflm.dequantise(tflm.run(tflm.quantise(records), reset))["scores"]
        found = agreement.compare(scores.reshape(reference.shape), reference)
        micro = desktop.runtime(kind) == desktop.MICRO
        sizes = {
            "tflite": path.stat().st_size,
            "weights": flatbuffer.weights_bytes(made.model),
            "arena": arena.measure(path).needed if micro else None,
            "operators": len(flatbuffer.graph(made.model).operators),
            "agreement": found.argmax,
        }
        return sizes, found


def _records(test: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    n, n_steps = next(iter(test.values())).shape[:2]
    return {k: v.reshape(n * n_steps, -1) for k, v in test.items()}, np.arange(n * n_steps) % n_steps == 0
