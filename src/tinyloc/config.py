"""The one validated configuration schema; `configs/quick.yaml` and `configs/paper.yaml` are instances of it."""

import difflib
from math import ceil
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from tinyloc.errors import InputError
from tinyloc.files import shipped

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Width = Annotated[int, Field(ge=1, le=4096)]  # of a layer; 16 times the study's, or it is a typing error
LARGEST_SEED = 2**32 - 1  # that every generator of the libraries takes
Seed = Annotated[int, Field(strict=True, ge=0, le=LARGEST_SEED)]


def _distinct(values: list) -> list:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} stands there twice; leave one")
    return values


def _speaking(name: str) -> str:
    if not name.strip():
        raise ValueError("an empty name; remove it")
    return name


def _foldable(name: str) -> str:
    """A name under which results lie in a folder."""
    if not name.strip() or name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
        raise ValueError(f"{name!r} is no name for a folder; give one without / and \\ that does not begin with a dot")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"{name[:20]!r}… has {len(name.encode())} bytes; a name has at most {LONGEST_NAME}")
    return name


LONGEST_NAME = 100  # bytes; a file system takes 255, and other words come before and after it
FolderName = Annotated[str, AfterValidator(_foldable)]
Names = Annotated[list[Annotated[str, AfterValidator(_speaking)]], AfterValidator(_distinct)]
Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]


class Strict(BaseModel):
    """An unknown key is an error, and a configuration never changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Schema = TypeVar("Schema", bound=Strict)


# ── data ─────────────────────────────────────────────────────────────────────────────────────────
class ShibData(Strict):
    """The SHIB recordings: real, found on disk, never part of the project."""

    kind: Literal["shib"]
    protocol: Literal["leave-one-participant-out", "fingerprint-to-living"] = Field(
        "leave-one-participant-out",
        description="over the calibration sessions; fingerprint-to-living tests on freeliving.csv instead",
    )
    gateways: Names = ["living", "kitchen", "stairs", "bedroom"]
    rooms: Names = ["livingroom", "kitchen", "stairs", "bedroom"]


class Channel(Strict):
    """The radio of a simulated house. Where each term comes from: `tinyloc.data.radio`."""

    reference_dbm: float = Field(-42.0, description="RSSI at 1 m, facing the gateway")
    exponent: Positive = Field(3.6, description="of the path loss")
    wall_db: NotNegative = Field(10.0, description="loss of a wall on the line of sight")
    floor_db: NotNegative = Field(17.0, description="loss of the first floor on the line of sight")
    shadowing_db: NotNegative = Field(5.0, description="standard deviation of the field that stays with the house")
    shadowing_m: Positive = Field(2.0, description="distance at which the field's correlation is 1/e")
    drift_db: NotNegative = Field(1.5, description="standard deviation of the field that changes between recordings")
    drift_offset_db: NotNegative = Field(1.5, description="of a gateway's level from recording to recording")
    gateway_offset_db: NotNegative = Field(3.0, description="standard deviation of a gateway's level")
    body_db: NotNegative = Field(10.0, description="loss with the body between wrist and gateway")
    hopping_db: NotNegative = Field(9.0, description="of the three advertising channels apart, at one place")
    rice_k: NotNegative = Field(
        0.0, description="power of the steady part over that of the scattered part; 0: Rayleigh fading"
    )
    sensitivity_dbm: float = Field(-95.0, description="half of the packets at this level are lost")
    sensitivity_width_db: Positive = Field(2.5, description="width of the logistic around it")
    best_reception: Fraction = Field(0.8, description="share of strong packets that a gateway hears")


class HouseData(Strict):
    """A simulated house: scripted fingerprint walks to train on, recordings of free living to test on."""

    kind: Literal["house"]
    plan: Literal["A", "B", "C", "D"] = Field("A", description="floor plan: 4, 11, 9 or 10 rooms")
    protocol: Literal["fingerprint-to-living"] = "fingerprint-to-living"
    seed: Seed = 7
    fingerprint_minutes: Positive = Field(30.0, description="length of each scripted walk")
    fingerprint_walks: PositiveInt = 2
    fingerprint_kept_minutes: Positive | None = Field(
        None,
        description="of each walk, its first minutes are kept, as if it had been broken off there; none: all of it",
    )
    living_minutes: Positive = Field(10.0, description="length of each free-living recording")
    living_recordings: PositiveInt = 8
    channel: Channel = Channel()

    @model_validator(mode="after")
    def kept_is_a_part(self) -> "HouseData":
        if (self.fingerprint_kept_minutes or 0) > self.fingerprint_minutes:
            raise ValueError(
                f"fingerprint_kept_minutes: {self.fingerprint_kept_minutes:g}, but a walk has only "
                f"{self.fingerprint_minutes:g} (fingerprint_minutes)"
            )
        return self


class ResidentialData(Strict):
    """A house of the study's authors: a scripted walk over floor tags to train on, free living to test on."""

    kind: Literal["residential"]
    house: Literal["A", "B", "C", "D"]
    protocol: Literal["fingerprint-to-living"] = "fingerprint-to-living"


class CsvData(Strict):
    """Anyone's own packets: CSV files in the SHIB columns, one file a recording."""

    kind: Literal["csv"]
    folder: Path = Field(description="where the CSV files are; relative to the configuration file")
    files: str = Field("*.csv", min_length=1, description="which of them: a pattern, or one file's name")
    accelerometer: bool = Field(True, description="false: there is none, or it is left out")
    protocol: Literal["leave-one-participant-out", "last-part"] = "leave-one-participant-out"
    gateways: Names = Field(min_length=1)
    rooms: Names = Field(min_length=2)

    @field_validator("files")
    @classmethod
    def within(cls, value: str) -> str:
        if PurePath(value).is_absolute() or ".." in PurePath(value).parts:
            raise ValueError(f"{value!r} leaves the folder; name files inside it, and their folder in `folder`")
        return value


class LomappData(Strict):
    """LoMAPP's windows, which are arrays and not packets; on request from its authors."""

    kind: Literal["lomapp"]
    folder: Path = Field(description="the folder that holds PD and C; relative to the configuration file")
    pickles: bool = Field(False, description="read .pkl files: reading one runs code of whoever made it")
    protocol: Literal["group-to-group"] = "group-to-group"


class HousesData(Strict):
    """Other data sets of the configuration taken together: train in some houses, test in another.

    Their gateways and rooms must carry the same names, because nothing else says which belongs to which.
    """

    kind: Literal["houses"]
    protocol: Literal["house-to-house"] = "house-to-house"
    houses: Names = Field(min_length=2, description="names of the data sets, a house each")


Data = Annotated[
    ShibData | HouseData | ResidentialData | CsvData | LomappData | HousesData, Field(discriminator="kind")
]


class Features(Strict):
    bin_s: Annotated[float, Field(ge=0.001, le=3600)] = Field(1.0, description="seconds a step")
    silent_dbm: float = Field(-120.0, description="RSSI of a gateway that heard nothing in the step, dBm")
    max_gap_s: Annotated[float, Field(ge=0.001, le=86400)] = Field(
        5.0, description="a longer pause between packets ends a segment, s"
    )


class Windows(Strict):
    length: PositiveInt = Field(20, description="steps a window")
    train_hop: PositiveInt = 2
    test_hop: PositiveInt = 1
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.25, description="the last part of every training segment, kept for early stopping"
    )


# ── models ───────────────────────────────────────────────────────────────────────────────────────
class Training(Strict):
    """RAdam inside Lookahead, early stopping on the validation windows. The defaults are the study's recipe."""

    epochs: PositiveInt = 300
    least_updates: Annotated[int, Field(ge=0)] = Field(
        0, description="of the weights: where few windows make short epochs, there are as many more as it takes"
    )
    batch: PositiveInt = 1024
    learning_rate: Positive = 1e-4
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="of the learning rate; cosine falls to zero over all `epochs`"
    )
    choose: Literal["accuracy", "loss", "last"] = Field(
        "accuracy",
        description="what decides, on the validation windows, which epoch is kept; last: the last one in any case",
    )
    lookahead_k: PositiveInt = 5
    lookahead_alpha: Fraction = 0.5
    patience: PositiveInt = 30
    gradient_clip: Positive | None = None
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="decoupled from the gradient, as in AdamW")
    acc_shift: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="augmentation: standard deviation of a shift of each accelerometer column, one a window, "
        "in units of the column's range",
    )
    posture_shift: NotNegative = Field(
        0.0, description="as acc_shift, of the columns of mean acceleration alone; how much one moves stays as it is"
    )
    rssi_shift: NotNegative = Field(
        0.0, description="as acc_shift, of each gateway's RSSI, in units of its range; silence stays silence"
    )
    rssi_noise: NotNegative = Field(0.0, description="as rssi_shift, but another one at every step")
    slowest: Annotated[float, Field(ge=1)] = Field(
        1.0, description="augmentation: windows are played up to so many times slower, as people stay longer on a spot"
    )
    unslowed: Annotated[int, Field(ge=0)] = Field(
        0, description="steps before and after a change of room that `slowest` leaves at their own pace"
    )
    reversed: Fraction = Field(0.0, description="augmentation: chance of a window to be played backwards")
    last_step: NotNegative = Field(
        0.0, description="weight of the loss at the last step alone, where testing asks, beside that of all steps"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="of rooms in the training loss; balanced: inverse to their share of the training steps"
    )
    device: Literal["auto", "cpu"] = Field("auto", description="auto: CUDA, in mixed precision, where it is there")

    def epochs_over(self, windows: int) -> int:
        """How many epochs there are at most, over so many training windows."""
        return max(self.epochs, ceil(self.least_updates / ceil(windows / self.batch)))


Target = Literal["scores", "marginals", "sequence", "paths", "features"]


class Distillation(Strict):
    """What a teacher adds to the loss: (1 - alpha) * hard + alpha * sum of weight * target; see `training.distil`."""

    teacher: str | list[str] = Field(min_length=1, description="one model, or several: an ensemble")
    teacher_seeds: Seeds | None = Field(
        None, description="seeds of every teacher, an ensemble as well [default: the student's own]"
    )
    targets: dict[Target, Positive] = Field({"scores": 1.0}, min_length=1, description="what is imitated: its weight")
    temperature: Positive = 2.0
    alpha: Fraction = 0.5
    consistent: bool = Field(
        False, description="the teacher answers for each window as the student sees it, augmented, not as it was"
    )

    @model_validator(mode="after")
    def hints_are_kept(self) -> "Distillation":
        if self.consistent and "features" in self.targets:
            raise ValueError(
                "targets.features: hints are in units of their spread over all training windows, which consistent "
                "teachers never see; remove one of them"
            )
        return self

    @field_validator("teacher")
    @classmethod
    def once_each(cls, value: str | list[str]) -> str | list[str]:
        return value if isinstance(value, str) else _distinct(value)

    @property
    def teachers(self) -> list[str]:
        return [self.teacher] if isinstance(self.teacher, str) else self.teacher

    def runs(self, seed: int) -> list[tuple[str, int]]:
        """The trained teachers (model, seed) that a student of this seed learns from."""
        return [(teacher, s) for teacher in self.teachers for s in self.teacher_seeds or [seed]]


class Neural(Strict):
    """A family of networks: trained in epochs, and able to learn from a teacher."""

    training: Training = Training()
    distillation: Distillation | None = None

    @property
    def architecture(self) -> dict[str, Any]:
        """The keys that say what the network is; how it is trained is in the others."""
        return self.model_dump(exclude={"family", *Neural.model_fields, *CausalNeural.model_fields})


class CausalNeural(Neural):
    """A family whose answers depend on no later step. Such a network is tested along whole recordings."""

    train_length: PositiveInt = Field(
        60, description="steps of a training window; longer than a test window, because it runs on streams"
    )


Modality = Literal["rssi", "acc"]
Decision = Literal["viterbi", "marginal"]


class MdcsaModel(Neural):
    family: Literal["mdcsa"]
    d: Width = 256
    kernels: list[PositiveInt] = Field([1, 4, 7], min_length=1)
    dropout: Fraction = 0.15
    modalities: list[Modality] = Field(
        ["rssi", "acc"], description="what it sees; data without an accelerometer leave RSSI alone"
    )
    hall: list[str] = Field([], description="rooms that a second, binary head tells from the others; none, no head")
    hall_weight: Positive = Field(1.0, description="of the binary head's loss, beside the CRF's")
    rssi_bins: Annotated[int, Field(ge=0)] = Field(
        0, description="parts of a gateway's range that the network is told apart, and silence; 0: one number"
    )
    decide: Decision = Field(
        "viterbi",
        description="the answer of a window: where its likeliest path ends, or the likeliest room at its end",
    )

    @field_validator("modalities")
    @classmethod
    def in_order(cls, value: list[Modality]) -> list[Modality]:
        """The accelerometer gates the RSSI and never the other way round, so that there is one order."""
        if value not in (["rssi"], ["acc"], ["rssi", "acc"]):
            raise ValueError(f"{value}: give [rssi], [acc] or [rssi, acc]")
        return value


class MambaModel(CausalNeural):
    family: Literal["mamba"]
    d: Width = 16
    n_state: PositiveInt = 8
    d_conv: PositiveInt = 4
    expand: PositiveInt = 2
    layers: PositiveInt = 1
    dropout: Fraction = 0.0
    form: Literal["stream", "window"] = Field(
        "stream",
        description="how it is asked and exported: a step at a time, with its state; or by windows, each from none",
    )


class MlpModel(CausalNeural):
    family: Literal["mlp"]
    hidden: Width = 16
    context: PositiveInt = Field(20, description="how many steps it sees, the present one included")
    layers: PositiveInt = 1
    dropout: Fraction = 0.0


class CnnModel(CausalNeural):
    family: Literal["cnn"]
    channels: Width = 16
    kernel: PositiveInt = 4
    layers: PositiveInt = Field(3, description="their taps lie 1, 2, 4, … steps apart")
    dropout: Fraction = 0.0


class GruModel(CausalNeural):
    family: Literal["gru"]
    hidden: Width = 24
    layers: PositiveInt = 1
    dropout: Fraction = 0.0


class LstmModel(CausalNeural):
    family: Literal["lstm"]
    hidden: Width = 20
    layers: PositiveInt = 1
    dropout: Fraction = 0.0


class Classical(Strict):
    """A family that is fitted in one go, and answers at the last step of windows alone."""


TabularFeatures = Annotated[
    Literal["summary", "steps"], Field(description="mean and standard deviation of the window, or all its steps")
]


class ForestModel(Classical):
    family: Literal["forest"]
    trees: PositiveInt = 300
    features: TabularFeatures = "summary"


class BoostingModel(Classical):
    family: Literal["boosting"]
    iterations: PositiveInt = 100
    learning_rate: Positive = 0.1
    leaves: Annotated[int, Field(ge=2)] = 31
    features: TabularFeatures = "summary"


class NeighboursModel(Classical):
    family: Literal["neighbours"]
    k: PositiveInt = 7


class HmmModel(Classical):
    family: Literal["hmm"]
    emission: Literal["histogram", "gaussian"] = "histogram"
    bins: PositiveInt = Field(10, description="of a histogram, beside silence")


class EnsembleModel(Strict):
    """Trained models that answer together: the room with the highest mean of their probabilities."""

    family: Literal["ensemble"]
    members: Names = Field(min_length=1)
    member_seeds: Seeds | None = Field(
        None, description="seeds of every member, all together [default: the ensemble's own]"
    )

    def runs(self, seed: int) -> list[tuple[str, int]]:
        """The trained members (model, seed) of the ensemble of this seed."""
        return [(member, s) for member in self.members for s in self.member_seeds or [seed]]


Model = Annotated[
    MdcsaModel
    | MambaModel
    | MlpModel
    | CnnModel
    | GruModel
    | LstmModel
    | ForestModel
    | BoostingModel
    | NeighboursModel
    | HmmModel
    | EnsembleModel,
    Field(discriminator="family"),
]


# ── after training ───────────────────────────────────────────────────────────────────────────────
ExportKind = Literal["float32", "dynamic", "float16", "int8", "int8-aware", "mixed", "int16x8"]
INTEGER_KINDS = ("int8", "int8-aware", "mixed", "int16x8")
"""Whose answers on a board are the same bits as TFLite Micro's; those of the others are within a tolerance."""


class Aware(Strict):
    """Quantisation-aware training of an export of kind `int8-aware`, from the float weights onwards."""

    epochs: PositiveInt = 5
    batch: PositiveInt = 64
    learning_rate: Positive = 1e-4
    alpha: Fraction = Field(0.5, description="share of the loss that is distilled from the float model itself")
    temperature: Positive = 2.0


class Export(Strict):
    """A trained model as `.tflite`, run in TFLite Micro over the test windows."""

    model: str
    kinds: list[ExportKind] = Field(min_length=1)
    calibration_windows: PositiveInt = 200
    ranges: Literal["min-max", "percentile", "mean-squared-error"] = Field(
        "min-max", description="how the calibration sets the ranges of activations"
    )
    aware: Aware = Aware()


class Device(Strict):
    """An exported model, compiled to C and run on a board in QEMU; for several boards, an entry each."""

    model: str
    kind: ExportKind
    board: Literal["mps2-an386", "mps2-an500", "mps3-an547"] = "mps2-an386"
    ram_kb: PositiveInt
    windows: PositiveInt = Field(400, description="test windows (or steps) in one QEMU run")


# ── evaluation ───────────────────────────────────────────────────────────────────────────────────
class Robustness(Strict):
    """What is done to the test part, and to which models. Nothing of it reaches training."""

    models: Names = Field(min_length=1)
    dropped: list[Fraction] = Field([0.0, 0.2, 0.4, 0.6, 0.8], description="shares of the packets that are lost")
    dead_gateways: bool = Field(True, description="each gateway in turn falls silent")
    window_lengths: Annotated[list[PositiveInt], AfterValidator(_distinct)] = Field(
        [1, 5, 10, 20], description="steps a window"
    )


class Config(Strict):
    name: FolderName
    seeds: Seeds
    datasets: dict[FolderName, Data] = Field(min_length=1)
    features: Features = Features()
    windows: Windows = Windows()
    models: dict[FolderName, Model] = Field(min_length=1)
    exports: list[Export] = []
    devices: list[Device] = []
    robustness: Robustness | None = None
    tuned_on: dict[str, list[str]] = Field(
        {}, description="by data set, the test units whose scores were looked at when settings were chosen"
    )

    @model_validator(mode="after")
    def names_exist(self) -> "Config":
        for name, model in self.models.items():
            exported, _, kind = name.rpartition(".")
            if exported in self.models and kind in get_args(ExportKind):
                raise ValueError(f"models.{name}: an export of {exported!r} has this name; choose another")
            for member in getattr(model, "members", ()):
                if not isinstance(self.models.get(member), Neural):
                    raise ValueError(f"models.{name}.members: no neural model is called {member!r}")
            distillation = getattr(model, "distillation", None)
            for teacher in distillation.teachers if distillation else ():
                if not isinstance(self.models.get(teacher), Neural):
                    raise ValueError(f"models.{name}.distillation.teacher: no neural model is called {teacher!r}")
                if self.models[teacher].distillation:
                    raise ValueError(f"models.{name}.distillation.teacher: {teacher!r} is itself distilled")
            replayed = isinstance(model, Neural) and (model.training.slowest > 1 or model.training.reversed > 0)
            if distillation and replayed and not distillation.consistent:
                raise ValueError(
                    f"models.{name}.training: slowest and reversed play other windows than those for which the teacher "
                    "answers; remove them, or set distillation.consistent"
                )
            # the teacher answers for the student's own training windows, and MDCSA knows one length alone
            length = getattr(model, "train_length", self.windows.length)
            if distillation and length != self.windows.length:
                raise ValueError(
                    f"models.{name}.train_length: {length}, but its teacher sees {self.windows.length} steps"
                )
        for name, data in self.datasets.items():
            for house in getattr(data, "houses", ()):
                if isinstance(self.datasets.get(house), HousesData | None):
                    raise ValueError(f"datasets.{name}.houses: no data set of one house is called {house!r}")
        for name in self.tuned_on:
            if name not in self.datasets:
                raise ValueError(f"tuned_on: no data set is called {name!r}")
        for name in self.robustness.models if self.robustness else ():
            if name not in self.models:
                raise ValueError(f"robustness.models: no model is called {name!r}")
            if isinstance(self.models[name], EnsembleModel):
                raise ValueError(f"robustness.models: {name!r} is an ensemble; name its members")
        for name, data in self.datasets.items():
            if self.robustness and isinstance(data, LomappData):
                raise ValueError(f"robustness: {name!r} is of arrays, which have no packets to lose; remove one")
        for i, export in enumerate(self.exports):
            if not isinstance(self.models.get(export.model), Neural):
                raise ValueError(f"exports.{i}.model: no neural model is called {export.model!r}")
            if not isinstance(self.models[export.model], MdcsaModel | MambaModel):
                family = self.models[export.model].family
                raise ValueError(f"exports.{i}.model: {export.model!r} is of family {family}; mdcsa and mamba export")
            if "int8-aware" in export.kinds and not isinstance(self.models[export.model], MdcsaModel):
                raise ValueError(f"exports.{i}.kinds: int8-aware is for mdcsa alone; {export.model!r} is a mamba")
        exported = {(e.model, kind) for e in self.exports for kind in e.kinds}
        for i, device in enumerate(self.devices):
            if (device.model, device.kind) not in exported:
                raise ValueError(f"devices.{i}: {device.model}.{device.kind} is not among the exports")
            if (device.model, device.kind, device.board) in ((d.model, d.kind, d.board) for d in self.devices[:i]):
                raise ValueError(f"devices.{i}: {device.model}.{device.kind} on {device.board} is listed twice")
            if device.kind == "float16":
                raise ValueError(f"devices.{i}.kind: no microcontroller runs float16 weights; choose float32 or int8")
        return self


def read(path: Path) -> Config:
    """Read and validate a configuration file.

    Raises InputError: one line with file, key, value and the nearest key that exists.
    """
    config = parse(path, Config, "configuration", "configs/quick.yaml")
    return config.model_copy(update={"datasets": {n: _located(d, path) for n, d in config.datasets.items()}})


LARGEST_FILE = 1 << 17  # bytes: ten times the longest profile, read in seconds


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key may stand once in a mapping: YAML says so, and PyYAML takes the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        # here the keys of `<<` are not merged in yet: they may well be given again
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} stands there twice; leave one", problem_mark=key.start_mark
                )
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def parse(path: Path, schema: type[Schema], kind: str, example: str) -> Schema:
    """A YAML file, validated. kind, example: what such a file is called, and one to start from.

    Raises InputError: one line with file, key, value and the nearest key that exists.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise InputError(f"{path}: more than {LARGEST_FILE} bytes, which no {kind} file has; start from {example}")
        raw = yaml.load(content.decode("utf-8"), _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such {kind} file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a {kind} file: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path}: {line}not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{path}: not YAML: brackets in brackets without end; start from {example}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a {kind} file is a mapping of keys to values; start from {example}")
    return validated(path, raw, schema)


def validated(path: Path, raw: dict, schema: type[Schema]) -> Schema:
    """What a file at `path` holds, or is to hold, against the schema. Raises InputError: as `parse`."""
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}") from None


def _located(data: Data, path: Path) -> Data:
    """A folder that the file at `path` names, seen from the working directory."""
    if isinstance(data, CsvData | LomappData):
        return data.model_copy(update={"folder": path.parent / data.folder})
    return data


def profile(name: str) -> Config:
    """The configuration of a profile that ships with the library: `quick` or `paper`."""
    folder = shipped("configs")
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise InputError(f"profile {name!r}: no such profile; there are {names}")
    return read(path)


def _first(error: ValidationError) -> str:
    """The problem to mend first: a misspelt key, because it often causes the others."""
    problems = error.errors()
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    path = [str(part) for part in problem["loc"] if part != "[key]"]  # pydantic's mark of a wrong key
    if path[:1] in (["datasets"], ["models"]):
        del path[2:3]  # the kind or family, which pydantic puts between a name and its keys
    return f"{_said(problem, path)}{more}"


def _said(problem: Any, path: list[str]) -> str:
    """One of pydantic's problems in our words. path: the keys that lead to it."""
    where, kind, context = ".".join(path), problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _all_keys(), n=1)
        return f"{where}: no such key; " + (f"did you mean {near[0]!r}?" if near else "remove it")
    if kind == "missing":
        return f"{where}: missing; a value must be given"
    if kind == "union_tag_not_found":
        return f"{where}.{context['discriminator'].strip(chr(39))}: missing; it says what {where} is"
    if kind == "union_tag_invalid":
        expected = context["expected_tags"].replace("'", "").split(", ")
        near = difflib.get_close_matches(context["tag"], expected, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        key = context["discriminator"].strip("'")
        return f"{where}.{key}: {context['tag']!r} is unknown; {guess}known are {', '.join(expected)}"
    if kind == "value_error":
        return f"{where}: {context['error']}" if where else str(context["error"])
    shown = repr(problem["input"])
    return f"{where}: {problem['msg']} (value {shown if len(shown) <= 60 else shown[:57] + '…'})"


def _all_keys() -> list[str]:
    kinds: list[type[BaseModel]] = [Strict]
    for kind in kinds:  # grows while it is walked
        kinds += kind.__subclasses__()
    return sorted({key for kind in kinds for key in kind.model_fields})
