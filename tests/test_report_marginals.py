"""Where a teacher's CRF changes its mind: the window that is shown, and the counts in words."""

import numpy as np
import toy_rooms

from tinyloc.config import Features, MdcsaModel, Windows
from tinyloc.data.windows import Scaler
from tinyloc.models.registry import build
from tinyloc.report import marginals
from tinyloc.training import checkpoint
from tinyloc.training.checkpoint import Trained


def test_a_teacher_is_heard_step_by_step_and_with_its_crf(tmp_path):
    config, fold = MdcsaModel(family="mdcsa", d=8, kernels=[2]), toy_rooms.fold()
    model = build(config, len(toy_rooms.GATEWAYS), 6, len(toy_rooms.ROOMS), seed=4)
    trained = Trained(model, config, Scaler.fit(fold.train), toy_rooms.GATEWAYS, toy_rooms.ROOMS, Features(), length=5)
    checkpoint.save(tmp_path / "model.pt", trained)
    heard = marginals.hear("toy", fold, Windows(length=5), tmp_path / "model.pt")
    for probability in (heard.by_step, heard.by_window):
        assert probability.shape == (len(heard.windows), 5, 2)
        np.testing.assert_allclose(probability.sum(-1), 1, atol=1e-5)
    assert heard.difference.max() > 0


def heard(dataset, by_step, by_window):
    """What is said of the first of two rooms, [N, T]."""
    both = (np.stack([p, 1 - np.array(p)], -1) for p in (by_step, by_window))
    given = dict(zip(("by_step", "by_window"), both, strict=True))
    return marginals.Heard(dataset=dataset, fold="1", trained=None, windows=None, told=None, **given)


LITTLE = heard("shib", [[0.9, 0.9], [0.9, 0.6]], [[0.9, 0.9], [0.9, 0.9]])
TURNED = heard("house", [[0.9, 0.4], [0.9, 0.48]], [[0.9, 0.6], [0.9, 0.52]])


def test_a_window_in_which_another_room_becomes_the_likeliest_goes_before_a_larger_difference():
    assert marginals.most_changed([LITTLE, TURNED]) == (TURNED, 0)
    assert marginals.most_changed([LITTLE]) == (LITTLE, 1)


def test_the_sentence_counts_all_folds_of_a_data_set_together():
    assert marginals.in_words([LITTLE, TURNED, TURNED]).splitlines() == [
        "- **shib**: of 4 steps in test windows the CRF makes another room the likeliest at none. The most that it "
        "changes a probability by is 0.300.",
        "- **house**: of 8 steps in test windows the CRF makes another room the likeliest at 4 (50.0 %). The most that "
        "it changes a probability by is 0.200.",
    ]
