"""Which steps train, choose and test a model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyloc.data.features import Steps
from tinyloc.errors import InputError


@dataclass(frozen=True)
class Fold:
    """Test steps come from other recordings than training and validation steps."""

    name: str
    train: list[Steps]
    validation: list[Steps]
    test: list[Steps]


def folds(steps: Sequence[Steps], protocol: str, validation_share: float) -> list[Fold]:
    """The folds of a protocol.

    `leave-one-participant-out`: one fold a participant, named after them, tested on all their recordings.
    `fingerprint-to-living`: one fold `living`, trained on the scripted walks.
    Validation steps are the last `validation_share` of every segment of the training recordings. They are cut off
    before windows are made, so no window holds steps of both.

    Raises InputError: the recordings do not allow the protocol.
    """
    if protocol == "fingerprint-to-living":
        return [_fold("living", steps, [s.phase == "living" for s in steps], validation_share)]
    if protocol == "leave-one-participant-out":
        participants = list(dict.fromkeys(s.participant for s in steps))
        return [_fold(p, steps, [s.participant == p for s in steps], validation_share) for p in participants]
    raise InputError(f"protocol {protocol!r}: no such protocol")


def _fold(name: str, steps: Sequence[Steps], in_test: Sequence[bool], share: float) -> Fold:
    test = [s for s, tested in zip(steps, in_test, strict=True) if tested]
    rest = [s for s, tested in zip(steps, in_test, strict=True) if not tested]
    if not test or not rest:
        raise InputError(f"fold {name!r}: {'nothing to test' if not test else 'no other recording to train'} on")
    tails = [_tail(s, share) for s in rest]
    return Fold(
        name=name,
        train=[s.select(~tail) for s, tail in zip(rest, tails, strict=True)],
        validation=[s.select(tail) for s, tail in zip(rest, tails, strict=True)],
        test=test,
    )


def _tail(steps: Steps, share: float) -> np.ndarray:
    """Mask [S] of the last `share` of every segment, in whole steps."""
    _, first, length = np.unique(steps.segment, return_index=True, return_counts=True)
    kept = length - np.round(length * share).astype(int)
    within = np.arange(len(steps)) - np.repeat(first, length)
    return within >= np.repeat(kept, length)
