"""Chapter 6: what a compiled model is made of, on the board: its memory, its kernels, its instructions, its time."""

import re
from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.figure import Figure

from tinyloc.device.mix import CLASSES
from tinyloc.report import fusing
from tinyloc.report.figures.style import COLOURS, FONT, PALE, panels, styled
from tinyloc.report.numbers import KB

MOST = 8  # kinds that have a colour of their own
OTHERS = "others"
FLASH_PARTS = {
    "flash.model": "weights and tables",
    "flash.text": "code",
    "flash.rodata": "constants of kernels",
    "flash.startup": "startup",
    "flash.data": "initial values",
}
OWN = {
    "selective step": COLOURS[0],
    "fully connected": COLOURS[1],
    "matmul": COLOURS[2],
    "conv": COLOURS[3],
    "fused": COLOURS[4],
    OTHERS: COLOURS[8],
}
"""Kinds of kernels that are in several figures, and have one colour in all of them."""
TYPE = re.compile(r"_(s8|s16|s16x8|s32|f32)$")


@styled
def kernels(steps: pd.DataFrame) -> Figure:
    """Where the instructions of an inference go: their share in every kind of kernel, a bar a model.

    steps: as `results.device_steps` gives it; of seeds the mean.
    """
    kind = steps["kernel"].str.replace(TYPE, "", regex=True).str.replace("_", " ")
    count = steps.groupby([steps["dataset"], steps["label"], kind], sort=False)["instructions.median"].sum()
    return _shares(count.unstack(fill_value=0), "instructions (%)")


@styled
def fusion(steps: pd.DataFrame) -> Figure:
    """Where the instructions go before and after fusing, in per cent of what the model takes before.

    steps: as `fusing.steps` gives it.
    """
    kind = steps["kernel"].str.replace(TYPE, "", regex=True).str.replace("_", " ")
    count = steps.groupby([steps["model"], steps["form"], kind], sort=False)["instructions.median"].sum()
    table = count.unstack(fill_value=0)
    before = table.xs(fusing.BEFORE, level="form").sum(axis=1)
    return _shares(table, "instructions (% of those operator by operator)", table.index.map(lambda row: before[row[0]]))


@styled
def mixes(devices: pd.DataFrame) -> Figure:
    """What the instructions of an inference are: the share of every class, a bar a model.

    devices: as `results.devices` gives it; of seeds the mean.
    """
    columns = {f"mix.{name}": name.replace("_", " ") for name in CLASSES}
    table = devices.groupby(["dataset", "label"], sort=False)[list(columns)].sum().rename(columns=columns)
    return _shares(table, "instructions (%)")


@styled
def flash(devices: pd.DataFrame) -> Figure:
    """Flash of the compiled program, part by part; of seeds, the one with most."""
    largest = devices.loc[devices.groupby(["dataset", "label"], sort=False)["flash.total"].idxmax()]
    table = largest.set_index(["dataset", "label"])[list(FLASH_PARTS)].rename(columns=FLASH_PARTS) / KB
    return _stacked(table, "flash (KB)", "{:.1f}")


@styled
def energies(decisions: pd.DataFrame, radios: Mapping[str, tuple[float, float]]) -> Figure:
    """Energy of a second of decisions, best to worst case, and of sending the raw packets instead (the band).

    decisions: as `energy.a_second` gives it. radios: joules a second by data set, as `energy.radio` gives them.
    """
    datasets = list(dict.fromkeys(decisions["dataset"]))
    rows = decisions.groupby("dataset").size().max()
    figure, axes = panels(len(datasets), 0.9 + 0.4 * rows, sharex=True)
    least = 1e6 * min(decisions["joules_low"].min(), *(low for low, _ in radios.values()))
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = decisions[decisions["dataset"] == dataset]
        names = [f"{row['entry']}, {row['part']}" for _, row in part.iterrows()]
        low, high = 1e6 * part["joules_low"], 1e6 * part["joules_high"]
        ax.axvspan(*(1e6 * end for end in radios[dataset]), color=PALE, label="sending the raw packets")
        ax.barh(names, high - low, left=low, height=0.5, color=COLOURS[0], label="deciding on the wearable")
        ax.set(xscale="log", title=dataset)
        ax.set_xlim(left=0.7 * least)  # or the cheapest bar would begin at the axis and look cut off
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
    axes[-1, 0].set_xlabel("energy a second (µJ), estimate")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _shares(table: pd.DataFrame, label: str, whole: pd.Index | None = None) -> Figure:
    """table: a row a bar, a column a kind; drawn as shares of the row, the kinds that matter least put together.

    whole: what is 100 %, a number a row, if it is not the row's sum.
    """
    shares = 100 * table.div(table.sum(axis=1) if whole is None else whole.to_numpy(), axis=0)
    order = shares.max().sort_values(ascending=False, kind="stable").index
    shown = shares[order[:MOST]]
    rest = shares[order[MOST:]].sum(axis=1)
    return _stacked(shown.assign(**{OTHERS: rest}) if (rest > 0).any() else shown.loc[:, shown.any()], label)


def _ink(kinds: Iterable[str]) -> dict[str, str]:
    """A colour for every kind: its own, or the next that is no other's in this figure."""
    own = {kind: OWN[kind] for kind in kinds if kind in OWN}
    free = [colour for colour in COLOURS if colour not in own.values()]
    if own.keys() - {OTHERS}:  # a figure of kernels: what another figure has for a kind of its own comes last
        free.sort(key=list(OWN.values()).__contains__)
    others = iter(free)
    return {kind: own.get(kind) or next(others) for kind in kinds}


def _stacked(table: pd.DataFrame, label: str, total: str | None = None) -> Figure:
    """A bar a row of `table` (index: dataset, label), a colour a column. total: how the sum is written, if it is."""
    names = [f"{dataset}: {label}" for dataset, label in table.index]
    figure, axes = panels(1, 1.4 + 0.45 * len(names))
    ax = axes[0, 0]
    left = pd.Series(0.0, index=table.index)
    ink = _ink(table)
    for name in table:
        ax.barh(names, table[name], left=left, color=ink[name], label=name, height=0.55)
        left += table[name]
    if total:
        for end, name in zip(left, names, strict=True):
            ax.text(end, name, " " + total.format(end), va="center", fontsize=FONT - 1)
    ax.set(xlabel=label, xlim=(0, 1.08 * left.max() if total else left.max()))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
