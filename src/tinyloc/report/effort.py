"""What a configuration would take, in core-hours and on so many cores, reckoned from stages that have finished.

Work (`report.workload`) times a *rate*, core-seconds for a unit of work, which every finished stage leaves behind:

- a network's fit: seconds for 1e9 multiply-accumulates. The rate is that of the network itself. Where it was never
  trained, it is that of its family: a straight line through the seconds of a window of its sizes (calling a hundred
  small operations takes time however small they are, so that a wider network does more in a second), or the one size
  that there is; or else that of the nearest network of any family;
- a baseline's fit: seconds a window, of the same settings, or of the same family;
- exports, robustness: seconds an answer; boards: seconds a run; of the same family and kind, or of another kind.

Setting up costs the same for few answers as for many, so that rates of short recordings err to the dear side. Not in
it: preparing data, starting Python for every stage, and the notebooks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from tinyloc import provenance
from tinyloc.config import Config, HouseData
from tinyloc.errors import InputError
from tinyloc.files import read_json, shipped, write_json
from tinyloc.report import results, workload
from tinyloc.report.numbers import counted
from tinyloc.report.workload import Sizes, Work

FORMAT = 1
HOUR = 3600
MEASURED, SAME_FAMILY, OTHER, NOTHING = "itself", "its family", "others", "nothing"
AFTER = {"robustness": "robustness", "export": "exports", "board": "boards"}
CORES = (16, 64, 256)


@dataclass(frozen=True)
class Rate:
    """Core-seconds for a unit of work of one finished stage; `like`, `macs` and `batch` as in `workload.Work`."""

    stage: str
    like: tuple[str, ...]
    macs: float
    batch: int
    seconds: float


@dataclass(frozen=True)
class Sample:
    """What was measured somewhere, and the sizes of the data of the configuration that it was measured for."""

    rates: tuple[Rate, ...]
    sizes: dict[str, Sizes]
    made: dict[str, Any]


# ── what finished stages say ─────────────────────────────────────────────────────────────────────
def rates(study: Any) -> list[Rate]:
    """The rates of all finished stages of a study (`tinyloc.study.Study`); those of data that are not there are not.

    A fit that is as it was trained counts the epochs that it had, not those that it might have had.
    """
    found = []
    for dataset in study.config.datasets:
        if dataset not in study.absent and (study.data / dataset / "config.json").is_file():
            sizes = Sizes.of(study.prepared(dataset))
            for work in workload.works(study.config, dataset, sizes):
                found += [rate for seed in study.seeds if (rate := _rate(study, sizes, work, seed))]
    return found


def _rate(study: Any, sizes: Sizes, work: Work, seed: int) -> Rate | None:
    folder = study.root / "results" / work.dataset / work.entry / f"seed{seed}"
    if work.length != study.config.windows.length:
        return None  # the same network as at its own length
    timings = {"robustness": "timing-robustness.json", "board": "timing-device-*.json"}
    paths = sorted(folder.glob(timings.get(work.stage, "timing.json")))
    spent = [kept["core_seconds"] for kept in map(read_json, paths) if "core_seconds" in kept]
    if not spent or (work.stage in {"fit", "export"} and not (folder / "config.json").is_file()):
        return None
    units = work.folds * work.high
    if work.stage == "fit" and work.macs:
        epochs = len(results.histories([folder])) / sizes.folds
        units = work.folds * workload.network_gmacs(study.config, sizes, work.entry, work.length, epochs)
    return Rate(work.stage, work.like, work.macs, work.batch, sum(spent) / len(spent) / units)


def match(known: Iterable[Rate], work: Work) -> tuple[Rate, str] | None:
    """The rate that is nearest to a stage's work, and whose it is; None where nothing like it was ever run.

    Of several that are as near (data sets, seeds) the dearest is taken.
    """
    near = [(found, rate) for rate in known if (found := _distance(rate, work)) is not None]
    if not near:
        return None
    (strangeness, _), rate = min(near, key=lambda pair: (pair[0], -pair[1].seconds))
    if strangeness == 1 and rate.macs:
        rate = _along_sizes([r for (strange, _), r in near if strange <= 1], rate, work.macs)
    return rate, (MEASURED, SAME_FAMILY, OTHER)[strangeness]


def _along_sizes(family: Sequence[Rate], nearest: Rate, macs: float) -> Rate:
    """What a family's rate comes to at another size; that of the nearest where there is one size alone.

    Of several of one size the dearest is taken, as everywhere: a student's work has its teacher's in it, which is large
    and quickly done, so that what students take for a unit of work says little of the network alone.
    """
    dearest = pd.DataFrame([(rate.macs, rate.seconds) for rate in family]).groupby(0)[1].max()
    if len(dearest) == 1:
        return nearest
    sizes = dearest.index.to_numpy(float)
    window = dearest.to_numpy() * sizes
    # relative errors count, or the largest network would decide alone
    (fixed, each), _ = nnls(np.column_stack([np.ones_like(sizes), sizes]) / window[:, None], np.ones(len(sizes)))
    return replace(nearest, macs=macs, seconds=float(fixed / macs + each))


def _distance(rate: Rate, work: Work) -> tuple[int, float] | None:
    """How strange a stage is to another (an index into MEASURED, …), and how far apart in size; None: too strange."""
    networks = rate.macs > 0, work.macs > 0
    if rate.stage != work.stage or networks[0] != networks[1]:
        return None
    apart = abs(log(rate.macs / work.macs)) if all(networks) else 0.0
    if rate.like == work.like and rate.batch == work.batch:
        return 0, apart
    if (rate.like[0], rate.like[2]) == (work.like[0], work.like[2]):
        return 1, apart
    # the same family as another kind of export; another network, whose operations are not so different
    return (2, apart) if rate.like[0] == work.like[0] or (work.stage == "fit" and all(networks)) else None


# ── estimates ────────────────────────────────────────────────────────────────────────────────────
def table(config: Config, sizes: Mapping[str, Sizes], known: Sequence[Rate]) -> pd.DataFrame:
    """Core-hours of a configuration, a row a model's fits, and a row each for the stages after them.

    Columns: part, runs (folds × seeds × data sets), low, high (core-hours, with the fewest and the most epochs),
    longest (hours of the longest single run), rate (whose: "itself", …, the strangest of them). Hours are NaN where
    nothing tells.
    """
    rows: dict[str, list[dict]] = {}
    for dataset, size in sizes.items():
        for work in workload.works(config, dataset, size):
            found = match(known, work)
            seconds, whose = (found[0].seconds, found[1]) if found else (float("nan"), NOTHING)
            runs = work.folds * len(config.seeds)
            rows.setdefault(work.entry if work.stage == "fit" else AFTER[work.stage], []).append(
                {
                    "runs": runs,
                    "low": runs * work.low * seconds / HOUR,
                    "high": runs * work.high * seconds / HOUR,
                    "longest": work.high * seconds / HOUR,
                    "rate": whose,
                }
            )
    return pd.DataFrame([{"part": part, **_together(found)} for part, found in rows.items()])


def _together(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    order = (MEASURED, SAME_FAMILY, OTHER, NOTHING)
    known = [row for row in found if row["rate"] != NOTHING]
    return {
        "runs": sum(row["runs"] for row in found),
        **{name: sum(row[name] for row in known) if known else float("nan") for name in ("low", "high")},
        "longest": max((row["longest"] for row in known), default=float("nan")),
        "rate": max((row["rate"] for row in found), key=order.index),
    }


def wall_hours(config: Config, found: pd.DataFrame, cores: int) -> tuple[float, float]:
    """Between which the wall time on `cores` cores lies, in hours, when every training has its most epochs.

    A fold is trained on one core, and a student waits for its teachers: no number of cores is faster than that chain.
    A schedule that never leaves a core idle without need takes at most the chain and the share of a core together
    (R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM Journal on Applied Mathematics 17, 1969).
    """
    longest = found.set_index("part")["longest"].fillna(0.0)
    fits = {name: longest[name] + _teachers(config, longest, name) for name in config.models}
    after = sum(longest.get(AFTER[stage], 0.0) for stage in ("export", "board"))
    chain = max(fits.values()) + after
    share = found["high"].sum() / cores
    return max(chain, share), chain + share


def _teachers(config: Config, longest: pd.Series, name: str) -> float:
    distillation = getattr(config.models[name], "distillation", None)
    return max((longest[teacher] for teacher in distillation.teachers), default=0.0) if distillation else 0.0


def frame(config: Config, sizes: Mapping[str, Sizes], samples: Mapping[str, Sequence[Rate]]) -> pd.DataFrame:
    """As a page shows it: a row a part, and for every sample by its name core-hours, and whose pace they rest on."""
    tables = {name: table(config, sizes, known) for name, known in samples.items() if known}
    columns: dict[str, list[str]] = {}
    for name, found in tables.items():
        columns["runs"] = [f"{runs:,}" for runs in [*found["runs"], found["runs"].sum()]]
        ends = zip([*found["low"], found["low"].sum()], [*found["high"], found["high"].sum()], strict=True)
        columns[f"core-hours, {name}"] = [_range(low, high) for low, high in ends]
        columns[f"pace of, {name}"] = [*found["rate"], ""]
    parts = [*next(iter(tables.values()))["part"], "all"] if tables else []
    # named in the corner, and not in a row of its own
    return pd.DataFrame(columns, index=parts).rename_axis(columns="part")


def in_words(config: Config, sizes: Mapping[str, Sizes], samples: Mapping[str, Sequence[Rate]]) -> str:
    """Markdown: which data are in the estimate, and what it comes to on CORES cores."""
    tables = {name: table(config, sizes, known) for name, known in samples.items() if known}
    if not tables:
        return f"Nothing was measured yet that could say what the profile {config.name} takes."
    left_out = [name for name in config.datasets if name not in sizes]
    data = ", ".join(sizes) + (f" (without {', '.join(left_out)}: not here)" if left_out else "")
    lines = [f"- {name}: {_walls(config, found)}" for name, found in tables.items()]
    return "\n".join(
        [f"Data: {data}; {counted(len(config.seeds), 'seed')}. Wall time, with the most epochs:", "", *lines]
    )


def _walls(config: Config, found: pd.DataFrame) -> str:
    walls = [f"{_range(*wall_hours(config, found, cores))} h on {cores}" for cores in CORES]
    return f"{', '.join(walls)} cores."


def _range(low: float, high: float) -> str:
    """Hours with two digits that count."""
    if low != low:  # NaN: nothing like it was ever run
        return "–"
    ends = [
        f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}" for value in (low, high)
    ]
    return ends[0] if ends[0] == ends[1] else " – ".join(ends)


def sizes_of(study: Any, kept: Mapping[str, Sizes], prepare: bool = False) -> dict[str, Sizes]:
    """Sizes of the data sets of a study: of simulated houses by their settings, of others as they were `kept`.

    prepare: read or simulate those that were not kept; without, and where data are not here, they are left out.
    """
    found = {}
    for name, data in study.config.datasets.items():
        if isinstance(data, HouseData):
            found[name] = Sizes.of_house(data, study.config)
        elif name in kept:
            found[name] = kept[name]
        elif prepare and name not in study.absent:
            found[name] = Sizes.of(study.prepared(name))
    return found


# ── samples that are kept ────────────────────────────────────────────────────────────────────────
def path_of(profile: str) -> Path:
    return shipped("reference") / "effort" / f"{profile}.json"


def write(path: Path, study: Any, known: Sequence[Rate]) -> None:
    """Keep rates, and the sizes of the data of the configuration that they are for. No recording is in it."""
    write_json(
        path,
        {
            "format": FORMAT,
            "rates": [asdict(rate) for rate in known],
            "sizes": {name: sizes.to_dict() for name, sizes in sizes_of(study, {}, prepare=True).items()},
            "provenance": {**provenance.record(), "processor": provenance.processor()},
        },
    )


def read(profile: str) -> Sample:
    """The sample that is kept for a profile; an empty one where none is.

    Raises InputError: it is of another format.
    """
    path = path_of(profile)
    if not path.is_file():
        return Sample((), {}, {})
    kept = read_json(path)
    if kept.get("format") != FORMAT:
        raise InputError(f"{path}: format {kept.get('format')!r}, but this version reads {FORMAT}; take it again")
    return Sample(
        tuple(Rate(**{**rate, "like": tuple(rate["like"])}) for rate in kept["rates"]),
        {name: Sizes.from_dict(sizes) for name, sizes in kept["sizes"].items()},
        kept["provenance"],
    )
