"""MDCSA, its CRF and Mamba as the papers' equations stand, one after the other.

Nothing here is used by the study. It is what `models.mdcsa`, `models.crf` and `models.mamba`, which compute the same
in fewer and larger operations, are tested against and measured against. The functions take the networks of those
modules for their weights and their dropout, and nothing else of them.

Symbols as in the papers: x_t is a row of [B, T, d]; i and j are rooms.
"""

import math

import torch
from torch.nn import functional as F

from tinyloc.models.crf import CRF
from tinyloc.models.mamba import Mamba, MambaBlock, ResidualBlock
from tinyloc.models.mdcsa import MDCSA, ConvAttention, DualConvAttention, Embedding, GatedResidualNetwork
from tinyloc.models.scan import selective_scan_loop


# ── MDCSA (Jovan et al., 2023) ───────────────────────────────────────────────────────────────────
def mdcsa(model: MDCSA, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
    """Scores [B, T, R] of the two-modality network: rssi [B, T, n_ap], acc [B, T, n_acc]."""
    rssi, acc = _embed(model.embed_rssi, rssi), _embed(model.embed_acc, acc)
    views = [_dual_conv_attention(block, rssi, acc) for block in model.blocks]
    # the views of step 1, those of step 2, …: on one time axis
    joined = torch.stack([view[:, t] for t in range(rssi.shape[1]) for view in views], 1)
    attended = _attention(joined, joined, joined)
    # a convolution of as many taps as there are views, with that stride: [d, K d] -> [d, d, K]
    d, kernel = rssi.shape[2], len(views)
    weight = model.merge.weight.reshape(d, kernel, d).transpose(1, 2)
    merged = F.conv1d(attended.transpose(1, 2), weight, model.merge.bias, stride=kernel).transpose(1, 2)
    return model.head(model.dropout(model.norm(merged)))


def _embed(embedding: Embedding, x: torch.Tensor) -> torch.Tensor:
    """W x + b, times sqrt(d), plus the position code of Vaswani et al. (2017)."""
    embedded = embedding.dense(x) * math.sqrt(embedding.dense.out_features)
    _, n_steps, d = embedded.shape
    code = torch.zeros(n_steps, d)
    for position in range(n_steps):
        for i in range(d):
            angle = position / 10_000 ** ((i - i % 2) / d)
            code[position, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return embedding.dropout(embedded + code.to(embedded))


def _dual_conv_attention(block: DualConvAttention, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
    return _gated_residual(block.fuse, _conv_attention(block.rssi, rssi), _conv_attention(block.acc, acc))


def _conv_attention(part: ConvAttention, x: torch.Tensor) -> torch.Tensor:
    """LayerNorm(x + softmax(q k^T / sqrt(d)) x), where q and k are tanh of a causal convolution each."""
    conv, d = part.query_key, x.shape[2]
    weight = conv.dense.weight.reshape(2 * d, conv.kernel, d).transpose(1, 2)
    past = F.pad(x.transpose(1, 2), (conv.kernel - 1, 0))
    query = torch.tanh(F.conv1d(past, weight[:d], conv.dense.bias[:d])).transpose(1, 2)
    key = torch.tanh(F.conv1d(past, weight[d:], conv.dense.bias[d:])).transpose(1, 2)
    return part.norm(x + part.dropout(_attention(query, key, x)))


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    similarity = torch.matmul(query, key.transpose(1, 2)) / math.sqrt(query.shape[2])
    return torch.matmul(torch.softmax(similarity, 2), value)


def _gated_residual(network: GatedResidualNetwork, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """Lim et al. (2021), equations 2 to 5: LayerNorm(x + GLU(W2 ELU(W1 x + W3 c)))."""
    inner = network.fc2(F.elu(network.fc1(x) + network.context(context)))
    gated = network.gate(inner)
    d = x.shape[2]
    return network.norm(x + network.dropout(gated[..., :d] * torch.sigmoid(gated[..., d:])))


# ── linear-chain CRF (Lafferty et al., 2001) ─────────────────────────────────────────────────────
def crf_nll(crf: CRF, scores: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    """-log p(path | scores) a step, averaged over windows: scores [B, T, R], room [B, T]."""
    n_windows, n_steps, n_rooms = scores.shape
    windows = torch.arange(n_windows)
    energy = crf.start[room[:, 0]] + scores[windows, 0, room[:, 0]]
    for t in range(1, n_steps):
        energy = energy + crf.transition[room[:, t - 1], room[:, t]] + scores[windows, t, room[:, t]]
    energy = energy + crf.end[room[:, -1]]
    # alpha_t(j) = log sum_i exp(alpha_{t-1}(i) + transition_ij) + score_t(j)
    alpha = crf.start + scores[:, 0]
    for t in range(1, n_steps):
        to_room = [torch.logsumexp(alpha + crf.transition[:, j], 1) + scores[:, t, j] for j in range(n_rooms)]
        alpha = torch.stack(to_room, 1)
    return (torch.logsumexp(alpha + crf.end, 1) - energy).mean() / n_steps


# ── Mamba (Gu and Dao, 2023) ─────────────────────────────────────────────────────────────────────
def mamba(model: Mamba, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
    """Scores [B, T, R]: rssi [B, T, n_ap], acc [B, T, n_acc]."""
    x = model.embed(torch.cat([rssi, acc], 2))
    for layer in model.layers:
        x = _residual(layer, x)
    return model.head(_rms_norm(x, model.norm.weight))


def _residual(layer: ResidualBlock, x: torch.Tensor) -> torch.Tensor:
    return x + layer.dropout(_block(layer.block, _rms_norm(x, layer.norm.weight)))


def _rms_norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Zhang and Sennrich (2019), with the epsilon of the authors' code."""
    return x / torch.sqrt((x**2).mean(2, keepdim=True) + 1e-5) * gain


def _block(block: MambaBlock, x: torch.Tensor) -> torch.Tensor:
    """Figure 3 of the paper: two projections, convolution and SiLU, the selective scan, the gate, one projection."""
    x, z = block.in_proj(x).split(block.channels, 2)
    past = F.pad(x.transpose(1, 2), (block.d_conv - 1, 0))
    weight = block.conv_weight.t()[:, None]  # [E, 1, K]
    x = F.silu(F.conv1d(past, weight, block.conv_bias, groups=block.channels).transpose(1, 2))
    dt, B, C = block.x_proj(x).split([block.dt_rank, block.n_state, block.n_state], 2)
    dt = torch.log(1 + torch.exp(block.dt_proj(dt)))
    y = selective_scan_loop(x, dt, -torch.exp(block.A_log), B, C, block.D)
    return block.out_proj(y * F.silu(z))
