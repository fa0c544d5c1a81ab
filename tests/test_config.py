"""A configuration that cannot be is refused in one line with file, key and value, before anything is computed."""

from pathlib import Path

import pytest
import yaml

from tinyloc import config
from tinyloc.errors import InputError

VALID = """
name: mine
seeds: [0]
datasets:
  own: {kind: csv, folder: ., gateways: [a, b], rooms: [x, y]}
models:
  forest: {family: forest}
  teacher: {family: mdcsa, d: 4}
  student: {family: mdcsa, d: 4, distillation: {teacher: teacher}}
exports:
- {model: student, kinds: [int8]}
"""


def refused(path: Path, text: str | bytes) -> str:
    """The one line that says why this configuration is refused, after the name of its file."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        config.read(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ") and "\n" not in said and len(said) < 400
    return said.removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "mine.yaml"


def test_the_configuration_that_the_others_are_made_from(path):
    path.write_text(VALID)
    assert config.read(path).seeds == [0]


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("seeds", [0, 0], "seeds: 0 stands there twice"),
        ("seeds", [-1], "seeds.0: "),
        ("seeds", [2**32], "seeds.0: "),
        ("seeds", [True], "seeds.0: "),
        ("name", "../up", "name: '../up' is no name for a folder"),
        ("name", "a\0b", "no name for a folder"),
        ("name", "ü" * 51, "102 bytes"),
        ("features.bin_s", float("inf"), "features.bin_s: "),
        ("features.bin_s", 1e-9, "features.bin_s: "),
        ("features.max_gap_s", 1e9, "features.max_gap_s: "),
        ("features.silent_dbm", float("nan"), "features.silent_dbm: "),
        ("datasets.own.gateways", ["a", "b", "a"], "datasets.own.gateways: 'a' stands there twice"),
        ("datasets.own.rooms", ["x", " "], "datasets.own.rooms.1: an empty name"),
        ("datasets.own.files", "/etc/*.csv", "datasets.own.files: '/etc/*.csv' leaves the folder"),
        ("datasets.own.files", "../*.csv", "leaves the folder"),
        ("datasets.own.kind", "cvs", "datasets.own.kind: 'cvs' is unknown; did you mean 'csv'? known are shib"),
        ("datasets.a/b", {"kind": "house"}, "datasets.a/b: 'a/b' is no name for a folder"),
        ("models.forest", {"family": "forset"}, "models.forest.family: 'forset' is unknown; did you mean 'forest'?"),
        ("models.forest", {"trees": 3}, "models.forest.family: missing"),
        ("models.wide", {"family": "mdcsa", "d": 10**7}, "models.wide.d: Input should be less than or equal to 4096"),
        ("models.student.distillation.teacher", ["teacher", "teacher"], "'teacher' stands there twice"),
        ("models.both", {"family": "ensemble", "members": ["teacher"], "member_seeds": [1, 1]}, "1 stands there twice"),
        ("models.teacher.training.learning_rate", float("inf"), "models.teacher.training.learning_rate: "),
    ],
)
def test_what_cannot_be_is_named_with_its_key(path, where, value, said):
    content = yaml.safe_load(VALID)
    inside = content
    *keys, last = where.split(".")
    for key in keys:
        inside = inside.setdefault(key, {})
    inside[last] = value
    assert said in refused(path, yaml.safe_dump(content, allow_unicode=True))


def test_a_model_with_the_name_of_an_export_of_another(path):
    """Their results would lie in one folder."""
    text = VALID.replace("  forest:", "  student.int8: {family: forest}\n  forest:")
    assert refused(path, text).startswith("models.student.int8: an export of 'student' has this name")


def test_a_key_that_is_missing_is_named_and_the_file_not_recited(path):
    assert refused(path, VALID.replace("seeds: [0]", "")) == "seeds: missing; a value must be given"


def test_a_key_that_stands_twice_in_a_mapping(path):
    """YAML forbids it; taking the last, as PyYAML does, would hide a slip of the editor."""
    assert refused(path, VALID + "seeds: [1]\n") == "line 12: not YAML: the key 'seeds' stands there twice; leave one"


def test_a_merged_mapping_may_be_overwritten(path):
    path.write_text(
        VALID.replace("  forest: {family: forest}", "  forest: &f {family: forest}\n  few: {<<: *f, trees: 3}")
    )
    assert config.read(path).models["few"].trees == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 5000, "brackets in brackets"),
        (b"name: mine\n" + b"#" * config.LARGEST_FILE, "more than 131072 bytes"),
        (b"name: [1", "line 1: not YAML"),
        (b"name:\n\tx: 1", "line 2: not YAML"),
        (b"\xff\xfe", "not YAML"),
        (b"!!python/object/apply:os.getcwd []", "line 1: not YAML"),
    ],
)
def test_a_file_that_is_no_configuration_at_all(path, content, said):
    assert said in refused(path, content)
