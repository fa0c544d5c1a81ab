"""MDCSA: what may depend on what."""

import math

import pytest
import torch
from torch.nn import functional as F
from toy_rooms import windows

from tinyloc.config import MdcsaModel, Training
from tinyloc.errors import InputError
from tinyloc.models.mdcsa import (
    HEARD_SLOPE,
    MDCSA,
    CausalConv1d,
    GatedResidualNetwork,
    attend,
    piecewise,
    sinusoidal_code,
)
from tinyloc.models.registry import build
from tinyloc.training.fit import Batches, fit


def make(**changes):
    torch.manual_seed(0)
    return MDCSA(**{"n_ap": 4, "n_acc": 6, "n_rooms": 3, "d": 16, **changes}).eval()


def inputs(n_windows=5, n_steps=20):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(n_windows, n_steps, n, generator=generator) for n in (4, 6))


@pytest.mark.parametrize("changes", [{}, {"d": 32}, {"kernels": (3,)}, {"kernels": (1, 2, 3, 4), "d": 8}, {"d": 5}])
def test_scores_have_one_row_a_step(changes):
    rssi, acc = inputs()
    assert make(**changes)(rssi, acc).shape == (5, 20, 3)


def test_every_parameter_learns():
    model = make()
    rssi, acc = inputs()
    model.loss(model(rssi, acc), torch.randint(3, (5, 20))).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not still


def test_windows_do_not_see_one_another():
    model = make()
    rssi, acc = inputs()
    torch.testing.assert_close(model(rssi, acc)[2:3], model(rssi[2:3], acc[2:3]), atol=1e-5, rtol=1e-5)


def test_both_modalities_and_the_order_of_steps_matter():
    model = make()
    rssi, acc = inputs()
    scores = model(rssi, acc)
    assert not torch.allclose(scores, model(rssi.flip(0), acc), atol=1e-4)
    assert not torch.allclose(scores, model(rssi, acc.flip(0)), atol=1e-4)
    assert not torch.allclose(scores, model(rssi.flip(1), acc.flip(1)).flip(1), atol=1e-4)


def test_decoding_is_the_viterbi_path():
    model = make()
    scores = 3 * model(*inputs())
    assert model.decode(scores).equal(model.crf.viterbi(scores))


@pytest.mark.parametrize("kernel", [1, 4, 7])
def test_convolution_is_causal_and_is_a_convolution(kernel):
    torch.manual_seed(0)
    layer = CausalConv1d(3, 5, kernel)
    x = torch.randn(2, 10, 3)
    later = x.clone()
    later[:, 6:] += 1
    torch.testing.assert_close(layer(x)[:, :6], layer(later)[:, :6])
    weight = layer.dense.weight.unflatten(1, (kernel, 3)).transpose(1, 2)  # [d_out, d_in, kernel]
    padded = F.pad(x.transpose(1, 2), (kernel - 1, 0))
    torch.testing.assert_close(layer(x), F.conv1d(padded, weight, layer.dense.bias).transpose(1, 2))


def test_attention_of_equal_keys_is_the_mean_and_of_one_sharp_key_its_value():
    value = torch.randn(1, 4, 2)
    even = attend(torch.ones(1, 4, 2), torch.zeros(1, 4, 2), value)
    torch.testing.assert_close(even, value.mean(1, keepdim=True).expand(1, 4, 2))
    key = torch.tensor([[[0.0, 0.0], [1e3, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    sharp = attend(torch.ones(1, 4, 2), key, value)
    torch.testing.assert_close(sharp, value[:, 1:2].expand(1, 4, 2))


def test_closed_gate_lets_nothing_of_the_context_pass():
    torch.manual_seed(0)
    network = GatedResidualNetwork(8, dropout=0.0)
    with torch.no_grad():
        network.gate.bias[8:] = -1e3  # the half of the gated linear unit that goes through the sigmoid
    x, context = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    torch.testing.assert_close(network(x, context), network.norm(x))


def test_position_code_is_the_papers():
    code = sinusoidal_code(30, 16)
    assert code[7, 4].item() == pytest.approx(math.sin(7 / 10_000 ** (4 / 16)), abs=1e-6)
    assert code[7, 5].item() == pytest.approx(math.cos(7 / 10_000 ** (4 / 16)), abs=1e-6)


# ── modalities ───────────────────────────────────────────────────────────────────────────────────
def test_parameters_of_both_modalities_keep_their_names():
    """Checkpoints and the TensorFlow twin go by them."""
    names = {name.removesuffix(".weight").removesuffix(".bias") for name, _ in make(kernels=(4,)).named_parameters()}
    half = {f"blocks.0.{m}.{part}" for m in ("rssi", "acc") for part in ("query_key.dense", "norm")}
    fuse = {f"blocks.0.fuse.{part}" for part in ("fc1", "context", "fc2", "gate", "norm")}
    crf = {"crf.start", "crf.transition", "crf.end"}
    assert names == {"embed_rssi.dense", "embed_acc.dense", "merge", "norm", "head"} | half | fuse | crf


@pytest.mark.parametrize(("modality", "seen"), [("rssi", 0), ("acc", 1)])
def test_one_modality_does_not_look_at_the_other(modality, seen):
    model = make(modalities=[modality])
    both = list(inputs())
    scores = model(*both)
    both[1 - seen] = both[1 - seen] + 1
    assert model(*both).equal(scores)
    both[seen] = both[seen].flip(1)
    assert not torch.allclose(model(*both), scores, atol=1e-4)
    model.loss(scores, torch.randint(3, (5, 20))).backward()
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


def test_without_accelerometer_columns_it_is_rssi_alone():
    rssi, _ = inputs()
    alone, without = make(modalities=["rssi"]), make(n_acc=0)
    assert alone(rssi, rssi[..., :0]).equal(without(rssi, rssi[..., :0]))
    with pytest.raises(InputError, match="no such columns"):
        make(n_acc=0, modalities=["acc"])


# ── the binary head ──────────────────────────────────────────────────────────────────────────────
def test_hall_head_is_beside_the_model_and_not_in_it():
    rssi, acc = inputs()
    assert make(hall=[1])(rssi, acc).equal(make()(rssi, acc))


def test_hall_head_adds_its_cross_entropy_to_what_training_minimises():
    model, room = make(hall=[0, 2], hall_weight=0.7), torch.randint(3, (5, 20))
    rssi, acc = inputs()
    p = torch.sigmoid(model.in_hall(model.features(rssi, acc)))
    in_hall = (room == 0) | (room == 2)
    expected = -torch.where(in_hall, p, 1 - p).log().mean()
    loss, scores = model.objective(rssi, acc, room)
    torch.testing.assert_close(loss, model.loss(scores, room) + 0.7 * expected)
    plain, _ = make().objective(rssi, acc, room)
    torch.testing.assert_close(plain, model.loss(scores, room))


def test_hall_head_learns_in_a_fit():
    config = MdcsaModel(family="mdcsa", d=8, kernels=[1, 3], hall=["attic", "elsewhere"])
    model = build(config, 2, 6, 2, seed=0, rooms=["attic", "cellar"])
    train, test = windows(80, seed=0, noise=0.2), windows(80, seed=1, noise=0.2)
    fit(model, train, test, Training(epochs=12, batch=16, learning_rate=0.05), seed=0)
    batches = Batches.of(test)
    found = model.in_hall(model.features(batches.rssi, batches.acc))[:, -1] > 0
    assert (found == (batches.room[:, -1] == 0)).double().mean() > 0.9


def test_hall_that_the_data_do_not_have_is_named():
    with pytest.raises(InputError, match=r"hall \['landing'\]: the data has no such room; it has attic, cellar"):
        build(MdcsaModel(family="mdcsa", d=8, hall=["landing"]), 2, 6, 2, seed=0, rooms=["attic", "cellar"])


def test_the_likeliest_last_room_need_not_end_the_likeliest_path():
    """Two rooms, two steps: the best path ends in room 0, but two good ones end in room 1."""
    by_path, by_marginal = make(n_rooms=2), make(n_rooms=2, decide="marginal")
    for model in (by_path, by_marginal):
        torch.nn.init.zeros_(model.crf.start)
        torch.nn.init.zeros_(model.crf.end)
        model.crf.transition.data = torch.tensor([[0.4, 0.3], [0.1, 0.2]]).log()
    scores = torch.zeros(1, 2, 2)
    assert by_path.last_room(scores).tolist() == [0] == by_path.decode(scores)[:, -1].tolist()
    # 0.4 + 0.1 against 0.3 + 0.2 is even, and the scores of the last step decide
    scores[0, 1, 1] = 0.1
    assert by_path.last_room(scores).tolist() == [0] and by_marginal.last_room(scores).tolist() == [1]
    assert by_marginal.decode(scores).equal(by_path.decode(scores)), "the path itself is the same"


def test_levels_in_pieces():
    told = piecewise(torch.tensor([[0.0, 0.1, 0.75, 1.3]]), 2)
    assert told.shape == (1, 12)
    assert told[0, :8].reshape(4, 2).tolist() == [[0, 0], [pytest.approx(0.2), 0], [1, 0.5], [1, 1]]
    assert told[0, 8:].tolist() == [0, 1, 1, 1], "heard or silent"


def test_a_gateway_is_heard_from_one_mark_in_127_on():
    """One dB above silence where a range is as wide as can be; between the two there is no level, and here a ramp."""
    levels = torch.tensor([[-0.2, 0.0, 0.5, 1.0, 2.0]]).T / HEARD_SLOPE
    assert piecewise(levels, 1)[:, 1].tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_linear_layer_on_pieces_can_be_any_histogram_at_the_edges_of_its_bins():
    """What it is for: a per-bin log likelihood, which no straight line of the level is."""
    bins, table = 5, torch.tensor([-3.0, 1.0, -2.0, 4.0, 0.5, -1.0])
    weight = torch.cat([table[1:] - table[:-1], torch.zeros(1)])
    edges = torch.arange(bins + 1)[:, None] / bins
    torch.testing.assert_close(table[0] + piecewise(edges, bins) @ weight, table)


def test_the_network_sees_pieces():
    rssi, acc = inputs()
    model = make(rssi_bins=3)
    assert model.embed_rssi.dense.in_features == 4 * 4 and model(rssi, acc).shape == (5, 20, 3)


def test_the_loss_at_the_last_step_has_the_gradient_of_the_marginal():
    model = make(n_rooms=3)
    scores = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(2)).requires_grad_()
    room = torch.randint(3, (4, 6), generator=torch.Generator().manual_seed(3))
    expected = -model.crf.log_marginals(scores)[torch.arange(4), -1, room[:, -1]].mean()
    found = model.last_step_loss(scores, room)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, scores)[0] for loss in (found, expected)))
