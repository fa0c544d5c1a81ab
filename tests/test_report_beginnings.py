"""Whether segments begin at their strongest: counted strictly, against what chance would give."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinyloc.data.features import Steps
from tinyloc.report import beginnings


def recording(*segments: list[float]) -> Steps:
    """Segments of levels at a gateway, beside one that hears nothing."""
    level = np.concatenate(segments)
    count = len(level)
    return Steps(
        recording="1-1",
        participant="1",
        phase="living",
        rssi=np.stack([np.full(count, -120.0), level], 1),
        heard=np.ones((count, 2), int),
        acc=np.zeros((count, 6)),
        room=np.zeros(count, int),
        segment=np.repeat(np.arange(len(segments)), [len(levels) for levels in segments]),
        step=np.arange(count),
        time=np.arange(count).astype("datetime64[us]"),
    )


LOUD, LATER, EVEN, SHORT = [-40, *[-70] * 19], [-70, *[-40] * 39], [-60] * 20, [-40] * 10


def test_a_segment_counts_where_its_first_steps_hold_the_strongest_and_a_tie_does_not():
    found = beginnings.strongest_first([recording(LOUD, LATER), recording(EVEN, SHORT)], 10)
    assert found == (1, 3, pytest.approx(10 / 20 + 10 / 40 + 10 / 20))


def test_the_sentence_counts_seconds_and_not_steps():
    home = SimpleNamespace(name="shib", steps=[recording(LOUD, LATER)])
    assert beginnings.in_words([home], bin_s=1.0) == (
        "- **shib**: the strongest moment of a segment lies in its first 10 s in 1 of 2 segments; were every moment as "
        "likely, in about 1."
    )
    assert "1 of 2 segments; were every moment as likely, in about 0." in beginnings.in_words([home], bin_s=5.0)
