"""Whether a stream draws on its past: tested against itself begun anew, and said by the tests alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from report_tree import write_result

from tinyloc.evaluation.conditions import CLEAN, LENGTH, Condition
from tinyloc.evaluation.paired import holm
from tinyloc.report import streams
from tinyloc.training.predictions import Predictions, write_predictions

STEPS, RECORDINGS, ROOMS = 400, 12, 3


def answers(right: float, first: int) -> Predictions:
    """Of a house's recordings from step `first` on; the same step is hard under every condition."""
    luck = np.random.default_rng(0).random((RECORDINGS, STEPS))
    true = np.tile(np.arange(STEPS) % ROOMS, (RECORDINGS, 1))
    predicted = np.where(luck < right, true, (true + 1) % ROOMS)
    kept = np.arange(STEPS) >= first
    names = np.repeat([f"living-{r}" for r in range(RECORDINGS)], kept.sum())
    steps = np.tile(np.arange(STEPS)[kept], RECORDINGS)
    return Predictions(names, np.zeros(len(names), int), steps, true[:, kept].ravel(), predicted[:, kept].ravel())


@pytest.fixture
def disturbed(tmp_path: Path) -> Path:
    """Undisturbed it is asked from step 19 on, and with windows of up to 30 steps from step 29 on."""
    folder = write_result(tmp_path, "house", "mamba", 0.9)
    by_name = {CLEAN.name: answers(0.9, 19)}
    for length, right in ((1, 0.5), (10, 0.897), (30, 0.9)):
        by_name[Condition(LENGTH, length).name] = answers(right, 29)
    write_predictions(folder / "fold-living" / "robustness.npz", by_name)
    asked = [{"kind": c.kind, "value": c.value} for c in (CLEAN, *(Condition(LENGTH, n) for n in (1, 10, 30)))]
    (folder / "robustness.json").write_text(json.dumps({"conditions": asked}))
    return folder / "robustness.json"


def test_a_stream_is_held_against_itself_at_the_steps_that_both_were_asked_about(disturbed: Path) -> None:
    found = streams.past([disturbed])
    assert found["steps"].tolist() == [1, 10, 30] and set(found["entry"]) == {"mamba"}
    np.testing.assert_allclose(found["p_holm"], holm(found["p"]))
    assert found["difference"].iloc[-1] == 0, "the steps before 29 were not asked about with windows of 30"
    assert found["verdict"].tolist()[::2] == ["better", "equivalent"]
    table = streams.past_table(found, bin_s=0.5)
    assert table["pair"].tolist()[:2] == ["mamba − begun 0.5 s before", "mamba − begun 5 s before"]


def test_the_sentence_follows_the_verdicts(disturbed: Path) -> None:
    found = streams.past([disturbed]).assign(verdict=["better", "undecided", "equivalent"])
    assert streams.past_in_words(found, bin_s=1.0) == (
        "- **house**: mamba as a stream is better than itself begun 1 s before; not shown to be better than, nor "
        "equivalent to, itself begun 10 s before; equivalent to itself within 1 point begun 30 s before."
    )


def test_a_profile_that_disturbs_no_stream_says_so() -> None:
    nothing = streams.past([])
    assert "begun anew" in streams.past_in_words(nothing, 1.0)
    assert streams.past_table(nothing, 1.0).iloc[0].eq("–").all()
