"""Which operators TFLite Micro runs in which types, and which of them are compiled: it and the compiler are asked anew.

What neither knows stands here too, so that a newer tflite-micro that does more makes this test speak.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aot_tools import Micro
from operator_zoo import ANIMALS, BYTE, FLOAT, POSITIVE, TYPES, WIDE, Zoo, binary, function

from tinyloc.aot.compiler import compile_model
from tinyloc.errors import InputError

Builder = Callable[[Zoo], None]


def pooled(z: Zoo) -> None:
    options = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
    z.operator("L2_POOL_2D", [z.source((1, 4, 4, 2))], [z.result((1, 2, 2, 2))], "Pool2D", **options)


def cumulated(z: Zoo) -> None:
    z.operator("CUMSUM", [z.source((3, 5)), z.integers(1)], [z.result((3, 5))], "Cumsum")


def reversed_(z: Zoo) -> None:
    q = z.quantisation()
    z.operator("REVERSE_V2", [z.source((3, 5), **q), z.integers(1)], [z.result((3, 5), **q)], "ReverseV2")


def mirrored(z: Zoo) -> None:
    q, margins = z.quantisation(), z.constant(np.array([[1, 1], [2, 0]], np.int32))
    z.operator("MIRROR_PAD", [z.source((3, 5), **q), margins], [z.result((5, 7), **q)], "MirrorPad", mode=0)


def bilinear(z: Zoo) -> None:
    q = z.quantisation()
    inputs = [z.source((1, 2, 3, 4), **q), z.integers(4, 5)]
    z.operator("RESIZE_BILINEAR", inputs, [z.result((1, 4, 5, 4), **q)], "ResizeBilinear")


def added(z: Zoo) -> None:
    z.operator("ADD_N", [z.source((3, 5)) for _ in range(3)], [z.result((3, 5))], "AddN")


def log_softmax(z: Zoo) -> None:
    z.operator("LOG_SOFTMAX", [z.source((3, 5))], [z.result((3, 5), **z.fixed(4, 127))], "LogSoftmax")


OTHERS: dict[str, Builder] = {
    **{name: function(name) for name in ("FLOOR", "CEIL", "ROUND", "SIN", "RELU_N1_TO_1")},
    **{name: function(name, name.capitalize()) for name in ("COS", "GELU", "SIGN")},
    "POW": binary("POW", "Pow", same=True),
    "L2_POOL_2D": pooled,
    "CUMSUM": cumulated,
    "REVERSE_V2": reversed_,
    "MIRROR_PAD": mirrored,
    "RESIZE_BILINEAR": bilinear,
    "ADD_N": added,
    "LOG_SOFTMAX": log_softmax,
}
"""Operators that are not compiled; TFLite Micro runs some."""

LEFT_OUT = {
    **{name: {FLOAT} for name in ("FLOOR", "CEIL", "ROUND", "SIN", "COS", "L2_POOL_2D")},
    **{name: {BYTE, FLOAT} for name in ("CUMSUM", "MIRROR_PAD", "RESIZE_BILINEAR", "ADD_N", "LOG_SOFTMAX")},
    "REVERSE_V2": {BYTE, WIDE, FLOAT},
    "DIV": {BYTE},
}
"""What TFLite Micro runs and is refused here."""


def compiled(path: Path) -> bool:
    try:
        compile_model(path, path.with_suffix(".c"))
    except InputError:
        return False
    return True


def interpreted(path: Path) -> bool:
    try:
        micro = Micro(path)
        inputs = [micro.graph.tensors[i] for i in micro.graph.inputs]
        micro.run(*(np.full(tensor.shape, 7, tensor.dtype) for tensor in inputs))
    except RuntimeError:
        return False
    return True


@pytest.mark.slow
def test_what_tflite_micro_runs_is_compiled_or_known_to_be_left_out(capfd):
    builders = {name: add for name, (_, add) in {**ANIMALS, **POSITIVE}.items()} | OTHERS
    found: dict[str, set[str]] = {}
    for name, add in builders.items():
        if name == "selective step":  # a group of float operators
            continue
        for dtype in TYPES:
            add(z := Zoo(dtype))
            with tempfile.TemporaryDirectory() as folder:
                path = z.save(Path(folder) / "m.tflite")
                theirs, ours = interpreted(path), compiled(path)
            if theirs and not ours:
                found.setdefault(name, set()).add(dtype)
            assert theirs or not ours, f"{name} of {dtype} is compiled, and TFLite Micro does not run it"
    capfd.readouterr()  # TFLite Micro says on stderr what it does not know
    assert found == LEFT_OUT
