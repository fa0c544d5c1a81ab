"""A hidden Markov model over per-room RSSI: the classical way to let a room be likely because of the room before.

The room is the hidden state, the gateways are independent of one another given the room (naive Bayes), and silence is
a symbol of its own: that a gateway hears nothing says where one is not. Everything is counted, with one pseudo-count
added. Rooms are filtered forwards, so that an answer depends on no later step (Rabiner, "A tutorial on hidden Markov
models", 1989, equations 19-21; the counting of his section III-C is supervised here).

RSSI comes scaled to [0, 1]. A silent gateway's value lies below every real one: it is what scaled to 0.
"""

import numpy as np

from tinyloc.data.windows import Windows


class Histogram:
    """Emission probabilities by a histogram of every room and gateway: silence, and `bins` over (0, 1]."""

    def __init__(self, bins: int):
        self.bins = bins

    def fit(self, rssi: np.ndarray, in_room: np.ndarray) -> "Histogram":
        """rssi: [M, n_ap]; in_room: [M, R], 1 in the column of the room."""
        symbols = np.eye(self.bins + 1)[self._symbol(rssi)]  # [M, n_ap, bins + 1]
        counts = np.einsum("mr,mas->ras", in_room, symbols, optimize=True) + 1
        self.log_probability = np.log(counts / counts.sum(-1, keepdims=True))
        return self

    def log_likelihood(self, rssi: np.ndarray) -> np.ndarray:
        """log p(rssi | room): [..., n_ap] -> [..., R]."""
        symbol = self._symbol(rssi)
        gateways = np.arange(symbol.shape[-1])
        return np.moveaxis(self.log_probability[:, gateways, symbol].sum(-1), 0, -1)

    def _symbol(self, rssi: np.ndarray) -> np.ndarray:
        return np.clip(np.ceil(rssi * self.bins), 0, self.bins).astype(np.int64)


class Gaussian:
    """Emission densities: silent with a probability, and otherwise normally distributed, per room and gateway."""

    smallest_deviation = 0.02
    """Of a gateway's range; RSSI is rounded to whole dB, which alone is about as much."""

    def fit(self, rssi: np.ndarray, in_room: np.ndarray) -> "Gaussian":
        """rssi: [M, n_ap]; in_room: [M, R], 1 in the column of the room."""
        heard = (rssi > 0).astype(float)
        n, total = in_room.T @ heard, in_room.T @ (heard * rssi)  # [R, n_ap]
        # one more observation, of the gateway in all rooms together: a room that never heard it has that
        everywhere = np.maximum(heard.sum(0), 1)
        mean = (heard * rssi).sum(0) / everywhere
        variance = (heard * (rssi - mean) ** 2).sum(0) / everywhere
        self.mean = (total + mean) / (n + 1)
        spread = in_room.T @ (heard * rssi**2) - 2 * self.mean * total + n * self.mean**2
        self.variance = np.maximum((spread + variance) / (n + 1), self.smallest_deviation**2)
        self.p_heard = (n + 1) / (in_room.sum(0)[:, None] + 2)
        return self

    def log_likelihood(self, rssi: np.ndarray) -> np.ndarray:
        """log p(rssi | room): [..., n_ap] -> [..., R]."""
        x = rssi[..., None, :]
        density = -0.5 * ((x - self.mean) ** 2 / self.variance + np.log(2 * np.pi * self.variance))
        return np.where(x > 0, np.log(self.p_heard) + density, np.log1p(-self.p_heard)).sum(-1)


class HMM:
    """Rooms of windows by forward filtering; RSSI alone. The filter begins anew with every window."""

    def __init__(self, n_rooms: int, emission: str = "histogram", bins: int = 10):
        """emission: `histogram`, of `bins` bins, or `gaussian`."""
        self.n_rooms = n_rooms
        self.emission = Histogram(bins) if emission == "histogram" else Gaussian()

    def fit(self, windows: Windows) -> "HMM":
        room = windows.room
        self.start = np.bincount(room[:, 0], minlength=self.n_rooms) + 1.0
        self.start /= self.start.sum()
        self.transition = np.ones((self.n_rooms, self.n_rooms))
        np.add.at(self.transition, (room[:, :-1], room[:, 1:]), 1)
        self.transition /= self.transition.sum(1, keepdims=True)
        in_room = np.eye(self.n_rooms)[room.ravel()]
        self.emission.fit(windows.rssi.reshape(in_room.shape[0], -1).astype(float), in_room)
        return self

    def filtered(self, windows: Windows) -> np.ndarray:
        """p(room at step t | steps up to t of the window): [N, T, R]."""
        log_likelihood = self.emission.log_likelihood(windows.rssi.astype(float))
        # only ratios between rooms count, and the largest of them must not underflow
        likelihood = np.exp(log_likelihood - log_likelihood.max(-1, keepdims=True))
        belief = np.empty_like(likelihood)
        expected = self.start
        for t in range(likelihood.shape[1]):
            joint = expected * likelihood[:, t]
            belief[:, t] = joint / joint.sum(1, keepdims=True)
            expected = belief[:, t] @ self.transition
        return belief

    def predict(self, windows: Windows) -> np.ndarray:
        """The room at the last step of every window: [N] int64."""
        return self.filtered(windows)[:, -1].argmax(-1)
