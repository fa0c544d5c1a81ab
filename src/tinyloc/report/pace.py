"""What a second of signal costs: a stream reads every step once, a window model many times."""

from collections.abc import Collection

import pandas as pd

from tinyloc.report.results import original


def table(runs: pd.DataFrame, streams: Collection[str], bin_s: float, length: int) -> pd.DataFrame:
    """Instructions a second of signal: what reads every step once beside what reads windows again and again.

    runs: as `results.devices` gives it. streams: the models that run along a stream. bin_s: seconds a step; length:
    steps a window. A stream has to read every step, however seldom it is asked.
    """
    rows = []
    for (dataset, label), part in runs.groupby(["dataset", "label"], sort=False):
        reads_steps, answer = _is_stream(part, streams), part["instructions.max"].max()
        rows.append(
            {
                "data set": dataset,
                "model": label,
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
        cores = part.groupby("core", sort=False)
        found = [line for _, runs_there in cores for line in _compared(dataset, runs_there, streams, bin_s)]
        lines += found or [f"- **{dataset}**: there is no stream beside a window model to compare."]
    return "\n".join(lines)


def _compared(dataset: str, runs: pd.DataFrame, streams: Collection[str], bin_s: float) -> list[str]:
    """Each window model beside the cheapest stream, all on one core; nothing where one of the two is missing."""
    most = runs.groupby("label", sort=False)["instructions.max"].max()
    is_stream = runs.groupby("label", sort=False)["entry"].first().map(original).isin(streams)
    windows = most[~is_stream]
    if not is_stream.any() or windows.empty:
        return []
    cheapest = most[is_stream].idxmin()
    return [
        f"- **{dataset}**: an answer of {label} takes as many instructions as {count / most[cheapest]:,.1f} of "
        f"{cheapest}. Answering every {bin_s * count / most[cheapest]:,.0f} s, the two would cost the same."
        for label, count in windows.items()
    ]


def _is_stream(runs: pd.DataFrame, streams: Collection[str]) -> bool:
    return original(runs["entry"].iloc[0]) in streams
