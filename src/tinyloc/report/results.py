"""Result folders as tidy tables, one observation a row. Plain JSON, NPZ and CSV: no torch, no tensorflow.

A result folder is `results/<dataset>/<entry>/seed<k>`. An *entry* is a line of the book's tables: a model (`teacher`),
or one of its exports (`student-distilled.int8`). Every function takes the folders that `Study.fit` and `Study.export`
return and puts `dataset`, `entry` and `seed` first. All scores are fractions, 0 … 1.

A file that is not there is an InputError that names it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from tinyloc.config import ExportKind
from tinyloc.data.features import Steps
from tinyloc.errors import InputError
from tinyloc.evaluation import conditions, delay, statistics
from tinyloc.files import read_json
from tinyloc.training.predictions import ALWAYS, read_predictions, require_columns

ROBUSTNESS = (
    "dataset", "entry", "kind", "value", "reference", "macro_f1", "low", "high", "lost", "lost_low", "lost_high",
)  # fmt: skip


def kind(entry: str) -> str | None:
    """How an entry was exported: `student.int8` -> `int8`; None for a model as it was trained."""
    last = entry.rpartition(".")[2]
    return last if "." in entry and last in get_args(ExportKind) else None


def original(entry: str) -> str:
    """The model that an entry is, or was exported from: `student.int8` -> `student`."""
    return entry.removesuffix(f".{kind(entry)}")


@dataclass(frozen=True)
class Key:
    """Which result a folder holds."""

    dataset: str
    entry: str
    seed: int

    @classmethod
    def of(cls, folder: Path) -> "Key":
        dataset, entry, seed = folder.parts[-3:]
        return cls(dataset, entry, int(seed.removeprefix("seed")))


def folds(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a fold: fold, n (test rows), macro_f1, accuracy, parameters (None where a model has no weights)."""

    def rows(folder: Path) -> list[dict]:
        metrics = _json(folder / "metrics.json")
        return [
            {
                "fold": fold,
                "n": scores["n"],
                "macro_f1": scores["macro_f1"],
                "accuracy": scores["accuracy"],
                "parameters": metrics["parameters"],
            }
            for fold, scores in metrics["folds"].items()
        ]

    return _gather(folders, rows)


def confusion(folders: Iterable[Path]) -> pd.DataFrame:
    """Counts summed over the folds of all `folders` [R, R]: true room down, predicted room across."""
    metrics = [_json(folder / "metrics.json") for folder in folders]
    names = metrics[0]["rooms"]
    total = sum(np.asarray(scores["confusion"]) for m in metrics for scores in m["folds"].values())
    return pd.DataFrame(total, index=pd.Index(names, name="true"), columns=pd.Index(names, name="predicted"))


def histories(folders: Iterable[Path]) -> pd.DataFrame:
    """One row an epoch: fold, epoch, train_loss, validation_loss, validation_accuracy, chosen."""

    def rows(folder: Path) -> list[dict]:
        return [
            {"fold": fold, **epoch}
            for fold in _json(folder / "metrics.json")["folds"]
            for epoch in _csv(folder / f"fold-{fold}" / "history.csv").to_dict("records")
        ]

    return _gather(folders, rows)


def predictions(folder: Path) -> pd.DataFrame:
    """One row a test window: fold, recording, segment, step (its last), y_true, y_pred (indices into the rooms).

    Raises InputError: see `require_columns`.
    """
    path = folder / "predictions.npz"
    with _npz(path) as arrays:
        require_columns(path, arrays)
        return pd.DataFrame({name: arrays[name] for name in ("fold", *ALWAYS)})


def scores(folder: Path) -> np.ndarray:
    """The model's output for every row of `predictions` [N, R] float32: logits, before the CRF and any softmax.

    Raises InputError: the model keeps none (forest, neighbours).
    """
    return _by_room(folder, "scores", "only neural models leave them")


def probabilities(folder: Path) -> np.ndarray:
    """What the model says is the probability of each room, for every row of `predictions` [N, R] float32.

    Raises InputError: the model gives none (forest, neighbours).
    """
    return _by_room(folder, "probability", "not every model gives them")


def _by_room(folder: Path, name: str, why: str) -> np.ndarray:
    with _npz(folder / "predictions.npz") as arrays:
        if name not in arrays:
            raise InputError(f"{folder / 'predictions.npz'}: holds no {name}; {why}")
        return arrays[name]


def delays(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a change of room in the test part: unit, crossed (whether the units are recordings of one fold), wait
    (steps until the new room was said, inf: never).

    What a unit is: `tinyloc.evaluation.statistics`; what a wait is: `tinyloc.evaluation.delay`.
    """

    def rows(folder: Path) -> list[dict]:
        table = predictions(folder)
        unit = statistics.labels_of(table["fold"].tolist(), table["recording"].tolist())
        changed, waited = delay.delays(*(table[name].to_numpy() for name in ALWAYS))
        crossed = table["fold"].nunique() == 1
        return [{"unit": u, "crossed": crossed, "wait": w} for u, w in zip(unit[changed], waited, strict=True)]

    return _gather(folders, rows, columns=("unit", "crossed", "wait"))


def restlessness(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a dataset, entry and seed: said and was (changes of the answer and of the true room), steps (over which).

    What they are: `tinyloc.evaluation.delay`.
    """

    def rows(folder: Path) -> list[dict]:
        table = predictions(folder)
        found = delay.restlessness(*(table[name].to_numpy() for name in ALWAYS))
        return [dict(zip(("said", "was", "steps"), found, strict=True))]

    return _gather(folders, rows)


def robustness(paths: Iterable[Path]) -> pd.DataFrame:
    """One row a condition, over all seeds, with the columns ROBUSTNESS.

    paths: of `Study.robustness`. What the conditions are: `tinyloc.evaluation.conditions`.
    """
    rows = []
    for (dataset, entry), found in disturbed(paths).items():
        told = conditions.summary(found.runs, found.asked, found.n_rooms)
        rows += [{"dataset": dataset, "entry": entry, **_flat(condition)} for condition in told]
    return pd.DataFrame(rows, columns=ROBUSTNESS)


@dataclass(frozen=True)
class Disturbed:
    """The answers of one entry on one data set under every condition that was asked for, a run a seed."""

    asked: list[conditions.Condition]
    runs: list[conditions.Answers]
    n_rooms: int


def disturbed(paths: Iterable[Path]) -> dict[tuple[str, str], Disturbed]:
    """By data set and entry. paths: of `Study.robustness`."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        key = Key.of(path.parent)
        groups.setdefault((key.dataset, key.entry), []).append(path)
    return {key: _disturbed(seeds) for key, seeds in groups.items()}


def _disturbed(seeds: Sequence[Path]) -> Disturbed:
    metrics = _json(seeds[0].parent / "metrics.json")
    return Disturbed(
        [conditions.Condition(c["kind"], c["value"]) for c in _json(seeds[0])["conditions"]],
        [{n: read_predictions(p.parent / f"fold-{n}" / "robustness.npz") for n in metrics["folds"]} for p in seeds],
        len(metrics["rooms"]),
    )


def _flat(condition: dict) -> dict:
    score, lost = condition["macro_f1"], condition["lost"]
    return {
        "kind": condition["kind"],
        "value": condition["value"],
        "reference": condition["reference"],
        "macro_f1": score["mean"],
        "low": score["low"],
        "high": score["high"],
        "lost": lost["mean"],
        "lost_low": lost["low"],
        "lost_high": lost["high"],
    }


def least_certain(folder: Path) -> np.ndarray:
    """The scores [R] of the test window of which the model is least sure: the smallest lead of the best room."""
    found = scores(folder)
    second, first = np.sort(found, axis=1)[:, -2:].T
    return found[np.argmin(first - second)]


def timeline(folder: Path, steps: Sequence[Steps]) -> pd.DataFrame:
    """The recording that went worst, in time order: recording, minute (since its start), y_true, y_pred.

    steps: the data set's, as `Study.prepared` gives them.
    """
    table = predictions(folder)
    right = table["y_true"].eq(table["y_pred"]).groupby(table["recording"], sort=False).mean()
    recording = next(s for s in steps if s.recording == right.idxmin())
    rows = table[table["recording"] == recording.recording].sort_values("step")
    time = recording.time[np.searchsorted(recording.step, rows["step"])]
    return rows.assign(minute=(time - recording.time[0]) / np.timedelta64(1, "m")).reset_index(drop=True)


def score_files(folders: Iterable[Path]) -> list[Path]:
    """The files that scores and comparisons are made from."""
    return [folder / name for folder in folders for name in ("metrics.json", "predictions.npz")]


def history_files(folders: Iterable[Path]) -> list[Path]:
    """The files that `histories` reads."""
    return [f / f"fold-{fold}" / "history.csv" for f in folders for fold in _json(f / "metrics.json")["folds"]]


def exports(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a fold of an export: fold, three sizes in bytes, argmax_agreement, max_abs_difference. The arena is NaN
    where a kind is not for TFLite Micro."""
    columns = ("weights_bytes", "tflite_bytes", "arena_bytes", "argmax_agreement", "max_abs_difference")

    def rows(folder: Path) -> list[dict]:
        return [
            {"fold": fold, **{name: np.nan if entry[name] is None else entry[name] for name in columns}}
            for fold, entry in _json(folder / "export.json")["folds"].items()
        ]

    return _gather(folders, rows)


def noise(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a fold and tensor of an export to integers, in order of execution: fold, order, tensor, operator, type,
    values, snr_db (dB, against the float graph)."""

    def rows(folder: Path) -> list[dict]:
        tables = {f: pd.read_csv(folder / f"fold-{f}" / "errors.csv") for f in _json(folder / "export.json")["folds"]}
        return [
            {"fold": fold, "order": order, **row}
            for fold, table in tables.items()
            for order, row in enumerate(table.to_dict("records"))
        ]

    return _gather(folders, rows)


def devices(reports: Iterable[Path]) -> pd.DataFrame:
    """One row a run on a board, from the files `Study.on_device` returns; nested parts become `ram.arena` and so on.

    `label` is the entry, with its core where the entry ran on several: what a page tells runs apart by.
    """

    def rows(path: Path) -> list[dict]:
        report = {name: part for name, part in _json(path).items() if name not in ("provenance", "steps")}
        return pd.json_normalize(report).to_dict("records")

    return _labelled(_gather(reports, rows, of=lambda path: Key.of(path.parent), columns=("core",)))


def device_steps(reports: Iterable[Path]) -> pd.DataFrame:
    """One row a step (a kernel call) of an inference on a board, in the order of execution, from the same files.

    Columns: core, label (as `devices` has it), operators, name, kernel, output, macs, instructions.min, .median, .max.
    """

    def rows(path: Path) -> list[dict]:
        report = _json(path)
        return [{"core": report["core"], **step} for step in pd.json_normalize(report["steps"]).to_dict("records")]

    return _labelled(_gather(reports, rows, of=lambda path: Key.of(path.parent), columns=("core",)))


def _labelled(runs: pd.DataFrame) -> pd.DataFrame:
    several = runs.groupby(["dataset", "entry"])["core"].transform("nunique") > 1
    return runs.assign(label=runs["entry"].where(~several, runs["entry"] + " (" + runs["core"] + ")"))


def _gather(
    paths: Iterable[Path],
    rows: Callable[[Path], list[dict]],
    of: Callable[[Path], Key] = Key.of,
    columns: Sequence[str] = (),
) -> pd.DataFrame:
    """columns: what a table without a row has to have all the same. The rows of a data set come together."""
    found = [{**vars(of(path)), **row} for path in paths for row in rows(path)]
    named = list(dict.fromkeys(row["dataset"] for row in found))
    found.sort(key=lambda row: named.index(row["dataset"]))
    return pd.DataFrame(found) if found else pd.DataFrame(columns=["dataset", "entry", "seed", *columns])


def _present(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such result; compute it with `tinyloc reproduce`")
    return path


def _json(path: Path) -> dict:
    return read_json(_present(path))


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(_present(path))


def _npz(path: Path) -> np.lib.npyio.NpzFile:
    return np.load(_present(path), allow_pickle=False)
