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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc import config
from tinyloc.data.features import Steps, steps
from tinyloc.data.packets import Dataset, Recording
from tinyloc.data.splits import Fold
from tinyloc.data.windows import cut
from tinyloc.evaluation import statistics
from tinyloc.training.predictions import Predictions, read_notes, read_predictions, write_predictions
from tinyloc.training.run import answer

DROPPED, DEAD, LENGTH = "dropped", "dead gateway", "window length"


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

    The rows of one transmitted packet share their `seqno`, which starts again after some time: so a packet is known by
    `seqno` and second.
    """
    if condition.kind == DEAD:
        return (packets["gateway"] != condition.value).to_numpy()
    sent = packets.groupby([packets["timestamp"].dt.floor("s"), "seqno"], sort=False).ngroup().to_numpy()
    luck = np.random.default_rng([seed, *name.encode()]).random(sent.max() + 1)
    return luck[sent] >= condition.value


def run_fold(
    model: config.Model,
    fold: Fold,
    dataset: Dataset,
    features: config.Features,
    windows: config.Windows,
    asked: Sequence[Condition],
    trained: Mapping[int, Path],
    seed: int,
    out: Path,
    making: dict,
) -> dict[str, Predictions]:
    """The answers of a fold's model under every condition, by the condition's name; also in `out`/robustness.npz.

    dataset: with the packets of the fold's test recordings. trained: by window length, the folder of the fold that was
    trained at it. What is there already, of the same `making`, is read.
    Raises InputError: no test segment is as long as the longest window.
    """
    done = out / "robustness.npz"
    if done.is_file() and read_notes(done).get("making") == making:
        return read_predictions(done)
    ask = _Asked(model, fold, windows, dataset, seed, trained)
    by_length = [c for c in asked if c.kind == LENGTH]
    answers = _on_packets(ask, [c for c in asked if c.kind != LENGTH], features)
    answers |= {c.name: ask.at_length(c.value, max(d.value for d in by_length)) for c in by_length}
    write_predictions(done, answers, making=making)
    return answers


@dataclass(frozen=True)
class _Asked:
    """A fold's model, ready to be asked."""

    model: config.Model
    fold: Fold
    windows: config.Windows
    dataset: Dataset
    seed: int
    trained: Mapping[int, Path]

    def about(self, test: list[Steps], windows: config.Windows, reset: bool = False) -> Predictions:
        fold, names = replace(self.fold, test=test), (self.dataset.gateways, self.dataset.rooms)
        return answer(self.model, fold, windows, *names, self.seed, self.trained[windows.length], reset)

    def at_length(self, length: int, longest: int) -> Predictions:
        """Answers with windows of `length` steps, at the last steps of those of `longest` steps."""
        windows = self.windows.model_copy(update={"length": length, "test_hop": 1})
        rows = self.about(self.fold.test, windows, reset=True)
        wanted = cut(self.fold.test, longest, self.windows.test_hop)
        keys = set(zip(wanted.recording.tolist(), wanted.step.tolist(), strict=True))
        return _select(rows, [key in keys for key in zip(rows.recording.tolist(), rows.step.tolist(), strict=True)])


def _on_packets(ask: _Asked, asked: Sequence[Condition], features: config.Features) -> dict[str, Predictions]:
    """All conditions in one go, as recordings beside each other: a baseline is then fitted once."""
    names = [s.recording for s in ask.fold.test]
    recordings = [r for r in ask.dataset.recordings if r.name in names]
    test = [
        replace(found, recording=f"{c.name}\n{found.recording}")
        for c in asked
        for found in (_lossy(r, ask.dataset, features, c, ask.seed) for r in recordings)
    ]
    rows = ask.about(test, ask.windows)
    condition, recording = np.array([name.split("\n") for name in rows.recording.tolist()]).T
    rows = replace(rows, recording=recording)
    return {c.name: _select(rows, condition == c.name) for c in asked}


def _lossy(recording: Recording, dataset: Dataset, features: config.Features, condition: Condition, seed: int) -> Steps:
    return steps(recording, dataset, features, kept(recording.packets, condition, seed, recording.name))


def _select(rows: Predictions, mask: Sequence[bool]) -> Predictions:
    """Some of the rows; their scores are left out, which no one asks for here."""
    mask = np.asarray(mask, bool)
    columns = {name: getattr(rows, name)[mask] for name in ("recording", "step", "y_true", "y_pred")}
    return Predictions(**columns, parameters=rows.parameters)


def summary(folds: Mapping[str, Mapping[str, Predictions]], asked: Sequence[Condition], n_rooms: int) -> list[dict]:
    """What `robustness.json` holds: a row a condition, with kind, value, macro F1 (mean, low, high), what it lost
    against the undisturbed run of its kind (paired, with its interval), and macro F1 fold by fold.

    folds: answers by fold and by the condition's name.
    """
    counted = {c: units([rows[c.name] for rows in folds.values()], list(folds), n_rooms) for c in asked}
    longest = max((c for c in asked if c.kind == LENGTH), key=lambda c: c.value, default=None)
    rows = []
    for condition, found in counted.items():
        clean = counted[longest if condition.kind == LENGTH else CLEAN]
        sizes = len(found.names), found.n_seeds
        score = statistics.interval(found.score, *sizes)
        lost = statistics.interval(lambda u, k, a=clean, b=found: a.score(u, k) - b.score(u, k), *sizes)
        rows.append(
            {
                "kind": condition.kind,
                "value": condition.value,
                "macro_f1": _none(score),
                "lost": _none(lost),
                "folds": {name: _macro_f1(by_name[condition.name], n_rooms) for name, by_name in folds.items()},
            }
        )
    return rows


def units(rows: Sequence[Predictions], folds: Sequence[str], n_rooms: int) -> statistics.Units:
    """The answers of all folds under one condition, counted unit by unit."""
    names = [name for name, r in zip(folds, rows, strict=True) for _ in range(len(r))]
    recordings, true, predicted = (
        np.concatenate([getattr(r, n) for r in rows]) for n in ("recording", "y_true", "y_pred")
    )
    return statistics.units(names, recordings.tolist(), [(true, predicted)], n_rooms)


def _macro_f1(rows: Predictions, n_rooms: int) -> float:
    return float(statistics.macro_f1(statistics.confusion(rows.y_true, rows.y_pred, n_rooms)))


def _none(found: dict[str, float]) -> dict:
    return {name: None if np.isnan(value) else value for name, value in found.items()}
