"""The kinds of export: from one trained model, `.tflite` files of different numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyloc.config import ExportKind
from tinyloc.export import noise, passes, ranges, reach, rounding, weight_only
from tinyloc.export.calibration import Calibration
from tinyloc.export.convert import float_graph
from tinyloc.export.flatbuffer import schema
from tinyloc.export.native import native_stderr
from tinyloc.export.quantise import quantise
from tinyloc.export.scheme import INT8, INT16, Ranges
from tinyloc.export.simulation import Simulation
from tinyloc.models.mamba import Mamba
from tinyloc.training.checkpoint import Trained

AVOID: dict[ExportKind, frozenset[str]] = {
    "float32": frozenset(),
    "dynamic": frozenset(),
    "float16": frozenset(),
    "int8": frozenset({"EXP", "LOG"}),
    "int8-aware": frozenset({"EXP", "LOG"}),
    # L2_NORMALIZATION and ELU give int8 alone; a sensitive normalisation should be free to be wider
    "mixed": frozenset({"EXP", "LOG", "L2_NORMALIZATION"}),
    "int16x8": frozenset({"EXP", "LOG", "L2_NORMALIZATION", "ELU"}),
}
"""Operators that a kind has no kernel for: the twin is written without them."""

INTEGERS = {"int8": INT8, "int8-aware": INT8, "mixed": INT8, "int16x8": INT16}
STORED = {"dynamic": np.dtype(np.int8), "float16": np.dtype(np.float16)}

_OFTEN = {"count": 64, "steps": 60}  # what the search for sensitive tensors looks at


Train = Callable[[schema.ModelT, Ranges], schema.ModelT]


@dataclass(frozen=True)
class Made:
    model: schema.ModelT
    reference: schema.ModelT  # the float graph of the same twin, with the same names
    wide: frozenset[str]  # tensors that are int16 among int8


def make(
    trained: Trained,
    n_steps: int,
    kind: ExportKind,
    calibration: Calibration | None,
    method: ranges.Method,
    train: Train | None = None,
) -> Made:
    """The model of `kind`. calibration: for kinds of integers, and `method` sets the ranges from it.

    train: for `int8-aware`, the float graph and its ranges to the graph with better constants.

    Raises InputError: the calibration does not give every tensor a range; an operator lacks a kernel.
    """
    reference = float_graph(twin(trained, n_steps, avoided(trained, kind), calibration if kind in INTEGERS else None))
    wide: frozenset[str] = frozenset()
    if kind in INTEGERS:
        seen = calibration.run(Simulation(reference))
        found = ranges.choose(reference, seen, method, INTEGERS[kind])
        if kind == "mixed":
            wide = noise.loudest(noise.by_ruler(reference, found, INT8, calibration.first(**_OFTEN)))
        better = reference
        if kind == "int8-aware":
            better = train(reference, found)
        elif kind == "int16x8" or getattr(trained.config, "rssi_bins", 0):
            # of weights of 8 bits among activations of 16, it is the weights that lose; and behind levels in pieces,
            # whose columns are far from a mean of 0
            better = rounding.fitted(reference, seen, found, INTEGERS[kind])
        model = quantise(better, found, INTEGERS[kind], wide)
    elif kind in STORED:
        model = weight_only.shrink(reference, STORED[kind])
    else:
        model = reference
    return Made(passes.compacted(model), reference, wide)


def avoided(trained: Trained, kind: ExportKind) -> frozenset[str]:
    """Operators that the twin of a trained network has to do without. A Mamba's norms are not what it loses in: there
    L2_NORMALIZATION, with its sum of squares in 32 bits, is better than five operators that could be wider."""
    return AVOID["int8" if kind == "mixed" and isinstance(trained.model, Mamba) else kind]


def input_names(trained: Trained) -> list[str]:
    """Inputs of an exported network: modalities that it does not see are not there."""
    if isinstance(trained.model, Mamba):
        return [name for name, columns in (("rssi", trained.n_ap), ("acc", trained.n_acc)) if columns]
    return list(trained.model.modalities)


def twin(trained: Trained, n_steps: int, avoid: frozenset[str], calibration: Calibration | None = None):
    """The TensorFlow twin of a trained network, for windows of `n_steps` where it knows windows.

    calibration: of kinds of integers; what a Mamba of int8 is evened out on.
    """
    with native_stderr():  # TensorFlow takes seconds to import, and talks; only what converts needs it
        from tinyloc.export.twin_mamba import TwinMamba, TwinMambaWindow
        from tinyloc.export.twin_mdcsa import TwinMDCSA

    if isinstance(trained.model, Mamba):
        even = calibration is not None and "EXP" in avoid and "ELU" not in avoid
        reaches = reach.measure(trained.model, calibration.as_streams()) if even else None
        columns = trained.n_ap, trained.n_acc
        if trained.model.streams:
            return TwinMamba(trained.model, columns, avoid, reaches)
        return TwinMambaWindow(trained.model, columns, n_steps, avoid, reaches)
    return TwinMDCSA(trained.model, n_steps, avoid, integers=calibration is not None)
