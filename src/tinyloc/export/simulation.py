"""A `.tflite` model in PyTorch: many inputs at once, every tensor in sight, and gradients to the constants.

A float model is computed as it is. A model of integers is *simulated*: its constants are the real numbers that their
integers stand for, and what an operator gives is rounded onto its tensor's ruler ("fake quantisation", Jacob et al.,
CVPR 2018, section 3). Sums of products in int8 are rounded twice, as TFLite Micro's kernels do it: rounded once, one
in 300 of them would be off by a mark, and that adds up along the graph. What is left is rare: one in 100,000 behind an
ADD or a SOFTMAX. The gradient goes straight through the rounding, and is 0 for what was clipped (Y. Bengio et al.,
2013).
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.func import vmap
from torch.nn import functional as F

from tinyloc.errors import InputError
from tinyloc.export.flatbuffer import NO_TENSOR, constant, dtype, graph, operator_name, schema
from tinyloc.export.scheme import INT8, Ruler

Tensors = dict[str, torch.Tensor]
_PADDING_SAME = 0
_ACTIVATIONS = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 3: (0.0, 6.0)}
"""Ends of the activations that an operator may have fused into it, by TFLite's numbers: none, RELU and RELU6."""
_LENGTH_GUARD = 1e-6  # of L2_NORMALIZATION in TFLite
_SUMS = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL", "MUL"}
"""Operators that sum products of integers and bring the sums to the output's scale."""


class Simulation:
    """`run` a model of one subgraph, with the operators that the twins are made of."""

    def __init__(
        self, model: schema.ModelT, rulers: Mapping[int, Ruler] | None = None, as_kernels: bool = True
    ) -> None:
        """rulers: by tensor index, of the activations that are rounded; by default those of the file.
        as_kernels: round twice, which takes twice as long.

        Raises InputError: an operator that is not known here.
        """
        self._model, self._tensors = model, graph(model).tensors
        self.names = [t.name.decode() for t in self._tensors]
        self.constants = {i: _real(model, t) for i, t in enumerate(self._tensors) if constant(model, t) is not None}
        self._rulers = _rulers(self._tensors) if rulers is None else rulers
        self._as_kernels = as_kernels
        self._scales = {i: torch.tensor([r.scale], dtype=torch.float64) for i, r in self._rulers.items()}
        self._scales |= {i: _scale(t) for i, t in enumerate(self._tensors) if i in self.constants and _is_scaled(t)}
        for operator in graph(model).operators:
            if operator_name(model, operator) not in _OPERATORS:
                raise InputError(f"simulation: operator {operator_name(model, operator)} is not known here")
            if _fused(operator) not in _ACTIVATIONS:
                raise InputError(f"simulation: fused activation {_fused(operator)} is not known here")

    @property
    def activations(self) -> list[str]:
        """Names of the inputs and of what the operators give, in order of execution."""
        indices = [*graph(self._model).inputs, *(t for o in graph(self._model).operators for t in o.outputs)]
        return [self.names[i] for i in indices]

    def run(
        self,
        inputs: Mapping[str, torch.Tensor],
        constants: Mapping[int, torch.Tensor] | None = None,
        scales: Mapping[int, torch.Tensor] | None = None,
    ) -> Tensors:
        """Every activation by name, [N, *the tensor's shape], of N inferences side by side.

        inputs: by name, [N, ...] real numbers, shaped as the model's tensors after the batch axis of 1.
        constants: in place of the model's own, by tensor index. scales: of those that are marks of a ruler, [1] or one
        for each channel; with others, an operator's sums are no integers and are rounded once.
        """
        replaced = dict(constants or {})
        known = self.constants | replaced
        rescaled = {i: scale for i, scale in self._scales.items() if i not in replaced} | dict(scales or {})
        names = [self.names[i] for i in graph(self._model).inputs]
        given = (inputs[n] for n in names)
        return vmap(lambda *one: self._one(dict(zip(names, one, strict=True)), known, rescaled))(*given)

    def stream(self, inputs: Mapping[str, torch.Tensor]) -> Tensors:
        """Every activation by name, [T, B, *shape], along B streams: inputs [T, B, ...], states from zero."""
        names = [self.names[i] for i in graph(self._model).inputs]
        states = [n for n in names if n.startswith("state/")]
        n_steps, n_streams = next(iter(inputs.values())).shape[:2]
        shape = {self.names[i]: tuple(map(int, self._tensors[i].shape)) for i in graph(self._model).inputs}
        now = {n: torch.zeros(n_streams, *shape[n]) for n in states}
        steps = []
        for t in range(n_steps):
            steps.append(self.run({n: values[t] for n, values in inputs.items()} | now))
            now = {n: steps[-1][n.replace("state/", "next/")] for n in states}
        return {name: torch.stack([step[name] for step in steps]) for name in steps[0]}

    def _one(
        self, inputs: Tensors, constants: Mapping[int, torch.Tensor], scales: Mapping[int, torch.Tensor]
    ) -> Tensors:
        """One inference: inputs with or without the batch axis of 1, results with it."""
        values = dict(constants)
        for i in graph(self._model).inputs:
            shape = tuple(map(int, self._tensors[i].shape))
            values[int(i)] = self._round(int(i), inputs[self.names[i]].reshape(shape))
        shown = {self.names[i]: values[int(i)] for i in graph(self._model).inputs}
        for operator in graph(self._model).operators:
            operands = [None if t == NO_TENSOR else values[int(t)] for t in operator.inputs]
            shapes = [tuple(map(int, self._tensors[t].shape)) for t in operator.outputs]
            results = _OPERATORS[operator_name(self._model, operator)](operator.builtinOptions, shapes, *operands)
            for t, result in zip(operator.outputs, results, strict=True):
                ends = _ACTIVATIONS[_fused(operator)]
                values[int(t)] = self._round(int(t), result, self._sum_scale(operator, scales), ends)
                shown[self.names[t]] = values[int(t)]
        return shown

    def _sum_scale(self, operator: schema.OperatorT, scales: Mapping[int, torch.Tensor]) -> torch.Tensor | None:
        """What an operator's sums of products in int8 are multiples of, [1] or [C]; None where there are no such."""
        ruler = self._rulers.get(int(operator.outputs[0])) if self._as_kernels else None
        if ruler is None or ruler.dtype != INT8 or operator_name(self._model, operator) not in _SUMS:
            return None
        one, other = (scales.get(int(t)) for t in operator.inputs[:2])
        return None if one is None or other is None else one * other

    def _round(
        self,
        index: int,
        values: torch.Tensor,
        sum_scale: torch.Tensor | None = None,
        ends: tuple[float, float] = _ACTIVATIONS[0],
    ) -> torch.Tensor:
        """On the tensor's ruler, if it has one, and within the fused activation's ends: there, as in the kernels, what
        is clamped are the integers."""
        if index not in self._rulers:
            return values if ends == _ACTIVATIONS[0] else values.clamp(*ends)
        ruler = self._rulers[index]
        info = np.iinfo(ruler.dtype)
        low, high = (np.round(end / ruler.scale) for end in ends)
        low, high = max(info.min - ruler.zero_point, low), min(info.max - ruler.zero_point, high)
        if sum_scale is None:
            return fake_quantise(values, ruler.scale, low, high)
        steps = requantised(torch.round(values.detach() / sum_scale), sum_scale / ruler.scale)
        return fake_quantise(values, ruler.scale, low, high, steps)


def fake_quantise(
    values: torch.Tensor, scale: float | torch.Tensor, low: float, high: float, steps: torch.Tensor | None = None
) -> torch.Tensor:
    """The nearest of scale * low, …, scale * high, or `steps` times scale. The gradient is 1 within these ends, 0
    beyond."""
    exact = (values / scale).clamp(low, high)
    steps = torch.round(exact) if steps is None else steps.clamp(low, high).to(values.dtype)
    return (exact + (steps - exact).detach()) * scale


def requantised(sums: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """TFLite's MultiplyByQuantizedMultiplier: integers times a factor (M / 2^31) 2^e, rounded behind the product with M
    (ties upwards) and once more behind a shift to the right (ties away from zero). Both float64."""
    fraction, exponent = torch.frexp(factor)
    up, down = 2.0 ** exponent.clamp_min(0), 2.0 ** exponent.clamp_max(0)
    product = torch.floor(sums * (torch.round(fraction * 2**31) / 2**31 * up) + 0.5) * down
    return torch.trunc(product + torch.copysign(torch.full_like(product, 0.5), product))


def _rulers(tensors: list[schema.TensorT]) -> dict[int, Ruler]:
    """Of the tensors that have one: the rulers of weights too, which nothing asks for."""
    known = [(i, t, t.quantization) for i, t in enumerate(tensors) if _is_scaled(t)]
    return {i: Ruler(dtype(t), float(q.scale[0]), int(q.zeroPoint[0])) for i, t, q in known}


def _is_scaled(tensor: schema.TensorT) -> bool:
    return tensor.quantization is not None and tensor.quantization.scale is not None


def _scale(tensor: schema.TensorT) -> torch.Tensor:
    return torch.from_numpy(np.asarray(tensor.quantization.scale, np.float64))


def _real(model: schema.ModelT, tensor: schema.TensorT) -> torch.Tensor:
    """The real numbers of a constant; integers of no scale (shapes, axes) as they are."""
    values = constant(model, tensor)
    quantization = tensor.quantization
    if not _is_scaled(tensor):
        return torch.from_numpy(values.copy())
    scale, zero = np.asarray(quantization.scale, np.float64), np.asarray(quantization.zeroPoint)
    if len(scale) > 1:
        shape = [-1 if axis == quantization.quantizedDimension else 1 for axis in range(values.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return torch.from_numpy(((values - zero) * scale).astype(np.float32))


# ── operators: (options, output shapes, operands) -> outputs ─────────────────────────────────────────
def _fused(operator: schema.OperatorT) -> int:
    return getattr(operator.builtinOptions, "fusedActivationFunction", 0)


def _elementwise(function: Callable[..., torch.Tensor]) -> Callable[..., list[torch.Tensor]]:
    return lambda options, shapes, *operands: [function(*operands)]


def _dense(options, shapes, x, weight, bias):
    return [F.linear(x, weight, bias).reshape(shapes[0])]


def _conv(options, shapes, x, weight, bias):
    """x [1, H, W, C], weight [out, H, W, C / groups]."""
    x, weight = x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2)
    return [_convolve(options, x, weight, bias, x.shape[1] // weight.shape[1])]


def _depthwise(options, shapes, x, weight, bias):
    """x [1, H, W, C], weight [1, H, W, C]."""
    return [_convolve(options, x.permute(0, 3, 1, 2), weight.permute(3, 0, 1, 2), bias, x.shape[3])]


def _convolve(options, x, weight, bias, groups):
    padding = "same" if options.padding == _PADDING_SAME else "valid"
    result = F.conv2d(x, weight, bias, (options.strideH, options.strideW), padding, groups=groups)
    return result.permute(0, 2, 3, 1)


def _pad(options, shapes, x, paddings):
    return [F.pad(x, [int(n) for pair in reversed(paddings.tolist()) for n in pair])]


def _split(options, shapes, axis, x):
    return x.split([shape[int(axis)] for shape in shapes], int(axis))


def _split_by_sizes(options, shapes, x, sizes, axis):
    return x.split(sizes.tolist(), int(axis))


def _slice(options, shapes, x, begin, end, strides):
    for axis, (first, last, stride) in enumerate(zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)):
        first = 0 if options.beginMask >> axis & 1 else first
        last = x.shape[axis] if options.endMask >> axis & 1 else last
        x = x[(slice(None),) * axis + (slice(first, last, stride),)]
    return [x.reshape(shapes[0])]


def _product(options, shapes, x, y):
    return [(x.mT if options.adjX else x) @ (y.mT if options.adjY else y)]


def _mean(options, shapes, x, axes):
    return [x.mean(tuple(axes.reshape(-1).tolist()), keepdim=True).reshape(shapes[0])]


def _unit(options, shapes, x):
    return [x / x.square().sum(-1, keepdim=True).sqrt().clamp_min(_LENGTH_GUARD)]


_OPERATORS: dict[str, Callable] = {
    "ADD": _elementwise(torch.add),
    "SUB": _elementwise(torch.sub),
    "MUL": _elementwise(torch.mul),
    "TANH": _elementwise(torch.tanh),
    "LOGISTIC": _elementwise(torch.sigmoid),
    "RELU": _elementwise(torch.relu),
    "ELU": _elementwise(F.elu),
    "EXP": _elementwise(torch.exp),
    "LOG": _elementwise(torch.log),
    "RSQRT": _elementwise(torch.rsqrt),
    "QUANTIZE": _elementwise(torch.Tensor.clone),
    "DEQUANTIZE": _elementwise(torch.Tensor.clone),
    "RESHAPE": lambda options, shapes, x, *_: [x.reshape(shapes[0])],
    "TRANSPOSE": lambda options, shapes, x, order: [x.permute(order.tolist())],
    "CONCATENATION": lambda options, shapes, *parts: [torch.cat(parts, options.axis)],
    "SOFTMAX": lambda options, shapes, x: [torch.softmax(options.beta * x, -1)],
    "L2_NORMALIZATION": _unit,
    "MEAN": _mean,
    "PAD": _pad,
    "SPLIT": _split,
    "SPLIT_V": _split_by_sizes,
    "STRIDED_SLICE": _slice,
    "BATCH_MATMUL": _product,
    "FULLY_CONNECTED": _dense,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
}
