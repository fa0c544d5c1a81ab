"""What may be believed of results, as tables and as sentences: pairs of models, delays, probabilities, disturbances.

The figures of the same are in `tinyloc.report.figures.evidence`.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from tinyloc.errors import InputError
from tinyloc.evaluation import delay
from tinyloc.evaluation.conditions import DEAD, DROPPED
from tinyloc.evaluation.paired import ALPHA, BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE
from tinyloc.report.numbers import percent, points, span

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
        units, least = part["n_units"].iloc[0], part["p_least"].iloc[0] * len(part)
        power = f"{units} units, {len(part)} pair{'s' if len(part) > 1 else ''}"
        if part["p"].isna().all():
            power += ": with a single unit nothing can be tested"
        elif least >= ALPHA:
            power += f": the smallest p that so few units can give, corrected, is {min(least, 1):.3f}, so that no "
            power += "difference, however plain, could count as certain"
        lines.append(f"- **{dataset}** ({power}): {'; '.join(said)}.")
    return "\n".join(lines)


def pairs_table(tests: pd.DataFrame) -> pd.DataFrame:
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


def verdicts_table(tests: pd.DataFrame) -> pd.DataFrame:
    """What may be said of every pair, the entry of the row against that of the column.

    tests: as `comparison.pairs` gives it.
    """
    named = tests.assign(
        shown=[f"{v} ({points(d)})" for v, d in zip(tests["verdict"], tests["difference"], strict=True)]
    )
    return _crossed(named, ["dataset", "entry"], "against", "shown")


# ── delay ────────────────────────────────────────────────────────────────────────────────────────
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


def delay_table(waits: pd.DataFrame, entries: Iterable[tuple[str, str]], bin_s: float) -> pd.DataFrame:
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


def _bounded(found: Mapping | None, unit: float) -> str:
    """A value with its interval; where it lies among the changes that were never noticed, it has no end."""
    if found is None:
        return "–"
    value, low, high = ("∞" if found[n] is None else f"{unit * found[n]:.0f}" for n in ("value", "low", "high"))
    return value if low == high == "∞" and value == "∞" else f"{value} ({low} – {high})"


# ── probabilities ────────────────────────────────────────────────────────────────────────────────
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


def calibration_table(found: pd.DataFrame) -> pd.DataFrame:
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


# ── disturbances ─────────────────────────────────────────────────────────────────────────────────
def fragility(table: pd.DataFrame) -> str:
    """The worst that each kind of disturbance does. table: as `results.robustness` gives it."""
    if len(table) == 0:
        return "- No model of this profile was disturbed; `robustness` in its configuration says which would be."
    lines = []
    for (dataset, entry), part in table.groupby(["dataset", "entry"], sort=False):
        kinds = part[~part["reference"].astype(bool)].groupby("kind", sort=False)
        worst = [part.loc[rows["lost"].astype(float).idxmax()] for _, rows in kinds]
        said = ", ".join(f"{condition(row['kind'], row['value'])} {points(row['lost'])}" for row in worst)
        lines.append(f"- **{dataset}**, {entry}: {said}.")
    return "The worst of each kind, in points of macro F1 that are lost (−: gained):\n\n" + "\n".join(lines)


def robustness_table(table: pd.DataFrame) -> pd.DataFrame:
    """Points of macro F1 that each condition costs, a column each model. table: as `results.robustness` gives it."""
    cost = table[~table["reference"].astype(bool)]
    named = cost.assign(
        shown=[_difference(*row) for row in zip(cost["lost"], cost["lost_low"], cost["lost_high"], strict=True)],
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


def _difference(value: float, low: float | None, high: float | None) -> str:
    """ "+1.2 (−0.3 to +2.7)", in points; without brackets where there is no interval."""
    return points(value) if pd.isna(low) else f"{points(value)} ({points(low)} to {points(high)})"


def _p(p: float) -> str:
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def equals(p: float) -> str:
    """ "p = 0.012", or "p < 0.001"."""
    return f"p {_p(p)}" if p < 0.001 else f"p = {_p(p)}"
