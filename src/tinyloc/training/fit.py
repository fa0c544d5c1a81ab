"""One fit: epochs of RAdam in Lookahead, early stopping, and a checkpoint after every epoch.

A fit that was killed continues from its checkpoint and ends with the weights of one that was not: the checkpoint
holds the weights, the optimiser with Lookahead's slow weights, both random generators and the best weights so far.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tinyloc.config import Training
from tinyloc.data.windows import Windows
from tinyloc.files import atomic
from tinyloc.training.distil import SoftTargets, all_scores
from tinyloc.training.optim import Lookahead

FORMAT = 1


@dataclass(frozen=True)
class Epoch:
    """One line of the learning curve; losses in nats a step, accuracy as a fraction of the windows' last steps."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float

    @property
    def merit(self) -> tuple[float, float]:
        """What early stopping compares: accuracy, and among equals the lower loss."""
        return self.validation_accuracy, -self.validation_loss


@dataclass(frozen=True)
class Batches:
    """Windows as tensors."""

    rssi: torch.Tensor  # [N, T, n_ap], scaled
    acc: torch.Tensor  # [N, T, n_acc], scaled
    room: torch.Tensor  # [N, T] int64

    @classmethod
    def of(cls, windows: Windows) -> "Batches":
        return cls(*(torch.from_numpy(a) for a in (windows.rssi, windows.acc, windows.room)))


def fit(
    model: nn.Module,
    train: Windows,
    validation: Windows,
    training: Training,
    seed: int,
    *,
    soft_targets: SoftTargets | None = None,
    resume: Path | None = None,
    making: dict | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Train `model` in place and leave it with its best weights, in evaluation mode.

    model: a `models.network.Network`. train, validation: scaled.
    resume: where the checkpoint of every epoch goes; one that is there, of the same `making`, is continued.
    progress: called after every epoch. Returns the learning curve, one entry an epoch.
    """
    with _single_thread():
        run = _Fit(model, train, validation, training, seed, soft_targets)
        if resume:
            run.load(resume, making)
        while not run.finished:
            epoch = run.one_epoch()
            if resume:
                run.save(resume, making)
            if progress:
                progress(epoch)
        model.load_state_dict(run.best_weights)
        model.eval()
        return run.history


def best(history: list[Epoch]) -> Epoch:
    """The epoch whose weights are kept; the first of equals."""
    return max(history, key=lambda epoch: epoch.merit)


class _Fit:
    def __init__(
        self,
        model: nn.Module,
        train: Windows,
        validation: Windows,
        training: Training,
        seed: int,
        soft_targets: SoftTargets | None,
    ):
        self.model, self.training, self.soft_targets = model, training, soft_targets
        self.train, self.validation = Batches.of(train), Batches.of(validation)
        torch.manual_seed(seed)  # dropout draws from the global generator
        self.shuffle = torch.Generator().manual_seed(seed)
        radam = torch.optim.RAdam(
            model.parameters(),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            decoupled_weight_decay=True,
            foreach=True,
        )
        self.optimiser = Lookahead(radam, training.lookahead_k, training.lookahead_alpha)
        self.history: list[Epoch] = []
        self.best_weights: dict[str, torch.Tensor] = {}

    @property
    def finished(self) -> bool:
        if not self.history:
            return False
        since_best = self.history[-1].epoch - best(self.history).epoch
        return len(self.history) >= self.training.epochs or since_best >= self.training.patience

    def one_epoch(self) -> Epoch:
        train_loss = self._train()
        validation_loss, validation_accuracy = self._validate()
        epoch = Epoch(len(self.history) + 1, train_loss, validation_loss, validation_accuracy)
        self.history.append(epoch)
        if best(self.history) is epoch:
            self.best_weights = {name: t.clone() for name, t in self.model.state_dict().items()}
        return epoch

    def _train(self) -> float:
        """One pass over the training windows; the mean loss of a window."""
        self.model.train()
        total = 0.0
        n_windows = len(self.train.room)
        for rows in torch.randperm(n_windows, generator=self.shuffle).split(self.training.batch):
            loss = self._loss(rows)
            self.optimiser.zero_grad()
            loss.backward()
            if self.training.gradient_clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.training.gradient_clip)
            self.optimiser.step()
            total += loss.item() * len(rows)
        return total / n_windows

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        seen = self.train.rssi[rows], self._shifted(self.train.acc[rows])
        loss, scores = self.model.objective(*seen, self.train.room[rows])
        return self.soft_targets.mix(loss, scores, rows) if self.soft_targets else loss

    def _shifted(self, acc: torch.Tensor) -> torch.Tensor:
        """Augmentation: as if another person wore the device, at another angle. acc: [B, T, n_acc], scaled."""
        if not self.training.acc_shift:
            return acc
        return acc + self.training.acc_shift * torch.randn(len(acc), 1, acc.shape[-1])

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        """Loss against the true rooms, and the accuracy at the last step, which is what testing scores."""
        scores = all_scores(self.model, self.validation.rssi, self.validation.acc)
        room = self.validation.room
        right = self.model.decode(scores)[:, -1] == room[:, -1]
        return self.model.loss(scores, room).item(), right.double().mean().item()

    def save(self, path: Path, making: dict | None) -> None:
        state = {
            "format": FORMAT,
            "making": making,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "dropout": torch.get_rng_state(),
            "history": [asdict(epoch) for epoch in self.history],
            "best_weights": self.best_weights,
        }
        with atomic(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path, making: dict | None) -> None:
        """Continue from the checkpoint; one of another making, or none, leaves the fit at its beginning."""
        state = _read(path)
        if (state.get("format"), state.get("making")) != (FORMAT, making):
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["dropout"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best_weights = state["best_weights"]


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True) if path.is_file() else {}


@contextmanager
def _single_thread() -> Iterator[None]:
    """Sums in the same order on every run; the folds are what runs in parallel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
