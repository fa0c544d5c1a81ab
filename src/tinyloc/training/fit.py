"""One fit: epochs of RAdam in Lookahead, early stopping, and a checkpoint after every epoch.

A fit that was killed continues from its checkpoint and ends with the weights of one that was not: the checkpoint
holds the weights, the optimiser with Lookahead's slow weights, all random generators and the best weights so far.
"""

import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tinyloc.config import Training
from tinyloc.data.windows import Windows
from tinyloc.errors import InputError
from tinyloc.files import write_bytes
from tinyloc.training import accelerator
from tinyloc.training.augment import augmented
from tinyloc.training.checkpoint import packed
from tinyloc.training.distil import ConsistentTeaching, Teaching, all_scores, answer
from tinyloc.training.optim import Lookahead

FORMAT = 2


@dataclass(frozen=True)
class Epoch:
    """One line of the learning curve; losses in nats a step, accuracy as a fraction of the windows' last steps."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float


MERIT: dict[str, Callable[[Epoch], tuple[float, ...]]] = {
    "accuracy": lambda epoch: (epoch.validation_accuracy, -epoch.validation_loss),
    "loss": lambda epoch: (-epoch.validation_loss,),
    "last": lambda epoch: (epoch.epoch,),
}
"""What early stopping compares, by `config.Training.choose`; among equal accuracies the lower loss wins. With `last`
every epoch is better than the one before it, so that nothing stops early."""


@dataclass(frozen=True)
class Batches:
    """Windows as tensors."""

    rssi: torch.Tensor  # [N, T, n_ap], scaled
    acc: torch.Tensor  # [N, T, n_acc], scaled
    room: torch.Tensor  # [N, T] int64

    @classmethod
    def of(cls, windows: Windows) -> "Batches":
        return cls(*(torch.from_numpy(a) for a in (windows.rssi, windows.acc, windows.room)))

    def to(self, device: torch.device) -> "Batches":
        return Batches(self.rssi.to(device), self.acc.to(device), self.room.to(device))


def fit(
    model: nn.Module,
    train: Windows,
    validation: Windows,
    training: Training,
    seed: int,
    *,
    teaching: Teaching | ConsistentTeaching | None = None,
    resume: Path | None = None,
    making: dict | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Train `model` in place and leave it with its best weights, in evaluation mode, on the CPU.

    model: a `models.network.Network`. train, validation: scaled. teaching: of the windows of `train`, in their order.
    resume: where the checkpoint of every epoch goes; one that is there, of the same `making`, is continued.
    progress: called after every epoch. Returns the learning curve, one entry an epoch.

    Raises InputError: the loss is no number any more.
    """
    with _single_thread():
        run = _Fit(model, train, validation, training, seed, teaching)
        if resume:
            run.load(resume, making)
        while not run.finished:
            epoch = run.one_epoch()
            if resume:
                run.save(resume, making)
            if progress:
                progress(epoch)
        model.load_state_dict(run.best_weights)
        model.cpu().eval()
        return run.history


def best(history: list[Epoch], choose: str) -> Epoch:
    """The epoch whose weights are kept, by accuracy or by loss, the first of equals; or the last."""
    return max(history, key=MERIT[choose])


def learning_rate(training: Training, epoch: int, epochs: int) -> float:
    """Of epoch 1, 2, … of so many; the cosine is without restarts (I. Loshchilov and F. Hutter, SGDR, 2017,
    equation 5)."""
    if training.schedule == "constant":
        return training.learning_rate
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))


def balanced(room: torch.Tensor, n_rooms: int) -> torch.Tensor:
    """Weights of rooms for which each weighs the same in all, 1 a step on average; 0 for one that is never visited.

    room: [N, T] int64 -> [R] (G. King and L. Zeng, "Logistic regression in rare events data", 2001: weighting).
    """
    steps = torch.bincount(room.flatten(), minlength=n_rooms)
    visited = steps > 0
    return torch.where(visited, room.numel() / (visited.sum() * steps.clamp(min=1)), 0.0)


class _Fit:
    def __init__(
        self,
        model: nn.Module,
        train: Windows,
        validation: Windows,
        training: Training,
        seed: int,
        teaching: Teaching | ConsistentTeaching | None,
    ):
        self.device = accelerator.chosen(training.device)
        self.training, self.model, self.teaching = training, model.to(self.device), teaching
        self.epochs = training.epochs_over(len(train))
        self.train, self.validation = (Batches.of(windows).to(self.device) for windows in (train, validation))
        self.learnt = list(model.parameters())
        if teaching:
            self.learnt += teaching.to(self.device).parameters()
        by_share = training.class_weights == "balanced"
        self.room_weight = balanced(self.train.room, model.head.out_features) if by_share else None
        torch.manual_seed(seed)  # dropout draws from the global generators
        self.shuffle = torch.Generator().manual_seed(seed)
        radam = torch.optim.RAdam(
            self.learnt,
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
        since_best = self.history[-1].epoch - self.best.epoch
        return len(self.history) >= self.epochs or since_best >= self.training.patience

    @property
    def best(self) -> Epoch:
        return best(self.history, self.training.choose)

    def one_epoch(self) -> Epoch:
        self.optimiser.set_learning_rate(learning_rate(self.training, len(self.history) + 1, self.epochs))
        train_loss = self._train()
        validation_loss, validation_accuracy = self._validate()
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
            raise InputError(
                f"training: in epoch {len(self.history) + 1} the loss became {train_loss} (validation "
                f"{validation_loss}); try a lower learning_rate than {self.training.learning_rate:g}, or gradient_clip"
            )
        epoch = Epoch(len(self.history) + 1, train_loss, validation_loss, validation_accuracy)
        self.history.append(epoch)
        if self.best is epoch:
            self.best_weights = {name: t.clone() for name, t in self.model.state_dict().items()}
        return epoch

    def _train(self) -> float:
        """One pass over the training windows; the mean loss of a window."""
        self.model.train()
        total = 0.0
        n_windows = len(self.train.room)
        for rows in torch.randperm(n_windows, generator=self.shuffle).split(self.training.batch):
            loss = self._loss(rows.to(self.device))
            self.optimiser.zero_grad()
            loss.backward()
            if self.training.gradient_clip:
                nn.utils.clip_grad_norm_(self.learnt, self.training.gradient_clip)
            self.optimiser.step()
            total += loss.item() * len(rows)
        return total / n_windows

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        seen = self.train
        rssi, acc, room = augmented(seen.rssi[rows], seen.acc[rows], seen.room[rows], self.training)
        with accelerator.mixed_precision(self.device):
            student = answer(self.model, rssi, acc)
        loss = self.model.loss(student.scores, room, self.room_weight)
        if self.training.last_step:
            loss = loss + self.training.last_step * self.model.last_step_loss(student.scores, room, self.room_weight)
        loss = loss + self.model.auxiliary_loss(student.hidden, room)
        return self.teaching.mix(loss, student, rows, (rssi, acc)) if self.teaching else loss

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        """Loss against the true rooms, and the accuracy at the last step, which is what testing scores."""
        scores = all_scores(self.model, self.validation.rssi, self.validation.acc)
        room = self.validation.room
        right = self.model.last_room(scores) == room[:, -1]
        return self.model.loss(scores, room).item(), right.double().mean().item()

    def save(self, path: Path, making: dict | None) -> None:
        state = {
            "format": FORMAT,
            "making": making,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "teaching": self.teaching.state_dict() if self.teaching else {},
            "dropout": accelerator.generator_states(self.device),
            "history": [asdict(epoch) for epoch in self.history],
            "best_weights": self.best_weights,
        }
        write_bytes(path, packed(state))

    def load(self, path: Path, making: dict | None) -> None:
        """Continue from the checkpoint; one of another making, or none, leaves the fit at its beginning."""
        state = _read(path)
        if (state.get("format"), state.get("making")) != (FORMAT, making):
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shuffle.set_state(state["shuffle"])
        if self.teaching:
            self.teaching.load_state_dict(state["teaching"])
        accelerator.restore_generators(state["dropout"], self.device)
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best_weights = state["best_weights"]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):  # a disk or a hand did that: writing is atomic
        raise InputError(f"{path}: a damaged checkpoint; remove it, and the training begins anew") from None


@contextmanager
def _single_thread() -> Iterator[None]:
    """Sums in the same order on every run; the folds are what runs in parallel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
