"""A `.tflite` file as Python objects: read with every reference checked, and written back.

TFLite Micro trusts its model: a file that is cut short, or an index that points nowhere, crashes the whole process.
So everything that goes to TFLite Micro is read here first. The objects (`ModelT`, `TensorT`, …) are those of the
published TFLite schema, in the copy that `tflite-micro` carries.
"""

import copy
import struct
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinyloc.errors import InputError
from tinyloc.files import contents

IDENTIFIER = b"TFL3"
NO_TENSOR = -1  # an optional operand that is left out
BIASED = {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"}
"""Operators whose operand 2 is a bias."""

_DTYPES = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
# What the generated reader raises where an offset, a length or a table of the file makes no sense.
_UNREADABLE = (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)


def read(path: Path) -> schema.ModelT:
    """Read a `.tflite` file. Raises InputError: it is missing, not a `.tflite`, cut short or corrupt."""
    try:
        data = contents(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; make it with `tinyloc export`") from None
    return parse(data, str(path))


def parse(data: bytes, name: str) -> schema.ModelT:
    """The model in `data`; `name` stands for it in errors. Raises InputError as `read` does."""
    if data[4:8] != IDENTIFIER:
        raise InputError(f"{name}: not a .tflite file (no {IDENTIFIER.decode()} at byte 4); export the model again")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        problem = next(_problems(model), None)
        for index, scale in () if problem else _bias_scales(model).items():
            _give_scale(graph(model).tensors[index], scale)
    except _UNREADABLE as error:
        problem = str(error)
    if problem:
        raise InputError(f"{name}: cut short or corrupt at {len(data)} bytes ({problem}); export the model again")
    return model


def pack(model: schema.ModelT) -> bytes:
    """The bytes of the file: the same objects always give the same bytes.

    Scales of biases by channel are left out, as no kernel reads them: by the specification they are those of the input
    and of the weights, multiplied, and `parse` puts them back. In a model of 45 KB they took 2 KB. (Where weights have
    one scale for all channels, TFLite Micro compares the bias's with it.) A model with references that point nowhere is
    written as it is.
    """
    builder = _Builder(1024)
    written = model if any(_problems(model)) else _without_bias_scales(model)
    builder.Finish(written.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _without_bias_scales(model: schema.ModelT) -> schema.ModelT:
    """A model that shares everything with `model` but its biases' quantisation, where that says nothing new."""
    stripped, stripped.subgraphs = copy.copy(model), [copy.copy(graph(model))]
    tensors = graph(stripped).tensors = list(graph(model).tensors)
    for index, scale in _bias_scales(model).items():
        known = tensors[index].quantization
        if known is None or len(scale) == 1 or not np.array_equal(known.scale, scale):
            continue
        tensors[index] = copy.copy(tensors[index])
        tensors[index].quantization = None
    return stripped


def _bias_scales(model: schema.ModelT) -> dict[int, np.ndarray]:
    """The scales [C] of integer biases, by tensor index, as the specification has them."""
    tensors, found = graph(model).tensors, {}
    for operator in graph(model).operators:
        if operator_name(model, operator) not in BIASED or len(operator.inputs) < 3 or operator.inputs[2] == NO_TENSOR:
            continue
        source, weights, bias = (tensors[int(t)] for t in operator.inputs)
        if dtype(bias).kind == "i" and _is_scaled(source) and _is_scaled(weights):
            found[int(operator.inputs[2])] = bias_scales(source.quantization.scale[0], weights.quantization.scale)
    return found


def bias_scales(source: float, weights: np.ndarray) -> np.ndarray:
    """Scales of a bias [C] float32, from that of the operator's input and those of its weights [C]."""
    return np.float32(np.float64(source) * weights)


def _give_scale(bias: schema.TensorT, scale: np.ndarray) -> None:
    """Where the file leaves it out."""
    if not _is_scaled(bias):
        bias.quantization = schema.QuantizationParametersT()
        bias.quantization.scale, bias.quantization.zeroPoint = scale, np.zeros(len(scale), np.int64)


def _is_scaled(tensor: schema.TensorT) -> bool:
    return tensor.quantization is not None and tensor.quantization.scale is not None


class _Builder(flatbuffers.Builder):
    """A builder that keeps the schema's `force_align: 16` of constants, which the generated Python forgets.

    It also writes equal vectors and equal tables once, as a FlatBuffer may refer to one place from many: the shapes,
    and the zero points of per-channel weights (8 bytes a channel, all of them 0), were a sixth of a model of 55 KB.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}
        self._tables: dict[tuple, int] = {}

    # What a table holds is known when its last slot is filled; an equal one is then taken back, and the first stands.
    # Equal are tables whose bytes mean the same in whatever type of the schema: a number of the same kind, and default.
    def StartObject(self, numfields: int) -> None:
        self._before, self._slots = self.Offset(), []
        super().StartObject(numfields)

    def PrependSlot(self, flags: type, o: int, x: object, d: object) -> None:
        self._slots.append((o, flags, x, d))
        super().PrependSlot(flags, o, x, d)

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:
        self._slots.append((o, "offset", x, d))
        super().PrependUOffsetTRelativeSlot(o, x, d)

    def EndObject(self) -> int:
        key = (len(self.current_vtable), *self._slots)
        written = super().EndObject()
        if self._tables.setdefault(key, written) != written:
            self.head = len(self.Bytes) - self._before  # counted from the end, as the buffer may have grown
        return self._tables[key]

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = self._constants(x) if x.dtype == np.uint8 else super().CreateNumpyVector(x)
        return self._written[key]

    def _constants(self, x: np.ndarray) -> int:
        self.StartVector(1, x.size, 16)
        self.head -= x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        return self.EndVector()


def graph(model: schema.ModelT) -> schema.SubGraphT:
    """The only subgraph of a model of ours."""
    return model.subgraphs[0]


def operator_name(model: schema.ModelT, operator: schema.OperatorT) -> str:
    """`CONV_2D`, `ADD`, … Codes above 127 lie in the newer of two fields."""
    code = model.operatorCodes[operator.opcodeIndex]
    return _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def operator_counts(model: schema.ModelT) -> dict[str, int]:
    """How often each operator occurs, by name."""
    return dict(sorted(Counter(operator_name(model, operator) for operator in graph(model).operators).items()))


def dtype(tensor: schema.TensorT) -> np.dtype:
    return _DTYPES[tensor.type]


def type_of(integers: np.dtype) -> int:
    """The schema's number of a type."""
    return next(number for number, known in _DTYPES.items() if known == integers)


def add_buffer(model: schema.ModelT, values: np.ndarray) -> int:
    """Append the bytes of a constant; returns the buffer's index."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_tensor(model: schema.ModelT, tensor: schema.TensorT) -> int:
    """Append a tensor; returns its index."""
    graph(model).tensors.append(tensor)
    return len(graph(model).tensors) - 1


def opcode(model: schema.ModelT, name: str) -> int:
    """The index of an operator's code, which is added where the model had no such operator."""
    number = vars(schema.BuiltinOperator)[name]
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def constant(model: schema.ModelT, tensor: schema.TensorT) -> np.ndarray | None:
    """The values that the file holds for a tensor, in the tensor's own type and shape; None for an activation."""
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        return None
    return np.frombuffer(bytes(data), dtype(tensor)).reshape(_shape(tensor))


def weights_bytes(model: schema.ModelT) -> int:
    """Bytes of the constants that are numbers of the network: no shapes, axes and the like, each buffer once."""
    real = {t.buffer for t in graph(model).tensors if _is_real(t) and constant(model, t) is not None}
    return sum(len(model.buffers[b].data) for b in real)


def _is_real(tensor: schema.TensorT) -> bool:
    return dtype(tensor).kind == "f" or _is_scaled(tensor)


def _shape(tensor: schema.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(n) for n in tensor.shape)


def _problems(model: schema.ModelT) -> Iterator[str]:
    """Everything in a readable file that TFLite Micro would follow into foreign memory."""
    if len(model.subgraphs) != 1:
        yield f"{len(model.subgraphs)} subgraphs instead of one"
    tensors, operators = graph(model).tensors, graph(model).operators
    for tensor in tensors:
        yield from _tensor_problems(model, tensor)
    for number, operator in enumerate(operators):
        if not 0 <= operator.opcodeIndex < len(model.operatorCodes):
            yield f"operator {number} has unknown code {operator.opcodeIndex}"
        operator_name(model, operator)
        yield from _reference_problems(f"operator {number}", operator.inputs, len(tensors), NO_TENSOR)
        yield from _reference_problems(f"operator {number}", operator.outputs, len(tensors), 0)
    yield from _reference_problems("the graph", graph(model).inputs, len(tensors), 0)
    yield from _reference_problems("the graph", graph(model).outputs, len(tensors), 0)


def _reference_problems(where: str, indices: np.ndarray, count: int, lowest: int) -> Iterator[str]:
    for index in indices:
        if not lowest <= index < count:
            yield f"{where} refers to tensor {index} of {count}"


def _tensor_problems(model: schema.ModelT, tensor: schema.TensorT) -> Iterator[str]:
    name = tensor.name.decode(errors="replace")
    if tensor.type not in _DTYPES:
        yield f"tensor {name!r} has type {tensor.type}"
    if min(_shape(tensor), default=1) < 1:
        yield f"tensor {name!r} has shape {_shape(tensor)}"
    data = model.buffers[tensor.buffer].data
    wanted = prod(_shape(tensor)) * dtype(tensor).itemsize
    if data is not None and len(data) not in (0, wanted):
        yield f"tensor {name!r} has {len(data)} bytes of {wanted}"
    scales = tensor.quantization.scale if tensor.quantization else None
    if scales is not None and len(scales):
        if not (np.isfinite(scales).all() and (np.asarray(scales) > 0).all()):
            yield f"tensor {name!r} has a scale that is not positive"
        if len(tensor.quantization.zeroPoint) != len(scales):
            yield f"tensor {name!r} has {len(scales)} scales and {len(tensor.quantization.zeroPoint)} zero points"
        if len(scales) > 1 and len(scales) != _shape(tensor)[tensor.quantization.quantizedDimension]:
            yield f"tensor {name!r} has {len(scales)} scales for shape {_shape(tensor)}"
