"""The training windows whose activations give a model of integers its ranges.

The rule: a model of windows sees `count` training windows, drawn with a seed. A model with a state has to see the
values of a state that has lived, so it runs along whole segments of the training recordings, each from a fresh state,
drawn with a seed until they hold as many steps as the windows would. The list is written beside the model.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tinyloc import config
from tinyloc.data.splits import Fold
from tinyloc.data.windows import Scaled, cut
from tinyloc.errors import InputError
from tinyloc.export.simulation import Simulation
from tinyloc.files import atomic, sha256
from tinyloc.training.checkpoint import Trained


@dataclass(frozen=True)
class Calibration:
    """N windows, or B segments side by side, the shorter ones filled up with their last step."""

    pieces: list[tuple[str, int, int]]  # recording, first and last step of each
    inputs: dict[str, np.ndarray]  # scaled, by name: [N, T, n] or, of segments, [T, B, n]
    lengths: list[int] | None = None  # steps of each segment

    @property
    def sha256(self) -> str:
        """A checksum of the numbers themselves."""
        return sha256(*(part for name in sorted(self.inputs) for part in (name.encode(), self.inputs[name].tobytes())))

    @torch.no_grad()
    def run(self, simulation: Simulation) -> dict[str, np.ndarray]:
        """Every activation by name: its values at all windows, or at all steps that are not filling."""
        inputs = {name: torch.from_numpy(values) for name, values in self.inputs.items()}
        if self.lengths is None:
            return {name: values.numpy() for name, values in simulation.run(inputs).items()}
        real = np.arange(len(self.inputs["rssi"]))[:, None] < np.array(self.lengths)
        return {name: values.numpy()[real] for name, values in simulation.stream(inputs).items()}

    def as_streams(self) -> "Calibration":
        """The same with every window as a segment of its own."""
        if self.lengths is not None:
            return self
        inputs = {name: values.swapaxes(0, 1) for name, values in self.inputs.items()}
        return Calibration(self.pieces, inputs, [len(inputs["rssi"])] * inputs["rssi"].shape[1])

    def first(self, count: int, steps: int) -> "Calibration":
        """The first `count` windows, or of the first `count` segments the first `steps`: to measure something often."""
        if self.lengths is None:
            return replace(self, pieces=self.pieces[:count], inputs={n: v[:count] for n, v in self.inputs.items()})
        lengths = [min(n, steps) for n in self.lengths[:count]]
        inputs = {name: values[: max(lengths), :count] for name, values in self.inputs.items()}
        return Calibration(self.pieces[:count], inputs, lengths)


def windows_of(trained: Trained, fold: Fold, windows: config.Windows, count: int, seed: int) -> Calibration:
    """`count` of the fold's training windows, or all where there are fewer; the same for the same seed.

    Raises InputError: no segment is as long as a window; other columns than trained on; see `check`.
    """
    train = cut(fold.train, windows.length, windows.train_hop)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(train), min(count, len(train)), replace=False))
    chosen = train.select(rows)
    pieces = [
        (r, s - windows.length + 1, s) for r, s in zip(chosen.recording.tolist(), chosen.step.tolist(), strict=True)
    ]
    scaled = _scaled(trained, chosen)
    return check(Calibration(pieces, {"rssi": scaled.rssi, "acc": scaled.acc}))


def segments_of(trained: Trained, fold: Fold, n_steps: int, seed: int) -> Calibration:
    """Whole training segments, in an order drawn with `seed`, until they hold `n_steps`; errors as of `windows_of`."""
    segments = [s.select(s.segment == i) for s in fold.train for i in np.unique(s.segment)]
    order = np.random.default_rng(seed).permutation(len(segments))
    enough = 1 + np.searchsorted(np.cumsum([len(segments[i]) for i in order]), n_steps)
    chosen = [_scaled(trained, segments[i]) for i in order[:enough]]
    lengths = [len(s) for s in chosen]
    inputs = {name: np.stack([_filled(getattr(s, name), max(lengths)) for s in chosen], 1) for name in ("rssi", "acc")}
    pieces = [(s.recording, int(s.step[0]), int(s.step[-1])) for s in chosen]
    return check(Calibration(pieces, inputs, lengths))


def _filled(values: np.ndarray, n_steps: int) -> np.ndarray:
    return np.pad(values, ((0, n_steps - len(values)), (0, 0)), mode="edge")


def _scaled(trained: Trained, raw: Scaled) -> Scaled:
    """Scaled as the model was trained. Raises InputError: see `require_columns`."""
    require_columns(trained, raw, "calibration")
    return trained.scaler.transform(raw)


def require_columns(trained: Trained, raw: Scaled, what: str) -> None:
    """Raises InputError: `raw`, which is `what`, has other columns than the model was trained on."""
    for name, wanted in (("rssi", trained.n_ap), ("acc", trained.n_acc)):
        columns = getattr(raw, name).shape[-1]
        if columns != wanted:
            raise InputError(
                f"{what}: {name} has {columns} columns a step, but the model reads {wanted}; "
                "take the data set that it was trained on"
            )


def check(calibration: Calibration) -> Calibration:
    """The calibration itself. Raises InputError: it is not finite, or says nothing."""
    for name, values in calibration.inputs.items():
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InputError(f"calibration: {name}{list(where)} is {values[where]}; mend the recording")
    if np.ptp(calibration.inputs["rssi"], axis=(0, 1)).max() == 0:
        raise InputError(
            f"calibration: all {len(calibration.pieces)} windows are silent, no gateway is ever heard; "
            "ranges cannot be learnt from silence, choose other recordings"
        )
    return calibration


def write(path: Path, calibration: Calibration) -> None:
    """Leave the list of the pieces beside the model: recording, first and last step of each."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["recording", "first", "last"])
        table.writerows(calibration.pieces)
