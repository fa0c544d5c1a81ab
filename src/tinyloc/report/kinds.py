"""What every kind of export costs: accuracy against its own original, file and arena, by reference runs of several
seeds, with the reader's own run beside them."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tinyloc.evaluation import paired
from tinyloc.files import read_json
from tinyloc.report import reference, results, tables
from tinyloc.report.numbers import kilobytes, p_value, points

PROFILE = "quantisation"
COLUMNS = (
    *("dataset", "model", "kind", "entry", "seeds", "macro_f1", "low", "high", "tflite_bytes", "arena_bytes"),
    *("difference", "difference_low", "difference_high", "p_equivalent", "equivalent"),
)


ALLOWED = {"int8": 0.005, "int8-aware": 0.005, "int16x8": 0.001}
"""Fractions of macro F1 that exports of a kind may lose, as the book wants it; the other kinds are for comparison."""


def table(profile: str = PROFILE) -> pd.DataFrame:
    """The exports among the references of a profile, a row each with the columns COLUMNS; fractions of macro F1.

    difference: minus the original's. p_equivalent: of two one-sided tests at `paired.MARGIN`, after Holm's correction
    for all rows; equivalent: whether it is below `paired.ALPHA`. NaN, or False, where nothing was tested.
    """
    rows = [_row(read_json(path)) for path in reference.files(profile) if results.kind(path.stem)]
    found = pd.DataFrame(rows, columns=COLUMNS)
    if len(found):
        found["p_equivalent"] = paired.holm(found["p_equivalent"])
        found["equivalent"] = found["p_equivalent"] < paired.ALPHA
    return found


def _row(kept: dict) -> dict:
    entry, export = kept["entry"], kept["export"]
    tested = export["against_original"] or {}
    test = {name: np.nan if value is None else value for name, value in tested.items()}
    score = {name: np.nan if value is None else value for name, value in kept["macro_f1"].items()}
    return {
        "dataset": kept["dataset"],
        "model": results.original(entry),
        "kind": results.kind(entry),
        "entry": entry,
        "seeds": len(kept["seeds"]),
        "macro_f1": score["mean"],
        "low": score["low"],
        "high": score["high"],
        "tflite_bytes": export["tflite_bytes"],
        "arena_bytes": np.nan if export["arena_bytes"] is None else export["arena_bytes"],
        "difference": test.get("difference", np.nan),
        "difference_low": test.get("low", np.nan),
        "difference_high": test.get("high", np.nan),
        "p_equivalent": test.get("p_equivalent", np.nan),
        "equivalent": False,
    }


def shown(found: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """As a page shows it. found: of `table`; own: the reader's scores, as `comparison.summary` gives them."""
    mine = {(row["dataset"], row["entry"]): tables.with_interval(row) for _, row in own.iterrows()}
    columns = {
        "data set": found["dataset"],
        "model": found["model"],
        "kind": found["kind"],
        "seeds": found["seeds"],
        "macro F1 (%)": [tables.with_interval(row) for _, row in found.iterrows()],
        "minus original (points)": [_difference(row) for _, row in found.iterrows()],
        "equivalent": ["yes" if same else "not shown" for same in found["equivalent"]],
        "p": [p_value(p) for p in found["p_equivalent"]],
        ".tflite (KB)": [kilobytes(size) for size in found["tflite_bytes"]],
        "arena (KB)": [kilobytes(size) for size in found["arena_bytes"]],
        "this run: macro F1 (%)": [mine.get((row["dataset"], row["entry"]), "–") for _, row in found.iterrows()],
    }
    table = pd.DataFrame(columns)
    # a page cannot show a table without rows
    return table if len(table) else pd.DataFrame([["–"] * len(columns)], columns=list(columns))


def _difference(row: pd.Series) -> str:
    value, low, high = (points(row[name], 2) for name in ("difference", "difference_low", "difference_high"))
    return f"{value} ({low} to {high})"


def losses(found: pd.DataFrame) -> str:
    """Markdown: what the kinds of `ALLOWED` lose at most, over all folds and seeds, and whether that is within it."""
    lines = []
    for kind, allowed in ALLOWED.items():
        part = found[found["kind"] == kind].dropna(subset=["difference"])
        if part.empty:
            continue
        worst = part.loc[part["difference"].idxmin()]
        verdict = "within" if worst["difference"] >= -allowed else "more than"
        lines.append(
            f"- **{kind}**: in the worst of {len(part)} models, `{worst['entry']}`, {points(worst['difference'], 2)} "
            f"points of macro F1 against its original; that is {verdict} the {100 * allowed:.1f} points that it may "
            "lose."
        )
    return "\n".join(lines)


def words(found: pd.DataFrame) -> str:
    """Which kinds are level with their original within the margin, and which were not shown to be."""
    if found.empty:
        return "No reference run of all kinds is there."

    def listed(rows: Iterable[str]) -> str:
        return ", ".join(f"`{entry}`" for entry in rows) or "none"

    same = found["equivalent"]
    return (
        f"Equivalent to its original within {100 * paired.MARGIN:.0f} point of macro F1, over all folds and seeds and "
        f"after Holm's correction for {len(found)} questions: {listed(found['entry'][same])}. Not shown to be: "
        f"{listed(found['entry'][~same])}.\n\n{losses(found)}"
    )


# ── Mamba as a stream and by windows ─────────────────────────────────────────────────────────────────
STREAM, WINDOW = "mamba", "mamba-window"
"""Two entries of the profile that differ in `form` alone."""


def forms(found: pd.DataFrame) -> pd.DataFrame:
    """Exports of Mamba in its two forms, a row each, one form after the other. found: of `table`."""
    rows = pd.concat([found[found["model"] == model] for model in (STREAM, WINDOW)])
    columns = {
        "data set": rows["dataset"],
        "form": ["a step at a time" if model == STREAM else "by windows" for model in rows["model"]],
        "kind": rows["kind"],
        "seeds": rows["seeds"],
        "macro F1 (%)": [tables.with_interval(row) for _, row in rows.iterrows()],
        "minus original (points)": [_difference(row) for _, row in rows.iterrows()],
        ".tflite (KB)": [kilobytes(size) for size in rows["tflite_bytes"]],
        "arena (KB)": [kilobytes(size) for size in rows["arena_bytes"]],
    }
    return pd.DataFrame(columns)


def forms_in_words(found: pd.DataFrame, profile: str = PROFILE) -> str:
    """Markdown: what windows bring and cost beside the stream, as float32; a line a data set."""
    lines = []
    for dataset, rows in found[found["kind"] == "float32"].groupby("dataset"):
        rows = rows.set_index("model")
        if not {STREAM, WINDOW} <= {*rows.index}:
            continue
        files = (reference.folder_of(profile) / dataset / f"{model}.float32.json" for model in (WINDOW, STREAM))
        test = paired.compare(*([reference.units_of(path)] for path in files))
        size = rows[["tflite_bytes", "arena_bytes"]]
        lines.append(
            f"- **{dataset}**: by windows float32 scores {points(test.difference, 2)} points of macro F1 against the "
            f"stream (95 % interval {points(test.low, 2)} to {points(test.high, 2)}; p of the test of no difference "
            f"{p_value(test.p)}). Its arena is {kilobytes(size.loc[WINDOW, 'arena_bytes'])} KB, "
            f"{size.loc[WINDOW, 'arena_bytes'] / size.loc[STREAM, 'arena_bytes']:.1f} times the stream's "
            f"{kilobytes(size.loc[STREAM, 'arena_bytes'])} KB, with a file of "
            f"{kilobytes(size.loc[WINDOW, 'tflite_bytes'])} KB beside {kilobytes(size.loc[STREAM, 'tflite_bytes'])} KB."
        )
    return "\n".join(lines) or "No reference run has both forms."
