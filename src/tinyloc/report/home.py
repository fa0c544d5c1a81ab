"""What a chapter about data needs to know of a data set."""

from collections.abc import Sequence
from typing import Protocol

from tinyloc.data.features import Steps
from tinyloc.data.packets import Dataset
from tinyloc.data.splits import Fold


class Home(Protocol):
    """A data set cut into steps and folds, as `Study.prepared` gives it."""

    name: str
    gateways: Sequence[str]
    rooms: Sequence[str]
    steps: Sequence[Steps]
    folds: Sequence[Fold]
    dataset: Dataset
