"""Tables of the book: from tidy frames to what a page shows, numbers rounded and with their units in the header."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tinyloc.config import Training, Windows
from tinyloc.data.features import Steps, stacked
from tinyloc.data.statistics import Statistics
from tinyloc.data.windows import cut
from tinyloc.evaluation.paired import BETTER, EQUIVALENT, UNDECIDED, WORSE
from tinyloc.report.home import Home
from tinyloc.report.measures import MEASURES
from tinyloc.report.numbers import KB, kilobytes, p_value, percent, points, span

SCORE = "macro F1 (%), 95 % interval"
ACCURACY = "accuracy (%), 95 % interval"


def with_interval(row: pd.Series) -> str:
    """ "98.7 (97.9 – 99.3)" from macro_f1, low and high; without brackets where there is no interval."""
    if np.isnan(row["low"]):
        return percent(row["macro_f1"])
    return f"{percent(row['macro_f1'])} ({percent(row['low'])} – {percent(row['high'])})"


def recordings(homes: Sequence[Home], windows: Windows) -> pd.DataFrame:
    """What was recorded or simulated, one row a data set and phase."""
    rows = []
    for home in homes:
        packets = {recording.name: len(recording.packets) for recording in home.dataset.recordings}
        for phase in dict.fromkeys(s.phase for s in home.steps):
            steps = [s for s in home.steps if s.phase == phase]
            rows.append(
                {
                    "data set": home.name,
                    "phase": phase,
                    "recordings": len(steps),
                    "packets heard": f"{sum(packets[s.recording] for s in steps):,}",
                    "steps": f"{sum(map(len, steps)):,}",
                    "windows": f"{len(cut(steps, windows.length, windows.test_hop)):,}",
                    "gateways": len(home.gateways),
                    "rooms": len(home.rooms),
                }
            )
    return pd.DataFrame(rows)


def balance(homes: Sequence[Home]) -> pd.DataFrame:
    """How much of the time is spent in each room, in what models are trained on (mean of the folds) and tested on."""
    rows = []
    for home in homes:
        train, test = (
            np.mean([_shares(part, len(home.rooms)) for part in parts], axis=0)
            for parts in ([[*f.train, *f.validation] for f in home.folds], [f.test for f in home.folds])
        )
        for room, *shares in zip(home.rooms, train, test, strict=True):
            cells = dict(zip(("of training (%)", "of testing (%)"), map(percent, shares), strict=True))
            rows.append({"data set": home.name, "room": room, **cells})
    return pd.DataFrame(rows)


def _shares(steps: Sequence[Steps], n_rooms: int) -> np.ndarray:
    """Of every room [R] in the steps of recordings."""
    room = stacked(steps, "room")
    return np.bincount(room, minlength=n_rooms) / len(room)


def statistics(found: Sequence[Statistics]) -> pd.DataFrame:
    """What recordings are like, a row a measure and a column a data set."""
    columns = {one.name: [measure.shown(measure.value(one)) for measure in MEASURES] for one in found}
    return pd.DataFrame({"": [f"{measure.name} ({measure.unit})" for measure in MEASURES], **columns})


def scores(summary: pd.DataFrame) -> pd.DataFrame:
    """Entries side by side. summary: as `comparison.summary` gives it."""
    table = pd.DataFrame(
        {
            "data set": summary["dataset"],
            "model": summary["entry"],
            "parameters": [_count(p) for p in summary["parameters"]],
            SCORE: [with_interval(row) for _, row in summary.iterrows()],
            ACCURACY: [_accuracy(row) for _, row in summary.iterrows()],
        }
    )
    return table if summary["parameters"].notna().any() else table.drop(columns="parameters")


def rooms(found: pd.DataFrame) -> pd.DataFrame:
    """F1 room by room, a column a model; a dash for a room that nobody was in.

    found: as `comparison.by_room` gives it.
    """
    cells = {
        (row["dataset"], row["room"], row["entry"]): "–" if np.isnan(row["f1"]) else _room(row)
        for _, row in found.iterrows()
    }
    entries = list(dict.fromkeys(found["entry"]))
    places = list(dict.fromkeys((dataset, room) for dataset, room, _ in cells))
    rows = [[*place, *(cells.get((*place, entry), "–") for entry in entries)] for place in places]
    return pd.DataFrame(rows, columns=["data set", "room", *entries])


def _accuracy(row: pd.Series) -> str:
    return with_interval(row[["accuracy", "accuracy_low", "accuracy_high"]].set_axis(["macro_f1", "low", "high"]))


def _room(row: pd.Series) -> str:
    return with_interval(row.rename({"f1": "macro_f1"}))


def recipe(models: Mapping[str, Training]) -> pd.DataFrame:
    """How networks are trained, a column each recipe, beside the study's own (the defaults of the configuration)."""
    alike: dict[str, list[str]] = {}
    for name, training in models.items():
        alike.setdefault(training.model_dump_json(), []).append(name)
    models = {", ".join(names): models[names[0]] for names in alike.values()}
    rows = {}
    for name, field in Training.model_fields.items():
        label = f"`{name}`" + (f" ({field.description})" if field.description else "")
        values = {"study": field.default, **{model: getattr(training, name) for model, training in models.items()}}
        rows[label] = {model: _setting(value) for model, value in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("setting").reset_index()


ABLATED = {
    BETTER: "helps",
    WORSE: "hurts",
    EQUIVALENT: "less than a point either way",
    UNDECIDED: "no measurable difference",
}
"""What a verdict on a student with and without a teacher is called."""


def ablation(students: pd.DataFrame) -> pd.DataFrame:
    """Distilled students beside their plain ones. students: as `ablation.table` gives it."""

    def score(row: pd.Series, name: str) -> str:
        return with_interval(row[[name, f"{name}_low", f"{name}_high"]].set_axis(["macro_f1", "low", "high"]))

    def gained(row: pd.Series) -> str:
        ends = (points(row[f"difference{end}"]) for end in ("_low", "_high"))
        return points(row["difference"]) + ("" if np.isnan(row["p"]) else " ({} to {})".format(*ends))

    columns = {
        "alone: macro F1 (%)": lambda row: score(row, "plain_f1"),
        "taught: macro F1 (%)": lambda row: score(row, "macro_f1"),
        "difference (points), 95 % interval": gained,
        "p": lambda row: p_value(row["p"]),
        "p, Holm": lambda row: p_value(row["p_holm"]),
        "units × seeds": lambda row: f"{row['units']} × {row['seeds']}",
        "the teaching": lambda row: f"**{ABLATED[row['verdict']]}**",
    }
    table = students[["dataset", "plain", "imitates"]].set_axis(["data set", "student", "imitates"], axis=1)
    for name, shown in columns.items():
        table[name] = [shown(row) if row["units"] else "not computed" for _, row in students.iterrows()]
    return table


def exports(summary: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """A model and its exports. sizes: as `results.exports` gives it; where folds differ, both ends are shown."""
    table = scores(summary).drop(columns="parameters")
    groups = {key: part for key, part in sizes.groupby(["dataset", "entry"])}
    found = [groups.get((row["dataset"], row["entry"])) for _, row in summary.iterrows()]
    columns = {
        ".tflite (KB)": lambda part: _kb(part["tflite_bytes"]),
        "arena (KB)": lambda part: _kb(part["arena_bytes"]),
        "agrees with PyTorch (%)": lambda part: span(100 * part["argmax_agreement"], "{:.2f}"),
    }
    for name, shown in columns.items():
        table[name] = ["–" if part is None else shown(part) for part in found]
    return table


def devices(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs on boards, a column each data set, entry and core; where seeds differ, both ends are shown.

    runs: as `results.devices` gives it.
    """
    columns = {
        f"{dataset}: {label}": {
            "core": ", ".join(part["core"].unique()),
            "flash: code (KB)": _kb(part["flash.total"] - part["flash.model"]),
            "flash: model (KB)": _kb(part["flash.model"]),
            "RAM: arena (KB)": _kb(part["ram.arena"]),
            "RAM: state (KB)": _kb(part["ram.state"]),
            "RAM: other static data (KB)": _kb(part["ram.static"]),
            "RAM: stack, highest mark (KB)": _kb(part["ram.stack_high_water"]),
            "RAM in all (KB)": _kb(part["ram.total"]),
            "RAM, limit (KB)": span(part["ram_limit"] / KB),
            "inferences": f"{part['windows'].sum():,}",
            "instructions, fewest": f"{part['instructions.min'].min():,}",
            "instructions, most": f"{part['instructions.max'].max():,}",
        }
        for (dataset, label), part in runs.groupby(["dataset", "label"], sort=False)
    }
    return pd.DataFrame(columns).rename_axis("").reset_index()


def results(points: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Every entry with its accuracy and its RAM, by the way of counting. points, references: see `report.ram`."""
    rows = pd.concat([references.assign(counted="not put on a device", ram=np.nan), points], ignore_index=True)
    order = list(dict.fromkeys(rows["dataset"]))
    rows = rows.sort_values("dataset", key=lambda names: names.map(order.index), kind="stable")
    return pd.DataFrame(
        {
            "data set": rows["dataset"],
            "model": rows["entry"],
            "RAM (KB)": ["–" if np.isnan(r) else kilobytes(r) for r in rows["ram"]],
            "what is counted": rows["counted"],
            SCORE: [with_interval(row) for _, row in rows.iterrows()],
        }
    )


def claims(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The study's claims and what became of them. verdicts: as `claims.judge` gives it."""
    return pd.DataFrame(
        {
            "claim": [f"{row['number']}: {row['claim']}" for _, row in verdicts.iterrows()],
            "data set": verdicts["dataset"],
            "verdict": [f"**{v}**" for v in verdicts["verdict"]],
            "evidence": verdicts["evidence"],
        }
    )


def _setting(value: object) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _kb(sizes: pd.Series) -> str:
    return "–" if sizes.isna().all() else span(sizes / KB, "{:.1f}")


def _count(parameters: float | None) -> str:
    return "–" if parameters is None or np.isnan(parameters) else f"{int(parameters):,}"


def reference(beside: pd.DataFrame) -> pd.DataFrame:
    """This run's scores next to the reference run's. beside: as `reference.beside` gives it."""
    verdict = {True: "yes", False: "no", None: "other data"}
    kept = beside[["reference", "reference_low", "reference_high"]].set_axis(["macro_f1", "low", "high"], axis=1)
    table = pd.DataFrame(
        {
            "data set": beside["dataset"],
            "model": beside["entry"],
            f"this run: {SCORE}": [with_interval(row) for _, row in beside.iterrows()],
            f"reference: {SCORE}": [with_interval(row) for _, row in kept.iterrows()],
            "seeds of the reference": beside["seeds"],
            "its commit": beside["commit"],
            "agree": [verdict[found] for found in beside["agrees"]],
        }
    )
    # a page cannot show a table without rows
    return table if len(table) else pd.DataFrame([["–"] * table.shape[1]], columns=table.columns)
