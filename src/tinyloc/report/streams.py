"""What a model that runs along a stream costs and remembers, for the chapter on Mamba."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.data.splits import Fold
from tinyloc.models.cost import Cost
from tinyloc.report.numbers import KB
from tinyloc.report.results import Key
from tinyloc.training import checkpoint
from tinyloc.training.forgetting import half_lives


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
