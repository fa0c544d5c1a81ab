"""How long one must walk through a house before a model knows it: the curve of scores, and the tests along it.

The data sets of such a profile are one house whose fingerprint walks are broken off after some minutes each; what was
learnt from them is asked about the same recordings of living. So two models can be paired at one length, and two
lengths of one model as well.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tinyloc.config import Config, HouseData
from tinyloc.data.features import all_steps
from tinyloc.data.simulate import simulate
from tinyloc.evaluation import paired, statistics
from tinyloc.evaluation.paired import BETTER, EQUIVALENT, MARGIN
from tinyloc.report import comparison, roles
from tinyloc.report.numbers import points
from tinyloc.report.runs import Scores, alike
from tinyloc.report.tables import with_interval
from tinyloc.report.trust import difference, equals

CURVE = ("dataset", "minutes", "entry", "seeds", "units", "macro_f1", "low", "high")


def walks(config: Config) -> dict[str, float]:
    """Data set -> minutes of each of its walks, the shortest first."""
    houses = {name: data for name, data in config.datasets.items() if isinstance(data, HouseData)}
    minutes = {name: data.fingerprint_kept_minutes or data.fingerprint_minutes for name, data in houses.items()}
    return dict(sorted(minutes.items(), key=lambda item: item[1]))


def rooms(config: Config) -> pd.DataFrame:
    """What is walked through, a row a length.

    Columns: minutes; rooms (how many there are), walked (how many were entered); least_s (seconds in the room with the
    fewest, all walks taken together).
    """
    *_, longest = walks(config)
    # living is not looked at, and a short one takes no time
    house = config.datasets[longest].model_copy(update={"living_minutes": 1, "living_recordings": 1})
    data = simulate(longest, house)
    recordings = [s for s in all_steps(data, config.features) if s.phase == "fingerprint"]
    rows = []
    for minutes in walks(config).values():
        seen = np.concatenate([s.room[s.step < 60 * minutes / config.features.bin_s] for s in recordings])
        steps = np.bincount(seen, minlength=len(data.rooms))
        rows.append((minutes, len(steps), int((steps > 0).sum()), steps.min() * config.features.bin_s))
    return pd.DataFrame(rows, columns=["minutes", "rooms", "walked", "least_s"])


def curve(config: Config, scores: Scores) -> pd.DataFrame:
    """Macro F1 (fractions), with its 95 % interval over recordings and seeds: a row a length and model, columns
    CURVE."""
    rows = []
    for dataset, minutes in walks(config).items():
        for entry in config.models:
            if scored := scores.get((dataset, entry)):
                units = scored.units
                found = statistics.interval(units.score, len(units.names), units.n_seeds)
                rows.append((dataset, minutes, entry, units.n_seeds, len(units.names), *found.values()))
    return pd.DataFrame(rows, columns=CURVE)


def against_rivals(config: Config, scores: Scores) -> pd.DataFrame:
    """The teacher against each rival at each length, all of it one family of tests.

    Columns: those of `comparison.PAIRS`, and minutes.
    """
    teacher, rivals = roles.teacher(config), roles.rivals(config)
    asked = [(dataset, teacher, rival, dataset, rival) for dataset in walks(config) for rival in rivals]
    return _tested(config, scores, asked)


def against_longest(config: Config, scores: Scores) -> pd.DataFrame:
    """Each model after each shorter walk against itself after the longest, all of it one family of tests.

    Columns: those of `comparison.PAIRS`, where `against` is the data set of the longest walk; and minutes.
    """
    *shorter, longest = walks(config)
    asked = [(dataset, entry, longest, longest, entry) for entry in config.models for dataset in shorter]
    return _tested(config, scores, asked)


def _tested(config: Config, scores: Scores, asked: Iterable[tuple[str, ...]]) -> pd.DataFrame:
    """asked: data set and entry; what it is held against is called; that one's data set and entry."""
    rows = []
    for dataset, entry, against, *other in asked:
        if pair := alike(scores.get((dataset, entry)), scores.get(tuple(other))):
            found = paired.compare([pair[0]], [pair[1]])
            row = {"dataset": dataset, "entry": entry, "against": against, **vars(found), "p_least": found.p_least}
            rows.append(row)
    tests = comparison.corrected(pd.DataFrame(rows)) if rows else pd.DataFrame(columns=comparison.PAIRS)
    return tests.assign(minutes=tests["dataset"].map(walks(config)))


# ── as tables ────────────────────────────────────────────────────────────────────────────────────
def curve_table(found: pd.DataFrame, walked: pd.DataFrame) -> pd.DataFrame:
    """Scores in per cent, a row a length and a column a model. found: of `curve`; walked: of `rooms`."""
    rows = []
    for _, seen in walked.iterrows():
        here = found[found["minutes"] == seen["minutes"]]
        cells = {row["entry"]: with_interval(row) for _, row in here.iterrows()}
        rows.append(
            {
                "minutes a walk": f"{seen['minutes']:g}",
                "rooms walked through": f"{seen['walked']:.0f} of {seen['rooms']:.0f}",
                "seconds in the rarest": f"{seen['least_s']:.0f}",
                **{entry: cells.get(entry, "–") for entry in dict.fromkeys(found["entry"])},
            }
        )
    return pd.DataFrame(rows)


def tests_table(tests: pd.DataFrame, down: str, across: str) -> pd.DataFrame:
    """What the tests say, in points. tests: of `against_rivals` or `against_longest`. down, across: two of its columns,
    whose values become the rows and the columns."""
    if tests.empty:  # a page cannot show a table without rows
        return pd.DataFrame([{"": "not computed"}])
    shown = tests.assign(
        minutes=[f"{minutes:g} min" for minutes in tests["minutes"]],
        said=[_difference(row) for _, row in tests.iterrows()],
    )
    across_names = list(dict.fromkeys(shown[across]))
    cells = shown.set_index([down, across])["said"].to_dict()
    rows = [[name, *(cells.get((name, at), "–") for at in across_names)] for name in dict.fromkeys(shown[down])]
    return pd.DataFrame(rows, columns=["", *across_names])


def _difference(row: pd.Series) -> str:
    return f"{difference(row['difference'], row['low'], row['high'])}: **{row['verdict']}**"


# ── in words ─────────────────────────────────────────────────────────────────────────────────────
def in_words(config: Config, rivals: pd.DataFrame, longest: pd.DataFrame) -> str:
    """Markdown: from how many minutes on the teacher is better than every rival, and from how many on each model gains
    less than a point from walking longer. rivals: of `against_rivals`; longest: of `against_longest`."""
    if rivals.empty:
        return "There is nothing to judge by."
    lines = [_ahead(config, rivals)]
    *_, most = walks(config).values()
    lines += [_enough(entry, tests, most) for entry, tests in longest.groupby("entry", sort=False)]
    return "\n".join(f"- {line}" for line in lines)


def _ahead(config: Config, tests: pd.DataFrame) -> str:
    teacher, names = roles.teacher(config), ", ".join(dict.fromkeys(tests["against"]))
    won = (tests["verdict"] == BETTER).groupby(tests["minutes"]).all()
    start = _from_on(won)
    when = "after walks of **no length**" if start is None else f"from walks of **{start:g} min** on"
    line = f"**{teacher}** is better than each of {names} {when} (Holm's correction for {len(tests)} tests)."
    shorter = [(minutes, part) for minutes, part in tests.groupby("minutes") if start is None or minutes < start]
    open_ = [f"after {minutes:g} min {_not_better(part)}" for minutes, part in shorter]
    return f"{line} Otherwise: {'; '.join(open_)}." if open_ else line


def _not_better(tests: pd.DataFrame) -> str:
    """Of one length: every rival that is not beaten, or that all are."""
    open_ = [
        f"{row['verdict']} against {row['against']} ({_apart(row)})"
        for _, row in tests[tests["verdict"] != BETTER].iterrows()
    ]
    return ", ".join(open_) or "better than all"


def _enough(entry: str, tests: pd.DataFrame, most: float) -> str:
    start = _from_on((tests["verdict"] == EQUIVALENT).groupby(tests["minutes"]).all())
    if start is not None:
        return f"**{entry}**: walks of **{start:g} min** are as good as of {most:g}, within {100 * MARGIN:g} point."
    last = tests.loc[tests["minutes"].idxmax()]
    return (
        f"**{entry}**: no shorter walk is shown to be as good as one of {most:g} min, within {100 * MARGIN:g} point; "
        f"after {last['minutes']:g} min it is {last['verdict']} ({_apart(last)})."
    )


def _apart(row: pd.Series) -> str:
    ends = f"{points(row['low'])} to {points(row['high'])}"
    return f"{points(row['difference'])} points, {ends}; {equals(row['p_holm'])}"


def _from_on(holds: pd.Series) -> float | None:
    """The first of the index from which on it holds to the end; None where it does not at the end."""
    start = None
    for minutes, value in holds.sort_index(ascending=False).items():
        if not value:
            break
        start = minutes
    return start
