"""Chapter 6, before and after fusing."""

import pytest

from tinyloc.report import fusing
from tinyloc.report.figures import device


def step(kernel: str, count: int) -> dict:
    return {"kernel": kernel, "instructions": {"min": count, "median": count, "max": count}}


@pytest.fixture
def pairs() -> dict[str, fusing.Pair]:
    before = {"arena": 4096, "steps": [step("conv_s8", 600), step("mul_s8", 300), step("add_s8", 100)]}
    after = {"arena": 3072, "steps": [step("conv_s8", 600), step("fused_s8", 150)]}
    return {"student.int8": (before, after)}


def test_calls_memory_and_instructions_stand_side_by_side(pairs) -> None:
    rows = fusing.table(pairs).to_dict("records")
    assert [row["compiled"] for row in rows] == [fusing.BEFORE, fusing.AFTER]
    assert [row["kernel calls"] for row in rows] == [3, 2]
    assert [row["arena (KB)"] for row in rows] == ["4.0", "3.0"]
    assert [row["instructions"] for row in rows] == ["1,000", "750"]
    assert "33 % of the kernel calls, 25 % of the arena and 25 % of the instructions" in fusing.in_words(pairs)


def test_what_a_model_takes_before_is_the_whole_of_both_bars(pairs) -> None:
    ax = device.fusion(fusing.steps(pairs)).axes[0]
    ends = {}
    for bar in ax.patches:
        ends[bar.get_y()] = max(ends.get(bar.get_y(), 0), bar.get_x() + bar.get_width())
    assert sorted(ends.values()) == pytest.approx([75, 100])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"student.int8: {form}" for form in (fusing.BEFORE, fusing.AFTER)
    ]
