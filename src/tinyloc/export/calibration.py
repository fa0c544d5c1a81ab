"""The training windows whose activations give an int8 model its ranges."""

import csv
from pathlib import Path

import numpy as np

from tinyloc import config
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Windows, cut
from tinyloc.files import atomic


def choose(fold: Fold, windows: config.Windows, count: int, seed: int) -> Windows:
    """`count` of the fold's training windows (unscaled), or all where there are fewer; the same for the same seed.

    Raises InputError: no segment is as long as a window.
    """
    train = cut(fold.train, windows.length, windows.train_hop)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(train), min(count, len(train)), replace=False))
    return Windows(train.rssi[rows], train.acc[rows], train.room[rows], train.recording[rows], train.step[rows])


def write(path: Path, windows: Windows) -> None:
    """Leave the list of the windows beside the model: recording and last step of each."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["recording", "step"])
        table.writerows(zip(windows.recording.tolist(), windows.step.tolist(), strict=True))
