"""What augmentation may change of a window, and what it must leave alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyloc.config import Training
from tinyloc.data.features import ACC_NAMES
from tinyloc.training.augment import augmented, heard_alone, near_change, played

B, T, N_AP, N_ACC = 400, 20, 3, 2


def batch():
    """Every value of a window says which window and step it is of; the third gateway is silent at even steps."""
    at = torch.arange(B * T).reshape(B, T)
    rssi = (0.3 + 0.4 * at / (B * T))[:, :, None].repeat(1, 1, N_AP)
    rssi[:, ::2, 2] = 0
    return rssi, at[:, :, None].repeat(1, 1, N_ACC).float(), at


def changed(**changes):
    torch.manual_seed(0)
    return augmented(*batch(), Training(**changes))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(n_steps=st.integers(1, 30), slowest=st.floats(1, 40), backwards=st.booleans(), seed=st.integers(0, 99))
def test_a_window_is_slowed_and_never_torn(n_steps, slowest, backwards, seed):
    torch.manual_seed(seed)
    order, turned = played(torch.zeros(50, n_steps).long(), slowest, float(backwards))
    assert turned.all() == backwards
    assert order.min() >= 0 and order.max() < n_steps
    forwards = order.flip(1) if backwards else order
    pace = forwards.diff(dim=1)
    assert ((pace == 0) | (pace == 1)).all()
    length = forwards[:, -1] - forwards[:, 0] + 1
    assert (length >= int(n_steps / slowest)).all()


def test_paces_reach_from_the_walks_own_to_the_slowest_and_any_part_of_a_window_is_played():
    torch.manual_seed(0)
    order, _ = played(torch.zeros(2000, T).long(), 4.0, 0.0)
    length = order[:, -1] - order[:, 0] + 1
    assert length.min() == T // 4 and length.max() >= T - 1
    shortest = order[length <= T // 4 + 1]
    assert shortest.min() == 0 and shortest.max() == T - 1
    # log-uniform: as often slowed by less than a half as by more, which half is 2 of 1 … 4
    assert (length > T / 2).double().mean().item() == pytest.approx(0.5, abs=0.06)


def test_doors_are_passed_at_the_walks_own_pace():
    room = torch.zeros(2000, T).long()
    room[:, 8:] = 1
    near = near_change(room, 2)
    assert near[0].nonzero().flatten().tolist() == [6, 7, 8, 9]
    torch.manual_seed(0)
    order, _ = played(room, 4.0, 0.0, unslowed=2)
    held = torch.stack([(order == step).sum(1) for step in range(T)], 1)
    assert (held[:, 6:10] <= 1).all() and (held[:, 1:6].amax(1) > 1).double().mean() > 0.5
    assert not near_change(room, 0).any() and not near_change(torch.zeros(3, T), 2).any()
    assert near_change(torch.tensor([[0, 1, 2]]), 1).tolist() == [[True, True, True]]
    assert near_change(torch.tensor([[0, 1, 1, 1]]), 2).tolist() == [[True, True, True, False]]


def test_what_is_seen_and_the_room_stay_together():
    rssi, acc, room = changed(slowest=4.0)
    assert acc.equal(room[:, :, None].expand(-1, -1, N_ACC).float())
    assert ((rssi[:, :, 2] == 0) == (room % T % 2 == 0)).all()
    assert (room // T == torch.arange(B)[:, None]).all(), "a window holds steps of another"


def test_backwards_is_backwards():
    (rssi, acc, room), after = batch(), changed(reversed=1.0)
    assert after[0].equal(rssi.flip(1)) and after[1].equal(acc.flip(1))
    # whoever comes into a room during a step is there at its end, and on the way back has left it by then
    assert after[2][:, :-1].equal(room.flip(1)[:, 1:]) and after[2][:, -1].equal(room[:, 0])


@pytest.mark.parametrize(("key", "same_at_all_steps"), [("rssi_shift", True), ("rssi_noise", False)])
def test_levels_move_by_the_strength_and_silence_stays(key, same_at_all_steps):
    before, after = batch(), changed(**{key: 0.02})
    assert (after[0][before[0] == 0] == 0).all()
    moved = (after[0] - before[0])[:, 1::2]  # where all are heard
    assert moved.std().item() == pytest.approx(0.02, rel=0.1)
    assert (moved.std(1).max().item() < 1e-6) == same_at_all_steps
    gateways = torch.corrcoef(moved[:, 0].T) - torch.eye(N_AP)
    assert gateways.abs().max() < 0.2, "every gateway moves by itself"
    assert after[1].equal(before[1]) and after[2].equal(before[2])


def test_what_falls_below_the_weakest_is_silent():
    rssi = torch.tensor([[[0.0], [0.1], [0.5]]])
    assert heard_alone(rssi, torch.tensor(-0.2)).flatten().tolist() == pytest.approx([0, 0, 0.3])


def test_the_accelerometer_moves_alone():
    before, after = batch(), changed(acc_shift=0.3)
    moved = after[1] - before[1]
    assert moved.std().item() == pytest.approx(0.3, rel=0.1) and moved.std(1).max() < 1e-2
    assert after[0].equal(before[0]) and after[2].equal(before[2])


def test_a_posture_moves_the_means_and_not_the_motion():
    acc = torch.zeros(B, T, len(ACC_NAMES))
    torch.manual_seed(0)
    _, moved, _ = augmented(batch()[0], acc, batch()[2], Training(posture_shift=0.5))
    assert moved[..., :3].std().item() == pytest.approx(0.5, rel=0.1) and moved.std(1).max() < 1e-6
    assert (moved[..., 3:] == 0).all()
    without = augmented(batch()[0], acc[..., :0], batch()[2], Training(posture_shift=0.5))[1]
    assert without.shape == (B, T, 0), "data without an accelerometer"


def test_the_studys_recipe_changes_nothing():
    assert all(a.equal(b) for a, b in zip(batch(), changed(), strict=True))
