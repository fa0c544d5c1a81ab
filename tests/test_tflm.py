"""The TFLite Micro of this machine against upstream's builds for Cortex-M, on the same inputs."""

from pathlib import Path

import numpy as np
import pytest

from tinyloc.export.tflm import Tflm

PEERS = Path(__file__).parent / "peers"


@pytest.mark.parametrize("name", ["attn_i8", "cnn_i8", "mlp_i8"])
def test_outputs_are_those_of_a_cortex_m(name):
    tflm = Tflm(PEERS / f"{name}.tflite")
    inputs = np.fromfile(PEERS / f"{name}.in", np.int8).reshape(-1, 20, 11)
    (outputs,) = tflm.run({next(iter(tflm.inputs)): inputs}).values()
    assert outputs.tobytes() == (PEERS / f"{name}.out").read_bytes()
