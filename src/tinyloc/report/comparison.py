"""Entries over all their folds and seeds, and two entries on the same test rows: by how much one is better.

A difference is taken unit by unit before anything is averaged, because a hard person is hard for both entries. What a
unit is, and how an interval is made, see `tinyloc.evaluation.statistics`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.errors import InputError
from tinyloc.evaluation import calibration, paired, statistics
from tinyloc.report import results
from tinyloc.training.predictions import Predictions, read_predictions

PAIRS = (
    "dataset", "entry", "against", "difference", "low", "high", "p", "p_equivalent", "n_units", "p_least", "p_holm",
    "verdict",
)  # fmt: skip


CALIBRATIONS = (
    *("dataset", "entry", "probabilities"),
    *(name + end for name in ("ece", "nll", "excess") for end in ("", "_low", "_high")),
    *("excess_p", "reliability"),
)
NOT_WORSE = ("entry", "against", "difference", "low", "high", "p", "p_worse")


@dataclass(frozen=True)
class Comparison:
    """`entry` minus `against`, in fractions of macro F1. A data set is a family of one test, so p is not corrected."""

    entry: str
    against: str
    units: pd.DataFrame  # dataset, unit, difference
    intervals: pd.DataFrame  # dataset, mean, low, high, p, p_equivalent, verdict


def compare(folders: Iterable[Path], entry: str, against: str) -> Comparison:
    """Compare two of the entries among `folders` on every data set where both are.

    Raises InputError: no data set has both, or they were not scored on the same units.
    """
    by_key = group(folders)
    datasets = [d for d, e in by_key if e == entry and (d, against) in by_key]
    if not datasets:
        raise InputError(f"no data set has results of both {entry!r} and {against!r}; compute them first")
    units, intervals = [], []
    for dataset in datasets:
        ours, theirs = (units_of(by_key[dataset, e]) for e in (entry, against))
        _require_pairs(dataset, entry, ours, against, theirs)
        difference = ours.by_unit() - theirs.by_unit()
        units.append(pd.DataFrame({"dataset": dataset, "unit": ours.names, "difference": difference}))
        found = paired.compare([ours], [theirs])
        intervals.append(
            {
                "dataset": dataset,
                "mean": found.difference,
                **{name: getattr(found, name) for name in ("low", "high", "p", "p_equivalent")},
                "verdict": paired.verdict(found.difference, found.low, found.high, found.p, found.p_equivalent),
            }
        )
    return Comparison(entry, against, pd.concat(units, ignore_index=True), pd.DataFrame(intervals))


def pairs(
    folders: Iterable[Path],
    entry: str | None = None,
    together: Mapping[str, Sequence[str]] | None = None,
    apart: bool = True,
    one_family: bool = False,
) -> pd.DataFrame:
    """Every pair of entries on every data set, tested: a row each with the columns PAIRS.

    Differences are `entry` minus `against` in fractions of macro F1. Holm's correction is for the pairs of a data set,
    for either question apart; `p_equivalent` is corrected, and `verdict` rests on corrected values alone. What each of
    them is: `tinyloc.evaluation.paired`.
    entry: compare this one alone with every other; fewer questions leave each of them more power.
    together: more rows under these names, for several data sets as one question; their units are all resampled, each
    in its own data set.
    one_family: Holm's correction is for all rows, for a claim about all the data sets.
    Raises InputError: two entries were not scored on the same units and seeds.
    """
    by_key = {key: units_of(seeds) for key, seeds in group(folders).items()}
    alone = dict.fromkeys(d for d, _ in by_key) if apart else ()
    questions = {dataset: (dataset,) for dataset in alone} | dict(together or {})
    tables = [_tested(name, by_key, datasets, entry) for name, datasets in questions.items()]
    found = [table for table in tables if len(table)]
    if not found:
        return pd.DataFrame(columns=PAIRS)
    families = [pd.concat(found, ignore_index=True)] if one_family else found
    return pd.concat([corrected(family) for family in families], ignore_index=True)


def _tested(
    name: str, by_key: Mapping[tuple[str, str], statistics.Units], datasets: Sequence[str], only: str | None
) -> pd.DataFrame:
    """The pairs of entries that are in all of `datasets`, tested and not corrected."""
    entries = [e for d, e in by_key if d == datasets[0] and all((other, e) in by_key for other in datasets)]
    rows = []
    for entry, other in combinations(entries, 2) if only is None else ((only, e) for e in entries):
        if entry == other or only not in {None, *entries}:
            continue
        for dataset in datasets:
            _require_pairs(dataset, entry, by_key[dataset, entry], other, by_key[dataset, other])
        found = paired.compare([by_key[d, entry] for d in datasets], [by_key[d, other] for d in datasets])
        rows.append({"dataset": name, "entry": entry, "against": other, **vars(found), "p_least": found.p_least})
    return pd.DataFrame(rows)


def corrected(tests: pd.DataFrame) -> pd.DataFrame:
    """One family of tests, with what its corrected p-values allow to say: columns PAIRS.

    tests: a row a pair, with the columns of `paired.Paired`, p_least, and the names of what was compared.
    """
    table = tests.assign(p_holm=paired.holm(tests["p"]), p_equivalent=paired.holm(tests["p_equivalent"]))
    judged = table[["difference", "low", "high", "p_holm", "p_equivalent"]].itertuples(index=False)
    return table.assign(verdict=[paired.verdict(*row) for row in judged])[list(PAIRS)]


def not_worse(folders: Iterable[Path], questions: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """`not_worse_units` of results. folders: of one data set."""
    groups = group(folders)
    named = {entry for pair in questions for entry in pair}
    by_entry = {entry: units_of(seeds) for (_, entry), seeds in groups.items() if entry in named}
    return not_worse_units(next((name for name, _ in groups), ""), by_entry, questions)


def not_worse_units(
    dataset: str, by_entry: Mapping[str, statistics.Units], questions: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Whether each entry is less than `paired.MARGIN` worse than its yardstick, all questions as one family of tests.

    questions: (entry, against); those of which a result is missing are left out.
    Columns: entry, against, difference, low, high (fractions of macro F1); p (one-sided, of being worse by the margin
    or more), p_worse (of the opposite), p_holm; holds (p_holm at most `paired.ONE_SIDED`), worse (p_worse, corrected as
    well: worse by more).
    Raises InputError: two entries were not scored on the same units and seeds.
    """
    rows = []
    for entry, against in dict.fromkeys(questions):
        if not {entry, against} <= by_entry.keys():
            continue
        _require_pairs(dataset, entry, by_entry[entry], against, by_entry[against])
        found = paired.compare([by_entry[entry]], [by_entry[against]])
        ends = {name: getattr(found, name) for name in ("difference", "low", "high")}
        rows.append({"entry": entry, "against": against, **ends, "p": found.p_not_worse, "p_worse": found.p_worse})
    table = pd.DataFrame(rows, columns=NOT_WORSE)
    table["p_holm"], opposite = (paired.holm(table[name]) for name in ("p", "p_worse"))
    return table.assign(holds=table["p_holm"] <= paired.ONE_SIDED, worse=opposite <= paired.ONE_SIDED)


def _require_pairs(dataset: str, entry: str, ours: statistics.Units, against: str, theirs: statistics.Units) -> None:
    if ours.names != theirs.names or ours.n_seeds != theirs.n_seeds:
        raise InputError(
            f"{dataset}: {entry!r} and {against!r} were scored on different units or seeds; compute them again"
        )


def summary(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set and entry: seeds, parameters; macro_f1, low, high; accuracy, accuracy_low, accuracy_high."""
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        folds = results.folds(seeds)
        units = units_of(seeds)
        interval = statistics.interval(units.score, len(units.names), units.n_seeds)
        right = statistics.interval(
            lambda drawn, chosen, u=units: u.score(drawn, chosen, statistics.accuracy), len(units.names), units.n_seeds
        )
        rows.append(
            {
                "dataset": dataset,
                "entry": entry,
                "seeds": len(seeds),
                "parameters": folds["parameters"].iloc[0],
                "macro_f1": interval["mean"],
                "low": interval["low"],
                "high": interval["high"],
                "accuracy": right["mean"],
                "accuracy_low": right["low"],
                "accuracy_high": right["high"],
            }
        )
    return pd.DataFrame(rows)


def by_room(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set, entry and room: f1, low, high.

    Of folds it is the mean over those where the room was visited or predicted, of recordings that of all together, the
    mean over the seeds where it was; NaN for a room that was in none.
    """
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        names = results.confusion(seeds[:1]).index
        for room, f1, low, high in zip(names, *_rooms(units_of(seeds)), strict=True):
            rows.append({"dataset": dataset, "entry": entry, "room": room, "f1": f1, "low": low, "high": high})
    return pd.DataFrame(rows)


def _rooms(units: statistics.Units) -> np.ndarray:
    """F1 of every room, and the ends of its 95 % interval [3, R]."""
    n_units, n_seeds = len(units.names), units.n_seeds
    f1 = _room_scores(units, np.arange(n_units)[None], np.arange(n_seeds)[None])[0]
    ends, known = np.full((2, len(f1)), np.nan), ~np.isnan(f1)
    if n_units > 1:
        drawn = _room_scores(units, *statistics.draws(n_units, n_seeds))[:, known]
        ends[:, known] = np.nanquantile(drawn, ((1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2), axis=0)
    return np.vstack([f1, ends])


def _room_scores(units: statistics.Units, drawn: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """F1 of every room [M, R] in resamples of units [M, U] and seeds [M, K]."""
    if units.pooled:
        return _mean(statistics.room_f1(statistics.pooled(units.counts, drawn, seeds)), 1)
    by_unit = _mean(statistics.room_f1(units.counts), 0)
    return _mean(by_unit[drawn], 1)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Of the values that are there; NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    return np.divide(np.where(known, values, 0).sum(axis), count, out=np.full(count.shape, np.nan), where=count > 0)


def calibrations(folders: Iterable[Path]) -> pd.DataFrame:
    """One row a data set and entry that gives probabilities, over all its seeds: probabilities (what was taken for
    them); ece, excess (fractions) and nll (nats a window), each with _low and _high; excess_p; reliability (a list of
    bins). What they are: `tinyloc.evaluation.calibration`.
    """
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        runs = [read_predictions(folder / "predictions.npz") for folder in seeds]
        sources = {rows.probability_source for run in runs for rows in run.values() if rows.probability is not None}
        if not sources:
            continue
        found = _calibration(runs)
        ends = (("", "value"), ("_low", "low"), ("_high", "high"))
        numbers = {name + end: found[name][key] for name in ("ece", "nll", "excess") for end, key in ends}
        rows.append(
            {
                "dataset": dataset,
                "entry": entry,
                "probabilities": ", ".join(sorted(sources)),
                **numbers,
                "excess_p": found["excess"]["p"],
                "reliability": found["reliability"],
            }
        )
    return pd.DataFrame(rows, columns=CALIBRATIONS)


def _calibration(runs: Sequence[Mapping[str, Predictions]]) -> dict:
    """runs: the answers of every seed, by fold."""
    folds = list(runs[0].values())
    fold = [name for name, rows in runs[0].items() for _ in range(len(rows))]
    true, recording = (np.concatenate([getattr(rows, name) for rows in folds]) for name in ("y_true", "recording"))
    return calibration.summary(
        [np.concatenate([rows.probability for rows in run.values()]) for run in runs],
        true,
        statistics.labels_of(fold, recording.tolist()),
        crossed=len(folds) == 1,
    )


def seen_and_unseen(folders: Iterable[Path], tuned_on: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Scores over all units, over those that settings were chosen on, and over the others.

    tuned_on: by data set, the units whose scores were looked at (`Config.tuned_on`); the other data sets are left out.
    Columns: dataset, entry; units, macro_f1, low, high, each with nothing, _unseen and _seen at its end.
    """
    rows = []
    for (dataset, entry), seeds in group(folders).items():
        if dataset not in tuned_on:
            continue
        units = units_of(seeds)
        looked = np.isin(units.names, tuned_on[dataset])
        parts = {"": np.ones(len(looked), bool), "_unseen": ~looked, "_seen": looked}
        numbers = {name + end: value for end, part in parts.items() for name, value in _score(units, part).items()}
        rows.append({"dataset": dataset, "entry": entry, **numbers})
    return pd.DataFrame(rows)


def _score(units: statistics.Units, part: np.ndarray) -> dict[str, float]:
    chosen = replace(units, counts=units.counts[:, part], names=tuple(np.array(units.names)[part]))
    if not part.any():
        return {"units": 0, "macro_f1": np.nan, "low": np.nan, "high": np.nan}
    found = statistics.interval(chosen.score, len(chosen.names), chosen.n_seeds)
    return {"units": len(chosen.names), "macro_f1": found["mean"], "low": found["low"], "high": found["high"]}


def group(folders: Iterable[Path]) -> dict[tuple[str, str], list[Path]]:
    """Folders by (data set, entry), one a seed: data sets, and the entries of each, in the order given."""
    groups: dict[str, dict[str, list[Path]]] = {}
    for folder in dict.fromkeys(folders):
        key = results.Key.of(folder)
        groups.setdefault(key.dataset, {}).setdefault(key.entry, []).append(folder)
    return {(dataset, entry): seeds for dataset, entries in groups.items() for entry, seeds in entries.items()}


def units_of(folders: Sequence[Path]) -> statistics.Units:
    """folders: one entry on one data set, one folder a seed."""
    tables = [results.predictions(folder) for folder in folders]
    first = tables[0]
    return statistics.units(
        folds=first["fold"].tolist(),
        recordings=first["recording"].tolist(),
        answers=[(table["y_true"].to_numpy(), table["y_pred"].to_numpy()) for table in tables],
        n_rooms=len(results.confusion(folders[:1])),
    )
