"""How long a trained Mamba remembers, read off its own step sizes."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from tinyloc.data.features import Steps
from tinyloc.errors import InputError
from tinyloc.models.mamba import Mamba, MambaBlock
from tinyloc.training.checkpoint import Trained
from tinyloc.training.predict import stream


def half_lives(trained: Trained, recordings: Sequence[Steps]) -> list[np.ndarray]:
    """Half-lives of the states, in steps, one array [E, N] a layer.

    Over step t a state keeps the share exp(-rate_t) of what it held, and over many steps the share
    exp(-Σ rate_t); the half-life is the time in which that falls to one half at the mean rate over `recordings`
    (unscaled).
    Raises InputError: the model is no Mamba.
    """
    if not isinstance(trained.model, Mamba):
        raise InputError(f"half-lives are of a Mamba's states; this is a {type(trained.model).__name__}")
    blocks = [layer.block for layer in trained.model.layers]
    totals = [torch.zeros(block.channels, block.n_state, dtype=torch.float64) for block in blocks]
    hooks = [block.register_forward_pre_hook(_adder(total)) for block, total in zip(blocks, totals, strict=True)]
    try:
        for steps in recordings:
            stream(trained.model, trained.scaler.transform(steps))
    finally:
        for hook in hooks:
            hook.remove()
    n_steps = sum(map(len, recordings))
    return [(math.log(2) * n_steps / total).numpy() for total in totals]


def _adder(total: torch.Tensor):
    def add(block: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        assert isinstance(block, MambaBlock)
        total.add_(block.decay_rates(inputs[0]).sum((0, 1), dtype=torch.float64))

    return add
