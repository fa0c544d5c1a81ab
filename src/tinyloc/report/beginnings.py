"""Whether the first seconds of a recording are like the others, for the chapter on the data."""

from collections.abc import Sequence

from tinyloc.data.features import Steps
from tinyloc.report.home import Home
from tinyloc.report.numbers import counted

FIRST_S = 10


def strongest_first(recordings: Sequence[Steps], first: int) -> tuple[int, int, float]:
    """In how many segments the strongest step of any gateway is among the `first` steps, of how many, and in how many
    it would be were every step as likely. Segments that are no longer than that are left out."""
    strongest = [steps.rssi[steps.segment == number].max(1) for steps in recordings for number in set(steps.segment)]
    long = [levels for levels in strongest if len(levels) > first]
    # a tie shows nothing
    found = sum(levels[:first].max() > levels[first:].max() for levels in long)
    return int(found), len(long), sum(first / len(levels) for levels in long)


def in_words(homes: Sequence[Home], bin_s: float) -> str:
    """Markdown: a line a data set. bin_s: seconds a step."""
    lines = []
    for home in homes:
        found, segments, expected = strongest_first(home.steps, max(1, round(FIRST_S / bin_s)))
        lines.append(
            f"- **{home.name}**: the strongest moment of a segment lies in its first {FIRST_S} s in {found} of "
            f"{counted(segments, 'segment')}; were every moment as likely, in about {expected:.0f}."
        )
    return "\n".join(lines)
