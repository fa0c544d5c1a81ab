"""Reading .tflite: whole files, and every kind of damage."""

import subprocess
import sys
import time

import numpy as np
import pytest
from aot_tools import PEERS
from tflite_writer import ModelWriter

from tinyloc.aot import schema
from tinyloc.aot.graph import Unsupported
from tinyloc.aot.lower import lower
from tinyloc.aot.plan import plan
from tinyloc.aot.reader import MAX_TENSORS, read
from tinyloc.errors import InputError


def little_model() -> ModelWriter:
    model = ModelWriter()
    x = model.input((1, 4, 6), "int8", scale=0.1, zero=-3, name="x")
    state = model.input((1, 4, 6), "int8", scale=0.1, zero=2, name="state/s")
    weights = model.constant(np.ones((6, 6), np.int8), scale=[0.5] * 6)
    dense = model.tensor((1, 4, 6), "int8", scale=0.7, zero=5)
    model.operator("FULLY_CONNECTED", [x, weights, -1], [dense], "FullyConnected", keepNumDims=True)
    new = model.output(model.tensor((1, 4, 6), "int8", scale=0.1, zero=2, name="next/s"))
    model.operator("ADD", [dense, state], [new], "Add", fusedActivationFunction=1)
    mean = model.output(model.tensor((1, 6), "int8", scale=0.1, name="y"))
    model.operator("MEAN", [new, model.constant(np.array([1], np.int32))], [mean], "Reducer", version=2)
    return model


def test_a_whole_file(tmp_path):
    graph = read(little_model().save(tmp_path / "m.tflite"))
    assert [(o.name, o.version) for o in graph.operators] == [("FULLY_CONNECTED", 1), ("ADD", 1), ("MEAN", 2)]
    assert [graph.tensors[i].name for i in graph.inputs] == ["x", "state/s"]
    x, weights = graph.tensors[0], graph.tensors[2]
    assert (x.shape, x.dtype, x.zero_point, x.data) == ((1, 4, 6), "int8", -3, None)
    assert x.scale == np.float32(0.1)
    assert weights.data.shape == (6, 6) and weights.quantisation.scale.shape == (6,)
    assert graph.operators[0].inputs[2] is None
    assert graph.operators[1].options == {"activation": "RELU"}
    assert graph.operators[2].options == {"keep_dims": False}


def attempt(path) -> str:
    """Read and plan what is in `path`: "" if that worked, otherwise the error's message."""
    started = time.monotonic()
    try:
        plan(lower(read(path)))
        message = ""
    except (InputError, Unsupported) as error:
        message = str(error)
        assert message and "\n" not in message
    assert time.monotonic() - started < 5
    return message


def test_truncated_files_are_refused(tmp_path):
    whole, path = (PEERS / "mlp_i8.tflite").read_bytes(), tmp_path / "cut.tflite"
    for length in [*range(0, 400, 7), *range(400, len(whole) - 1, 97)]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.tflite: not a whole \.tflite file: .+; export or copy it again"):
            read(path)


def test_every_truncation_of_a_little_file(tmp_path):
    whole, path = little_model().bytes(), tmp_path / "cut.tflite"
    # A file may end in padding that nothing refers to.
    refused = []
    for length in range(0, len(whole), 2):
        path.write_bytes(whole[:length])
        refused.append(bool(attempt(path)))
    assert all(refused[: len(refused) - 4])


def refused(tmp_path, model: ModelWriter) -> str:
    return attempt(model.save(tmp_path / "m.tflite"))


def test_unknown_operator_is_named_with_version_and_tensor(tmp_path):
    model = ModelWriter()
    x = model.input((1, 4), name="x")
    model.operator("CUMSUM", [x, x], [model.output(model.tensor((1, 4), name="sums"))], "Cumsum", version=3)
    expected = "operator 0 (CUMSUM, version 3), which makes tensor 'sums' float32[1, 4]: tinyloc has no kernel for it"
    assert expected in refused(tmp_path, model)


def test_known_operator_of_unknown_type_is_named(tmp_path):
    model = ModelWriter()
    a = model.input((4,), "int16", scale=0.1)
    model.operator("ELU", [a], [model.output(model.tensor((4,), "int16", scale=0.1, name="size"))], version=4)
    message = refused(tmp_path, model)
    assert "operator 0 (ELU, version 4), which makes tensor 'size' int16[4]: there is no kernel for int16" in message


def test_scales_that_cannot_belong_together(tmp_path):
    model = ModelWriter()
    a, b = (model.input((4,), "int8", scale=1e20) for _ in range(2))
    model.operator("MUL", [a, b], [model.output(model.tensor((4,), "int8", scale=1e-20))], "Mul")
    assert "its scales ask for a factor of 1e+60" in refused(tmp_path, model)


def gathered_into_another_type(m: ModelWriter) -> None:
    x, indices = m.input((3, 5)), m.constant(np.array([0], np.int32))
    m.operator("GATHER", [x, indices], [m.output(m.tensor((1, 5), "int64", name="y"))], "Gather")


def gate_of_another_size(m: ModelWriter) -> None:
    """SiLU is done in one pass; the kernel would read 60 elements where there are 6."""
    x, y = m.input((1, 6)), m.output(m.tensor((10, 6)))
    m.operator("LOGISTIC", [x], [gate := m.tensor((10, 6), name="gate")])
    m.operator("MUL", [x, gate], [y], "Mul")


def gate_of_another_type(m: ModelWriter) -> None:
    x = m.input((1, 6))
    m.operator("LOGISTIC", [x], [gate := m.tensor((1, 6))])
    m.operator("MUL", [x, gate], [m.output(m.tensor((1, 6), "int32", name="y"))], "Mul")


def scale_of_nearly_nothing(m: ModelWriter) -> None:
    a, y = m.input((4,), "int8", scale=0.1), m.output(m.tensor((4,), "int8", scale=1e-45))
    m.operator("ADD", [a, a], [y], "Add", fusedActivationFunction=3)


def scale_beyond_floats(m: ModelWriter) -> None:
    m.operator("ELU", [m.input((4,), "int8", scale=3e38)], [m.output(m.tensor((4,), "int8", scale=0.1, name="y"))])


def window_of_too_much(m: ModelWriter) -> None:
    x, y = m.input((1, 200, 200, 1), "int16", scale=0.1), m.output(m.tensor((1, 1, 1, 1), "int16", scale=0.1))
    options = {"padding": 1, "strideH": 1, "strideW": 1, "filterHeight": 200, "filterWidth": 200}
    m.operator("AVERAGE_POOL_2D", [x], [y], "Pool2D", **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (gathered_into_another_type, "'y' int64[1, 5]: there is no kernel for float32 and int64"),
        (gate_of_another_size, "operator 0 (LOGISTIC, version 1), which makes tensor 'gate' float32[10, 6]: "),
        (gate_of_another_type, "operator 1 (MUL, version 1), which makes tensor 'y' int32[1, 6]: there is no kernel"),
        (scale_of_nearly_nothing, "is too small for RELU6"),
        (scale_beyond_floats, "(ELU, version 1), which makes tensor 'y' int8[4]: its scales ask for"),
        (window_of_too_much, "sums of 40000 values would overflow"),
    ],
)
def test_what_the_fuzzer_found_behind_the_reader(tmp_path, build, message):
    build(model := ModelWriter())
    assert message in refused(tmp_path, model)


def test_an_operator_has_as_many_inputs_as_it_has(tmp_path):
    """Every one that is compiled, with one input too few, with one too many, and with an absent one."""
    for name, (fewest, most) in schema.INPUTS.items():
        for given, said in ((fewest - 1, "inputs, not"), (min(most, 9) + 1, "inputs, not"), (-1, "lacks one of its")):
            model = ModelWriter()
            x = model.input((4,))
            inputs = [-1] * fewest if given == -1 else [x] * given
            model.operator(name, inputs, [model.output(model.tensor((4,)))])
            if most < schema.MAX_OPERANDS or given < fewest:
                assert f"operator 0 ({name}) " in (message := refused(tmp_path, model)) and said in message


def test_more_tensors_than_any_microcontroller_has(tmp_path):
    model = ModelWriter()
    last = model.input((4,))
    for _ in range(MAX_TENSORS):
        model.operator("NEG", [last], [last := model.tensor((4,))], "Neg")
    model.output(last)
    assert f"it has {MAX_TENSORS + 1} tensors; tinyloc compiles at most {MAX_TENSORS}" in refused(tmp_path, model)


def too_early(model: ModelWriter) -> None:
    late = model.tensor((4,))
    model.operator("NEG", [late], [model.output(model.tensor((4,)))], "Neg")
    model.operator("NEG", [model.input((4,))], [late], "Neg")


def made_twice(model: ModelWriter) -> None:
    x, y = model.input((4,)), model.output(model.tensor((4,)))
    model.operator("NEG", [x], [y], "Neg")
    model.operator("NEG", [x], [y], "Neg")


def never_made(model: ModelWriter) -> None:
    model.operator("NEG", [model.input((4,))], [model.tensor((4,))], "Neg")
    model.output(model.tensor((4,), name="ghost"))


def bad_scale(model: ModelWriter) -> None:
    x = model.input((4,), "int8", scale=-1.0, name="x")
    model.operator("TANH", [x], [model.output(model.tensor((4,), "int8", scale=1 / 128))])


def wrong_index(model: ModelWriter) -> None:
    model.operator("NEG", [77], [model.output(model.tensor((model.input((4,)) + 4,)))], "Neg")


def wrong_options(model: ModelWriter) -> None:
    x = model.input((4,))
    model.operator("ADD", [x, x], [model.output(model.tensor((4,)))], "Mul")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (too_early, "reads 't0' too early"),
        (made_twice, "operator 1 (NEG) overwrites 't1'"),
        (never_made, "no operator makes the output tensor 'ghost'"),
        (bad_scale, "tensor 'x' has a scale that is not a positive number"),
        (wrong_index, "operator 0 (NEG) refers to tensor 77 of 2"),
        (wrong_options, "operator 0 (ADD) carries the options of another operator"),
    ],
)
def test_inconsistent_files(tmp_path, damage, message):
    model = ModelWriter()
    damage(model)
    assert message in refused(tmp_path, model)


def test_something_else(tmp_path):
    path = tmp_path / "notes.tflite"
    path.write_text("this is not a model")
    with pytest.raises(InputError, match="lacks the mark 'TFL3'"):
        read(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"absent\.tflite: cannot be read"):
        read(tmp_path / "absent.tflite")


def test_the_compiler_starts_without_heavy_libraries():
    code = "import sys, tinyloc.aot.compiler; print(sorted({'torch', 'tensorflow', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
