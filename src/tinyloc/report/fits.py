"""Which model fits: for each memory that the study speaks of, the most accurate of the models that fit it, by runtime.

What "fits" counts is that of `report.budget`: with weights in flash, RAM holds the arena of TFLite Micro, or all
static data and the stack of the compiled program; with all in RAM, the `.tflite` or the whole program comes on top.
The answers come from the reader's own run and from the reference runs of several seeds, each under its name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.files import read_json
from tinyloc.report import comparison, kinds, reference, results, tables
from tinyloc.report.numbers import KB, counted, kilobytes, percent

TFLM, COMPILED = "TFLite Micro", "compiled"
OWN = "this run"
COLUMNS = (
    *("source", "dataset", "entry", "family", "kind", "macro_f1", "low", "high"),
    *("runtime", "flash", "ram"),
)


@dataclass(frozen=True)
class Question:
    """Is there a model of a family, in one of these kinds, within `limit_kb`?"""

    text: str
    family: str
    kinds: tuple[str, ...]
    limit_kb: int
    weights_in_flash: bool

    def taken(self, found: pd.DataFrame) -> pd.Series:
        """The bytes that count."""
        return found["ram"] if self.weights_in_flash else found["ram"] + found["flash"]


QUESTIONS = (
    Question("int8 transformer in 64 KB with its weights", "mdcsa", ("int8", "int8-aware"), 64, False),
    Question("int8 transformer in 32 KB of RAM, weights in flash", "mdcsa", ("int8", "int8-aware"), 32, True),
    Question("int8 transformer in 32 KB with its weights", "mdcsa", ("int8", "int8-aware"), 32, False),
    Question("float32 Mamba in 32 KB with its weights", "mamba", ("float32",), 32, False),
)


def own(exported: Sequence[Path], on_device: Sequence[Path]) -> pd.DataFrame:
    """The reader's exports, a row each runtime, with the columns COLUMNS; bytes, of folds and seeds the most.

    exported: of `Study.export`; on_device: of `Study.on_device`. flash: of the `.tflite`, or of the whole program.
    """
    if not exported:
        return pd.DataFrame(columns=COLUMNS)
    summary = comparison.summary(exported).set_index(["dataset", "entry"])
    families = {
        (key.dataset, key.entry): read_json(folder / "config.json")["model"]["family"]
        for folder in exported
        for key in [results.Key.of(folder)]
    }
    parts = [(TFLM, results.exports(exported), "tflite_bytes", "arena_bytes")]
    parts += [(COMPILED, results.devices(on_device), "flash.total", "ram.total")] if on_device else []
    rows = []
    for runtime, sizes, flash, ram in parts:
        for key, part in sizes.groupby(["dataset", "entry"], sort=False):
            score = {name: summary.loc[key, name] for name in ("macro_f1", "low", "high")}
            taken = {"runtime": runtime, "flash": part[flash].max(), "ram": part[ram].max()}
            rows.append(_candidate(OWN, *key, families[key], score, taken))
    return pd.DataFrame(rows, columns=COLUMNS)


def kept(profile: str = kinds.PROFILE) -> pd.DataFrame:
    """The exports among the references of a profile, as `own` gives the reader's."""
    rows = []
    for path in reference.files(profile):
        if results.kind(path.stem) is None:
            continue
        one = read_json(path)
        export, compiled = one["export"], one["export"].get("compiled")
        source = f"reference, {counted(len(one['seeds']), 'seed')}, commit {one['provenance']['commit']}"
        score = {"macro_f1": one["macro_f1"]["mean"], "low": one["macro_f1"]["low"], "high": one["macro_f1"]["high"]}
        key = (source, one["dataset"], one["entry"], one["model"]["family"], score)
        rows.append(_candidate(*key, {"runtime": TFLM, "flash": export["tflite_bytes"], "ram": export["arena_bytes"]}))
        if compiled:
            taken = {"runtime": COMPILED, "flash": compiled["flash_bytes"], "ram": compiled["ram_bytes"]}
            rows.append(_candidate(*key, taken))
    return pd.DataFrame(rows, columns=COLUMNS)


def _candidate(source: str, dataset: str, entry: str, family: str, score: dict, taken: dict) -> dict:
    numbers = {name: np.nan if value is None else value for name, value in {**score, **taken}.items()}
    return {
        "source": source, "dataset": dataset, "entry": entry, "family": family, "kind": results.kind(entry), **numbers,
    }  # fmt: skip


def answers(candidates: pd.DataFrame) -> pd.DataFrame:
    """A row a question, data set, runtime and kind of source: the columns COLUMNS of the most accurate candidate that
    fits, else of the smallest; and question, limit_kb, taken (bytes), fits.

    candidates: of `own` and `kept`, one after the other. Where there is no candidate at all, there is no row.
    """
    rows = []
    for question in QUESTIONS:
        able = candidates[(candidates["family"] == question.family) & candidates["kind"].isin(question.kinds)]
        able = able.assign(taken=question.taken(able)).dropna(subset=["taken"])
        able = able.assign(fits=able["taken"] <= question.limit_kb * KB, is_own=able["source"] == OWN)
        for _, part in able.groupby(["dataset", "runtime", "is_own"], sort=False):
            fitting = part[part["fits"]]
            best = part["taken"].idxmin() if fitting.empty else fitting["macro_f1"].idxmax()
            rows.append({"question": question.text, "limit_kb": question.limit_kb, **part.loc[best].to_dict()})
    columns = ["question", "limit_kb", *COLUMNS, "taken", "fits"]
    return pd.DataFrame(rows, columns=columns).sort_values("question", key=_in_order, kind="stable", ignore_index=True)


def _in_order(questions: pd.Series) -> pd.Series:
    order = [question.text for question in QUESTIONS]
    return questions.map(order.index)


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """As a page shows it. found: of `answers`."""
    columns = {
        "asked for": found["question"],
        "runtime": found["runtime"],
        "data set": found["dataset"],
        "results of": found["source"],
        "model": found["entry"],
        tables.SCORE: [tables.with_interval(row) for _, row in found.iterrows()],
        "in flash (KB)": [kilobytes(size) for size in found["flash"]],
        "RAM, weights in flash (KB)": [kilobytes(size) for size in found["ram"]],
        "what counts (KB)": [kilobytes(size) for size in found["taken"]],
        "fits": ["yes" if fits else "no: the smallest" for fits in found["fits"]],
    }
    table = pd.DataFrame(columns)
    # a page cannot show a table without rows
    return table if len(table) else pd.DataFrame([["–"] * len(columns)], columns=list(columns))


def words(found: pd.DataFrame) -> str:
    """Markdown: each question with the model that answers it, or that none does. found: of `answers`."""
    lines = []
    for question in QUESTIONS:
        part = found[found["question"] == question.text]
        lines.append(f"- **{question.text}**" + (":" if len(part) else ": no such model was exported, here or there."))
        lines += [f"  - {_one(row)}" for _, row in part.iterrows()]
    return "\n".join(lines)


def _one(row: pd.Series) -> str:
    where = f"{row['runtime']}, {row['dataset']}, {row['source']}"
    if not row["fits"]:
        return f"{where}: none, the smallest is `{row['entry']}` with {kilobytes(row['taken'])} KB."
    interval = "" if np.isnan(row["low"]) else f" ({percent(row['low'])} – {percent(row['high'])})"
    score = f"macro F1 {percent(row['macro_f1'])} %{interval}"
    return f"{where}: `{row['entry']}` with {kilobytes(row['taken'])} KB and {score}."


def candidates(exported: Sequence[Path], on_device: Sequence[Path]) -> pd.DataFrame:
    """The reader's exports and those of the references."""
    parts: Iterable[pd.DataFrame] = (own(exported, on_device), kept())
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)
