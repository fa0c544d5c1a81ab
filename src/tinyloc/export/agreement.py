"""How far an exported model, run in TFLite Micro, is from PyTorch; and when that is too far.

TensorFlow's converter was seen to emit wrong models without a word, so no export is trusted before it has run.
"""

from dataclasses import dataclass

import numpy as np

from tinyloc.config import ExportKind
from tinyloc.errors import InputError

MAX_FLOAT32_DIFFERENCE = 1e-3
"""Scores, absolute. Two rooms whose scores are further apart than twice this cannot change places."""

MIN_AGREEMENT: dict[ExportKind, float] = {
    "dynamic": 0.95,
    "float16": 0.99,
    "int8": 0.90,
    "int8-aware": 0.90,
    "mixed": 0.95,
    "int16x8": 0.98,
}
"""Share of outputs with the same best room. Sound int8 models were seen from 0.96 up, broken ones below 0.8."""


@dataclass(frozen=True)
class Agreement:
    argmax: float  # share of outputs with the same best room
    max_difference: float  # of scores, absolute


def compare(scores: np.ndarray, reference: np.ndarray) -> Agreement:
    """scores and reference: [..., R], of the exported model and of PyTorch on the same inputs."""
    return Agreement(
        argmax=float((scores.argmax(-1) == reference.argmax(-1)).mean()),
        max_difference=float(np.abs(scores - reference).max()),
    )


def require(agreement: Agreement, kind: ExportKind, name: str) -> None:
    """Raises InputError, with the figures, where a model of `kind` is not the same function as its original."""
    difference, same = agreement.max_difference, agreement.argmax
    if kind == "float32" and not difference <= MAX_FLOAT32_DIFFERENCE:
        problem = f"scores differ from PyTorch by up to {difference:.2g}, more than {MAX_FLOAT32_DIFFERENCE:g}"
    elif kind != "float32" and not same >= MIN_AGREEMENT[kind]:
        problem = f"the best room is PyTorch's in {same:.1%} of outputs, fewer than {MIN_AGREEMENT[kind]:.0%}"
    else:
        return
    raise InputError(f"{name}: the {kind} export is not the trained model: {problem}; it was not kept")
