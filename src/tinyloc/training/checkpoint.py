"""A trained network with all that is needed to run it on packets: weights, settings, scaler, names, features."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from tinyloc.config import Features, Model
from tinyloc.data.windows import Scaler
from tinyloc.errors import InputError
from tinyloc.files import write_bytes
from tinyloc.models import registry

FORMAT = 2


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode. `rooms` and `gateways` name its outputs and its RSSI inputs, in order.

    `features` made its steps, and `length` is how many of them it was asked about at a time.
    """

    model: nn.Module
    config: Model
    scaler: Scaler
    gateways: tuple[str, ...]
    rooms: tuple[str, ...]
    features: Features
    length: int

    @property
    def n_ap(self) -> int:
        return len(self.gateways)

    @property
    def n_acc(self) -> int:
        return len(self.scaler.acc_min)

    @property
    def n_rooms(self) -> int:
        return len(self.rooms)


def save(path: Path, trained: Trained) -> None:
    """Write a checkpoint of tensors and plain values only: reading it runs no code."""
    content = {
        "format": FORMAT,
        "state_dict": trained.model.state_dict(),
        "model": trained.config.model_dump(mode="json"),
        "n_ap": trained.n_ap,
        "n_acc": trained.n_acc,
        "n_rooms": trained.n_rooms,
        "rooms": list(trained.rooms),
        "gateways": list(trained.gateways),
        "scaler": trained.scaler.to_dict(),
        "features": trained.features.model_dump(),
        "length": trained.length,
    }
    write_bytes(path, packed(content))


def packed(content: dict) -> bytes:
    """What torch writes of tensors and plain values. Through a file's name, torch would put that name into it, which
    here is a temporary one; and it says of a full disk no more than that it failed."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def load(path: Path) -> Trained:
    """Read a checkpoint of `save`.

    Raises InputError: not there, not a checkpoint, of another format, or of another tinyloc whose models differ.
    """
    content = _read(path)
    try:
        trained = _trained(content)
    except ValidationError as error:  # of a setting that was renamed, or is new
        raise _foreign(path, error.errors()[0]["msg"]) from None
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, InputError) as error:
        raise _foreign(path, f"{type(error).__name__}: {error}") from None
    if not all(values.isfinite().all() for values in trained.model.state_dict().values()):
        raise InputError(f"{path}: holds weights that are no numbers; train the model again")
    return trained


def _foreign(path: Path, why: str) -> InputError:
    why = " ".join(why.split())
    return InputError(
        f"{path}: not what this tinyloc keeps of a trained model ({why[:120]}); give a model.pt, or train it again"
    )


def _trained(content: dict) -> Trained:
    config = TypeAdapter(Model).validate_python(content["model"])
    model = registry.build(
        config, content["n_ap"], content["n_acc"], content["n_rooms"], seed=0, rooms=content["rooms"]
    )
    model.load_state_dict(content["state_dict"])
    return Trained(
        model=model.eval(),
        config=config,
        scaler=Scaler.from_dict(content["scaler"]),
        gateways=tuple(content["gateways"]),
        rooms=tuple(content["rooms"]),
        features=Features(**content["features"]),
        length=content["length"],
    )


def _read(path: Path) -> dict:
    if not path.is_file():
        raise InputError(
            f"{path}: no such checkpoint; train a network with `tinyloc train` (forests and other baselines leave none)"
        )
    try:
        # torch writes zip archives, whose directory comes last; given anything else torch.load fails in many ways
        content = torch.load(path, weights_only=True) if is_zipfile(path) else None
    except (pickle.UnpicklingError, RuntimeError):
        content = None
    if content is None:
        raise InputError(f"{path}: not a checkpoint of tinyloc, or cut short; train the model again")
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise InputError(f"{path}: checkpoint format {version!r}, this tinyloc reads {FORMAT}; train the model again")
    return content
