"""Where a model of integers loses: the noise of every tensor, operator by operator.

Two questions, two measurements. *How far off is each tensor by now?* The integers of TFLite Micro against the float
graph, tensor by tensor: noise that has piled up on the way there. *Whose fault is it?* One tensor alone is rounded,
all others are float, and the scores tell what that one rounding costs.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

from tinyloc.export import flatbuffer
from tinyloc.export.calibration import Calibration
from tinyloc.export.scheme import INT16, KERNELS, Ranges, Ruler, Scheme
from tinyloc.export.simulation import Simulation
from tinyloc.export.tflm import Tflm

WIDENED = 0.9
"""Of the noise that rounded activations bring to the scores: the share that a mixed model's int16 tensors take away."""


def decibels(reference: np.ndarray, found: np.ndarray) -> float:
    """Signal-to-noise ratio: variance of the reference over mean squared difference, dB; inf where they are
    equal, -inf for noise on a constant."""
    noise = np.square(found.astype(np.float64) - reference).mean()
    signal = reference.var(dtype=np.float64)
    if noise == 0 or signal == 0:
        return float("inf") if noise == 0 else float("-inf")
    return float(10 * np.log10(signal / noise))


def by_operator(
    reference: flatbuffer.schema.ModelT,
    quantised: flatbuffer.schema.ModelT,
    inputs: Mapping[str, np.ndarray],
    reset: np.ndarray,
) -> pd.DataFrame:
    """Every operator of a model of integers against the float model of the same twin, both in TFLite Micro.

    inputs, reset: real numbers, as `Tflm.run` takes them. Columns: tensor, operator, type, values (in one inference),
    snr_db; in order of execution. Operators that only the model of integers has (QUANTIZE) have no row.
    """
    wanted, found = (_real(model, inputs, reset) for model in (reference, quantised))
    rows = []
    for operator in flatbuffer.graph(quantised).operators:
        for index in operator.outputs:
            tensor = flatbuffer.graph(quantised).tensors[index]
            name = tensor.name.decode()
            if name in wanted and name in found:
                rows.append(
                    {
                        "tensor": name,
                        "operator": flatbuffer.operator_name(quantised, operator),
                        "type": flatbuffer.dtype(tensor).name,
                        "values": int(np.prod(tensor.shape)),
                        "snr_db": decibels(wanted[name], found[name]),
                    }
                )
    return pd.DataFrame(rows)


def all_tensors(
    model: flatbuffer.schema.ModelT, inputs: Mapping[str, np.ndarray], reset: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Every activation but the states, by name [N, ...], in its own type, as TFLite Micro computes it.

    By a copy of the model in which each of them is an output. inputs, reset: real numbers, as `Tflm.run` takes them.
    """
    return _probe(model, inputs, reset)[1]


def _probe(
    model: flatbuffer.schema.ModelT, inputs: Mapping[str, np.ndarray], reset: np.ndarray | None
) -> tuple[Tflm, dict[str, np.ndarray]]:
    model = copy.deepcopy(model)
    graph = flatbuffer.graph(model)
    computed = [int(t) for o in graph.operators for t in o.outputs]
    states = [int(t) for t in graph.outputs if graph.tensors[t].name.startswith(b"next/")]
    graph.outputs = np.array([t for t in computed if t not in states] + states, np.int32)
    with TemporaryDirectory() as folder:
        copied = Path(folder) / "model.tflite"
        copied.write_bytes(flatbuffer.pack(model))
        tflm = Tflm(copied)
        return tflm, tflm.run(tflm.quantise(inputs), reset)


def _real(
    model: flatbuffer.schema.ModelT, inputs: Mapping[str, np.ndarray], reset: np.ndarray
) -> dict[str, np.ndarray]:
    tflm, found = _probe(model, inputs, reset)
    return tflm.dequantise(found)


def by_ruler(model: flatbuffer.schema.ModelT, ranges: Ranges, base: np.dtype, on: Calibration) -> pd.DataFrame:
    """What the rounding of each group of activations alone costs the scores of a float model; loudest first.

    Simulated. Columns: tensor (the group's first, in order of execution), operator (that gives it), widens (whether
    all its operators have an int16 kernel), noise (mean square of the scores' error), snr_db.
    """
    scheme = Scheme(model)
    computed = Simulation(model, {}).activations
    types = scheme.types(base)
    reference = _scores(model, {}, on)
    rows = []
    for root, names in scheme.groups.items():
        rulers = {i: scheme.ruler(i, ranges, base) for i in types if scheme.group(i) == root}
        scores = _scores(model, rulers, on)
        makers = _makers(model, names)
        rows.append(
            {
                "tensor": min(names, key=computed.index),
                "operator": " ".join(sorted(makers)) or "input",
                "widens": makers <= KERNELS[INT16],
                "noise": float(np.square(scores - reference).mean()),
                "snr_db": decibels(reference, scores),
            }
        )
    return pd.DataFrame(rows).sort_values("noise", ascending=False, kind="stable", ignore_index=True)


def loudest(rows: pd.DataFrame, share: float = WIDENED) -> frozenset[str]:
    """The fewest tensors that bring `share` of the noise of all. rows: as `by_ruler` gives them.

    Tensors that cannot be widened are not chosen, and their noise is not counted.
    """
    able = rows[rows["widens"]]
    before = able["noise"].cumsum() - able["noise"]
    return frozenset(able["tensor"][before < share * able["noise"].sum()])


@torch.no_grad()
def _scores(model: flatbuffer.schema.ModelT, rulers: Mapping[int, Ruler], on: Calibration) -> np.ndarray:
    return on.run(Simulation(model, rulers))["scores"]


def _makers(model: flatbuffer.schema.ModelT, names: list[str]) -> set[str]:
    """Operators that give these tensors."""
    graph = flatbuffer.graph(model)
    makers = [o for o in graph.operators if any(graph.tensors[t].name.decode() in names for t in o.outputs)]
    return {flatbuffer.operator_name(model, o) for o in makers}
