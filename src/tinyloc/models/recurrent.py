"""The two recurrent networks that a practitioner would try first, by PyTorch's own cells."""

import torch
from torch import nn

from tinyloc.models.network import Network


class Recurrent(Network):
    """Layers of recurrent cells, dropout behind each, and a linear head; its memory begins as zeros."""

    causal = True
    cells: type[nn.RNNBase]

    def __init__(self, n_ap: int, n_acc: int, n_rooms: int, hidden: int = 24, layers: int = 1, dropout: float = 0.0):
        super().__init__()
        # the cells' own dropout lies between layers, and they warn where there is one layer alone
        between = dropout if layers > 1 else 0.0
        self.recurrent = self.cells(n_ap + n_acc, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, n_rooms)

    def features(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.recurrent(torch.cat([rssi, acc], -1))
        return self.dropout(outputs)


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., 2014)."""

    cells = nn.GRU


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gates by Gers et al., 2000)."""

    cells = nn.LSTM
