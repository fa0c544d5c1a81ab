"""PyTorch's parameters as matrices that map row vectors (y = x W + b), in float64 until they are folded."""

import math

import numpy as np
import tensorflow as tf
from torch import nn


def numpy(parameter: nn.Parameter) -> np.ndarray:
    return parameter.detach().double().numpy()


def dense(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    """Weight [in, out] and bias [out]."""
    bias = np.zeros(layer.out_features) if layer.bias is None else numpy(layer.bias)
    return numpy(layer.weight).T, bias


def constant(values: np.ndarray) -> tf.Tensor:
    return tf.constant(values, tf.float32)


def normalise(rows: tf.Tensor) -> tf.Tensor:
    """Rows of length 1; becomes L2_NORMALIZATION, whose own guard against a row of zeros is 1e-6."""
    return tf.nn.l2_normalize(rows, axis=-1, epsilon=1e-12)


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
