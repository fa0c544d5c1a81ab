"""What a teacher says of each step for itself and what with its CRF, for the chapter on distillation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tinyloc import config
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Windows, cut
from tinyloc.report.numbers import counted, small_percent
from tinyloc.training import checkpoint
from tinyloc.training.checkpoint import Trained
from tinyloc.training.distil import Answer, all_answers
from tinyloc.training.fit import Batches


@dataclass(frozen=True)
class Heard:
    """A trained network with a CRF, and what it says of the test windows of a fold."""

    dataset: str
    fold: str
    trained: Trained
    windows: Windows  # unscaled
    told: Answer
    by_step: np.ndarray  # [N, T, R], the softmax of each step's scores
    by_window: np.ndarray  # [N, T, R], the marginals of the CRF

    @property
    def changed(self) -> np.ndarray:
        """Whether the CRF makes another room the likeliest [N, T]."""
        return self.by_step.argmax(-1) != self.by_window.argmax(-1)

    @property
    def difference(self) -> np.ndarray:
        """Of probabilities, either way [N, T, R]."""
        return np.abs(self.by_step - self.by_window)


def hear(dataset: str, fold: Fold, windows: config.Windows, path: Path) -> Heard:
    """path: of the checkpoint of that fold."""
    trained = checkpoint.load(path)
    asked = cut(fold.test, windows.length, windows.test_hop)
    given = Batches.of(trained.scaler.transform(asked))
    told = all_answers(trained.model, given.rssi, given.acc)
    with torch.no_grad():
        by_step, by_window = told.scores.softmax(-1), trained.model.crf.marginals(told.scores)
    return Heard(dataset, fold.name, trained, asked, told, by_step.numpy(), by_window.numpy())


def most_changed(heard: Sequence[Heard]) -> tuple[Heard, int]:
    """The window whose probabilities the CRF changes most, of those in which it makes another room the likeliest at
    any step; of all, where there are none."""
    ranked = []
    for number, one in enumerate(heard):
        changed, much = one.changed.any(1), one.difference.sum((1, 2))
        row = np.lexsort((much, changed))[-1]
        ranked.append((changed[row], much[row], number, row))
    *_, number, row = max(ranked)
    return heard[number], int(row)


def in_words(heard: Sequence[Heard]) -> str:
    """Markdown: how much the CRF changes, a line a data set, all its folds together."""
    lines = []
    for dataset in dict.fromkeys(one.dataset for one in heard):
        mine = [one for one in heard if one.dataset == dataset]
        changed = np.concatenate([one.changed.ravel() for one in mine])
        most = max(one.difference.max() for one in mine)
        found = "at none"
        if changed.any():
            found = f"at {changed.sum():,} ({small_percent(changed.mean())} %)"
        lines.append(
            f"- **{dataset}**: of {counted(len(changed), 'step')} in test windows the CRF makes another room the "
            f"likeliest {found}. The most that it changes a probability by is {most:.3f}."
        )
    return "\n".join(lines)
