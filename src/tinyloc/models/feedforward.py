"""The two feed-forward networks that a practitioner would try first."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.models.convolution import CausalConv1d
from tinyloc.models.network import Network


class MLP(Network):
    """A multilayer perceptron on the last `context` steps, side by side, asked anew at every step.

    With `context` the length of a window, the answer at the window's last step is that of an ordinary perceptron on
    the flattened window; the earlier steps see zeros, the weakest signal, for what lies before the window.
    """

    causal = True

    def __init__(
        self,
        n_ap: int,
        n_acc: int,
        n_rooms: int,
        hidden: int = 16,
        context: int = 20,
        layers: int = 1,
        dropout: float = 0.0,
    ):
        """layers: hidden layers of `hidden` units, each with ReLU and dropout."""
        super().__init__()
        self.first = CausalConv1d(n_ap + n_acc, hidden, context)
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, n_rooms)

    def features(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        x = torch.cat([rssi, acc], -1)
        for layer in (self.first, *self.hidden):
            x = self.dropout(F.relu(layer(x)))
        return x


class CNN(Network):
    """Causal convolutions whose taps lie 1, 2, 4, … steps apart (temporal convolutional network; Bai et al., 2018).

    Three layers of kernel 4 see 22 steps.
    """

    causal = True

    def __init__(
        self,
        n_ap: int,
        n_acc: int,
        n_rooms: int,
        channels: int = 16,
        kernel: int = 4,
        layers: int = 3,
        dropout: float = 0.0,
    ):
        super().__init__()
        widths = [n_ap + n_acc] + [channels] * layers
        self.layers = nn.ModuleList(
            CausalConv1d(before, after, kernel, dilation=2**i) for i, (before, after) in enumerate(pairwise(widths))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, n_rooms)

    def features(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        x = torch.cat([rssi, acc], -1)
        for layer in self.layers:
            x = self.dropout(F.relu(layer(x)))
        return x
