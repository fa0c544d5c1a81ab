"""The file of constants: what the schema refuses, that the sources exist, and that another file is another answer."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml
from report_tree import write_device, write_export, write_result
from test_cli import refused, tinyloc
from typer.testing import CliRunner

from tinyloc.cli import app
from tinyloc.errors import InputError
from tinyloc.files import REPOSITORY
from tinyloc.report import constants, energy, results

SHIPPED = constants.SHIPPED.read_text(encoding="utf-8")


def changed(tmp_path: Path, *keys: str, to: object) -> Path:
    """The shipped file with another value at `keys`; None takes the key away."""
    raw = yaml.safe_load(SHIPPED)
    at = raw
    for key in keys[:-1]:
        at = at[key]
    if to is None:
        del at[keys[-1]]
    else:
        at[keys[-1]] = to
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


LOAD = ("cycles", "Cortex-M7", "load")


@pytest.mark.parametrize(
    ("keys", "to", "said"),
    [
        ((*LOAD, "source"), None, r"cycles\.Cortex-M7\.load\.source: missing; a value"),
        ((*LOAD, "source"), [], r"cycles\.Cortex-M7\.load\.source: .*at least 1"),
        ((*LOAD, "source"), ["somebody, somewhere"], r"cycles\.Cortex-M7\.load\.source\.0: .*pattern"),
        ((*LOAD, "where"), "", r"cycles\.Cortex-M7\.load\.where: .*at least 1"),
        ((*LOAD, "low"), 3.5, r"cycles\.Cortex-M7\.load: low 3\.5 is above high 3"),
        ((*LOAD, "high"), float("inf"), r"cycles\.Cortex-M7\.load\.high: .*finite"),
        ((*LOAD, "low"), -1, r"cycles\.Cortex-M7\.load\.low: .*-1"),
        ((*LOAD, "unit"), "us", r"cycles\.Cortex-M7\.load\.unit: .*'cycles' .*'us'"),
        (("parts", "nRF52840", "clock", "unit"), "kHz", r"parts\.nRF52840\.clock\.unit: .*'MHz' .*'kHz'"),
        (("parts", "nRF52840", "clock", "value"), 0, r"parts\.nRF52840\.clock\.value: .*greater than 0"),
        (("parts", "nRF52840", "core"), "Cortex-M3", r"parts\.nRF52840\.core: .*'Cortex-M3'"),
        (("parts", "nRF52840", "voltage"), None, r"parts\.nRF52840: has current; give current and voltage, or power"),
        (("cycles", "Cortex-M3"), {}, r"cycles\.Cortex-M3: .*'Cortex-M3'"),
        (("cycles", "Cortex-M55"), None, r"parts\.Apollo510 at 96 MHz\.core: Cortex-M55 has no table"),
        (("cycles", "Cortex-M7", "scalar"), {}, r"cycles\.Cortex-M7\.scalar: .*'scalar'"),
        (("cycles", "Cortex-M7", "block_words"), None, r"cycles: Cortex-M7: give both block and block_words"),
        (("air", "pause", "unit"), "ms", r"air\.pause\.unit: .*'us' .*'ms'"),
        (("air", "puase"), 1, r"air\.puase: no such key; did you mean 'pause'"),
        (("choices", "axis", "assumption"), None, r"choices\.axis\.assumption: missing; a value"),
        (("choices", "axis", "source"), ["bluetooth2023core"], r"choices\.axis\.source: no such key"),
    ],
    ids=lambda part: "-".join(map(str, part)) if isinstance(part, tuple) else None,
)
def test_the_schema_refuses(tmp_path, keys, to, said):
    path = changed(tmp_path, *keys, to=to)
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: {said}") as caught:
        constants.read(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_constants_is_said_in_one_line(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "torn.yaml").write_text("cycles: {")
    for name, said in (("list.yaml", "mapping"), ("torn.yaml", "not YAML"), ("no.yaml", "no such constants file")):
        with pytest.raises(InputError, match=f"{name}: .*{said}"):
            constants.read(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        constants.read(tmp_path)


def test_every_source_is_in_the_bibliography():
    listed = set(re.findall(r"^@\w+\{([^,]+),", (REPOSITORY / "book" / "references.bib").read_text(), re.M))
    cited = {key for _, found in constants.entries(constants.read()) for key in getattr(found, "source", ())}
    assert cited and cited <= listed


def numbers(raw: object) -> int:
    if isinstance(raw, dict):
        return sum(map(numbers, raw.values()))
    return int(isinstance(raw, int | float))


def test_no_number_of_the_file_is_missing_from_the_table_of_constants():
    known = constants.read()
    table = constants.table(known)
    spans = sum(isinstance(found, constants.Span) for _, found in constants.entries(known))
    assert len(table) + spans == numbers(yaml.safe_load(SHIPPED))
    assert table["constant"].is_unique
    without = table[~table["source"].str.fullmatch(r"\{cite\}`[a-z0-9,]+`")]
    assert set(without["source"]) == {"our choice"} and without["constant"].str.startswith("choices").all()
    load = table.set_index("constant").loc["cycles, Cortex-M7, load"]
    assert (load["value"], load["unit"], load["source"]) == ("0.5 – 3", "cycles", "{cite}`jnk0le2026cycles`")


def test_every_unit_of_the_schema_is_known_in_si():
    known = constants.read()
    assert {found.unit for _, found in constants.entries(known)} == set(constants.SI)
    assert known.air.pause.si == pytest.approx(150e-6)
    assert known.parts["STM32L4R5"].watts == pytest.approx((45.0e-3, 47.3e-3))


def test_the_chapter_reads_the_file_that_ships_unless_it_is_told_another():
    chapter = nbformat.read(REPOSITORY / "notebooks" / "06-microcontroller.ipynb", as_version=4)
    code = {cell.id: cell.source for cell in chapter.cells if cell.cell_type == "code"}
    assert re.search(r'^constants_file: str = ""  #', code["parameters"], re.M)
    assert "known = constants.read(constants_file)" in code["constants"]
    assert constants.located("") == constants.SHIPPED and constants.read("") == constants.read()


@pytest.fixture
def root(tmp_path):
    folder = write_export(write_result(tmp_path, "shib", "student.int8", 0.9), 60_000, 40_000)
    write_device(folder, 20_480, 64, 4_000_000)
    return tmp_path


def said(*words: object) -> list[str]:
    """What the command prints, run in this process, where everything is imported already."""
    done = CliRunner().invoke(app, ["energy", *map(str, words)])
    if done.exception:
        raise done.exception
    return done.stdout.splitlines()


def test_the_command_writes_constants_and_another_value_is_another_answer(root):
    before = said("--root", root)
    assert "estimate" in before[0] and len(before) == 1 + 3

    written = root / "mine.yaml"
    said("--write", written)
    assert written.read_text(encoding="utf-8") == SHIPPED
    with pytest.raises(InputError, match=r"mine\.yaml: there already"):
        said("--write", written)

    written.write_text(SHIPPED.replace("clock: {value: 64,", "clock: {value: 32,"), encoding="utf-8")
    apart = [
        pair for pair in zip(before, said("--root", root, "--constants", written), strict=True) if len({*pair}) > 1
    ]
    ((here, there),) = apart
    assert " 64 " in here and " 32 " in there


def test_the_command_refuses_constants_in_one_line(tmp_path):
    path = changed(tmp_path, "parts", "nRF52840", "clock", "unit", to="GHz")
    refused(tinyloc("energy", "--constants", path), "mine.yaml", "parts.nRF52840.clock.unit", "GHz")


def test_without_a_run_there_is_nothing_to_estimate(tmp_path):
    with pytest.raises(InputError, match="no model has run on a board"):
        said("--root", tmp_path)


def test_another_clock_changes_time_and_leaves_cycles_alone(root):
    runs = results.devices(root.glob("results/*/*/seed*/device-*.json"))
    here = energy.decisions(runs, constants.read())
    there = energy.decisions(runs, constants.read(changed(root, "parts", "nRF52840", "clock", "value", to=32)))
    assert (here["cycles_high"] == there["cycles_high"]).all()
    factor = there["seconds_high"] / here["seconds_high"]
    assert list(factor) == pytest.approx([2.0, 1.0, 1.0])
