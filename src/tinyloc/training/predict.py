"""A trained network over steps: every model answers for the same rows, whatever it needs to see."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from tinyloc import config
from tinyloc.data.features import Steps
from tinyloc.data.windows import Windows, cut
from tinyloc.models.registry import parameters
from tinyloc.training.checkpoint import Trained
from tinyloc.training.distil import all_scores
from tinyloc.training.predictions import Predictions


def predict_steps(trained: Trained, steps: Sequence[Steps], windows: config.Windows) -> Predictions:
    """Rooms at the last step of every test window of `steps` (unscaled).

    MDCSA sees the window alone and answers with the last state of its Viterbi path. A causal network runs along the
    whole recording, its state reset where a segment begins, and is asked at the same steps.
    Raises InputError: no segment is as long as a window.
    """
    asked = cut(steps, windows.length, windows.test_hop)
    if trained.model.causal:
        scores = _streamed(trained, steps, asked)
        room = scores.argmax(-1)
    else:
        scores, room = _windowed(trained, asked)
    return Predictions(
        recording=asked.recording,
        step=asked.step,
        y_true=asked.target,
        y_pred=room,
        scores=scores,
        parameters=parameters(trained.model),
    )


def _windowed(trained: Trained, asked: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Scores [N, R] and rooms [N] at the windows' last steps."""
    scaled = trained.scaler.transform(asked)
    scores = all_scores(trained.model, torch.from_numpy(scaled.rssi), torch.from_numpy(scaled.acc))
    room = trained.model.decode(scores)[:, -1]
    return scores[:, -1].numpy(), room.numpy()


def _streamed(trained: Trained, steps: Sequence[Steps], asked: Windows) -> np.ndarray:
    """Scores [N, R] at the asked steps."""
    found = []
    for recording in steps:
        scores = stream(trained.model, trained.scaler.transform(recording))
        rows = asked.step[asked.recording == recording.recording]
        found.append(scores[np.searchsorted(recording.step, rows)])
    return np.concatenate(found)


@torch.no_grad()
def stream(model: nn.Module, steps: Steps) -> np.ndarray:
    """Scores at every step of a recording (scaled), each segment from a fresh state: [S, R] float32."""
    begins = np.flatnonzero(np.diff(steps.segment)) + 1
    segments = zip(np.split(steps.rssi, begins), np.split(steps.acc, begins), strict=True)
    return np.concatenate(
        [model(torch.from_numpy(rssi)[None], torch.from_numpy(acc)[None])[0].numpy() for rssi, acc in segments]
    )
