"""Which steps train, choose and test a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinyloc.data.features import Steps
from tinyloc.errors import InputError

TEST_SHARE = 0.25  # of `last-part`

Tail = Callable[[Steps, float], np.ndarray]


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
    `group-to-group`: as the first, for recordings that are a group of people each, cut into windows already.
    `last-part`: one fold `last-part`, tested on the last TEST_SHARE of every segment. It needs one recording alone, and
    says nothing about another day or another person.
    `house-to-house`: one fold a house, trained on all that was recorded in the others and tested on its free living
    (on all its recordings, where none is). In these data a participant is a house, see `tinyloc.data.houses`.
    Validation steps are the last `validation_share` of every segment of the training recordings (of the segments, where
    each is a window). They are cut off before windows are made, so no window holds steps of both.

    Raises InputError: the recordings do not allow the protocol.
    """
    if protocol == "fingerprint-to-living":
        return [_fold("living", *_apart(steps, lambda s: s.phase == "living"), _tail, validation_share)]
    if protocol in ("leave-one-participant-out", "group-to-group"):
        tail = _tail if protocol == "leave-one-participant-out" else _last_segments
        participants = list(dict.fromkeys(s.participant for s in steps))
        return [
            _fold(p, *_apart(steps, lambda s, p=p: s.participant == p), tail, validation_share) for p in participants
        ]
    if protocol == "last-part":
        tails = [_tail(s, TEST_SHARE) for s in steps]
        test = [s.select(tail) for s, tail in zip(steps, tails, strict=True)]
        rest = [s.select(~tail) for s, tail in zip(steps, tails, strict=True)]
        return [_fold("last-part", test, rest, _tail, validation_share)]
    if protocol == "house-to-house":
        houses = list(dict.fromkeys(s.participant for s in steps))
        apart = [_apart(steps, lambda s, h=h: s.participant == h) for h in houses]
        return [
            _fold(h, _living(test), rest, _tail, validation_share)
            for h, (test, rest) in zip(houses, apart, strict=True)
        ]
    raise InputError(f"protocol {protocol!r}: no such protocol")


def _living(steps: Sequence[Steps]) -> list[Steps]:
    """Recordings of free living, or all where there are none: scripted walks are how a system is set up, not used."""
    return [s for s in steps if s.phase == "living"] or list(steps)


def _apart(steps: Sequence[Steps], tested: Callable[[Steps], bool]) -> tuple[list[Steps], list[Steps]]:
    """Recordings to test on, and the others."""
    return [s for s in steps if tested(s)], [s for s in steps if not tested(s)]


def _fold(name: str, test: list[Steps], rest: list[Steps], tail: Tail, share: float) -> Fold:
    if not test or not rest:
        raise InputError(f"fold {name!r}: {'nothing to test' if not test else 'no other recording to train'} on")
    tails = [tail(s, share) for s in rest]
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


def _last_segments(steps: Steps, share: float) -> np.ndarray:
    """Mask [S] of the last `share` of the segments."""
    segments = np.unique(steps.segment)
    kept = len(segments) - round(len(segments) * share)
    return np.isin(steps.segment, segments[kept:])
