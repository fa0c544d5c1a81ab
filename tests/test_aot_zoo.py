"""What holds for every operator in every type: TFLite Micro's answers, and code in which no tool finds anything."""

import numpy as np
import pytest
from aot_tools import Compiled, Micro, assert_agree
from operator_zoo import BYTE, FLOAT, TYPES, WIDE, zoo

from tinyloc.aot.lower import LOWERINGS
from tinyloc.aot.reader import read

RANGES = {BYTE: (-128, 128), WIDE: (-32768, 32768)}


def values(random, tensor, positive):
    """One input: random over the whole range, or above zero."""
    if tensor.dtype == FLOAT:
        return random.uniform(0.1 if positive else -4, 4, tensor.shape)
    low, high = RANGES[tensor.dtype]
    return random.integers(tensor.zero_point + 1 if positive else low, high, tensor.shape)


def test_no_operator_is_missing(tmp_path):
    found = set()
    for positive in (False, True):
        graph = read(zoo(*TYPES, positive=positive).save(tmp_path / "m.tflite"))
        found |= {operator.name for operator in graph.operators}
    assert found == set(LOWERINGS)


@pytest.mark.parametrize("positive", [False, True], ids=["any", "positive"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_operator_gives_tflite_micros_answer(dtype, positive, tmp_path):
    path = zoo(dtype, positive=positive).save(tmp_path / "m.tflite")
    compiled, micro, random = Compiled(path, tmp_path / "c"), Micro(path), np.random.default_rng(0)
    for _ in range(4):
        given = [values(random, tensor, positive) for tensor in compiled.inputs]
        assert_agree(compiled.run(*given), micro.run(*given))
    if dtype != FLOAT and not positive:
        for extreme in (RANGES[dtype][0], RANGES[dtype][1] - 1):
            given = [np.full(tensor.shape, extreme) for tensor in compiled.inputs]
            assert_agree(compiled.run(*given), micro.run(*given))
