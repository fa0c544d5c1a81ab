"""Sentences with numbers in them: the book's prose never states a number that was not computed for it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from tinyloc.errors import InputError
from tinyloc.evaluation import delay
from tinyloc.evaluation.conditions import DEAD, DROPPED
from tinyloc.evaluation.paired import ALPHA, BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE
from tinyloc.report.claims import CLOCK_HZ
from tinyloc.report.comparison import Comparison
from tinyloc.report.home import Home
from tinyloc.report.numbers import KB, kilobytes, percent, points, span

OPPOSITE = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}
NEAR_S = 10  # seconds around a change of room that count as the transition


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


def best(summary: pd.DataFrame) -> str:
    """The best entry of each data set, by mean macro F1."""
    lines = []
    for dataset, part in summary.groupby("dataset", sort=False):
        row = part.loc[part["macro_f1"].idxmax()]
        lines.append(
            f"- **{dataset}**: the best of them is {row['entry']}, with a macro F1 of {percent(row['macro_f1'])} %."
        )
    return "\n".join(lines)


def size(name: str, d: int, folds: pd.DataFrame) -> str:
    """How large a network is. folds: as `results.folds` gives it, for one entry."""
    parameters = span(folds["parameters"])
    kb = span(folds["parameters"] * 4 / KB, "{:,.0f}")
    return (
        f"With a width d of {d} the {name} has {parameters} parameters (the number of gateways and rooms decides), "
        f"which is {kb} KB as float32."
    )


def difference(comparison: Comparison) -> str:
    """What a paired comparison says, and whether it says anything."""
    ours, theirs = comparison.entry, comparison.against
    lines = []
    for _, row in comparison.intervals.iterrows():
        units = comparison.units.loc[comparison.units["dataset"] == row["dataset"], "difference"]
        if units.eq(0).all():
            found = f"{ours} and {theirs} score the same in every unit"
        else:
            found = f"{_leads(row['mean'], ours, theirs)}; {_certainty(row, len(units), comparison)}"
        lines.append(f"- **{row['dataset']}**: {found}.")
    return "\n".join(lines)


def better(tests: pd.DataFrame, dataset: str, entry: str, against: str) -> str:
    """ "a is better than b by 1.2 points (p = 0.004)": the one way in which a chapter calls a model better.

    tests: as `comparison.pairs` gives it; the pair may stand in it either way round.
    Raises InputError: nothing in the tests backs the sentence; the line says what they found instead.
    """
    row, sign = _pair(tests, dataset, entry, against)
    if {1: row["verdict"], -1: OPPOSITE[row["verdict"]]}[sign] != BETTER:
        raise InputError(
            f"{dataset}: nothing backs that {entry!r} is better than {against!r}; the paired test says "
            f"{row['entry']} against {row['against']}: {row['verdict']}"
        )
    return f"{entry} is better than {against} by {percent(abs(row['difference']))} points ({_p(row['p_holm'])})"


def _pair(tests: pd.DataFrame, dataset: str, entry: str, against: str) -> tuple[pd.Series, int]:
    """The row of a pair, and -1 where it stands the other way round."""
    here = tests[tests["dataset"] == dataset]
    for sign, (a, b) in {1: (entry, against), -1: (against, entry)}.items():
        found = here[(here["entry"] == a) & (here["against"] == b)]
        if len(found):
            return found.iloc[0], sign
    raise InputError(f"{dataset}: {entry!r} and {against!r} were not tested against each other")


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def verdicts(tests: pd.DataFrame) -> str:
    """What the tests of each data set allow to say, and the least p that so few units could have given."""
    lines = []
    for dataset, part in tests.groupby("dataset", sort=False):
        said = []
        for _, row in part.iterrows():
            ours, theirs = row["entry"], row["against"]
            if row["verdict"] == BETTER:
                said.append(better(tests, dataset, ours, theirs))
            elif row["verdict"] == WORSE:
                said.append(better(tests, dataset, theirs, ours))
            elif row["verdict"] == EQUIVALENT:
                said.append(f"{ours} and {theirs} are equivalent within {100 * MARGIN:g} point")
            else:
                said.append(f"between {ours} and {theirs} it is undecided")
        units, least = part["n_units"].iloc[0], part["p_least"].iloc[0] * len(part)
        power = f"{units} units, {len(part)} pair{'s' if len(part) > 1 else ''}"
        if part["p"].isna().all():
            power += ": with a single unit nothing can be tested"
        elif least >= ALPHA:
            power += f": the smallest p that so few units can give, corrected, is {min(least, 1):.3f}, so that no "
            power += "difference, however plain, could count as certain"
        lines.append(f"- **{dataset}** ({power}): {'; '.join(said)}.")
    return "\n".join(lines)


def notice(waits: pd.DataFrame, bin_s: float) -> str:
    """How many changes of room there were, and when half of them were noticed. waits: as `results.delays` gives it."""
    if len(waits) == 0:
        return "- In these data nobody changes rooms within a segment, so there is no delay to measure."
    lines = []
    for dataset, part in waits.groupby("dataset", sort=False):
        by_entry = part.groupby("entry", sort=False)["wait"]
        never = by_entry.agg(lambda wait: np.isinf(wait).mean())
        half = [_half(entry, bin_s * delay.quantile(wait.to_numpy(), 0.5)) for entry, wait in by_entry]
        changes = span(part.groupby(["entry", "seed"]).size())
        lines.append(
            f"- **{dataset}**: {changes} changes of room. Half of them were noticed within {', '.join(half)}. Never "
            f"noticed while they lasted: {percent(never.min())} % ({never.idxmin()}) to {percent(never.max())} % "
            f"({never.idxmax()})."
        )
    return "\n".join(lines)


def _half(entry: str, seconds: float) -> str:
    return f"{seconds:.0f} s ({entry})" if np.isfinite(seconds) else f"no time at all ({entry}: most were missed)"


def honesty(found: pd.DataFrame) -> str:
    """Whether models promise more than they keep. found: as `results.calibrations` gives it."""
    lines = []
    for (dataset, entry), part in found.groupby(["dataset", "entry"], sort=False):
        bins = pd.DataFrame([b for curve in part["reliability"] for b in curve])
        sure, right = (np.average(bins[name], weights=bins["n"]) for name in ("confidence", "accuracy"))
        manner = "too sure" if sure > right else "too modest"
        lines.append(
            f"- **{dataset}**, {entry}: {percent(sure)} % sure on average and {percent(right)} % right, so {manner} by "
            f"{percent(abs(sure - right))} points."
        )
    return "\n".join(lines) or "- No model of this profile gives probabilities."


def fragility(table: pd.DataFrame) -> str:
    """The worst that each kind of disturbance does. table: as `results.robustness` gives it."""
    if len(table) == 0:
        return "- No model of this profile was disturbed; `robustness` in its configuration says which would be."
    lines = []
    for (dataset, entry), part in table.groupby(["dataset", "entry"], sort=False):
        kinds = part[~part["reference"].astype(bool)].groupby("kind", sort=False)
        worst = [part.loc[rows["lost"].astype(float).idxmax()] for _, rows in kinds]
        said = ", ".join(f"{condition(row['kind'], row['value'])} {points(row['lost'])}" for row in worst)
        lines.append(f"- **{dataset}**, {entry}: points of macro F1 lost at worst, kind by kind: {said}.")
    return "\n".join(lines)


def condition(kind: str, value: float | str | int) -> str:
    """A condition of `tinyloc.evaluation.conditions` as a reader would say it."""
    if kind == DROPPED:
        return f"{100 * value:.0f} % of the packets lost"
    return f"{value} dead" if kind == DEAD else f"windows of {value} steps"


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


def transitions(timelines: Mapping[str, pd.DataFrame]) -> str:
    """Where along the recordings the wrong seconds lie. timelines: as `results.timeline` gives them."""
    lines = []
    for dataset, stream in timelines.items():
        wrong = (stream["y_true"] != stream["y_pred"]).to_numpy()
        near = _near_change(stream)
        among = f", {percent(near[wrong].mean())} % of them" if wrong.any() else ""
        lines.append(
            f"- **{dataset}**, recording {stream['recording'].iloc[0]}: {wrong.sum()} of {len(stream)} answers are "
            f"wrong{among} within {NEAR_S} s of a change of room (as are {percent(near.mean())} % of all answers)."
        )
    return "\n".join(lines)


def arena(report: Mapping) -> str:
    """How well the arena is used. report: the compiler's `report.json`."""
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
    for (dataset, entry), part in runs.groupby(["dataset", "entry"], sort=False):
        apart = part["max_abs_difference"].max()
        same = "the same bits as" if part["bit_identical"].all() else f"at most {apart:.1g} away from"
        lines.append(f"- **{dataset}**, {entry}: {part['windows'].sum():,} inferences, {same} TFLite Micro.")
    return "\n".join(lines)


def budget(runs: pd.DataFrame, bin_s: float) -> str:
    """Instructions against the cycles until the next answer is due, `bin_s` seconds later."""
    cycles = CLOCK_HZ * bin_s
    lines = [f"An answer is due every {bin_s:g} s, which at {CLOCK_HZ / 1e6:g} MHz is every {cycles:,.0f} cycles:\n"]
    for (dataset, entry), part in runs.groupby(["dataset", "entry"], sort=False):
        most = part["instructions.max"].max()
        lines.append(
            f"- **{dataset}**, {entry}: at most {most:,} instructions, {percent(most / cycles)} % of the cycles "
            "if each took one."
        )
    return "\n".join(lines)


def _leads(difference: float, ours: str, theirs: str) -> str:
    if points(difference) == "0.0":
        return f"{ours} and {theirs} differ by less than a tenth of a point of macro F1"
    better, worse = (ours, theirs) if difference > 0 else (theirs, ours)
    return f"{better} is {points(abs(difference))[1:]} points of macro F1 better than {worse}"


def _certainty(interval: pd.Series, units: int, comparison: Comparison) -> str:
    if np.isnan(interval["low"]):
        return "with a single unit there is no interval to judge that by"
    ends = f"{points(interval['low'])} to {points(interval['high'])} points"
    contains = interval["low"] <= 0 <= interval["high"]
    says = "contains zero, so this may be chance" if contains else "does not contain zero"
    return f"over {units} units, the 95 % interval of {comparison.entry} minus {comparison.against} ({ends}) {says}"


def _near_change(stream: pd.DataFrame) -> np.ndarray:
    """Whether each row of a timeline lies within NEAR_S after or before a change of its true room."""
    second = (60 * stream["minute"]).to_numpy()
    changes = second[np.flatnonzero(np.diff(stream["y_true"], prepend=-1))]
    return (np.abs(second[:, None] - changes) <= NEAR_S).any(1)
