"""What a stranger needs besides the `.tflite`: labels, scaler, features, decoder, and a card that says what it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2

from tinyloc import config, provenance
from tinyloc.config import ExportKind
from tinyloc.data.features import ACC_NAMES
from tinyloc.export import desktop
from tinyloc.export.kinds import INTEGERS
from tinyloc.export.tflm import Port
from tinyloc.files import write_json, write_text
from tinyloc.models.mdcsa import MDCSA
from tinyloc.training.checkpoint import Trained

CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Making:
    """Where a model comes from, in words and settings."""

    title: str
    kind: ExportKind
    fold: str
    origin: str  # one sentence: what made the data
    fingerprint: str
    features: config.Features
    n_steps: int


def leave(folder: Path, trained: Trained, making: Making, entry: Mapping, metrics: Mapping) -> None:
    """Complete the folder of an exported model: labels.txt, scaler.json, features.json, decoder.json, MODEL_CARD.md.

    entry: the fold's part of export.json. metrics: macro_f1, accuracy and n on the test windows of the fold.
    """
    write_text(folder / "labels.txt", "".join(f"{room}\n" for room in trained.rooms))
    write_json(folder / "scaler.json", _scaler(trained))
    write_json(folder / "features.json", _features(trained, making))
    files = ["model.tflite", "labels.txt", "scaler.json", "features.json"]
    if _decider(trained):
        crf = {name: values.tolist() for name, values in trained.model.crf.state_dict().items()}
        write_json(folder / "decoder.json", crf)
        files.append("decoder.json")
    model = desktop.load(folder / "model.tflite", making.kind)
    text = _template().render(
        **asdict(making) | {"features": making.features},
        family=trained.config.family.upper(),
        streamed=trained.model.streams,
        decider=_decider(trained),
        steps=making.n_steps,
        integers=making.kind in INTEGERS,
        ports=[_row(name, port) for name, port in {**model.inputs, **model.outputs}.items()],
        calibration=entry.get("calibration"),
        metrics=metrics,
        entry=entry,
        gateways=trained.gateways,
        labels=trained.rooms,
        provenance=provenance.record(),
        checksums={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
    )
    write_text(folder / CARD, text)


def _scaler(trained: Trained) -> dict:
    """Smallest and largest value of every column, by name."""
    scaler = trained.scaler
    rssi = zip(trained.gateways, scaler.rssi_min.tolist(), scaler.rssi_max.tolist(), strict=True)
    acc = zip(ACC_NAMES, scaler.acc_min.tolist(), scaler.acc_max.tolist(), strict=False)
    return {
        "rssi": {name: {"min": low, "max": high} for name, low, high in rssi},
        "acc": {name: {"min": low, "max": high} for name, low, high in acc},
    }


def _features(trained: Trained, making: Making) -> dict:
    heard, moved = "mean of the packets heard in the step", "mean and standard deviation of the step's packets"
    return {
        **making.features.model_dump(),
        "window_steps": making.n_steps,
        "decoder": _decider(trained),
        "rssi": {"columns": list(trained.gateways), "unit": "dBm", "statistic": heard},
        "acc": {"columns": list(ACC_NAMES[: trained.n_acc]), "unit": "g", "statistic": moved},
    }


def _decider(trained: Trained) -> config.Decision | None:
    """How a CRF makes an answer of a window's scores; None where the best score is the answer."""
    return trained.model.decide if isinstance(trained.model, MDCSA) else None


def _row(name: str, port: Port) -> dict:
    return {
        "name": name,
        "shape": " × ".join(map(str, port.shape)),
        "dtype": port.dtype.name,
        "scale": port.scale,
        "zero_point": port.zero_point,
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinyloc.export"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(f"{CARD}.j2")
