"""How long a Mamba remembers: the half-life must be what its states really do."""

import numpy as np
import pytest
import torch
import toy_rooms

from tinyloc.config import Features, MambaModel, MdcsaModel
from tinyloc.data.windows import Scaler
from tinyloc.errors import InputError
from tinyloc.models import registry
from tinyloc.training.checkpoint import Trained
from tinyloc.training.forgetting import half_lives

SHAPE = dict(n_ap=2, n_acc=6, n_rooms=2, seed=0)


def trained(config, model=None) -> Trained:
    model = model or registry.build(config, **SHAPE)
    scaler = Scaler.fit([toy_rooms.steps("a")])
    return Trained(model, config, scaler, toy_rooms.GATEWAYS, toy_rooms.ROOMS, Features(), length=5)


def test_with_a_constant_step_size_the_half_life_is_the_textbooks():
    config = MambaModel(family="mamba", d=4, n_state=3, layers=2)
    model = registry.build(config, **SHAPE)
    dt = 0.25
    with torch.no_grad():
        for layer in model.layers:
            layer.block.dt_proj.weight.zero_()
            layer.block.dt_proj.bias.fill_(np.log(np.expm1(dt)))  # softplus of it is dt
    found = half_lives(trained(config, model), [toy_rooms.steps("b"), toy_rooms.steps("c")])
    expected = np.broadcast_to(np.log(2) / (dt * np.arange(1, 4)), (8, 3))
    assert len(found) == 2
    for layer in found:
        np.testing.assert_allclose(layer, expected, rtol=1e-5)


def test_a_state_that_is_fed_nothing_falls_to_half_in_its_half_life():
    """The recurrence itself, on real step sizes: what is left of a state of one after every step."""
    config = MambaModel(family="mamba", d=4, n_state=3)
    of = trained(config)
    steps = toy_rooms.steps("b", n_segments=1, length=50)
    seen = []
    block = of.model.layers[0].block
    hook = block.register_forward_pre_hook(lambda _, inputs: seen.append(block.decay_rates(inputs[0])[0]))
    (lives,) = half_lives(of, [steps])
    hook.remove()
    left = torch.exp(-seen[0].sum(0)).detach().numpy()
    np.testing.assert_allclose(left, 0.5 ** (len(steps) / lives), rtol=1e-4)


def test_other_models_have_no_half_lives():
    config = MdcsaModel(family="mdcsa", d=4)
    with pytest.raises(InputError, match="Mamba"):
        half_lives(trained(config), [toy_rooms.steps("b")])
