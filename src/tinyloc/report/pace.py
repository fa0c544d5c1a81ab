"""What a second of signal costs: a stream reads every step once, a window model many times."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from tinyloc.report.results import original


def table(runs: pd.DataFrame, streams: Collection[str], bin_s: float, length: int) -> pd.DataFrame:
    """Instructions a second of signal: what reads every step once beside what reads windows again and again.

    runs: as `results.devices` gives it. streams: the models that run along a stream. bin_s: seconds a step; length:
    steps a window. A stream has to read every step, however seldom it is asked.
    """
    rows = []
    for (dataset, entry), part in runs.groupby(["dataset", "entry"], sort=False):
        reads_steps, answer = original(entry) in streams, part["instructions.max"].max()
        rows.append(
            {
                "data set": dataset,
                "model": entry,
                "reads for an answer": "one step" if reads_steps else f"{length} steps",
                "instructions an answer": f"{answer:,}",
                "a second, one answer a step": f"{answer / bin_s:,.0f}",
                "a second, one answer a window": f"{answer / bin_s / (1 if reads_steps else length):,.0f}",
            }
        )
    return pd.DataFrame(rows)


def break_even(runs: pd.DataFrame, streams: Collection[str], bin_s: float) -> str:
    """How seldom a window model would have to answer to take no more instructions than the cheapest stream."""
    lines = []
    for dataset, part in runs.groupby("dataset", sort=False):
        most = part.groupby("entry", sort=False)["instructions.max"].max()
        is_stream = [original(entry) in streams for entry in most.index]
        windows = most[np.logical_not(is_stream)]
        if not any(is_stream) or windows.empty:
            lines.append(f"- **{dataset}**: there is no stream beside a window model to compare.")
            continue
        cheapest = most[is_stream].idxmin()
        lines += [
            f"- **{dataset}**: an answer of {entry} takes as many instructions as {count / most[cheapest]:,.1f} of "
            f"{cheapest}. Answering every {bin_s * count / most[cheapest]:,.0f} s, the two would cost the same."
            for entry, count in windows.items()
        ]
    return "\n".join(lines)
