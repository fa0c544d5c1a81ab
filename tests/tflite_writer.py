"""Writes small .tflite files operator by operator, with freely chosen scales, for the tests of tinyloc.aot."""

from pathlib import Path

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

TYPES = {"float32": 0, "int32": 2, "int64": 4, "int16": 7, "int8": 9}


class ModelWriter:
    """Tensors are referred to by the index that the method which adds them returns."""

    def __init__(self):
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.buffers = [schema.BufferT()]
        self.codes = []

    def tensor(self, shape, dtype="float32", scale=None, zero=0, name="", axis=0) -> int:
        tensor = schema.TensorT()
        tensor.name = name or f"t{len(self.graph.tensors)}"
        tensor.shape = list(shape)
        tensor.type = TYPES[dtype]
        tensor.buffer = 0
        if scale is not None:
            quantisation = schema.QuantizationParametersT()
            quantisation.scale = [float(s) for s in np.atleast_1d(scale)]
            quantisation.zeroPoint = [int(zero)] * len(quantisation.scale)
            quantisation.quantizedDimension = axis
            tensor.quantization = quantisation
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def input(self, *args, **more) -> int:
        index = self.tensor(*args, **more)
        self.graph.inputs.append(index)
        return index

    def constant(self, values, **more) -> int:
        values = np.asarray(values)
        index = self.tensor(values.shape, values.dtype.name, **more)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.buffers) - 1
        return index

    def output(self, index: int) -> int:
        self.graph.outputs.append(index)
        return index

    def operator(self, name: str, inputs, outputs, options: str = "", version: int = 1, **fields) -> None:
        """`options` names the schema's option table without its ending (Conv2D, Add …); fields as in the schema."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            operator.builtinOptions = getattr(schema, f"{options}OptionsT")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field)
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)

    def bytes(self) -> bytes:
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [self.graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def save(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path
