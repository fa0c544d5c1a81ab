"""Chapter 4: what codes below eight bits save and cost."""

import pandas as pd
from matplotlib.figure import Figure

from tinyloc.report.figures.style import FONT, GREY, MARKERS, colours, markers, panels, styled
from tinyloc.report.numbers import KB


@styled
def trade(table: pd.DataFrame) -> Figure:
    """Macro F1 with its interval, and the noise of the scores, over the bytes of the weights: a mark a code.

    table: as `few_bits.summary` gives it; its first row is the float model, which is drawn as a line.
    """
    whole, coded = table.iloc[0], table.iloc[1:]
    ink, shape = colours(coded["family"]), markers(coded["family"])
    figure, axes = panels(2, 2.6, sharex=True)
    score, noise = axes[:, 0]
    score.axhline(100 * whole["macro_f1"], color=GREY, lw=1, ls="--", label=whole["family"])
    for family, part in coded.groupby("family", sort=False):
        size, style = part["bytes"] / KB, {"color": ink[family], "marker": shape[family], "lw": 1, "ms": 5}
        ends = 100 * (part["macro_f1"] - part["low"]), 100 * (part["high"] - part["macro_f1"])
        score.errorbar(size, 100 * part["macro_f1"], yerr=ends, label=family, capsize=2, elinewidth=0.8, **style)
        noise.plot(size, part["snr_db"], **style)
        side = (4, 5) if shape[family] in MARKERS[::2] else (4, -9)  # codes of the same size are neighbours
        for row in part.itertuples():
            at = row.bytes / KB, row.snr_db
            noise.annotate(row.setting, at, side, textcoords="offset points", fontsize=FONT - 3)
    score.set(ylabel="macro F1 (%)")
    noise.set(xlabel="bytes of the weights (KB)", ylabel="scores: signal\nto noise (dB)")
    figure.legend(*score.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
