"""What becomes of a trained model when its test part is not as good as its training part.

Three kinds of conditions, each of which asks every model the same questions (the same last steps of windows):

dropped packets
: a share of the transmitted packets is lost, at random, for all gateways that heard them. The losses of a larger share
  contain those of a smaller one, so a curve over the shares shows the share, and not another draw.
a dead gateway
: nothing that one gateway heard arrives.
short windows
: a window model of each length, trained by the same recipe at that length (a transformer that saw 20 steps in training
  has never seen an attention over 5), is asked with its own length. A model that runs along a stream is not trained
  again: its state is reset where each window begins. All lengths answer for the last steps of the longest windows.

Bins and gaps stay those of the recording as it was (`tinyloc.data.features.steps`): the receiver's clock goes on when
nothing arrives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tinyloc import config
from tinyloc.evaluation import statistics
from tinyloc.training.predictions import Predictions

DROPPED, DEAD, LENGTH = "dropped", "dead gateway", "window length"
SAME_PACKET = pd.Timedelta(0.5, "s")  # gateways write down one packet at almost, not exactly, the same time


@dataclass(frozen=True)
class Condition:
    """`value`: a share of the packets, a gateway, or a number of steps."""

    kind: str
    value: float | str | int

    @property
    def name(self) -> str:
        return f"{self.kind} {self.value}"


CLEAN = Condition(DROPPED, 0.0)


def conditions(settings: config.Robustness, gateways: Sequence[str]) -> list[Condition]:
    """All conditions of a configuration; nothing dropped is always among them, because the others are held to it."""
    shares = sorted({0.0, *settings.dropped})
    return [
        *(Condition(DROPPED, share) for share in shares),
        *(Condition(DEAD, gateway) for gateway in gateways if settings.dead_gateways),
        *(Condition(LENGTH, length) for length in sorted(set(settings.window_lengths))),
    ]


def kept(packets: pd.DataFrame, condition: Condition, seed: int, name: str) -> np.ndarray:
    """Mask [P] of the rows that arrive under a condition on packets. seed, name: of the run and of the recording.

    The rows of one transmitted packet share their `seqno`, which starts again after some time: a row that comes more
    than SAME_PACKET after the one before it of the same `seqno` is of another packet.
    """
    if condition.kind == DEAD:
        return (packets["gateway"] != condition.value).to_numpy()
    another = packets["timestamp"].groupby(packets["seqno"]).diff() > SAME_PACKET
    turn = another.groupby(packets["seqno"]).cumsum()
    sent = packets.groupby(["seqno", turn], sort=False).ngroup().to_numpy()
    luck = np.random.default_rng([seed, *name.encode()]).random(sent.max() + 1)
    return luck[sent] >= condition.value


Answers = Mapping[str, Mapping[str, Predictions]]  # by fold, and by the name of the condition


def summary(runs: Sequence[Answers], asked: Sequence[Condition], n_rooms: int) -> list[dict]:
    """What `robustness.json` holds: a row a condition, with kind, value, macro F1 (mean, low, high), what it lost
    against the reference of its kind (paired, with its interval), and whether it is a reference itself: nothing
    dropped, or the longest window.

    runs: the answers of every seed.
    """
    counted = {c: units(runs, c, n_rooms) for c in asked}
    longest = max((c for c in asked if c.kind == LENGTH), key=lambda c: c.value, default=None)
    rows = []
    for condition, found in counted.items():
        reference = longest if condition.kind == LENGTH else CLEAN
        sizes = len(found.names), found.n_seeds
        lost = statistics.interval(lambda u, k, a=counted[reference], b=found: a.score(u, k) - b.score(u, k), *sizes)
        rows.append(
            {
                "kind": condition.kind,
                "value": condition.value,
                "reference": condition == reference,
                "macro_f1": _none(statistics.interval(found.score, *sizes)),
                "lost": _none(lost),
            }
        )
    return rows


def units(runs: Sequence[Answers], condition: Condition, n_rooms: int) -> statistics.Units:
    """The answers of all seeds and folds under one condition, counted unit by unit."""
    answers = []
    for run in runs:
        rows = {fold: by_name[condition.name] for fold, by_name in run.items()}
        answers.append(tuple(np.concatenate([getattr(r, n) for r in rows.values()]) for n in ("y_true", "y_pred")))
    folds = [fold for fold, r in rows.items() for _ in range(len(r))]
    return statistics.units(folds, np.concatenate([r.recording for r in rows.values()]).tolist(), answers, n_rooms)


def _none(found: dict[str, float]) -> dict:
    return {name: None if np.isnan(value) else value for name, value in found.items()}
