"""Tables of the book: from tidy frames to what a page shows, numbers rounded and with their units in the header."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from tinyloc.config import Training, Windows
from tinyloc.data.windows import cut
from tinyloc.evaluation import delay
from tinyloc.report.home import Home
from tinyloc.report.numbers import KB, kilobytes, percent, points, span
from tinyloc.report.words import condition

SCORE = "macro F1 (%), 95 % interval"


def with_interval(row: pd.Series) -> str:
    """ "98.7 (97.9 – 99.3)" from macro_f1, low and high; without brackets where there is no interval."""
    if pd.isna(row["low"]):
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


def scores(summary: pd.DataFrame) -> pd.DataFrame:
    """Entries side by side. summary: as `comparison.summary` gives it."""
    table = pd.DataFrame(
        {
            "data set": summary["dataset"],
            "model": summary["entry"],
            "parameters": [_count(p) for p in summary["parameters"]],
            SCORE: [with_interval(row) for _, row in summary.iterrows()],
            "accuracy (%)": [percent(a) for a in summary["accuracy"]],
        }
    )
    return table if summary["parameters"].notna().any() else table.drop(columns="parameters")


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
    """Runs on a board, a column each data set and entry; where seeds differ, both ends are shown.

    runs: as `results.devices` gives it.
    """
    columns = {
        f"{dataset}: {entry}": {
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
        for (dataset, entry), part in runs.groupby(["dataset", "entry"], sort=False)
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
    return span(sizes / KB, "{:.1f}")


def _count(parameters: float | None) -> str:
    return "–" if parameters is None or np.isnan(parameters) else f"{int(parameters):,}"


def reference(beside: pd.DataFrame) -> pd.DataFrame:
    """This run's scores next to the reference run's. beside: as `reference.beside` gives it."""
    verdict = {True: "yes", False: "no", None: "other data"}
    kept = beside[["reference", "reference_low", "reference_high"]].set_axis(["macro_f1", "low", "high"], axis=1)
    return pd.DataFrame(
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


def pairs(tests: pd.DataFrame) -> pd.DataFrame:
    """Paired comparisons and what may be said of them. tests: as `comparison.pairs` gives it."""
    return pd.DataFrame(
        {
            "data set": tests["dataset"],
            "pair": [f"{row['entry']} − {row['against']}" for _, row in tests.iterrows()],
            "difference (points), 95 % interval": [
                _difference(*row) for row in zip(tests["difference"], tests["low"], tests["high"], strict=True)
            ],
            "p": [_p(p) for p in tests["p"]],
            "p, Holm": [_p(p) for p in tests["p_holm"]],
            "p of not equivalent, Holm": [_p(p) for p in tests["p_equivalent"]],
            "units": tests["n_units"],
            "the first is": [f"**{v}**" for v in tests["verdict"]],
        }
    )


def delays(waits: pd.DataFrame, entries: Iterable[tuple[str, str]], bin_s: float) -> pd.DataFrame:
    """How late a new room is said. waits: as `results.delays` gives it; entries: every (data set, model) to show."""
    groups = {key: part for key, part in waits.groupby(["dataset", "entry"], sort=False)}
    rows = []
    for dataset, entry in entries:
        part = groups.get((dataset, entry))
        found = delay.summary(part["wait"].to_numpy(), part["unit"].tolist()) if part is not None else None
        rows.append(
            {
                "data set": dataset,
                "model": entry,
                "changes of room": "0" if found is None else f"{found['changes']:,}",
                "median delay (s)": _bounded(found and found["median_steps"], bin_s),
                "90th percentile (s)": _bounded(found and found["p90_steps"], bin_s),
                "never noticed (%)": _bounded(found and found["never_found"], 100),
            }
        )
    return pd.DataFrame(rows)


def calibration(found: pd.DataFrame) -> pd.DataFrame:
    """How honest probabilities are, mean over the seeds. found: as `results.calibrations` gives it."""
    groups = found.groupby(["dataset", "entry", "probabilities"], sort=False)
    rows = [
        {
            "data set": dataset,
            "model": entry,
            "taken as probability": source,
            "expected calibration error (points)": f"{100 * part['ece'].mean():.1f}",
            "negative log-likelihood (nats a window)": f"{part['nll'].mean():.3f}",
        }
        for (dataset, entry, source), part in groups
    ]
    header = ("data set", "model", "taken as probability")
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=header)


def robustness(table: pd.DataFrame) -> pd.DataFrame:
    """Points of macro F1 that each condition costs, a column each model. table: as `results.robustness` gives it."""
    cost = table[~table["reference"].astype(bool)]
    named = cost.assign(
        shown=[_difference(*row) for row in zip(cost["lost"], cost["lost_low"], cost["lost_high"], strict=True)],
        condition=[condition(*row) for row in zip(cost["kind"], cost["value"], strict=True)],
    )
    return _crossed(named, ["dataset", "condition"], "entry", "shown")


def verdicts(tests: pd.DataFrame) -> pd.DataFrame:
    """What may be said of every pair, the entry of the row against that of the column.

    tests: as `comparison.pairs` gives it.
    """
    named = tests.assign(
        shown=[f"{v} ({points(d)})" for v, d in zip(tests["verdict"], tests["difference"], strict=True)]
    )
    return _crossed(named, ["dataset", "entry"], "against", "shown")


def _crossed(table: pd.DataFrame, rows: list[str], columns: str, shown: str) -> pd.DataFrame:
    """`shown` by `rows` (down) and `columns` (across), both in the order in which they come; a dash where it is not."""
    groups = table.groupby(rows, sort=False)
    across = list(dict.fromkeys(table[columns]))
    cells = [
        {
            "data set": key[0],
            rows[1].replace("entry", "model"): key[1],
            **dict(zip(part[columns], part[shown], strict=True)),
        }
        for key, part in groups
    ]
    return pd.DataFrame(cells, columns=["data set", rows[1].replace("entry", "model"), *across]).fillna("–")


def _difference(value: float, low: float | None, high: float | None) -> str:
    """ "+1.2 (−0.3 to +2.7)", in points; without brackets where there is no interval."""
    return points(value) if pd.isna(low) else f"{points(value)} ({points(low)} to {points(high)})"


def _p(p: float) -> str:
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _bounded(found: Mapping | None, unit: float) -> str:
    """A value with its interval; where it lies among the changes that were never noticed, it has no end."""
    if found is None:
        return "–"
    value, low, high = ("∞" if found[n] is None else f"{unit * found[n]:.0f}" for n in ("value", "low", "high"))
    return value if low == high == "∞" and value == "∞" else f"{value} ({low} – {high})"
