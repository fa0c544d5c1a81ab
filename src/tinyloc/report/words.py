"""Sentences with numbers in them: the book's prose never states a number that was not computed for it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from tinyloc.data.features import Steps, stacked
from tinyloc.data.statistics import Statistics
from tinyloc.evaluation import statistics
from tinyloc.evaluation.paired import ALPHA, BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE
from tinyloc.report.claims import CLOCK_HZ
from tinyloc.report.comparison import Comparison
from tinyloc.report.home import Home
from tinyloc.report.measures import MEASURES, Measure
from tinyloc.report.numbers import KB, counted, kilobytes, p_value, percent, points, small_percent, span

NEAR_S = 10  # seconds around the beginning of a stay in a room that count as the transition
TAUGHT = {
    BETTER: "these help",
    WORSE: "these hurt",
    EQUIVALENT: "these change less than a point either way",
    UNDECIDED: "of these no difference can be measured",
}


def silent(homes: Sequence[Home]) -> str:
    """How often gateways are silent, data set by data set."""
    lines = []
    for home in homes:
        share = {
            name: np.concatenate([s.heard == 0 for s in home.steps])[:, a].mean()
            for a, name in enumerate(home.gateways)
        }
        least, most = min(share, key=share.get), max(share, key=share.get)
        lines.append(
            f"- **{home.name}**: in a given second a gateway is silent {percent(share[least])} % ({least}) to "
            f"{percent(share[most])} % ({most}) of the time."
        )
    return "\n".join(lines)


def without_a_model(homes: Sequence[Home]) -> str:
    """How far one gets with a rule in the place of a model, data set by data set.

    The rules: the commonest room of training, whatever the radio says; and the room in which the gateway that is
    strongest now was strongest most often in training.
    """
    lines = []
    for home in homes:
        n_rooms, counts, named = len(home.rooms), {"always": [], "strongest": []}, []
        for fold in home.folds:
            train, true = [*fold.train, *fold.validation], stacked(fold.test, "room")
            seen = np.zeros((len(home.gateways) + 1, n_rooms), np.int64)
            np.add.at(seen, (_strongest(train), stacked(train, "room")), 1)
            common = seen.sum(0).argmax()
            named.append(home.rooms[common])
            # a gateway that was never the strongest says nothing
            rule = np.where(seen.any(1), seen.argmax(1), common)[_strongest(fold.test)]
            counts["always"].append(statistics.confusion(true, np.full(len(true), common), n_rooms))
            counts["strongest"].append(statistics.confusion(true, rule, n_rooms))
        always, strongest = (_scores(np.array(one)) for one in counts.values())
        lines.append(
            f"- **{home.name}**: whoever always says {' or '.join(dict.fromkeys(named))} {always}; whoever goes by the "
            f"strongest gateway {strongest}."
        )
    return "\n".join(lines)


def _strongest(steps: Sequence[Steps]) -> np.ndarray:
    """The gateway that is heard best in every step [S]; their number where all are silent."""
    heard, rssi = stacked(steps, "heard") > 0, stacked(steps, "rssi")
    return np.where(heard.any(1), np.where(heard, rssi, -np.inf).argmax(1), rssi.shape[1])


def _scores(counts: np.ndarray) -> str:
    """Mean over the folds of confusion counts [F, R, R]."""
    right, f1 = (measure(counts).mean() for measure in (statistics.accuracy, statistics.macro_f1))
    return f"is right in {percent(right)} % of the seconds (macro F1 {percent(f1)} %)"


def beside(real: Sequence[Statistics], simulated: Sequence[Statistics]) -> str:
    """In which measures real recordings lie within the range of the simulated houses, and in which they do not."""
    if not real:
        return "No real recordings are here, so the simulated houses stand alone and nothing vouches for them."
    return "\n".join(f"- {_beside(one, simulated)}" for one in real)


def _beside(real: Statistics, simulated: Sequence[Statistics]) -> str:
    values = {measure: (measure.value(real), [measure.value(s) for s in simulated]) for measure in MEASURES}
    known = {m: (own, others) for m, (own, others) in values.items() if not np.isnan([own, *others]).any()}
    outside = [_apart(m, own, others) for m, (own, others) in known.items() if not min(others) <= own <= max(others)]
    within = f"{len(known) - len(outside)} of {len(known)} measures lie within the range of the simulated houses"
    unknown = [m.name for m in MEASURES if m not in known]
    text = f"**{real.name}**: {within}."
    if outside:
        text += f" These do not: {'; '.join(outside)}."
    if unknown:
        text += f" Not to be compared, as one side has none: {', '.join(unknown)}."
    return text


def _apart(measure: Measure, own: float, others: Sequence[float]) -> str:
    houses = span(others, measure.text).replace("-", "−")
    return f"{measure.name} ({measure.shown(own)} {measure.unit}; houses {houses})"


def size(name: str, d: int, folds: pd.DataFrame) -> str:
    """How large a network is. folds: as `results.folds` gives it, for one entry."""
    parameters = span(folds["parameters"])
    kb = span(folds["parameters"] * 4 / KB, "{:,.0f}")
    return (
        f"With a width d of {d} the {name} has {parameters} parameters (the number of gateways and rooms decides), "
        f"which is {kb} KB as float32."
    )


def difference(comparison: Comparison) -> str:
    """By how much two entries differ, and what the paired test lets anybody say of it."""
    ours, theirs = comparison.entry, comparison.against
    lines = []
    for _, row in comparison.intervals.iterrows():
        units = comparison.units.loc[comparison.units["dataset"] == row["dataset"], "difference"]
        if units.eq(0).all():
            found = f"{ours} and {theirs} score the same in every unit"
        else:
            found = f"{ours} minus {theirs} is {points(row['mean'])} points of macro F1, {_certainty(row, len(units))}"
        lines.append(f"- **{row['dataset']}**: {found}.")
    return "\n".join(lines)


def ablation(students: pd.DataFrame) -> str:
    """Which ways of teaching help and which hurt, student by student. students: as `ablation.table` gives it."""
    known = students[students["units"] > 0]
    if known.empty:
        return "There is nothing to judge by."
    families = known.groupby(["dataset", "plain"], sort=False)
    return "\n".join(f"- {_taught(dataset, plain, part)}" for (dataset, plain), part in families)


def _taught(dataset: str, plain: str, part: pd.DataFrame) -> str:
    said = part.groupby("verdict", sort=False)["imitates"].agg(", ".join)
    found = "; ".join(f"{TAUGHT[verdict]}: {said[verdict]}" for verdict in TAUGHT if verdict in said)
    least = part["p_least"].max() * part["p"].notna().sum()
    power = ""
    if part["p"].isna().all():
        power = " With a single unit nothing can be tested."
    elif least >= ALPHA:
        power = f" (No corrected p of so few units can be below {min(least, 1):.3f}, however plain a difference is.)"
    return f"**{dataset}**, {plain}: {found}.{power}"


def quantisation(sizes: pd.DataFrame, comparison: Comparison) -> str:
    """What int8 saves and costs. sizes: as `results.exports` gives it, with both kinds of one model."""
    kind = sizes["entry"].str.rsplit(".", n=1).str[1]
    largest = sizes.groupby([sizes["dataset"], kind], sort=False)[["tflite_bytes", "arena_bytes"]].max()
    lines = []
    for dataset in sizes["dataset"].unique():
        whole, small = largest.loc[dataset, "float32"], largest.loc[dataset, "int8"]
        lines.append(
            f"- **{dataset}**: int8 makes the file {whole['tflite_bytes'] / small['tflite_bytes']:.1f} times smaller "
            f"({kilobytes(whole['tflite_bytes'])} to {kilobytes(small['tflite_bytes'])} KB) and the arena "
            f"{whole['arena_bytes'] / small['arena_bytes']:.1f} times ({kilobytes(whole['arena_bytes'])} to "
            f"{kilobytes(small['arena_bytes'])} KB)."
        )
    return "\n".join(lines) + "\n\nAnd what it costs:\n\n" + difference(comparison)


def few_bits(smallest: pd.Series | None, table: pd.DataFrame) -> str:
    """Down to which code nothing is lost. smallest, table: of `report.few_bits`."""
    whole = table.iloc[0]
    if smallest is None:
        return (
            f"No code is shown to be equivalent to {whole['family']} at the margin of one point: with so few folds or "
            "recordings, the test cannot show it."
        )
    return (
        f"The smallest code that is shown to be equivalent to {whole['family']} is *{smallest['family']}* "
        f"({smallest['setting']}): {smallest['bits']:.1f} bits a weight, {kilobytes(smallest['bytes'])} KB where "
        f"float32 takes {kilobytes(whole['bytes'])} KB."
    )


def transitions(timelines: Mapping[str, pd.DataFrame]) -> str:
    """Where along the recordings the wrong seconds lie. A stay begins with a recording, too, and behind a gap in which
    the room changed. timelines: as `results.timeline` gives them."""
    lines = []
    for dataset, stream in timelines.items():
        wrong = (stream["y_true"] != stream["y_pred"]).to_numpy()
        near = _near_change(stream)
        where = f"- **{dataset}**, recording {stream['recording'].iloc[0]}"
        asked = counted(len(stream), "answer")
        if not wrong.any():
            lines.append(f"{where}: none of {asked} is wrong.")
            continue
        found = f"{wrong.sum()} of {asked} are wrong, {percent(near[wrong].mean())} % of them within"
        if wrong.sum() == 1:
            found = f"one of {asked} is wrong, {'' if near[wrong].any() else 'not '}within"
        lines.append(
            f"{where}: {found} {NEAR_S} s of the beginning of a stay in a room "
            f"(as are {percent(near.mean())} % of all)."
        )
    return "\n".join(lines)


def arenas(reports: Mapping[str, Mapping]) -> str:
    """How well arenas are used. reports: the compiler's `report.json`, by the model's name."""
    return "\n".join(f"- **{name}**: {_arena(report)}" for name, report in reports.items())


def _arena(report: Mapping) -> str:
    tensors = [t for t in report["tensors"] if t["region"] == "arena"]
    calls = range(-1, 1 + max(t["last"] for t in tensors))
    peak = max(_occupied(t for t in tensors if t["first"] <= call <= t["last"]) for call in calls)
    return (
        f"{len(tensors)} tensors, which side by side would need {kilobytes(sum(t['bytes'] for t in tensors))} KB, "
        f"share an arena of {kilobytes(report['arena_bytes'])} KB. At the busiest call {kilobytes(peak)} KB of it are "
        "in use, and no plan can do with less."
    )


def _occupied(tensors: Iterable[Mapping]) -> int:
    """Bytes that tensors cover together: a view of another tensor, or one written in place, covers nothing new."""
    covered = end = 0
    for tensor in sorted(tensors, key=lambda t: t["offset"]):
        stop = tensor["offset"] + tensor["bytes"]
        covered += max(0, stop - max(end, tensor["offset"]))
        end = max(end, stop)
    return covered


def agreement(runs: pd.DataFrame) -> str:
    """Whether the board gave the reference's answers. runs: as `results.devices` gives it."""
    lines = []
    for (dataset, label), part in runs.groupby(["dataset", "label"], sort=False):
        apart = part["max_abs_difference"].max()
        same = "the same bits as" if part["bit_identical"].all() else f"at most {apart:.1g} away from"
        lines.append(f"- **{dataset}**, {label}: {counted(part['windows'].sum(), 'inference')}, {same} TFLite Micro.")
    return "\n".join(lines)


def budget(runs: pd.DataFrame, bin_s: float) -> str:
    """Instructions against the cycles until the next answer is due, `bin_s` seconds later."""
    cycles = CLOCK_HZ * bin_s
    lines = [f"An answer is due every {bin_s:g} s, which at {CLOCK_HZ / 1e6:g} MHz is every {cycles:,.0f} cycles:\n"]
    for (dataset, label), part in runs.groupby(["dataset", "label"], sort=False):
        most = part["instructions.max"].max()
        lines.append(
            f"- **{dataset}**, {label}: at most {most:,} instructions, {small_percent(most / cycles)} % of the cycles "
            "if each took one."
        )
    return "\n".join(lines)


def _certainty(row: pd.Series, units: int) -> str:
    """row: of `Comparison.intervals`."""
    if np.isnan(row["low"]):
        return "and with a single unit there is nothing to judge that by"
    says = {
        BETTER: f"the first is better, p {p_value(row['p'])}",
        WORSE: f"the second is better, p {p_value(row['p'])}",
        EQUIVALENT: f"equivalent within {100 * MARGIN:g} point, p {p_value(row['p_equivalent'])}",
        UNDECIDED: f"undecided, p {p_value(row['p'])}",
    }
    ends = f"95 % interval {points(row['low'])} to {points(row['high'])}, {units} units"
    return f"with a {ends}: {says[row['verdict']]}"


def _near_change(stream: pd.DataFrame) -> np.ndarray:
    """Whether each row of a timeline lies within NEAR_S after or before a change of its true room."""
    second = (60 * stream["minute"]).to_numpy()
    changes = second[np.flatnonzero(np.diff(stream["y_true"], prepend=-1))]
    return (np.abs(second[:, None] - changes) <= NEAR_S).any(1)
