"""MDCSA as a TensorFlow function for one window, written for a microcontroller.

The same function as `models.mdcsa.MDCSA` at inference, in few operators, few tensors and no detour through float.
What PyTorch computes in many small steps is merged; every merging is exact, up to rounding:

- **Embedding and query/key convolution are one convolution.** Both are linear, so the convolution acts on the raw
  features (n_ap + n_acc channels instead of d); what the biases and the position code contribute does not depend on
  the input and is added as a constant [T, channels], zero padding included. A modality has a group of the convolution
  to itself, as its filters would be zero for the other's features: the padding of the smaller one to the width of the
  larger comes with that of the first steps. The modality with most features lies first, so that this is at the end.
  Of RSSI that is told in pieces, the convolution acts on what `pieces` makes of them.
- **The attention heads of K blocks and M modalities are one batched product**, [K, M, T, T]; 1 / sqrt(d) becomes
  softmax's `beta`.
- **LayerNorm is L2 normalisation of what has zero mean**: LN(x) = gamma sqrt(d) c / |c| + beta with c = x - mean(x),
  but for the 1e-5 that LayerNorm adds to the variance. In int8, L2_NORMALIZATION sums squares in 32 bits, where MEAN
  and RSQRT would round the variance to 8. Means are taken off in the weights before, where these are linear (averages
  of centred rows are centred); gamma and beta go into the layer behind, where there is one.
- **The gated residual networks of the K blocks are two grouped 1x1 convolutions**; `fc1` and `context` are one, and
  so are `fc2` and `gate`, with nothing but dropout between them.

Layouts: [1, 1, T, C] for convolutions, [K, M, T, ·] for attention (queries and keys side by side), [T, K, M or less, d]
for the gates.
"""

import math

import numpy as np
from torch import nn

from tinyloc.export.pieces import Pieces
from tinyloc.export.tensorflow import tf
from tinyloc.export.weights import (
    Avoid,
    before_norm,
    behind_norm,
    constant,
    dense,
    elu_plus_two,
    epsilon_channel,
    gain,
    normalise,
    numpy,
)
from tinyloc.models.mdcsa import MDCSA, CausalConv1d, sinusoidal_code


class TwinMDCSA(tf.Module):
    """`run(rssi [1, T, n_ap], acc [1, T, n_acc])` -> scores [1, T, n_rooms], for a fixed T; of one modality alone, if
    the model sees no other."""

    def __init__(self, model: MDCSA, n_steps: int, avoid: Avoid = frozenset(), integers: bool = True):
        """Take the weights of `model`, for windows of `n_steps`. avoid: see `weights`. integers: the graph is to be
        quantised, see `pieces`."""
        super().__init__()
        self.avoid = avoid
        self.inputs = model.modalities
        self.n_steps, self.d, self.n_blocks = n_steps, model.norm.normalized_shape[0], len(model.blocks)
        self.pieces: Pieces | None = None
        columns = self._take_embeddings(model, integers)
        self._take_embedding()
        self._take_query_key(model)
        self._take_gates(model)
        self._take_head(model)
        signature = [tf.TensorSpec([1, n_steps, n], name=name) for name, n in columns.items()]
        self.run = tf.function(self._run, input_signature=signature, autograph=False)

    # ── weights ──────────────────────────────────────────────────────────────────────────────────
    def _take_embeddings(self, model: MDCSA, integers: bool) -> dict[str, int]:
        """Of every modality the matrix that embeds it, weight [n, d], and bias with position code [T, d]; and how many
        columns the model is given of it."""
        code, given, found = sinusoidal_code(self.n_steps, self.d).double().numpy(), {}, {}
        for name in self.inputs:
            embedding = model.get_submodule(f"embed_{name}")
            weight, bias = (embedding.scale * values for values in dense(embedding.dense))
            given[name] = len(weight)
            if name == "rssi" and model.rssi_bins:
                self.pieces = Pieces(weight, model.rssi_bins, within_unit=integers)
                weight, bias, given[name] = self.pieces.weight, bias + self.pieces.offset, self.pieces.n_ap
            found[name] = weight, bias + code
        self.embeddings = dict(sorted(found.items(), key=lambda item: len(item[1][0]), reverse=True))
        self.modalities, self.width = [*self.embeddings], max(len(weight) for weight, _ in found.values())
        return given

    def _take_embedding(self) -> None:
        """All modalities by one block-diagonal matrix, each centred over its own d channels."""
        centre = _centring(self.d)
        weights, biases = zip(*self.embeddings.values(), strict=True)
        self.embed = constant(_block_diagonal([weight @ centre for weight in weights]))
        self.position = constant(np.concatenate([bias @ centre for bias in biases], 1)[None, None])

    def _take_query_key(self, model: MDCSA) -> None:
        """One filter a block, channels M modalities x (query, key) x d: grouped [1, k, width, 2 M d], or, where no
        padding comes before it that could fill up the groups, [1, k, features, 2 M d] with zeros."""
        self.filters, self.biases, constants = [], [], []
        for block in model.blocks:
            parts = [
                self._on_features(block.get_submodule(name).query_key, *embedding)
                for name, embedding in self.embeddings.items()
            ]
            taps, offsets = zip(*parts, strict=True)
            offset = np.concatenate(offsets, 1)
            # the mean over time goes into the bias, which has 32 bits
            self.biases.append(constant(offset.mean(0)))
            constants.append(offset - offset.mean(0))
            filters = [_block_diagonal(tap) for tap in zip(*taps, strict=True)]
            if len(filters) > 1 or len({tap.shape for tap in taps}) == 1:
                filters = np.concatenate([_filled(tap, self.width) for tap in taps], 2)
            self.filters.append(constant(np.stack(filters)[None]))
        self.query_key_position = constant(np.concatenate(constants, 1)[None, None])

    def _on_features(
        self, conv: CausalConv1d, embed: np.ndarray, position: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`conv` after an embedding: taps on its features [k, n, 2 d], and the constant part [T, 2 d]."""
        weight, bias = dense(conv.dense)
        taps = weight.reshape(conv.kernel, self.d, -1)
        padded = np.pad(position, ((conv.kernel - 1, 0), (0, 0)))
        offset = sum(padded[i : i + self.n_steps] @ tap for i, tap in enumerate(taps)) + bias
        return embed @ taps, offset

    def _take_gates(self, model: MDCSA) -> None:
        """The gated residual networks as grouped convolutions, a group a block."""
        first, first_bias, second, second_bias = [], [], [], []
        for block in model.blocks:
            fuse = block.fuse
            layers = dict(zip(self.inputs, (fuse.fc1, fuse.context), strict=False))
            layers = [dense(layers[name]) for name in self.modalities]
            norms = [self._norm(block.get_submodule(name).norm) for name in self.modalities]
            first.append(np.concatenate([g[:, None] * w for (g, _), (w, _) in zip(norms, layers, strict=True)]))
            first_bias.append(sum(b @ w + bias for (_, b), (w, bias) in zip(norms, layers, strict=True)))
            (w_fc2, b_fc2), (w_gate, b_gate) = dense(fuse.fc2), dense(fuse.gate)
            second.append(w_fc2 @ w_gate)
            bias = b_fc2 @ w_gate + b_gate
            second_bias.append(bias - 2 * second[-1].sum(0) if "ELU" in self.avoid else bias)
        self._elu = elu_plus_two if "ELU" in self.avoid else tf.nn.elu
        self.first, self.first_bias = _grouped(first), constant(np.concatenate(first_bias))
        self.second, self.second_bias = _grouped(second), constant(np.concatenate(second_bias))
        skip = [self._norm(block.get_submodule(self.inputs[0]).norm) for block in model.blocks]
        self.skip_scale = constant(np.stack([g for g, _ in skip])[None, :, None])
        self.skip_offset = constant(np.stack([b for _, b in skip])[None, :, None])

    def _take_head(self, model: MDCSA) -> None:
        fused = [self._norm(block.fuse.norm) for block in model.blocks]
        self.view_scale = constant(np.stack([g for g, _ in fused])[None, None])
        self.view_offset = constant(np.stack([b for _, b in fused])[None, None])
        weight, bias = dense(model.merge)
        centre = _centring(self.d)
        # here alone rows were seen to be small: a variance of 0.01, beside which LayerNorm's 1e-5 counts
        self.merge = constant(before_norm(weight @ centre))
        self.merge_bias = constant(np.append(bias @ centre, epsilon_channel(model.norm)))
        weight, bias = dense(model.head)
        self.head = constant(behind_norm(model.norm, weight))
        self.head_bias = constant(numpy(model.norm.bias) @ weight + bias)

    def _norm(self, norm: nn.LayerNorm) -> tuple[np.ndarray, np.ndarray]:
        """What to multiply an L2-normalised row with, and what to add, to have LayerNorm."""
        return gain(norm), numpy(norm.bias)

    # ── function ─────────────────────────────────────────────────────────────────────────────────
    def _run(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        given = dict(zip(self.inputs, inputs, strict=True))
        if self.pieces is not None:
            given["rssi"] = self.pieces.columns(given["rssi"])
        features = tf.expand_dims(tf.concat([given[name] for name in self.modalities], -1), 1)  # [1, 1, T, features]
        views = self._fuse(self._attend_within(features))
        return {"scores": self._score(views)}

    def _attend_within(self, features: tf.Tensor) -> tf.Tensor:
        """The K x M convolutional self-attentions: normalised rows [K, M, T, d]."""
        K, M, T, d = self.n_blocks, len(self.modalities), self.n_steps, self.d
        query_key = tf.concat([self._convolve(features, i) for i in range(K)], -1) + self.query_key_position
        query_key = tf.transpose(tf.reshape(tf.tanh(query_key), [T, K, M, 2 * d]), [1, 2, 0, 3])
        query, key = tf.split(query_key, 2, axis=3)
        value = tf.matmul(features, self.embed) + self.position
        value = tf.transpose(tf.reshape(value, [1, T, M, d]), [0, 2, 1, 3])
        return normalise(_attend(query, key, value) + value, self.avoid)

    def _convolve(self, features: tf.Tensor, block: int) -> tf.Tensor:
        before = self.filters[block].shape[1] - 1
        behind = len(self.modalities) * self.width - features.shape[-1]
        if before:
            features = tf.pad(features, [[0, 0], [0, 0], [before, 0], [0, behind]])
            # oneDNN would take the padding into the convolution, and forget that of the channels
            features = tf.ensure_shape(features, features.shape)
        return tf.nn.conv2d(features, self.filters[block], 1, "VALID") + self.biases[block]

    def _fuse(self, attended: tf.Tensor) -> tf.Tensor:
        """The K gated residual networks: their outputs [1, T, K, d]."""
        K, M, T, d = self.n_blocks, len(self.modalities), self.n_steps, self.d
        rows = tf.transpose(attended, [2, 0, 1, 3])  # [T, K, M, d]
        lead = self.modalities.index(self.inputs[0])
        skip = rows[:, :, lead : lead + 1] * self.skip_scale + self.skip_offset
        hidden = tf.nn.conv2d(tf.reshape(rows, [1, 1, T, K * M * d]), self.first, 1, "VALID")
        hidden = self._elu(hidden + self.first_bias)
        gated = tf.nn.conv2d(hidden, self.second, 1, "VALID") + self.second_bias
        value, gate = tf.split(tf.reshape(gated, [T, K, 2, d]), 2, axis=2)
        fused = value * tf.sigmoid(gate) + skip
        centred = fused - tf.reduce_mean(fused, -1, keepdims=True)
        # reshaped before it is normalised: the converter would take SUB and the sum of squares for
        # SQUARED_DIFFERENCE, and no longer see an L2 normalisation
        return normalise(tf.reshape(centred, [1, T, K, d]), self.avoid) * self.view_scale + self.view_offset

    def _score(self, views: tf.Tensor) -> tf.Tensor:
        """The K T rows attend to one another, the K of a step are merged: scores [1, T, n_rooms]."""
        K, T, d = self.n_blocks, self.n_steps, self.d
        views = tf.reshape(views, [1, K * T, d])
        joined = tf.reshape(_attend(views, views, views), [1, T, K * d])
        merged = tf.matmul(joined, self.merge) + self.merge_bias
        return tf.matmul(normalise(merged, self.avoid), self.head) + self.head_bias


def _attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Scaled dot-product attention over the last two axes."""
    similarity = tf.matmul(query, key, transpose_b=True) * (1 / math.sqrt(query.shape[-1]))
    return tf.matmul(tf.nn.softmax(similarity), value)


def _centring(d: int) -> np.ndarray:
    """The matrix that takes the mean of a row off every element of it."""
    return np.eye(d) - 1 / d


def _block_diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    """[n_i, m_i] each -> [sum n_i, sum m_i], zero outside the blocks."""
    rows, columns = np.cumsum([[0, 0]] + [b.shape for b in blocks], 0).T
    result = np.zeros((rows[-1], columns[-1]))
    for i, block in enumerate(blocks):
        result[rows[i] : rows[i + 1], columns[i] : columns[i + 1]] = block
    return result


def _filled(taps: np.ndarray, width: int) -> np.ndarray:
    """[k, n, channels] with zeros for more features, [k, width, channels]."""
    return np.pad(taps, ((0, 0), (0, width - taps.shape[1]), (0, 0)))


def _grouped(matrices: list[np.ndarray]) -> tf.Tensor:
    """K matrices [n, m] as one grouped 1x1 filter [1, 1, n, K m]."""
    return constant(np.concatenate(matrices, 1)[None, None])
