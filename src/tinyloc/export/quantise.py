"""A float `.tflite` model to one of integers, by the rules of `scheme`.

TensorFlow's own quantisers choose ranges by themselves, give a state two different scales, and know int8 or int16 for
a whole model alone. Here ranges come from outside, every activation may be 8 or 16 bits wide, and the integers are
those that `simulation` computes with: that is what makes quantisation-aware training exact.
"""

import copy

import numpy as np

from tinyloc.export.flatbuffer import (
    NO_TENSOR,
    add_buffer,
    add_tensor,
    bias_scales,
    constant,
    dtype,
    graph,
    opcode,
    operator_name,
    schema,
    type_of,
)
from tinyloc.export.scheme import WEIGHT_AXIS, Ranges, Ruler, Scheme, weight_scales


def quantise(model: schema.ModelT, ranges: Ranges, base: np.dtype, wide: frozenset[str] = frozenset()) -> schema.ModelT:
    """A copy of the float `model` in integers.

    An operator works in the type of its output; an input of the other type comes through a QUANTIZE operator.
    ranges: of every activation. base: int8 or int16. wide: names of activations that are int16 in any case.
    Raises InputError: an operator has no kernel for its integers; `ranges` lack a tensor.
    """
    return _Quantiser(copy.deepcopy(model), ranges, base, wide).run()


class _Quantiser:
    def __init__(self, model: schema.ModelT, ranges: Ranges, base: np.dtype, wide: frozenset[str]) -> None:
        self.model, self.tensors = model, graph(model).tensors
        scheme = Scheme(model)
        self.types = scheme.types(base, wide)
        # of both types, as a reader may want the other one
        self.rulers = {(i, t): scheme.ruler(i, ranges, t) for i in self.types for t in {*self.types.values()}}
        self.made: dict[tuple, int] = {}  # tensors that stand for others already, by what they are

    def run(self) -> schema.ModelT:
        operators, graph(self.model).operators = graph(self.model).operators, []
        for operator in operators:
            integers = self.types[int(operator.outputs[0])]
            inputs = [self._operand(operator, place, integers) for place in range(len(operator.inputs))]
            operator.inputs = np.array(inputs, np.int32)
            graph(self.model).operators.append(operator)
        for index, integers in self.types.items():
            _lay(self.rulers[index, integers], self.tensors[index])
        return self.model

    def _operand(self, operator: schema.OperatorT, place: int, integers: np.dtype) -> int:
        """The tensor that an operator of type `integers` reads in the place of its operand."""
        index = int(operator.inputs[place])
        if index == NO_TENSOR or dtype(self.tensors[index]) != np.float32:
            return index
        if index in self.types:
            return self._converted(index, integers)
        axis = WEIGHT_AXIS.get(operator_name(self.model, operator))
        values = constant(self.model, self.tensors[index]).astype(np.float64)
        if axis is None:
            ruler = Ruler.over(values.min(), values.max(), integers)
            return self._constant(index, ruler.quantise(values), [ruler.scale], [ruler.zero_point])
        scales, input_scale = self._weight_scales(operator, axis, integers)
        if place == 1:
            shape = [-1 if i == axis else 1 for i in range(values.ndim)]
            return self._constant(index, np.round(values / scales.reshape(shape)).astype(np.int8), scales, axis=axis)
        scales = bias_scales(input_scale, scales)
        sums = np.int32 if integers == np.int8 else np.int64
        return self._constant(index, np.round(values / scales).astype(sums), scales)

    def _converted(self, index: int, integers: np.dtype) -> int:
        """An activation in the type that its reader wants."""
        if self.types[index] == integers:
            return index
        if ("converted", index) not in self.made:
            copied = copy.copy(self.tensors[index])
            copied.name = self.tensors[index].name + b"q"
            _lay(self.rulers[index, integers], copied)
            made = self.made["converted", index] = add_tensor(self.model, copied)
            operator = schema.OperatorT()
            operator.opcodeIndex = opcode(self.model, "QUANTIZE")
            operator.inputs, operator.outputs = np.array([index], np.int32), np.array([made], np.int32)
            graph(self.model).operators.append(operator)
        return self.made["converted", index]

    def _weight_scales(self, operator: schema.OperatorT, axis: int, integers: np.dtype) -> tuple[np.ndarray, float]:
        """Scales of an operator's weights [C], and that of its input."""
        weight, bias = (self._values(operator, place) for place in (1, 2))
        input_scale = self.rulers[int(operator.inputs[0]), integers].scale
        return weight_scales(weight, axis, bias, input_scale), input_scale

    def _values(self, operator: schema.OperatorT, place: int) -> np.ndarray | None:
        index = int(operator.inputs[place]) if place < len(operator.inputs) else NO_TENSOR
        return None if index == NO_TENSOR else constant(self.model, self.tensors[index])

    def _constant(self, index: int, values: np.ndarray, scales, zero_points=None, axis: int = 0) -> int:
        """A constant of these integers; the float one stays for other readers, and `compact` drops it."""
        key = (index, values.tobytes(), np.asarray(scales).tobytes())
        if key not in self.made:
            copied = copy.copy(self.tensors[index])
            copied.buffer = add_buffer(self.model, values)
            _label(copied, values.dtype, scales, zero_points, axis)
            self.made[key] = add_tensor(self.model, copied)
        return self.made[key]


def _lay(ruler: Ruler, tensor: schema.TensorT) -> None:
    _label(tensor, ruler.dtype, [ruler.scale], [ruler.zero_point])


def _label(tensor: schema.TensorT, integers: np.dtype, scales, zero_points=None, axis: int = 0) -> None:
    """Give a tensor its type, scales [C] (or [1]) and zero points, 0 by default."""
    tensor.type = type_of(integers)
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.asarray(scales, np.float32)
    zero_points = np.zeros(len(tensor.quantization.scale)) if zero_points is None else zero_points
    tensor.quantization.zeroPoint = np.asarray(zero_points, np.int64)
    tensor.quantization.quantizedDimension = axis
