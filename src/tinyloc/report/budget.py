"""Memory told honestly: what a `.tflite` takes in TFLite Micro, under the two readings of "it fits in so much RAM".

Weights may stay in flash, and are read from there: then the arena is what RAM has to hold. Or everything lies in RAM,
as on a device that loads its model: then the whole `.tflite` comes on top. The interpreter's own variables and the
stack come on top of both, and the arena was measured in a 64-bit build, whose pointers are twice a Cortex-M's.
"""

import numpy as np
import pandas as pd

from tinyloc.report.numbers import KB, kilobytes

LIMITS_KB = (64, 32)
READINGS = {"weights in flash": "ram_flash", "all in RAM": "ram_all"}


def memory(sizes: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and entry: weights, tflite, arena, ram_flash, ram_all; bytes, of folds and seeds the most.

    sizes: as `results.exports` gives it. For every limit and reading a column, `fits 64 KB, all in RAM` and so on.
    """
    parts = sizes.assign(ram_flash=sizes["arena_bytes"], ram_all=sizes["arena_bytes"] + sizes["tflite_bytes"])
    columns = ["weights_bytes", "tflite_bytes", "arena_bytes", *READINGS.values()]
    table = parts.groupby(["dataset", "entry"], sort=False, as_index=False)[columns].max()
    table = table.rename(columns={c: c.removesuffix("_bytes") for c in columns})
    for limit in LIMITS_KB:
        for reading, column in READINGS.items():
            table[f"fits {limit} KB, {reading}"] = table[column] <= limit * KB
    return table


def programs(runs: pd.DataFrame) -> pd.DataFrame:
    """Whole compiled programs under both readings, as a page shows them; of seeds the largest.

    runs: as `results.devices` gives it. Nothing comes on top: the stack, at its highest mark, is counted.
    """
    parts = runs.assign(ram_flash=runs["ram.total"], ram_all=runs["ram.total"] + runs["flash.total"])
    table = parts.groupby(["dataset", "label"], sort=False, as_index=False)[["flash.total", *READINGS.values()]].max()
    found = pd.DataFrame({"data set": table["dataset"], "model": table["label"]})
    found["flash (KB)"] = [kilobytes(size) for size in table["flash.total"]]
    for reading, column in READINGS.items():
        found[f"RAM, {reading} (KB)"] = [kilobytes(size) for size in table[column]]
    for limit in LIMITS_KB:
        for reading, column in READINGS.items():
            found[f"fits {limit} KB, {reading}"] = ["yes" if size <= limit * KB else "no" for size in table[column]]
    return found


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table as a page shows it, in KB. table: as `memory` gives it."""
    sizes = {
        "weights (KB)": "weights",
        ".tflite (KB)": "tflite",
        "arena (KB)": "arena",
        "RAM, weights in flash (KB)": "ram_flash",
        "RAM, all in RAM (KB)": "ram_all",
    }
    found = pd.DataFrame({"data set": table["dataset"], "model": table["entry"]})
    for label, column in sizes.items():
        found[label] = [kilobytes(size) for size in table[column]]
    for column in table.columns[table.columns.str.startswith("fits ")]:
        fits = ["yes" if fits else "no" for fits in table[column]]
        found[column] = np.where(table["arena"].isna(), "–", fits)  # not for TFLite Micro
    return found
