"""Groups of operators that one kernel does in one pass: found in the graph before its operators are lowered one by one.

A group is lowered where its last operator stands; what lies between its operators is never stored, so nothing else
may read it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tinyloc.aot.graph import Graph, Operator
from tinyloc.aot.lower.common import Context, array
from tinyloc.aot.program import Operand


@dataclass(frozen=True)
class Group:
    operators: tuple[Operator, ...]  # in the graph's order
    lower: Callable[[Context], None]  # of a context of the last one

    @property
    def last(self) -> Operator:
        return self.operators[-1]


def groups(graph: Graph) -> list[Group]:
    """The groups in `graph`; no operator is in two of them."""
    uses = Uses(graph)
    found: list[Group] = []
    taken: set[int] = set()
    for operator in graph.operators:
        for match in (selective_step, silu):
            group = match(uses, operator)
            if group and taken.isdisjoint(o.index for o in group.operators):
                found.append(group)
                taken |= {o.index for o in group.operators}
    return found


class Uses:
    """Who makes a tensor, and who reads it."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.maker = {index: o for o in graph.operators for index in o.outputs}
        self.readers: dict[int, list[Operator]] = {}
        for operator in graph.operators:
            for index in {i for i in operator.inputs if i is not None}:
                self.readers.setdefault(index, []).append(operator)

    def inner(self, index: int, name: str, to: Operator) -> Operator | None:
        """The operator `name` that makes tensor `index`, if only `to` reads it and nothing is fused into it yet."""
        maker = self.maker.get(index)
        if maker is None or maker.name != name or maker.options.get("activation", "NONE") != "NONE":
            return None
        return maker if self.readers[index] == [to] and index not in self.graph.outputs else None

    def floats(self, *indices: int) -> bool:
        return all(self.graph.tensors[i].dtype == "float32" for i in indices)

    def shape(self, index: int) -> tuple[int, ...]:
        """Without its leading ones."""
        shape = self.graph.tensors[index].shape
        while shape and shape[0] == 1:
            shape = shape[1:]
        return shape


def silu(uses: Uses, product: Operator) -> Group | None:
    """x * LOGISTIC(x)"""
    if product.name != "MUL" or product.options["activation"] != "NONE" or not uses.floats(*product.inputs):
        return None
    for x, gate in (product.inputs, product.inputs[::-1]):
        logistic = uses.inner(gate, "LOGISTIC", product)
        if logistic and logistic.inputs == (x,):
            return Group((logistic, product), partial(_silu, logistic))
    return None


def _silu(logistic: Operator, c: Context) -> None:
    (x,) = logistic.inputs
    parameters = {"count": c.output.size}
    more = {"in_place": (0,), "block": "unary_f32", "absorbed": (logistic,)}
    c.program.call(c.operator, "silu_f32", parameters, (x,), c.output.index, **more)


def selective_step(uses: Uses, readout: Operator) -> Group | None:
    """The one-step Mamba update: BATCH_MATMUL(c, exp(delta a) h -/+ (delta x) b), which gives the next state too.

    delta, x [channels]; a, h [states, channels]; b [states, 1]; c [1, states].
    """
    if readout.name != "BATCH_MATMUL" or readout.options["adj_x"] or readout.options["adj_y"]:
        return None
    c, new = readout.inputs
    update = uses.maker.get(new)
    if update is None or update.name not in ("ADD", "SUB") or update.options["activation"] != "NONE":
        return None
    decayed = uses.inner(update.inputs[0], "MUL", update)
    driven = uses.inner(update.inputs[1], "MUL", update)
    if not (decayed and driven and uses.readers[new] == [readout]):
        return None
    decay, drive = uses.inner(decayed.inputs[0], "EXP", decayed), uses.inner(driven.inputs[0], "MUL", driven)
    exponent = decay and uses.inner(decay.inputs[0], "MUL", decay)
    if not (exponent and drive):
        return None
    (delta, a), h, b = exponent.inputs, decayed.inputs[1], driven.inputs[1]
    x = drive.inputs[1]
    states_channels = uses.shape(h)
    fits = (
        drive.inputs[0] == delta
        and uses.graph.tensors[a].data is not None
        and uses.floats(delta, x, a, h, b, c)
        and len(states_channels) == 2
        and uses.shape(a) == uses.shape(new) == states_channels
        and uses.shape(delta) == uses.shape(x) == states_channels[1:]
        and uses.shape(b) == (states_channels[0], 1)
        and uses.shape(c) == states_channels[:1]
        and uses.shape(readout.outputs[0]) == states_channels[1:]
    )
    if not fits:
        return None
    steps = sorted((exponent, decay, decayed, drive, driven, update), key=lambda o: o.index)
    sign = 1.0 if update.name == "ADD" else -1.0
    reads = (delta, x, b, c, h)
    return Group((*steps, readout), partial(_selective_step, tuple(steps), reads, a, sign, new))


def _selective_step(
    steps: tuple[Operator, ...], reads: tuple[int, ...], a: int, sign: float, new: int, c: Context
) -> None:
    values = c.program.tensors[a].data
    states, channels = values.shape[-2:]
    parameters = {"states": states, "channels": channels, "a": array(values), "sign": sign}
    c.program.call(
        c.operator,
        "selective_step_f32",
        parameters,
        reads,
        new,
        also=(Operand(c.output.index),),
        macs=states * channels,
        in_place=(4,),
        absorbed=steps,
    )
