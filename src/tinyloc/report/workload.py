"""How much a configuration has to compute, before any of it is: folds, windows, and multiply-accumulates (MACs).

A network's work on a fold is counted in forward passes over windows: three for a training window (a backward pass
costs about two forward ones), one for a validation or test window, and one of each teacher for a training window.
Early stopping decides how many epochs there are, so this is a range: `patience` + 1 epochs at least, `epochs` at most.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from tinyloc.config import CausalNeural, Config, HouseData, MdcsaModel, Model, Neural, Training
from tinyloc.data.features import Steps
from tinyloc.data.plans import PLANS
from tinyloc.data.windows import runs
from tinyloc.models import cost, registry

ACC_COLUMNS = 6  # of a simulated house
BACKWARD = 2  # forward passes that a backward pass costs
_MODEL = TypeAdapter(Model)


# ── data ─────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Part:
    """Steps of a fold's part, and the stretches without a gap that they come in; means over the folds."""

    steps: float
    runs: float

    @classmethod
    def of(cls, folds: Sequence[Sequence[Steps]]) -> "Part":
        found = [np.concatenate([runs(steps) for steps in part]) for part in folds]
        return cls(float(np.mean([run.sum() for run in found])), float(np.mean([len(run) for run in found])))

    def windows(self, length: int, hop: int) -> float:
        """Windows of `length` steps, one every `hop`; short stretches, which hold none, are taken for long ones."""
        return max(0.0, self.steps - self.runs * (length - 1)) / hop


@dataclass(frozen=True)
class Sizes:
    """What a data set asks of a model, fold by fold."""

    folds: int
    train: Part
    validation: Part
    test: Part
    n_ap: int
    n_acc: int
    n_rooms: int

    @classmethod
    def of(cls, prepared: Any) -> "Sizes":
        """Of a data set that was prepared (`Study.prepared`)."""
        return cls(
            len(prepared.folds),
            *(Part.of([getattr(fold, part) for fold in prepared.folds]) for part in ("train", "validation", "test")),
            len(prepared.gateways),
            prepared.steps[0].acc.shape[-1],
            len(prepared.rooms),
        )

    @classmethod
    def of_house(cls, house: HouseData, config: Config) -> "Sizes":
        """Of a simulated house, without simulating it: its recordings have no gaps."""
        walked = house.fingerprint_kept_minutes or house.fingerprint_minutes
        walk, living = (60 * minutes / config.features.bin_s for minutes in (walked, house.living_minutes))
        kept = config.windows.validation_share * walk
        plan = PLANS[house.plan]
        return cls(
            1,
            Part(house.fingerprint_walks * (walk - kept), house.fingerprint_walks),
            Part(house.fingerprint_walks * kept, house.fingerprint_walks),
            Part(house.living_recordings * living, house.living_recordings),
            len(plan.gateways),
            ACC_COLUMNS,
            len(plan.rooms),
        )

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Sizes":
        parts = {name: Part(**kept[name]) for name in ("train", "validation", "test")}
        return cls(**{**kept, **parts})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# ── work ─────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Work:
    """One stage on one fold of one data set with one seed."""

    dataset: str
    folds: int  # on so many it is done
    entry: str  # a model, or one of its exports
    stage: str  # "fit", "robustness", "export" or "board"
    length: int  # steps a window
    like: tuple[str, str, str]  # what decides its pace: family, settings, and the kind of an export
    macs: float  # of the network on one window; 0 where there is none
    batch: int  # of its training; 0 where there is none
    low: float  # how much: GMACs of a network's fit, windows of a baseline's, answers of the others
    high: float


def works(config: Config, dataset: str, sizes: Sizes) -> Iterator[Work]:
    """All stages of a configuration on a data set, for one fold and one seed."""
    length, hop = config.windows.length, config.windows.test_hop
    for name, at in fits(config):
        yield fit(config, dataset, sizes, name, at)
    answers = sizes.test.windows(length, hop)
    for name in config.robustness.models if config.robustness else ():
        asked = answers * conditions(config, sizes)
        yield _other(config, dataset, sizes, name, name, "robustness", asked)
    for export in config.exports:
        for kind in export.kinds:
            yield _other(config, dataset, sizes, f"{export.model}.{kind}", export.model, "export", answers, kind)
    for device in config.devices:
        entry = f"{device.model}.{device.kind}"
        found = _other(config, dataset, sizes, entry, device.model, "board", 1, device.kind)
        yield replace(found, folds=1)  # the first one


def fits(config: Config) -> list[tuple[str, int]]:
    """What is trained: models, and the steps of their windows; robustness asks some at other lengths, with teachers."""
    found = [(name, config.windows.length) for name in config.models]
    for name in config.robustness.models if config.robustness else ():
        model = config.models[name]
        if isinstance(model, Neural) and not isinstance(model, CausalNeural):
            teachers = model.distillation.teachers if model.distillation else []
            found += [(n, at) for at in config.robustness.window_lengths for n in (*teachers, name)]
    return list(dict.fromkeys(found))


def fit(config: Config, dataset: str, sizes: Sizes, name: str, length: int) -> Work:
    model, windows = config.models[name], config.windows
    if not isinstance(model, Neural):
        seen = sizes.train.steps + sizes.validation.steps, sizes.train.runs + sizes.validation.runs
        count = Part(*seen).windows(length, windows.train_hop) + sizes.test.windows(length, windows.test_hop)
        return Work(dataset, sizes.folds, name, "fit", length, _like(model), 0, 0, count, count)
    n_train = sizes.train.windows(getattr(model, "train_length", length), windows.train_hop)
    low, high = (network_gmacs(config, sizes, name, length, epochs) for epochs in epochs_of(model.training, n_train))
    return Work(
        dataset,
        sizes.folds,
        name,
        "fit",
        length,
        _like(model),
        macs(model, sizes, length),
        model.training.batch,
        low,
        high,
    )


def network_gmacs(config: Config, sizes: Sizes, name: str, length: int, epochs: float) -> float:
    """Of training a network on a fold for so many epochs, and asking it about the test part; in 1e9 MACs."""
    model, windows = config.models[name], config.windows
    trained = getattr(model, "train_length", length)
    n_train = sizes.train.windows(trained, windows.train_hop)
    n_validation, n_test = (part.windows(length, windows.test_hop) for part in (sizes.validation, sizes.test))
    own, training = macs(model, sizes, length), macs(model, sizes, trained)
    total = epochs * ((1 + BACKWARD) * n_train * training + n_validation * own) + n_test * own
    asked = epochs if model.distillation and model.distillation.consistent else 1
    for teacher, _ in model.distillation.runs(0) if model.distillation else ():
        total += asked * n_train * macs(config.models[teacher], sizes, trained)
    return total / 1e9


def epochs_of(training: Training, windows: float) -> tuple[int, int]:
    """The fewest and the most epochs that early stopping allows, over so many training windows of a fold."""
    most = training.epochs_over(max(1, round(windows)))
    return min(training.patience + 1, most), most


def conditions(config: Config, sizes: Sizes) -> int:
    """Of `tinyloc.evaluation.conditions`, how many."""
    asked = config.robustness
    shares, lengths = {0.0, *asked.dropped}, set(asked.window_lengths)
    return len(shares) + (sizes.n_ap if asked.dead_gateways else 0) + len(lengths)


def macs(model: Neural, sizes: Sizes, length: int) -> int:
    """Multiply-accumulates of a forward pass over one window, without the binary head, which is next to nothing."""
    plain = model.model_copy(update={"hall": []}) if isinstance(model, MdcsaModel) else model
    return _macs(plain.model_dump_json(), sizes.n_ap, sizes.n_acc, sizes.n_rooms, length)


@cache
def _macs(model: str, n_ap: int, n_acc: int, n_rooms: int, length: int) -> int:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = registry.build(_MODEL.validate_json(model), n_ap, n_acc, n_rooms, seed=0).eval()
        return cost.count_macs(network, torch.zeros(1, length, n_ap), torch.zeros(1, length, n_acc))


def _like(model: Model, kind: str = "") -> tuple[str, str, str]:
    settings = model.architecture if isinstance(model, Neural) else model.model_dump(exclude={"family"})
    settings.pop("decide", None)  # either answer is a moment's work beside the network's
    if not settings.get("rssi_bins"):
        settings.pop("rssi_bins", None)  # rates that were measured before there was the key say nothing of it
    if settings.get("form") == "stream":
        settings.pop("form")  # nor of this one
    return model.family, json.dumps(settings, sort_keys=True), kind


def _other(
    config: Config, dataset: str, sizes: Sizes, entry: str, name: str, stage: str, count: float, kind: str = ""
) -> Work:
    model, length = config.models[name], config.windows.length
    size = macs(model, sizes, length) if isinstance(model, Neural) else 0
    return Work(dataset, sizes.folds, entry, stage, length, _like(model, kind), size, 0, count, count)


# ── a small part of it ───────────────────────────────────────────────────────────────────────────
def sample(config: Config) -> Config:
    """A configuration cut down to what shows its pace: one data set, one seed, one epoch; the models as they are.

    The data set is a simulated house where there is one, of shorter recordings: it is one fold, and everyone has it.
    """
    houses = [name for name, data in config.datasets.items() if isinstance(data, HouseData)]
    dataset = (houses or list(config.datasets))[0]
    data = config.datasets[dataset]
    models = {name: _one_epoch(model) for name, model in config.models.items()}
    return config.model_copy(
        update={
            "seeds": config.seeds[:1],
            "datasets": {dataset: _shorter(data) if isinstance(data, HouseData) else data},
            "models": models,
        }
    )


def _shorter(house: HouseData) -> HouseData:
    return house.model_copy(
        update={
            "fingerprint_minutes": min(house.fingerprint_minutes, 30),
            "fingerprint_kept_minutes": None,
            "living_minutes": min(house.living_minutes, 10),
            "living_recordings": min(house.living_recordings, 2),
        }
    )


def _one_epoch(model: Model) -> Model:
    if not isinstance(model, Neural):
        return model
    update: dict[str, Any] = {"training": model.training.model_copy(update={"epochs": 1, "least_updates": 0})}
    if model.distillation:  # a teacher of the one seed that there is
        update["distillation"] = model.distillation.model_copy(update={"teacher_seeds": None})
    return model.model_copy(update=update)
