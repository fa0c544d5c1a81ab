"""The benchmarks run, and say so when they find what is slower than promised. How fast it is, is for `make bench`."""

import json
import time
from pathlib import Path

import pytest
import tiny_model
from report_tree import write_export, write_result

from tinyloc.device import toolchain

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY))
    import benchmarks

    return benchmarks


@pytest.mark.slow
def test_networks_are_compared_in_rows_of_the_same_columns(benchmarks):
    from benchmarks import networks

    rows = [*networks._scans(rounds=1), next(networks._training_steps(rounds=1))]
    assert len({tuple(row) for row in rows}) == 1
    for row in rows:
        assert 0 < row["ratio"] == pytest.approx(row["ours, a second"] / row["literal, a second"])
    assert [row["at least"] for row in rows if "backward" in row["what"]] == [3.0]


def test_a_race_compares_the_fastest_calls_of_each(benchmarks):
    from benchmarks.timing import race

    naps = iter([0.0, 0.03, 0.002, 0.02])  # the first only warms up
    found = race({"sleeper": lambda: time.sleep(next(naps)), "nothing": lambda: None}, rounds=3)
    assert 0.002 <= found["sleeper"] < 0.02 and found["nothing"] < 0.002


def test_a_compiled_model_is_measured_beside_its_budget(benchmarks, monkeypatch):
    from benchmarks import runtime

    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU)
    smallest = next(budget for budget in runtime.BUDGETS if budget.model == "mlp_i8")
    (row,) = runtime.rows((smallest,))
    assert row["same answers"] == "yes" and row["ratio"] >= row["at least"]
    monkeypatch.setattr(runtime, "_same", lambda *outputs: False)
    (row,) = runtime.rows((smallest,))
    assert row["ratio"] < row["at least"]


@pytest.mark.parametrize(("ratio", "status"), [(3.0, 0), (2.9, 1)])
def test_a_promise_that_is_not_kept_fails_the_command(benchmarks, ratio, status, tmp_path, monkeypatch, capsys):
    from benchmarks import __main__ as command
    from benchmarks import networks

    table = benchmarks.Table("title", "note", [{"what": "scan", "ratio": ratio, "at least": 3.0}])
    monkeypatch.setattr(networks, "run", lambda: table)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command.main(["networks"]) == status
    assert ("slower than it should be: scan" in capsys.readouterr().out) == bool(status)
    assert json.loads((tmp_path / "networks.json").read_text())["rows"] == [dict(table.rows[0])]


def test_exports_are_listed_with_their_sizes_and_scores_or_said_not_to_be_there(benchmarks, tmp_path):
    from benchmarks import quick

    (nothing,) = quick.rows(tmp_path)
    assert "make book" in nothing["model"] and nothing["macro F1"] is None
    for seed, right in enumerate((0.9, 0.8)):
        write_export(write_result(tmp_path, "shib", "student.int8", right, seed), 40_000 + seed, 20_000)
    (row,) = quick.rows(tmp_path)
    assert (row["model"], row["tflite"], row["arena"]) == ("shib student.int8", 40_001, 20_000)
    assert 70 < row["from"] <= row["macro F1"] <= row["to"] < 100
    assert set(row) == set(nothing)


def test_a_subject_that_there_is_not_is_named(benchmarks, capsys):
    from benchmarks import __main__ as command

    assert command.main(["kernel"]) == 2
    assert "benchmark 'kernel': no such subject; there are networks" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "MDCSA d=8 acc",
        "MDCSA d=64 rssi",
        "Mamba d=8 rssi, 2 layers",
        "Mamba d=32 rssi+acc, 1 layer",
        "Mamba d=8 rssi, 1 layer, window",
    ],
)
def test_networks_of_other_widths_modalities_and_layers_export_in_every_kind(benchmarks, name):
    """Some of what `python -m benchmarks matrix` goes through."""
    from benchmarks import matrix

    rows = [*matrix.rows(name, matrix.models()[name])]
    assert [row["problem"] for row in rows] == [None] * len(matrix.KINDS)
    assert all(row["arena"] for row in rows if "float16" not in row["model"])
