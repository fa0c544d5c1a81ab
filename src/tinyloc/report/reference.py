"""Reference results: scores that the authors' own runs left, committed as small files, beside the reader's.

`reference/<profile>/<dataset>/<entry>.json` holds the scores of one entry with what made them (configuration, seeds,
fingerprint of the data, commit, versions, wall time). There are no predictions and no recordings in it: a unit's name,
its score and its confusion counts are all that is kept of a test person.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from tinyloc.config import Config, Model
from tinyloc.errors import InputError
from tinyloc.evaluation import paired, statistics
from tinyloc.files import read_json, sha256, shipped, write_json
from tinyloc.report import comparison, results, tables
from tinyloc.report.numbers import counted, span

FORMAT = 1
COLUMNS = (
    *("dataset", "entry", "macro_f1", "low", "high", "reference", "reference_low", "reference_high"),
    *("seeds", "commit", "same_data", "agrees"),
)


@dataclass(frozen=True)
class Reference:
    """The scores of one entry on one data set, as fractions of macro F1."""

    dataset: str
    entry: str
    seeds: tuple[int, ...]
    mean: float
    low: float  # NaN where one unit alone was tested
    high: float
    fingerprint: str  # of the data
    commit: str

    def agrees(self, mean: float, low: float, high: float) -> bool:
        """Whether another run of the same study is beyond doubt not different from this one.

        Either run's mean has to lie in the other's interval. That two intervals touch would be too little: the same
        people were tested. Without intervals (one unit) only the same score agrees.
        """
        ours = np.nan_to_num([self.low, self.high], nan=self.mean)
        theirs = np.nan_to_num([low, high], nan=mean)
        return bool(ours[0] <= mean <= ours[1] or theirs[0] <= self.mean <= theirs[1])


def folder_of(profile: str) -> Path:
    """Where the references of a profile lie, or would."""
    return shipped("reference") / profile


def digest() -> str:
    """Of all references, so that the workflow shows new ones."""
    files = sorted(shipped("reference").rglob("*.json"))
    return sha256(*(path.read_bytes() for path in files))


@dataclass(frozen=True)
class _Taken:
    """What is kept of the seeds of an entry; all lists are in the order of `units.counts`."""

    units: statistics.Units
    seeds: list[int]
    commits: list[str]
    seconds: list[float]

    def beside(self, other: "_Taken") -> "_Taken":
        """Ours, and the seeds of the other, of the same units, that we lack; by their number."""
        lacking = [k for k, seed in enumerate(other.seeds) if seed not in self.seeds]
        columns = [other.units.names.index(name) for name in self.units.names]
        counts = np.concatenate([self.units.counts, other.units.counts[lacking][:, columns]])
        order = np.argsort(seeds := self.seeds + [other.seeds[k] for k in lacking])
        commits, seconds = (
            getattr(self, name) + [getattr(other, name)[k] for k in lacking] for name in ("commits", "seconds")
        )
        ordered = ([values[k] for k in order] for values in (seeds, commits, seconds))
        return _Taken(replace(self.units, counts=counts[order]), *ordered)


def write(folders: Iterable[Path], out: Path, add: bool = False) -> list[Path]:
    """Keep the scores of result folders (`Study.fit`, `Study.export`), one file an entry; all its seeds together.

    add: keep the seeds that a file has already and these folders lack.
    Raises InputError: the seeds of an entry are not of the same data, settings and units.
    """
    groups = comparison.group(folders)
    return [
        _write(
            dataset,
            entry,
            seeds,
            groups.get((dataset, results.original(entry)), []),
            out / dataset / f"{entry}.json",
            add,
        )
        for (dataset, entry), seeds in groups.items()
    ]


def _write(dataset: str, entry: str, seeds: Sequence[Path], originals: Sequence[Path], path: Path, add: bool) -> Path:
    configs = [read_json(folder / "config.json") for folder in seeds]
    _require_alike(f"{dataset}/{entry}", seeds, configs)
    taken = _Taken(
        comparison.units_of(seeds),
        [results.Key.of(folder).seed for folder in seeds],
        [config["provenance"]["commit"] for config in configs],
        [read_json(folder / "timing.json")["seconds"] for folder in seeds],
    )
    if add and path.is_file():
        taken = _added(taken, path, configs[0])
    units = taken.units
    found = statistics.interval(units.score, len(units.names), units.n_seeds)
    write_json(
        path,
        {
            "format": FORMAT,
            "dataset": dataset,
            "entry": entry,
            "seeds": taken.seeds,
            "commits": taken.commits,  # of each seed
            "macro_f1": {name: None if np.isnan(value) else value for name, value in found.items()},
            "macro_f1_by_unit": dict(zip(units.names, units.by_unit().tolist(), strict=True)),
            "confusion": _written(units),
            "parameters": read_json(seeds[0] / "metrics.json")["parameters"],
            "seconds": sum(taken.seconds),
            "model": configs[0]["model"],
            "windows": configs[0]["windows"],
            "origin": configs[0]["origin"],
            "fingerprint": configs[0]["fingerprint"],
            "provenance": configs[0]["provenance"],
            **({"export": _export(seeds, originals)} if results.kind(entry) else {}),
        },
    )
    return path


def _require_alike(name: str, seeds: Sequence[Path], configs: Sequence[Mapping]) -> None:
    """Raises InputError: the seeds are not of the same data, settings and units. configs: the `config.json` of each."""
    first, asked = results.Key.of(seeds[0]).seed, _asked(seeds[0])
    for folder, made in zip(seeds[1:], configs[1:], strict=True):
        for what, same in (_alike(configs[0], made) | {"test rows": asked.equals(_asked(folder))}).items():
            if not same:
                other = results.Key.of(folder).seed
                raise InputError(f"{name}: seeds {first} and {other} differ in {what!r}; compute them again, all alike")


def _asked(folder: Path) -> pd.DataFrame:
    """What a result answered; a unit is a fold or a recording of it."""
    return results.predictions(folder)[["fold", "recording", "step"]]


def _alike(one: Mapping, other: Mapping) -> dict[str, bool]:
    """Whether two results, as `config.json` or a reference has them, were made alike."""
    return {
        "fingerprint": one["fingerprint"] == other["fingerprint"],
        "windows": one["windows"] == other["windows"],
        "model": _settings(one["model"]) == _settings(other["model"]),
    }


def _added(taken: _Taken, path: Path, made: Mapping) -> _Taken:
    """`taken` and the seeds that the file at `path` has besides. made: the `config.json` of what was taken."""
    kept = read_json(path)
    if "export" in kept:
        raise InputError(f"{path}: an export is taken with all its seeds, because it was tested against its original")
    units = units_of(path)
    for name, same in (_alike(kept, made) | {"units": set(units.names) == set(taken.units.names)}).items():
        if not same:
            raise InputError(f"{path}: {name!r} is not as in this run, so no seed can be added; write it anew")
    commits = kept.get("commits", [kept["provenance"]["commit"]] * len(kept["seeds"]))
    seconds = [kept["seconds"] / len(kept["seeds"])] * len(kept["seeds"])  # of all seeds together is what a file has
    return taken.beside(_Taken(units, kept["seeds"], commits, seconds))


def _settings(model: Mapping) -> Model:
    """Of a model as a file has them, with the defaults of what was no setting yet when it was written."""
    return TypeAdapter(Model).validate_python(model)


def _written(units: statistics.Units) -> dict:
    """Confusion counts as text, row after row, one line a unit and seed; `pooled` as `statistics.Units` has it."""
    lines = {
        name: [" ".join(map(str, counts.ravel())) for counts in units.counts[:, u]]
        for u, name in enumerate(units.names)
    }
    return {"pooled": units.pooled, "units": lines}


def units_of(path: Path) -> statistics.Units:
    """The confusion counts that a reference keeps, which every score, interval and test can be made from again.

    Raises InputError: it was taken by a version that kept none.
    """
    kept = read_json(path).get("confusion")
    if kept is None:
        raise InputError(f"{path}: keeps no confusion counts; take the file again")
    counts = np.array([[line.split() for line in seeds] for seeds in kept["units"].values()], np.int64)  # [U, K, R R]
    rooms = int(np.sqrt(counts.shape[-1]))
    return statistics.Units(
        counts.swapaxes(0, 1).reshape(*counts.shape[1::-1], rooms, rooms), tuple(kept["units"]), kept["pooled"]
    )


def _export(seeds: Sequence[Path], originals: Sequence[Path]) -> dict:
    """Of an exported entry: what it takes, of folds and seeds the most, and what it costs against its original, tested
    over all folds and the seeds that both have. p values are of this one question, not corrected."""
    sizes = results.exports(seeds)
    most = {name: sizes[name].max() for name in ("weights_bytes", "tflite_bytes", "arena_bytes")}
    taken = {name: None if np.isnan(size) else int(size) for name, size in most.items()}
    if compiled := _compiled(seeds):
        taken["compiled"] = compiled
    trained = {results.Key.of(folder).seed: folder for folder in originals}
    both = [(folder, trained[seed]) for folder in seeds if (seed := results.Key.of(folder).seed) in trained]
    if not both:
        return {**taken, "against_original": None}
    ours, theirs = (comparison.units_of(folders) for folders in zip(*both, strict=True))
    found = {name: None if np.isnan(value) else value for name, value in vars(paired.compare([ours], [theirs])).items()}
    return {**taken, "against_original": {**found, "seeds": len(both)}}


def _compiled(seeds: Sequence[Path]) -> dict | None:
    """What its compiled programs take on boards, of seeds and boards the most; None where there was no run."""
    reports = sorted(path for folder in seeds for path in folder.glob("device-*.json"))
    if not reports:
        return None
    runs = results.devices(reports)
    return {
        "boards": sorted(runs["board"].unique()),
        "seeds": sorted(int(seed) for seed in runs["seed"].unique()),
        "flash_bytes": int(runs["flash.total"].max()),
        "ram_bytes": int(runs["ram.total"].max()),
        "max_abs_difference": float(runs["max_abs_difference"].max()),
    }


def read(profile: str) -> list[Reference]:
    """The references of a profile; none where none were committed.

    Raises InputError: a file is of another format.
    """
    return [_read(path) for path in files(profile)]


def files(profile: str) -> list[Path]:
    """The files that hold the references of a profile."""
    return sorted(folder_of(profile).rglob("*.json"))


def _read(path: Path) -> Reference:
    kept = read_json(path)
    if kept.get("format") != FORMAT:
        raise InputError(f"{path}: format {kept.get('format')!r}, but this version reads {FORMAT}; take the file again")
    score = {name: np.nan if value is None else value for name, value in kept["macro_f1"].items()}
    return Reference(
        dataset=kept["dataset"],
        entry=kept["entry"],
        seeds=tuple(kept["seeds"]),
        **score,
        fingerprint=kept["fingerprint"],
        commit=kept["provenance"]["commit"],
    )


def beside(folders: Sequence[Path], references: Iterable[Reference]) -> pd.DataFrame:
    """The reader's results and the references, one row an entry that both have.

    Columns: dataset, entry; macro_f1, low, high (the reader's); reference, reference_low, reference_high, seeds,
    commit; same_data; agrees (None where the data are others, because then nothing follows from a difference).
    """
    kept = {(r.dataset, r.entry): r for r in references}
    groups = comparison.group(folders)
    rows = []
    for _, row in comparison.summary(folders).iterrows() if groups else ():
        reference = kept.get((row["dataset"], row["entry"]))
        if reference is None:
            continue
        config = read_json(groups[row["dataset"], row["entry"]][0] / "config.json")
        same = config["fingerprint"] == reference.fingerprint
        mine = {name: row[name] for name in ("macro_f1", "low", "high")}
        rows.append(
            {
                "dataset": row["dataset"],
                "entry": row["entry"],
                **mine,
                "reference": reference.mean,
                "reference_low": reference.low,
                "reference_high": reference.high,
                "seeds": len(reference.seeds),
                "commit": reference.commit,
                "same_data": same,
                "agrees": reference.agrees(*mine.values()) if same else None,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def shown(references: Sequence[Reference]) -> pd.DataFrame:
    """References alone, a row a model and a column a data set, in per cent; a row of dashes where there are none."""
    datasets = list(dict.fromkeys(r.dataset for r in references))
    cells = {(r.entry, r.dataset): tables.with_interval(pd.Series(_score(r))) for r in references}
    rows = [
        {"model": entry, **{dataset: cells.get((entry, dataset), "–") for dataset in datasets}}
        for entry in dict.fromkeys(r.entry for r in references)
    ]
    return pd.DataFrame(rows or [{"model": "–", "macro F1 (%)": "–"}])


def computed(config: Config, references: Sequence[Reference]) -> str:
    """Markdown: how much of a profile the references hold."""
    if not references:
        return "None of it was computed."
    models = ", ".join(dict.fromkeys(r.entry for r in references))
    seeds = span(len(r.seeds) for r in references)
    return (
        f"That is {len(references)} of the {len(config.datasets) * len(config.models)} pairs of a data set and a model "
        f"that the profile trains: {models}, with {seeds} of its {counted(len(config.seeds), 'seed')}."
    )


def _score(reference: Reference) -> dict[str, float]:
    return {"macro_f1": reference.mean, "low": reference.low, "high": reference.high}


def disagreements(table: pd.DataFrame) -> list[str]:
    """A line for each row of `beside` in which the two runs do not agree."""
    return [
        f"{row['dataset']}/{row['entry']}: macro F1 {row['macro_f1']:.4f}, but the reference (commit {row['commit']}) "
        f"has {row['reference']:.4f} ({row['reference_low']:.4f} to {row['reference_high']:.4f})"
        for _, row in table.iterrows()
        if row["agrees"] is False
    ]


def other_data(table: pd.DataFrame) -> list[str]:
    """The data sets of `beside` that are other data than the reference's, so that nothing was compared."""
    return list(dict.fromkeys(table.loc[~table["same_data"].astype(bool), "dataset"]))


def verdict(table: pd.DataFrame) -> str:
    """Markdown: how many of the rows of `beside` agree, which do not, and what was not compared."""
    if table.empty:
        return "There is **no reference run** of this profile, so that nothing stands beside these results."
    compared = table[table["same_data"].astype(bool)]
    apart = disagreements(table)
    lines = [f"Of {len(compared)} results of the same data, {len(compared) - len(apart)} agree with the reference run."]
    lines += [f"- **{line}**" for line in apart]
    lines += [
        f"- **{dataset}** was not compared: its fingerprint is not the reference's, so these are other data."
        for dataset in other_data(table)
    ]
    return "\n".join([lines[0], "", *lines[1:]])
