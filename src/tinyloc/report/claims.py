"""The study's four claims, each judged by a rule from the results of a run.

A claim is a list of parts. It is supported where all of its parts hold, not supported where one does not, and not
tested where a part has no results to look at. "Performs well" and "keeps its accuracy" both mean: macro F1 is less than
MARGIN below that of a yardstick, by a paired one-sided test. The claims ask three such questions of a data set; they
are one family, whose p-values are Holm's, and a verdict follows the corrected ones alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tinyloc.config import INTEGER_KINDS
from tinyloc.evaluation.paired import MARGIN, ONE_SIDED
from tinyloc.report import comparison, reference, results
from tinyloc.report.kinds import PROFILE
from tinyloc.report.numbers import KB, counted, p_value, points
from tinyloc.report.ram import FLOAT_BYTES
from tinyloc.report.roles import Roles

SHRINK = 4.0  # times smaller; int8 for float32 gives no more than that by itself
FLOAT_TOLERANCE = 1e-5  # of a float32 score on the board
CLOCK_HZ = 25e6  # of the board's core

COMPRESSED_KB, COMPACT_KB = 64, 32

SUPPORTED, NOT_SUPPORTED, NOT_TESTED = "supported", "not supported", "not tested here"


@dataclass(frozen=True)
class Part:
    """One thing that a claim needs. `holds` is None where it could not be looked at."""

    evidence: str
    holds: bool | None


@dataclass(frozen=True)
class Claim:
    number: int
    name: str
    text: str
    rule: str
    parts: Callable[["Evidence"], list[Part]]


@dataclass(frozen=True)
class Evidence:
    """The results on one data set."""

    folders: list[Path]  # of `Study.fit` and `Study.export`
    reports: list[Path]  # of `Study.on_device`
    bin_s: float  # an answer is due every so many seconds
    roles: Roles
    tests: pd.DataFrame  # of `comparison.not_worse`: all questions of the claims, corrected for their number

    def of(self, entry: str) -> list[Path]:
        return [folder for folder in self.folders if results.Key.of(folder).entry == entry]

    def keeps_up(self, entry: str, yardstick: str) -> Part:
        """Whether `entry` is less than MARGIN worse than `yardstick`, after correction for all of `tests`."""
        asked = self.tests[(self.tests["entry"] == entry) & (self.tests["against"] == yardstick)]
        if asked.empty:
            return Part(f"no results of {entry} and {yardstick}", None)
        (test,) = asked.to_dict("records")
        return _kept_up(test)

    def shrinks(self, entry: str, original: str) -> Part:
        """Whether the `.tflite` of `entry` is more than SHRINK times smaller than the weights of `original`."""
        if not self.of(entry) or not self.of(original):
            return Part(f"no results of {entry} and {original}", None)
        before = results.folds(self.of(original))["parameters"].max() * FLOAT_BYTES
        after = results.exports(self.of(entry))["tflite_bytes"].max()
        return Part(
            f"{before / after:.1f} times smaller ({before / KB:.0f} to {after / KB:.0f} KB)", before > SHRINK * after
        )

    def fits(self, entry: str, limit_kb: int) -> Part:
        """Whether the compiled `entry` ran on the board within the limit and gave TFLite Micro's answers."""
        runs = self._runs(entry)
        if runs is None:
            return Part(f"no run of {entry} on a board", None)
        ram, apart = runs["ram.total"].max(), runs["max_abs_difference"].max()
        same = "the same bits as" if runs["bit_identical"].all() else f"answers at most {apart:.1g} away from"
        text = f"{entry} ran in {ram / KB:.1f} KB of RAM, {same} TFLite Micro"
        return Part(
            text,
            bool(ram <= limit_kb * KB and apart <= (0 if results.kind(entry) in INTEGER_KINDS else FLOAT_TOLERANCE)),
        )

    def in_time(self, entries: Sequence[str]) -> Part:
        """Whether the slowest inference leaves time until the next, at one instruction a cycle."""
        runs = [self._runs(entry) for entry in entries]
        slowest = [run["instructions.max"].max() for run in runs if run is not None]
        if not slowest:
            return Part("no run on a board", None)
        share = max(slowest) / (CLOCK_HZ * self.bin_s)
        text = f"at most {max(slowest):,} instructions an answer, {100 * share:.1f} % of the cycles until the next"
        return Part(text, share <= 1)

    def _runs(self, entry: str) -> pd.DataFrame | None:
        reports = [report for report in self.reports if results.Key.of(report.parent).entry == entry]
        return results.devices(reports) if reports else None


def _kept_up(test: Mapping) -> Part:
    """test: a row of `comparison.not_worse`."""
    mean, low, high = (points(test[name]) for name in ("difference", "low", "high"))
    if pd.isna(test["p"]):
        return Part(f"macro F1 {mean} points against {test['against']}, too few units for a test", None)
    doubt = "" if test["holds"] else ": worse" if test["worse"] else ": not certain enough"
    certain = f"p {p_value(test['p'])}, corrected {p_value(test['p_holm'])}"
    return Part(
        f"macro F1 {mean} points ({low} to {high}) against {test['against']}, {certain}{doubt}", bool(test["holds"])
    )


def _runs_somewhere(evidence: Evidence) -> list[Part]:
    verdicts = {claim.number: verdict(claim.parts(evidence)) for claim in claims(evidence.roles)[1:3]}
    holding = [number for number, found in verdicts.items() if found == SUPPORTED]
    tested = [number for number, found in verdicts.items() if found != NOT_TESTED]
    text = f"claim {' and claim '.join(map(str, holding))} supported" if holding else "neither claim 2 nor 3 supported"
    in_time = evidence.in_time((evidence.roles.compressed, evidence.roles.compact))
    return [Part(text, bool(holding) if tested else None), in_time]


def questions(roles: Roles) -> list[tuple[str, str]]:
    """(entry, yardstick) of every "performs well" and "keeps its accuracy": one family of tests a data set."""
    compressed, compact = roles.compressed, roles.compact
    return [(compressed, roles.teacher), (compressed, roles.yardstick), (compact, roles.yardstick)]


def claims(roles: Roles) -> tuple[Claim, ...]:
    """The study's claims, about the entries that play their parts here."""
    teacher, yardstick = roles.teacher, roles.yardstick
    compressed, compact = roles.compressed, roles.compact
    return (
        Claim(
            1,
            "smaller, and as accurate",
            "Distillation and quantisation shrink a large transformer greatly while it keeps its accuracy.",
            f"The `.tflite` of {compressed} is more than {SHRINK:g} times smaller than the float32 weights of "
            f"{teacher} (int8 alone gives {SHRINK:g}), and its macro F1 is less than {100 * MARGIN:g} point below "
            f"that of {teacher}.",
            lambda evidence: [evidence.shrinks(compressed, teacher), evidence.keeps_up(compressed, teacher)],
        ),
        Claim(
            2,
            f"transformer in {COMPRESSED_KB} KB",
            f"The quantised transformer performs well within {COMPRESSED_KB} KB of RAM.",
            f"{compressed}, compiled, ran on the board in at most {COMPRESSED_KB} KB of RAM with TFLite Micro's very "
            f"answers, and its macro F1 is less than {100 * MARGIN:g} point below that of {yardstick}.",
            lambda evidence: [evidence.fits(compressed, COMPRESSED_KB), evidence.keeps_up(compressed, yardstick)],
        ),
        Claim(
            3,
            f"Mamba in {COMPACT_KB} KB",
            f"A compact Mamba performs well within {COMPACT_KB} KB of RAM, with no compression.",
            f"{compact}, compiled, ran on the board in at most {COMPACT_KB} KB of RAM with TFLite Micro's answers up "
            f"to rounding, and its macro F1 is less than {100 * MARGIN:g} point below that of {yardstick}.",
            lambda evidence: [evidence.fits(compact, COMPACT_KB), evidence.keeps_up(compact, yardstick)],
        ),
        Claim(
            4,
            "on a microcontroller",
            "So room-level localisation runs on a low-power microcontroller.",
            "Claim 2 or claim 3 is supported, and no answer takes more instructions than the core has cycles before "
            f"the next answer is due, at {CLOCK_HZ / 1e6:g} MHz. Power itself is not measured: *low-power* stays "
            "untested.",
            _runs_somewhere,
        ),
    )


def verdict(parts: Iterable[Part]) -> str:
    """A part that fails decides, even where another could not be looked at."""
    held = [part.holds for part in parts]
    if False in held:
        return NOT_SUPPORTED
    return NOT_TESTED if None in held else SUPPORTED


def judge(
    datasets: Iterable[str],
    absent: Mapping[str, str],
    folders: Sequence[Path],
    reports: Sequence[Path],
    bin_s: float,
    roles: Roles,
) -> pd.DataFrame:
    """Every claim on every data set: number, claim, dataset, evidence, verdict.

    datasets: those with results; absent: those without, with the reason. folders: of `Study.fit` and `Study.export`.
    reports: of `Study.on_device`. bin_s: seconds between two answers. roles: see `report.roles.of`.
    """

    def of(name: str) -> Evidence:
        here = [folder for folder in folders if results.Key.of(folder).dataset == name]
        ran = [report for report in reports if results.Key.of(report.parent).dataset == name]
        return Evidence(here, ran, bin_s, roles, comparison.not_worse(here, questions(roles)))

    evidence = {name: of(name) for name in datasets}
    rows = []
    for claim in claims(roles):
        rows += [_row(claim, name, claim.parts(found)) for name, found in evidence.items()]
        rows += [_row(claim, name, [Part("the data were not there", None)]) for name in absent]
    return pd.DataFrame(rows)


def _row(claim: Claim, dataset: str, parts: list[Part]) -> dict:
    mark = {True: "✓", False: "✗", None: "?"}
    text = "; ".join(f"{mark[part.holds]} {part.evidence}" for part in parts)
    return {
        "number": claim.number,
        "claim": claim.name,
        "dataset": dataset,
        "evidence": text,
        "verdict": verdict(parts),
    }


def rules_in_words(roles: Roles) -> str:
    """Markdown: the rule of every claim, with the numbers that the code uses."""
    lines = [f"{claim.number}. *{claim.text}* {claim.rule}" for claim in claims(roles)]
    number = len(set(questions(roles)))
    note = (
        f'"Less than {100 * MARGIN:g} point below" is a paired, one-sided test over units, at a level of '
        f"{100 * ONE_SIDED:g} %, so that one question alone would need its whole 95 % interval above "
        f"−{100 * MARGIN:g} point. But the claims ask {number} such questions of every data set. These {number} are "
        f"one *family*: their p are corrected by Holm's rule, as everywhere in this book, and the verdict "
        f"follows the corrected p. So the chance that any claim about a data set is supported by luck is about "
        f"{100 * ONE_SIDED:g} % at most, as far as differences of units are normally distributed. Data sets are "
        "families of their own; each answers for itself."
    )
    return "\n".join([*lines, "", note])


def of_more_seeds(roles: Roles, profile: str = PROFILE) -> str:
    """Markdown: what the claims ask of accuracy, by the reference run of a profile with several seeds; a line a data
    set and question."""
    by_dataset: dict[str, dict[str, Path]] = {}
    for path in reference.files(profile):
        by_dataset.setdefault(path.parent.name, {})[path.stem] = path
    lines = []
    for dataset, paths in by_dataset.items():
        asked = {entry for pair in questions(roles) for entry in pair} & paths.keys()
        by_entry = {entry: reference.units_of(paths[entry]) for entry in sorted(asked)}
        for test in comparison.not_worse_units(dataset, by_entry, questions(roles)).to_dict("records"):
            part, seeds = _kept_up(test), by_entry[test["entry"]].n_seeds
            mark = "holds" if part.holds else "does not hold"
            lines.append(f"- **{dataset}**, {test['entry']}, {counted(seeds, 'seed')}: {part.evidence}; {mark}.")
    return "\n".join(lines) or "No reference run of several seeds is there."


def in_words(verdicts: pd.DataFrame) -> str:
    """Markdown: one sentence a data set."""
    lines = []
    for dataset, part in verdicts.groupby("dataset", sort=False):
        by_verdict = part.groupby("verdict", sort=False)["number"].agg(lambda numbers: ", ".join(map(str, numbers)))
        lines.append(
            f"- **{dataset}**: " + "; ".join(f"{name}: {numbers}" for name, numbers in by_verdict.items()) + "."
        )
    return "By claim number:\n\n" + "\n".join(lines)
