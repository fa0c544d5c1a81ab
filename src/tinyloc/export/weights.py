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


def norm_gain(norm: nn.LayerNorm | nn.RMSNorm) -> np.ndarray:
    """What turns an L2-normalised row into a normalised one of unit variance, times the learnt gain: [d]."""
    return numpy(norm.weight) * math.sqrt(norm.normalized_shape[0])
