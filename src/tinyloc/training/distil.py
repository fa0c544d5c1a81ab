"""Knowledge distillation (G. Hinton, O. Vinyals and J. Dean, 2015), step by step of a window."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.config import Distillation


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """temperature² · KL(teacher || student) of the tempered softmax of the scores [B, T, R], mean over the steps.

    The factor keeps the gradient's size the same whatever the temperature (section 2.1 of the paper).
    """
    n_rooms = student.shape[-1]
    expected = F.log_softmax(teacher.reshape(-1, n_rooms) / temperature, -1)
    given = F.log_softmax(student.reshape(-1, n_rooms) / temperature, -1)
    return temperature**2 * F.kl_div(given, expected, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class SoftTargets:
    """What the teacher says of every training window, asked once, with its dropout off."""

    scores: torch.Tensor  # [N, T, R]
    temperature: float
    alpha: float

    @classmethod
    def of(cls, teacher: nn.Module, rssi: torch.Tensor, acc: torch.Tensor, config: Distillation) -> "SoftTargets":
        return cls(all_scores(teacher, rssi, acc), config.temperature, config.alpha)

    def mix(self, hard: torch.Tensor, student: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """(1 - alpha) · hard loss + alpha · soft loss, for the training windows `rows`."""
        soft = soft_loss(student, self.scores[rows], self.temperature)
        return (1 - self.alpha) * hard + self.alpha * soft


@torch.no_grad()
def all_scores(model: nn.Module, rssi: torch.Tensor, acc: torch.Tensor, batch: int = 1024) -> torch.Tensor:
    """The scores of any number of windows, in evaluation mode, a batch at a time: [N, T, R]."""
    model.eval()
    parts = zip(rssi.split(batch), acc.split(batch), strict=True)
    return torch.cat([model(r, a) for r, a in parts])
