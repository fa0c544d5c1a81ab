"""Where the instructions of an inference go, step by step."""

from pathlib import Path

import numpy as np

from tinyloc.aot.report import Report
from tinyloc.device import qemu
from tinyloc.device.windows import Windows

WINDOWS = 20  # how many are profiled: few operators' counts depend on the values


def profile(aot: Path, report: Report, board: str, ram: int, out: Path, stack: int, given: Windows) -> list[dict]:
    """Build the sources of folder `aot` once more, with marks between the steps, and run the first windows.

    Returns a row for every step (a kernel call, or a copy of state) in the order of execution: what it does, its
    multiply-accumulates, and its `instructions` {min, median, max} over those windows.
    Raises what `qemu.build` and `qemu.run` raise.
    """
    built = qemu.build(aot, board, ram, out, stack, profile=True)
    counts = qemu.run(built, given.records[:WINDOWS], given.reset[:WINDOWS]).steps  # [N, steps]
    return [
        {
            "operators": step.operators,
            "name": step.name,
            "kernel": step.kernel,
            "output": step.output,
            "macs": step.macs,
            "instructions": summary(column),
        }
        for step, column in zip(report.steps, counts.T, strict=True)
    ]


def summary(counts: np.ndarray) -> dict[str, int]:
    """counts: [N] int64. The lower of two middle values, so that the median is a count that occurred."""
    ordered = np.sort(counts)
    return {"min": int(ordered[0]), "median": int(ordered[(len(ordered) - 1) // 2]), "max": int(ordered[-1])}


def table(steps: list[dict]) -> str:
    """The rows of `profile` for people, the most expensive first."""
    total = sum(row["instructions"]["median"] for row in steps)
    lines = [f"{'min':>10} {'median':>10} {'max':>10} {'share':>7} {'a MAC':>6}  step"]
    for row in sorted(steps, key=lambda row: -row["instructions"]["median"]):
        count = row["instructions"]
        each = f"{count['median'] / row['macs']:6.2f}" if row["macs"] else 6 * " "
        share = 100 * count["median"] / total
        what = f"{','.join(map(str, row['operators']))} {row['name']} ({row['kernel']}) -> {row['output']}".strip()
        lines.append(f"{count['min']:10} {count['median']:10} {count['max']:10} {share:6.1f}% {each}  {what}")
    return "\n".join(lines)
