"""Arithmetic with shapes, done at compile time.

Converters that do not know a batch size write SHAPE, STRIDED_SLICE, PACK and their like before a RESHAPE. All shapes
are known here, so these operators become constants, and are gone before anything is lowered.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinyloc.aot.graph import Graph, Operator, Tensor

MOST = 64  # elements of a list of sizes or axes; more is data, which is no business of this module
INTEGERS = {"int32", "int64"}


def folded(graph: Graph) -> Graph:
    """`graph` without the operators that compute integers from shapes and constants alone.

    One whose constants do not fit together stays, and is refused by name when it is lowered.
    """
    tensors, left = list(graph.tensors), []
    for operator in graph.operators:
        value = _value(operator, tensors, graph.outputs)
        if value is None:
            left.append(operator)
        else:
            (output,) = operator.outputs
            tensors[output] = replace(tensors[output], data=value)
    return replace(graph, tensors=tensors, operators=left)


def _value(operator: Operator, tensors: list[Tensor], outputs: tuple[int, ...]) -> np.ndarray | None:
    """What the operator makes; None where it must run, or is not known here."""
    compute = FOLDED.get(operator.name)
    if compute is None or None in operator.inputs or len(operator.outputs) != 1 or operator.outputs[0] in outputs:
        return None
    output, inputs = tensors[operator.outputs[0]], [tensors[index] for index in operator.inputs]
    clamped = operator.options.get("activation", "NONE") != "NONE"
    if clamped or output.dtype not in INTEGERS or output.size > MOST:
        return None
    try:
        value = _shape(inputs) if operator.name == "SHAPE" else _computed(compute, operator, inputs)
    except (ValueError, IndexError, TypeError):
        return None
    fits = value is not None and value.shape == output.shape
    return value.astype(output.dtype) if fits else None


def _shape(inputs: list[Tensor]) -> np.ndarray:
    return np.array(inputs[0].shape)


def _computed(compute: Callable[..., Any], operator: Operator, inputs: list[Tensor]) -> np.ndarray | None:
    known = all(t.data is not None and t.dtype in INTEGERS and t.size <= MOST for t in inputs)
    value = compute(operator.options, *(t.data for t in inputs)) if known else None
    return None if value is None else np.asarray(value)


def _strided_slice(o: dict, x: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray | None:
    if x.ndim != 1 or not begin.size == end.size == step.size == 1 or o["ellipsis_mask"] or o["new_axis_mask"]:
        return None
    if o["offset"] or step[0] == 0:
        return None
    if o["shrink_axis_mask"] & 1:
        return x[begin[0]]
    return x[None if o["begin_mask"] & 1 else begin[0] : None if o["end_mask"] & 1 else end[0] : step[0]]


FOLDED: dict[str, Callable[..., Any]] = {
    "SHAPE": _shape,
    "STRIDED_SLICE": _strided_slice,
    "PACK": lambda o, *x: np.stack(x, o["axis"]),
    "CONCATENATION": lambda o, *x: np.concatenate(x, o["axis"]),
    "RESHAPE": lambda o, x, shape=None: x.reshape(-1) if shape is None else x.reshape(shape),
    "SQUEEZE": lambda o, x: np.squeeze(x),
    "EXPAND_DIMS": lambda o, x, axis: np.expand_dims(x, int(axis.reshape(-1)[0])),
    "GATHER": lambda o, x, indices: np.take(x, indices, o["axis"]) if o["batch_dims"] == 0 else None,
    "ADD": lambda o, a, b: a + b,
    "SUB": lambda o, a, b: a - b,
    "MUL": lambda o, a, b: a * b,
    "MINIMUM": lambda o, a, b: np.minimum(a, b),
    "MAXIMUM": lambda o, a, b: np.maximum(a, b),
}
"""Operator -> its value, of its options and the values of its inputs; SHAPE alone needs none of these."""
