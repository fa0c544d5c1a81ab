"""Chapter 2: what a longer fingerprint walk brings."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyloc.evaluation.paired import BETTER, MARGIN, WORSE
from tinyloc.report.figures.style import PALE, colours, markers, note, panels, styled

SIDE = 0.025  # between two intervals at one length, as a share of that length, so that none hides another


@styled
def curves(found: pd.DataFrame, tests: pd.DataFrame) -> Figure:
    """Left, macro F1 with its 95 % interval against the minutes of a walk; right, the teacher minus each rival, filled
    where the corrected test says better or worse.

    found: as `report.minutes.curve` gives it; tests: as `against_rivals` does.
    """
    if found.empty:
        return note("The profile of walks of different length was not computed.")
    entries = list(found["entry"].unique())
    ink, shape = colours(entries), markers(entries)
    figure, ((scores, ahead),) = panels(1, 3.4, columns=2)
    for i, (entry, part) in enumerate(found.groupby("entry", sort=False)):
        x = _beside(part["minutes"], i, len(entries))
        scores.vlines(x, 100 * part["low"], 100 * part["high"], color=ink[entry], lw=1.2)
        scores.plot(x, 100 * part["macro_f1"], marker=shape[entry], color=ink[entry], ms=5, lw=1.2, label=entry)
    rivals = list(tests["against"].unique())
    ahead.axhspan(-100 * MARGIN, 100 * MARGIN, color=PALE, alpha=0.6, lw=0)
    ahead.axhline(0, color="black", lw=1)
    for i, (rival, part) in enumerate(tests.groupby("against", sort=False)):
        x = _beside(part["minutes"], i, len(rivals))
        certain = part["verdict"].isin((BETTER, WORSE))
        style = {"marker": shape[rival], "color": ink[rival], "ms": 5}
        ahead.vlines(x, 100 * part["low"], 100 * part["high"], color=ink[rival], lw=1.2)
        ahead.plot(x, 100 * part["difference"], mfc="white", lw=1.2, **style)
        ahead.plot(x[certain], 100 * part.loc[certain, "difference"], ls="", **style)
    scores.set(ylabel="macro F1 (%)", title="each model")
    ahead.set(ylabel="difference (points)", title=f"{tests['entry'].iloc[0]} minus each other model")
    for ax in (scores, ahead):
        _minutes(ax, sorted(found["minutes"].unique()))
    figure.legend(*scores.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(entries), 5))
    return figure


def _beside(minutes: pd.Series, i: int, of: int) -> pd.Series:
    return minutes * (1 + SIDE * (i - (of - 1) / 2))


def _minutes(ax: Axes, ticks: list[float]) -> None:
    """A logarithmic axis that names the lengths that there are."""
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("minutes of each walk")
