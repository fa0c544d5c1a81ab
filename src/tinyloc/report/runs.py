"""Scores of a profile that is not the book's own, beside it: run on this machine, or else kept as a reference.

Chapters that show such a profile look here for both, and say which of them it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tinyloc.evaluation import statistics
from tinyloc.files import read_json
from tinyloc.report import comparison, reference, results
from tinyloc.report.numbers import span


@dataclass(frozen=True)
class Scored:
    """The counts of one entry on one data set; the seeds are those of `units.counts`, in its order."""

    units: statistics.Units
    seeds: tuple[int, ...]

    def of(self, seeds: Iterable[int]) -> statistics.Units:
        return replace(self.units, counts=self.units.counts[[self.seeds.index(seed) for seed in seeds]])


Scores = Mapping[tuple[str, str], Scored]
"""By data set and entry."""


def alike(ours: Scored | None, theirs: Scored | None) -> tuple[statistics.Units, statistics.Units] | None:
    """Both over the seeds that both have; None where these are none, or where other units were asked."""
    both = sorted(set(ours.seeds) & set(theirs.seeds)) if ours and theirs else []
    if not both or set(ours.units.names) != set(theirs.units.names):
        return None
    return ours.of(both), theirs.of(both)


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
    """The scores of a profile that was run somewhere."""

    scores: Scores
    inputs: list[Path]
    origin: str  # one sentence
    agreement: str = ""  # Markdown: how a run on this machine stands to the reference run


def found(run: Path, profile: str) -> Found:
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
        commits = ", ".join(sorted({commit[:12] for entry in kept for commit in _commits(entry)}))
        seeds = _seeds([(entry["dataset"], len(entry["seeds"])) for entry in kept])
        origin = f"These numbers come from the authors' reference run ({seeds}, commit {commits})."
        return Found(of_references(files), files, origin)
    said = f"The profile `{profile}` was **not computed**: there is no run of it on this machine, and no reference."
    return Found({}, [], said)


def _commits(entry: Mapping) -> list[str]:
    """That made the seeds of a reference; older files name that of the first seed alone."""
    return entry.get("commits", [entry["provenance"]["commit"]])


def _seeds(found: Iterable[tuple[str, int]]) -> str:
    """How many seeds the models have, by data set where that differs; found: data sets, seeds of entries."""
    numbers: dict[str, set[int]] = {}
    for dataset, number in found:
        numbers.setdefault(dataset, set()).add(number)
    said = {dataset: span(sorted(those), "{}") for dataset, those in numbers.items()}
    if len(set(said.values())) > 1:
        return f"seeds a model: {', '.join(f'{those} in {dataset}' for dataset, those in said.items())}"
    (those,) = set(said.values())
    return "one seed a model" if those == "1" else f"{those} seeds a model"
