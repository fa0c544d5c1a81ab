"""MDCSA, the transformer of the study: multihead dual convolutional self-attention.

F. Jovan et al., "Multimodal Indoor Localisation in Parkinson's Disease for Detecting Medication Use", KDD 2023.
Two modalities (RSSI, accelerometer) pass through three blocks, which look at k = 1, 4 and 7 steps at once; the
blocks' outputs are joined on the time axis, attend to one another and give one score a room at every step. With one
modality alone the blocks have nothing to fuse, and their gated residual networks have no context.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.errors import InputError
from tinyloc.models.convolution import CausalConv1d
from tinyloc.models.crf import CRF
from tinyloc.models.network import Network


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

    Nothing non-linear lies between `fc2` and `gate`: at inference they are one dense layer. Without a context the
    network gates x by itself (equation 3 of the paper, its context left out).
    """

    def __init__(self, d: int, dropout: float, with_context: bool = True):
        super().__init__()
        hidden = 4 * d
        self.fc1 = nn.Linear(d, hidden)
        self.context = nn.Linear(d, hidden, bias=False) if with_context else None
        self.fc2 = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, 2 * d)
        self.norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        seen = self.fc1(x) if context is None else self.fc1(x) + self.context(context)
        hidden = self.fc2(F.elu(seen))
        return self.norm(x + self.dropout(F.glu(self.gate(hidden), -1)))


HEARD_SLOPE = 127
"""A gateway counts as heard from 1/127 of its range on, and in part below it. A clamp can say that in any format, and
an int8 weight of 127 marks says it exactly. Levels are whole dBm and their range is no wider than 127 dB, so that no
packet is weaker than that where silence is the least; where a gateway was never silent, 0 is its weakest level."""


def piecewise(rssi: torch.Tensor, bins: int) -> torch.Tensor:
    """Levels in pieces: rssi [..., n_ap], scaled -> [..., n_ap (bins + 1)].

    Piece k of a gateway grows from 0 to 1 while its level crosses the k-th part of [0, 1], and one more number says
    whether it was heard at all (`HEARD_SLOPE`). A linear layer on it is any piecewise linear function of every level
    and may treat silence apart, as a histogram does (Y. Gorishniy et al., "On embeddings for numerical features in
    tabular deep learning", NeurIPS 2022, section 3.2; here of equal parts). On the level itself it is a straight line,
    for which silence is the weakest of all levels.
    """
    within = rssi[..., None] * bins - torch.arange(bins, device=rssi.device)
    return torch.cat([within.clamp(0, 1).flatten(-2), (rssi * HEARD_SLOPE).clamp(0, 1)], -1)


class DualConvAttention(nn.Module):
    """DCSA: convolutional self-attention in every modality, then the second, if there is one, gates the first."""

    def __init__(self, modalities: Sequence[str], d: int, kernel: int, dropout: float):
        super().__init__()
        self.modalities = tuple(modalities)
        for name in modalities:
            self.add_module(name, ConvAttention(d, kernel, dropout))
        self.fuse = GatedResidualNetwork(d, dropout, with_context=len(modalities) > 1)

    def forward(self, *embedded: torch.Tensor) -> torch.Tensor:
        """One [B, T, d] a modality -> [B, T, d]."""
        attended = [self.get_submodule(name)(x) for name, x in zip(self.modalities, embedded, strict=True)]
        return self.fuse(*attended)


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


class MDCSA(Network):
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
        modalities: Sequence[str] = ("rssi", "acc"),
        hall: Sequence[int] = (),
        hall_weight: float = 1.0,
        rssi_bins: int = 0,
        decide: str = "viterbi",
    ):
        """modalities: `rssi`, `acc` or both, in this order; without accelerometer columns it is RSSI alone.

        hall: the rooms that a second, binary head tells from all others, at every step; its cross-entropy enters
        what training minimises with `hall_weight`. None, no such head.
        rssi_bins: pieces in which levels are told, see `piecewise`; 0, as they are.
        decide: what the answer at the last step is, see `last_room`.
        Raises InputError: no modality is left.
        """
        super().__init__()
        columns = {"rssi": n_ap, "acc": n_acc}
        self.modalities = tuple(name for name in modalities if columns[name])
        if not self.modalities:
            raise InputError(f"modalities {list(modalities)}: the data has no such columns; add rssi")
        self.rssi_bins = rssi_bins
        told = {**columns, "rssi": n_ap * (rssi_bins + 1)}
        for name in self.modalities:
            self.add_module(f"embed_{name}", Embedding(told[name], d, dropout))
        self.blocks = nn.ModuleList(DualConvAttention(self.modalities, d, kernel, dropout) for kernel in kernels)
        # a conv1d of kernel K and stride K over K interleaved steps is a dense layer on the K steps side by side
        self.merge = nn.Linear(len(kernels) * d, d)
        self.norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(min(2 * dropout, 1.0))
        self.head = nn.Linear(d, n_rooms)
        self.crf = CRF(n_rooms)
        self.hall = nn.Linear(d, 1) if hall else None
        self.hall_weight = hall_weight
        self.decide = decide
        is_hall = torch.zeros(n_rooms)
        is_hall[list(hall)] = 1
        self.register_buffer("is_hall", is_hall, persistent=False)  # configuration, not a weight

    def features(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        given = {"rssi": piecewise(rssi, self.rssi_bins) if self.rssi_bins else rssi, "acc": acc}
        embedded = [self.get_submodule(f"embed_{name}")(given[name]) for name in self.modalities]
        n_windows, n_steps, d = embedded[0].shape
        # [B, T, K, d] -> [B, K T, d]: the K views of one step are neighbours
        views = torch.stack([block(*embedded) for block in self.blocks], 2).reshape(n_windows, -1, d)
        views = attend(views, views, views)
        merged = self.merge(views.reshape(n_windows, n_steps, -1))
        return self.dropout(self.norm(merged))

    def in_hall(self, features: torch.Tensor) -> torch.Tensor:
        """The binary head: features [B, T, d] -> logits of being in the hall [B, T]."""
        return self.hall(features)[..., 0]

    def loss(self, scores: torch.Tensor, room: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """The CRF's negative log-likelihood: scores [B, T, R], room [B, T], weight of each room [R] -> nats a step."""
        return self.crf.nll(scores, room, weight)

    def last_step_loss(
        self, scores: torch.Tensor, room: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """-log p(room at the last step), whatever path leads there: scores [B, T, R], room [B, T] -> nats."""
        return F.nll_loss(self.crf.chain(scores).log_last_marginal(), room[:, -1], weight)

    def auxiliary_loss(self, features: torch.Tensor, room: torch.Tensor) -> torch.Tensor | float:
        """The binary head's cross-entropy, where there is that head."""
        if self.hall is None:
            return 0.0
        in_hall = self.is_hall[room]
        return self.hall_weight * F.binary_cross_entropy_with_logits(self.in_hall(features), in_hall)

    def decode(self, scores: torch.Tensor) -> torch.Tensor:
        """The most likely path: scores [B, T, R] -> [B, T]."""
        return self.crf.viterbi(scores)

    def last_room(self, scores: torch.Tensor) -> torch.Tensor:
        """The answer of a window: scores [B, T, R] -> [B] int64.

        `viterbi`: where the likeliest path ends, which is what the exported model answers. `marginal`: the room that is
        likeliest at the last step, whatever path leads there. It errs the least often of all answers to this one
        question, as the path does of all answers to the other (Rabiner, "A tutorial on hidden Markov models", 1989,
        section III-B).
        """
        if self.decide == "viterbi":
            return super().last_room(scores)
        return self.crf.chain(scores).log_last_marginal().argmax(-1)
