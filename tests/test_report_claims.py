"""Verdicts follow the rules that the page states: each part of each rule can turn them."""

import pytest
from report_tree import write_device, write_export, write_result

from tinyloc.evaluation import paired
from tinyloc.report import claims, comparison
from tinyloc.report.roles import Roles

ALL_RIGHT = {"teacher": 0.95, "forest": 0.95, "student-distilled.int8": 0.95, "mamba.float32": 0.95}


@pytest.fixture
def study(tmp_path):
    """A function that writes a study's results on one data set and judges it; everything holds by default."""

    def judged(
        right=ALL_RIGHT,
        teacher_parameters=100_000,
        tflite_bytes=60_000,
        ram=(40_000, 20_000),
        apart=(0.0, 1e-7),
        instructions=5_000_000,
        without=(),
        dataset="shib",
    ):
        folders, reports = [], []
        for entry, share in right.items():
            if entry in without:
                continue
            parameters = {"teacher": teacher_parameters, "forest": None}.get(entry, 9000)
            folder = write_result(tmp_path, dataset, entry, share, parameters=parameters)
            folders.append(folder)
            if "." in entry:
                write_export(folder, tflite_bytes, 45_000)
                which = int(entry == Roles().compact)
                reports.append(write_device(folder, ram[which], (64, 32)[which], instructions, apart[which]))
        table = claims.judge([dataset], {}, folders, reports, bin_s=1.0, roles=Roles())
        return dict(zip(table["number"], table["verdict"], strict=True)), table

    return judged


def test_everything_holds(study):
    verdicts, table = study()
    assert verdicts == dict.fromkeys((1, 2, 3, 4), claims.SUPPORTED)
    assert not table["evidence"].str.contains("✗|\\?").any()


@pytest.mark.parametrize(
    ("change", "denied"),
    [
        ({"tflite_bytes": 110_000}, {1}),  # 400 KB of weights are not more than four times that
        ({"right": {**ALL_RIGHT, "teacher": 0.999}}, {1}),
        ({"right": {**ALL_RIGHT, "forest": 0.999}}, {2, 3, 4}),
        ({"right": {**ALL_RIGHT, "mamba.float32": 0.8}}, {3}),
        ({"right": {**ALL_RIGHT, "student-distilled.int8": 0.8}}, {1, 2}),
        ({"ram": (64 * 1024 + 1, 20_000)}, {2}),
        ({"ram": (40_000, 32 * 1024 + 1)}, {3}),
        ({"apart": (1.0, 1e-7)}, {2}),  # an int8 answer that is one level off
        ({"apart": (0.0, 1e-4)}, {3}),
        ({"instructions": 25_000_001}, {4}),  # one more than there are cycles until the next answer
    ],
)
def test_each_part_of_a_rule_can_deny_support(study, change, denied):
    verdicts, _ = study(**change)
    assert {number for number, verdict in verdicts.items() if verdict == claims.NOT_SUPPORTED} == denied
    assert {number for number, verdict in verdicts.items() if verdict == claims.SUPPORTED} == {1, 2, 3, 4} - denied


def test_ram_at_the_limit_fits(study):
    assert study(ram=(64 * 1024, 32 * 1024))[0] == dict.fromkeys((1, 2, 3, 4), claims.SUPPORTED)


@pytest.mark.parametrize(
    ("without", "untested"),
    [
        ({"teacher"}, {1}),
        ({"forest"}, {2, 3, 4}),
        ({"student-distilled.int8"}, {1, 2}),
        ({"mamba.float32"}, {3}),
        ({"student-distilled.int8", "mamba.float32"}, {1, 2, 3, 4}),
    ],
)
def test_what_has_no_results_is_not_tested(study, without, untested):
    verdicts, _ = study(without=without)
    assert {number for number, verdict in verdicts.items() if verdict == claims.NOT_TESTED} == untested


@pytest.mark.parametrize(
    ("p", "supported"),
    [
        ((0.008, 0.012, 0.024), {1, 2, 3, 4}),  # 3 x 0.008, 2 x 0.012, 0.024: each at most 0.025
        ((0.009, 0.012, 0.024), set()),  # 3 x 0.009 is more, and Holm's rule stops there
        ((0.024, 0.008, 0.012), {1, 2, 3, 4}),
        ((0.6, 0.008, 0.009), {2, 3, 4}),
        ((0.6, 0.009, 0.020), set()),
    ],
)
def test_a_verdict_follows_the_p_that_is_corrected_for_all_three_questions(study, monkeypatch, p, supported):
    """Each p alone, but for 0.6, would do."""
    asked = iter(p)

    def compare(ours, theirs):
        return paired.Paired(0.0, -0.005, 0.005, 1.0, 1.0, next(asked), p_worse=1.0, n_units=4)

    monkeypatch.setattr(comparison.paired, "compare", compare)
    verdicts, table = study()
    assert {number for number, verdict in verdicts.items() if verdict == claims.SUPPORTED} == supported
    evidence = table.set_index("number")["evidence"]
    for number, raw in zip((1, 2, 3), p, strict=True):
        assert f"p {raw:.3f}, corrected 0." in evidence[number]


def test_a_wide_interval_denies_support_even_where_the_mean_is_better(study):
    """Better on average, but much worse for one person: the rule asks for the whole interval."""
    mixed = {"1-1": 0.5, "2-1": 0.99, "2-2": 0.99, "3-1": 0.99, "4-1": 0.99}
    verdicts, table = study(right={**ALL_RIGHT, "forest": 0.75, "mamba.float32": mixed})
    assert verdicts[3] == claims.NOT_SUPPORTED
    assert "macro F1 +" in table.loc[table["number"] == 3, "evidence"].item()


def test_an_absent_data_set_is_not_tested_and_says_so(study):
    table = claims.judge([], {"shib": "not found"}, [], [], bin_s=1.0, roles=Roles())
    assert set(table["verdict"]) == {claims.NOT_TESTED}
    assert table["evidence"].str.contains("the data were not there").all()
    assert list(table["number"]) == [1, 2, 3, 4]


def test_the_evidence_tells_worse_from_uncertain(study):
    right = {
        **ALL_RIGHT,
        "mamba.float32": 0.8,
        "student-distilled.int8": {"1-1": 0.5, "2-1": 1, "2-2": 1, "3-1": 1, "4-1": 1},
    }
    evidence = study(right=right)[1].set_index("number")["evidence"]
    assert evidence[3].endswith("p 1.000, corrected 1.000: worse")
    assert evidence[2].endswith(": not certain enough")


def test_the_evidence_has_its_numbers(study):
    _, table = study()
    evidence = dict(zip(table["number"], table["evidence"], strict=True))
    assert "6.7 times smaller (391 to 59 KB)" in evidence[1]
    assert "ran in 39.1 KB of RAM, the same bits as TFLite Micro" in evidence[2]
    assert "ran in 19.5 KB of RAM, answers at most 1e-07 away from TFLite Micro" in evidence[3]
    assert "5,000,000 instructions an answer, 20.0 %" in evidence[4]


def test_the_page_states_the_numbers_that_the_code_uses():
    rules = claims.rules_in_words(Roles())
    for number in (f"{claims.SHRINK:g} times", f"{100 * claims.MARGIN:g} point", "64 KB", "32 KB", "25 MHz"):
        assert number in rules


def test_the_summary_names_every_claim_once_a_data_set(study):
    _, table = study(without={"teacher"})
    assert claims.in_words(table).splitlines()[-1] == "- **shib**: not tested here: 1; supported: 2, 3, 4."
