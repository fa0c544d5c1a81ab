"""A width for every layer, within a budget of bytes: wide where a coarse ruler hurts, narrow where it does not.

The noise that a layer's code brings to the scores is measured with that layer alone in the code. Small noises of
different layers add up, so what is left is to choose one code a layer: a knapsack, solved exactly (in the manner of
Z. Dong et al., "HAWQ-V2", NeurIPS 2020, which measures by second derivatives what is measured directly here).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tinyloc.errors import InputError

Name, Code = TypeVar("Name", bound=Hashable), TypeVar("Code", bound=Hashable)


@dataclass(frozen=True)
class Option:
    """One code of one layer."""

    bytes: int
    noise: float  # mean squared error of the scores with this layer alone in this code


@dataclass(frozen=True)
class _Choice:
    bytes: int
    noise: float
    codes: tuple[Hashable, ...]


def choose(options: Mapping[Name, Mapping[Code, Option]], budget: int) -> dict[Name, Code]:
    """The code of every layer that brings the least noise in all within `budget` bytes.

    Layer by layer, every choice so far is kept that no other beats in both bytes and noise.
    Raises InputError: even the smallest codes take more than `budget`.
    """
    front = [_Choice(0, 0.0, ())]
    for codes in options.values():
        extended = [
            _Choice(so_far.bytes + option.bytes, so_far.noise + option.noise, (*so_far.codes, code))
            for so_far in front
            for code, option in codes.items()
        ]
        front = _unbeaten(extended)
    able = [choice for choice in front if choice.bytes <= budget]
    if not able:
        least = min(choice.bytes for choice in front)
        raise InputError(f"mixed precision: a budget of {budget:,} bytes; the narrowest codes take {least:,}")
    return dict(zip(options, min(able, key=lambda choice: choice.noise).codes, strict=True))


def _unbeaten(choices: list[_Choice]) -> list[_Choice]:
    """By bytes, those that are less noisy than all that are smaller."""
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda c: (c.bytes, c.noise)):
        if not kept or choice.noise < kept[-1].noise:
            kept.append(choice)
    return kept
