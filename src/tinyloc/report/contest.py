"""Some entries against their rivals on every data set of a profile: what the reference run's paired tests found.

References keep scores and no predictions, so whoever reads them cannot pair two entries row by row. The tests are
therefore made where the predictions are, and kept: `reference/contests/<profile>.json`. A claim about all data sets is
one family: Holm's correction is for all tests of an entry.

Data sets that differ in their `seed` alone are draws of one, and one question: the mean over them, whose recordings are
resampled within each (`comparison.pairs`). How far the draws lie apart is kept beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from tinyloc.config import Config, EnsembleModel
from tinyloc.errors import InputError
from tinyloc.evaluation.paired import ALPHA, BETTER, WORSE
from tinyloc.files import read_json, shipped, write_json
from tinyloc.report import comparison, results, roles
from tinyloc.report.numbers import points
from tinyloc.report.trust import equals

FORMAT = 1
DRAWS = ["dataset", "draw", "entry", "against", "difference"]


@dataclass(frozen=True)
class Contest:
    """tests: as `comparison.pairs` gives it, all pairs of an entry one family. seeds: of every entry.

    draws: where a data set was drawn more than once, the difference in each draw, untested: the columns DRAWS.
    """

    tests: pd.DataFrame
    seeds: tuple[int, ...]
    commits: tuple[str, ...]
    draws: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=DRAWS))


def contestants(config: Config) -> list[str]:
    """The teacher, and the ensembles that have it as a member."""
    teacher = roles.teacher(config)
    ensembles = [n for n, m in config.models.items() if isinstance(m, EnsembleModel) and teacher in m.members]
    return [teacher, *ensembles]


def drawn(config: Config) -> dict[str, list[str]]:
    """Data sets that are the same but for their seed, under the name of the first: none that was drawn only once."""
    alike = defaultdict(list)
    for name, data in config.datasets.items():
        alike[data.model_dump_json(exclude={"seed"})].append(name)
    return {names[0]: names for names in alike.values() if len(names) > 1}


def write(
    folders: Iterable[Path],
    entries: Sequence[str],
    rivals: Sequence[str],
    path: Path,
    together: Mapping[str, Sequence[str]] | None = None,
) -> Contest:
    """Test each of `entries` against all `rivals` wherever there are results of both, and keep it.

    together: draws of one data set, as `drawn` gives them; then these are what is asked, and nothing else.
    Raises InputError: a pair was not scored on the same units and seeds, a draw lacks a result, or nothing pairs.
    """
    folders = list(folders)
    _require_every_draw(folders, [*entries, *rivals], together or {})
    tests, draws = [], []
    for entry in entries:
        asked = [folder for folder in folders if results.Key.of(folder).entry in {entry, *rivals}]
        tests.append(comparison.pairs(asked, entry=entry, together=together, apart=not together, one_family=True))
        if together:
            draws.append(_draw_by_draw(comparison.pairs(asked, entry=entry), together))
    table = pd.concat(tests, ignore_index=True)
    if table.empty:
        raise InputError(f"no results of {', '.join(entries)} beside any of {', '.join(rivals)}; compute them first")
    used = [folder for folder in folders if results.Key.of(folder).entry in {*entries, *rivals}]
    commits = {read_json(folder / "config.json")["provenance"]["commit"] for folder in used}
    seeds = sorted({results.Key.of(folder).seed for folder in used})
    found = Contest(table, tuple(seeds), tuple(sorted(commits)))
    kept = {
        "format": FORMAT,
        "seeds": found.seeds,
        "commits": found.commits,
        "tests": table.astype(object).where(table.notna(), None).to_dict("records"),
    }
    if draws:
        found = replace(found, draws=pd.concat(draws, ignore_index=True))
        kept["draws"] = found.draws.to_dict("records")
    write_json(path, kept)
    return found


def _require_every_draw(folders: Iterable[Path], entries: Sequence[str], together: Mapping[str, Sequence[str]]) -> None:
    """A mean over some of the draws would not be what is asked."""
    there = {(key.dataset, key.entry) for key in map(results.Key.of, folders)}
    for draw, entry in ((draw, entry) for draws in together.values() for draw in draws for entry in entries):
        if (draw, entry) not in there:
            raise InputError(f"{draw}: no results of {entry!r} there, but every draw is asked; compute them first")


def _draw_by_draw(pairs: pd.DataFrame, together: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    of = {draw: dataset for dataset, draws in together.items() for draw in draws}
    table = pairs.rename(columns={"dataset": "draw"})
    return table.assign(dataset=table["draw"].map(of)).dropna(subset="dataset")[DRAWS]


def read(profile: str) -> Contest:
    """The contest of a profile's reference run. Raises InputError: none was kept, or it is of another format."""
    path = shipped("reference") / "contests" / f"{profile}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such contest; keep one with `tinyloc reference --config {profile} --contest`")
    kept = read_json(path)
    if kept.get("format") != FORMAT:
        raise InputError(f"{path}: format {kept.get('format')!r}, but this version reads {FORMAT}; take the file again")
    tests = pd.DataFrame(kept["tests"])
    # of a single unit there is no interval and no test, which JSON has null for
    untested = ["low", "high", "p", "p_equivalent", "p_holm"]
    draws = pd.DataFrame(kept.get("draws", []), columns=DRAWS)
    return Contest(tests.astype(dict.fromkeys(untested, float)), tuple(kept["seeds"]), tuple(kept["commits"]), draws)


def in_words(contest: Contest) -> str:
    """Markdown: on how many data sets each entry is better than all its rivals, every pair of which it is not, and how
    far the draws of a data set lie apart."""
    return "\n".join(
        _said(entry, tests) + _spread(contest.draws[contest.draws["entry"] == entry])
        for entry, tests in contest.tests.groupby("entry", sort=False)
    )


def _spread(draws: pd.DataFrame) -> str:
    """Of an entry's draws: in how many it is ahead of all rivals, and by how much of the best one."""
    if draws.empty:
        return ""
    ahead = draws.groupby(["dataset", "draw"], sort=False)["difference"].min()
    ranges = [
        f"{dataset} {points(least.min())} to {points(least.max())}"
        for dataset, least in ahead.groupby(level="dataset", sort=False)
    ]
    return (
        f" Draw by draw, untested: ahead of every rival in {(ahead > 0).sum()} of {len(ahead)}; of the best one by "
        f"{', '.join(ranges)} points. {_over_draws(draws)}"
    )


def _over_draws(draws: pd.DataFrame) -> str:
    """What would be certain of the next draw as well: t tests of the differences with draws as the units."""
    from scipy.stats import ttest_1samp

    over = draws.groupby(["dataset", "against"], sort=False)["difference"]
    p = over.agg(lambda differences: ttest_1samp(differences, 0).pvalue if len(differences) > 1 else float("nan"))
    held = (p < ALPHA) & (over.mean() > 0)
    lacking = [f"in {dataset} not over {rival} ({equals(p[dataset, rival])})" for dataset, rival in held.index[~held]]
    found = f"the lead is certain in {held.sum()} of {len(held)} questions"
    return (
        "With the draws as the units, as for one more house of its kind (t tests, not corrected), "
        f"{found}{': ' + ', '.join(lacking) if lacking else ''}."
    )


def _said(entry: str, tests: pd.DataFrame) -> str:
    rivals, datasets = list(dict.fromkeys(tests["against"])), list(dict.fromkeys(tests["dataset"]))
    won = [name for name in datasets if (tests.loc[tests["dataset"] == name, "verdict"] == BETTER).all()]
    where = f" ({', '.join(won)})" if 0 < len(won) < len(datasets) else ""
    line = (
        f"- **{entry}** is better than each of {', '.join(rivals)} in **{len(won)} of {len(datasets)}** "
        f"data sets{where}, with Holm's correction for its {len(tests)} tests."
    )
    open_ = [_open(row) for _, row in tests[tests["verdict"] != BETTER].iterrows()]
    return f"{line} Otherwise: {'; '.join(open_)}." if open_ else line


def _open(row: pd.Series) -> str:
    interval = f"{points(row['difference'])} points, {points(row['low'])} to {points(row['high'])}"
    verdict = f"**{row['verdict']}**" if row["verdict"] == WORSE else row["verdict"]
    return f"{row['dataset']} against {row['against']}: {verdict} ({interval}; {equals(row['p_holm'])})"
