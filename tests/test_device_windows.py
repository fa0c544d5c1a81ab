"""An .npz by tensor name, as the records that the runner takes and the outputs that it gives."""

import re

import numpy as np
import pytest

from tinyloc.aot.graph import Graph, Quantisation, Tensor
from tinyloc.device import windows
from tinyloc.errors import InputError


def quantised(index, name, shape, scale, zero_point):
    return Tensor(index, name, shape, "int8", Quantisation(np.float32([scale]), np.int64([zero_point])))


GRAPH = Graph(
    source="model.tflite",
    sha256="",
    tensors=[
        quantised(0, "rssi", (1, 2, 3), 0.5, -10),
        Tensor(1, "state/h", (1, 4), "float32"),
        Tensor(2, "acc", (1, 2), "float32"),
        quantised(3, "scores", (1, 2), 0.25, 3),
        Tensor(4, "next/h", (1, 4), "float32"),
    ],
    operators=[],
    inputs=(0, 1, 2),
    outputs=(3, 4),
)
RSSI = np.arange(24, dtype=np.int8).reshape(4, 2, 3)
ACC = np.arange(8, dtype=np.float32).reshape(4, 2)


def saved(tmp_path, **arrays):
    path = tmp_path / "windows.npz"
    np.savez(path, **arrays)
    return path


def test_a_record_is_the_inputs_without_the_states_in_the_models_order(tmp_path):
    given = windows.read(saved(tmp_path, acc=ACC, rssi=RSSI), GRAPH)
    assert given.records.shape == (4, 6 + 8)
    assert given.records[2].tobytes() == RSSI[2].tobytes() + ACC[2].tobytes()
    assert given.reset.tolist() == [False] * 4
    assert given.expected == {}


def test_real_numbers_are_quantised_and_clipped(tmp_path):
    real = np.full((1, 2, 3), [[-1.0, 0.0, 0.3], [0.2, 500.0, -500.0]])
    given = windows.read(saved(tmp_path, rssi=real, acc=ACC[:1]), GRAPH)
    assert given.records[0, :6].view(np.int8).tolist() == [-12, -10, -9, -10, 127, -128]


def test_reset_and_expected_outputs_are_optional(tmp_path):
    scores = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.int8)
    reset = np.array([True, False, True, False])
    given = windows.read(saved(tmp_path, rssi=RSSI, acc=ACC, scores=scores, reset=reset), GRAPH)
    assert given.reset.tolist() == reset.tolist()
    assert given.expected["scores"].tolist() == scores[:, None].tolist()


def test_outputs_are_split_into_tensors():
    rows = np.array([[1, 255], [128, 4]], np.uint8)
    assert windows.split(GRAPH, rows)["scores"].tolist() == [[[1, -1]], [[-128, 4]]]


def test_a_difference_is_in_real_numbers():
    a, b = {"scores": np.array([[[1, 2]]], np.int8)}, {"scores": np.array([[[1, -2]]], np.int8)}
    assert windows.difference(GRAPH, a, b) == {"bit_identical": False, "max_abs_difference": 1.0}
    assert windows.difference(GRAPH, a, a) == {"bit_identical": True, "max_abs_difference": 0.0}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"rssi": RSSI}, "input 'acc' of model.tflite is missing; inputs are rssi, acc; outputs are scores"),
        ({"rssi": RSSI, "acc": ACC, "rsi": ACC}, "array 'rsi' is no input or output of model.tflite; inputs are"),
        ({"rssi": RSSI[:, :1], "acc": ACC}, "'rssi' is [4, 1, 3], not [4, 2, 3]"),
        ({"rssi": RSSI.swapaxes(1, 2), "acc": ACC}, "'rssi' is [4, 3, 2], not [4, 2, 3]"),
        ({"rssi": RSSI.reshape(8, 3), "acc": ACC}, "'rssi' is [8, 3], not [8, 2, 3]"),
        ({"rssi": RSSI, "acc": ACC[:3]}, "'acc' is [3, 2], not [4, 2]"),
        ({"rssi": RSSI.astype(np.int32), "acc": ACC}, "'rssi' is int32; give int8 or real numbers"),
        ({"rssi": RSSI, "acc": RSSI[:, 0, :2]}, "'acc' is int8; give float32 or real numbers"),
        ({"rssi": RSSI, "acc": ACC * np.nan}, "'acc' has a value in window 0 that is not a finite number"),
        ({"rssi": RSSI, "acc": ACC, "reset": np.zeros(3, bool)}, "reset is [3], not [4]"),
        ({"rssi": RSSI, "acc": ACC, "reset": np.array(["a"] * 4)}, "reset is <U1; give bool"),
        ({"rssi": RSSI[:0], "acc": ACC[:0]}, "there is no window in it"),
    ],
)
def test_what_does_not_fit_the_model_is_named(tmp_path, arrays, message):
    path = saved(tmp_path, **arrays)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")) as caught:
        windows.read(path, GRAPH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"not an archive", b"PK\3\4 cut short"])
def test_a_file_that_is_no_npz_is_named(tmp_path, content):
    path = tmp_path / "windows.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"windows\.npz: (no such file|not an \.npz)"):
        windows.read(path, GRAPH)


def test_an_array_that_is_not_an_npz_is_refused(tmp_path):
    path = tmp_path / "windows.npy"
    np.save(path, ACC)
    with pytest.raises(InputError, match=r"not an \.npz"):
        windows.read(path, GRAPH)
