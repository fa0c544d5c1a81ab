"""Chapters 4, 6 and 7: eight bits, a few kilobytes, and what accuracy is left in them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from tinyloc.config import INTEGER_KINDS
from tinyloc.report.figures.style import COLOURS, FONT, GREY, colours, markers, panels, styled
from tinyloc.report.numbers import KB
from tinyloc.report.results import kind, original

LIMITS_KB = (32, 64)
DASHES = ("--", "-.", (0, (1, 1)))
RAM_PARTS = {"arena": "arena", "state": "state", "static": "other static data", "stack_high_water": "stack"}
HALF = 0.5 + 1e-3  # of a step: rounding alone is never further off
MOST_POINTS = 4000  # of a scatter plot


@styled
def quantiser(values: np.ndarray, scale: float, zero_point: int) -> Figure:
    """A quantised tensor: how often each of its 256 levels is used, and what rounding to the level loses.

    values: real numbers that the tensor holds, any shape.
    """
    figure, axes = panels(2, 2.2, sharex=True)
    flat = np.ravel(values)
    level = np.clip(np.round(flat / scale) + zero_point, -128, 127)
    ax = axes[0, 0]
    ax.bar(*np.unique(level, return_counts=True), width=1.0, color=COLOURS[0])
    ax.set(ylabel="values at the level", yscale="log")
    real = ax.secondary_xaxis("top", functions=(lambda q: scale * (q - zero_point), lambda r: r / scale + zero_point))
    real.set_xlabel("real value  r = S (q − Z)")
    error = (scale * (level - zero_point) - flat) / scale
    clipped = (np.abs(error) > HALF).mean()
    axes[1, 0].plot(level, error, ".", color=COLOURS[1], ms=3, rasterized=True)
    for half in (-0.5, 0.5):
        axes[1, 0].axhline(half, color=GREY, lw=0.8, ls=":")
    axes[1, 0].set(xlabel="level q (int8)", ylabel="error (S)", xlim=(-130, 130), ylim=(-1.2, 1.2))
    axes[1, 0].set_title(f"{100 * clipped:.2f} % of the values lie outside the ruler and are clipped")
    return figure


@styled
def score_agreement(scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Every room's score, float32 against int8, both from TFLite Micro; a cross where the two choose different rooms.

    scores: by data set, (float32, int8) [N, R] on the same windows.
    """
    figure, axes = panels(1, 3.6, columns=max(len(scores), 2))
    for ax, (dataset, (reference, quantised)) in zip(axes[0], scores.items(), strict=False):
        agree = reference.argmax(1) == quantised.argmax(1)
        every = max(1, agree.sum() * reference.shape[1] // MOST_POINTS)
        limits = np.min(reference), np.max(reference)
        ax.plot(limits, limits, color="black", lw=0.8)
        ax.plot(
            reference[agree][::every],
            quantised[agree][::every],
            ".",
            color=COLOURS[0],
            ms=2,
            alpha=0.5,
            rasterized=True,
        )
        ax.plot(reference[~agree], quantised[~agree], "x", color=COLOURS[3], ms=4, rasterized=True)
        ax.set(xlabel="float32 score", title=f"{dataset}: {100 * agree.mean():.1f} % agree", aspect="equal")
    axes[0, 0].set_ylabel("int8 score")
    for ax in axes[0, len(scores) :]:
        ax.axis("off")
    return figure


@styled
def arenas(reports: Mapping[str, Mapping]) -> Figure:
    """The plans of arenas: a rectangle a tensor, over the kernel calls of its life and the addresses it has.

    reports: the compiler's `report.json`, by the model's name.
    """
    figure, axes = panels(len(reports), 3.6)
    for ax, (name, report) in zip(axes[:, 0], reports.items(), strict=True):
        _arena(ax, report)
        ax.set_title(name)
    axes[-1, 0].set_xlabel("kernel call")
    return figure


def _arena(ax: Axes, report: Mapping) -> None:
    tensors = [t for t in report["tensors"] if t["region"] == "arena"]
    for tensor in tensors:
        life = tensor["last"] - tensor["first"] + 1
        corner = (tensor["first"] - 0.5, tensor["offset"] / KB)
        ax.add_patch(Rectangle(corner, life, tensor["bytes"] / KB, facecolor=COLOURS[0], edgecolor="white", lw=0.6))
    last = max(t["last"] for t in tensors)
    ax.axhline(report["arena_bytes"] / KB, color="black", lw=1, ls=":")
    ax.set(xlim=(-1.5, last + 1.5), ylim=(0, 1.06 * report["arena_bytes"] / KB))
    ax.set_ylabel("address in the arena (KB)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no half a call
    ax.grid(False)


@styled
def memory(devices: pd.DataFrame) -> Figure:
    """RAM of compiled programs, part by part, against the limit they were linked for; of seeds, the one with most.

    devices: one row a run, as `results.devices` gives it.
    """
    largest = devices.loc[devices.groupby(["dataset", "label"], sort=False)["ram.total"].idxmax()]
    names = [f"{row['dataset']}: {row['label']}" for _, row in largest.iterrows()]
    figure, axes = panels(1, 1.2 + 0.45 * len(names))
    ax = axes[0, 0]
    left = np.zeros(len(names))
    for (part, label), colour in zip(RAM_PARTS.items(), COLOURS, strict=False):
        size = largest[f"ram.{part}"].to_numpy() / KB
        ax.barh(names, size, left=left, color=colour, label=label, height=0.55)
        left += size
    for y, limit in enumerate(largest["ram_limit"] / KB):
        ax.vlines(limit, y - 0.4, y + 0.4, color="black", lw=2, label="limit" if y == 0 else None)
    for total, name in zip(left, names, strict=True):
        ax.text(total + 0.6, name, f"{total:.1f}", va="center", fontsize=FONT - 1)
    ax.set(xlabel="RAM (KB)", xlim=(0, None))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def accuracy_against_ram(points: pd.DataFrame, references: pd.DataFrame) -> Figure:
    """Macro F1 with its 95 % interval against RAM, one marker a way of counting the RAM.

    points: dataset, entry, counted, ram (bytes), macro_f1, low, high (fractions).
    references: dataset, entry, macro_f1: models that were not put on a device, drawn as lines.
    """
    datasets = list(dict.fromkeys(points["dataset"]))
    model = {entry: original(entry) for entry in points["entry"]}
    ink, shape = colours(model.values()), markers(points["counted"])
    figure, axes = panels(len(datasets), 3.4, sharex=True)
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        for limit in LIMITS_KB:
            ax.axvline(limit, color="black", lw=1, ls=":")
            ax.text(limit, 1.01, f"{limit} KB", transform=ax.get_xaxis_transform(), ha="center", fontsize=FONT - 1)
        for (_, line), dash in zip(references[references["dataset"] == dataset].iterrows(), DASHES, strict=False):
            ax.axhline(100 * line["macro_f1"], color=GREY, lw=1.2, ls=dash, label=f"{line['entry']} (no RAM figure)")
        for _, point in points[points["dataset"] == dataset].iterrows():
            low, f1, high = 100 * point[["low", "macro_f1", "high"]].to_numpy(float)
            colour = ink[model[point["entry"]]]
            ax.errorbar(
                point["ram"] / KB,
                f1,
                yerr=[[f1 - low], [high - f1]],
                color=colour,
                marker=shape[point["counted"]],
                mfc=colour if kind(point["entry"]) in INTEGER_KINDS else "white",
                ms=7,
                lw=1.2,
            )
        ax.set_xscale("log", base=2)
        ax.set(ylabel="macro F1 (%)")
        ax.set_title(dataset, pad=14)
    axes[-1, 0].xaxis.set_major_formatter("{x:g}")
    axes[-1, 0].set_xlabel("RAM (KB, each mark twice the one before)")
    figure.legend(handles=_ram_legend(axes[0, 0], ink, shape), loc="outside lower center", ncols=2)
    return figure


def _ram_legend(ax: Axes, ink: Mapping[str, str], shape: Mapping[str, str]) -> list[Artist]:
    """Colour: the model; marker: what is counted; filled: integers; lines: the references already in `ax`."""
    handles = [Patch(color=colour, label=name) for name, colour in ink.items()]
    handles += [Line2D([], [], marker=m, ls="", color=GREY, mfc="white", ms=7, label=way) for way, m in shape.items()]
    handles.append(Line2D([], [], marker="o", ls="", color=GREY, ms=7, label="filled: integers, hollow: floats"))
    return handles + [line for line in ax.get_lines() if str(line.get_label()).endswith("(no RAM figure)")]
