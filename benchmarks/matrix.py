"""Every MDCSA and Mamba of the project in every kind of export: converted, run in TFLite Micro, compared with PyTorch.

Widths 8 to 256 and 8 to 64, one or two modalities and layers, RSSI as it is and in pieces, Mamba step by step and by
windows; inputs, rooms and weights are those of `benchmarks.export`, only that wider networks are moved less from their
initialisation. It takes an hour and more, so it runs when it is named alone; some rows are among the slow tests.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from benchmarks import Table
from benchmarks.export import N_STEPS, inputs, measured, trained
from tinyloc.config import ExportKind, MambaModel, MdcsaModel, Modality, Model
from tinyloc.errors import InputError
from tinyloc.export import agreement, kinds
from tinyloc.training.checkpoint import Trained

MDCSA_WIDTHS, MAMBA_WIDTHS = (8, 16, 32, 64, 128, 256), (8, 16, 32, 64)
MODALITIES: tuple[list[Modality], ...] = (["rssi", "acc"], ["rssi"], ["acc"])
KINDS: tuple[ExportKind, ...] = tuple(kind for kind in kinds.AVOID if kind != "int8-aware")  # the graph of int8
N_WINDOWS = 20
PIECES = 10
"""`rssi_bins` of every second MDCSA that sees RSSI."""
FITTED_FROM = 128
"""Scores of a wide network with a random head are nearly ties, among which rounding decides; those of a trained one
are not."""


def run() -> Table:
    """Export every model in every kind."""
    note = "ratio: 1 where the export is accepted, 0 where it is refused or is another function"
    return Table("Every export, compared with PyTorch", note, [*rows(models().items())])


def models() -> dict[str, Model]:
    """All of them, by name."""
    found: dict[str, Model] = {}
    for d in MDCSA_WIDTHS:
        for seen in MODALITIES:
            for bins in (0, PIECES) if "rssi" in seen else (0,):
                name = f"MDCSA d={d} {'+'.join(seen)}{', in pieces' * (bins > 0)}"
                found[name] = MdcsaModel(family="mdcsa", d=d, modalities=seen, rssi_bins=bins)
    for d in MAMBA_WIDTHS:
        for layers in (1, 2):
            for with_acc in (True, False):
                name = f"Mamba d={d} {'rssi+acc' if with_acc else 'rssi'}, {layers} layer{'s' * (layers > 1)}"
                found[name] = MambaModel(family="mamba", d=d, n_state=8, layers=layers)
                found[f"{name}, window"] = MambaModel(family="mamba", d=d, n_state=8, layers=layers, form="window")
    return found


def rows(chosen: Iterable[tuple[str, Model]], asked: Iterable[ExportKind] = KINDS) -> Iterator[dict]:
    """One row a model and kind, whether it was accepted and what it takes."""
    for name, config in chosen:
        one = trained(config, by=0.2 * min(1.0, (16 / config.d) ** 0.5), with_acc="acc" in name)
        rng = np.random.default_rng(0)
        streams = one.model.streams
        seen, test = (inputs(rng, 4, 60) if streams else inputs(rng, N_WINDOWS, N_STEPS) for _ in range(2))
        if config.d >= FITTED_FROM:
            _fit_head(one, test)
        for kind in asked:
            yield {"model": f"{name} {kind}", **_row(one, kind, seen, test, streams)}


@torch.no_grad()
def _fit_head(one: Trained, test: dict[str, np.ndarray]) -> None:
    """Make the last layer read in what the features differ most: either end of each of their principal axes."""
    rssi, acc = (torch.from_numpy(test[name]) for name in ("rssi", "acc"))
    features = one.model.features(rssi, acc[..., : one.n_acc]).flatten(0, 1).double()
    mean = features.mean(0)
    spread, axes = torch.linalg.eigh((features - mean).T @ (features - mean) / len(features))  # the widest come last
    whitened = (axes / spread.clamp(min=1e-12).sqrt()).flip(1)
    weight = torch.stack([whitened, -whitened], -1).flatten(1)[:, : one.n_rooms]
    one.model.head.weight.copy_(weight.T)
    one.model.head.bias.copy_(-mean @ weight)


def _row(one: Trained, kind: ExportKind, seen: dict, test: dict, streams: bool) -> dict:
    problem = None
    try:
        found, same = measured(one, kind, seen, test, streams)
        agreement.require(same, kind, "it")
    except InputError as error:
        found, problem = {}, str(error)
    sizes = {name: found.get(name) for name in ("tflite", "arena", "operators", "agreement")}
    return {**sizes, "problem": problem, "ratio": float(problem is None), "at least": 1.0}
