"""Linear-chain conditional random field over the rooms of a window (Lafferty, McCallum and Pereira, 2001).

p(path | scores) is that of `tinyloc.models.chain`, whose start, transition and end energies are learnt.
"""

from collections import deque

import numpy as np
import torch
from torch import nn

from tinyloc.models.chain import Chain


class CRF(nn.Module):
    """Start, transition and end energies, learnt together with the network that makes the scores.

    transition: [R, R], row = room before, column = room after.
    """

    def __init__(self, n_rooms: int):
        super().__init__()
        self.start = nn.Parameter(torch.empty(n_rooms).uniform_(-0.1, 0.1))
        self.transition = nn.Parameter(torch.empty(n_rooms, n_rooms).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(n_rooms).uniform_(-0.1, 0.1))

    def chain(self, scores: torch.Tensor) -> Chain:
        """The distribution over the paths of each window: scores [B, T, R]."""
        return Chain(scores, self.start, self.transition, self.end)

    def nll(self, scores: torch.Tensor, room: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """Negative log-likelihood of the true rooms, nats a step, averaged over the batch.

        scores: [B, T, R]; room: [B, T] int64. A step's share, not a window's: so that it weighs the same
        beside a distillation loss whatever T is.
        weight: of each room [R]. Given the scores the rooms are a Markov chain, so that
        log p(y) = Σ_t log p(y_t | y_{t-1}); each term is weighted by its room y_t, and the sum is divided by the sum
        of the weights. Equal weights give the likelihood itself, and with no transitions it is the weighted
        cross-entropy. (A weighted likelihood against rare classes: G. de Lannoy et al., "Weighted conditional random
        fields for supervised interpatient heartbeat classification", 2012.)
        """
        if weight is not None:
            each = weight[room]
            return -(each * self.chain(scores).log_conditionals(room)).sum() / each.sum()
        log_likelihood = self._energy(scores, room) - self.chain(scores).log_partition()
        return -log_likelihood.mean() / scores.shape[1]

    def log_marginals(self, scores: torch.Tensor) -> torch.Tensor:
        """log p(room at step t | all scores), by the forward-backward recursions: [B, T, R] -> [B, T, R].

        Differentiable, as a loss on marginals needs it.
        """
        return self.chain(scores).log_marginals()

    def marginals(self, scores: torch.Tensor) -> torch.Tensor:
        """The same as probabilities, which sum to 1 at every step: [B, T, R] -> [B, T, R]."""
        return self.log_marginals(scores).softmax(-1)

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


def last_marginal_numpy(scores: np.ndarray, start: np.ndarray, transition: np.ndarray, end: np.ndarray) -> np.ndarray:
    """`Chain.log_last_marginal` with no torch: log p(room at the last step), [B, T, R] -> [B, R]."""
    forward = start + scores[:, 0]
    for at_step in scores.swapaxes(0, 1)[1:]:
        forward = forward - forward.max(1, keepdims=True)  # or a long window would leave float32 few digits
        forward = np.logaddexp.reduce(forward[:, :, None] + transition, 1) + at_step
    forward = forward + end
    return forward - np.logaddexp.reduce(forward, 1, keepdims=True)


def last_rooms_numpy(
    scores: np.ndarray, start: np.ndarray, transition: np.ndarray, end: np.ndarray, decide: str
) -> np.ndarray:
    """`MDCSA.last_room` with no torch: the answer of windows [B, T, R] -> [B] int64. decide: viterbi or marginal."""
    if decide == "marginal":
        return last_marginal_numpy(scores, start, transition, end).argmax(-1)
    return viterbi_numpy(scores, start, transition, end)[:, -1]


class OnlineViterbi:
    """Viterbi on a stream, with a fixed lag: the room of `lag` steps ago, given all that was seen since.

    What a device runs: one step costs R² comparisons, and lag · R back pointers and R energies are all the memory,
    however long the stream is. The rooms given out are each the best at their time and need not form one path; with a
    lag of at least the length of the stream they are the Viterbi path, all of them from `finish`.
    """

    def __init__(self, start: np.ndarray, transition: np.ndarray, end: np.ndarray, lag: int):
        """The energies of a CRF (start [R], transition [R, R], end [R]), and how many steps the answer may wait."""
        self.start, self.transition, self.end, self.lag = start, transition, end, lag
        # row t % lag: from which room the best path to each room at step t came
        self._came_from = np.zeros((lag, len(start)), np.intp)
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._steps = 0
        self._best = np.zeros_like(self.start)

    def push(self, scores: np.ndarray) -> int | None:
        """Take in the scores [R] of one step; the room of `lag` steps ago, or None if there was no such step yet."""
        if self._steps == 0:
            self._best = self.start + scores
        else:
            candidates = self._best[:, None] + self.transition
            if self.lag:
                self._came_from[self._steps % self.lag] = candidates.argmax(0)
            self._best = candidates.max(0) + scores
        # only differences count, and these stay small
        self._best = self._best - self._best.max()
        self._steps += 1
        return self._trace(self._best)[0] if self._steps > self.lag else None

    def finish(self) -> list[int]:
        """End the stream: the rooms of the last steps, `lag` of them at most, that `push` has not given out."""
        rooms = self._trace(self._best + self.end) if self._steps else []
        return rooms[1:] if self._steps > self.lag else rooms

    def _trace(self, energies: np.ndarray) -> list[int]:
        """The best path to now, as far back as the pointers go: `lag` + 1 rooms at most, oldest first."""
        last = self._steps - 1
        room = int(energies.argmax())
        path = [room]
        for step in range(last, max(last - self.lag, 0), -1):
            room = int(self._came_from[step % self.lag, room])
            path.append(room)
        return path[::-1]


class OnlineMarginal:
    """The likeliest room on a stream, with a fixed lag: of `lag` steps ago, whatever path leads there, given all that
    was seen since.

    Without a lag it is the forward recursion, a filter: one step costs R² products, R numbers are all the memory. With
    one it goes back over the last `lag` steps, R² products each, and keeps 2 R numbers of each (a fixed-lag smoother;
    Rabiner 1989, section III-B). The answer of a window by itself (`last_rooms_numpy`) is another one in three ways:
    the window begins from `start` where the stream remembers, it ends with `end` where the stream goes on, and all its
    scores come from one inference, where those of a stream were each made when the step was new.
    """

    def __init__(self, start: np.ndarray, transition: np.ndarray, end: np.ndarray, lag: int):
        """The energies of a CRF (start [R], transition [R, R], end [R]), and how many steps the answer may wait."""
        self.start, self.transition, self.end, self.lag = start, transition, end, lag
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._steps = 0
        self._recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.lag + 1)  # forward and scores of a step

    def push(self, scores: np.ndarray) -> int | None:
        """Take in the scores [R] of one step; the room of `lag` steps ago, or None if there was no such step yet."""
        if self._steps == 0:
            forward = self.start + scores
        else:
            forward = np.logaddexp.reduce(self._recent[-1][0][:, None] + self.transition, 0) + scores
        # only differences count, and these stay small
        self._recent.append((forward - forward.max(), scores))
        self._steps += 1
        return self._rooms(np.zeros_like(self.end))[0] if self._steps > self.lag else None

    def finish(self) -> list[int]:
        """End the stream: the rooms of the last steps, `lag` of them at most, that `push` has not given out."""
        rooms = self._rooms(self.end)
        return rooms[1:] if self._steps > self.lag else rooms

    def _rooms(self, backward: np.ndarray) -> list[int]:
        """The likeliest room of every step that is kept, oldest first. backward: of the last of them, [R]."""
        rooms = []
        for forward, scores in reversed(self._recent):
            rooms.append(int((forward + backward).argmax()))
            backward = np.logaddexp.reduce(self.transition + (scores + backward), 1)
        return rooms[::-1]


ONLINE = {"viterbi": OnlineViterbi, "marginal": OnlineMarginal}
"""How a stream is decoded, by `decide`."""
