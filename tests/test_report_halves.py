"""A Mamba that reads some of its states: what is not read has no say, and the words follow the test."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import toy_rooms

from tinyloc.config import Features, MambaModel, Windows
from tinyloc.data.windows import Scaler
from tinyloc.evaluation.statistics import Units
from tinyloc.models.registry import build
from tinyloc.models.scan import selective_scan_loop
from tinyloc.report import halves
from tinyloc.training import checkpoint
from tinyloc.training.checkpoint import Trained


def reading(keep):
    """A scan of every state by itself, which is another way than the chapter's."""

    def scan(x, dt, A, B, C, D):
        alone = partial(selective_scan_loop, x, dt, D=torch.zeros_like(D))
        states = range(A.shape[1])
        read = [alone(A[:, [n]], B[..., [n]], C[..., [n]]) * keep[:, n] for n in states]
        return sum(read) + D * x

    return scan


@pytest.fixture
def folder(tmp_path):
    config = MambaModel(family="mamba", d=4, n_state=4, layers=2)
    model = build(config, len(toy_rooms.GATEWAYS), 6, len(toy_rooms.ROOMS), seed=1)
    fold = toy_rooms.fold()
    trained = Trained(model, config, Scaler.fit(fold.train), toy_rooms.GATEWAYS, toy_rooms.ROOMS, Features(), length=5)
    checkpoint.save(tmp_path / "fold-c" / "model.pt", trained)
    return tmp_path


def test_each_part_is_asked_for_the_states_that_it_is_named_after(folder):
    masks = []

    def kept(mask):
        masks.append(mask)
        return reading(mask)

    found = halves.ask(folder, [toy_rooms.fold()], Windows(length=5), kept)
    whole, slow, fast, none = (torch.stack(pair) for pair in zip(masks[::2], masks[1::2], strict=True))
    assert list(found) == [halves.ALL, halves.SLOW, halves.FAST, halves.NONE]
    assert whole.all() and not none.any() and (slow ^ fast).all() and slow.sum() == fast.sum()
    rows = {units.counts.sum() for units in found.values()}
    assert len(rows) == 1 and found[halves.ALL].names == ("c",)


def test_with_all_states_it_is_the_model_and_with_none_it_is_one_without_a_memory(folder, monkeypatch):
    answered = []
    monkeypatch.setattr(halves, "predict_steps", lambda *given: answered.append(predict(*given)) or answered[-1])
    halves.ask(folder, [toy_rooms.fold()], Windows(length=5), reading)
    trained = checkpoint.load(folder / "fold-c" / "model.pt")
    given = [toy_rooms.fold().test, Windows(length=5)]
    np.testing.assert_allclose(answered[0].scores, predict(trained, *given).scores, atol=1e-5)
    for layer in trained.model.layers:
        block = layer.block
        with torch.no_grad():
            block.x_proj.weight[-block.n_state :] = 0  # no C, so that no state is read
    np.testing.assert_allclose(answered[-1].scores, predict(trained, *given).scores, atol=1e-5)
    assert np.abs(answered[1].scores - answered[2].scores).max() > 1e-4


def predict(*given):
    from tinyloc.training.predict import predict_steps

    return predict_steps(*given)


def units(right):
    """Eight recordings of a house with the given share of right answers in each."""
    counts = np.array([[[r, 100 - r], [100 - r, r]] for r in right])
    return Units(counts[None], tuple(f"living-{i}" for i in range(len(right))), pooled=True)


@pytest.mark.parametrize(
    "fast, slow, said",
    [
        (
            [95] * 8,
            [70] * 8,
            "+25.0 points (95 % interval +25.0 to +25.0, p 0.008): the half that reacts matters more.",
        ),
        ([70] * 8, [95] * 8, "the half that remembers matters more."),
        ([90] * 8, [90] * 8, "the halves are equivalent within 1 point."),
        ([90, 60] * 4, [60, 90] * 4, "which half matters more is undecided."),
    ],
)
def test_the_sentence_follows_the_test(fast, slow, said):
    parts = {
        halves.ALL: units([95] * 8),
        halves.SLOW: units(slow),
        halves.FAST: units(fast),
        halves.NONE: units([50] * 8),
    }
    text = halves.in_words({"house": parts})
    assert text.endswith(said) and text.startswith("- **house** (macro F1, 8 units): with all states 95.0 %,")


def test_a_single_unit_is_judged_by_nothing():
    one = units([90])
    text = halves.in_words({"csv": dict.fromkeys(halves.PARTS, replace(one))})
    assert text.endswith("Fast minus slow is 0.0 points, and with a single unit there is nothing to judge that by.")
