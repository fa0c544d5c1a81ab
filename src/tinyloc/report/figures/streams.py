"""Figures of models that run along a stream."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tinyloc.report.figures.style import COLOURS, GREY, panels, styled

LINES = ("-", "--", ":", "-.")


@styled
def half_lives(table: pd.DataFrame, window_s: float) -> Figure:
    """The share of states that have forgotten half after a time: one line a layer, all folds together.

    table: dataset, layer, half_life_s, one row a state. window_s: length of the other models' window, s.
    """
    datasets = table["dataset"].unique()
    figure, axes = panels(1, 3.0, columns=len(datasets), sharey=True)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        part = table[table["dataset"] == dataset]
        for (layer, states), colour, line in zip(part.groupby("layer"), COLOURS, LINES * len(COLOURS), strict=False):
            lives = np.sort(states["half_life_s"])
            share = 100 * np.arange(1, len(lives) + 1) / len(lives)
            ax.step(lives, share, line, where="post", color=colour, label=f"layer {layer}")
        ax.axvline(window_s, color=GREY, lw=1)
        ax.annotate("window", (window_s, 3), xytext=(3, 0), textcoords="offset points", color=GREY)
        ax.set(xscale="log", ylim=(0, 101), xlabel="half-life (s)", title=dataset)
    axes[0, 0].set_ylabel("states with a shorter one (%)")
    axes[0, 0].legend(loc="upper left")
    return figure
