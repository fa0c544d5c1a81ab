"""What is left of a model of windows when its weights take fewer than eight bits.

The int8 export is taken as it is, every activation on its ruler, and the weights of its layers alone are put into a
code (`codes`) and simulated. Biases, and constants that are added, stay as they are: their bytes are the same in all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tinyloc import config
from tinyloc.data.splits import Fold
from tinyloc.data.windows import cut
from tinyloc.errors import InputError
from tinyloc.export import arena, calibration, codes, flatbuffer, lookup, mixed_precision
from tinyloc.export.codes import Coded, Layer
from tinyloc.export.noise import decibels
from tinyloc.export.simulation import Simulation
from tinyloc.export.tflm import Tflm
from tinyloc.files import atomic
from tinyloc.models.crf import last_rooms_numpy
from tinyloc.models.mdcsa import MDCSA
from tinyloc.training.checkpoint import Trained, load
from tinyloc.training.distil import all_scores

FLOAT, INT8, UNIFORM, MIXED, CODEBOOK, BY_CHANNEL, SERIES = (
    "PyTorch", "int8", "uniform", "mixed", "codebook", "codebook by channel", "two terms",
)  # fmt: skip

WIDTHS = (2, 3, 4, 6, 8)
"""Of a layer, in bits: those that a mixed model chooses from."""

BUDGETS = (3, 4)
"""Bits a weight: a mixed model may take as many bytes as a uniform one of this width."""

CODES: dict[tuple[str, str], Callable[[Layer], Coded]] = {
    (INT8, "8"): codes.as_it_is,
    **{(UNIFORM, str(bits)): lambda layer, bits=bits: codes.uniform(layer, bits) for bits in (6, 5, 4, 3, 2)},
    **{(CODEBOOK, str(n)): lambda layer, n=n: codes.codebook(layer, n) for n in (16, 8, 4)},
    **{(BY_CHANNEL, str(n)): lambda layer, n=n: codes.codebook(layer, n, by_channel=True) for n in (4,)},
    **{(SERIES, f"{a} + {b}"): lambda layer, of=(a, b): codes.series(layer, of) for a, b in ((4, 4), (3, 3), (2, 2))},
}
"""By family and setting (bits, entries of a table, bits of the terms)."""

RUN = ((INT8, "8"), (UNIFORM, "4"), (CODEBOOK, "4"))
"""Codes that `in_tflm` runs. Any of one term and one table a layer could."""

_SENSED = 12  # calibration windows that a layer's noise is measured on


@dataclass(frozen=True)
class Answers:
    """One code of one fold's model."""

    fold: str
    family: str
    setting: str
    bytes: int  # of the layers' weights
    n_weights: int
    recording: np.ndarray  # [N], of the windows asked
    true: np.ndarray  # [N] rooms
    predicted: np.ndarray  # [N]
    agreement: float  # share of outputs whose best room is PyTorch's
    snr_db: float  # of the scores, against PyTorch's


@dataclass(frozen=True)
class Run:
    """One code in TFLite Micro, packed by its own lookup tables."""

    family: str
    setting: str
    tflite_bytes: int
    arena_bytes: int
    identical: float  # share of outputs that are those of the same weights as plain int8


class Model:
    """An int8 export of a model of windows, and what it answers with other weights."""

    def __init__(self, tflite: Path, checkpoint: Path) -> None:
        """Raises InputError: a file is missing or corrupt; the model does not read windows."""
        self.trained = load(checkpoint)
        if not isinstance(self.trained.model, MDCSA):
            raise InputError(f"{checkpoint}: codes below eight bits are tried on models of windows; choose an MDCSA")
        self.graph = flatbuffer.read(tflite)
        self.layers = lookup.layers(self.graph)
        self._simulation = Simulation(self.graph, as_kernels=False)  # most codes are no marks of one ruler

    @property
    def n_weights(self) -> int:
        return sum(layer.integers.size for layer in self.layers.values())

    @torch.no_grad()
    def scores(self, inputs: Mapping[str, np.ndarray], coded: Mapping[int, Coded]) -> np.ndarray:
        """[N, T, R]. inputs: scaled, by name [N, T, n]; coded: by tensor index, in place of a layer's own weights."""
        known = self._simulation.constants
        weights = {i: torch.from_numpy(code.real).reshape(known[i].shape) for i, code in coded.items()}
        ports = [self._simulation.names[i] for i in flatbuffer.graph(self.graph).inputs]
        given = {name: torch.from_numpy(inputs[name]) for name in ports}
        return self._simulation.run(given, weights)["scores"][:, 0].numpy()

    def noise(self, inputs: Mapping[str, np.ndarray]) -> dict[int, dict[int, mixed_precision.Option]]:
        """What every width of every layer alone costs: by tensor index, then bits."""
        whole = self.scores(inputs, {})

        def option(index: int, bits: int) -> mixed_precision.Option:
            code = _at(self.layers[index], bits)
            noise = 0.0 if bits == 8 else float(np.square(self.scores(inputs, {index: code}) - whole).mean())
            return mixed_precision.Option(code.bytes, noise)

        return {index: {bits: option(index, bits) for bits in WIDTHS} for index in self.layers}


def measure(
    tflite: Path, checkpoint: Path, fold: Fold, windows: config.Windows, seed: int, every: int
) -> list[Answers]:
    """Every code of a fold's model, simulated on one in `every` of its test windows.

    tflite: the int8 export of `checkpoint`. seed: draws the training windows that widths of mixed models rest on.
    Raises InputError: see `Model`.
    """
    model = Model(tflite, checkpoint)
    asked = cut(fold.test, windows.length, windows.test_hop).select(slice(None, None, every))
    scaled = model.trained.scaler.transform(asked)
    inputs = {"rssi": scaled.rssi, "acc": scaled.acc}
    reference = all_scores(model.trained.model, *map(torch.from_numpy, inputs.values())).numpy()
    seen = calibration.windows_of(model.trained, fold, windows, _SENSED, seed)

    def answers(key: tuple[str, str], size: int, scores: np.ndarray) -> Answers:
        return Answers(
            fold.name,
            *key,
            bytes=size,
            n_weights=model.n_weights,
            recording=asked.recording,
            true=asked.target,
            predicted=_rooms(model.trained, scores),
            agreement=float((scores.argmax(-1) == reference.argmax(-1)).mean()),
            snr_db=decibels(reference, scores),
        )

    codes_of = coded_by(model, seen.inputs)
    return [answers((FLOAT, "32"), 4 * model.n_weights, reference)] + [
        answers(key, sum(code.bytes for code in coded.values()), model.scores(inputs, coded))
        for key, coded in codes_of.items()
    ]


def coded_by(model: Model, calibrating: Mapping[str, np.ndarray]) -> dict[tuple[str, str], dict[int, Coded]]:
    """All layers in every code of CODES, then mixed within BUDGETS: by family and setting, then tensor index."""
    found = {key: {i: code(layer) for i, layer in model.layers.items()} for key, code in CODES.items()}
    noise = model.noise(calibrating)
    for bits in BUDGETS:
        budget = sum(code.bytes for code in found[UNIFORM, str(bits)].values())
        chosen = mixed_precision.choose(noise, budget)
        found[MIXED, str(bits)] = {i: _at(model.layers[i], width) for i, width in chosen.items()}
    return found


def in_tflm(tflite: Path, checkpoint: Path, fold: Fold, windows: config.Windows, count: int, out: Path) -> list[Run]:
    """The codes of RUN in TFLite Micro itself, packed, beside the same weights as plain int8.

    Both run on the first `count` of the fold's test windows. out: a folder for the files.
    Raises InputError: see `Model`; TFLite Micro does not take a file.
    """
    model = Model(tflite, checkpoint)
    trial = model.trained.scaler.transform(cut(fold.test, windows.length, windows.test_hop))
    inputs = {"rssi": trial.rssi[:count], "acc": trial.acc[:count]}
    return [_run(model, key, inputs, out) for key in RUN]


def _run(model: Model, key: tuple[str, str], inputs: Mapping[str, np.ndarray], out: Path) -> Run:
    plain = lookup.replaced(model.graph, {i: CODES[key](layer).terms[0] for i, layer in model.layers.items()})
    path = out / f"{'-'.join(key)}.tflite"
    expected = _in_tflm(path.with_stem(f"{path.stem}-plain"), plain, inputs)
    found = _in_tflm(path, lookup.compress(plain), inputs)
    return Run(*key, path.stat().st_size, arena.measure(path).needed, float((found == expected).mean()))


def _in_tflm(path: Path, model: flatbuffer.schema.ModelT, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores in integers [N, T, R]. The model is left at `path`."""
    with atomic(path) as temporary:
        temporary.write_bytes(flatbuffer.pack(model))
    tflm = Tflm(path)
    return tflm.run(tflm.quantise({name: inputs[name] for name in tflm.inputs}))["scores"]


def _at(layer: Layer, bits: int) -> Coded:
    return codes.as_it_is(layer) if bits == 8 else codes.uniform(layer, bits)


def _rooms(trained: Trained, scores: np.ndarray) -> np.ndarray:
    """Rooms at the windows' last steps [N], by the CRF that was trained."""
    crf = trained.model.crf
    start, transition, end = (p.detach().numpy() for p in (crf.start, crf.transition, crf.end))
    return last_rooms_numpy(scores, start, transition, end, trained.model.decide)
