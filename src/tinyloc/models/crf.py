"""Linear-chain conditional random field over the rooms of a window (Lafferty, McCallum and Pereira, 2001).

A path y over T steps has the energy
    start[y_1] + Σ_t scores[t, y_t] + Σ_{t>1} transition[y_{t-1}, y_t] + end[y_T],
and p(path | scores) is its exponential, divided by the sum over all R^T paths.
"""

import numpy as np
import torch
from torch import nn


class CRF(nn.Module):
    """Start, transition and end energies, learnt together with the network that makes the scores.

    transition: [R, R], row = room before, column = room after.
    """

    def __init__(self, n_rooms: int):
        super().__init__()
        self.start = nn.Parameter(torch.empty(n_rooms).uniform_(-0.1, 0.1))
        self.transition = nn.Parameter(torch.empty(n_rooms, n_rooms).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(n_rooms).uniform_(-0.1, 0.1))

    def nll(self, scores: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of the true rooms, nats a step, averaged over the batch.

        scores: [B, T, R]; room: [B, T] int64. A step's share, not a window's: so that it weighs the same
        beside a distillation loss whatever T is.
        """
        log_likelihood = self._energy(scores, room) - self._log_partition(scores)
        return -log_likelihood.mean() / scores.shape[1]

    @torch.no_grad()
    def viterbi(self, scores: torch.Tensor) -> torch.Tensor:
        """The most likely path: [B, T, R] -> [B, T] int64."""
        best = self.start + scores[:, 0]
        came_from = []
        for at_step in scores.unbind(1)[1:]:
            # candidates: [B, R before, R after]
            best, before = (best[:, :, None] + self.transition).max(1)
            best = best + at_step
            came_from.append(before)
        room = (best + self.end).argmax(1)
        path = [room]
        for before in reversed(came_from):
            room = before.gather(1, room[:, None])[:, 0]
            path.append(room)
        return torch.stack(path[::-1], 1)

    def _energy(self, scores: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
        """Energy of the given paths: [B]."""
        emitted = scores.gather(2, room[:, :, None])[:, :, 0].sum(1)
        moved = self.transition[room[:, :-1], room[:, 1:]].sum(1)
        return self.start[room[:, 0]] + emitted + moved + self.end[room[:, -1]]

    def _log_partition(self, scores: torch.Tensor) -> torch.Tensor:
        """Log of the sum over all paths, by the forward recursion in log space: [B]."""
        alpha = self.start + scores[:, 0]
        for at_step in scores.unbind(1)[1:]:
            alpha = torch.logsumexp(alpha[:, :, None] + self.transition, 1) + at_step
        return torch.logsumexp(alpha + self.end, 1)


def viterbi_numpy(scores: np.ndarray, start: np.ndarray, transition: np.ndarray, end: np.ndarray) -> np.ndarray:
    """`CRF.viterbi` with no torch, for scores that came from a .tflite: [B, T, R] -> [B, T] int64."""
    n_windows, n_steps, n_rooms = scores.shape
    best = start + scores[:, 0]
    came_from = np.empty((n_steps, n_windows, n_rooms), np.int64)
    for step in range(1, n_steps):
        candidates = best[:, :, None] + transition
        came_from[step] = candidates.argmax(1)
        best = candidates.max(1) + scores[:, step]
    path = np.empty((n_windows, n_steps), np.int64)
    path[:, -1] = (best + end).argmax(1)
    for step in range(n_steps - 1, 0, -1):
        path[:, step - 1] = came_from[step, np.arange(n_windows), path[:, step]]
    return path
