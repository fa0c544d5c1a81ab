"""The contest of the teacher with its rivals: one family of tests, kept, and sentences that the tests decide."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import report_tree
from scipy import stats

from tinyloc import config
from tinyloc.errors import InputError
from tinyloc.evaluation.paired import holm, verdict
from tinyloc.files import REPOSITORY
from tinyloc.report import contest, reference, roles
from tinyloc.report.numbers import points

RIVALS = ["forest", "hmm"]
RIGHT = {
    ("north", "teacher"): 0.95,
    ("north", "forest"): 0.5,
    ("north", "hmm"): 0.6,
    ("south", "teacher"): 0.9,
    ("south", "forest"): 0.5,
    ("south", "hmm"): 0.9,  # the very same answers
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A teacher far above two rivals in the north, and level with one of them in the south."""
    monkeypatch.setitem(report_tree.HOUSE, "living", tuple(f"living-{number}" for number in range(8)))
    folders = [report_tree.write_result(tmp_path, *names, right) for names, right in RIGHT.items()]
    for folder in folders:
        (folder / "config.json").write_text(json.dumps({"provenance": {"commit": "abc"}}))
    return folders


@pytest.fixture
def kept(folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(contest, "shipped", lambda folder: tmp_path / folder)
    path = tmp_path / "reference" / "contests" / "toy.json"
    contest.write(folders, ["teacher"], RIVALS, path)
    return path


def test_all_tests_of_an_entry_are_one_family_and_come_back_as_they_were(kept: Path) -> None:
    found = contest.read("toy")
    assert found.seeds == (0,) and found.commits == ("abc",)
    tests = found.tests.set_index(["dataset", "against"])
    assert len(tests) == 4 and (tests["entry"] == "teacher").all()
    np.testing.assert_allclose(tests["p_holm"], holm(tests["p"]))
    assert tests["p"].min() == 2 / 2**8 and tests.loc["north", "p_holm"].max() == pytest.approx(4 * 2 / 2**8)
    assert tests["verdict"].to_dict() == {
        ("north", "forest"): "better",
        ("north", "hmm"): "better",
        ("south", "forest"): "better",
        ("south", "hmm"): "equivalent",
    }


def test_the_sentence_counts_where_all_rivals_are_beaten_and_names_every_other_pair(kept: Path) -> None:
    said = contest.in_words(contest.read("toy"))
    assert "**teacher** is better than each of forest, hmm in **1 of 2** data sets (north)" in said
    assert (
        "for its 4 tests" in said
        and "Otherwise: south against hmm: equivalent (0.0 points, 0.0 to 0.0; p = 1.000)." in said
    )
    assert "forest:" not in said


def test_a_defeat_stands_out(kept: Path) -> None:
    found = contest.read("toy")
    lost = found.tests.assign(verdict="worse", difference=-0.02, low=-0.03, high=-0.01, p_holm=0.004)
    said = contest.in_words(contest.Contest(lost, found.seeds, found.commits))
    assert "**0 of 2** data sets, with" in said
    assert "north against hmm: **worse** (−2.0 points, −3.0 to −1.0; p = 0.004)" in said


def test_what_is_not_there_is_said_in_one_line(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.json: no such contest; keep one with"):
        contest.read("nobody")
    kept.write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        contest.read("toy")
    with pytest.raises(InputError, match="no results of teacher beside any of forest"):
        contest.write([], ["teacher"], ["forest"], tmp_path / "x.json")


def test_draws_of_a_data_set_are_one_question_and_each_is_said_beside_it(folders: list[Path], kept: Path) -> None:
    found = contest.write(folders, ["teacher"], RIVALS, kept, together={"north": ["north", "south"]})
    assert found.tests["dataset"].unique().tolist() == ["north"] and len(found.tests) == len(RIVALS)
    assert found.tests["n_units"].unique().tolist() == [16]
    draws = found.draws.set_index(["draw", "against"])["difference"]
    assert draws["north", "forest"] > 0.2 and draws["south", "hmm"] == 0
    assert (found.draws["dataset"] == "north").all()
    for against, row in found.tests.set_index("against").iterrows():
        assert row["difference"] == pytest.approx(draws.xs(against, level="against").mean())
    pd.testing.assert_frame_equal(contest.read("toy").draws, found.draws, check_dtype=False)
    said = contest.in_words(found)
    best = points(min(draws["north"]))
    assert (
        f"Draw by draw, untested: ahead of every rival in 1 of 2; of the best one by north 0.0 to {best} points."
        in said
    )


def test_a_lead_that_differs_from_draw_to_draw_is_not_certain_of_the_next_one() -> None:
    draws = pd.DataFrame(
        [
            {"dataset": "north", "draw": f"d{i}", "entry": "teacher", "against": against, "difference": difference}
            for against, all_draws in {"forest": (0.02, 0.03, 0.02), "hmm": (0.02, -0.01, 0.02)}.items()
            for i, difference in enumerate(all_draws)
        ]
    )
    p = stats.ttest_1samp([0.02, -0.01, 0.02], 0).pvalue
    said = contest._over_draws(draws)
    assert f"certain in 1 of 2 questions: in north not over hmm (p = {p:.3f})" in said
    assert "certain in 0 of 2" in contest._over_draws(draws.assign(difference=-draws["difference"]))


def test_a_draw_without_a_result_is_named_and_nothing_is_kept(folders: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(InputError, match=r"^south: no results of 'hmm' there, but every draw is asked"):
        contest.write(folders[:-1], ["teacher"], RIVALS, path, together={"north": ["north", "south"]})
    assert not path.exists()


def test_data_sets_that_differ_in_their_seed_alone_are_draws() -> None:
    settings = config.profile("draws")
    drawn = contest.drawn(settings)
    assert list(drawn) == ["house-a", "house-b", "house-c", "house-d"]
    assert sorted(name for names in drawn.values() for name in names) == sorted(settings.datasets)
    assert contest.drawn(config.profile("houses")) == {}


def test_the_draws_are_asked_with_the_recipe_of_the_houses() -> None:
    draws, houses = config.profile("draws"), config.profile("houses")
    assert draws.windows == houses.windows and draws.features == houses.features and draws.seeds == houses.seeds
    assert draws.models == {name: model for name, model in houses.models.items() if name in draws.models}
    assert {*houses.models} - {*draws.models} == {"mamba"}  # no rival
    assert not {data.seed for data in draws.datasets.values()} & {data.seed for data in houses.datasets.values()}


# ── what is committed ────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def houses() -> pd.DataFrame:
    return contest.read("houses").tests


def test_every_difference_is_that_of_the_committed_scores(houses: pd.DataFrame) -> None:
    means = {(r.dataset, r.entry): r.mean for r in reference.read("houses")}
    for _, row in houses.iterrows():
        expected = means[row["dataset"], row["entry"]] - means[row["dataset"], row["against"]]
        assert row["difference"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("profile", ["houses", "draws"])
def test_every_verdict_follows_from_its_numbers_and_no_house_or_rival_was_left_out(profile: str) -> None:
    settings, tests = config.profile(profile), contest.read(profile).tests
    datasets = contest.drawn(settings) or settings.datasets
    asked = {(d, e, r) for d in datasets for e in contest.contestants(settings) for r in roles.rivals(settings)}
    assert asked == {tuple(row) for row in tests[["dataset", "entry", "against"]].to_numpy()}
    for _, family in tests.groupby("entry"):
        np.testing.assert_allclose(family["p_holm"], holm(family["p"]))
        decisive = family[["difference", "low", "high", "p_holm", "p_equivalent"]].itertuples(index=False)
        assert family["verdict"].tolist() == [verdict(*row) for row in decisive]


def test_a_difference_over_draws_is_their_mean_and_no_draw_was_left_out() -> None:
    kept, drawn = contest.read("draws"), contest.drawn(config.profile("draws"))
    for (dataset, entry, against), draws in kept.draws.groupby(["dataset", "entry", "against"]):
        row = kept.tests.set_index(["dataset", "entry", "against"]).loc[dataset, entry, against]
        assert row["difference"] == pytest.approx(draws["difference"].mean(), abs=1e-9)
        assert draws["draw"].tolist() == drawn[dataset]


def test_chapter_7_says_it_by_the_rule() -> None:
    cells = json.loads((REPOSITORY / "notebooks" / "07-results.ipynb").read_text())["cells"]
    assert any("contest.in_words(" in "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
