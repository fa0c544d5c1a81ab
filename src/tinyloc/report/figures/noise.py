"""Chapter 4: where, on the way from the inputs to the scores, a model of integers loses."""

import pandas as pd
from matplotlib.figure import Figure

from tinyloc.report.figures.style import FONT, colours, panels, styled

NAMED = 3  # noisiest tensors of an entry that are named,
APART = 4  # operators from one to the next,
EDGE = 0.05  # of the width: a name there stays inside the axes


@styled
def operators(noise: pd.DataFrame) -> Figure:
    """Signal-to-noise ratio of every tensor, in order of execution; the mean over folds and seeds, and their span.

    noise: as `results.noise` gives it.
    """
    datasets = noise["dataset"].unique()
    ink = colours(noise["entry"].unique())
    figure, axes = panels(len(datasets), 3.2)
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        for entry, part in noise[noise["dataset"] == dataset].groupby("entry", sort=False):
            tensors = part.groupby("order")["snr_db"].agg(["mean", "min", "max"])
            # entries differ in their number of operators: all run from the first (0) to the last (1)
            x = tensors.index / max(tensors.index.max(), 1)
            ax.fill_between(x, tensors["min"], tensors["max"], color=ink[entry], alpha=0.15, lw=0)
            ax.plot(x, tensors["mean"], ".-", color=ink[entry], lw=1, ms=4, label=entry)
            operator = part.drop_duplicates("order").set_index("order")["operator"]
            for order in _noisiest(tensors["mean"]):
                at = order / max(tensors.index.max(), 1), tensors["mean"][order]
                side = "left" if at[0] < EDGE else "right" if at[0] > 1 - EDGE else "center"
                ax.annotate(operator[order], at, (0, -10), textcoords="offset points", ha=side, fontsize=FONT - 3)
        ax.set(xlabel="operators, in order of execution", ylabel="signal to noise (dB)", title=dataset, xlim=(0, 1))
        ax.set_xticks([])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _noisiest(snr: pd.Series) -> list[int]:
    """Places of the lowest ratios, no two of them close together. snr: by place, dB."""
    found: list[int] = []
    for order in snr.sort_values(kind="stable").index:
        if all(abs(order - other) >= APART for other in found):
            found.append(int(order))
    return found[:NAMED]
