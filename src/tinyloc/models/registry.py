"""From a model's configuration to the model."""

import torch
from torch import nn

from tinyloc.config import ForestModel, MambaModel, MdcsaModel, Model, NeighboursModel
from tinyloc.models.baselines import Forest, Neighbours
from tinyloc.models.mamba import Mamba
from tinyloc.models.mdcsa import MDCSA


def build(config: Model, n_ap: int, n_acc: int, n_rooms: int, seed: int) -> nn.Module | Forest | Neighbours:
    """An untrained model; the same seed gives the same initial weights."""
    match config:
        case ForestModel():
            return Forest(config.trees, seed)
        case NeighboursModel():
            return Neighbours(config.k)
    torch.manual_seed(seed)
    match config:
        case MdcsaModel():
            return MDCSA(n_ap, n_acc, n_rooms, config.d, config.kernels, config.dropout)
        case MambaModel():
            shape = dict(d=config.d, n_state=config.n_state, d_conv=config.d_conv, expand=config.expand)
            return Mamba(n_ap, n_acc, n_rooms, **shape, layers=config.layers, dropout=config.dropout)


def parameters(model: nn.Module) -> int:
    """How many numbers training chooses."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
