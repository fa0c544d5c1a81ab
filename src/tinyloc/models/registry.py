"""From a model's configuration to the model."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from tinyloc.config import Model, Neural
from tinyloc.data.windows import Windows
from tinyloc.errors import InputError
from tinyloc.models.baselines import Boosting, Forest, Neighbours
from tinyloc.models.feedforward import CNN, MLP
from tinyloc.models.hmm import HMM
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA
from tinyloc.models.network import Network
from tinyloc.models.recurrent import GRU, LSTM


class Baseline(Protocol):
    """A model that is fitted in one go, and answers at the last step of windows alone."""

    def fit(self, windows: Windows) -> "Baseline": ...

    def predict(self, windows: Windows) -> np.ndarray: ...


NETWORKS: dict[str, type[Network]] = {
    "mdcsa": MDCSA,
    "mamba": Mamba,
    "mlp": MLP,
    "cnn": CNN,
    "gru": GRU,
    "lstm": LSTM,
}
"""By family. The keywords of a constructor are the configuration's keys."""

BASELINES: dict[str, Callable[[Model, int, int], Baseline]] = {
    "forest": lambda c, n_rooms, seed: Forest(c.trees, seed, c.features),
    "boosting": lambda c, n_rooms, seed: Boosting(c.iterations, c.learning_rate, c.leaves, seed, c.features),
    "neighbours": lambda c, n_rooms, seed: Neighbours(c.k),
    "hmm": lambda c, n_rooms, seed: HMM(n_rooms, c.emission, c.bins),
}


def build(
    config: Model, n_ap: int, n_acc: int, n_rooms: int, seed: int, rooms: Sequence[str] = ()
) -> Network | Baseline:
    """An untrained model; the same seed gives the same initial weights.

    rooms: their names, for a model that is told something of some of them.
    Raises InputError: the model needs an accelerometer or a room that the data does not have.
    """
    if not isinstance(config, Neural):
        return BASELINES[config.family](config, n_rooms, seed)
    settings = config.architecture
    if settings.get("hall"):
        settings["hall"] = _numbers(settings["hall"], rooms)
    torch.manual_seed(seed)
    return NETWORKS[config.family](n_ap, n_acc, n_rooms, **settings)


def _numbers(names: Sequence[str], rooms: Sequence[str]) -> list[int]:
    """Which of the data's rooms are named; several data sets may be meant, so not every name has to be here."""
    found = [i for i, room in enumerate(rooms) if room in names]
    if not found:
        raise InputError(f"hall {list(names)}: the data has no such room; it has {', '.join(rooms) or 'no names'}")
    return found


def parameters(model: nn.Module) -> int:
    """How many numbers training chooses."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
