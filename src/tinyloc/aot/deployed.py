"""An exported model's folder, read back: all that a device needs besides the `.tflite`."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np

from tinyloc.aot import reader
from tinyloc.aot.graph import Graph, Tensor
from tinyloc.config import Decision, Features
from tinyloc.data.features import ACC_NAMES
from tinyloc.data.windows import Scaler
from tinyloc.errors import InputError
from tinyloc.files import read_json

STATE, NEXT = "state/", "next/"
DECISIONS = get_args(Decision)


@dataclass(frozen=True)
class Energies:
    """Of a CRF, as `models.crf` has them, and what they are for; row of `transition`: the room before."""

    start: np.ndarray  # [R] float32
    transition: np.ndarray  # [R, R] float32
    end: np.ndarray  # [R] float32
    decide: str  # viterbi: where the likeliest path ends; marginal: the likeliest room


@dataclass(frozen=True)
class Deployed:
    """A model with its features, scaler, labels and decoder. Without a state it sees `window_steps` at once."""

    folder: Path
    gateways: tuple[str, ...]
    accelerometer: bool
    rooms: tuple[str, ...]
    features: Features
    window_steps: int
    scaler: Scaler
    crf: Energies | None  # None: a room is the largest score of its step
    graph: Graph

    @property
    def model(self) -> Path:
        return self.folder / "model.tflite"

    @cached_property
    def inputs(self) -> list[Tensor]:
        """What every inference is given, in the model's order."""
        return [t for t in map(self.graph.tensors.__getitem__, self.graph.inputs) if not t.name.startswith(STATE)]

    @cached_property
    def outputs(self) -> list[Tensor]:
        return [t for t in map(self.graph.tensors.__getitem__, self.graph.outputs) if not t.name.startswith(NEXT)]

    @property
    def streamed(self) -> bool:
        """Whether the model takes one step at a time and keeps a state."""
        return len(self.inputs) < len(self.graph.inputs)

    @property
    def length(self) -> int:
        """Steps that an inference is given."""
        return 1 if self.streamed else self.window_steps

    @property
    def columns(self) -> dict[str, int]:
        """Columns of a step by modality, in the order of a step's features."""
        return {"rssi": len(self.gateways), **({"acc": len(ACC_NAMES)} if self.accelerometer else {})}

    @staticmethod
    def read(folder: Path) -> "Deployed":
        """Raises InputError: a file is missing, damaged or of another model, or the model is none of ours."""
        features, scaler = _json(folder / "features.json"), _json(folder / "scaler.json")
        try:
            deployed = Deployed(
                folder=folder,
                gateways=tuple(features["rssi"]["columns"]),
                accelerometer=bool(features["acc"]["columns"]),
                rooms=tuple(_text(folder / "labels.txt").split("\n")[:-1]),
                features=Features(**{name: features[name] for name in Features.model_fields}),
                window_steps=int(features["window_steps"]),
                scaler=Scaler(
                    *(
                        np.array([scaler[part][c][end] for c in features[part]["columns"]], np.float32)
                        for part in ("rssi", "acc")
                        for end in ("min", "max")
                    )
                ),
                crf=_energies(folder, features["decoder"]) if features["decoder"] is not None else None,
                graph=reader.read(folder / "model.tflite"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder}: not the files of one export ({error!r}); export the model again") from None
        deployed._check()
        return deployed

    def _check(self) -> None:
        """Raise InputError where the model does not take these features or does not score these rooms."""
        n_rooms = len(self.rooms)
        for tensor in self.inputs:
            if tensor.size != self.length * self.columns.get(tensor.name, 0):
                raise InputError(f"{self.model}: input {tensor} does not take the features of {self.folder}")
        if [t.name for t in self.outputs] != ["scores"] or self.outputs[0].size != self.length * n_rooms:
            raise InputError(f"{self.model}: outputs are not the scores of {n_rooms} rooms; export the model again")
        if len({t.dtype for t in self.inputs}) > 1:
            raise InputError(f"{self.model}: inputs are of different types; export the model again")
        if self.streamed and self.crf is not None:
            raise InputError(f"{self.folder}: the model has a state and a decoder; export the model again")
        if self.crf and self.crf.transition.shape != (n_rooms, n_rooms):
            raise InputError(f"{self.folder}/decoder.json: not the energies of {n_rooms} rooms; export the model again")


def _energies(folder: Path, decide: str) -> Energies:
    if decide not in DECISIONS:
        raise ValueError(f"decoder {decide!r}")
    return Energies(
        **{name: np.array(values, np.float32) for name, values in _json(folder / "decoder.json").items()}, decide=decide
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a folder that `tinyloc export` wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); export the model again") from None


def _json(path: Path) -> dict:
    _text(path)
    try:
        return read_json(path)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); export the model again") from None
