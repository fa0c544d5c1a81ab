"""Layers in a code as TFLite Micro runs them: its own lookup-table compression.

The `tflite-micro` package packs a constant of few different values into indices of 1 to 7 bits and a table, and puts a
DECODE operator before every reader, which writes the int8 weights into the arena again while the model runs. Flash is
saved, and RAM is spent on the largest layer.

Two faults of that package (version 0.dev20261023182759) are mended here. Its interpreter takes a table for each
channel that has a scale, whatever the file says: one table for a layer of 64 channels is read 64 tables far, into
foreign memory and without a word. A step of 0 from one channel's table to the next makes them share. And the packed
indices keep the scales of the weights that they were.
"""

import contextlib
import copy
import io
import warnings
from collections.abc import Mapping

import numpy as np
from tflite_micro import compression
from tflite_micro.tensorflow.lite.micro.compression.spec import PerTensor

from tinyloc.export import passes
from tinyloc.export.codes import Layer
from tinyloc.export.flatbuffer import NO_TENSOR, add_buffer, constant, graph, operator_name, pack, schema
from tinyloc.export.scheme import WEIGHT_AXIS

MOST_BITS = 7
"""The widest index that DECODE knows."""

_DECODE = b"TFLM_DECODE"
_AXIS, _STRIDE = 5, 6  # bytes of the header of a table: axis (and width of an index), entries from table to table


def layers(model: schema.ModelT) -> dict[int, Layer]:
    """Weights of the operators of an int8 model whose channels are the first axis, by tensor index.

    Without those of one scale for all channels: they are no trained weights (`scheme.is_whole`) and have no marks to
    spare.
    """
    found = {}
    for operator in graph(model).operators:
        if WEIGHT_AXIS.get(operator_name(model, operator)) == 0:
            tensor = graph(model).tensors[operator.inputs[1]]
            integers, scales = constant(model, tensor), tensor.quantization.scale
            if len(scales) == len(integers):
                found[int(operator.inputs[1])] = Layer(integers.reshape(len(integers), -1), scales)
    return found


def replaced(model: schema.ModelT, codes: Mapping[int, Layer]) -> schema.ModelT:
    """A copy of an int8 model with other weights, by tensor index; biases keep their value on the new scales."""
    model = copy.deepcopy(model)
    for operator in graph(model).operators:
        if WEIGHT_AXIS.get(operator_name(model, operator)) == 0 and int(operator.inputs[1]) in codes:
            _replace(model, operator, codes[int(operator.inputs[1])])
    return model


def _replace(model: schema.ModelT, operator: schema.OperatorT, code: Layer) -> None:
    tensors = graph(model).tensors
    weight = tensors[operator.inputs[1]]
    weight.buffer = add_buffer(model, code.integers)
    weight.quantization.scale = code.scales
    if len(operator.inputs) > 2 and operator.inputs[2] != NO_TENSOR:
        bias = tensors[operator.inputs[2]]
        real = constant(model, bias) * bias.quantization.scale.astype(np.float64)
        bias.quantization.scale = np.float32(tensors[operator.inputs[0]].quantization.scale[0] * code.scales)
        bias.buffer = add_buffer(model, np.round(real / bias.quantization.scale).astype(np.int32))


def compress(model: schema.ModelT, least: int = 256) -> schema.ModelT:
    """A copy of an int8 model whose layers of at most 2^7 different weights are packed, with a table each.

    least: weights that a layer must have; with fewer, the operator takes more room than is saved.
    """
    specification = compression.SpecBuilder()
    chosen = {i: bits for i, bits in _index_bits(model).items() if np.prod(graph(model).tensors[i].shape) >= least}
    if not chosen:
        return copy.deepcopy(model)
    for index, bits in chosen.items():
        specification.add_tensor(subgraph=0, tensor=index).with_lut(bits, PerTensor())
    packed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(_package(pack(model), specification), 0))
    _mend(packed)
    passes.compact(packed)
    passes.shorten_names(packed)
    return packed


def _package(data: bytes, specification: compression.SpecBuilder) -> bytes:
    """The package's own compression, without what it prints."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(action="ignore"):
        return bytes(compression.compress(data, specification.build()))


def _index_bits(model: schema.ModelT) -> dict[int, int]:
    found = {i: max(1, (len(np.unique(layer.integers)) - 1).bit_length()) for i, layer in layers(model).items()}
    return {i: bits for i, bits in found.items() if bits <= MOST_BITS}


def _mend(model: schema.ModelT) -> None:
    tensors = graph(model).tensors
    for operator in graph(model).operators:
        if model.operatorCodes[operator.opcodeIndex].customCode != _DECODE:
            continue
        for packed, table in operator.inputs.reshape(-1, 2):
            tensors[packed].quantization = None
            header = constant(model, tensors[table]).copy()
            header[_AXIS] &= 0x0F  # the first axis
            header[_STRIDE] = 0
            tensors[table].buffer = add_buffer(model, header)
