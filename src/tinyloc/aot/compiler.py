"""`tinyloc compile`: one .tflite file to a directory of C that runs it without an interpreter."""

import shutil
import tempfile
from pathlib import Path

from tinyloc.aot import cores
from tinyloc.aot.emit import Emitter
from tinyloc.aot.folding import folded
from tinyloc.aot.graph import Unsupported
from tinyloc.aot.lower import lower
from tinyloc.aot.passes import optimised
from tinyloc.aot.plan import plan
from tinyloc.aot.reader import read
from tinyloc.aot.report import Report
from tinyloc.errors import InputError
from tinyloc.files import shipped, write_json, write_text, writing


def compile_model(path: Path, out: Path, ram: int | None = None, core: str = "generic", fuse: bool = True) -> Report:
    """Compile the model at `path` into the directory `out`: C sources, report.json and report.txt.

    `ram` is a limit in bytes for arena and state together; `core` (aot.cores) is whose compiler flags the report
    names. Without `fuse` every operator keeps a kernel call of its own, to see what fusing brings; the answers are the
    same. `out` appears whole or not at all; one that an earlier compilation made is replaced. Raises InputError for a
    file that is damaged, an operator or a form of it that is not known, too little memory, a core that does not exist,
    and an `out` that holds something else.
    """
    path, out = Path(path), Path(out)
    flags = cores.flags(core)
    graph = folded(read(path))
    try:
        program = lower(graph, fuse)
        program = optimised(program) if fuse else program
        layout = plan(program)
    except Unsupported as error:
        raise InputError(f"{path}: {error}") from None
    emitter = Emitter(program, layout)
    files = emitter.files()
    report = Report.of(program, layout, emitter.constant_bytes(), core, flags)
    _check_memory(path, report, ram)
    _write(out, files, report)
    return report


def _check_memory(path: Path, report: Report, ram: int | None) -> None:
    needed = report.arena_bytes + report.state_bytes
    if ram is not None and needed > ram:
        raise InputError(
            f"{path}: needs {needed} bytes of RAM ({report.arena_bytes} arena + {report.state_bytes} state), "
            f"{needed - ram} more than the {ram} allowed; allow more or make the model smaller"
        )


def _write(out: Path, files: dict[str, str], report: Report) -> None:
    if out.exists() and not (out / "report.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something other than a compiled model; choose another directory")
    with writing(out):
        _replace(out, files, report)


def _replace(out: Path, files: dict[str, str], report: Report) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        for source in report.sources:
            if source not in files:
                shutil.copyfile(shipped("firmware") / "kernels" / source, fresh / source)
        write_json(fresh / "report.json", report.as_dict())
        write_text(fresh / "report.txt", report.as_text())
        if out.exists():
            out.rename(Path(scratch) / "old")
        fresh.rename(out)
