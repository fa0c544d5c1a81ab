"""A fold's model, asked under every condition of `tinyloc.evaluation.conditions`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from tinyloc import config
from tinyloc.data.features import Steps, steps
from tinyloc.data.packets import Dataset, Recording
from tinyloc.data.splits import Fold
from tinyloc.data.windows import cut
from tinyloc.evaluation.conditions import LENGTH, Condition, kept
from tinyloc.training.predictions import Predictions, read_notes, read_predictions, write_predictions
from tinyloc.training.run import answer


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
        return rows.select([key in keys for key in zip(rows.recording.tolist(), rows.step.tolist(), strict=True)])


def _on_packets(ask: _Asked, asked: Sequence[Condition], features: config.Features) -> dict[str, Predictions]:
    """All conditions in one go, as recordings beside each other: a baseline is then fitted once."""
    recordings = {r.name: r for r in ask.dataset.recordings}
    test = []
    for c, tested in product(asked, ask.fold.test):
        found = _lossy(recordings[tested.recording], ask.dataset, features, c, ask.seed)
        # a protocol may test on a part of a recording
        found = found.select(np.isin(found.step, tested.step))
        test.append(replace(found, recording=f"{c.name}\n{found.recording}"))
    rows = ask.about(test, ask.windows)
    condition, recording = np.array([name.split("\n") for name in rows.recording.tolist()]).T
    rows = replace(rows, recording=recording)
    return {c.name: rows.select(condition == c.name) for c in asked}


def _lossy(recording: Recording, dataset: Dataset, features: config.Features, condition: Condition, seed: int) -> Steps:
    return steps(recording, dataset, features, kept(recording.packets, condition, seed, recording.name))
