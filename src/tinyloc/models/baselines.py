"""The classifiers that any localisation model has to beat, by scikit-learn.

They see a window as one row of numbers: `summary`, the mean and standard deviation of every column over the steps,
or `steps`, all steps side by side. Fitting them chooses nothing by a validation score, so they may be fitted on
training and validation windows together.

scikit-learn takes a second to import, which whoever trains a network need not wait: each constructor imports its own.
"""

from typing import TYPE_CHECKING

import numpy as np

from tinyloc.data.windows import Windows
from tinyloc.errors import InputError

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin


def summary(x: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over the steps of each window: [N, T, n] -> [N, 2 n]."""
    return np.concatenate([x.mean(1), x.std(1)], axis=1)


def steps(x: np.ndarray) -> np.ndarray:
    """The steps of each window side by side: [N, T, n] -> [N, T n]."""
    return x.reshape(len(x), -1)


FEATURES = {"summary": summary, "steps": steps}


class Tabular:
    """A classifier of scikit-learn on RSSI and acceleration of whole windows."""

    def __init__(self, classifier: "ClassifierMixin", features: str):
        self.classifier, self.features = classifier, FEATURES[features]

    def fit(self, windows: Windows) -> "Tabular":
        self.classifier.fit(self._rows(windows), windows.target)
        return self

    def predict(self, windows: Windows) -> np.ndarray:
        """The room at the last step of every window: [N] int64."""
        return self.classifier.predict(self._rows(windows))

    def _rows(self, windows: Windows) -> np.ndarray:
        return np.concatenate([self.features(windows.rssi), self.features(windows.acc)], axis=1)


class Forest(Tabular):
    """Random forest (Breiman, 2001)."""

    def __init__(self, trees: int, seed: int, features: str = "summary"):
        from sklearn.ensemble import RandomForestClassifier

        super().__init__(RandomForestClassifier(trees, random_state=seed, n_jobs=1), features)


class Boosting(Tabular):
    """Gradient boosting of trees (Friedman, 2001) on binned features (Ke et al., LightGBM, 2017)."""

    def __init__(self, iterations: int, learning_rate: float, leaves: int, seed: int, features: str = "summary"):
        """iterations: trees a room. leaves: of each tree, at most."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        classifier = HistGradientBoostingClassifier(
            max_iter=iterations,
            learning_rate=learning_rate,
            max_leaf_nodes=leaves,
            early_stopping=False,
            random_state=seed,
        )
        super().__init__(classifier, features)


class Neighbours(Tabular):
    """k nearest neighbours in signal space (Bahl and Padmanabhan, RADAR, 2000): RSSI alone."""

    def __init__(self, k: int):
        from sklearn.neighbors import KNeighborsClassifier

        super().__init__(KNeighborsClassifier(k, n_jobs=1), "summary")
        self.k = k

    def fit(self, windows: Windows) -> "Neighbours":
        """Raises InputError: there are fewer windows than neighbours are asked for."""
        if len(windows) < self.k:
            raise InputError(f"neighbours: k {self.k}, but there are {len(windows)} training windows; lower it")
        super().fit(windows)
        return self

    def _rows(self, windows: Windows) -> np.ndarray:
        return self.features(windows.rssi)
