"""What TensorFlow's converter leaves undone: passes over a converted model, in place."""

import copy
from collections import Counter
from collections.abc import Mapping

import numpy as np

from tinyloc.export.flatbuffer import NO_TENSOR, constant, graph, operator_name, schema


def name_ports(model: schema.ModelT, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Give inputs and outputs their names, and bring them into the order of the mappings.

    inputs, outputs: name in the converted model's signature -> name of the tensor. The converter names and orders
    its tensors as it likes; its signature alone says which is which.
    """
    (signature,) = model.signatureDefs
    tensors = graph(model).tensors

    def named(maps: list[schema.TensorMapT], names: Mapping[str, str]) -> np.ndarray:
        index = {entry.name.decode(): entry.tensorIndex for entry in maps}
        for before, after in names.items():
            tensors[index[before]].name = after.encode()
        return np.array([index[before] for before in names], np.int32)

    graph(model).inputs = named(signature.inputs, inputs)
    graph(model).outputs = named(signature.outputs, outputs)


def fold_scale_into_softmax(model: schema.ModelT) -> None:
    """softmax(c x) with a positive constant c: c becomes the operator's own factor `beta`, and the product goes.

    The scale 1 / sqrt(d) of attention is the case: the converter leaves `beta` at 1.
    """
    operators, tensors = graph(model).operators, graph(model).tensors
    producer = {int(o.outputs[0]): o for o in operators}
    uses = Counter(int(t) for o in operators for t in o.inputs)
    gone = []
    for softmax in operators:
        if operator_name(model, softmax) != "SOFTMAX":
            continue
        product = producer.get(int(softmax.inputs[0]))
        if product is None or operator_name(model, product) != "MUL" or uses[int(softmax.inputs[0])] != 1:
            continue
        factor = constant(model, tensors[product.inputs[1]])
        if factor is not None and factor.size == 1 and factor.item() > 0:
            softmax.builtinOptions.beta *= factor.item()
            softmax.inputs = product.inputs[:1]
            gone.append(product)
    _remove(model, gone)


def compacted(model: schema.ModelT) -> schema.ModelT:
    """A compacted copy, see `compact`."""
    model = copy.deepcopy(model)
    compact(model)
    return model


def compact(model: schema.ModelT) -> None:
    """Leave out what no operator needs: unused tensors, repeated buffers, signatures, metadata, what is said twice.

    In a model of 60 KB these were seen to take 6 KB of flash.
    """
    _drop_shape_operands(model)
    _drop_unused_tensors(model)
    _share_buffers(model)
    for tensor in graph(model).tensors:
        tensor.quantization = _scales_only(tensor.quantization)
        tensor.shapeSignature = None
    used = sorted({o.opcodeIndex for o in graph(model).operators})
    for operator in graph(model).operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in used]
    model.signatureDefs = model.metadata = model.metadataBuffer = None
    model.description = b"tinyloc"


def shorten_names(model: schema.ModelT) -> None:
    """Tensors that are neither input nor output become t0, t1, …: the converter's names took kilobytes of flash."""
    ports = {*graph(model).inputs.tolist(), *graph(model).outputs.tolist()}
    for index, tensor in enumerate(graph(model).tensors):
        if index not in ports:
            tensor.name = f"t{index}".encode()


def _remove(model: schema.ModelT, operators: list[schema.OperatorT]) -> None:
    gone = {id(o) for o in operators}
    graph(model).operators = [o for o in graph(model).operators if id(o) not in gone]


def _drop_shape_operands(model: schema.ModelT) -> None:
    """RESHAPE knows its shape from its options: the constant operand that repeats it takes a tensor and a buffer."""
    for operator in graph(model).operators:
        if operator_name(model, operator) == "RESHAPE":
            operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
            operator.builtinOptions = schema.ReshapeOptionsT()
            operator.builtinOptions.newShape = np.asarray(graph(model).tensors[operator.outputs[0]].shape, np.int32)
            operator.inputs = operator.inputs[:1]


def _drop_unused_tensors(model: schema.ModelT) -> None:
    g = graph(model)
    kept = sorted({int(t) for o in g.operators for t in (*o.inputs, *o.outputs)} - {NO_TENSOR} | set(g.inputs.tolist()))
    number = {old: new for new, old in enumerate(kept)} | {NO_TENSOR: NO_TENSOR}

    def renumber(indices: np.ndarray) -> np.ndarray:
        return np.array([number[int(t)] for t in indices], np.int32)

    for o in g.operators:
        o.inputs, o.outputs = renumber(o.inputs), renumber(o.outputs)
    g.inputs, g.outputs = renumber(g.inputs), renumber(g.outputs)
    g.tensors = [g.tensors[t] for t in kept]


def _scales_only(quantization: schema.QuantizationParametersT | None) -> schema.QuantizationParametersT | None:
    """Scale, zero point and axis: the calibrated range is what these were made of."""
    if quantization is None or quantization.scale is None:
        return None
    quantization.min = quantization.max = None
    return quantization


def _share_buffers(model: schema.ModelT) -> None:
    """One buffer for equal constants; buffer 0 is empty by convention, and serves every activation."""
    number: dict[bytes, int] = {b"": 0}
    for tensor in graph(model).tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = number.setdefault(b"" if data is None else bytes(data), len(number))
    buffers = []
    for content in number:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8) if content else None
        buffers.append(buffer)
    model.buffers = buffers
