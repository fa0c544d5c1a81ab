"""Kinds that store weights small and compute in float: `dynamic` (int8) and `float16`.

TensorFlow Lite's dynamic-range models quantise activations while they run, in kernels that TFLite Micro does not have
("Hybrid models are not supported"). So the weights become float again in the graph, by DEQUANTIZE, one layer at a
time: a smaller file for more arena. DEQUANTIZE knows one scale a tensor, so a weight has no scales by channel here.
TFLite Micro's does not know float16: see `desktop`.
"""

import copy

import numpy as np

from tinyloc.export.flatbuffer import add_buffer, add_tensor, constant, graph, opcode, schema, type_of

LEAST = 256
"""Values that a constant must have: with fewer, the operator takes more room than is saved."""


def shrink(model: schema.ModelT, stored: np.dtype) -> schema.ModelT:
    """A copy of the float `model` with its large constants stored as `stored`: int8 or float16."""
    model = copy.deepcopy(model)
    operators, graph(model).operators = graph(model).operators, []
    done: set[int] = set()
    for operator in operators:
        for index in map(int, operator.inputs):
            if index >= 0 and index not in done and _is_large(model, index):
                graph(model).operators.append(_restore(model, index, stored))
                done.add(index)
        graph(model).operators.append(operator)
    return model


def _is_large(model: schema.ModelT, index: int) -> bool:
    values = constant(model, graph(model).tensors[index])
    return values is not None and values.dtype == np.float32 and values.size >= LEAST


def _restore(model: schema.ModelT, index: int, stored: np.dtype) -> schema.OperatorT:
    """Store constant `index` small; the operator that makes the float tensor of it."""
    tensor = graph(model).tensors[index]
    values = constant(model, tensor)
    small = copy.copy(tensor)
    small.name = tensor.name + b"s"
    if stored == np.int8:
        scale = np.float32(np.abs(values).max() / 127)
        values = np.round(values / scale)
        small.quantization = schema.QuantizationParametersT()
        small.quantization.scale, small.quantization.zeroPoint = np.array([scale]), np.zeros(1, np.int64)
    small.type, small.buffer = type_of(stored), add_buffer(model, values.astype(stored))
    tensor.buffer = 0
    operator = schema.OperatorT()
    operator.opcodeIndex = opcode(model, "DEQUANTIZE")
    operator.inputs = np.array([add_tensor(model, small)], np.int32)
    operator.outputs = np.array([index], np.int32)
    return operator
