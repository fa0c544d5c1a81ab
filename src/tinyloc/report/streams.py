"""What a model that runs along a stream costs and remembers, for the chapter on Mamba."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.data.splits import Fold
from tinyloc.evaluation import paired
from tinyloc.evaluation.conditions import CLEAN, LENGTH, units
from tinyloc.evaluation.paired import BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE
from tinyloc.models.cost import Cost
from tinyloc.report import comparison, results, trust
from tinyloc.report.numbers import KB
from tinyloc.report.results import Key
from tinyloc.training import checkpoint
from tinyloc.training.forgetting import half_lives
from tinyloc.training.predictions import Predictions

PAST = {
    BETTER: "better than itself",
    WORSE: "worse than itself",
    EQUIVALENT: f"equivalent to itself within {100 * MARGIN:g} point",
    UNDECIDED: "not shown to be better than, nor equivalent to, itself",
}


def memories(folders: Iterable[Path], folds: Mapping[str, list[Fold]], bin_s: float) -> pd.DataFrame:
    """One row a state of a trained Mamba on its test recordings: dataset, fold, layer, half_life_s.

    folders: as `Study.fit` returns them. folds: by data set, as `Study.prepared` gives them.
    """
    rows = []
    for folder in folders:
        dataset = Key.of(folder).dataset
        for fold in folds[dataset]:
            trained = checkpoint.load(folder / f"fold-{fold.name}" / "model.pt")
            for layer, lives in enumerate(half_lives(trained, fold.test), start=1):
                frame = {"dataset": dataset, "fold": fold.name, "layer": layer, "half_life_s": bin_s * lives.ravel()}
                rows.append(pd.DataFrame(frame))
    return pd.concat(rows, ignore_index=True)


def in_words(table: pd.DataFrame, window_s: float) -> str:
    """How long the states of each data set's models last."""
    lines = []
    for dataset, part in table.groupby("dataset", sort=False):
        lives = part["half_life_s"]
        low, middle, high = np.quantile(lives, (0.1, 0.5, 0.9))
        lines.append(
            f"- **{dataset}**: half of the states have lost half of what they held after {middle:.1f} s; the tenth "
            f"that forgets first after {low:.1f} s, the tenth that remembers longest only after {high:,.0f} s. "
            f"{100 * (lives > window_s).mean():.0f} % remember beyond the window of {window_s:g} s."
        )
    return "\n".join(lines)


def past(paths: Iterable[Path]) -> pd.DataFrame:
    """A stream against itself begun anew so many steps before each answer, where both are asked about the same steps.

    Columns: those of `comparison.PAIRS`, a data set a family of tests, where `entry` is the stream; and steps.
    paths: of `Study.robustness`.
    """
    tables = [_past(*key, found) for key, found in results.disturbed(paths).items()]
    known = [table for table in tables if len(table)]
    if not known:
        return pd.DataFrame(columns=[*comparison.PAIRS, "steps"])
    families = pd.concat(known).groupby("dataset", sort=False)
    found = pd.concat([comparison.corrected(family) for _, family in families], ignore_index=True)
    return found.assign(steps=[int(name) for name in found["against"]])


def _past(dataset: str, entry: str, found: results.Disturbed) -> pd.DataFrame:
    rows = []
    for condition in found.asked:
        if condition.kind != LENGTH:
            continue
        runs = [{fold: _of_both(by_name, condition.name) for fold, by_name in run.items()} for run in found.runs]
        whole, reset = (units(runs, c, found.n_rooms) for c in (CLEAN, condition))
        tested = paired.compare([whole], [reset])
        names = {"dataset": dataset, "entry": entry, "against": str(condition.value)}
        rows.append({**names, **vars(tested), "p_least": tested.p_least})
    return pd.DataFrame(rows)


def _of_both(by_name: Mapping[str, Predictions], name: str) -> dict[str, Predictions]:
    """The answers undisturbed and under a condition, at the steps that both were asked about."""
    both = {which: by_name[which] for which in (CLEAN.name, name)}
    keys = {which: list(zip(r.recording.tolist(), r.step.tolist(), strict=True)) for which, r in both.items()}
    common = set.intersection(*map(set, keys.values()))
    return {which: rows.select([key in common for key in keys[which]]) for which, rows in both.items()}


def past_table(tests: pd.DataFrame, bin_s: float) -> pd.DataFrame:
    """What taking the past away costs. tests: of `past`; bin_s: seconds a step."""
    table = trust.pairs_table(tests)
    table["pair"] = [f"{row['entry']} − begun {bin_s * row['steps']:g} s before" for _, row in tests.iterrows()]
    # a page cannot show a table without rows
    return table if len(table) else pd.DataFrame([["–"] * table.shape[1]], columns=table.columns)


def past_in_words(tests: pd.DataFrame, bin_s: float) -> str:
    """Markdown: whether a stream draws on more than its last seconds. tests: of `past`; bin_s: seconds a step."""
    if tests.empty:
        return "- No stream of this profile was begun anew; `robustness` in its configuration says which would be."
    lines = []
    for (dataset, entry), part in tests.groupby(["dataset", "entry"], sort=False):
        seconds = (bin_s * part["steps"]).map("{:g}".format)
        found = seconds.groupby(part["verdict"], sort=False).agg(", ".join)
        said = "; ".join(f"{PAST[verdict]} begun {before} s before" for verdict, before in found.items())
        lines.append(f"- **{dataset}**: {entry} as a stream is {said}.")
    return "\n".join(lines)


def costs_table(costs: Mapping[str, Cost]) -> pd.DataFrame:
    """What one more answer costs each network. costs: by the model's name."""
    return pd.DataFrame(
        {
            "model": list(costs),
            "parameters": [f"{c.parameters:,}" for c in costs.values()],
            "MACs a window": [f"{c.macs_per_window:,}" for c in costs.values()],
            "MACs an answer": [f"{c.macs_per_step:,}" for c in costs.values()],
            "kept between answers (KB)": [f"{c.state_bytes / KB:.1f}" for c in costs.values()],
            "activations (KB)": [f"{c.step_activation_bytes / KB:.1f}" for c in costs.values()],
        }
    )
