"""The constants behind estimates of time and energy: a YAML file in which each has a unit and a source.

The file that ships is `energy.yaml` beside this module; anyone's own takes its place. What a person could look up may
not stand there without saying where: the schema refuses it. Only choices, of which there is no manual, have none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import pandas as pd
from pydantic import BaseModel, Field, field_validator, model_validator

from tinyloc.config import Strict, parse
from tinyloc.device.boards import BOARDS
from tinyloc.device.mix import CLASSES
from tinyloc.errors import InputError
from tinyloc.files import write_text

SHIPPED = Path(__file__).with_name("energy.yaml")

Range = tuple[float, float]
"""Best and worst case."""

SI = {
    "cycles": 1.0,
    "MHz": 1e6,
    "V": 1.0,
    "mA": 1e-3,
    "uA/MHz": 1e-12,  # A/Hz
    "mW": 1e-3,
    "us": 1e-6,
    "us/byte": 1e-6,
    "bytes": 1.0,
    "channels": 1.0,
}
"""What one of a unit is in the unit without prefix that is computed with."""

Core = Literal[tuple(board.core for board in BOARDS.values())]
Class = Literal[(*CLASSES, "block_words")]
CLASS_NAMES: tuple[str, ...] = get_args(Class)

Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$", description="of the book's bibliography")]
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]


# ── one constant ─────────────────────────────────────────────────────────────────────────────────
class Cited(Strict):
    """Whatever somebody published."""

    source: list[Key] = Field(min_length=1)
    where: str = Field(min_length=1, description="place in the source, and how an end follows from it")


class Value(Cited):
    value: Finite

    @property
    def si(self) -> float:
        return self.value * SI[self.unit]


class Span(Cited):
    """From the best case to the worst."""

    low: Finite
    high: Finite

    @model_validator(mode="after")
    def ordered(self) -> "Span":
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; low is the best case")
        return self

    @property
    def si(self) -> Range:
        return self.low * SI[self.unit], self.high * SI[self.unit]


class Cycles(Span):
    unit: Literal["cycles"]


class CoreCurrent(Span):
    unit: Literal["mA", "uA/MHz"]


class Power(Span):
    unit: Literal["mW"]


class Frequency(Value):
    unit: Literal["MHz"]
    value: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Voltage(Value):
    unit: Literal["V"]


class Current(Value):
    unit: Literal["mA"]


class Duration(Value):
    unit: Literal["us"]


class Pace(Value):
    unit: Literal["us/byte"]


class Size(Value):
    unit: Literal["bytes"]
    value: Annotated[int, Field(gt=0)]


class Channels(Value):
    unit: Literal["channels"]
    value: Annotated[int, Field(gt=0)]


class Choice(Strict):
    """Ours to make, and therefore nobody's to cite."""

    value: Finite
    unit: Literal["bytes"]
    assumption: str = Field(min_length=1, description="what the number stands for")

    @property
    def si(self) -> float:
        return self.value * SI[self.unit]


# ── what they are constants of ───────────────────────────────────────────────────────────────────
class Part(Strict):
    """A microcontroller whose core runs, at one clock. Its power is given, or follows from current and voltage."""

    core: Core
    clock: Frequency
    current: CoreCurrent | None = None
    voltage: Voltage | None = None
    power: Power | None = None

    @model_validator(mode="after")
    def one_power(self) -> "Part":
        given = [name for name in ("current", "voltage", "power") if getattr(self, name)]
        if given not in (["current", "voltage"], ["power"]):
            raise ValueError(f"has {' and '.join(given) or 'neither'}; give current and voltage, or power")
        return self

    @property
    def hertz(self) -> float:
        return self.clock.si

    @property
    def watts(self) -> Range:
        if self.power:
            return self.power.si
        cycles_a_second = self.hertz if self.current.unit == "uA/MHz" else 1.0
        return tuple(end * cycles_a_second * self.voltage.si for end in self.current.si)

    @property
    def sources(self) -> list[str]:
        """Keys of the works that its power rests on."""
        cited = (item for item in (self.clock, self.current, self.voltage, self.power) if item)
        return list(dict.fromkeys(key for item in cited for key in item.source))


class Radio(Strict):
    """The radio of a part, alone."""

    name: str
    voltage: Voltage
    sending: Current
    listening: Current


class Air(Strict):
    """Bluetooth LE at one bit a microsecond: a packet is preamble, access address, header, payload and check sum."""

    byte: Pace
    pause: Duration = Field(description="between a packet and its answer")
    preamble: Size
    access_address: Size
    header: Size
    check: Size
    address: Size = Field(description="of the sender, in an advertisement")
    advertisement: Size = Field(description="payload of a legacy advertisement at most")
    channels: Channels = Field(description="on each of which an advertisement is sent")
    connection: Size = Field(description="payload of a packet in a connection at most")

    @property
    def frame(self) -> float:
        """Bytes of a packet without payload."""
        return self.preamble.si + self.access_address.si + self.header.si + self.check.si


class Choices(Strict):
    """What a packet that was heard amounts to when it is sent on."""

    signal_strength: Choice
    gateway: Choice
    axis: Choice = Field(description="of one sample of acceleration")


class Constants(Strict):
    cycles: dict[Core, dict[Class, Cycles]] = Field(min_length=1)
    parts: dict[str, Part] = Field(min_length=1)
    radio: Radio
    air: Air
    choices: Choices

    @field_validator("cycles")
    @classmethod
    def transfers_are_whole(cls, value: dict) -> dict:
        for core, table in value.items():
            if ("block" in table) != ("block_words" in table):
                raise ValueError(f"{core}: give both block and block_words, or neither; a transfer takes the sum")
        return value

    @model_validator(mode="after")
    def parts_have_cycles(self) -> "Constants":
        for name, part in self.parts.items():
            if part.core not in self.cycles:
                known = ", ".join(self.cycles)
                raise ValueError(f"parts.{name}.core: {part.core} has no table among the cycles; there is {known}")
        return self


def read(path: Path | str | None = None) -> Constants:
    """The constants of a file, or those that ship.

    Raises InputError: one line with file, key and value, for whatever the schema refuses.
    """
    return parse(located(path), Constants, "constants", "the file that `tinyloc energy --write FILE` writes")


def located(path: Path | str | None = None) -> Path:
    """The file that `read` reads. An empty path is none, so that a notebook's parameter can be passed on."""
    return Path(path) if path else SHIPPED


def write(path: Path) -> None:
    """Copy the file that ships, comments included, for somebody to change.

    Raises InputError: there is a file already, which may hold such changes.
    """
    if path.exists():
        raise InputError(f"{path}: there already; choose another name, or read it with --constants")
    write_text(path, SHIPPED.read_text(encoding="utf-8"))


# ── listed ───────────────────────────────────────────────────────────────────────────────────────
def entries(constants: BaseModel) -> Iterator[tuple[str, Cited | Choice]]:
    """Every constant with its place in the file, such as `cycles, Cortex-M7, load`."""
    for name, found in _children(constants):
        if isinstance(found, Cited | Choice):
            yield name, found
        elif isinstance(found, BaseModel | dict):
            yield from ((f"{name}, {below}", constant) for below, constant in entries(found))


def _children(of: BaseModel | dict) -> Iterator[tuple[str, object]]:
    return iter(of.items() if isinstance(of, dict) else of)


def table(constants: Constants) -> pd.DataFrame:
    """A row a constant: its value and unit, the work it is from as a citation, and the place in that work."""
    rows = [
        {
            "constant": name.replace("_", " "),
            "value": shown(found),
            "unit": found.unit.replace("u", "µ", 1) if found.unit.startswith("u") else found.unit,
            "source": cite(found.source) if isinstance(found, Cited) else "our choice",
            "where": found.where if isinstance(found, Cited) else found.assumption,
        }
        for name, found in entries(constants)
    ]
    return pd.DataFrame(rows)


def cite(keys: list[str]) -> str:
    """A citation as the book's pages write it."""
    return f"{{cite}}`{','.join(keys)}`"


def shown(found: Cited | Choice) -> str:
    """As it stands in the file, and not as rounded as what is computed with it."""
    if not isinstance(found, Span):
        return f"{found.value:g}"
    return f"{found.low:g}" if found.low == found.high else f"{found.low:g} – {found.high:g}"
