"""Lookahead: k steps forward, one step back (M. Zhang, J. Lucas, G. Hinton and J. Ba, 2019)."""

from typing import Any

import torch


class Lookahead:
    """Wraps an optimiser whose weights are the *fast* ones.

    Every `k` steps the *slow* weights move by `alpha` of the way to the fast ones, which then continue from there.
    The state of the inner optimiser is kept (the paper's default).
    """

    def __init__(self, optimiser: torch.optim.Optimizer, k: int = 5, alpha: float = 0.5):
        self.optimiser, self.k, self.alpha = optimiser, k, alpha
        self.steps = 0
        self._fast = [p for group in optimiser.param_groups for p in group["params"]]
        self._slow = [p.detach().clone() for p in self._fast]

    def set_learning_rate(self, rate: float) -> None:
        """Of the inner optimiser, from the next step on."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self) -> None:
        self.optimiser.step()
        self.steps += 1
        if self.steps % self.k == 0:
            torch._foreach_lerp_(self._slow, self._fast, self.alpha)
            torch._foreach_copy_(self._fast, self._slow)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the fast weights, which are the model's."""
        return {"optimiser": self.optimiser.state_dict(), "slow": self._slow, "steps": self.steps}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` left off; load the model's weights as well."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]
        for mine, saved in zip(self._slow, state["slow"], strict=True):
            mine.copy_(saved)
