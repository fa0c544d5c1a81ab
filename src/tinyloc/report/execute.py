"""Runs one notebook with papermill, and says in one line which cell failed and why.

    python -m tinyloc.report.execute NOTEBOOK OUT --log LOG [--parameter NAME=VALUE ...]

The executed notebook appears at OUT only when every cell ran. Until then, and for good after a failure, it lies beside
the log, where it can be opened to see how far it came.
"""

import argparse
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellControlSignal, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from tinyloc.errors import InputError
from tinyloc.files import write_text

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def execute(notebook: Path, out: Path, log: Path, parameters: Mapping[str, str]) -> None:
    """Run `notebook` in the current directory with `parameters`, its progress on stderr and its output in `log`.

    Raises InputError: a cell failed; the line names notebook and cell, and shows the exception.
    """
    working = log.with_suffix(".ipynb")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _logging_to(log), tempfile.TemporaryDirectory(prefix="tinyloc-") as sockets:
            papermill.execute_notebook(
                notebook,
                working,
                parameters=parameters,
                kernel_name="python3",
                language="python",
                log_output=True,
                progress_bar={"desc": notebook.stem} if sys.stderr.isatty() else False,
                config=_talk_through(Path(sockets)),
                # a kernel is interrupted before it is shut down, and would tell of that as an error
                extra_arguments=["--IPKernelApp.log_level=50"],
            )
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
    # what a cell cannot raise by itself: the kernel was killed, or the cell took too long
    except (DeadKernelError, CellControlSignal) as error:
        reason = f"{type(error).__name__}: {error}"
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        os.replace(working, out)
        return
    reason = " ".join(ANSI.sub("", reason).split())
    raise InputError(f"{notebook}, {_failed_cell(notebook, working)}: {reason} (so far: {working}; log: {log})")


def _talk_through(folder: Path) -> Config:
    """Sockets in a folder of our own: unlike TCP ports, no other user of the machine can listen in on them.

    The folder is a new one under the temporary files, because a socket's path may have 107 characters at most.
    """
    return Config(KernelManager={"transport": "ipc", "connection_file": str(folder / "kernel.json")})


def _failed_cell(notebook: Path, working: Path) -> str:
    """Which cell of `notebook` was the last that papermill began, in words: number, and its first line of code."""
    begun = [
        cell
        for cell in nbformat.read(working, as_version=4).cells
        if cell.metadata.get("papermill", {}).get("status", "pending") != "pending"
    ]
    if not begun:
        return "before its first cell"
    numbers = {cell.id: number for number, cell in enumerate(nbformat.read(notebook, as_version=4).cells, start=1)}
    failed = begun[-1]
    line = next((line.strip() for line in failed.source.splitlines() if line.strip()), "")
    return f"cell {numbers[failed.id]} (begins `{line}`)" if failed.id in numbers else "the parameters given to it"


@contextmanager
def _logging_to(log: Path) -> Iterator[None]:
    handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("papermill")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a notebook with papermill.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    failure = Path(f"{arguments.log}.failed")
    failure.unlink(missing_ok=True)
    try:
        parameters = dict(text.split("=", 1) for text in arguments.parameter)
        execute(arguments.notebook, arguments.out, arguments.log, parameters)
    except InputError as error:
        # a file too, because the workflow repeats it at its very end
        write_text(failure, f"{error}\n")
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
