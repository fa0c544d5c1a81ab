"""What each way of distilling brings: a student with its teachers against the same student without them.

The pairs come from the configuration: a distilled model's *plain* one is the model that is alike in everything but
the `distillation`. Both answered for the same test windows from the same seeds, so the difference is paired unit by
unit and seed by seed (see `tinyloc.evaluation.paired`). All ways of teaching one plain student on one data set are one
family of tests: each of them is held against the same plain student.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.config import Config, Distillation, Neural
from tinyloc.evaluation import paired, statistics
from tinyloc.files import read_json
from tinyloc.report import comparison, reference, results


@dataclass(frozen=True)
class Scored:
    """The counts of one entry on one data set; the seeds are those of `units.counts`, in its order."""

    units: statistics.Units
    seeds: tuple[int, ...]

    def of(self, seeds: Iterable[int]) -> statistics.Units:
        return replace(self.units, counts=self.units.counts[[self.seeds.index(seed) for seed in seeds]])


Scores = Mapping[tuple[str, str], Scored]
"""By data set and entry."""


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


def of_folders(folders: Iterable[Path]) -> Scores:
    """The scores of result folders, as `Study.fit` leaves them."""
    return {
        key: Scored(comparison.units_of(seeds), tuple(results.Key.of(folder).seed for folder in seeds))
        for key, seeds in comparison.group(folders).items()
    }


def of_references(files: Iterable[Path]) -> Scores:
    """The scores that the files of `tinyloc reference --write` keep."""
    found = {}
    for path in files:
        kept = read_json(path)
        found[kept["dataset"], kept["entry"]] = Scored(reference.units_of(path), tuple(kept["seeds"]))
    return found


@dataclass(frozen=True)
class Found:
    """The scores of an ablation that was run somewhere."""

    scores: Scores
    inputs: list[Path]
    origin: str  # one sentence
    agreement: str = ""  # Markdown: how a run on this machine stands to the reference run


def found(run: Path, profile: str = "ablation") -> Found:
    """The run whose results lie in the folder `run`; where there is none, the reference run; where neither, nothing."""
    mine = [path.parent for path in sorted(run.glob("results/*/*/seed*/config.json"))]
    if mine:
        seeds = [(dataset, len(folders)) for (dataset, _), folders in comparison.group(mine).items()]
        origin = f"These numbers come from a run on this machine ({_seeds(seeds)})."
        agreement = reference.verdict(reference.beside(mine, reference.read(profile)))
        return Found(of_folders(mine), results.score_files(mine), origin, agreement)
    files = sorted(reference.folder_of(profile).rglob("*.json"))
    if files:
        kept = [read_json(path) for path in files]
        commits = ", ".join(sorted({entry["provenance"]["commit"][:12] for entry in kept}))
        seeds = _seeds([(entry["dataset"], len(entry["seeds"])) for entry in kept])
        origin = f"These numbers come from the authors' reference run ({seeds}, commit {commits})."
        return Found(of_references(files), files, origin)
    return Found({}, [], "The ablation was **not computed**: there is no run of it on this machine, and no reference.")


def _seeds(found: Iterable[tuple[str, int]]) -> str:
    """How many seeds every student has at least, by data set where that differs; found: data sets, seeds of entries."""
    fewest: dict[str, int] = {}
    for dataset, number in found:
        fewest[dataset] = min(number, fewest.get(dataset, number))
    said = {dataset: "one seed" if number == 1 else f"{number} seeds" for dataset, number in fewest.items()}
    if len(set(said.values())) == 1:
        return f"{next(iter(said.values()))} a student"
    return f"seeds a student: {', '.join(f'{number} in {dataset}' for dataset, number in fewest.items())}"


def table(config: Config, scores: Scores) -> pd.DataFrame:
    """One row a data set and distilled student, in the configuration's order, for the data sets that have any score
    (for all where none has).

    Columns: dataset; entry, plain (names of models); imitates; units, seeds (how many both have); plain_f1, macro_f1,
    difference, each with _low and _high; p, p_equivalent, p_holm, p_least, verdict as `comparison.pairs` has them,
    Holm's correction for the ways of teaching one plain student on one data set; a difference counts as certain only
    where its interval leaves out zero as well. All scores are fractions, NaN where a student or its plain one has no
    scores, or none of the same units and seeds.
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
    # swaps of units know of no other seeds, and the interval does: a difference that is certain has to pass both
    clear = (found["difference_low"] > 0) | (found["difference_high"] < 0)
    judged = zip(found["difference"], found["p_holm"].where(clear, 1.0), found["p_equivalent"], strict=True)
    return found.assign(verdict=[paired.verdict(*row) for row in judged])


NUMBERS = (
    *(name + end for name in ("plain_f1", "macro_f1", "difference") for end in ("", "_low", "_high")),
    *("p", "p_equivalent", "p_least"),
)


def _compared(ours: Scored | None, theirs: Scored | None) -> dict[str, float]:
    both = sorted(set(ours.seeds) & set(theirs.seeds)) if ours and theirs else []
    if not both or set(ours.units.names) != set(theirs.units.names):
        return {"units": 0, "seeds": 0} | dict.fromkeys(NUMBERS, np.nan)
    taught, plain = ours.of(both), theirs.of(both)
    found = paired.compare([taught], [plain])
    return {
        "units": found.n_units,
        "seeds": len(both),
        **_ends("plain_f1", **statistics.interval(plain.score, found.n_units, len(both))),
        **_ends("macro_f1", **statistics.interval(taught.score, found.n_units, len(both))),
        **_ends("difference", found.difference, found.low, found.high),
        "p": found.p,
        "p_equivalent": found.p_equivalent,
        "p_least": found.p_least,
    }


def _ends(name: str, mean: float, low: float, high: float) -> dict[str, float]:
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
