"""RSSI told in pieces (`models.mdcsa.piecewise`) and embedded, as two dense layers with a clamp between.

- Piece k of a gateway is clamp(bins x - k, 0, 1), whether it was heard clamp(127 x, 0, 1). Times six both are a dense
  layer with RELU6 fused into it, TFLite's one activation with two ends: no operator of their own, no tensor but what it
  gives, and in integers the clamp comes before the rounding. Its weights are 6 bins and 6 x 127, which are `bins` and
  127 marks of one scale without an error. (A depthwise convolution would hold no zeros, but has a scale a channel in
  TFLite Micro's memory, and needs a RESHAPE before it.)
- The pieces are many: P = n_ap (bins + 1) columns, which every tap of every convolution would read again. So where
  they are more than the network is wide, a second layer makes them the d columns of the embedding, once.

In integers these columns share a ruler with the accelerometer's, whose range is [0, 1]. So they are brought to it, and
a diagonal and an offset are what is left of the embedding. Their ends are known without data: each gateway's share is
piecewise linear in its level, so that it is largest and least where a piece ends. (As float they stay as they are: a
diagonal of wide columns would leave the other weights few marks where all have one scale, as in `weight_only`.)
"""

import numpy as np

from tinyloc.export.tensorflow import tf
from tinyloc.export.weights import constant
from tinyloc.models.mdcsa import HEARD_SLOPE

_SIX = 6.0  # where RELU6 ends


class Pieces:
    """`columns(rssi)` [1, T, n_ap] -> [1, T, n]; the embedding without its bias is columns @ `weight` [n, d] + `offset`
    [d]."""

    def __init__(self, embed: np.ndarray, bins: int, within_unit: bool) -> None:
        """embed: [n_ap (bins + 1), d], the weights of the embedding of pieces. within_unit: bring columns to [0, 1]."""
        self.n_ap = len(embed) // (bins + 1)
        cut, start = _cut(self.n_ap, bins)
        self._cut, self._start = constant(_SIX * cut), constant(_SIX * start)
        many = len(embed) > embed.shape[1]
        join = embed if many else np.eye(len(embed))
        low, width = np.zeros(join.shape[1]), np.ones(join.shape[1])
        if many and within_unit:
            low, high = _ends(embed, self.n_ap, bins)
            width = np.where(high > low, high - low, 1.0)
        self.weight, self.offset = np.diag(width) if many else embed, low if many else np.zeros(embed.shape[1])
        self._join, self._join_bias = constant(join / width / _SIX), constant(-low / width)

    def columns(self, rssi: tf.Tensor) -> tf.Tensor:
        pieces = tf.nn.relu6(tf.matmul(rssi, self._cut) + self._start)
        return tf.matmul(pieces, self._join) + self._join_bias


def _cut(n_ap: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """[n_ap, n_ap (bins + 1)] and [n_ap (bins + 1)]: what is clamped to [0, 1], in the order of `piecewise`."""
    pieces = np.kron(np.eye(n_ap), np.full((1, bins), float(bins)))
    start = np.concatenate([np.tile(-np.arange(bins, dtype=float), n_ap), np.zeros(n_ap)])
    return np.concatenate([pieces, HEARD_SLOPE * np.eye(n_ap)], 1), start


def _ends(embed: np.ndarray, n_ap: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value of each column of the embedding [d] for any levels at all."""
    pieces, heard = embed[: n_ap * bins].reshape(n_ap, bins, -1), embed[n_ap * bins :]
    # where a gateway's share bends: silence, heard at 1 / HEARD_SLOPE, and the end of each piece
    first = heard + np.minimum(bins / HEARD_SLOPE, 1.0) * pieces[:, 0]
    bends = np.stack([np.zeros_like(heard), first, *np.moveaxis(heard[:, None] + pieces.cumsum(1), 1, 0)])
    return bends.min(0).sum(0), bends.max(0).sum(0)
