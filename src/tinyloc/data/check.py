"""What somebody's own CSV files hold, and what tinyloc would make of them.

`look` gathers the facts, `tables` and `plan` put them before a reader, `configuration` writes the file to start from.
"""

import glob
import os
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from tinyloc.config import Config, CsvData, Features, Model, Neural, Training, Windows, validated
from tinyloc.data.features import Steps, all_steps, stacked
from tinyloc.data.packets import Dataset, Recording, acceleration, missing, read_csv, samples
from tinyloc.data.sources import participant, recording_name, recordings_in, require_alike
from tinyloc.data.splits import Fold, folds
from tinyloc.data.windows import counted, longest_run
from tinyloc.errors import InputError
from tinyloc.files import write_text

if TYPE_CHECKING:
    from rich.table import Table

LEAST_UPDATES = 1_000  # of a network's weights: about as many as the quick profile makes on the SHIB recordings
WITHOUT = {
    "activity": "every packet has the activity `unknown`; only descriptions use it",
    "seqno": "each row is taken for a packet of its own; without an accelerometer nothing else needs it",
    "accelerometer": "features are RSSI alone: models get no second modality",
}
FEWEST_STEPS = 5  # of a window: fewer hold next to no sequence
FEW_PACKETS = 0.5  # of the steps with a packet: with fewer, most of a window is silence
SAME = ("timestamp", "seqno", "gateway", "rssi")  # that make two rows one; without numbers of packets none are
G = 9.80665  # m/s²
HEAVY = 5.0  # g: no wrist is at so much in the middle of a recording, and a wrist at rest is at G in m/s²


@dataclass(frozen=True)
class Check:
    """Recordings that were read, and how they would be used."""

    files: tuple[Path, ...]
    dataset: Dataset
    features: Features
    steps: list[Steps]
    missing: tuple[str, ...]  # keys of WITHOUT
    protocol: str
    folds: list[Fold]
    windows: Windows
    warnings: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Accelerometer samples a packet."""
        return samples(self.dataset.recordings[0].packets.columns)


def look(
    path: Path,
    gateways: Sequence[str] | None = None,
    rooms: Sequence[str] | None = None,
    accelerometer: bool | None = None,
    features: Features | None = None,
    say: Callable[[str], None] = lambda what: None,
) -> Check:
    """Read a CSV file, or every one of a folder, and find out how to use them.

    gateways, rooms: the known names; None takes those that are there. accelerometer: as in `packets.read_csv`.
    features: how to cut steps and segments; None is as a configuration that says nothing. say: told what is done now.

    Raises InputError: nothing there, or a file that is no packet table.
    """
    files = tuple(recordings_in(path)) if path.is_dir() else (path,)
    if not files:
        raise InputError(f"{path}: no CSV file there; put one file a recording, called participant-number.csv")
    tables = []
    for i, file in enumerate(files, 1):
        say(f"reading {file.name} ({i} of {len(files)})")
        tables.append(read_csv(file, gateways, rooms, accelerometer))
    say("cutting steps")
    require_alike(files, tables)
    recordings = tuple(
        Recording(recording_name(file, file.parent), participant(file), "calibration", t)
        for file, t in zip(files, tables, strict=True)
    )
    dataset = Dataset(
        name=path.stem,
        gateways=tuple(gateways or _names(tables, "gateway")),
        rooms=tuple(rooms or _names(tables, "true_room")),
        recordings=recordings,
        origin=f"packets of {path}",
    )
    features, wanted = features or Features(), Windows()
    steps = all_steps(dataset, features)
    protocol = "leave-one-participant-out" if len({r.participant for r in recordings}) > 1 else "last-part"
    made = folds(steps, protocol, wanted.validation_share)
    fitting, where = _fitting(made)
    windows = wanted.model_copy(update={"length": max(1, min(wanted.length, fitting))})
    return Check(
        files=files,
        dataset=dataset,
        features=features,
        steps=steps,
        missing=_missing(files, tables[0]),
        protocol=protocol,
        folds=made,
        windows=windows,
        warnings=(
            *_too_short(dataset, steps, features, fitting, where, wanted.length),
            *_untold(dataset, made),
            *_slips(dataset, steps),
        ),
    )


def _names(tables: Sequence[pd.DataFrame], column: str) -> list[str]:
    return sorted(set().union(*(table[column].unique() for table in tables)))


def _missing(files: Sequence[Path], table: pd.DataFrame) -> tuple[str, ...]:
    absent = set().union(*map(missing, files))
    return tuple(key for key in WITHOUT if key in absent or (key == "accelerometer" and "s1x" not in table))


def _fitting(made: Sequence[Fold]) -> tuple[int, str]:
    """Steps of the longest window that every part of every fold has one of, and which part sets this limit."""
    parts = ("train", "validation", "test")
    runs = {(fold.name, part): longest_run(getattr(fold, part)) for fold in made for part in parts}
    (name, part), steps = min(runs.items(), key=lambda item: item[1])
    return steps, f"the {part} part of fold {name}"


# ── what would spoil a study of these data ───────────────────────────────────────────────────────
def _too_short(
    dataset: Dataset, steps: Sequence[Steps], features: Features, fitting: int, where: str, wanted: int
) -> list[str]:
    """Stretches that hold no window, bins that hold no packet. fitting, where: as from `_fitting`."""
    found = []
    if fitting < wanted:
        found.append(
            f"the stretches without a gap are short: a window can have {fitting} steps and not {wanted}, "
            f"because {where} has no longer one"
        )
    if fitting < FEWEST_STEPS:
        found.append(
            "that is too short to train on: record longer without a pause, or allow longer pauses (--max-gap-s)"
        )
    pauses = np.concatenate([r.packets["timestamp"].diff().dt.total_seconds() for r in dataset.recordings])
    pause = np.median(pauses[pauses > 0]) if (pauses > 0).any() else 0.0  # not between rows of one packet
    filled = (stacked(steps, "heard").sum(1) > 0).mean()
    if pause > features.max_gap_s:
        found.append(
            f"most packets come more than {features.max_gap_s:g} s after the one before ({pause:.3g} s at the median), "
            "so that each begins a segment: give a longer --max-gap-s and a longer --bin-s"
        )
    elif filled < FEW_PACKETS:
        found.append(f"{100 * (1 - filled):.0f} % of the steps hold no packet at all: give a longer --bin-s")
    return found


def _untold(dataset: Dataset, made: Sequence[Fold]) -> list[str]:
    """What a test part asks and its training part does not say."""
    found = ["there is one room: nothing to tell apart"] if len(dataset.rooms) < 2 else []
    for fold in made:
        unseen = set(stacked(fold.test, "room")) - set(stacked(fold.train, "room"))
        if unseen:
            names = ", ".join(sorted(dataset.rooms[i] for i in unseen))
            found.append(f"fold {fold.name}: {names} is tested and never trained on")
        trained, tested = (stacked(part, "heard").sum(0) > 0 for part in (fold.train, fold.test))
        if (tested & ~trained).any():
            names = ", ".join(np.array(dataset.gateways)[tested & ~trained])
            found.append(f"fold {fold.name}: gateway {names} is heard in testing and never in training")
    return found


def _slips(dataset: Dataset, steps: Sequence[Steps]) -> list[str]:
    """What looks like a mistake in the files, and may be none."""
    found = []
    heard = stacked(steps, "heard")
    found += [f"gateway {dataset.gateways[i]} heard nothing at all" for i in np.flatnonzero(heard.sum(0) == 0)]
    visited = np.bincount(stacked(steps, "room"), minlength=len(dataset.rooms))
    found += [f"nobody was in room {dataset.rooms[i]}" for i in np.flatnonzero(visited == 0)]
    for what, names in (("rooms", dataset.rooms), ("gateways", dataset.gateways)):
        alike: dict[str, list[str]] = {}
        for name in names:
            plain = unicodedata.normalize("NFKC", name)  # an ü is one character, or a u with two dots that follow
            alike.setdefault("".join(plain.casefold().split()), []).append(name)
        found += [
            f"{what} {', '.join(same)} differ in capitals, blanks or the spelling of accents alone"
            for same in alike.values()
            if same[1:]
        ]
    if copies := sum(int(r.packets.duplicated(list(SAME)).sum()) for r in dataset.recordings):
        total = sum(len(r.packets) for r in dataset.recordings)
        found.append(f"{copies} of {total} rows are of a packet and a gateway that another row is of; leave copies out")
    if (level := _gravity(dataset)) > HEAVY:
        found.append(
            f"acceleration is {level:.1f} g at the median, where a wrist at rest is at 1; if it is m/s², divide by {G}"
        )
    return found


def _gravity(dataset: Dataset) -> float:
    """Median length of the first accelerometer sample of a packet, in the file's unit; 0 without an accelerometer."""
    first = list(acceleration(1))
    if not set(first) <= set(dataset.recordings[0].packets.columns):
        return 0.0
    values = np.concatenate([r.packets[first].to_numpy() for r in dataset.recordings])
    return float(np.median(np.linalg.norm(values, axis=1)))


# ── for a reader ─────────────────────────────────────────────────────────────────────────────────
def tables(check: Check) -> list["Table"]:
    """What is in the files: recordings, gateways, rooms, activities."""
    shown = [_recordings(check), _gateways(check), _rooms(check)]
    return shown if "activity" in check.missing else [*shown, _activities(check)]


def _table(title: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def _recordings(check: Check) -> "Table":
    table = _table("Recordings", "file", "person", "packets", "minutes", "packets/s", "gaps", "longest gap", "steps")
    limit = pd.Timedelta(seconds=check.features.max_gap_s)
    for file, recording, steps in zip(check.files, check.dataset.recordings, check.steps, strict=True):
        time = recording.packets["timestamp"]
        pauses = time.diff()
        gaps = pauses[pauses > limit]
        active = (time.iloc[-1] - time.iloc[0] - gaps.sum()).total_seconds()
        table.add_row(
            file.name,
            recording.participant,
            f"{len(time)}",
            f"{(time.iloc[-1] - time.iloc[0]).total_seconds() / 60:.1f}",
            f"{len(time) / active:.1f}" if active > 0 else "–",
            f"{len(gaps)}",
            f"{gaps.max().total_seconds():.0f} s" if len(gaps) else "–",
            f"{len(steps)}",
        )
    return table


def _gateways(check: Check) -> "Table":
    table = _table("Gateways (RSSI in dBm)", "gateway", "packets", "weakest", "median", "strongest", "silent steps")
    packets = pd.concat([r.packets[["gateway", "rssi"]] for r in check.dataset.recordings])
    silent = (stacked(check.steps, "heard") == 0).mean(0)
    for gateway, share in zip(check.dataset.gateways, silent, strict=True):
        rssi = packets.loc[packets["gateway"] == gateway, "rssi"]
        levels = (f"{rssi.min()}", f"{rssi.median():.0f}", f"{rssi.max()}") if len(rssi) else ("–",) * 3
        table.add_row(gateway, f"{len(rssi)}", *levels, f"{100 * share:.0f} %")
    return table


def _rooms(check: Check) -> "Table":
    table = _table("Rooms", "room", "packets", "steps", "share of steps", "visits", "people")
    packets = pd.concat([r.packets["true_room"] for r in check.dataset.recordings]).value_counts()
    room = stacked(check.steps, "room")
    for i, name in enumerate(check.dataset.rooms):
        visits = sum(int((np.diff((s.room == i).astype(int), prepend=0) == 1).sum()) for s in check.steps)
        people = {s.participant for s in check.steps if (s.room == i).any()}
        share = f"{100 * (room == i).mean():.0f} %"
        table.add_row(name, f"{packets.get(name, 0)}", f"{(room == i).sum()}", share, f"{visits}", f"{len(people)}")
    return table


def _activities(check: Check) -> "Table":
    table = _table("Activities", "activity", "packets", "share")
    activity = pd.concat([r.packets["activity"] for r in check.dataset.recordings])
    for name, count in activity.value_counts().items():
        table.add_row(name, f"{count}", f"{100 * count / len(activity):.0f} %")
    return table


def plan(check: Check) -> list[str]:
    """What tinyloc would do with these recordings, a sentence a line."""
    segments = [np.bincount(s.segment) for s in check.steps]
    length, bin_s = check.windows.length, check.features.bin_s
    short = sum(int((s < length).sum()) for s in segments)
    windows = sum(counted(fold.test, length, 1) for fold in check.folds)
    names = ", ".join(fold.name for fold in check.folds)
    protocol = (
        f"leave one participant out: {len(check.folds)} folds ({names})"
        if check.protocol == "leave-one-participant-out"
        else "last part: one participant alone, so the last quarter of every segment is the test; this says nothing "
        "about other people or other days (name files participant-number.csv to tell people apart)"
    )
    lines = [f"No {key}: {WITHOUT[key]}." for key in check.missing]
    lines += [
        f"Bins of {bin_s:g} s: {sum(map(len, check.steps))} steps, segments: {sum(map(len, segments))}; a pause of "
        f"more than {check.features.max_gap_s:g} s ends a segment.",
        f"Features: {len(check.dataset.gateways)} of RSSI"
        + (f" and 6 of {check.n_samples} accelerometer samples a packet." if check.n_samples else "."),
        f"Windows of {length} steps: {windows} to test on, a new one every step"
        + (f"; segments that are too short for one: {short}." if short else "."),
        f"Protocol {protocol}.",
    ]
    return lines + [f"Warning: {warning}." for warning in check.warnings]


# ── a configuration to start from ────────────────────────────────────────────────────────────────
class _Plain(yaml.SafeDumper):
    """YAML without anchors, which a reader who edits one model would trip over."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def configuration(check: Check, source: Path, path: Path, models: Config) -> None:
    """Write a configuration for the data at `source` to `path`: the models of another one, fitted to these data.

    Raises InputError: `path` exists, since it may hold work, or has a name of something else; or the data are too
    short, or have a single room.
    """
    if path.suffix not in {".yaml", ".yml"}:
        raise InputError(
            f"{path}: a configuration is a .yaml; give such a name, or other commands take it for a profile's"
        )
    if path.exists():
        raise InputError(f"{path}: there already; remove it or choose another name")
    if check.windows.length < FEWEST_STEPS or len(check.dataset.rooms) < 2:
        raise InputError(f"{source}: no configuration written: {check.warnings[0]}")
    folder = source if source.is_dir() else source.parent
    data = CsvData(
        kind="csv",
        # not Path.relative_to: its walk_up came with Python 3.12
        folder=Path(os.path.relpath(folder.resolve(), path.parent.resolve())),
        files="*.csv" if source.is_dir() else glob.escape(source.name),
        accelerometer=check.n_samples > 0,
        protocol=check.protocol,
        gateways=list(check.dataset.gateways),
        rooms=list(check.dataset.rooms),
    )
    settings = models.model_dump(
        mode="json", exclude_unset=True, include={"seeds", "windows", "models", "exports", "devices"}
    )
    settings["windows"] = {**settings.get("windows", {}), "length": check.windows.length}
    hop = settings["windows"].get("train_hop", check.windows.train_hop)
    settings["models"] = {
        name: _fitted(settings["models"][name], model, check, hop) for name, model in models.models.items()
    }
    content = {"name": path.stem, "datasets": {path.stem: data.model_dump(mode="json")}}
    if features := check.features.model_dump(exclude_defaults=True):
        content["features"] = features
    content |= settings
    validated(path, content, Config)
    first = next(iter(settings["models"]))
    next_command = ["tinyloc", "train", "--config", path.name, "--dataset", path.stem, "--model", first]
    header = (
        f"# Written by `tinyloc data check`: the models of the profile {models.name} over {source.resolve().name}.\n"
        f"# Next: {shlex.join(next_command)}\n"
    )
    style = {"sort_keys": False, "default_flow_style": None, "width": 100, "allow_unicode": True}
    write_text(path, header + yaml.dump(content, Dumper=_Plain, **style))


def _fitted(model: dict, config: Model, check: Check, hop: int) -> dict:
    """A model's settings for these data: no longer training windows than there are, no shift of what is not there, and
    epochs enough where few windows make short ones. config: the model with all its defaults; hop: of its training."""
    fitted = {"family": model["family"], **model}
    if "train_length" in model:
        fitted["train_length"] = min(model["train_length"], check.windows.length)
    if isinstance(config, Neural):
        absent = set() if check.n_samples else {"acc_shift", "posture_shift"}
        training = {key: value for key, value in model.get("training", {}).items() if key not in absent}
        fitted["training"] = {**training, **_long_enough(config.training, check, fitted.get("train_length"), hop)}
    return fitted


def _long_enough(training: Training, check: Check, length: int | None, hop: int) -> dict:
    """What makes a training on the smallest fold LEAST_UPDATES long, patience included; nothing where it is anyway."""
    windows = min(counted(fold.train, length or check.windows.length, hop) for fold in check.folds)
    longer = training.model_copy(update={"least_updates": LEAST_UPDATES}).epochs_over(max(windows, 1))
    if longer <= training.epochs_over(max(windows, 1)):
        return {}
    return {"least_updates": LEAST_UPDATES, "patience": ceil(training.patience * longer / training.epochs)}
