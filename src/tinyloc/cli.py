"""The command line. Every command is a thin shell over the library; a user's mistake is one line and exit code 2."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tinyloc import __version__
from tinyloc.errors import InputError
from tinyloc.files import REPOSITORY, refusal

LARGEST_SEED = 2**32 - 1  # config.LARGEST_SEED, which takes a tenth of a second to import
INTERRUPTED = 130  # as shells say it: 128 and the number of the signal
USAGE = typer.BadParameter.__base__  # click's UsageError, of which Typer may have a copy of its own

app = typer.Typer(
    name="tinyloc",
    help="Room-level indoor localisation, from Bluetooth packets to a Cortex-M.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Packets: look at them, simulate them, prepare them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="A profile (quick, paper) or a configuration file (.yaml).")
]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Where results lie (default: build/<name of the configuration>)."),
]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Processes (default: all cores).")]
DatasetOption = Annotated[str, typer.Option("--dataset", "-d", help="A data set of the configuration.")]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="A model of the configuration.")]
BOARD = "mps2-an386"
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Seed of the run.")]
HopOption = Annotated[int, typer.Option("--hop", min=1, help="Whole chain: steps from one room to the next.")]
LagOption = Annotated[
    int | None,
    typer.Option("--lag", help="Whole chain: steps that a room waits for what comes after (default: none, by window)."),
]


def _study(config: str, root: Path | None, workers: int | None) -> Any:
    from tinyloc.study import Study

    return Study.open(config, root, workers=workers)


def _names(text: str) -> list[str] | None:
    """The names of a list with commas; None for no list."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{text!r}: {name!r} stands there twice; leave one")
    return names or None


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """Something to call with what is done now: it stands on the terminal, if there is one, until the next thing."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield lambda what: None
        return
    with console.status("") as status:
        yield status.update


# ── data ─────────────────────────────────────────────────────────────────────────────────────────
@data_app.command("check")
def data_check(
    path: Annotated[
        Path, typer.Argument(help="A CSV of packets, or a folder of such files, one a recording: PERSON-NUMBER.csv.")
    ],
    gateways: Annotated[str, typer.Option(help="Known gateways, comma separated (default: those there).")] = "",
    rooms: Annotated[str, typer.Option(help="Known rooms, comma separated (default: those there).")] = "",
    accelerometer: Annotated[
        bool | None, typer.Option(help="Require or leave out the accelerometer's columns (default: what is there).")
    ] = None,
    bin_s: Annotated[float, typer.Option("--bin-s", min=0.001, max=3600, help="Seconds a step.")] = 1.0,
    max_gap_s: Annotated[
        float, typer.Option("--max-gap-s", min=0.001, max=86400, help="A longer pause, in seconds, ends a segment.")
    ] = 5.0,
    write_config: Annotated[
        Path | None, typer.Option("--write-config", "-w", help="Write a configuration for these data to this .yaml.")
    ] = None,
) -> None:
    """Check packets of your own: what is in them, and what tinyloc would do with them.

    A CSV has a row a packet and gateway, in order of time, with a header. Its columns are timestamp (ISO 8601), rssi
    (whole dBm), gateway and true_room (names); with an accelerometer s1x, s1y, s1z, s2x, … (g, samples of the packet)
    and seqno (the packet's number, the same on the rows of all gateways that heard it); if there, activity (a name).
    Other columns are left out.
    """
    from rich.console import Console

    from tinyloc import config
    from tinyloc.data import check

    features = config.Features(bin_s=bin_s, max_gap_s=max_gap_s)
    with _status() as say:
        found = check.look(path, _names(gateways), _names(rooms), accelerometer, features, say)
    console = Console(highlight=False, markup=False, emoji=False)  # names are shown as they are, brackets and all
    for table in check.tables(found):
        console.print(table)
    console.print("What tinyloc would do", style="italic")
    for line in check.plan(found):
        typer.echo(f"  - {line}")
    if write_config is not None:
        check.configuration(found, path, write_config, config.profile("quick"))
        typer.echo(f"{write_config}: written")


@data_app.command("download")
def data_download(
    name: Annotated[str, typer.Argument(help="shib, or sphere: the four houses of the study's authors.")],
    into: Annotated[Path | None, typer.Option(help="Folder of data (default: data/).")] = None,
    url: Annotated[str | None, typer.Option(help="Another server with the same files.")] = None,
) -> None:
    """Fetch public recordings, verify them, and put them where tinyloc looks for them."""
    from tinyloc.data import download, sources

    known = {"shib": download.download_shib, "sphere": download.download_residential}
    if name not in known:
        raise InputError(f"download {name!r}: no such data; there are {', '.join(known)}")
    known[name](into or sources.home(), **({"url": url} if url else {}), say=typer.echo)


@data_app.command("simulate")
def data_simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for one CSV a recording.")],
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the house and of its people.")] = 7,
    plan: Annotated[Literal["A", "B", "C", "D"], typer.Option(help="Floor plan.")] = "A",
) -> None:
    """Simulate a house and write its packets as CSV files, one a recording."""
    from tinyloc.config import HouseData
    from tinyloc.data.packets import write_csv
    from tinyloc.data.simulate import simulate

    dataset = simulate("house", HouseData(kind="house", seed=seed, plan=plan))
    for recording in dataset.recordings:
        path = out / f"{recording.name}.csv"
        write_csv(path, recording.packets)
        typer.echo(f"{path}: {len(recording.packets)} packets, {recording.phase}")


@data_app.command("prepare")
def data_prepare(
    config: ConfigOption = "quick",
    dataset: DatasetOption = "house",
    root: RootOption = None,
) -> None:
    """Packets -> steps and folds of one data set of a configuration."""
    prepared = _study(config, root, None).prepared(dataset)
    total = sum(len(s.room) for s in prepared.steps)
    typer.echo(
        f"{dataset}: {len(prepared.steps)} recordings, {total} steps, {len(prepared.folds)} folds. {prepared.origin}"
    )


# ── models ───────────────────────────────────────────────────────────────────────────────────────
@app.command()
def train(
    dataset: DatasetOption,
    model: ModelOption,
    config: ConfigOption = "quick",
    seed: SeedOption = 0,
    root: RootOption = None,
    workers: WorkersOption = None,
) -> None:
    """Train a model on every fold of a data set and score it."""
    study = _study(config, root, workers)
    if _is_distilled(study, model):
        raise InputError(f"model {model!r}: it has a teacher; use `tinyloc distil`")
    _scores(study.fit(dataset, model, seed))


@app.command()
def distil(
    dataset: DatasetOption,
    model: ModelOption,
    config: ConfigOption = "quick",
    seed: SeedOption = 0,
    root: RootOption = None,
    workers: WorkersOption = None,
) -> None:
    """Train a student with its teachers (and the teachers first, where they are missing)."""
    study = _study(config, root, workers)
    if not _is_distilled(study, model):
        raise InputError(f"model {model!r}: it has no teacher in the configuration; use `tinyloc train`")
    _scores(study.fit(dataset, model, seed))


def _is_distilled(study: Any, model: str) -> bool:
    return getattr(study.config.models.get(model), "distillation", None) is not None


def _scores(folder: Path) -> None:
    from tinyloc.files import read_json

    metrics = read_json(folder / "metrics.json")
    for name, fold in metrics["folds"].items():
        typer.echo(f"  fold {name}: macro F1 {fold['macro_f1']:.4f}, accuracy {fold['accuracy']:.4f}, {fold['n']} rows")
    typer.echo(f"{folder}: {_in_percent(metrics['macro_f1'])}")


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A trained fold's model.pt.")],
    packets: Annotated[Path, typer.Argument(help="A CSV of packets in the SHIB columns.")],
) -> None:
    """Score a trained model on a recording of your own, cut into steps and windows as it was trained."""
    from tinyloc.config import Windows
    from tinyloc.data.features import steps
    from tinyloc.data.packets import Dataset, Recording, read_csv
    from tinyloc.evaluation.metrics import evaluate as score
    from tinyloc.training import checkpoint as checkpoints
    from tinyloc.training.run import predict_steps

    trained = checkpoints.load(checkpoint)
    table = read_csv(packets, list(trained.gateways), list(trained.rooms), accelerometer=trained.n_acc > 0)
    recording = Recording(str(packets), packets.stem, "living", table)
    dataset = Dataset(packets.stem, trained.gateways, trained.rooms, (recording,), f"packets of {packets}")
    rows = predict_steps(trained, [steps(recording, dataset, trained.features)], Windows(length=trained.length))
    fold = score({"packets": rows}, trained.rooms)["folds"]["packets"]
    typer.echo(f"macro F1 {fold['macro_f1']:.4f}, accuracy {fold['accuracy']:.4f} over {fold['n']} windows")
    for room, value in fold["per_room_f1"].items():
        typer.echo(f"  {room}: F1 {value:.4f}" if value is not None else f"  {room}: not visited")


@app.command()
def robustness(
    dataset: DatasetOption,
    model: ModelOption,
    config: ConfigOption = "quick",
    seed: SeedOption = 0,
    root: RootOption = None,
    workers: WorkersOption = None,
) -> None:
    """Score a model with packets lost, a gateway dead or shorter windows, as the configuration's `robustness` says."""
    from tinyloc.files import read_json

    path = _study(config, root, workers).robustness(dataset, model, seed)
    for row in read_json(path)["conditions"]:
        typer.echo(f"  {row['kind']} {row['value']}: {_in_percent(row['macro_f1'])}")
    typer.echo(path)


def _in_percent(score: dict) -> str:
    interval = f" (95 % interval {score['low']:.4f} to {score['high']:.4f})" if score["low"] is not None else ""
    return f"macro F1 {score['mean']:.4f}{interval}"


# ── microcontroller ──────────────────────────────────────────────────────────────────────────────
@app.command()
def export(
    dataset: DatasetOption,
    model: ModelOption,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            "-k",
            help="float32, dynamic, float16, int8, int8-aware, mixed or int16x8; float16 is not for TFLite Micro.",
        ),
    ],
    config: ConfigOption = "quick",
    seed: SeedOption = 0,
    root: RootOption = None,
    workers: WorkersOption = None,
) -> None:
    """Write a trained model as .tflite, with all that a stranger needs to run it, and score it in TFLite Micro."""
    _scores(_study(config, root, workers).export(dataset, model, kind, seed))


@app.command("compile")
def compile_(
    path: Annotated[Path, typer.Argument(metavar="MODEL.tflite|EXPORT")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the C sources and the report.")],
    ram: Annotated[str | None, typer.Option(help="Refuse a model that needs more, e.g. 64K.")] = None,
    core: Annotated[str, typer.Option(help="cortex-m4f, cortex-m7, cortex-m55 or generic.")] = "generic",
    hop: HopOption = 1,
    lag: LagOption = None,
) -> None:
    """Compile a .tflite ahead of time into C: no heap, no interpreter, weights in flash, one planned arena.

    Of a folder that `tinyloc export` wrote, the whole chain: packets in, one room a step out.
    """
    if path.is_dir():
        from tinyloc.aot.chain import emit_chain

        emit_chain(path, out, ram=_bytes(ram) if ram else None, core=core, hop=hop, lag=lag)
    else:
        _no_lag(lag)
        from tinyloc.aot.compiler import compile_model

        compile_model(path, out, ram=_bytes(ram) if ram else None, core=core)
    typer.echo((out / "report.txt").read_text(encoding="utf-8").rstrip())


@app.command()
def run(
    path: Annotated[Path | None, typer.Argument(metavar="[MODEL.tflite|EXPORT]")] = None,
    given: Annotated[Path | None, typer.Argument(metavar="[WINDOWS.npz|PACKETS.csv]")] = None,
    board: Annotated[
        str | None, typer.Option(help=f"The board that QEMU plays (default: {BOARD}); for tflm also host.")
    ] = None,
    ram: Annotated[str, typer.Option(help="RAM of the device, e.g. 64K.")] = "64K",
    runtime: Annotated[
        Literal["compiled", "tflm"],
        typer.Option(help="Of MODEL.tflite: our compiler's C, or the TFLite Micro that you have built (TFLM_DIR)."),
    ] = "compiled",
    hop: HopOption = 1,
    lag: LagOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep the outputs: an .npz; of the whole chain a .csv of rooms.")
    ] = None,
    config: ConfigOption = "quick",
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Stage form: a data set.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Stage form: a model.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="Stage form: a kind of the export, as int8.")] = None,
    seed: SeedOption = 0,
    root: RootOption = None,
    workers: WorkersOption = None,
) -> None:
    """Run a model on a Cortex-M in QEMU: a .tflite over windows, or (--dataset, --model, --kind) a stage of a study.

    With a folder that `tinyloc export` wrote and a CSV of packets: the whole chain, fed packet by packet.
    With --runtime tflm a .tflite runs on TFLite Micro itself, for comparison: tinyloc has no copy of it, so TFLM_DIR
    must name a folder with its headers and, for the board's core, its libtensorflow-microlite.a.
    """
    import json

    from tinyloc.device.profile import table
    from tinyloc.files import read_json

    if runtime == "tflm" and (not (path and given) or path.is_dir()):
        raise InputError("--runtime tflm: it runs a .tflite alone; give MODEL.tflite and WINDOWS.npz")
    if path and out and out.suffix != (suffix := ".csv" if path.is_dir() else ".npz"):
        raise InputError(f"--out {out}: what is kept is a {suffix}; give such a name")  # before minutes in QEMU
    if path and given and path.is_dir():
        from tinyloc.device.chain import run_chain

        report = run_chain(path, given, board=board or BOARD, ram=_bytes(ram), hop=hop, lag=lag, outputs=out)
        typer.echo(json.dumps(report, indent=1))
        return
    _no_lag(lag)
    if path and given:
        report = _runner(runtime)(path, given, board=board or BOARD, ram=_bytes(ram), outputs=out)
    elif dataset and model and kind:
        report = read_json(_study(config, root, workers).on_device(dataset, model, kind, seed, board))
    else:
        raise InputError(
            "run: give MODEL.tflite and WINDOWS.npz, or a folder of `tinyloc export` and PACKETS.csv, "
            "or --dataset, --model and --kind"
        )
    typer.echo(json.dumps({k: v for k, v in report.items() if k not in {"key", "provenance", "steps"}}, indent=1))
    if report["steps"]:
        typer.echo(table(report["steps"]), err=True)  # for people; what is above stays whole JSON


def _runner(runtime: str) -> Callable[..., dict]:
    from tinyloc.device import runner, tflm_run

    return {"compiled": runner.run_model, "tflm": tflm_run.run_model}[runtime]


def _no_lag(lag: int | None) -> None:
    if lag is not None:
        raise InputError(f"--lag {lag}: only the whole chain decodes rooms; give a folder of `tinyloc export`")


def _bytes(text: str) -> int:
    number, unit = (text[:-1], 1024) if text[-1:] in "kK" else (text, 1)
    if not (number.isascii() and number.isdecimal()) or len(number) > 12 or int(number) == 0:
        raise InputError(f"--ram {text[:20]!r}: not a size; write bytes (65536) or kilobytes (64K)")
    return int(number) * unit


@app.command()
def energy(
    config: ConfigOption = "quick",
    root: RootOption = None,
    constants_file: Annotated[
        Path | None,
        typer.Option("--constants", help="Cycles, powers and the radio (.yaml; default: those that ship)."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Write the constants that ship to this file, to be changed, and stop."),
    ] = None,
) -> None:
    """Estimate time and energy of a decision, best to worst, for the models that ran on a board."""
    from tinyloc.report import constants, energy, results

    if write is not None:
        constants.write(write)
        typer.echo(f"{write}: written")
        return
    known = constants.read(constants_file)
    study = _study(config, root, None)
    runs = results.devices(sorted(study.root.glob("results/*/*/seed*/device-*.json")))
    if runs.empty:
        raise InputError(f"{study.root}: no model has run on a board; start with `tinyloc run --dataset … --model …`")
    typer.echo(energy.decisions_table(energy.decisions(runs, known)).to_string(index=False))


# ── everything ───────────────────────────────────────────────────────────────────────────────────
@app.command()
def reproduce(
    config: ConfigOption = "quick",
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use (default: all).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would run.")] = False,
    target: Annotated[str, typer.Option(help="A rule of the workflow: book, results, ….")] = "book",
) -> None:
    """Run the whole study and build the book; what is unchanged does not run again."""
    import subprocess

    from tinyloc.study import Study

    snakefile = REPOSITORY / "workflow" / "Snakefile"
    if not snakefile.is_file():
        raise InputError("reproduce: the workflow is in the repository; clone it and run this command inside")
    study = Study.open(config)  # a configuration error is said before anything starts
    if target == "book":
        from tinyloc.report import roles

        roles.require_chapters(study.config)
    if Path(config).is_file():
        config = str(Path(config).resolve())  # the workflow runs in the repository, wherever we are
    # The target comes first: Snakemake would take a word after --config for one more setting.
    command = [sys.executable, "-m", "snakemake", target, "--snakefile", str(snakefile), "--directory", str(REPOSITORY)]
    command += ["--cores", str(cores) if cores else "all", "--nolock", "--config", f"profile={config}"]
    command += ["--dry-run"] if dry_run else []
    with _only_one(study.root / ".lock"):
        code = subprocess.run(command).returncode
    raise typer.Exit(code)


@app.command()
def reference(
    config: ConfigOption = "quick",
    root: RootOption = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="Keep the scores of this run as references in a folder.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="With --write: beside the seeds that the folder has and this run lacks.")
    ] = False,
    contest: Annotated[
        Path | None,
        typer.Option("--contest", help="Keep the paired tests of the teacher against its rivals in a file."),
    ] = None,
) -> None:
    """Compare the results on disk with the reference run's; exit code 1 where they disagree beyond their intervals."""
    from tinyloc.report import reference as references

    if add and not write:
        raise InputError("--add: goes with --write, which names the folder of the references")
    study = _study(config, root, None)
    folders = [folder for folder in study.scored() if (folder / "config.json").is_file()]
    if not folders:
        raise InputError(f"{study.root}: no results; compute them with `tinyloc reproduce`")
    if write:
        for path in references.write(folders, write, add):
            typer.echo(path)
    if contest:
        from tinyloc.report import contest as contests
        from tinyloc.report import roles

        asked = study.config
        found = contests.write(
            folders, contests.contestants(asked), roles.rivals(asked), contest, contests.drawn(asked)
        )
        typer.echo(contests.in_words(found))
    if write or contest:
        return
    table = references.beside(folders, references.read(study.config.name))
    apart = references.disagreements(table)
    for line in apart:
        typer.echo(line, err=True)
    known = len({(folder.parts[-3], folder.parts[-2]) for folder in folders})
    typer.echo(f"{len(table)} of {known} results have a reference, {len(apart)} of them disagree with it")
    for dataset in references.other_data(table):
        typer.echo(f"{dataset}: not compared, because the reference is of other data (their fingerprints differ)")
    raise typer.Exit(1 if apart else 0)


@app.command()
def estimate(
    config: ConfigOption = "paper",
    root: RootOption = None,
    seen: Annotated[
        list[str] | None, typer.Option("--from", help="Finished profiles to reckon from (default: quick).")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="First run one epoch of every model on one data set: minutes.")
    ] = False,
    write: Annotated[Path | None, typer.Option("--write", help="Keep what was measured in this file.")] = None,
) -> None:
    """Say what a profile would take, in core-hours and on many cores, from what finished stages took."""
    from tinyloc.report import effort
    from tinyloc.report.workload import sample
    from tinyloc.study import Study

    study = _study(config, root, None)
    cut = Study(sample(study.config), study.root / "sample", workers=1)
    if measure:
        for stage, arguments in cut.everything():
            stage(*arguments)
    measured = effort.rates(cut)
    if write:
        if not measured:
            raise InputError(f"{cut.root}: nothing measured; run `tinyloc estimate --config {config} --measure`")
        effort.write(write, study, measured)
    kept = effort.read(study.config.name)
    samples = {f"{name} here": effort.rates(_study(name, None, None)) for name in seen or ["quick"]}
    samples |= {"sample here": measured, "the authors' sample": kept.rates}
    asked = study.config, effort.sizes_of(study, kept.sizes, prepare=True), samples
    typer.echo(f"{effort.frame(*asked).to_string()}\n\n{effort.in_words(*asked)}")


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold `lock`, which the system takes back when we die; Snakemake's own would outlast a kill and bar the next."""
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"reproduce: another build is at work in {lock.parent}; wait for it or end it") from None
        yield


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if show:
        typer.echo(f"tinyloc {__version__}")
        raise typer.Exit


@contextmanager
def _file_system() -> Iterator[None]:
    """One line for what the file system refused anywhere, such as a compiler's scratch on a full disk."""
    try:
        yield
    except OSError as error:
        raise refusal(error, f"{error.filename or 'a file'}: cannot be used") from None


def main() -> None:
    """Entry point: one line and exit code 2 for a user's mistake, 130 for Ctrl-C, never a traceback for either."""
    try:
        with _file_system():
            code = app(prog_name="tinyloc", standalone_mode=False)
    except InputError as error:
        code = _said(str(error))
    except USAGE as error:
        if not error.format_message():  # no words at all, which asks for help
            error.show()
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "tinyloc"
        code = _said(f"{error.format_message().rstrip('.')}. See `{command} --help`.")
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    if code == INTERRUPTED:
        typer.echo("tinyloc: stopped; the same command goes on where this one was", err=True)
    sys.exit(code)


def _said(problem: str) -> int:
    typer.echo(f"tinyloc: {' '.join(problem.split())}", err=True)
    return 2


if __name__ == "__main__":
    main()
