"""Weights in fewer than eight bits: what a code makes of one layer's int8 integers, and the bytes that it takes.

All of them start from a layer as `quantise` left it, integers with one scale for each output channel:

- `uniform`: a ruler with fewer marks, one for each channel, as long as its mean squared error is least (R. Banner et
  al., "Post training 4-bit quantization of convolutional networks for rapid-deployment", NeurIPS 2019).
- `codebook`: a few values, chosen by k-means, and the index of one of them for each weight (S. Han, H. Mao and W. J.
  Dally, "Deep Compression", ICLR 2016). The values are int8 on the channel's ruler, so the kernels stay those of int8.
- `series`: W = s1 Q1 + s2 Q2, two terms of few bits, the second of what the first left over (residual quantisation,
  as in Y. Guo et al., "Network sketching", CVPR 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

_SHRINK = np.linspace(0.3, 1, 36)
"""Lengths of a channel's ruler that are tried, as parts of its largest weight."""

SCALE_BYTES = 4
_FINEST = 1e-12


@dataclass(frozen=True)
class Layer:
    """The weights of one operator: r = scales[c] * integers[c]. The output channels are the first axis."""

    integers: np.ndarray  # [C, n] int8
    scales: np.ndarray  # [C] float32

    @property
    def real(self) -> np.ndarray:
        """[C, n] float32."""
        return (self.integers * self.scales.astype(np.float64)[:, None]).astype(np.float32)


@dataclass(frozen=True)
class Coded:
    """A layer in a code: the sum of its terms, and all the bytes of it (packed indices, tables, scales)."""

    terms: tuple[Layer, ...]
    bytes: int

    @property
    def real(self) -> np.ndarray:
        """[C, n] float32."""
        return sum(term.real for term in self.terms)


def as_it_is(layer: Layer) -> Coded:
    """Eight bits."""
    return Coded((layer,), layer.integers.size + SCALE_BYTES * len(layer.scales))


def uniform(layer: Layer, bits: int) -> Coded:
    """2^bits - 1 marks, evenly spaced around zero."""
    return Coded(
        (_ruled(layer.real, bits, layer.scales),), packed(layer.integers.size, bits) + SCALE_BYTES * len(layer.scales)
    )


def series(layer: Layer, bits: Sequence[int]) -> Coded:
    """A term of each of these widths, each of what those before it left over."""
    terms, rest = [], layer.real
    for width in bits:
        terms.append(_ruled(rest, width, np.full(len(rest), _FINEST)))
        rest = rest - terms[-1].real
    indices = sum(packed(layer.integers.size, width) for width in bits)
    return Coded(tuple(terms), indices + SCALE_BYTES * len(layer.scales) * len(terms))


def codebook(layer: Layer, entries: int, by_channel: bool = False) -> Coded:
    """One table of `entries` int8 values for the layer, or one for each channel.

    A table for all channels minimises the squared error of the real weights: a step of a channel of large scale counts
    for more.
    """
    if by_channel:
        found = np.stack([_clustered(row, np.ones(len(row)), entries, starts=1) for row in layer.integers])
    else:
        importance = np.broadcast_to(np.square(layer.scales, dtype=np.float64)[:, None], layer.integers.shape)
        found = _clustered(layer.integers.ravel(), importance.ravel(), entries, starts=4).reshape(layer.integers.shape)
    tables = entries * (len(layer.scales) if by_channel else 1)
    indices = packed(layer.integers.size, (entries - 1).bit_length())
    return Coded((Layer(found, layer.scales),), indices + tables + SCALE_BYTES * len(layer.scales))


def packed(count: int, bits: int) -> int:
    """Bytes of `count` indices of `bits` each, without gaps."""
    return -(-count * bits // 8)


def _ruled(real: np.ndarray, bits: int, finest: np.ndarray) -> Layer:
    """Real weights [C, n] on rulers of 2^bits - 1 marks, of all lengths tried those of least squared error.

    finest: the least scale that a channel may have [C]. Of int8 it is what the bias of a channel of zeros can stand.
    """
    most = 2 ** (bits - 1) - 1
    scales = np.maximum(_SHRINK[:, None] * np.abs(real).max(1) / most, finest).astype(np.float32)  # [lengths, C]
    marks = np.clip(np.round(real / scales[..., None]), -most, most)
    error = np.square(marks * scales[..., None] - real).sum(-1)
    best, channel = error.argmin(0), np.arange(len(real))
    return Layer(marks[best, channel].astype(np.int8), scales[best, channel])


def _clustered(integers: np.ndarray, importance: np.ndarray, entries: int, starts: int) -> np.ndarray:
    """The entry that stands for each integer [n]; at most 255 values differ, so k-means sees them, not the weights."""
    values, place = np.unique(integers, return_inverse=True)
    if len(values) <= entries:
        return integers
    weight = np.bincount(place, importance)
    means = KMeans(entries, n_init=starts, random_state=0).fit(values[:, None], sample_weight=weight)
    return np.round(means.cluster_centers_[means.labels_, 0]).astype(np.int8)[place]
