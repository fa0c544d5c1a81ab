"""What may be believed of results, as tables and as sentences: pairs of models, delays, probabilities, disturbances.

The figures of the same are in `tinyloc.report.figures.evidence`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from tinyloc.errors import InputError
from tinyloc.evaluation import delay
from tinyloc.evaluation.conditions import DEAD, DROPPED
from tinyloc.evaluation.paired import ALPHA, BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE, holm
from tinyloc.evaluation.statistics import LEVEL, coverage
from tinyloc.report.numbers import counted, p_value, percent, points, span
from tinyloc.report.tables import with_interval

OPPOSITE = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}


# ── pairs of models ──────────────────────────────────────────────────────────────────────────────
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
    return f"{entry} is better than {against} by {percent(abs(row['difference']))} points ({equals(row['p_holm'])})"


def _pair(tests: pd.DataFrame, dataset: str, entry: str, against: str) -> tuple[pd.Series, int]:
    """The row of a pair, and -1 where it stands the other way round."""
    here = tests[tests["dataset"] == dataset]
    for sign, (a, b) in {1: (entry, against), -1: (against, entry)}.items():
        found = here[(here["entry"] == a) & (here["against"] == b)]
        if len(found):
            return found.iloc[0], sign
    raise InputError(f"{dataset}: {entry!r} and {against!r} were not tested against each other")


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
        lines.append(f"- **{dataset}** ({_power(part)}): {'; '.join(said)}.")
    return "\n".join(lines)


def power(tests: pd.DataFrame) -> str:
    """What so few units and so many pairs leave to be found. tests: as `comparison.pairs` gives it."""
    return "\n".join(f"- **{dataset}**: {_power(part)}." for dataset, part in tests.groupby("dataset", sort=False))


def _power(part: pd.DataFrame) -> str:
    """Of the tests of one data set."""
    units, least = part["n_units"].iloc[0], part["p_least"].iloc[0] * len(part)
    found = f"{counted(units, 'unit')}, {counted(len(part), 'pair')}"
    if part["p"].isna().all():
        return f"{found}: with a single unit nothing can be tested"
    if least < ALPHA:
        return found
    return (
        f"{found}: the smallest p that so few units can give, corrected, is {min(least, 1):.3f}, so that no "
        "difference, however plain, could count as certain"
    )


def promises(units: Mapping[str, int]) -> str:
    """What intervals over so few units keep of what they promise, were their scores normally distributed.

    units: their number by data set.
    """
    lines = []
    for dataset, n in units.items():
        if n == 1:
            lines.append(f"- **{dataset}**: a single unit has no interval and no test.")
            continue
        lines.append(
            f"- **{dataset}** ({n} units): a {percent(LEVEL)} % interval would hold the truth in "
            f"{percent(coverage(n))} % of all studies; of twenty of them {20 * (1 - coverage(n)):.1f} would miss it."
        )
    return "\n".join(lines)


def pairs_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Paired comparisons and what may be said of them. tests: as `comparison.pairs` gives it."""
    return pd.DataFrame(
        {
            "data set": tests["dataset"],
            "pair": [f"{row['entry']} − {row['against']}" for _, row in tests.iterrows()],
            "difference (points), 95 % interval": [
                difference(*row) for row in zip(tests["difference"], tests["low"], tests["high"], strict=True)
            ],
            "p": [p_value(p) for p in tests["p"]],
            "p, Holm": [p_value(p) for p in tests["p_holm"]],
            "p of not equivalent, Holm": [p_value(p) for p in tests["p_equivalent"]],
            "units": tests["n_units"],
            "the first is": [f"**{v}**" for v in tests["verdict"]],
        }
    )


def verdicts_table(tests: pd.DataFrame) -> pd.DataFrame:
    """What may be said of every pair, the entry of the row against that of the column.

    tests: as `comparison.pairs` gives it.
    """
    named = tests.assign(
        shown=[
            f"{verdict}: {difference(*row)}"
            for verdict, *row in tests[["verdict", "difference", "low", "high"]].itertuples(index=False)
        ]
    )
    return _crossed(named, ["dataset", "entry"], "against", "shown")


# ── delay ────────────────────────────────────────────────────────────────────────────────────────
def notice(waits: pd.DataFrame, bin_s: float) -> str:
    """How many changes of room there were, when half of them were noticed, and how many never. No model is put before
    another. waits: as `results.delays` gives it."""
    if len(waits) == 0:
        return "- In these data nobody changes rooms within a segment, so there is no delay to measure."
    lines = []
    for dataset, part in waits.groupby("dataset", sort=False):
        by_entry = part.groupby("entry", sort=False)["wait"]
        never = [f"{percent(np.isinf(wait).mean())} % ({entry})" for entry, wait in by_entry]
        half = {entry: bin_s * delay.quantile(wait.to_numpy(), 0.5) for entry, wait in by_entry}
        changes = span(part.groupby(["entry", "seed"]).size())
        lines.append(
            f"- **{dataset}**: {changes} change{'' if changes == '1' else 's'} of room. {_half(half)} Never noticed "
            f"while they lasted: {', '.join(never)}."
        )
    return "\n".join(lines)


def _half(found: Mapping[str, float]) -> str:
    """found: seconds until half of the changes were noticed, by entry; infinite where most never were."""
    noticed = [f"{seconds:.0f} s ({entry})" for entry, seconds in found.items() if np.isfinite(seconds)]
    missed = [entry for entry, seconds in found.items() if not np.isfinite(seconds)]
    said = [f"Half of them were noticed within {', '.join(noticed)}."] if noticed else []
    return " ".join([*said, *([f"Most of them were missed by {', '.join(missed)}."] if missed else [])])


def delay_table(
    waits: pd.DataFrame, moves: pd.DataFrame, entries: Iterable[tuple[str, str]], bin_s: float
) -> pd.DataFrame:
    """How late a new room is said, and how often another one is. waits, moves: as `results.delays` and
    `results.restlessness` give them; entries: every (data set, model) to show."""
    groups = {key: part for key, part in waits.groupby(["dataset", "entry"], sort=False)}
    hourly = moves.groupby(["dataset", "entry"])[["said", "was", "steps"]].sum().to_dict("index")
    rows = []
    for dataset, entry in entries:
        part = groups.get((dataset, entry))
        found = delay.summary(**_waited(part)) if part is not None else None
        rows.append(
            {
                "data set": dataset,
                "model": entry,
                "changes of room": "0" if found is None else f"{found['changes']:,}",
                "median delay (s)": _bounded(found and found["median_steps"], bin_s),
                "90th percentile (s)": _bounded(found and found["p90_steps"], bin_s),
                "never noticed (%)": _bounded(found and found["never_found"], 100),
                "changes of the answer an hour (of the room)": _hourly(hourly.get((dataset, entry)), bin_s),
            }
        )
    return pd.DataFrame(rows)


def _hourly(moves: Mapping | None, bin_s: float) -> str:
    """ "41 (12)": how often the answer changes in an hour, and the room. Without results, or over no time, a dash."""
    if not moves or not moves["steps"]:
        return "–"
    hours = moves["steps"] * bin_s / 3600
    return f"{moves['said'] / hours:.0f} ({moves['was'] / hours:.0f})"


def _waited(part: pd.DataFrame) -> dict:
    """What `tinyloc.evaluation.delay` asks for, of one entry's rows of `results.delays`."""
    return {
        "waited": part["wait"].to_numpy(),
        "unit": part["unit"].tolist(),
        "seed": part["seed"].tolist(),
        "crossed": bool(part["crossed"].iloc[0]),
    }


def noticed(part: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    """Share of the changes that were noticed `at` [A] steps later, with its interval [3, A]. part: one entry's rows of
    `results.delays`."""
    return delay.noticed(**_waited(part), at=at)


def _bounded(found: Mapping | None, unit: float) -> str:
    """A value with its interval; where it lies among the changes that were never noticed, it has no end.

    Without a lower end there is no interval: of a single unit, or of changes that nearly all were never noticed.
    """
    if found is None:
        return "–"
    value, low, high = ("∞" if found[n] is None else f"{unit * found[n]:.0f}" for n in ("value", "low", "high"))
    return value if found["low"] is None else f"{value} ({low} – {high})"


# ── probabilities ────────────────────────────────────────────────────────────────────────────────
def honesty(found: pd.DataFrame) -> str:
    """Whether models promise more than they keep: what is certain passes a test, corrected for the number of a data
    set's models, and has an interval without zero.

    found: as `comparison.calibrations` gives it.
    """
    lines = []
    for dataset, part in found.groupby("dataset", sort=False):
        corrected = holm(part["excess_p"])
        for (_, row), p in zip(part.iterrows(), corrected, strict=True):
            manner = "too sure" if row["excess"] > 0 else "too modest"
            certain = p < ALPHA and (row["excess_low"] > 0 or row["excess_high"] < 0)
            found_out = f"{equals(p)}: {manner if certain else 'no miscalibration is certain'}"
            said = "which cannot be tested with a single unit" if np.isnan(p) else found_out
            apart = difference(*row[["excess", "excess_low", "excess_high"]])
            lines.append(f"- **{dataset}**, {row['entry']}: {apart} points surer than right, {said}.")
    return "\n".join(lines) or "- No model of this profile gives probabilities."


def calibration_table(found: pd.DataFrame) -> pd.DataFrame:
    """How honest probabilities are. found: as `comparison.calibrations` gives it."""
    header = ("data set", "model", "taken as probability")
    rows = [
        {
            "data set": row["dataset"],
            "model": row["entry"],
            "taken as probability": row["probabilities"],
            "expected calibration error (points)": _ranged(row, "ece", lambda x: f"{100 * x:.1f}"),
            "negative log-likelihood (nats a window)": _ranged(row, "nll", lambda x: f"{x:.3f}"),
            "surer than right (points)": difference(*row[["excess", "excess_low", "excess_high"]]),
        }
        for _, row in found.iterrows()
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=header)


def _ranged(row: pd.Series, name: str, text: Callable[[float], str]) -> str:
    value, low, high = row[[name, f"{name}_low", f"{name}_high"]]
    return text(value) if pd.isna(low) else f"{text(value)} ({text(low)} – {text(high)})"


# ── settings that were chosen on some of the people ──────────────────────────────────────────────
def seen_table(found: pd.DataFrame) -> pd.DataFrame:
    """Scores with and without the units that settings were chosen on. found: of `comparison.seen_and_unseen`."""
    kinds = {"": "all", "_unseen": "never looked at", "_seen": "looked at"}
    rows = [
        {
            "data set": row["dataset"],
            "model": row["entry"],
            **{f"{kind}: macro F1 (%)": _part(row, end) for end, kind in kinds.items()},
        }
        for _, row in found.iterrows()
    ]
    # a page cannot show a table without rows
    names = ["data set", "model", *(f"{kind}: macro F1 (%)" for kind in kinds.values())]
    return pd.DataFrame(rows or [["–"] * len(names)], columns=names)


def seen(found: pd.DataFrame, entry: str, tuned_on: Mapping[str, Sequence[str]]) -> str:
    """What becomes of one model's score without the units that settings were chosen on; and that scores with them are
    optimistic. found: of `comparison.seen_and_unseen`; tuned_on: `Config.tuned_on`."""
    lines = [
        f"- **{row['dataset']}**: settings of this profile were chosen while looking at the scores of "
        f"the units {', '.join(tuned_on[row['dataset']])}, so that scores of {row['dataset']} are **optimistic**. "
        f"Macro F1 of {entry}: {_part(row, '')} % over all {row['units']} units, {_part(row, '_unseen')} % over the "
        f"{row['units_unseen']} that were never looked at{_too_few(row['units_unseen'])}."
        for _, row in found.iterrows()
        if row["entry"] == entry
    ]
    return "\n".join(lines) or "- No setting of this profile was chosen by looking at a test score of these data."


def _too_few(units: int) -> str:
    """What tests over so few units could say, where that is nothing."""
    least = 2.0 ** (1 - units)  # of swaps, two-sided
    return f" (too few to test anything: no p over {units} units is below {p_value(least)})" if least >= ALPHA else ""


def _part(row: pd.Series, end: str) -> str:
    score = row[[name + end for name in ("macro_f1", "low", "high")]].set_axis(["macro_f1", "low", "high"])
    return with_interval(score.astype(float)) if row[f"units{end}"] else "–"


# ── disturbances ─────────────────────────────────────────────────────────────────────────────────
def fragility(table: pd.DataFrame) -> str:
    """The worst that each kind of disturbance does. table: as `results.robustness` gives it."""
    if len(table) == 0:
        return "- No model of this profile was disturbed; `robustness` in its configuration says which would be."
    lines = []
    for (dataset, entry), part in table.groupby(["dataset", "entry"], sort=False):
        kinds = part[~part["reference"].astype(bool)].groupby("kind", sort=False)
        worst = [part.loc[rows["lost"].astype(float).idxmax()] for _, rows in kinds]
        said = ", ".join(
            f"{condition(row['kind'], row['value'])} {difference(row['lost'], row['lost_low'], row['lost_high'])}"
            for row in worst
        )
        lines.append(f"- **{dataset}**, {entry}: {said}.")
    return (
        "Of each kind the condition that cost most here, in points of macro F1 lost (−: gained), with its 95 % "
        "interval; picked for being the largest, it is likely to cost less in other recordings:\n\n" + "\n".join(lines)
    )


def robustness_table(table: pd.DataFrame) -> pd.DataFrame:
    """Points of macro F1 that each condition costs, a column each model. table: as `results.robustness` gives it."""
    cost = table[~table["reference"].astype(bool)]
    named = cost.assign(
        shown=[difference(*row) for row in zip(cost["lost"], cost["lost_low"], cost["lost_high"], strict=True)],
        condition=[condition(*row) for row in zip(cost["kind"], cost["value"], strict=True)],
    )
    return _crossed(named, ["dataset", "condition"], "entry", "shown")


def condition(kind: str, value: float | str | int) -> str:
    """A condition of `tinyloc.evaluation.conditions` as a reader would say it."""
    if kind == DROPPED:
        return f"{100 * value:.0f} % of the packets lost"
    return f"{value} dead" if kind == DEAD else f"windows of {value} step{'' if value == 1 else 's'}"


# ── how they are written ─────────────────────────────────────────────────────────────────────────
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


def difference(value: float, low: float | None, high: float | None) -> str:
    """ "+1.2 (−0.3 to +2.7)", in points; without brackets where there is no interval."""
    return points(value) if pd.isna(low) else f"{points(value)} ({points(low)} to {points(high)})"


def equals(p: float) -> str:
    """ "p = 0.012", or "p < 0.001"."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"
