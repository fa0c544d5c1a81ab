"""A small tree of result files, as a study leaves them, with answers that are right as often as a test asks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score

from tinyloc.device.mix import CLASSES

ROOMS = ("living", "kitchen", "hall")
SHIB = {"1": ("1-1",), "2": ("2-1", "2-2"), "3": ("3-1",), "4": ("4-1",)}
HOUSE = {"living": ("living-1", "living-2", "living-3")}
STEPS = 120  # test rows a recording


def write_result(
    root: Path,
    dataset: str,
    entry: str,
    right: float | Mapping[str, float],
    seed: int = 0,
    parameters: int | None = 1000,
) -> Path:
    """One result folder. right: share of right answers, or one by recording."""
    layout = SHIB if dataset == "shib" else HOUSE
    folder = root / "results" / dataset / entry / f"seed{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)  # of every entry alike: the same window is hard for all of them
    tables, folds = [], {}
    for fold, recordings in layout.items():
        parts = [_answers(r, right if isinstance(right, float) else right[r], rng) for r in recordings]
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table["fold"] = np.full(len(table["step"]), fold)
        tables.append(table)
        folds[fold] = _metrics(table)
        if parameters:
            _write_history(folder / f"fold-{fold}")
    arrays = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    if not parameters:
        del arrays["scores"]
    np.savez(folder / "predictions.npz", **arrays, notes="{}")
    metrics = {"rooms": ROOMS, "parameters": parameters, "folds": folds}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def write_export(folder: Path, tflite_bytes: int, arena_bytes: int) -> Path:
    """Make a result folder the folder of an export."""
    folds = json.loads((folder / "metrics.json").read_text())["folds"]
    entry = {
        "weights_bytes": tflite_bytes // 2,
        "tflite_bytes": tflite_bytes,
        "arena_bytes": arena_bytes,
        "arena_reported": arena_bytes - 100,
        "argmax_agreement": 0.98,
        "max_abs_difference": 0.5,
        "operators": {"FULLY_CONNECTED": 3},
    }
    model, kind = folder.parent.name.split(".")
    (folder / "export.json").write_text(
        json.dumps({"model": model, "kind": kind, "folds": dict.fromkeys(folds, entry)})
    )
    return folder


def write_device(
    folder: Path,
    total: int,
    limit_kb: int,
    instructions: int,
    apart: float = 0.0,
    board: tuple[str, str] = ("mps2-an386", "Cortex-M4F"),
) -> Path:
    """A run of an export on a board, which is its name and its core."""
    same = {"bit_identical": apart == 0, "max_abs_difference": apart}
    parts = {"arena": total - 1500, "state": 500, "static": 400, "stack_high_water": 600, "stack_reserved": 1024}
    report = {
        "board": board[0],
        "core": board[1],
        "ram_limit": limit_kb * 1024,
        "flash": {
            "startup": 100,
            "text": 9000,
            "rodata": 50,
            "model": 40_000,
            "data": 8,
            "total": 49_158,
            "harness": 700,
        },
        "ram": {**parts, "total": total},
        "instructions": {"min": instructions - 10, "median": instructions - 5, "max": instructions},
        "steps": [
            {
                "operators": [i],
                "name": name,
                "kernel": f"{name.lower()}_s8",
                "output": f"t{i}",
                "macs": 1000 * i,
                "instructions": {"min": share - 5, "median": share, "max": share},
            }
            for i, (name, share) in enumerate([("ADD", instructions // 4), ("CONV_2D", 3 * instructions // 4)])
        ],
        "mix": {
            **dict.fromkeys(CLASSES, 0),
            "integer": instructions // 2,
            "load": instructions // 4,
            "block": instructions // 4,
            "block_words": instructions,
        },
        "windows": 400,
        **same,
        "host": same,
        "reference": same,
        "fold": next(iter(json.loads((folder / "export.json").read_text())["folds"])),
        "key": "0" * 64,
        "provenance": {"tinyloc": "0", "libraries": {}},
    }
    path = folder / f"device-{board[0]}.json"
    path.write_text(json.dumps(report))
    return path


def _answers(recording: str, right: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    y_true = np.repeat(np.arange(len(ROOMS)), STEPS // len(ROOMS))
    wrong = rng.random(STEPS) >= right
    y_pred = np.where(wrong, (y_true + rng.integers(1, len(ROOMS), STEPS)) % len(ROOMS), y_true)
    return {
        "recording": np.full(STEPS, recording),
        "segment": np.zeros(STEPS, int),
        "step": np.arange(19, 19 + STEPS),
        "y_true": y_true,
        "y_pred": y_pred,
        "scores": (4 * np.eye(len(ROOMS))[y_pred] + rng.random((STEPS, len(ROOMS)))).astype(np.float32),
    }


def _metrics(table: Mapping[str, np.ndarray]) -> dict:
    true, predicted, labels = table["y_true"], table["y_pred"], range(len(ROOMS))
    f1 = f1_score(true, predicted, labels=labels, average=None)
    return {
        "macro_f1": f1_score(true, predicted, average="macro"),
        "accuracy": float((true == predicted).mean()),
        "n": len(true),
        "per_room_f1": dict(zip(ROOMS, f1.tolist(), strict=True)),
        "confusion": confusion_matrix(true, predicted, labels=labels).tolist(),
    }


def _write_history(folder: Path, epochs: Sequence[int] = range(1, 5)) -> None:
    folder.mkdir()
    rows = [f"{e},{1 / e},{1.1 / e},{1 - 0.5 / e},{int(e == 3)}" for e in epochs]
    header = "epoch,train_loss,validation_loss,validation_accuracy,chosen"
    (folder / "history.csv").write_text("\n".join([header, *rows]) + "\n")
