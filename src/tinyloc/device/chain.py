"""The whole chain on a board in QEMU and on the host, fed with a recording packet by packet, beside Python's."""

import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd

from tinyloc.aot.chain import answer_type, emit_chain, offer_type
from tinyloc.aot.deployed import Deployed
from tinyloc.data.packets import Recording, acceleration, read_csv, samples
from tinyloc.device import boards, host, memory, pipeline, profile, qemu, toolchain
from tinyloc.device.pipeline import NO_ROOM, Trace
from tinyloc.device.records import DeviceError
from tinyloc.errors import InputError
from tinyloc.files import atomic


def run_chain(
    export: Path,
    packets: Path,
    board: str,
    ram: int,
    workdir: Path | None = None,
    stack: int = qemu.STACK_BYTES,
    hop: int = 1,
    lag: int | None = None,
    outputs: Path | None = None,
) -> dict:
    """Compile the chain around an exported model, and run a recording through it on the board and on the host.

    export: the folder that `tinyloc export` left for a fold. packets: a CSV of packets. hop: steps from one room to
    the next. lag: steps that a room waits, see `emit_chain`. outputs: a CSV for the rooms that the board gave out, a
    row for each step: segment, step, room (empty where none was given out for it). ram, workdir, stack: as in
    `runner.run_model`.

    Returns, all sizes in bytes: `flash` and `ram` (`static` is the chain's own memory); `packets`, `steps` and `rooms`
    (how many); `instructions` of one call into the chain {min, median, max, count}, None where there was none: of a
    `packet` that is taken, a `step` that is over and runs no model, and of one that does (`room`); `agreement` with the
    Python pipeline, whose model runs in TFLite Micro: `features`, whether those of every step, measured and scaled,
    are the same bits; `rooms`, how many are the same; and `host`, whether host and board gave the same bits.

    Raises InputError: see `emit_chain`, `read_csv`, `qemu.build` and `qemu.run`; a packet whose number does not fit
    32 bits. DeviceError: the chain did not end the steps where they end.
    """
    boards.find(board, ram)
    toolchain.require(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    deployed = Deployed.read(Path(export))
    table = read_csv(Path(packets), deployed.gateways, accelerometer=deployed.accelerometer)
    wanted, over = pipeline.follow(deployed, Recording(Path(packets).stem, "", "living", table), hop, lag)
    given, ends = offers(table, deployed, over, Path(packets))
    reset = np.arange(len(given)) == 0
    kept = tempfile.TemporaryDirectory() if workdir is None else nullcontext(workdir)
    with kept as name:
        folder = Path(name)
        emit_chain(export, folder / "aot", ram=ram, hop=hop, samples=samples(table.columns), lag=lag)
        built = qemu.build(folder / "aot", board, ram, folder / board, stack)
        on_board = qemu.run(built, given, reset)
        on_host = host.run(host.build(folder / "aot", folder / "host"), given, reset)
        answers = on_board.outputs.view(answer_type(wanted.scaled.shape[1], lag))[:, 0]
        got = trace(answers, ends)
        answered = wanted.rooms != NO_ROOM
        if outputs is not None:
            write_rooms(outputs, got, deployed, hop, lag)
        return {
            "board": board,
            "core": built.board.core,
            "ram_limit": ram,
            "flash": memory.flash(built),
            "ram": memory.ram(built, on_board.stack_high_water),
            "packets": len(table),
            "lag": lag,
            "steps": len(wanted.room),
            "rooms": int(answered.sum()),
            "instructions": _instructions(
                on_board.instructions, ends, inferences(wanted.segment, deployed.length, hop)
            ),
            "agreement": {
                "features": same_steps(got, wanted),
                "rooms": int((got.rooms == wanted.rooms)[answered].sum()),
                "host": on_board.outputs.tobytes() == on_host.outputs.tobytes(),
            },
        }


def trace(answers: np.ndarray, ends: np.ndarray) -> Trace:
    """The steps among the chain's answers [N] of `answer_type`. ends: [N] bool, the offers that end a step.

    Raises DeviceError: other offers ended one.
    """
    other = np.flatnonzero(answers["over"].astype(bool) != ends)
    if len(other):
        what = "ended no step" if ends[other[0]] else "ended a step"
        raise DeviceError(f"chain: offer {other[0] + 1} of {len(ends)} {what}, and should not have; this is a bug")
    steps = answers[ends]
    rest = steps["rest"] if "rest" in steps.dtype.names else np.empty((len(steps), 0), np.int32)
    return Trace(*(steps[name] for name in ("segment", "number", "measured", "scaled", "room")), rest)


def room_of_each_step(trace: Trace, length: int, hop: int, lag: int | None) -> np.ndarray:
    """The rooms that a trace gives out, where they belong [S] int32: with a lag, `lag` steps before they came."""
    if lag is None:
        return trace.room
    rooms, decided = np.full_like(trace.room, NO_ROOM), inferences(trace.segment, length, hop)
    given_out = np.flatnonzero(trace.room != NO_ROOM)
    rooms[given_out - lag] = trace.room[given_out]
    for step in np.flatnonzero((trace.rest != NO_ROOM).any(1)):
        due = trace.rest[step][trace.rest[step] != NO_ROOM]
        last = np.flatnonzero(decided[: step + 1])[-1]  # the search has seen no later step of this segment
        rooms[last - len(due) + 1 : last + 1] = due
    return rooms


def write_rooms(path: Path, trace: Trace, deployed: Deployed, hop: int, lag: int | None) -> None:
    """A CSV with the room of each step, by its name. Raises InputError: the file's name does not end in .csv."""
    if path.suffix != ".csv":
        raise InputError(f"{path}: rooms are written as .csv; give such a name")
    labels = np.array([*deployed.rooms, ""])  # NO_ROOM, which is -1, is the last of them
    rooms = labels[room_of_each_step(trace, deployed.length, hop, lag)]
    with atomic(path) as temporary:
        pd.DataFrame({"segment": trace.segment, "step": trace.number, "room": rooms}).to_csv(temporary, index=False)


def same_steps(one: Trace, other: Trace) -> bool:
    """Whether two traces have the same steps with the same features, bit for bit; and answers at the same ones."""
    names = ("segment", "number", "measured", "scaled")
    same = all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)
    return same and np.array_equal(one.rooms == NO_ROOM, other.rooms == NO_ROOM)


def offers(table: pd.DataFrame, deployed: Deployed, over: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records [N, offer bytes] uint8 for the runner, and which of them end a step [N] bool.

    over: [P], how many steps each packet ends. It is offered once for each of them, and once more, when it is taken;
    the end of the recording comes last.
    Raises InputError: a packet's number does not fit 32 bits. path: of the table, for that message.
    """
    late = np.flatnonzero(table["seqno"] >= 2**32)
    if len(late):
        row = int(late[0])
        raise InputError(f"{path}: packet {row + 1}: seqno {table['seqno'][row]} needs more than 32 bits; renumber")
    felt = samples(table.columns)
    packet = np.repeat(np.arange(len(table)), over + 1)
    rows = np.zeros(len(packet) + 1, offer_type(felt))
    rows["end"][-1] = 1
    to = rows["packet"][:-1]
    to["time"] = table["timestamp"].to_numpy("datetime64[us]").astype(np.int64)[packet]
    to["rssi"] = table["rssi"].to_numpy()[packet]
    to["seqno"] = table["seqno"].to_numpy()[packet]
    to["gateway"] = pd.Index(deployed.gateways).get_indexer(table["gateway"])[packet]
    if felt:
        to["samples"] = table[list(acceleration(felt))].to_numpy(np.float64).reshape(len(table), felt, 3)[packet]
    taken = np.append(np.diff(packet) != 0, True)
    return rows.view(np.uint8).reshape(len(rows), -1), np.append(~taken, True)


def inferences(segment: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Which steps run the model [S] bool: the first with `length` steps in its segment [S], then every `hop`."""
    first = np.searchsorted(segment, segment)  # of each step's segment
    beyond = np.arange(len(segment)) - first - (length - 1)
    return (beyond >= 0) & (beyond % hop == 0)


def _instructions(counts: np.ndarray, ends: np.ndarray, inferred: np.ndarray) -> dict[str, dict[str, int] | None]:
    """{min, median, max, count} of each kind of call. counts: [N]; ends: [N] bool; inferred: [S] bool, of the ends."""
    decided = ends.copy()
    decided[ends] = inferred
    kinds = {"packet": ~ends, "step": ends & ~decided, "room": decided}
    return {
        name: {**profile.summary(counts[rows]), "count": int(rows.sum())} if rows.any() else None
        for name, rows in kinds.items()
    }
