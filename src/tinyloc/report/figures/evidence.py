"""Chapters 2 and 7: which differences may be believed, how late, how sure and how fragile a model is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinyloc.evaluation.conditions import DEAD, DROPPED, LENGTH
from tinyloc.evaluation.paired import BETTER, EQUIVALENT, MARGIN, UNDECIDED, WORSE
from tinyloc.report import trust
from tinyloc.report.figures.style import COLOURS, GREY, PALE, colours, markers, matrix, note, panels, styled

INK = {BETTER: COLOURS[0], WORSE: COLOURS[3], EQUIVALENT: COLOURS[2], UNDECIDED: GREY}
SHAPE = {BETTER: "^", WORSE: "v", EQUIVALENT: "D", UNDECIDED: "o"}
NOT_RUN = "None of these models was disturbed: `robustness` in the configuration names those that are."
STILL = "Nobody changes rooms within a segment of these data, so there is no delay to measure."
ROW = 0.28  # inches a line of text
ENDS_S = (5.0, 20.0, 50.0)  # seconds after a change at which intervals are drawn


@styled
def pairs(tests: pd.DataFrame, draws: pd.DataFrame | None = None) -> Figure:
    """Differences of macro F1 in points with 95 % intervals; marker and colour say the verdict, the band is ±MARGIN.

    tests: as `comparison.pairs` gives it. draws: what a difference is the mean of, as in `contest.Contest`: rings.
    """
    datasets = tests["dataset"].unique()
    heights = [1.0 + ROW * (tests["dataset"] == d).sum() for d in datasets]
    figure, axes = panels(len(datasets), 1.0, height_ratios=heights)
    figure.set_figheight(sum(heights))
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = tests[tests["dataset"] == dataset].reset_index(drop=True)
        ax.axvspan(-100 * MARGIN, 100 * MARGIN, color=PALE, alpha=0.6, lw=0)
        ax.axvline(0, color="black", lw=1)
        for at, row in part.iterrows():
            ax.hlines(at, 100 * row["low"], 100 * row["high"], color=INK[row["verdict"]], lw=2)
            ax.plot(100 * row["difference"], at, SHAPE[row["verdict"]], color=INK[row["verdict"]], ms=6)
            if draws is not None:
                same = (draws[["dataset", "entry", "against"]] == row[["dataset", "entry", "against"]]).all(axis=1)
                ax.plot(100 * draws.loc[same, "difference"], [at + 0.25] * same.sum(), "o", mfc="none", mec=GREY, ms=4)
        ax.set_yticks(part.index, [f"{row['entry']} − {row['against']}" for _, row in part.iterrows()])
        ax.set(ylim=(len(part) - 0.4, -0.6), xlabel="difference in macro F1 (points)", title=dataset)
    used = [name for name in INK if (tests["verdict"] == name).any()]
    handles = [
        axes[0, 0].plot(
            [], [], SHAPE[name], color=INK[name], label=f"first is {name}" if name in (BETTER, WORSE) else name
        )[0]
        for name in used
    ]
    if draws is not None:
        handles += axes[0, 0].plot([], [], "o", mfc="none", mec=GREY, ms=4, label="one draw")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


@styled
def delays(waits: pd.DataFrame, bin_s: float, longest_s: float = 60.0) -> Figure:
    """Share of the changes of room that were noticed within so many seconds, with 95 % intervals here and there; what a
    curve lacks in the end never was.

    waits: as `results.delays` gives it. bin_s: seconds a step.
    """
    datasets = waits["dataset"].unique()
    if len(datasets) == 0:
        return note(STILL)
    entries = list(waits["entry"].unique())
    ink, shape = colours(entries), markers(entries)
    figure, axes = panels(len(datasets), 2.8)
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        for entry, part in waits[waits["dataset"] == dataset].groupby("entry", sort=False):
            second = np.arange(0, longest_s + bin_s, bin_s)
            share = (bin_s * part["wait"].to_numpy() <= second[:, None]).mean(1)
            ax.step(second, 100 * share, where="post", color=ink[entry], lw=1.3)
            ax.plot(second[::5], 100 * share[::5], ls="", marker=shape[entry], color=ink[entry], ms=4.5, label=entry)
            # side by side, so that no interval hides another
            at = np.array(ENDS_S) + 0.4 * bin_s * (entries.index(entry) - (len(entries) - 1) / 2)
            ax.vlines(at, *100 * trust.noticed(part, np.array(ENDS_S) / bin_s)[1:], color=ink[entry], lw=1.2)
        ax.set(ylim=(0, 102), xlabel="time since the change of room (s)", ylabel="changes noticed (%)", title=dataset)
    _legend(figure, axes[:, 0])
    return figure


@styled
def reliability(calibrations: pd.DataFrame) -> Figure:
    """Share of right answers, with its 95 % interval, against the probability that the model gave them, in bins of
    equal mass.

    calibrations: as `comparison.calibrations` gives it.
    """
    datasets = calibrations["dataset"].unique()
    if len(datasets) == 0:
        return note("No model of this profile gives probabilities.")
    entries = list(calibrations["entry"].unique())
    ink, shape = colours(entries), markers(entries)
    figure, axes = panels(len(datasets), 2.9)
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        ax.plot([0, 100], [0, 100], color="black", lw=1, ls=":")
        for entry, part in calibrations[calibrations["dataset"] == dataset].groupby("entry", sort=False):
            bins = pd.DataFrame(part["reliability"].iloc[0]).astype(float) * 100
            ax.vlines(bins["confidence"], bins["low"], bins["high"], color=ink[entry], lw=0.8, alpha=0.6)
            ax.plot(
                bins["confidence"], bins["accuracy"], marker=shape[entry], color=ink[entry], ms=5, lw=1.2, label=entry
            )
        ax.set(xlim=(0, 102), ylim=(0, 102), xlabel="probability of the answer (%)", ylabel="right (%)", title=dataset)
    _legend(figure, axes[:, 0])
    return figure


@styled
def disturbed(table: pd.DataFrame) -> Figure:
    """Macro F1 with 95 % intervals against the share of packets lost (left) and the length of a window (right).

    table: as `results.robustness` gives it.
    """
    if len(table) == 0:
        return note(NOT_RUN)
    datasets, entries = table["dataset"].unique(), list(table["entry"].unique())
    ink, shape = colours(entries), markers(entries)
    figure, axes = panels(len(datasets), 2.6, columns=2, sharey="row")
    for (left, right), dataset in zip(axes, datasets, strict=True):
        part = table[table["dataset"] == dataset]
        for ax, kind, scale in ((left, DROPPED, 100), (right, LENGTH, 1)):
            shown = part[part["kind"] == kind]
            for i, entry in enumerate(entries):
                curve = shown[shown["entry"] == entry]
                # side by side, so that no interval hides another
                x = scale * curve["value"].astype(float) + (i - (len(entries) - 1) / 2) * 0.012 * _range(
                    scale * shown["value"]
                )
                ax.vlines(
                    x, 100 * curve["low"].astype(float), 100 * curve["high"].astype(float), color=ink[entry], lw=1.2
                )
                ax.plot(x, 100 * curve["macro_f1"], marker=shape[entry], color=ink[entry], ms=5, lw=1.2, label=entry)
        left.set(xlabel="packets lost (%)", ylabel="macro F1 (%)", title=dataset)
        right.set(xlabel="length of a window (steps)")
    _legend(figure, axes[:, 0])
    return figure


@styled
def dead_gateways(table: pd.DataFrame) -> Figure:
    """What each gateway's silence costs each model, in points of macro F1 with 95 % intervals.

    table: as `results.robustness` gives it.
    """
    dead = table[table["kind"] == DEAD]
    if len(dead) == 0:
        return note(NOT_RUN)
    datasets = dead["dataset"].unique()
    heights = [1.1 + ROW * dead.loc[dead["dataset"] == d, "value"].nunique() for d in datasets]
    figure, axes = panels(len(datasets), 1.0, height_ratios=heights)
    figure.set_figheight(sum(heights))
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = dead[dead["dataset"] == dataset]
        names = ("lost", "lost_low", "lost_high")
        cells, low, high = (
            part.pivot(index="value", columns="entry", values=name)
            .loc[part["value"].unique(), part["entry"].unique()]
            .astype(float)
            for name in names
        )
        texts = np.vectorize(trust.difference)(cells.to_numpy(), low.to_numpy(), high.to_numpy())
        matrix(ax, cells.to_numpy(), texts, list(cells.index), list(cells.columns), cmap="Oranges", vmin=0, vmax=0.5)
        ax.set(title=f"{dataset}: points of macro F1 lost", ylabel="gateway that is dead")
    return figure


def _range(values: pd.Series) -> float:
    return float(values.astype(float).max() - values.astype(float).min()) or 1.0


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, under them; an entry need not be in every panel."""
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(len(handles), 4))
