"""A trained network over steps: every model answers for the same rows, whatever it needs to see."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from tinyloc import config
from tinyloc.data.features import Steps
from tinyloc.data.windows import Windows, cut
from tinyloc.models.crf import CRF
from tinyloc.models.registry import parameters
from tinyloc.training.checkpoint import Trained
from tinyloc.training.distil import all_scores
from tinyloc.training.predictions import Predictions


def predict_steps(
    trained: Trained, steps: Sequence[Steps], windows: config.Windows, reset: bool = False
) -> Predictions:
    """Rooms at the last step of every test window of `steps` (unscaled).

    MDCSA sees the window alone and answers with the last state of its Viterbi path, or as its `decide` says. A causal
    network runs along the whole recording, its state reset where a segment begins, and is asked at the same steps;
    with `reset`, or in the form of windows, it begins anew at the first step of every window and sees no more.
    The probability of a room is the marginal of the CRF at the last step where there is one, or else the softmax.
    Raises InputError: no segment is as long as a window.
    """
    asked = cut(steps, windows.length, windows.test_hop, steps[0].recording if len(steps) == 1 else "")
    if trained.model.streams and not reset:
        scores = _streamed(trained, steps, asked)
        room, probability = scores.argmax(-1), softmax(scores, -1)
    else:
        scores, room, probability = _windowed(trained, asked)
    return Predictions.of(
        asked,
        room,
        scores=scores,
        parameters=parameters(trained.model),
        probability=probability,
        probability_source="CRF marginal" if _crf(trained.model) else "softmax",
    )


def _crf(model: nn.Module) -> CRF | None:
    found = getattr(model, "crf", None)
    return found if isinstance(found, CRF) else None


@torch.no_grad()
def _windowed(trained: Trained, asked: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [N, R], rooms [N] and probabilities [N, R] at the windows' last steps."""
    scaled = trained.scaler.transform(asked)
    scores = all_scores(trained.model, torch.from_numpy(scaled.rssi), torch.from_numpy(scaled.acc))
    room = trained.model.last_room(scores)
    last, crf = scores[:, -1], _crf(trained.model)
    probability = crf.marginals(scores)[:, -1] if crf else last.softmax(-1)
    return last.numpy(), room.numpy(), probability.numpy()


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
