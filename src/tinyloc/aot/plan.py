"""Where every tensor lies: one arena shared by tensors that are never needed at once, and one block of state.

Time is counted in calls: call i happens at time i, inputs exist from time -1, outputs until time len(calls). A tensor
lives from the first call that writes it to the last that reads it, both included. Two tensors whose lives meet must
not overlap; finding the smallest arena is the dynamic storage allocation problem (NP-hard), and the greedy placement
by size used here is the usual heuristic for it (Pisarchyk and Lee, "Efficient memory management for deep neural net
inference", 2020).
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from tinyloc.aot.graph import Tensor, Unsupported
from tinyloc.aot.lower.layout import copy
from tinyloc.aot.program import Call, Operand, Program

ALIGNMENT = 16  # of every buffer, for word and vector loads
SHUFFLES = 256
COMPARISONS = 10_000_000  # of two buffers: with hundreds of them there is time for fewer shuffles


@dataclass
class Buffer:
    """A stretch of memory held by one tensor, or by several that take it over from one another in place."""

    tensors: list[int]
    size: int  # bytes
    first: int
    last: int
    offset: int = 0

    def meets(self, other: "Buffer") -> bool:
        """Whether both are needed at some time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class StatePair:
    """Memory between inferences: the input `state` of one is the output `next` of the one before."""

    name: str
    state: Tensor
    next: Tensor


@dataclass
class Plan:
    arena: list[Buffer]
    state: list[Buffer]
    arena_bytes: int
    state_bytes: int
    pairs: list[StatePair]
    copies: list[StatePair]  # those not updated where they lie
    lives: dict[int, tuple[int, int]]  # tensor -> (first, last) use, before memory was shared in place
    _home: dict[int, tuple[str, Buffer]] = field(default_factory=dict, repr=False)

    def place(self, program: Program, operand: Operand) -> tuple[str, int]:
        """("arena" or "state", byte offset) of an operand that is not a constant."""
        root = program.storage(operand.tensor)
        region, buffer = self._home[root.tensor]
        return region, buffer.offset + root.offset + operand.offset


def plan(program: Program) -> Plan:
    """Place every tensor of `program`. Raises Unsupported for a state input without its output, or unlike it."""
    pairs = state_pairs(program)
    _separate_outputs(program, pairs)
    buffers = _buffers(program)
    lives = {tensor: (buffer.first, buffer.last) for tensor, buffer in buffers.items()}
    _update_state_where_it_lies(program, buffers, pairs)
    _share_in_place(program, buffers, pairs)
    state, copies = _state(program, buffers, pairs)
    homes = {id(buffer) for buffer in state}
    arena = sorted(
        {id(b): b for b in buffers.values() if id(b) not in homes}.values(), key=lambda b: (b.first, b.tensors)
    )
    arena_bytes = pack(arena)
    state_bytes = _stack(state)
    home = {tensor: ("state" if id(b) in homes else "arena", b) for tensor, b in buffers.items()}
    return Plan(arena, state, arena_bytes, state_bytes, pairs, copies, lives, home)


def state_pairs(program: Program) -> list[StatePair]:
    graph = program.graph
    states = {t.name[6:]: t for t in map(graph.tensors.__getitem__, graph.inputs) if t.name.startswith("state/")}
    nexts = {t.name[5:]: t for t in map(graph.tensors.__getitem__, graph.outputs) if t.name.startswith("next/")}
    for name in states.keys() ^ nexts.keys():
        raise Unsupported(f"'state/{name}' and 'next/{name}' belong together, but only one of them is there")
    for name, state in states.items():
        if _kind(state) != _kind(nexts[name]):
            raise Unsupported(f"{state} and {nexts[name]} must have the same type, shape and quantisation")
    return [StatePair(name, state, nexts[name]) for name, state in states.items()]


def _kind(tensor: Tensor) -> tuple:
    scales = tensor.quantisation
    return tensor.dtype, tensor.shape, scales and (scales.scale.tolist(), scales.zero_point.tolist())


def _separate_outputs(program: Program, pairs: list[StatePair]) -> None:
    """Copy, before the first call, a state input that is an output too: its memory changes before that is read."""
    states = {pair.state.index for pair in pairs}
    own = {pair.next.index: pair.state.index for pair in pairs}
    for output in sorted(set(program.graph.outputs)):
        if output in states:
            raise Unsupported(f"{program.tensors[output]} is a state input and an output at once")
        root = program.storage(output)
        if root.tensor in states and root != Operand(own.get(output, -1)):
            del program.views[output]
            program.calls.insert(0, copy(program, root, output))


def _buffers(program: Program) -> dict[int, Buffer]:
    """A buffer for each tensor that owns memory, with its life."""
    buffers: dict[int, Buffer] = {}

    def touch(tensor: int, time: int) -> None:
        root = program.storage(tensor).tensor
        if program.tensors[root].data is not None:
            return
        buffer = buffers.setdefault(root, Buffer([root], program.tensors[root].bytes, time, time))
        buffer.first, buffer.last = min(buffer.first, time), max(buffer.last, time)

    for tensor in program.graph.inputs:
        touch(tensor, -1)
    for time, call in enumerate(program.calls):
        for operand in call.operands:
            touch(operand.tensor, time)
    for tensor in program.graph.outputs:
        if program.tensors[program.storage(tensor).tensor].data is not None:
            raise Unsupported(f"the output {program.tensors[tensor]} is a constant")
        touch(tensor, len(program.calls))
    return buffers


def _share_in_place(program: Program, buffers: dict[int, Buffer], pairs: list[StatePair]) -> None:
    """Let an output take over the memory of an input that nobody needs any more.

    The memory of a state is taken over by its next value only: anything else there would be overwritten by it.
    """
    heirs = {pair.state.index: program.storage(pair.next.index) for pair in pairs}
    for time, call in enumerate(program.calls):
        written = program.storage(call.write.tensor)
        output = buffers[written.tensor]
        # A state first: nothing but its next value may use that memory.
        for position in sorted(call.in_place, key=lambda p: program.storage(call.reads[p].tensor).tensor not in heirs):
            root = program.storage(call.reads[position].tensor).tensor
            if root not in buffers or heirs.get(root, written) != written:
                continue
            if _may_take_over(program, buffers, call, position, time, output):
                _merge(buffers, buffers[root], output)
                break


def _may_take_over(
    program: Program, buffers: dict[int, Buffer], call: Call, position: int, time: int, output: Buffer
) -> bool:
    root = program.storage(call.reads[position].tensor)
    source = buffers[root.tensor]
    others = [program.storage(r.tensor) for i, r in enumerate(call.reads) if i != position]
    return (
        source is not output
        and source.last == time
        and output.first == time
        and root.offset == 0
        # another operand in the same memory must be the very same elements, read at the same step
        and all(buffers.get(other.tensor) is not source or other == root for other in others)
    )


def _merge(buffers: dict[int, Buffer], source: Buffer, output: Buffer) -> None:
    source.tensors += output.tensors
    source.first, source.last = min(source.first, output.first), max(source.last, output.last)
    for tensor in output.tensors:
        buffers[tensor] = source


def _update_state_where_it_lies(program: Program, buffers: dict[int, Buffer], pairs: list[StatePair]) -> None:
    """Write a new state over the old one if that has been read for the last time before."""
    for pair in pairs:
        old, new = buffers[pair.state.index], buffers[program.storage(pair.next.index).tensor]
        if new.size == old.size and old.last < new.first:
            _merge(buffers, old, new)


def _state(
    program: Program, buffers: dict[int, Buffer], pairs: list[StatePair]
) -> tuple[list[Buffer], list[StatePair]]:
    """The buffers that hold state, and the pairs whose new value must be copied there after the last call."""
    held = [buffers[pair.state.index] for pair in pairs]
    copies = [p for p, old in zip(pairs, held, strict=True) if buffers[program.storage(p.next.index).tensor] is not old]
    return held, copies


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _stack(buffers: list[Buffer]) -> int:
    offset = 0
    for buffer in buffers:
        buffer.offset = offset
        offset += aligned(buffer.size)
    return offset


def pack(buffers: list[Buffer]) -> int:
    """Give every buffer its offset; the arena's size in bytes.

    Greedy placement in several orders (by size, by size times life, by time, then shuffles of the first, as many as
    `COMPARISONS` allows), until one reaches the largest sum of bytes needed at one time, below which no arena can be.
    """
    bound = peak(buffers)
    by_size = sorted(buffers, key=lambda b: (-b.size, b.first, b.tensors))
    orders = [
        by_size,
        sorted(buffers, key=lambda b: (-b.size * (b.last - b.first + 1), b.first, b.tensors)),
        sorted(buffers, key=lambda b: (b.first, -b.size, b.tensors)),
    ]
    best, chosen = None, None
    generator = np.random.default_rng(0)
    shuffles = min(SHUFFLES, COMPARISONS // max(len(buffers), 1) ** 2)
    for attempt in range(len(orders) + shuffles):
        order = orders[attempt] if attempt < len(orders) else _jitter(by_size, generator)
        offsets, size = _place_in_order(order)
        if best is None or size < best:
            best, chosen = size, list(zip(order, offsets, strict=True))
        if best == bound:
            break
    for buffer, offset in chosen:
        buffer.offset = offset
    return best


def peak(buffers: list[Buffer]) -> int:
    """The largest sum of aligned sizes that are needed at one time."""
    change = Counter()
    for buffer in buffers:
        change[buffer.first] += aligned(buffer.size)
        change[buffer.last + 1] -= aligned(buffer.size)
    return max(accumulate(change[time] for time in sorted(change)), default=0)


def _jitter(order: list[Buffer], generator: np.random.Generator) -> list[Buffer]:
    """The same order, each buffer moved by a few places."""
    keys = np.arange(len(order)) + generator.uniform(0, 1 + len(order) / 4, len(order))
    return [order[i] for i in np.argsort(keys, kind="stable")]


def _place_in_order(order: list[Buffer]) -> tuple[list[int], int]:
    """Each buffer in turn at the lowest offset where it meets nothing placed before."""
    spans = [(buffer.first, buffer.last, aligned(buffer.size)) for buffer in order]
    first, last, size = np.array(spans, np.int64).reshape(-1, 3).T
    start = np.zeros(len(order), np.int64)
    for i in range(len(order)):
        meets = (first[:i] <= last[i]) & (first[i] <= last[:i])
        begins, sizes = start[:i][meets], size[:i][meets]
        upwards = begins.argsort()
        begins, ends = begins[upwards], (begins + sizes)[upwards]
        free = np.maximum.accumulate(np.append(0, ends))  # below what lies there, and above all that lies there
        gaps = np.flatnonzero(free[:-1] + size[i] <= begins)
        start[i] = free[gaps[0] if len(gaps) else -1]
    return start.tolist(), int((start + size).max(initial=0))
