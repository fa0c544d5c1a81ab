"""The baselines, and building models by their configuration."""

import numpy as np
import pytest
import torch
from toy_rooms import windows

from tinyloc.config import ForestModel, MambaModel, MdcsaModel, NeighboursModel
from tinyloc.models.baselines import summary
from tinyloc.models.registry import build, parameters

BASELINES = [ForestModel(family="forest", trees=20), NeighboursModel(family="neighbours", k=3)]
NETWORKS = [MdcsaModel(family="mdcsa", d=8), MambaModel(family="mamba", d=8)]


@pytest.mark.parametrize("config", BASELINES, ids=lambda c: c.family)
def test_baseline_learns_the_toy_rooms(config):
    train, test = windows(80, seed=0), windows(80, seed=1)
    found = build(config, 2, 6, 2, seed=0).fit(train).predict(test)
    assert (found == test.target).mean() > 0.9


@pytest.mark.parametrize("config", BASELINES, ids=lambda c: c.family)
def test_baseline_is_the_same_with_the_same_seed(config):
    train, test = windows(30, noise=1.0), windows(60, seed=1, noise=1.0)
    one, two = (build(config, 2, 6, 2, seed=3).fit(train).predict(test) for _ in range(2))
    assert (one == two).all()


def test_neighbours_do_not_look_at_the_accelerometer():
    train, test = windows(40), windows(40, seed=1)
    model = build(BASELINES[1], 2, 6, 2, seed=0).fit(train)
    expected = model.predict(test)
    test.acc[:] = 7
    assert (model.predict(test) == expected).all()


def test_summary_by_hand():
    x = np.array([[[1.0, 10.0], [3.0, 10.0]]])
    assert summary(x).tolist() == [[2.0, 10.0, 1.0, 0.0]]


@pytest.mark.parametrize("config", NETWORKS, ids=lambda c: c.family)
def test_network_of_a_seed_is_always_the_same(config):
    one, two, other = (build(config, 2, 6, 2, seed) for seed in (5, 5, 6))
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (one, two, other)]
    assert weights[0].equal(weights[1]) and not weights[0].equal(weights[2])


def test_parameters_of_a_small_mamba_counted_by_hand():
    d, n_ap, n_acc, rooms, states, taps, channels, rank = 8, 2, 6, 3, 4, 4, 16, 1
    block = (
        d * 2 * channels  # in_proj
        + (taps + 1) * channels  # convolution
        + channels * (rank + 2 * states)  # x_proj
        + (rank + 1) * channels  # dt_proj
        + channels * states  # A
        + channels  # D
        + channels * d  # out_proj
    )
    expected = (n_ap + n_acc + 1) * d + d + block + d + (d + 1) * rooms
    config = MambaModel(family="mamba", d=d, n_state=states)
    assert parameters(build(config, n_ap, n_acc, rooms, seed=0)) == expected
