"""Quantisation-aware training: the exported graph itself is trained, with its rounding in place.

What is trained are the constants of the float graph, after all merging of layers (but for those that cut levels in
pieces), and the forward pass rounds them and every activation exactly as `quantise` will: the same rulers, the same
scales by channel. Gradients go straight through (Jacob et al., CVPR 2018, section 3). The rulers of activations stay
those of the calibration, the CRF that of the original.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tinyloc.config import Aware
from tinyloc.data.windows import Windows
from tinyloc.export.flatbuffer import NO_TENSOR, add_buffer, graph, operator_name, schema
from tinyloc.export.scheme import INT8, WEIGHT_AXIS, Ranges, Ruler, Scheme, is_whole, weight_scales
from tinyloc.export.simulation import Simulation, fake_quantise
from tinyloc.training.checkpoint import Trained
from tinyloc.training.distil import all_scores, divergence

_SUM = 2.0**31


@dataclass(frozen=True)
class _Layer:
    """An operator with weights: tensor indices, and the scale of its input."""

    weight: int
    bias: int | None
    axis: int
    input_scale: float


class FakeQuantised(nn.Module):
    """A float graph as the int8 model that `quantise` makes of it, with gradients to its constants."""

    def __init__(self, model: schema.ModelT, ranges: Ranges) -> None:
        super().__init__()
        self._model, scheme = model, Scheme(model)
        rulers = {i: scheme.ruler(i, ranges, INT8) for i in scheme.types(INT8)}
        self._simulation = Simulation(model, rulers)
        self._layers, operands = [], set()
        for operator in graph(model).operators:
            axis = WEIGHT_AXIS.get(operator_name(model, operator))
            inputs = [int(t) for t in operator.inputs]
            if axis is None:
                operands |= {t for t in inputs if self._is_real(t)}
            else:
                bias = inputs[2] if len(inputs) > 2 and inputs[2] != NO_TENSOR else None
                self._layers.append(_Layer(inputs[1], bias, axis, rulers[inputs[0]].scale))
        self._operands = sorted(operands)
        constants = self._simulation.constants
        learnt: dict[int, bool] = dict.fromkeys(operands, True)
        for layer in self._layers:  # pieces of a range are cut where they are cut
            parts = (t for t in (layer.weight, layer.bias) if t is not None)
            learnt |= dict.fromkeys(parts, not is_whole(constants[layer.weight].numpy()))
        self.values = nn.ParameterDict(
            {str(t): nn.Parameter(constants[t].clone(), requires_grad=learnt[t]) for t in sorted(learnt)}
        )

    def forward(self, rssi: torch.Tensor, acc: torch.Tensor) -> torch.Tensor:
        """rssi [B, T, n_ap] and acc [B, T, n_acc], scaled -> scores [B, T, n_rooms]."""
        return self._simulation.run({"rssi": rssi, "acc": acc}, *self._rounded())["scores"][:, 0]

    def float_model(self) -> schema.ModelT:
        """The graph with the constants as they are now, not rounded: what `quantise` takes."""
        model = copy.deepcopy(self._model)
        for index, values in self.values.items():
            graph(model).tensors[int(index)].buffer = add_buffer(model, values.detach().numpy())
        return model

    def _is_real(self, index: int) -> bool:
        known = self._simulation.constants
        return index in known and known[index].is_floating_point()

    def _rounded(self) -> tuple[dict[int, torch.Tensor], dict[int, torch.Tensor]]:
        """The constants as they are rounded, and the scales of those that are multiplied, by tensor index."""
        found, scales = {}, {}
        for layer in self._layers:
            weight, bias = self.values[str(layer.weight)], self.values[str(layer.bias)] if layer.bias else None
            scale = torch.from_numpy(
                weight_scales(
                    weight.detach().numpy(),
                    layer.axis,
                    None if bias is None else bias.detach().numpy(),
                    layer.input_scale,
                )
            )
            by_channel = [-1 if i == layer.axis else 1 for i in range(weight.ndim)]
            found[layer.weight] = fake_quantise(weight, scale.view(by_channel), -127, 127)
            scales[layer.weight] = scale.double()
            if bias is not None:
                found[layer.bias] = fake_quantise(bias, scale * np.float32(layer.input_scale), -_SUM, _SUM)
        for index in self._operands:
            values = self.values[str(index)]
            ruler = Ruler.over(float(values.detach().min()), float(values.detach().max()), INT8)
            found[index] = fake_quantise(values, ruler.scale, -128 - ruler.zero_point, 127 - ruler.zero_point)
            scales[index] = torch.tensor([ruler.scale], dtype=torch.float64)
        return found, scales


def train(
    model: schema.ModelT, ranges: Ranges, trained: Trained, fit: Windows, validation: Windows, how: Aware, seed: int
) -> schema.ModelT:
    """The float graph with constants that suit int8: of all epochs those with the least validation loss.

    fit, validation: unscaled windows. The loss is that of the original training; `how.alpha` of it is distilled from
    the float model's own scores. Epoch 0, the constants as they came, is among the candidates.
    """
    net = FakeQuantised(model, ranges)
    rssi, acc, room, soft = _tensors(trained, fit)
    held_out = _tensors(trained, validation)
    optimiser = torch.optim.RAdam(net.parameters(), lr=how.learning_rate)
    order = torch.Generator().manual_seed(seed)
    best, kept = _loss(net, trained, held_out, how), copy.deepcopy(net.state_dict())
    for _ in range(how.epochs):
        for rows in torch.randperm(len(room), generator=order).split(how.batch):
            optimiser.zero_grad()
            _mixed(net(rssi[rows], acc[rows]), soft[rows], room[rows], trained, how).backward()
            optimiser.step()
        now = _loss(net, trained, held_out, how)
        if now < best:
            best, kept = now, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    return net.float_model()


def _tensors(trained: Trained, windows: Windows) -> tuple[torch.Tensor, ...]:
    """rssi, acc, room and the float model's scores."""
    scaled = trained.scaler.transform(windows)
    rssi, acc, room = (torch.from_numpy(v) for v in (scaled.rssi, scaled.acc, scaled.room))
    return rssi, acc, room, all_scores(trained.model, rssi, acc)


def _mixed(scores: torch.Tensor, soft: torch.Tensor, room: torch.Tensor, trained: Trained, how: Aware) -> torch.Tensor:
    hard = trained.model.loss(scores, room)
    if not how.alpha:
        return hard
    expected, given = (F.log_softmax(s / how.temperature, -1) for s in (soft, scores))
    return (1 - how.alpha) * hard + how.alpha * how.temperature**2 * divergence(expected, given)


@torch.no_grad()
def _loss(net: FakeQuantised, trained: Trained, data: tuple[torch.Tensor, ...], how: Aware) -> float:
    rssi, acc, room, soft = data
    scores = torch.cat([net(r, a) for r, a in zip(rssi.split(256), acc.split(256), strict=True)])
    return float(_mixed(scores, soft, room, trained, how))
