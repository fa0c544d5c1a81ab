"""The two baselines that any localisation model has to beat, by scikit-learn.

They see a window as a bag of steps: the mean and standard deviation of every column. Fitting them chooses nothing by
a validation score, so they may be fitted on training and validation windows together.
"""

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from tinyloc.data.windows import Windows


def summary(x: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over the steps of each window: [N, T, n] -> [N, 2 n]."""
    return np.concatenate([x.mean(1), x.std(1)], axis=1)


class Forest:
    """Random forest (Breiman, 2001) on mean and standard deviation of RSSI and acceleration."""

    def __init__(self, trees: int, seed: int):
        self.classifier = RandomForestClassifier(trees, random_state=seed, n_jobs=1)

    def fit(self, windows: Windows) -> "Forest":
        self.classifier.fit(self._features(windows), windows.target)
        return self

    def predict(self, windows: Windows) -> np.ndarray:
        """The room at the last step of every window: [N] int64."""
        return self.classifier.predict(self._features(windows))

    @staticmethod
    def _features(windows: Windows) -> np.ndarray:
        return np.concatenate([summary(windows.rssi), summary(windows.acc)], axis=1)


class Neighbours:
    """k nearest neighbours in signal space (Bahl and Padmanabhan, RADAR, 2000): RSSI alone."""

    def __init__(self, k: int):
        self.classifier = KNeighborsClassifier(k, n_jobs=1)

    def fit(self, windows: Windows) -> "Neighbours":
        self.classifier.fit(summary(windows.rssi), windows.target)
        return self

    def predict(self, windows: Windows) -> np.ndarray:
        """The room at the last step of every window: [N] int64."""
        return self.classifier.predict(summary(windows.rssi))
