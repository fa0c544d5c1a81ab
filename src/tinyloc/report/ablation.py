"""What each way of distilling brings: a student with its teachers against the same student without them.

The pairs come from the configuration: a distilled model's *plain* one is the model that is alike in everything but
the `distillation`. Both answered for the same test windows from the same seeds, so the difference is paired unit by
unit and seed by seed (see `tinyloc.evaluation.paired`). All ways of teaching one plain student on one data set are one
family of tests: each of them is held against the same plain student.
"""

import numpy as np
import pandas as pd

from tinyloc.config import Config, Distillation, Neural
from tinyloc.evaluation import paired, statistics
from tinyloc.report.numbers import percent, points
from tinyloc.report.runs import Scored, Scores, alike


def pairs(config: Config) -> dict[str, str]:
    """Distilled model -> its plain one, for all that have one in the configuration."""
    networks = {name: model for name, model in config.models.items() if isinstance(model, Neural)}
    plain = {name: model for name, model in networks.items() if model.distillation is None}
    alone = {name: model.model_copy(update={"distillation": None}) for name, model in networks.items()}
    found = {
        name: next((other for other in plain if plain[other] == alone[name]), None)
        for name in networks.keys() - plain.keys()
    }
    return {name: found[name] for name in networks if found.get(name)}


def imitated(distillation: Distillation) -> str:
    """What a student imitates, in a few words: "scores", "scores of 3 teachers", or "consistent marginals"."""
    teachers = len(distillation.runs(0))
    what = ("consistent " if distillation.consistent else "") + " + ".join(distillation.targets)
    return what if teachers == 1 else f"{what} of {teachers} teachers"


def table(config: Config, scores: Scores) -> pd.DataFrame:
    """One row a data set and distilled student, in the configuration's order, for the data sets that have any score
    (for all where none has).

    Columns: dataset; entry, plain (names of models); imitates; units, seeds (how many both have); plain_f1, macro_f1,
    difference, each with _low and _high; p, p_equivalent, p_holm, p_least, verdict as `comparison.pairs` has them,
    Holm's correction for the ways of teaching one plain student on one data set. All scores are fractions, NaN where a
    student or its plain one has no scores, or none of the same units and seeds.
    """
    scored = {dataset for dataset, _ in scores} or set(config.datasets)
    rows = [
        {
            "dataset": dataset,
            "entry": name,
            "plain": plain,
            "imitates": imitated(config.models[name].distillation),
            **_compared(scores.get((dataset, name)), scores.get((dataset, plain))),
        }
        for dataset in config.datasets
        if dataset in scored
        for name, plain in pairs(config).items()
    ]
    found = pd.DataFrame(rows)
    family = found.groupby(["dataset", "plain"], sort=False)
    found["p_holm"] = family["p"].transform(paired.holm)
    found["p_equivalent"] = family["p_equivalent"].transform(paired.holm)
    decisive = ["difference", "difference_low", "difference_high", "p_holm", "p_equivalent"]
    return found.assign(verdict=[paired.verdict(*row) for row in found[decisive].itertuples(index=False)])


NUMBERS = (
    *(name + end for name in ("plain_f1", "macro_f1", "difference") for end in ("", "_low", "_high")),
    *("p", "p_equivalent", "p_least"),
)


def _compared(ours: Scored | None, theirs: Scored | None) -> dict[str, float]:
    pair = alike(ours, theirs)
    if pair is None:
        return {"units": 0, "seeds": 0} | dict.fromkeys(NUMBERS, np.nan)
    taught, plain = pair
    n_seeds = taught.n_seeds
    found = paired.compare([taught], [plain])
    return {
        "units": found.n_units,
        "seeds": n_seeds,
        **_ends("plain_f1", **statistics.interval(plain.score, found.n_units, n_seeds)),
        **_ends("macro_f1", **statistics.interval(taught.score, found.n_units, n_seeds)),
        **_ends("difference", found.difference, found.low, found.high),
        "p": found.p,
        "p_equivalent": found.p_equivalent,
        "p_least": found.p_least,
    }


def _ends(name: str, mean: float, low: float, high: float) -> dict[str, float]:
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def seeds_in_words(students: pd.DataFrame, scores: Scores) -> str:
    """Markdown: what was found to help or to hurt, seed by seed, and how much of it rests on one of them.

    students: of `table`, from the same scores. Nothing where nothing was found, or with one seed.
    """
    lines = []
    for _, row in students[students["verdict"].isin((paired.BETTER, paired.WORSE))].iterrows():
        taught, plain = alike(*(scores[row["dataset"], row[name]] for name in ("entry", "plain")))
        if plain.n_seeds < 2:
            continue
        alone, difference = _by_seed(plain), _by_seed(taught) - _by_seed(plain)
        most = difference.argmax() if row["verdict"] == paired.BETTER else difference.argmin()
        others = np.delete(difference, most).mean()
        lines.append(
            f"- **{row['dataset']}**, {row['plain']}, {row['imitates']}: alone {', '.join(map(percent, alone))} %; the "
            f"teaching adds {', '.join(map(points, difference))} points. Without the seed that counts most "
            f"({percent(alone[most])} % alone) that is {points(others)} in the mean."
        )
    return "\n".join(["What helps or hurts, seed by seed (macro F1):\n", *lines]) if lines else ""


def _by_seed(units: statistics.Units) -> np.ndarray:
    """The score of each seed [K]: of units that are scored together, or the mean of theirs."""
    if units.pooled:
        return statistics.macro_f1(units.counts.sum(1))
    return statistics.macro_f1(units.counts).mean(1)
