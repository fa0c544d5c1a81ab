"""MDCSA, the transformer of the study: multihead dual convolutional self-attention.

F. Jovan et al., "Multimodal Indoor Localisation in Parkinson's Disease for Detecting Medication Use", KDD 2023.
Two modalities (RSSI, accelerometer) pass through three blocks, which look at k = 1, 4 and 7 steps at once; the
blocks' outputs are joined on the time axis, attend to one another and give one score a room at every step.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.models.crf import CRF


@lru_cache(maxsize=8)
def sinusoidal_code(n_steps: int, d: int) -> torch.Tensor:
    """The fixed position code of Vaswani et al. (2017), section 3.5: [T, d]."""
    position = torch.arange(n_steps, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, d, 2, dtype=torch.float32) * (-math.log(10_000.0) / d))
    code = torch.empty(n_steps, d)
    code[:, 0::2] = torch.sin(position * frequency)
    code[:, 1::2] = torch.cos(position * frequency[: d // 2])
    return code


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Scaled dot-product attention of one head: [B, T, d] each -> [B, T, d]."""
    similarity = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
    return similarity.softmax(-1) @ value


class CausalConv1d(nn.Module):
    """Convolution along time which sees only the present and the past: [B, T, d_in] -> [B, T, d_out].

    `dense` is the convolution as one matrix [d_out, kernel * d_in], oldest step first: on windows this small, a
    matrix product over the shifted copies beats `torch.nn.functional.conv1d`.
    """

    def __init__(self, d_in: int, d_out: int, kernel: int):
        super().__init__()
        self.kernel = kernel
        self.dense = nn.Linear(kernel * d_in, d_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n_steps = x.shape[1]
        padded = F.pad(x, (0, 0, self.kernel - 1, 0))
        shifted = [padded[:, i : i + n_steps] for i in range(self.kernel)]
        return self.dense(torch.cat(shifted, -1))


class ConvAttention(nn.Module):
    """One modality's half of a DCSA block: query and key by tanh(causal conv), value = x; residual, LayerNorm."""

    def __init__(self, d: int, kernel: int, dropout: float):
        super().__init__()
        # query and key side by side: one product instead of two
        self.query_key = CausalConv1d(d, 2 * d, kernel)
        self.norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key = torch.tanh(self.query_key(x)).chunk(2, -1)
        return self.norm(x + self.dropout(attend(query, key, x)))


class GatedResidualNetwork(nn.Module):
    """Fuses a context into x through a gate that can close (Lim et al., Temporal Fusion Transformers, 2021, eq. 2-5).

    Nothing non-linear lies between `fc2` and `gate`: at inference they are one dense layer.
    """

    def __init__(self, d: int, dropout: float):
        super().__init__()
        hidden = 4 * d
        self.fc1 = nn.Linear(d, hidden)
        self.context = nn.Linear(d, hidden, bias=False)
        self.fc2 = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, 2 * d)
        self.norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        hidden = self.fc2(F.elu(self.fc1(x) + self.context(context)))
        return self.norm(x + self.dropout(F.glu(self.gate(hidden), -1)))


class DualConvAttention(nn.Module):
    """DCSA: convolutional self-attention in either modality, then the accelerometer gates the RSSI."""

    def __init__(self, d: int, kernel: int, dropout: float):
        super().__init__()
        self.rssi = ConvAttention(d, kernel, dropout)
        self.acc = ConvAttention(d, kernel, dropout)
        self.fuse = GatedResidualNetwork(d, dropout)

    def forward(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        return self.fuse(self.rssi(rssi), self.acc(acc))


class Embedding(nn.Module):
    """A modality's features as vectors of width d that know their step: [B, T, n] -> [B, T, d]."""

    def __init__(self, n_features: int, d: int, dropout: float):
        super().__init__()
        self.dense = nn.Linear(n_features, d)
        self.scale = math.sqrt(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n_steps = x.shape[1]
        embedded = self.dense(x) * self.scale
        return self.dropout(embedded + sinusoidal_code(n_steps, embedded.shape[-1]).to(embedded))


class MDCSA(nn.Module):
    """Room scores for every step of a window, and the CRF that turns them into a path of rooms.

    rssi: [B, T, n_ap] and acc: [B, T, n_acc], scaled to [0, 1] -> scores [B, T, n_rooms] (energies of the CRF).
    """

    def __init__(
        self,
        n_ap: int,
        n_acc: int,
        n_rooms: int,
        d: int,
        kernels: Sequence[int] = (1, 4, 7),
        dropout: float = 0.15,
    ):
        super().__init__()
        self.embed_rssi = Embedding(n_ap, d, dropout)
        self.embed_acc = Embedding(n_acc, d, dropout)
        self.blocks = nn.ModuleList(DualConvAttention(d, kernel, dropout) for kernel in kernels)
        # a conv1d of kernel K and stride K over K interleaved steps is a dense layer on the K steps side by side
        self.merge = nn.Linear(len(kernels) * d, d)
        self.norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(min(2 * dropout, 1.0))
        self.head = nn.Linear(d, n_rooms)
        self.crf = CRF(n_rooms)

    def forward(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        rssi, acc = self.embed_rssi(rssi), self.embed_acc(acc)
        n_windows, n_steps, d = rssi.shape
        # [B, T, K, d] -> [B, K T, d]: the K views of one step are neighbours
        views = torch.stack([block(rssi, acc) for block in self.blocks], 2).reshape(n_windows, -1, d)
        views = attend(views, views, views)
        merged = self.merge(views.reshape(n_windows, n_steps, -1))
        return self.head(self.dropout(self.norm(merged)))

    def loss(self, scores: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
        """What training minimises: scores [B, T, R], room [B, T] -> nats a step."""
        return self.crf.nll(scores, room)

    def decode(self, scores: torch.Tensor) -> torch.Tensor:
        """The most likely rooms: scores [B, T, R] -> [B, T]."""
        return self.crf.viterbi(scores)
