"""Training windows changed anew every time they are seen, as another day, another person or another pace would.

A scripted walk is not how people live: they stay on a spot for a minute and not for seconds, take the rooms in any
order, and wear the device on another day, at other levels. What does not depend on that is taught by windows in which
it varies. Each change is off in the study's recipe; each has a key of its own in `config.Training`.

Windows come scaled to [0, 1] by column (`data.windows.Scaler`); strengths are in units of a column's range. RSSI 0 is
silence, and what a change pushes below it falls silent.
"""

import torch
from torch.nn import functional as F

from tinyloc.config import Training
from tinyloc.data.features import ACC_NAMES

Windows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""rssi [B, T, n_ap], acc [B, T, n_acc] and room [B, T] int64."""


def augmented(rssi: torch.Tensor, acc: torch.Tensor, room: torch.Tensor, training: Training) -> Windows:
    """A batch of windows, scaled, with the changes of `training`; random numbers are those of torch's CPU generator."""
    if training.slowest > 1 or training.reversed:
        order, turned = (
            of.to(room.device) for of in played(room, training.slowest, training.reversed, training.unslowed)
        )
        rssi, acc = taken(rssi, order), taken(acc, order)
        # a step's room is the one at its end (`data.features`), which backwards is the one where it began
        room = taken(room, (order - turned.long()).clamp(min=0))
    if training.rssi_shift:
        rssi = heard_alone(rssi, training.rssi_shift * _normal(rssi, steps=1))
    if training.rssi_noise:
        rssi = heard_alone(rssi, training.rssi_noise * _normal(rssi, steps=rssi.shape[1]))
    if training.acc_shift:
        acc = acc + training.acc_shift * _normal(acc, steps=1)
    if training.posture_shift:
        acc = acc + training.posture_shift * _normal(acc, steps=1) * of_posture(acc.shape[-1]).to(acc)
    return rssi, acc, room


def played(
    room: torch.Tensor, slowest: float, backwards: float, unslowed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which step of each window is played at each moment [B, T] int64, and whether that is backwards [B, 1] bool.

    room: [B, T] int64. A window is slowed by a factor between 1 and `slowest`, log-uniformly: a part of it, wherever it
    lies, then fills the window, and its steps are held (time warping: T. T. Um et al., "Data augmentation of wearable
    sensor data for Parkinson's disease monitoring using convolutional neural networks", 2017; here stays grow and
    nothing is sped up beyond what was walked). The `unslowed` steps before and after each change of room keep their
    pace: people stay longer than on the walk, but go through doors as fast. With the chance `backwards` it is played
    from its end.
    """
    n_windows, n_steps = room.shape
    slow = slowest ** torch.rand(n_windows, 1, dtype=torch.float64)
    lasts = torch.where(near_change(room.cpu(), unslowed), 1.0, slow)
    until = lasts.cumsum(1)
    begin = torch.rand(n_windows, 1, dtype=torch.float64) * (until[:, -1:] - n_steps)
    order = torch.searchsorted(until, begin + torch.arange(n_steps), right=True)
    order = order.clamp(max=n_steps - 1)  # rounding may reach the end itself
    turned = torch.rand(n_windows, 1) < backwards
    return torch.where(turned, order.flip(1), order), turned


def near_change(room: torch.Tensor, n: int) -> torch.Tensor:
    """Whether a step is one of the last `n` in a room or of the first `n` in the next: room [B, T] -> [B, T] bool."""
    if n == 0:
        return torch.zeros(room.shape, dtype=torch.bool)
    entered = F.pad(room[:, 1:] != room[:, :-1], (1, 0))
    return F.pad(entered, (n - 1, n)).unfold(1, 2 * n, 1).any(-1)


def taken(values: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """values [B, T, …] with the steps `order` [B, T] of each window."""
    return values[torch.arange(len(values), device=values.device)[:, None], order]


def heard_alone(rssi: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """RSSI [B, T, n_ap] plus a change of what is heard; silence stays silence."""
    return torch.where(rssi > 0, (rssi + change).clamp(min=0), rssi)


def of_posture(n_acc: int) -> torch.Tensor:
    """1 for the columns of mean acceleration, which are gravity's and show how the wrist is held, else 0: [n_acc].

    n_acc: 6, which packets give, or 0 without an accelerometer; a study refuses columns of another meaning.
    """
    return torch.tensor([float(name.startswith("mean")) for name in ACC_NAMES[:n_acc]])


def _normal(like: torch.Tensor, steps: int) -> torch.Tensor:
    """Standard normal numbers [B, steps, n] for a batch [B, T, n]."""
    return torch.randn(len(like), steps, like.shape[-1]).to(like)
