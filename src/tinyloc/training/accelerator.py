"""Where training computes: CUDA in mixed precision where it is there, and the CPU otherwise."""

import torch

Generators = dict[str, torch.Tensor]
"""States of the generators that dropout draws from, by kind of device."""


def chosen(setting: str) -> torch.device:
    """setting: `auto` or `cpu`, as in `config.Training.device`."""
    return torch.device("cuda" if setting == "auto" and torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context in which a network's products are computed in bfloat16 where the device has it, else in float32.

    bfloat16 has float32's range, so that gradients need no loss scaling (D. Kalamkar et al., "A study of BFLOAT16
    for deep learning training", 2019).
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" and torch.cuda.is_bf16_supported())


def generator_states(device: torch.device) -> Generators:
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def restore_generators(states: Generators, device: torch.device) -> None:
    """Go on drawing where the states were taken; a device that had none there goes on as it is."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
