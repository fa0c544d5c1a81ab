"""Reads a .tflite file into a Graph, or says in one line what is wrong with it.

Nothing is taken on trust: offsets and lengths (tinyloc.aot.flatbuffer), enumerations, indices of buffers, tensors
and operator codes, shapes against the bytes of constants, scales and zero points, and the order of operators.
TensorFlow is not imported: `tinyloc compile` starts fast and cannot be crashed by a damaged file.
"""

import hashlib
from math import prod
from pathlib import Path

import numpy as np

from tinyloc.aot import schema
from tinyloc.aot.flatbuffer import Buffer, Corrupt, Table
from tinyloc.aot.graph import DTYPES, Graph, Operator, Quantisation, Tensor, Unsupported
from tinyloc.errors import InputError
from tinyloc.files import contents

MAX_RANK = 6
MAX_ELEMENTS = 1 << 26  # far beyond any microcontroller; keeps a damaged shape from asking for gigabytes
MAX_TENSORS = 1 << 12  # and operators: what the compiler does with them takes longer than in proportion


def read(path: Path) -> Graph:
    """The model in the file at `path`.

    Raises InputError, naming the file and, where it applies, operator, version and tensor, when the file is absent,
    damaged, or uses something that the compiler does not know.
    """
    try:
        data = contents(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of a .tflite file") from None
    try:
        return _Reader(path.name, data).graph()
    except Unsupported as error:
        raise InputError(f"{path}: {error}") from None
    except Corrupt as error:
        raise InputError(f"{path}: not a whole .tflite file: {error}; export or copy it again") from None


class _Reader:
    def __init__(self, name: str, data: bytes):
        self.name = name
        self.sha256 = hashlib.sha256(data).hexdigest()
        if len(data) < 8 or data[4:8] != schema.FILE_IDENTIFIER:
            raise Corrupt(f"it lacks the mark '{schema.FILE_IDENTIFIER.decode()}' at byte 4")
        self.file = Buffer(data)
        self.model = self.file.root()
        version = self.model.scalar(0, "I")
        if version != schema.SCHEMA_VERSION:
            raise Corrupt(f"its schema version is {version}, not {schema.SCHEMA_VERSION}")
        self.buffers = self.model.tables(4)
        self.constants: dict[int, np.ndarray] = {}  # buffer number -> its bytes
        self.constant_bytes = 0

    def graph(self) -> Graph:
        subgraphs = self.model.tables(2)
        if len(subgraphs) != 1:
            raise Unsupported(f"it holds {len(subgraphs)} subgraphs; control flow is not supported")
        subgraph = subgraphs[0]
        tables = subgraph.tables(0), self.model.tables(1), subgraph.tables(3)
        for what, found in zip(("tensors", "operator codes", "operators"), tables, strict=True):
            if len(found) > MAX_TENSORS:
                raise Unsupported(f"it has {len(found)} {what}; tinyloc compiles at most {MAX_TENSORS}")
        tensors = [self._tensor(i, table) for i, table in enumerate(tables[0])]
        codes = [_operator_code(table) for table in tables[1]]
        operators = [_operator(i, table, codes, tensors) for i, table in enumerate(tables[2])]
        inputs = _indices(subgraph.vector(1, "i4", schema.MAX_OPERANDS), len(tensors), "the list of inputs")
        outputs = _indices(subgraph.vector(2, "i4", schema.MAX_OPERANDS), len(tensors), "the list of outputs")
        _check_order(tensors, operators, inputs, outputs)
        return Graph(self.name, self.sha256, tensors, operators, inputs, outputs)

    def _tensor(self, index: int, table: Table) -> Tensor:
        name = table.string(3) or f"tensor {index}"
        code = table.scalar(1, "b")
        if code not in DTYPES:
            raise Unsupported(f"tensor '{name}' has element type {code}, which tinyloc does not know")
        shape = tuple(int(n) for n in table.vector(0, "i4", MAX_RANK))
        if any(n < 1 for n in shape) or prod(shape) > MAX_ELEMENTS:
            raise Corrupt(f"tensor '{name}' has the impossible or unsupported shape {list(shape)}")
        if table.table(6) is not None:
            raise Unsupported(f"tensor '{name}' is sparse, which tinyloc does not support")
        quantisation = _quantisation(name, DTYPES[code], shape, table.table(4))
        return Tensor(index, name, shape, DTYPES[code], quantisation, self._data(name, code, shape, table))

    def _data(self, name: str, code: int, shape: tuple[int, ...], table: Table) -> np.ndarray | None:
        number = table.scalar(2, "I")
        if number >= len(self.buffers):
            raise Corrupt(f"tensor '{name}' refers to buffer {number} of {len(self.buffers)}")
        if number not in self.constants:
            if self.buffers[number].scalar(1, "Q") > 1:
                raise Unsupported(f"the data of tensor '{name}' lie outside the FlatBuffer")
            self.constants[number] = self._constant(number)
        raw = self.constants[number]
        if raw.size == 0:
            return None
        item = np.dtype(DTYPES[code]).newbyteorder("<")
        if raw.size != prod(shape) * item.itemsize:
            raise Corrupt(f"tensor '{name}' of shape {list(shape)} has {raw.size} bytes of data")
        values = raw.view(item).astype(DTYPES[code]).reshape(shape)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise Corrupt(f"the constant '{name}' has values that are not finite")
        return values

    def _constant(self, number: int) -> np.ndarray:
        raw = self.buffers[number].vector(0, "u1", len(self.file.data))
        self.constant_bytes += raw.size
        # Overlapping buffers are how a small file could ask for a lot of memory.
        if self.constant_bytes > len(self.file.data):
            raise Corrupt("its constants overlap")
        return raw


def _quantisation(name: str, dtype: str, shape: tuple[int, ...], table: Table | None) -> Quantisation | None:
    if table is None:
        return None
    longest = max(shape, default=1)
    scale, zero_point = table.vector(2, "f4", longest), table.vector(3, "i8", longest)
    if scale.size == 0:
        return None
    if table.table(5) is not None:
        raise Unsupported(f"tensor '{name}' has a custom quantisation, which tinyloc does not know")
    axis = table.scalar(6, "i")
    slices = 1
    if scale.size > 1:
        if not 0 <= axis < len(shape):
            raise Corrupt(f"tensor '{name}' is quantised along axis {axis} of {len(shape)}")
        slices = shape[axis]
    if not scale.size == zero_point.size == slices:
        raise Corrupt(f"tensor '{name}' has {scale.size} scales and {zero_point.size} zero points for {slices} slices")
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise Corrupt(f"tensor '{name}' has a scale that is not a positive number")
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        if (zero_point < limits.min).any() or (zero_point > limits.max).any():
            raise Corrupt(f"tensor '{name}' has a zero point outside {dtype}")
    return Quantisation(scale.astype(np.float32), zero_point.astype(np.int64), axis)


def _operator_code(table: Table) -> tuple[str, int]:
    # Codes above 126 do not fit the old one-byte field, which then holds 127 (PLACEHOLDER_FOR_GREATER_OP_CODES).
    code = max(table.scalar(0, "b"), table.scalar(3, "i"))
    version = table.scalar(2, "i", 1)
    custom = table.string(1)
    if custom:
        return f"custom operator '{custom[:40]}'", version
    return schema.OPERATORS[code] if 0 <= code < len(schema.OPERATORS) else f"builtin operator {code}", version


def _operator(index: int, table: Table, codes: list[tuple[str, int]], tensors: list[Tensor]) -> Operator:
    number = table.scalar(0, "I")
    if number >= len(codes):
        raise Corrupt(f"operator {index} refers to operator code {number} of {len(codes)}")
    name, version = codes[number]
    where = f"operator {index} ({name})"
    inputs = _indices(table.vector(1, "i4", schema.MAX_OPERANDS), len(tensors), where, optional=True)
    outputs = _indices(table.vector(2, "i4", schema.MAX_OPERANDS), len(tensors), where)
    if not outputs:
        raise Corrupt(f"{where} has no output")
    _check_inputs(name, where, inputs)
    return Operator(index, name, version, _options(name, where, table), inputs, outputs)


def _check_inputs(name: str, where: str, inputs: tuple[int | None, ...]) -> None:
    """As many as the operator has, and none absent but a bias."""
    fewest, most = schema.INPUTS.get(name, (0, schema.MAX_OPERANDS))
    if not fewest <= len(inputs) <= most:
        wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        raise Corrupt(f"{where} has {len(inputs)} inputs, not {wanted}")
    if name in schema.INPUTS and any(i is None for at, i in enumerate(inputs) if at != schema.BIAS.get(name, 2)):
        raise Corrupt(f"{where} lacks one of its inputs")


def _options(name: str, where: str, table: Table) -> dict[str, object]:
    spec = schema.OPTIONS.get(name)
    if spec is None:
        return {}
    options = table.table(4)
    if options is None:
        values = {field: default for field, (_, _, default) in spec.fields.items()}
    elif table.scalar(3, "B") == spec.union:
        values = {field: options.scalar(*spec.fields[field]) for field in spec.fields}
    else:
        raise Corrupt(f"{where} carries the options of another operator")
    for field, meaning in (("activation", schema.ACTIVATIONS), ("padding", schema.PADDINGS)):
        if field in values:
            if values[field] not in meaning:
                raise Corrupt(f"{where} has {field} {values[field]}, which tinyloc does not know")
            values[field] = meaning[values[field]]
    return values


def _indices(numbers: np.ndarray, count: int, where: str, optional: bool = False) -> tuple[int | None, ...]:
    """Tensor indices, checked; -1 stands for an input that is absent."""
    for number in numbers:
        if not (0 <= number < count or (optional and number == -1)):
            raise Corrupt(f"{where} refers to tensor {number} of {count}")
    return tuple(None if number == -1 else int(number) for number in numbers)


def _check_order(
    tensors: list[Tensor], operators: list[Operator], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    """Every tensor is made once, and before it is read."""
    made = {tensor.index for tensor in tensors if tensor.data is not None}
    for index in inputs:
        if index in made:
            raise Corrupt(f"input tensor '{tensors[index].name}' is a constant or listed twice")
        made.add(index)
    for operator in operators:
        for index in operator.inputs:
            if index is not None and index not in made:
                raise Corrupt(f"operator {operator.index} ({operator.name}) reads '{tensors[index].name}' too early")
        for index in operator.outputs:
            if index in made:
                raise Corrupt(f"operator {operator.index} ({operator.name}) overwrites '{tensors[index].name}'")
            made.add(index)
    for index in outputs:
        if index not in made:
            raise Corrupt(f"no operator makes the output tensor '{tensors[index].name}'")
    if not inputs or not outputs:
        raise Corrupt("it has no input or no output")
