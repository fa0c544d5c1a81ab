"""The distribution over paths of rooms that a linear-chain model gives for a window, and what can be asked of it.

A path y over T steps has the energy
    start[y_1] + Σ_t scores[t, y_t] + Σ_{t>1} transition[y_{t-1}, y_t] + end[y_T],
and p(y) is its exponential, divided by the sum over all R^T paths. Sums over paths are the forward and backward
recursions (L. Rabiner, "A tutorial on hidden Markov models", 1989, section III), here in log space.
"""

from typing import NamedTuple

import torch


class Chain(NamedTuple):
    """One distribution over paths a window. transition: row = room before, column = room after."""

    scores: torch.Tensor  # [B, T, R]
    start: torch.Tensor  # [R]
    transition: torch.Tensor  # [R, R]
    end: torch.Tensor  # [R]

    @classmethod
    def independent(cls, scores: torch.Tensor) -> "Chain":
        """The distribution of a model without a CRF: a softmax at every step, of steps that know nothing of others."""
        none = scores.new_zeros(scores.shape[-1])
        return cls(scores, none, none.expand(len(none), -1), none)

    def tempered(self, temperature: float) -> "Chain":
        """Every energy divided by the temperature: p(y)^(1/temperature), made to sum to one again."""
        return Chain(*(energies / temperature for energies in self))

    def log_partition(self) -> torch.Tensor:
        """Log of the sum over all paths: [B]."""
        return torch.logsumexp(self._forward()[-1] + self.end, 1)

    def log_marginals(self) -> torch.Tensor:
        """log p(y_t = r) at every step: [B, T, R]."""
        forward = self._forward()
        log_partition = torch.logsumexp(forward[-1] + self.end, 1)
        return torch.stack(forward, 1) + torch.stack(self._backward(), 1) - log_partition[:, None, None]

    def log_last_marginal(self) -> torch.Tensor:
        """log p(y_T = r), which needs no way back: [B, R]."""
        return torch.log_softmax(self._forward()[-1] + self.end, 1)

    def moves(self) -> torch.Tensor:
        """How often a path goes from one room to another (or stays) on average: [B, R before, R after], sum T - 1."""
        forward, backward = self._forward(), self._backward()
        log_partition = torch.logsumexp(forward[-1] + self.end, 1)[:, None, None]
        count = torch.zeros_like(self.scores[:, 0, :, None] * self.transition)
        for before, at_step, after in zip(forward[:-1], self.scores.unbind(1)[1:], backward[1:], strict=True):
            count += (before[:, :, None] + self.transition + (at_step + after)[:, None] - log_partition).exp()
        return count

    def expected_energy(self, marginals: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """Mean energy of the paths of any distribution with these marginals [B, T, R] and moves [B, R, R]: [B]."""
        stayed = (self.scores * marginals).sum((1, 2)) + marginals[:, 0] @ self.start + marginals[:, -1] @ self.end
        return stayed + (self.transition * moves).sum((1, 2))

    def log_conditionals(self, room: torch.Tensor) -> torch.Tensor:
        """log p(y_t | y_{t-1}) along given paths [B, T] int64, the first step's log p(y_1): [B, T].

        Given a window, the rooms are a Markov chain, so these sum to the log-likelihood of the path.
        """
        backward = torch.stack(self._backward(), 1)
        here = (self.scores + backward).gather(2, room[:, :, None])[:, :, 0]
        first = here[:, :1] + self.start[room[:, :1]] - self.log_partition()[:, None]
        from_before = backward.gather(2, room[:, :, None])[:, :-1, 0]
        later = here[:, 1:] + self.transition[room[:, :-1], room[:, 1:]] - from_before
        return torch.cat([first, later], 1)

    def _forward(self) -> list[torch.Tensor]:
        """At every step, log of the sum over all ways to come to each room, its score included: T times [B, R]."""
        alpha = [self.start + self.scores[:, 0]]
        for at_step in self.scores.unbind(1)[1:]:
            alpha.append(torch.logsumexp(alpha[-1][:, :, None] + self.transition, 1) + at_step)
        return alpha

    def _backward(self) -> list[torch.Tensor]:
        """At every step, log of the sum over all ways to go on from each room, its score excluded: T times [B, R]."""
        beta = [self.end.expand_as(self.scores[:, 0])]
        for at_step in reversed(self.scores.unbind(1)[1:]):
            beta.append(torch.logsumexp(self.transition + (at_step + beta[-1])[:, None], 2))
        return beta[::-1]
