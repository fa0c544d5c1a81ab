"""PyTorch's parameters as matrices that map row vectors (y = x W + b), in float64 until they are folded."""

import math

import numpy as np
from torch import nn

from tinyloc.export.tensorflow import tf


def numpy(parameter: nn.Parameter) -> np.ndarray:
    return parameter.detach().double().numpy()


def dense(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    """Weight [in, out] and bias [out]."""
    bias = np.zeros(layer.out_features) if layer.bias is None else numpy(layer.bias)
    return numpy(layer.weight).T, bias


def constant(values: np.ndarray) -> tf.Tensor:
    return tf.constant(values, tf.float32)


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────
# Not every operator has a kernel for every integer type. `avoid` names those that a twin has to do without.
Avoid = frozenset[str]


def normalise(rows: tf.Tensor, avoid: Avoid = frozenset()) -> tf.Tensor:
    """Rows of length 1: L2_NORMALIZATION, whose own guard against a row of zeros is 1e-6, or five plain operators."""
    if "L2_NORMALIZATION" not in avoid:
        return tf.nn.l2_normalize(rows, axis=-1, epsilon=1e-12)
    return rows * tf.math.rsqrt(tf.reduce_mean(rows * rows, -1, keepdims=True) * rows.shape[-1])


def elu_plus_two(x: tf.Tensor) -> tf.Tensor:
    """ELU(x) + 2 without an exponential: e^-m = 1 / logistic(m) - 1, here with m = relu(x) - x.

    Every part is well within reach of integers: logistic(m) in [1/2, 1), its inverse in (1, 2].
    """
    positive = tf.nn.relu(x)
    return positive + inverse(tf.sigmoid(positive - x))


def inverse(x: tf.Tensor) -> tf.Tensor:
    """1 / x for x > 0, from a square root that integers have a kernel for."""
    root = tf.math.rsqrt(x)
    return root * root


def decay(x: tf.Tensor) -> tf.Tensor:
    """e^-x for x >= 0, without an exponential."""
    return inverse(tf.sigmoid(x)) - 1.0


# -log(1 - c) / c on [0, 1/2] as a polynomial, its largest error the least at this degree (5.3e-5); highest power first
_LOGARITHM = (0.76273639, -0.07534996, 0.40127531, 0.49523497, 1.00005289)


def softplus(x: tf.Tensor) -> tf.Tensor:
    """log(1 + e^x) = relu(x) - log(1 - c) with c = logistic(-|x|), without a logarithm: to 3e-5."""
    positive = tf.nn.relu(x)
    c = tf.sigmoid(x - positive - positive)
    series = _LOGARITHM[0]
    for coefficient in _LOGARITHM[1:]:
        series = series * c + coefficient
    return positive + series * c


_SERIES_ERROR = 1e-4


def log1p_over(g: np.ndarray) -> np.ndarray:
    """Polynomials in p for log(1 + g p) / (g p) with 0 <= p <= 1: [degree + 1, C], highest power first, for g [C].

    Of the lowest degree that keeps all channels within 1e-4; interpolated at Chebyshev's points.
    """
    for degree in range(1, 9):
        points = (1 + np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))) / 2
        rows = np.linalg.solve(np.vander(points), _log1p_over(g, points))
        between = np.linspace(0, 1, 65)
        if np.abs(np.vander(between, degree + 1) @ rows - _log1p_over(g, between)).max() < _SERIES_ERROR:
            break
    return rows


def _log1p_over(g: np.ndarray, p: np.ndarray) -> np.ndarray:
    """[P, C] of g [C] and p [P]."""
    product = np.maximum(np.multiply.outer(p, g), 1e-12)
    return np.log1p(product) / product


# A norm of PyTorch divides by sqrt(mean(x²) + eps) = |(x, sqrt(d eps))| / sqrt(d): the length of a row that is one
# element longer. So rows that are small enough for eps to matter carry that element as a channel of their own.


def epsilon_channel(norm: nn.LayerNorm | nn.RMSNorm) -> float:
    """The element that stands for `norm.eps`."""
    return math.sqrt(norm.normalized_shape[0] * norm.eps)


def before_norm(weight: np.ndarray) -> np.ndarray:
    """[n, d] -> [n, d + 1]: a matrix that writes nothing to the epsilon channel."""
    return np.pad(weight, ((0, 0), (0, 1)))


def behind_norm(norm: nn.LayerNorm | nn.RMSNorm, weight: np.ndarray) -> np.ndarray:
    """[d, n] -> [d + 1, n]: a matrix for normalised rows, with the norm's gain, blind to the epsilon channel."""
    return np.pad(gain(norm)[:, None] * weight, ((0, 1), (0, 0)))


def gain(norm: nn.LayerNorm | nn.RMSNorm) -> np.ndarray:
    """What turns a row of length 1 into one of mean square 1, times the learnt gain: [d]."""
    return numpy(norm.weight) * math.sqrt(norm.normalized_shape[0])
