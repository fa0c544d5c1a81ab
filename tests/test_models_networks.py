"""What every network keeps to, whatever its family, and the families that a practitioner would try first."""

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F
from toy_rooms import GATEWAYS, ROOMS, fold

from tinyloc.config import (
    CnnModel,
    Config,
    Features,
    GruModel,
    LstmModel,
    MambaModel,
    MdcsaModel,
    MlpModel,
    Training,
    Windows,
    profile,
)
from tinyloc.models.feedforward import CNN, MLP
from tinyloc.models.registry import build, parameters
from tinyloc.training import checkpoint
from tinyloc.training.run import train_fold

N_AP, N_ACC, N_ROOMS = 4, 6, 4
PLAIN = [MlpModel(family="mlp"), CnnModel(family="cnn"), GruModel(family="gru"), LstmModel(family="lstm")]
LARGE = [
    MlpModel(family="mlp", layers=3, context=5),
    GruModel(family="gru", layers=2, dropout=0.1),
    LstmModel(family="lstm", layers=2, hidden=7),
    MambaModel(family="mamba", d=7, layers=2, n_state=3, dropout=0.1),
]
NETWORKS = [*PLAIN, *LARGE, MambaModel(family="mamba"), MdcsaModel(family="mdcsa", d=16)]
network = pytest.mark.parametrize("config", NETWORKS, ids=lambda c: f"{c.family}{getattr(c, 'layers', '')}")
plain = pytest.mark.parametrize("config", PLAIN, ids=lambda c: c.family)


def make(config, n_acc=N_ACC):
    return build(config, N_AP, n_acc, N_ROOMS, seed=0).eval()


def inputs(n_acc=N_ACC, n_windows=3, n_steps=20):
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.rand(n_windows, n_steps, n, generator=generator) for n in (N_AP, n_acc))


@network
@pytest.mark.parametrize("n_acc", [N_ACC, 0])
def test_scores_have_one_row_a_step_and_every_parameter_learns(config, n_acc):
    model, (rssi, acc) = make(config, n_acc), inputs(n_acc)
    loss, scores = model.objective(rssi, acc, torch.randint(N_ROOMS, (3, 20)))
    assert scores.shape == (3, 20, N_ROOMS) and model.decode(scores).shape == (3, 20)
    loss.backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not still


@network
def test_only_a_causal_network_gives_answers_that_no_later_step_changes(config):
    model, (rssi, acc) = make(config), inputs()
    before = model(rssi, acc)[:, :12]
    rssi[:, 12:], acc[:, 12:] = 0, 1
    assert torch.allclose(model(rssi, acc)[:, :12], before, atol=1e-6) == model.causal


@pytest.mark.parametrize("student", ["mamba", "student-8", "student"])
@pytest.mark.parametrize("family", ["mlp", "cnn", "gru", "lstm"])
def test_the_paper_profile_has_plain_networks_of_every_students_size(student, family):
    models = profile("paper").models
    size = parameters(make(models[student]))
    sizes = [parameters(make(model)) for model in models.values() if model.family == family]
    assert any(0.7 < other / size < 1.3 for other in sizes), (size, sizes)


@plain
def test_a_plain_network_learns_the_toy_rooms_and_is_read_back(config, tmp_path):
    training = Training(epochs=15, batch=8, learning_rate=0.05)
    config = config.model_copy(update={"training": training, "train_length": 12})
    rows = train_fold(config, fold(), Windows(length=6), Features(), GATEWAYS, ROOMS, seed=0, out=tmp_path)
    assert (rows.y_true == rows.y_pred).mean() > 0.9
    trained = checkpoint.load(tmp_path / "model.pt")
    assert trained.config == config and rows.parameters == parameters(trained.model)


def test_perceptron_at_the_last_step_is_one_on_the_flattened_window():
    model, (rssi, acc) = MLP(N_AP, N_ACC, N_ROOMS, hidden=8, context=20, layers=2), inputs()
    flat = torch.cat([rssi, acc], -1).flatten(1)
    hidden = F.relu(F.linear(flat, model.first.dense.weight, model.first.dense.bias))
    expected = model.head(F.relu(model.hidden[0](hidden)))
    torch.testing.assert_close(model(rssi, acc)[:, -1], expected)


def test_convolutions_see_a_whole_window_and_no_more():
    model = CNN(N_AP, N_ACC, N_ROOMS).eval()
    rssi, acc = inputs(n_steps=40)
    rssi.requires_grad_()
    model(rssi, acc)[:, 30].sum().backward()
    seen = rssi.grad.abs().amax((0, 2)).nonzero()[:, 0]
    assert seen.tolist() == list(range(30 - 21, 31))


def test_convolutional_layer_is_pytorchs_dilated_convolution():
    layer, x = CNN(N_AP, N_ACC, N_ROOMS).layers[2], torch.randn(2, 30, 16)
    weight = layer.dense.weight.unflatten(1, (4, 16)).transpose(1, 2)  # [d_out, d_in, kernel]
    padded = F.pad(x.transpose(1, 2), (12, 0))
    expected = F.conv1d(padded, weight, layer.dense.bias, dilation=4).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)


STUDY = {"name": "x", "seeds": [0], "datasets": {"house": {"kind": "house"}}}


def test_a_network_that_has_no_export_is_refused_one():
    models = {"g": {"family": "gru"}}
    with pytest.raises(ValidationError, match="'g' is of family gru; mdcsa and mamba export"):
        Config(**STUDY, models=models, exports=[{"model": "g", "kinds": ["float32"]}])


@pytest.mark.parametrize("modalities", [[], ["acc", "rssi"], ["rssi", "rssi"]])
def test_modalities_come_once_and_in_order(modalities):
    with pytest.raises(ValidationError, match="give \\[rssi\\], \\[acc\\] or \\[rssi, acc\\]"):
        MdcsaModel(family="mdcsa", modalities=modalities)
