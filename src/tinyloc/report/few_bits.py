"""Chapter 4: weights below eight bits, over the folds of a data set: bytes against what is left of the answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tinyloc.evaluation import paired, statistics
from tinyloc.report.numbers import kilobytes, percent, points, span
from tinyloc.report.tables import SCORE, with_interval

if TYPE_CHECKING:  # torch takes a second to import, and a table needs none of it
    from tinyloc.export.below_eight import Answers, Run


def summary(answers: Sequence["Answers"], n_rooms: int) -> pd.DataFrame:
    """One row a code, in the order of the first fold.

    Columns: family, setting, bytes and bits (of all folds the most: of the layers' weights, and of one weight with its
    share of tables and scales), macro_f1, low, high (units: `tinyloc.evaluation.statistics`), agreement and
    agreement_low (mean and worst fold), snr_db (mean over the folds); difference and verdict, against the first row,
    corrected for as many tests as there are other rows (`tinyloc.evaluation.paired`).
    """
    by_code: dict[tuple[str, str], list[Answers]] = {}
    for one in answers:
        by_code.setdefault((one.family, one.setting), []).append(one)
    units = [_units(folds, n_rooms) for folds in by_code.values()]
    table = pd.DataFrame([_row(*code) for code in zip(by_code.items(), units, strict=True)])
    compared = [paired.compare([ours], [units[0]]) for ours in units[1:]]
    p, p_equivalent = (paired.holm([getattr(c, name) for c in compared]) for name in ("p", "p_equivalent"))
    table["difference"] = [np.nan, *(c.difference for c in compared)]
    judged = zip(compared, p, p_equivalent, strict=True)
    table["verdict"] = ["", *(paired.verdict(c.difference, c.low, c.high, *corrected) for c, *corrected in judged)]
    return table


def _units(folds: Sequence["Answers"], n_rooms: int) -> statistics.Units:
    recordings, true, predicted = (
        np.concatenate([getattr(one, name) for one in folds]) for name in ("recording", "true", "predicted")
    )
    names = [one.fold for one in folds for _ in one.true]
    return statistics.units(names, recordings.tolist(), [(true, predicted)], n_rooms)


def _row(code: tuple[tuple[str, str], Sequence["Answers"]], units: statistics.Units) -> dict:
    (family, setting), folds = code
    interval = statistics.interval(units.score, len(units.names), units.n_seeds)
    size, agreements = max(one.bytes for one in folds), [one.agreement for one in folds]
    return {
        "family": family,
        "setting": setting,
        "bytes": size,
        "bits": 8 * size / folds[0].n_weights,
        "macro_f1": interval["mean"],
        "low": interval["low"],
        "high": interval["high"],
        "agreement": np.mean(agreements),
        "agreement_low": min(agreements),
        "snr_db": np.mean([one.snr_db for one in folds]),
    }


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """As the page shows it. table: as `summary` gives it."""
    return pd.DataFrame(
        {
            "code": table["family"],
            "bits or entries": table["setting"],
            "bits a weight, all counted": [f"{bits:.2f}" for bits in table["bits"]],
            "weights (KB)": [kilobytes(size) for size in table["bytes"]],
            SCORE: [with_interval(row) for _, row in table.iterrows()],
            "against PyTorch (points)": ["–" if np.isnan(d) else points(d) for d in table["difference"]],
            "verdict": table["verdict"].replace("", "–"),
            "agrees with PyTorch (%), worst fold": [
                f"{percent(row.agreement)} ({percent(row.agreement_low)})" for row in table.itertuples()
            ],
            "scores, signal to noise (dB)": [f"{snr:.1f}" if np.isfinite(snr) else "–" for snr in table["snr_db"]],
        }
    )


def runs(found: Sequence["Run"]) -> pd.DataFrame:
    """Codes in TFLite Micro, as the page shows them."""
    return pd.DataFrame(
        {
            "code": [run.family for run in found],
            "bits or entries": [run.setting for run in found],
            ".tflite (KB)": [kilobytes(run.tflite_bytes) for run in found],
            "arena (KB)": [kilobytes(run.arena_bytes) for run in found],
            "same integers as unpacked (%)": [span([100 * run.identical], "{:.2f}") for run in found],
        }
    )


def smallest_equivalent(table: pd.DataFrame) -> pd.Series | None:
    """Of the codes that are shown to be equivalent to the first row, the one of fewest bytes; None where none is."""
    equivalent = table[table["verdict"] == paired.EQUIVALENT]
    return None if equivalent.empty else equivalent.loc[equivalent["bytes"].idxmin()]
