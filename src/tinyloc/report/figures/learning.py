"""Chapters 2, 3 and 5: how models learn, and how well they do on people they have never met."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tinyloc.evaluation.paired import BETTER, WORSE
from tinyloc.report.figures.style import COLOURS, FONT, PALE, colours, markers, matrix, panels, styled

DODGE = 0.7  # of the distance between two folds, shared by the entries
SLIGHT = 0.0005  # smaller probabilities are written as powers of ten


@styled
def learning_curves(histories: pd.DataFrame) -> Figure:
    """Loss and validation accuracy by epoch, one thin line a fold and seed; a dot marks the epoch that was kept.

    histories: one row an epoch, as `results.histories` gives it for one entry.
    """
    datasets = histories["dataset"].unique()
    figure, axes = panels(len(datasets), 2.7, columns=2)
    for (loss, accuracy), dataset in zip(axes, datasets, strict=True):
        for _, run in histories[histories["dataset"] == dataset].groupby(["seed", "fold"], sort=False):
            epoch = run["epoch"]
            loss.plot(epoch, run["train_loss"], color=COLOURS[0], lw=0.9, ls="--")
            loss.plot(epoch, run["validation_loss"], color=COLOURS[1], lw=0.9)
            accuracy.plot(epoch, 100 * run["validation_accuracy"], color=COLOURS[1], lw=0.9)
            kept = run[run["chosen"].astype(bool)]
            accuracy.plot(kept["epoch"], 100 * kept["validation_accuracy"], "o", color="black", ms=3.5)
        loss.set(yscale="log", ylabel="loss (nats a step)", title=dataset)
        accuracy.set(ylabel="validation accuracy (%)")
    for ax in axes.flat:
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    handles = [
        axes[0, 0].plot([], [], color=COLOURS[0], ls="--", label="training")[0],
        axes[0, 0].plot([], [], color=COLOURS[1], label="validation")[0],
        axes[0, 0].plot([], [], "o", color="black", ms=3.5, label="epoch that was kept")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


@styled
def confusion(counts: Mapping[str, pd.DataFrame]) -> Figure:
    """Where the test windows of each true room went, in per cent of that room's windows.

    counts: by data set, as `results.confusion` gives it.
    """
    heights = [1.2 + 0.36 * len(c) for c in counts.values()]
    figure, axes = panels(len(counts), 1.0, height_ratios=heights)
    figure.set_figheight(sum(heights))
    for ax, (dataset, table) in zip(axes[:, 0], counts.items(), strict=True):
        n = table.sum(axis=1)
        share = table.to_numpy() / np.maximum(n.to_numpy(), 1)[:, None]
        rows = [f"{room}\n(n = {count:,})" for room, count in n.items()]
        texts = np.where(table == 0, "·", np.char.mod("%.1f", 100 * share))
        matrix(ax, share, texts, rows, list(table.columns), cmap="Blues", vmin=0, vmax=1)
        ax.set(title=f"{dataset}: % of the true room's windows", ylabel="true room", xlabel="predicted room")
    return figure


@styled
def fold_scores(folds: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Macro F1 of every entry on every fold. A bar spans the seeds where a fold is a unit and there are several; it is
    the 95 % interval over recordings (and seeds) where there is one fold alone.

    folds: one row a fold, as `results.folds` gives it; summary: as `comparison.summary` gives it.
    """
    ends = summary.set_index(["dataset", "entry"])[["low", "high"]]
    entries = list(folds["entry"].unique())
    ink, shape = colours(entries), markers(entries)
    datasets = folds["dataset"].unique()
    figure, axes = panels(len(datasets), 2.8)
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = folds[folds["dataset"] == dataset]
        names = list(part["fold"].unique())
        for i, entry in enumerate(entries):
            scores = 100 * part[part["entry"] == entry].groupby("fold", sort=False)["macro_f1"].agg(
                ["mean", "min", "max"]
            )
            x = np.array([names.index(name) for name in scores.index]) + DODGE * ((i + 0.5) / len(entries) - 0.5)
            low, high = (scores["min"], scores["max"]) if len(names) > 1 else 100 * ends.loc[(dataset, entry)]
            ax.vlines(x, low, high, color=ink[entry], lw=1.5)
            ax.plot(x, scores["mean"], ls="", marker=shape[entry], color=ink[entry], ms=6, label=entry)
        ax.set_xticks(range(len(names)), names)
        ax.set(xlim=(-0.6, len(names) - 0.4), xlabel="fold (who or what was tested on)", ylabel="macro F1 (%)")
        ax.set_title(dataset)
        ax.grid(axis="x", visible=False)
    _legend(figure, axes[0, 0], len(entries))
    return figure


@styled
def differences(units: pd.DataFrame, intervals: pd.DataFrame, pooled: Collection[str] = ()) -> Figure:
    """Paired differences of macro F1 in points, unit by unit, with that of all and its 95 % interval below.

    units: dataset, unit, difference (fractions). intervals: dataset, mean, low, high (fractions). pooled: the data sets
    whose units are scored together (`statistics.Units`), so that the score of all is not the mean of theirs.
    """
    datasets = units["dataset"].unique()
    heights = [1.3 + 0.24 * (units["dataset"] == d).sum() for d in datasets]
    figure, axes = panels(len(datasets), 1.0, height_ratios=heights)
    figure.set_figheight(sum(heights))
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = units[units["dataset"] == dataset].reset_index(drop=True)
        ax.plot(100 * part["difference"], part.index, "o", color=COLOURS[0], ms=5)
        interval = intervals[intervals["dataset"] == dataset].iloc[0]
        at = len(part) + 0.3
        ax.hlines(at, 100 * interval["low"], 100 * interval["high"], color=COLOURS[3], lw=2.5)
        ax.plot(100 * interval["mean"], at, "D", color=COLOURS[3], ms=7)
        ax.axvline(0, color="black", lw=1)
        below = "all together, 95 %" if dataset in pooled else "mean, 95 %"
        ax.set_yticks([*part.index, at], [*part["unit"], below])
        ax.set(ylim=(at + 0.7, -0.7), xlabel="difference in macro F1 (points)", title=dataset)
    return figure


@styled
def ablation(students: pd.DataFrame) -> Figure:
    """What each way of distilling brings: the difference from the plain student and its 95 % interval; the marker is
    filled where it is certain after correction.

    students: as `ablation.table` gives it; one without scores is an empty line.
    """
    datasets = students["dataset"].unique()
    heights = [1.3 + 0.26 * (students["dataset"] == d).sum() for d in datasets]
    figure, axes = panels(len(datasets), 1.0, height_ratios=heights)
    figure.set_figheight(sum(heights))
    ink, shape = colours(students["plain"]), markers(students["plain"])
    for ax, dataset in zip(axes[:, 0], datasets, strict=True):
        part = students[students["dataset"] == dataset].reset_index(drop=True)
        for plain, rows in part.groupby("plain", sort=False):
            ax.hlines(rows.index, 100 * rows["difference_low"], 100 * rows["difference_high"], color=ink[plain], lw=2)
            style = {"ls": "", "marker": shape[plain], "color": ink[plain], "ms": 6}
            certain = rows[rows["verdict"].isin((BETTER, WORSE))]
            ax.plot(100 * rows["difference"], rows.index, mfc="white", label=plain, **style)
            ax.plot(100 * certain["difference"], certain.index, **style)
        ax.axvline(0, color="black", lw=1)
        ax.set_yticks(part.index, part["imitates"])
        ax.set(ylim=(len(part) - 0.4, -0.6), xlabel="difference in macro F1 (points)", title=dataset)
    _legend(figure, axes[0, 0], 2)
    return figure


@styled
def marginals(softmax: np.ndarray, marginals: np.ndarray, true: np.ndarray, rooms: Sequence[str], of: str) -> Figure:
    """One window as a teacher sees it: step by step, with its CRF, which knows the whole window, and what that changes.

    softmax, marginals: probabilities [T, R]; true: rooms [T]; of: what window it is, for the title.
    """
    figure, axes = panels(3, 0.9 + 0.2 * len(rooms), sharex=True)
    axes = axes[:, 0]
    changes = marginals - softmax
    most = np.abs(changes).max() or 1.0  # all may be equal
    titles = (
        f"{of}: softmax of the scores, each step for itself",
        "marginals of the CRF, each step within its window",
        "what the CRF adds or takes away",
    )
    scales = 2 * [{"cmap": "Blues", "vmin": 0, "vmax": 1}] + [{"cmap": "PuOr", "vmin": -most, "vmax": most}]
    steps = np.arange(1, len(true) + 1)
    ends = (0.5, len(true) + 0.5, len(rooms) - 0.5, -0.5)
    for ax, values, title, scale in zip(axes, (softmax, marginals, changes), titles, scales, strict=True):
        ax.imshow(values.T, aspect="auto", extent=ends, **scale)
        ax.set_yticks(range(len(rooms)), rooms)
        ax.grid(False)
        ax.set_title(title)
    for ax in axes[:2]:
        ax.plot(steps, true, "s", color=COLOURS[1], ms=4, label="true room")
    likeliest = marginals.argmax(1)
    other = likeliest != softmax.argmax(1)
    if other.any():
        ring = {"mfc": "none", "mec": COLOURS[3], "ms": 9}
        axes[1].plot(steps[other], likeliest[other], "D", label="likeliest only with the CRF", **ring)
    axes[2].set_xlabel("step of the window")
    axes[2].xaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(axes[1].images[0], ax=axes[:2], label="probability")
    figure.colorbar(axes[2].images[0], ax=axes[2], label="difference")
    _legend(figure, axes[1], 2)
    return figure


@styled
def soft_targets(scores: np.ndarray, rooms: Sequence[str], temperatures: Sequence[float]) -> Figure:
    """One window's class probabilities, softened by each temperature.

    scores: the teacher's scores of one step [R], before the softmax.
    """
    figure, axes = panels(1, 2.6, columns=len(temperatures), sharey=True)
    for ax, temperature, colour in zip(axes[0], temperatures, COLOURS, strict=False):
        probability = softmax(scores / temperature)
        ax.barh(range(len(rooms)), probability, color=colour)
        for i, p in enumerate(probability):
            ax.text(min(p + 0.03, 0.72), i, f"{p:.3f}" if p >= SLIGHT else f"{p:.0e}", va="center", fontsize=FONT - 1)
        ax.set(xlim=(0, 1), title=f"temperature {temperature:g}", xlabel="probability")
        ax.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(rooms)), rooms)
    axes[0, 0].invert_yaxis()
    return figure


@styled
def timeline(streams: Mapping[str, pd.DataFrame], rooms: Mapping[str, Sequence[str]]) -> Figure:
    """A recording as it goes by: the true room, the predicted one, and where they differ.

    streams: by data set, one row a step: minute, y_true, y_pred (indices into the rooms), recording.
    """
    figure, axes = panels(len(streams), 2.6)
    for ax, (dataset, stream) in zip(axes[:, 0], streams.items(), strict=True):
        wrong = stream["y_true"] != stream["y_pred"]
        ax.plot(stream["minute"], stream["y_true"], "s", color=PALE, ms=8, mew=0, label="true room")
        ax.plot(
            stream["minute"][~wrong], stream["y_pred"][~wrong], ".", color=COLOURS[0], ms=4, label="predicted, right"
        )
        ax.plot(stream["minute"][wrong], stream["y_pred"][wrong], "x", color=COLOURS[3], ms=5, label="predicted, wrong")
        ax.set_yticks(range(len(rooms[dataset])), rooms[dataset])
        ax.set(ylim=(len(rooms[dataset]) - 0.5, -0.5), xlabel="time (min)")
        ax.set_title(f"{dataset}, recording {stream['recording'].iloc[0]}")
    _legend(figure, axes[0, 0], 3)
    return figure


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _legend(figure: Figure, ax, columns: int) -> None:
    """The legend of `ax` under the figure, where it hides nothing."""
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=min(columns, 4))
