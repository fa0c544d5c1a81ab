"""Arithmetic with shapes at compile time."""

import numpy as np
import pytest
from operator_zoo import BYTE, Zoo, shape_of
from tflite_writer import ModelWriter

from tinyloc.aot.compiler import compile_model
from tinyloc.aot.folding import folded
from tinyloc.aot.reader import read
from tinyloc.errors import InputError


def test_what_computes_a_shape_is_gone_and_its_value_is_known(tmp_path):
    shape_of(z := Zoo(BYTE))
    graph = folded(read(z.save(tmp_path / "m.tflite")))
    (reshape,) = graph.operators
    assert reshape.name == "RESHAPE" and graph.tensors[reshape.inputs[1]].data.tolist() == [2, 12]


@pytest.mark.parametrize(
    ("name", "options", "arguments", "shape", "value"),
    [
        ("CONCATENATION", "Concatenation", ([3, 4], [5]), (3,), [3, 4, 5]),
        ("GATHER", "Gather", ([3, 4, 5], [2, 0]), (2,), [5, 3]),
        ("MUL", "Mul", ([3, 4], [5]), (2,), [15, 20]),
        ("SUB", "Sub", ([3, 4], [5]), (2,), [-2, -1]),
        ("MAXIMUM", "MaximumMinimum", ([3, 4], [4, 3]), (2,), [4, 4]),
        ("EXPAND_DIMS", "ExpandDims", ([3, 4], [0]), (1, 2), [[3, 4]]),
        ("GATHER", "Gather", ([3, 4, 5], [3]), (1,), None),  # reaches beyond
        ("MUL", "Mul", ([3, 4], [5, 6, 7]), (2,), None),  # do not fit together
        ("ADD", "Add", ([3, 4], [5]), (3,), None),  # says another shape
    ],
)
def test_the_value_is_numpys_or_the_operator_stays(name, options, arguments, shape, value, tmp_path):
    m = ModelWriter()
    made = m.tensor(shape, "int32", name="made")
    m.operator(name, [m.constant(np.array(a, np.int32)) for a in arguments], [made], options)
    x = m.input((2, 3), name="x")
    m.operator("RESHAPE", [x, made], [m.output(m.tensor((3, 2), name="y"))], "Reshape")
    path = m.save(tmp_path / "m.tflite")
    graph = folded(read(path))
    if value is None:
        assert graph.operators[0].name == name
        with pytest.raises(InputError, match=rf"operator 0 \({name}, version 1\), which makes tensor 'made'"):
            compile_model(path, tmp_path / "c")
    else:
        assert len(graph.operators) == 1 and graph.tensors[made].data.tolist() == value


def test_a_slice_of_a_form_that_is_not_known_here_stays(tmp_path):
    m = ModelWriter()
    bounds = [m.constant(np.array([n], np.int32)) for n in (0, 1, 1)]
    made = m.tensor((), "int32", name="made")
    m.operator(
        "STRIDED_SLICE", [m.constant(np.array([3, 4], np.int32)), *bounds], [made], "StridedSlice", ellipsisMask=1
    )
    x = m.input((3, 1), name="x")
    m.operator("RESHAPE", [x, made], [m.output(m.tensor((3,), name="y"))], "Reshape")
    path = m.save(tmp_path / "m.tflite")
    assert folded(read(path)).operators[0].name == "STRIDED_SLICE"
