"""The baselines, and building models by their configuration."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from toy_rooms import windows

from tinyloc.config import BoostingModel, ForestModel, HmmModel, MambaModel, MdcsaModel, NeighboursModel
from tinyloc.errors import InputError
from tinyloc.models.baselines import steps, summary
from tinyloc.models.hmm import HMM
from tinyloc.models.registry import build, parameters

OPTIONS = ("features", "emission")
BASELINES = [
    ForestModel(family="forest", trees=20),
    NeighboursModel(family="neighbours", k=3),
    ForestModel(family="forest", trees=100, features="steps"),
    BoostingModel(family="boosting", iterations=10),
    HmmModel(family="hmm"),
    HmmModel(family="hmm", emission="gaussian"),
]
baseline = pytest.mark.parametrize(
    "config", BASELINES, ids=lambda c: "-".join(filter(None, [c.family, *(getattr(c, k, "") for k in OPTIONS)]))
)
NETWORKS = [MdcsaModel(family="mdcsa", d=8), MambaModel(family="mamba", d=8)]


@baseline
def test_baseline_learns_the_toy_rooms(config):
    train, test = windows(80, seed=0), windows(80, seed=1)
    found = build(config, 2, 6, 2, seed=0).fit(train).predict(test)
    assert (found == test.target).mean() > 0.9


@baseline
def test_baseline_is_the_same_with_the_same_seed(config):
    train, test = windows(30, noise=1.0), windows(60, seed=1, noise=1.0)
    one, two = (build(config, 2, 6, 2, seed=3).fit(train).predict(test) for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("config", [BASELINES[1], *BASELINES[-2:]], ids=lambda c: c.family)
def test_neighbours_and_hmm_do_not_look_at_the_accelerometer(config):
    train, test = windows(40), windows(40, seed=1)
    model = build(config, 2, 6, 2, seed=0).fit(train)
    expected = model.predict(test)
    test.acc[:] = 7
    assert (model.predict(test) == expected).all()


@baseline
def test_baseline_needs_no_accelerometer(config):
    train, test = (replace(w, acc=w.acc[..., :0]) for w in (windows(80, seed=0), windows(80, seed=1)))
    found = build(config, 2, 0, 2, seed=0).fit(train).predict(test)
    assert (found == test.target).mean() > 0.9


def test_more_neighbours_than_windows():
    with pytest.raises(InputError, match="k 21, but there are 20 training windows"):
        build(NeighboursModel(family="neighbours", k=21), 2, 6, 2, seed=0).fit(windows(20))


def test_features_by_hand():
    x = np.array([[[1.0, 10.0], [3.0, 10.0]]])
    assert summary(x).tolist() == [[2.0, 10.0, 1.0, 0.0]]
    assert steps(x).tolist() == [[1.0, 10.0, 3.0, 10.0]]


def test_the_order_of_steps_is_seen_by_a_forest_on_all_steps_alone():
    """The room at the last step is the one whose gateway was loud last; mean and deviation do not say which."""
    rng = np.random.default_rng(0)
    room = rng.integers(2, size=200)[:, None] ^ (np.arange(6) < 3)
    rssi, acc = np.stack([room, 1 - room], -1).astype(np.float32), np.empty((200, 6, 0), np.float32)
    example = replace(windows(200), rssi=rssi, acc=acc, room=room)

    def right(features):
        config = ForestModel(family="forest", trees=20, features=features)
        return (build(config, 2, 0, 2, seed=0).fit(example).predict(example) == example.target).mean()

    assert right("steps") == 1 and right("summary") < 0.7


# ── hidden Markov model ──────────────────────────────────────────────────────────────────────────
def filtered_by_enumeration(model, rssi):
    """p(room at step t | rssi up to t) over all paths, by the definition: rssi [T, n_ap] -> [T, R]."""
    emission = np.exp(model.emission.log_likelihood(rssi))
    belief = np.zeros_like(emission)
    for t in range(len(rssi)):
        for path in product(range(model.n_rooms), repeat=t + 1):
            moves = [model.transition[a, b] for a, b in pairwise(path)]
            weight = model.start[path[0]] * np.prod(moves) * np.prod([emission[i, r] for i, r in enumerate(path)])
            belief[t, path[-1]] += weight
    return belief / belief.sum(1, keepdims=True)


@pytest.mark.parametrize("emission", ["histogram", "gaussian"])
def test_filter_is_bayes_over_all_paths(emission):
    model = HMM(3, emission).fit(windows(30, noise=1.0))  # nobody was in room 2, yet its probability is not 0
    some = windows(2, length=4, seed=5, noise=1.0)
    for found, rssi in zip(model.filtered(some), some.rssi, strict=True):
        np.testing.assert_allclose(found, filtered_by_enumeration(model, rssi.astype(float)), atol=1e-9)


def test_counts_of_a_hidden_markov_model_by_hand():
    example = replace(
        windows(1, length=4),
        rssi=np.array([[[0.0], [0.0], [0.3], [1.0]]], np.float32),
        room=np.array([[0, 0, 1, 1]]),
    )
    model = HMM(2, bins=2).fit(example)
    np.testing.assert_allclose(model.start, [2 / 3, 1 / 3])
    np.testing.assert_allclose(model.transition, [[2 / 4, 2 / 4], [1 / 3, 2 / 3]])
    # symbols: silent, (0, 0.5], (0.5, 1]; room 0 was silent twice
    expected = [[3 / 5, 1 / 5, 1 / 5], [1 / 5, 2 / 5, 2 / 5]]
    np.testing.assert_allclose(np.exp(model.emission.log_probability[:, 0]), expected)


@pytest.mark.parametrize("emission", ["histogram", "gaussian"])
def test_silence_says_where_one_is(emission):
    """Both rooms hear the gateway alike when they hear it at all."""
    rng = np.random.default_rng(0)
    room = np.repeat(rng.integers(2, size=100)[:, None], 6, 1)
    silent = rng.random((100, 6)) < np.where(room, 0.8, 0.1)
    rssi = np.where(silent, 0, 0.5 + 0.1 * rng.standard_normal((100, 6)))[..., None].astype(np.float32)
    example = replace(windows(100), rssi=rssi, room=room)
    assert (HMM(2, emission).fit(example).predict(example) == example.target).mean() > 0.95


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
