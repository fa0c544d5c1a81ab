"""What each way of distilling brings: a student with its teachers against the same student without them.

The pairs come from the configuration: a distilled model's *plain* one is the model that is alike in everything but
the `distillation`. Both answered for the same test windows from the same seeds, so the difference is taken unit by
unit (see `tinyloc.evaluation.statistics`) before anything is averaged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.config import Config, Distillation, Neural
from tinyloc.evaluation import statistics
from tinyloc.files import read_json
from tinyloc.report import comparison, reference, results

Scores = Mapping[tuple[str, str], pd.Series]
"""Macro F1 by unit of (data set, entry), as fractions, the seeds averaged."""


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
    """What a student imitates, in a few words: "scores", or "scores of 3 teachers"."""
    teachers = len(distillation.runs(0))
    what = " + ".join(distillation.targets)
    return what if teachers == 1 else f"{what} of {teachers} teachers"


def of_folders(folders: Iterable[Path]) -> Scores:
    """The scores of result folders, as `Study.fit` leaves them."""
    units = {key: comparison.units_of(seeds) for key, seeds in comparison.group(folders).items()}
    return {key: pd.Series(found.by_unit(), found.names) for key, found in units.items()}


def of_references(files: Iterable[Path]) -> Scores:
    """The scores that the files of `tinyloc reference --write` keep."""
    kept = [read_json(path) for path in files]
    return {(r["dataset"], r["entry"]): pd.Series(r["macro_f1_by_unit"]) for r in kept}


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

    Columns: dataset; entry, plain (names of models); imitates; units; plain_f1, macro_f1 (means over the units);
    difference, low, high (its mean and 95 % interval). All fractions, NaN where a student or its plain one has no
    scores, or not of the same units.
    """
    rows = []
    scored = {dataset for dataset, _ in scores} or set(config.datasets)
    for dataset in (name for name in config.datasets if name in scored):
        for name, plain in pairs(config).items():
            nothing = pd.Series(dtype=float)
            ours, theirs = (scores.get((dataset, entry), nothing) for entry in (name, plain))
            rows.append(
                {
                    "dataset": dataset,
                    "entry": name,
                    "plain": plain,
                    "imitates": imitated(config.models[name].distillation),
                    **_difference(ours, theirs),
                }
            )
    return pd.DataFrame(rows)


def _difference(ours: pd.Series, theirs: pd.Series) -> dict[str, float]:
    if ours.empty or set(ours.index) != set(theirs.index):
        return {"units": 0} | dict.fromkeys(("plain_f1", "macro_f1", "difference", "low", "high"), np.nan)
    difference = (ours - theirs[ours.index]).to_numpy()
    interval = statistics.interval(lambda rows, _: difference[rows].mean(-1), len(difference))
    return {
        "units": len(difference),
        "plain_f1": theirs.mean(),
        "macro_f1": ours.mean(),
        "difference": interval["mean"],
        "low": interval["low"],
        "high": interval["high"],
    }
