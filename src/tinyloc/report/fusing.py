"""What fusing saves: the same model, on the same board, with a kernel call for every operator and as it is compiled."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tinyloc.device import unfused
from tinyloc.files import read_json
from tinyloc.report.numbers import KB

BEFORE, AFTER = "operator by operator", "fused"

Pair = tuple[dict, dict]
"""Reports before and after, each with `arena` in bytes and `steps`, a row for every kernel call."""


def compare(report: Path) -> Pair:
    """A run on a board (a file of `Study.on_device`) after, and before it the model measured anew without fusions."""
    after = read_json(report)
    exported = report.parent / f"fold-{after['fold']}"
    before = unfused.measure(exported / "model.tflite", exported / "windows.npz", after["board"])
    return before, {"arena": after["ram"]["arena"], "steps": after["steps"]}


def steps(pairs: Mapping[str, Pair]) -> pd.DataFrame:
    """A row for every kernel call of each model: model, form, kernel, instructions.median and more."""
    found = [
        pd.json_normalize(part["steps"]).assign(model=model, form=form)
        for model, pair in pairs.items()
        for form, part in zip((BEFORE, AFTER), pair, strict=True)
    ]
    return pd.concat(found, ignore_index=True)


def table(pairs: Mapping[str, Pair]) -> pd.DataFrame:
    """Kernel calls, arena and instructions of an inference, before and after."""
    return pd.DataFrame(
        {
            "model": model,
            "compiled": form,
            "kernel calls": len(part["steps"]),
            "arena (KB)": f"{part['arena'] / KB:.1f}",
            "instructions": f"{_instructions(part):,}",
        }
        for model, pair in pairs.items()
        for form, part in zip((BEFORE, AFTER), pair, strict=True)
    )


def in_words(pairs: Mapping[str, Pair]) -> str:
    return "\n".join(
        f"- **{model}**: fusing takes {_change(len(before['steps']), len(after['steps']))} of the kernel calls, "
        f"{_change(before['arena'], after['arena'])} of the arena and "
        f"{_change(_instructions(before), _instructions(after))} of the instructions away."
        for model, (before, after) in pairs.items()
    )


def _instructions(part: dict) -> int:
    return sum(step["instructions"]["median"] for step in part["steps"])


def _change(before: int, after: int) -> str:
    return f"{100 * (before - after) / before:.0f} %".replace("-", "−")
