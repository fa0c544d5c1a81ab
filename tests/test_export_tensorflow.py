"""TensorFlow is imported in one place, after triton, and leaves GPUs alone."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyloc.files import REPOSITORY

FAKE = """\
print("tensorflow")
class config:
    set_visible_devices = staticmethod(lambda devices, kind: print(kind, devices))
"""
ONLY = REPOSITORY / "src" / "tinyloc" / "export" / "tensorflow.py"
PYTHON = [p for folder in ("src", "tests", "benchmarks") for p in sorted((REPOSITORY / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


def test_tensorflow_is_imported_in_one_place():
    assert [path for path in PYTHON if "tensorflow" in imported(path)] == [ONLY]


@pytest.mark.parametrize("there", [True, False])
def test_triton_is_loaded_first_where_there_is_one(there, tmp_path):
    (tmp_path / "tensorflow.py").write_text(FAKE)
    (tmp_path / "triton.py").write_text("print('triton')\n" if there else "raise ImportError\n")
    paths = os.pathsep.join([str(tmp_path), str(REPOSITORY / "src")])
    command = [sys.executable, "-c", "import tinyloc.export.tensorflow"]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["triton", "tensorflow", "GPU []"][not there :]
