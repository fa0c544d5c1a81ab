"""What a matrix kernel does to its result on the way to memory, in the place of a pass of its own.

- An int8 function of its output (TANH, LOGISTIC, ELU, a product with a constant …) is a table, looked up where the
  kernel stores.
- An output that is concatenated is stored where it will be needed, with steps between its rows; so is an input.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tinyloc.aot.lower.common import array, collapse, regrouped
from tinyloc.aot.program import Call, Operand, Program
from tinyloc.aot.quantise import INT8_MIN

TABLED = {"tl_conv_s8": "units", "tl_fully_connected_s8": "units", "tl_matmul_s8": "columns"}
"""Parameter block -> its parameter that is a struct tl_units, which may have a table."""

STEPPED = {f"tl_{kernel}_{kind}" for kernel in ("conv", "fully_connected") for kind in ("s8", "s16", "f32")}
"""Parameter blocks with a step between rows."""

JOINING = {"CONCATENATION", "PACK"}


def extend(program: Program) -> None:
    """Let the kernels of `program` take over the tables and the copies that follow them."""
    for at, call, maker in _followers(program, "table_s8"):
        producer = program.calls[maker] if maker is not None else None
        if producer and producer.struct in TABLED:
            program.calls[maker] = _tabled(producer, call)
            program.calls[at] = None
    program.calls = [call for call in program.calls if call]
    for at, call, maker in _followers(program, "move_"):
        if call.operator is None or call.operator.name not in JOINING:
            continue
        producer = program.calls[maker] if maker is not None else None
        if producer and producer.struct in STEPPED:
            stepped = _stepped(program, producer, call)
            if stepped:
                program.calls[maker], program.calls[at] = stepped, None
        elif _is_input(program, call):
            program.view(call.reads[0].tensor, call.write.tensor, call.write.offset)
            program.calls[at] = None
    program.calls = [call for call in program.calls if call]


def _followers(program: Program, kernel: str) -> Iterator[tuple[int, Call, int | None]]:
    """Calls of `kernel` that alone read all of a tensor which nobody else needs, and the one call that makes it."""
    roots = [[program.storage(operand.tensor) for operand in (c.write, *c.also)] for c in program.calls]
    pinned = {program.storage(tensor).tensor for tensor in program.graph.outputs}
    read = [program.storage(operand.tensor).tensor for c in program.calls for operand in c.reads]
    for at, call in enumerate(program.calls):
        if not call.kernel.startswith(kernel):
            continue
        source = call.reads[0]
        root = program.storage(source.tensor)
        sizes = {program.tensors[tensor].size for tensor in (root.tensor, source.tensor)}
        whole = root.offset + source.offset == 0 and len(sizes) == 1
        makers = [i for i, written in enumerate(roots) if root.tensor in {w.tensor for w in written}]
        if whole and root.tensor not in pinned and read.count(root.tensor) == 1 and len(makers) <= 1:
            yield at, call, makers[0] if makers else None


def _tabled(producer: Call, table: Call) -> Call:
    """The producer with the table, which also does what a fused activation did."""
    role = TABLED[producer.struct]
    *fields, _, low, high, before = producer.parameters[role]
    values = table.parameters["table"].values
    if before:  # a function of a function
        values = values[before.values.astype(np.int32) - INT8_MIN]
    else:
        values = values[np.clip(np.arange(INT8_MIN, -INT8_MIN), low, high) - INT8_MIN]
    units = (*fields, 0, low, high, array(values))
    absorbed = (*producer.absorbed, *table.covers)
    name = producer.kernel.removesuffix("_s8").removesuffix("_table")
    return replace(
        producer,
        kernel=f"{name}_table_s8",
        block=f"{name}_s8",
        parameters=producer.parameters | {role: units},
        write=table.write,
        absorbed=absorbed,
    )


def _units(producer: Call) -> int:
    """Elements of a row of its output."""
    if producer.kernel.startswith("conv_"):
        return producer.parameters["shape"][3]
    units = producer.parameters["units"]
    return units if isinstance(units, int) else units[0]


def _stepped(program: Program, producer: Call, move: Call) -> Call | None:
    """The producer with the steps of the move between its rows; None where it would need steps within them too."""
    p, moved = producer.parameters, move.parameters
    units = _units(producer)
    rows = program.tensors[producer.write.tensor].size // units
    steps_in, steps = (regrouped(moved["dims"], moved[which], (rows, units)) for which in ("in", "out"))
    if steps_in is None or steps is None or steps_in not in ((units, 1), (0, 1), (1, 0)) or steps[1] > 1:
        return None
    step = steps[0] or units
    if producer.kernel.startswith("conv_"):
        parameters = p | {"shape": (*p["shape"][:-1], step)}
    else:
        parameters = p | {"out_step": step}
    return replace(producer, parameters=parameters, write=move.write)


def _is_input(program: Program, move: Call) -> bool:
    """Whether the move copies a whole input of the model, in one stretch."""
    source, p = move.reads[0], move.parameters
    loops, steps = collapse(p["dims"], p["in"], p["out"])
    one_stretch = not loops or (len(loops) == 1 and steps == [[1], [1]])
    is_state = program.tensors[source.tensor].name.startswith("state/")
    whole_input = source == Operand(source.tensor) and source.tensor in program.graph.inputs
    return one_stretch and whole_input and not is_state and source.tensor not in program.views
