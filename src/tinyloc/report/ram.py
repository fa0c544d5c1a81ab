"""What "it needs so much RAM" means, for each kind of entry: three ways of counting, never mixed up.

- WEIGHTS: four bytes a parameter, as a trained float32 network needs at least where everything lies in RAM. A lower
  bound: intermediate results come on top.
- ARENA: the smallest arena in which TFLite Micro runs the `.tflite`, found by bisection; weights stay in flash. The
  interpreter's own variables and its stack come on top.
- PROGRAM: arena, state, every other static variable and the highest mark of the stack of the compiled program, on
  the board; weights stay in flash. Nothing comes on top.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tinyloc.report import comparison, results

WEIGHTS = "weights as float32 (lower bound)"
ARENA = "TFLite Micro arena"
PROGRAM = "whole compiled program"
FLOAT_BYTES = 4
SCORES = ["macro_f1", "low", "high"]


def points(trained: Sequence[Path], exported: Sequence[Path], on_device: Sequence[Path]) -> pd.DataFrame:
    """Every entry that has a RAM figure: dataset, entry, counted, ram (bytes), macro_f1, low, high.

    Where folds or seeds differ, the largest RAM counts: a device has to hold any of them.
    A device's accuracy is that of its `.tflite`, which it was compared with output by output.
    """
    weights = comparison.summary(trained).dropna(subset=["parameters"])
    parts = [weights.assign(ram=weights["parameters"] * FLOAT_BYTES, counted=WEIGHTS)]
    summary = comparison.summary(exported)
    if exported:
        measured = results.exports(exported).dropna(subset=["arena_bytes"])  # without those not for TFLite Micro
        parts.append(_largest(measured, "arena_bytes", ARENA).merge(summary))
    if on_device:
        parts.append(_largest(results.devices(on_device), "ram.total", PROGRAM).merge(summary))
    return pd.concat(parts, ignore_index=True)[["dataset", "entry", "counted", "ram", *SCORES]]


def references(trained: Sequence[Path]) -> pd.DataFrame:
    """The entries without a RAM figure (forest, neighbours): dataset, entry, macro_f1, low, high."""
    summary = comparison.summary(trained)
    return summary[summary["parameters"].isna()][["dataset", "entry", *SCORES]].reset_index(drop=True)


def _largest(frame: pd.DataFrame, column: str, counted: str) -> pd.DataFrame:
    sizes = frame.groupby(["dataset", "entry"], sort=False, as_index=False)[column].max()
    return sizes.rename(columns={column: "ram"}).assign(counted=counted)
