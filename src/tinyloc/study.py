"""The study as stages that leave files: prepare, fit, robustness, export, on_device.

Every stage writes a folder under `build/<profile>/` with a `config.json` that holds a *key*: a digest of the
configuration that matters, the code that matters, the data, and the keys of the stages before it. A stage whose
folder holds the right key returns at once, before the libraries that would compute it are imported; anything else is
computed again. The notebooks, the command line and the workflow all go through here, so that a chapter run alone and
the whole study give the same files.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tinyloc import config as configuration
from tinyloc import provenance
from tinyloc.config import Config
from tinyloc.data import houses, sources
from tinyloc.data.features import Steps, stacked
from tinyloc.data.packets import Dataset
from tinyloc.data.splits import Fold, folds
from tinyloc.data.store import read_packets, read_steps, stamp, write_packets, write_steps
from tinyloc.data.windows import longest_run
from tinyloc.errors import InputError
from tinyloc.files import REPOSITORY, alone, read_json, sha256, sweep, write_json
from tinyloc.timing import Clock, costed

# What a stage's result depends on, in the library's own order. The configuration itself, its defaults included, is in
# every key; `config.py` is among the code of a fit for what it works out from it: epochs, architectures, teachers.
# Later stages have it by the key of what was trained, and data ask nothing of it but their own values.
DATA_CODE = ("data",)
SCORE_CODE = tuple(f"evaluation/{name}.py" for name in ("metrics", "statistics", "delay", "calibration"))
FIT_CODE = ("config.py", *DATA_CODE, "models", "training", *SCORE_CODE)
EXPORT_CODE = (*FIT_CODE, "export")
DEVICE_CODE = ("aot", "device")
ROBUSTNESS_CODE = (*FIT_CODE, "evaluation/conditions.py", "evaluation/robustness.py")

# Of all levels that were heard: a rare one that is as weak as silence does no harm.
DROWNED = 0.001

# Between floats of the board, of the host and of TFLite Micro; integers must be equal.
FLOAT_TOLERANCE = 1e-5


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode())


@dataclass(frozen=True)
class Prepared:
    """A data set cut into steps and folds. `dataset` holds the packets, and is read only when asked for."""

    name: str
    gateways: tuple[str, ...]
    rooms: tuple[str, ...]
    origin: str
    fingerprint: str
    steps: list[Steps]
    folds: list[Fold]
    load: Callable[[], Dataset] = field(repr=False)

    @cached_property
    def dataset(self) -> Dataset:
        return self.load()


class Study:
    """One configuration, and the folder of its results."""

    def __init__(
        self,
        config: Config,
        root: Path,
        workers: int | None = None,
        progress: bool = True,
        data: Path | None = None,
    ) -> None:
        """data: where prepared data lie, if not in `root`/data."""
        self.config = config
        self.root = root
        self.data = data or root / "data"
        self.workers = workers or os.cpu_count() or 1
        self.progress = progress

    @classmethod
    def open(cls, profile: str | Path, root: str | Path | None = None, **options: Any) -> "Study":
        """Open a profile of `configs/` by name, or any configuration file by path.

        Results lie under `build/<name>/` of the repository (of the working directory where tinyloc is installed
        as a package), unless `root` says otherwise.
        Raises InputError for a configuration that is not there or not valid.
        """
        named = isinstance(profile, str) and Path(profile).suffix not in {".yaml", ".yml"}
        config = configuration.profile(str(profile)) if named else configuration.read(Path(profile))
        home = REPOSITORY if (REPOSITORY / "pyproject.toml").is_file() else Path.cwd()
        return cls(config, Path(root) if root else home / "build" / config.name, **options)

    # ── data ─────────────────────────────────────────────────────────────────────────────────────
    @cached_property
    def absent(self) -> dict[str, str]:
        """The data sets of the configuration that are not on this machine, each with the reason."""
        reasons = {}
        for name in self.config.datasets:
            found = (sources.why_missing(self._data(member)) for member in self._members(name))
            reasons[name] = next(filter(None, found), None)
        return {name: reason for name, reason in reasons.items() if reason}

    @property
    def datasets(self) -> dict[str, str]:
        """The data sets that are here, each with one sentence that says what made it."""
        here = [name for name in self.config.datasets if name not in self.absent]
        return {name: read_json(self._prepare(name) / "config.json")["origin"] for name in here}

    @property
    def seeds(self) -> list[int]:
        return self.config.seeds

    def prepared(self, dataset: str) -> Prepared:
        """Steps and folds of a data set. Raises InputError where it is unknown or not on this machine."""
        folder = self._prepare(dataset)
        record = read_json(folder / "config.json")
        recordings = read_steps(folder / "steps.npz")
        return Prepared(
            name=dataset,
            gateways=tuple(record["gateways"]),
            rooms=tuple(record["rooms"]),
            origin=record["origin"],
            fingerprint=record["fingerprint"],
            steps=recordings,
            folds=folds(recordings, self._data(dataset).protocol, self.config.windows.validation_share),
            load=lambda: _packets(dataset, folder / "packets.parquet"),
        )

    def _binned(self, dataset: str) -> sources.Binned:
        members = self._members(dataset)
        if members == [dataset]:
            return sources.binned(dataset, self._data(dataset), self.config.features)
        joined = houses.join(dataset, [sources.load(member, self._data(member)) for member in members])
        return sources.of_packets(joined, self.config.features)

    def _members(self, dataset: str) -> list[str]:
        """The data sets that are read for one: its houses, or itself."""
        return getattr(self._data(dataset), "houses", [dataset])

    def _data(self, dataset: str) -> configuration.Data:
        if dataset not in self.config.datasets:
            raise InputError(_unknown("dataset", dataset, self.config.datasets))
        return self.config.datasets[dataset]

    def data_inputs(self, dataset: str) -> dict:
        """What prepared data are made from; this and its like are what the workflow watches for changes."""
        members = [self._data(member) for member in self._members(dataset)]
        return {
            "data": self._data(dataset).model_dump(mode="json"),
            "members": [data.model_dump(mode="json") for data in members],
            "features": self.config.features.model_dump(),
            "source": [stamp(data) for data in members],
            "code": provenance.code_digest(*DATA_CODE),
        }

    def _prepare(self, dataset: str) -> Path:
        self._data(dataset)
        if dataset in self.absent:
            raise InputError(self.absent[dataset])
        folder = self.data / dataset
        key = _digest(self.data_inputs(dataset))
        self._once(folder, key, lambda: self._write_prepared(dataset, folder, key))
        return folder

    def _write_prepared(self, dataset: str, folder: Path, key: str) -> None:
        loaded = self._binned(dataset)
        if loaded.dataset is not None:  # what heard nothing in arrays is what is as weak as silence
            _require_silence(dataset, loaded.steps, self.config.features.silent_dbm)
        write_steps(folder / "steps.npz", loaded.steps)
        if loaded.dataset is not None:
            write_packets(folder / "packets.parquet", loaded.dataset)
        self._record(
            folder,
            key,
            origin=loaded.origin,
            fingerprint=loaded.fingerprint,
            gateways=loaded.gateways,
            rooms=loaded.rooms,
            recordings=[s.recording for s in loaded.steps],
            packets=sum(len(r.packets) for r in loaded.dataset.recordings) if loaded.dataset else None,
        )

    # ── training ─────────────────────────────────────────────────────────────────────────────────
    def fit(self, dataset: str, model: str, seed: int) -> Path:
        """Train `model` on every fold and score it on the folds' test rows; first its teachers or its members.

        Raises InputError: as `prepared` and `train_fold`, and where the model's augmentation is not for these data.
        """
        settings = self._model(model)
        self._require_posture(dataset, model)
        needs = (
            settings if isinstance(settings, configuration.EnsembleModel) else getattr(settings, "distillation", None)
        )
        teachers = [self.fit(dataset, *run) for run in needs.runs(seed)] if needs else []
        data = self._prepare(dataset)
        folder = self._folder(dataset, model, seed)
        key = self._fit_key(dataset, model, seed, data, teachers)
        self._once(folder, key, lambda: self._train(dataset, model, seed, folder, key, teachers))
        return folder

    def _train(self, dataset: str, model: str, seed: int, folder: Path, key: str, teachers: list[Path]) -> None:
        from tinyloc.training.run import train_fold

        sweep(folder)
        prepared = self.prepared(dataset)
        # Everything that decides a fold's weights: a half-trained fold of another making must not be resumed.
        making = {"key": key}
        jobs = [
            (
                train_fold,
                dict(
                    model=self._model(model),
                    fold=fold,
                    windows=self.config.windows,
                    features=self.config.features,
                    gateways=prepared.gateways,
                    rooms=prepared.rooms,
                    seed=seed,
                    out=folder / f"fold-{fold.name}",
                    teachers=[teacher / f"fold-{fold.name}" / "model.pt" for teacher in teachers],
                    making=making,
                ),
            )
            for fold in prepared.folds
        ]
        clock = Clock(folder / "timing.json", key, self.workers, resumes=True)
        rows = dict(
            zip(
                [f.name for f in prepared.folds],
                self._each(f"{dataset} · {model} · seed {seed}", jobs, clock),
                strict=True,
            )
        )
        self._finish(folder, key, prepared, rows, model, seed)

    def _fit_key(self, dataset: str, model: str, seed: int, data: Path, teachers: list[Path]) -> str:
        return _digest(
            {
                **self.fit_inputs(dataset, model, seed),
                # of what the files hold, and not of the files: data that were copied or fetched again are the same
                "data": read_json(data / "config.json")["fingerprint"],
                "teachers": [read_json(teacher / "config.json")["key"] for teacher in teachers],
            }
        )

    def fit_inputs(self, dataset: str, model: str, seed: int) -> dict:
        """What a trained model is made from, besides the packets (or windows) themselves and its teacher."""
        return {
            "model": self._model(model).model_dump(mode="json"),
            "features": self.config.features.model_dump(),
            "windows": self.config.windows.model_dump(),
            "protocol": self._data(dataset).protocol,
            "seed": seed,
            "code": provenance.code_digest(*FIT_CODE),
        }

    def _require_posture(self, dataset: str, model: str) -> None:
        """Only where packets are cut into steps here is it known which columns are mean accelerations."""
        settings = self._model(model)
        shift = settings.training.posture_shift if isinstance(settings, configuration.Neural) else 0
        if shift and isinstance(self._data(dataset), configuration.LomappData):
            raise InputError(
                f"models.{model}.training.posture_shift: {shift:g}, but datasets.{dataset} comes as windows, and "
                "nothing says which of their accelerometer columns are means; set it to 0, or use acc_shift"
            )

    def _model(self, model: str) -> configuration.Model:
        if model not in self.config.models:
            raise InputError(_unknown("model", model, self.config.models))
        return self.config.models[model]

    # ── robustness ───────────────────────────────────────────────────────────────────────────────
    def robustness(self, dataset: str, model: str, seed: int) -> Path:
        """`model` under every condition of the configuration's `robustness`: `robustness.json` beside its metrics."""
        inputs = self.robustness_inputs(model)
        self._require_lengths(dataset)
        trained = self._at_lengths(dataset, model, seed)
        folder = trained[self.config.windows.length]
        path = folder / "robustness.json"
        keys = {length: read_json(at / "config.json")["key"] for length, at in trained.items()}
        key = _digest({**inputs, "trained": keys})
        if path.is_file() and read_json(path).get("key") == key:
            return path
        from tinyloc.evaluation import conditions, robustness

        prepared = self.prepared(dataset)
        asked = conditions.conditions(self.config.robustness, prepared.gateways)
        names = [fold.name for fold in prepared.folds]
        jobs = [
            (
                robustness.run_fold,
                dict(
                    model=self._model(model),
                    fold=fold,
                    dataset=_recordings_of(prepared.dataset, fold),
                    features=self.config.features,
                    windows=self.config.windows,
                    asked=asked,
                    trained={length: at / f"fold-{fold.name}" for length, at in trained.items()},
                    seed=seed,
                    out=folder / f"fold-{fold.name}",
                    making={"key": key},
                ),
            )
            for fold in prepared.folds
        ]
        clock = Clock(folder / "timing-robustness.json", key, self.workers, resumes=True)
        answers = self._each(f"{dataset} · {model} · robustness · seed {seed}", jobs, clock)
        found = conditions.summary([dict(zip(names, answers, strict=True))], asked, len(prepared.rooms))
        write_json(path, {"conditions": found, "key": key, "provenance": provenance.record()})
        return path

    def robustness_inputs(self, model: str) -> dict:
        """What a robustness run is made from, besides the trained model."""
        settings = self.config.robustness
        if settings is None:
            raise InputError("the configuration has no `robustness`; add one with models, as configs/quick.yaml has")
        if model not in settings.models:
            raise InputError(_unknown("robustness model", model, settings.models))
        return {
            "robustness": settings.model_dump(exclude={"models"}),
            "code": provenance.code_digest(*ROBUSTNESS_CODE),
        }

    def _require_lengths(self, dataset: str) -> None:
        """Raises InputError: some part of a fold has no window as long as `robustness.window_lengths` asks for."""
        longest = max(self.config.robustness.window_lengths)
        parts = (part for fold in self.prepared(dataset).folds for part in (fold.train, fold.test))
        if (run := min(map(longest_run, parts))) < longest:
            raise InputError(
                f"{dataset}: robustness.window_lengths {longest}: the longest stretch without a gap has {run} steps in "
                "some fold's part; leave it out"
            )

    def _at_lengths(self, dataset: str, model: str, seed: int) -> dict[int, Path]:
        """The folder of the model for every window length that it is asked at.

        A network that sees windows is trained for each length, in `lengths/<steps>/` of this study, teacher included;
        a stream is asked with the weights that it has, and a baseline is fitted where it is asked.
        """
        own = self.fit(dataset, model, seed)
        lengths = {self.config.windows.length, *self.config.robustness.window_lengths}
        settings = self._model(model)
        if not isinstance(settings, configuration.Neural) or isinstance(settings, configuration.CausalNeural):
            return dict.fromkeys(lengths, own)
        return {
            length: own if length == self.config.windows.length else self._at(length).fit(dataset, model, seed)
            for length in lengths
        }

    def _at(self, length: int) -> "Study":
        """This study with windows of another length, on the same prepared data."""
        windows = self.config.windows.model_copy(update={"length": length})
        config = self.config.model_copy(update={"windows": windows})
        return Study(config, self.root / "lengths" / str(length), self.workers, self.progress, self.data)

    # ── export ───────────────────────────────────────────────────────────────────────────────────
    def export(self, dataset: str, model: str, kind: str, seed: int) -> Path:
        """`model` as `.tflite` of `kind`, run in TFLite Micro over the same test rows as its original."""
        inputs = self.export_inputs(model, kind)
        trained = self.fit(dataset, model, seed)
        folder = self._folder(dataset, f"{model}.{kind}", seed)
        key = _digest({**inputs, "trained": read_json(trained / "config.json")["key"]})
        self._once(folder, key, lambda: self._convert(dataset, model, kind, seed, folder, key, trained))
        return folder

    def _convert(self, dataset: str, model: str, kind: str, seed: int, folder: Path, key: str, trained: Path) -> None:
        from tinyloc.export.run import export_fold

        inputs = self.export_inputs(model, kind)
        prepared = self.prepared(dataset)
        jobs = [
            (
                export_fold,
                dict(
                    checkpoint=trained / f"fold-{fold.name}" / "model.pt",
                    fold=fold,
                    windows=self.config.windows,
                    kind=kind,
                    calibration_windows=inputs["calibration_windows"],
                    method=inputs["ranges"],
                    how=configuration.Aware(**inputs["aware"]),
                    vectors=inputs["vectors"],
                    seed=seed,
                    out=folder / f"fold-{fold.name}",
                ),
            )
            for fold in prepared.folds
        ]
        clock = Clock(folder / "timing.json", key, self.workers)
        results = self._each(f"{dataset} · {model}.{kind} · seed {seed}", jobs, clock)
        names = [fold.name for fold in prepared.folds]
        write_json(
            folder / "export.json",
            {
                "model": model,
                "kind": kind,
                "folds": {n: r.entry for n, r in zip(names, results, strict=True)},
            },
        )
        rows = {n: r.rows for n, r in zip(names, results, strict=True)}
        self._cards(folder, trained, prepared, results, model, kind, seed)
        self._finish(folder, key, prepared, rows, model, seed)

    def _cards(
        self, folder: Path, trained: Path, prepared: Prepared, results: list, model: str, kind: str, seed: int
    ) -> None:
        """Make of every fold's folder one that a stranger can use."""
        from tinyloc.evaluation.metrics import evaluate
        from tinyloc.export.card import Making, leave
        from tinyloc.training.checkpoint import load

        for fold, result in zip(prepared.folds, results, strict=True):
            making = Making(
                title=f"{model}.{kind} on {prepared.name}, seed {seed}",
                kind=kind,
                fold=fold.name,
                origin=prepared.origin,
                fingerprint=prepared.fingerprint,
                features=self.config.features,
                n_steps=self.config.windows.length,
            )
            metrics = evaluate({fold.name: result.rows}, prepared.rooms)["folds"][fold.name]
            checkpoint = load(trained / f"fold-{fold.name}" / "model.pt")
            leave(folder / f"fold-{fold.name}", checkpoint, making, result.entry, metrics)

    def export_inputs(self, model: str, kind: str) -> dict:
        """What an export is made from, besides the trained model. `vectors`: how many windows a device run wants."""
        entry = next((e for e in self.config.exports if e.model == model and kind in e.kinds), None)
        if entry is None:
            known = [f"{e.model}.{k}" for e in self.config.exports for k in e.kinds]
            raise InputError(_unknown("export", f"{model}.{kind}", known))
        return {
            "kind": kind,
            "calibration_windows": entry.calibration_windows,
            "ranges": entry.ranges,
            "aware": entry.aware.model_dump(),
            "vectors": max((d.windows for d in self.config.devices if (d.model, d.kind) == (model, kind)), default=0),
            "code": provenance.code_digest(*EXPORT_CODE),
        }

    # ── device ───────────────────────────────────────────────────────────────────────────────────
    def on_device(self, dataset: str, model: str, kind: str, seed: int, board: str | None = None) -> Path:
        """The first fold's `.tflite`, compiled to C and run in QEMU within its RAM: `device-<board>.json`."""
        entry = self._device(model, kind, board)
        exported = self.export(dataset, model, kind, seed)
        fold = self.prepared(dataset).folds[0].name
        path = exported / f"device-{entry.board}.json"
        key = _digest(
            {
                **self.device_inputs(model, kind, board),
                "exported": read_json(exported / "config.json")["key"],
                "fold": fold,
            }
        )
        if path.is_file() and read_json(path).get("key") == key:
            return path
        from tinyloc.device.runner import run_model

        source = exported / f"fold-{fold}"
        clock = Clock(exported / f"timing-device-{entry.board}.json", key, workers=1)
        report, spent = costed(
            run_model,
            source / "model.tflite",
            source / "windows.npz",
            board=entry.board,
            ram=entry.ram_kb * 1024,
            workdir=exported / f"device-{entry.board}",
        )
        clock.add(spent)
        _require_agreement(path, report, exact=kind in configuration.INTEGER_KINDS)
        write_json(path, {**report, "fold": fold, "key": key, "provenance": provenance.record()})
        return path

    def device_inputs(self, model: str, kind: str, board: str | None = None) -> dict:
        """What a run on a board is made from, besides the export."""
        return {
            "device": self._device(model, kind, board).model_dump(),
            "code": provenance.code_digest(*DEVICE_CODE),
            "firmware": provenance.firmware_digest(),
        }

    def _device(self, model: str, kind: str, board: str | None) -> configuration.Device:
        """The run that is configured for a board; for no board in particular, the first one of the export."""
        runs = [d for d in self.config.devices if (d.model, d.kind) == (model, kind) and board in (None, d.board)]
        if not runs:
            known = [f"{d.model}.{d.kind} on {d.board}" for d in self.config.devices]
            wanted = f"{model}.{kind}" + (f" on {board}" if board else "")
            raise InputError(_unknown("device run", wanted, known))
        return runs[0]

    # ── common ───────────────────────────────────────────────────────────────────────────────────
    def _once(self, folder: Path, key: str, make: Callable[[], None]) -> None:
        """`make` what the folder is to hold, unless it holds it; of two runs at once one works and one waits."""
        if _is_current(folder, key):
            return

        def waiting() -> None:
            if self.progress:
                print(f"{folder}: another run is at work there; waiting for it", file=sys.stderr)

        with alone(folder, waiting):
            if not _is_current(folder, key):
                make()

    def everything(self) -> Iterable[tuple[Callable[..., Path], tuple]]:
        """Every stage of the configuration on the data that is here, in an order that can be followed."""
        for dataset in self.datasets:
            for seed in self.seeds:
                yield from ((self.fit, (dataset, model, seed)) for model in self.config.models)
                if self.config.robustness:
                    yield from ((self.robustness, (dataset, m, seed)) for m in self.config.robustness.models)
                for e in self.config.exports:
                    yield from ((self.export, (dataset, e.model, kind, seed)) for kind in e.kinds)
                yield from ((self.on_device, (dataset, d.model, d.kind, seed, d.board)) for d in self.config.devices)

    def scored(self) -> list[Path]:
        """The folders of all scored results of the configuration, computed or not, on the data that are here."""
        entries = [*self.config.models, *(f"{e.model}.{kind}" for e in self.config.exports for kind in e.kinds)]
        here = [dataset for dataset in self.config.datasets if dataset not in self.absent]
        return [self._folder(dataset, entry, seed) for dataset in here for entry in entries for seed in self.seeds]

    def _folder(self, dataset: str, model: str, seed: int) -> Path:
        return self.root / "results" / dataset / model / f"seed{seed}"

    def _finish(self, folder: Path, key: str, prepared: Prepared, rows: dict, model: str, seed: int) -> None:
        from tinyloc.evaluation.metrics import evaluate
        from tinyloc.training.predictions import write_predictions

        write_predictions(folder / "predictions.npz", rows)
        parameters = {r.parameters for r in rows.values()}
        metrics = evaluate(rows, prepared.rooms)
        write_json(
            folder / "metrics.json",
            {**metrics, "parameters": parameters.pop() if len(parameters) == 1 else None},
        )
        self._record(
            folder,
            key,
            model=self._model(model).model_dump(mode="json"),
            windows=self.config.windows.model_dump(),
            seed=seed,
            origin=prepared.origin,
            fingerprint=prepared.fingerprint,
        )

    @staticmethod
    def _record(folder: Path, key: str, **what: object) -> None:
        """The stage's last file: with it in place, the stage is done."""
        write_json(folder / "config.json", {"key": key, **what, "provenance": provenance.record()})

    def _each(self, title: str, jobs: list[tuple[Callable, dict]], clock: Clock) -> list:
        """Run the jobs in processes of their own, in order of their list, with a progress bar; `clock` adds them up."""
        from joblib import Parallel, delayed
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        # what a title says is a name of the user's, brackets and all
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not self.progress) as bar:
            task = bar.add_task(title, total=len(jobs))
            parallel = Parallel(n_jobs=min(self.workers, len(jobs)), return_as="generator")
            results = []
            for result, spent in parallel(delayed(costed)(function, **arguments) for function, arguments in jobs):
                clock.add(spent)
                results.append(result)
                bar.advance(task)
        return results


def _require_agreement(path: Path, report: dict, exact: bool) -> None:
    """Board, host and TFLite Micro must give one answer: the same integers, floats within the tolerance.

    Raises InputError: they do not; nothing is written.
    """
    for other in ("host", "reference"):
        found = report[other]
        apart = found["max_abs_difference"]
        if not found["bit_identical"] and (exact or apart > FLOAT_TOLERANCE):
            raise InputError(
                f"{path}: the board's outputs differ from the {other}'s by up to {apart}; please report it"
            )


def _packets(dataset: str, path: Path) -> Dataset:
    if not path.is_file():
        raise InputError(f"datasets.{dataset}: these data came as windows, so there are no packets to look at")
    return read_packets(path)


def _require_silence(dataset: str, steps: Sequence[Steps], silent_dbm: float) -> None:
    """Models take silence for the lowest level of all: HMMs, levels in pieces and augmentation rest on it.

    Raises InputError: more than DROWNED of what gateways heard lies at or below `features.silent_dbm`.
    """
    heard, level = stacked(steps, "heard") > 0, stacked(steps, "rssi")
    if heard.any() and (level[heard] <= silent_dbm).mean() > DROWNED:
        raise InputError(
            f"datasets.{dataset}: features.silent_dbm {silent_dbm:g}: gateways were heard at {level[heard].min():.0f} "
            "dBm; give a level below all that is heard"
        )


def _recordings_of(dataset: Dataset, fold: Fold) -> Dataset:
    """The data set with the fold's test recordings alone, which is all that a worker process has to be sent."""
    tested = {s.recording for s in fold.test}
    return replace(dataset, recordings=tuple(r for r in dataset.recordings if r.name in tested))


def _is_current(folder: Path, key: str) -> bool:
    path = folder / "config.json"
    return path.is_file() and read_json(path).get("key") == key


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"{what} {name!r}: not in the configuration; there are {', '.join(known) or 'none'}"
