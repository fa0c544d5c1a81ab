"""Loop fusion: kernel calls that work element by element, or row by row, become one pass of C of their own.

What lies between them is then never a tensor: the value of an element is a variable, and of what is needed again after
it was summed (the pieces of LayerNorm: mean, difference, square, mean, root, products, sum) one row is kept. Every
value is computed with the same roundings as before, so integer results stay the same bits.

A group grows from its last call towards what makes its operands, as long as nothing else reads them. All its calls run
over one nest of loops; those with one value a row run outside the innermost of them. A sum is known only after a loop
over the row, so the row is passed over in *phases*: phase 0 up to the first sums, phase 1 what needs these, and so on.

SOFTMAX stays a kernel of its own, and so does a mean over a leading axis, whose rows are not dense. A loop would save
a pass only where such a call has a neighbour that works element by element: in the book's models every SOFTMAX stands
between two matrix products (12 % of the instructions of the int8 MDCSA d=16 on a Cortex-M4F, 8 % of the int16x8 one,
all of them its own), and every mean is over dense rows.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from tinyloc.aot.elements import Element, Steps, element, scattered
from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import collapse, dense_strides
from tinyloc.aot.program import Call, Operand, Program

MOST_LOOPS = 4
ITEM = {"int8": 1, "int16": 2, "float32": 4}  # bytes


@dataclass(frozen=True)
class Source:
    """Where a node's operand comes from: another node, or memory (steps along the loops, in elements)."""

    node: int | None
    operand: Operand
    steps: Steps


@dataclass
class Node:
    call: Call
    element: Element
    sources: tuple[Source, ...]
    by_row: bool  # one value a row
    phase: int = 0  # in which its value is computed
    fold_phase: int = 0  # over which row its fold runs
    kept: bool = False  # whether its row is needed in a later phase too


@dataclass(frozen=True)
class Nest:
    """A group on one nest of loops; the nodes in the order of their calls, the last one gives the output."""

    dims: Steps  # the last one is a row where there are rows
    write: Steps  # of the output along the loops
    nodes: tuple[Node, ...]
    phases: int
    reads: tuple[tuple[Operand, Steps], ...] = ()  # what it is given, each once

    @property
    def last(self) -> Node:
        return self.nodes[-1]


def fuse(program: Program) -> Program:
    """The same program with its groups of calls as single calls, each where its last one stood."""
    uses = _Uses(program)
    taken: dict[int, Call | None] = {}  # call -> what stands there instead
    for at in reversed(range(len(program.calls))):
        if at in taken:
            continue
        members = _grow(uses, at, taken.keys())
        if len(members) > 1:
            nest = _schedule(_nest(uses, members), program)
            taken |= dict.fromkeys(members)
            taken[at] = _call(program, nest)
    calls = [taken.get(at, call) for at, call in enumerate(program.calls)]
    return replace(program, calls=[call for call in calls if call is not None])


class _Uses:
    """Who writes and who reads the memory of a tensor, by the number of the call."""

    def __init__(self, program: Program):
        self.program = program
        self.elements = [element(call) if call.operator else None for call in program.calls]
        self.writers: dict[int, list[int]] = {}
        self.readers: dict[int, set[int]] = {}
        for at, call in enumerate(program.calls):
            for operand in (call.write, *call.also):
                self.writers.setdefault(program.storage(operand.tensor).tensor, []).append(at)
            for operand in call.reads:
                self.readers.setdefault(program.storage(operand.tensor).tensor, set()).add(at)
        self.constants = {tensor.index for tensor in program.tensors if tensor.data is not None}
        self.pinned = {program.storage(tensor).tensor for tensor in program.graph.outputs}

    def root(self, operand: Operand) -> Operand:
        """Its tensor that owns memory, and where in it."""
        root = self.program.storage(operand.tensor)
        return Operand(root.tensor, root.offset + operand.offset)

    def made_by(self, at: int) -> int:
        """The tensor in which the output of call `at` lies."""
        return self.root(self.program.calls[at].write).tensor

    def maker(self, operand: Operand) -> int | None:
        """The one call that makes all of what `operand` reads, if it could be in one loop with it."""
        root = self.root(operand)
        writers = self.writers.get(root.tensor, [])
        if root.offset or len(writers) != 1 or root.tensor in self.pinned:
            return None
        call, made = self.program.calls[writers[0]], self.elements[writers[0]]
        if made is None or self.root(call.write) != root or made.write not in ((), tuple(dense_strides(made.dims))):
            return None
        size = prod(made.dims) // (1 if made.write or not made.fold else made.fold.depth)
        return writers[0] if size == self.program.tensors[root.tensor].size else None


def _grow(uses: _Uses, last: int, taken: Collection[int]) -> list[int]:
    """The largest group that ends with call `last`; of fewer than two if that works in no loop."""
    members: list[int] = []
    for form in (scattered(uses.program.calls[last]), uses.elements[last]):
        if form is not None and len(members) < 2:
            uses.elements[last] = form
            members = _grown(uses, last, taken)
    return members


def _grown(uses: _Uses, last: int, taken: Collection[int]) -> list[int]:
    members = [last] if _nest(uses, [last]) else []
    while members:
        for at in _makers(uses, members):
            wider = sorted([*members, at])
            free = at not in taken and uses.readers[uses.made_by(at)] <= set(wider)
            if free and _saves_memory(uses, at, members) and _nest(uses, wider) is not None:
                members = wider
                break
        else:
            break
    return members


def _saves_memory(uses: _Uses, at: int, members: list[int]) -> bool:
    """Whether call `at` may run as late as `members`: what it reads is needed for longer then, what it makes never."""
    last = members[-1]
    if all(call in members for call in range(at + 1, last)):
        return True
    read = {uses.root(operand).tensor for operand in uses.program.calls[at].reads}
    longer = [t for t in read if max(uses.readers[t]) < last and t not in uses.pinned | uses.constants]
    sizes = [uses.program.tensors[tensor].bytes for tensor in longer]
    return sum(sizes) <= uses.program.tensors[uses.made_by(at)].bytes


def _makers(uses: _Uses, members: list[int]) -> Iterator[int]:
    """Calls that make what `members` read, the latest first."""
    found = {uses.maker(operand) for at in members for operand in uses.program.calls[at].reads}
    yield from sorted(found - {None} - set(members), reverse=True)


# ── one nest for all ─────────────────────────────────────────────────────────────────────────────
def _nest(uses: _Uses, members: list[int]) -> Nest | None:
    """The nest of loops that `members` share; None where there is none."""
    elements = {at: uses.elements[at] for at in members}
    sizes = {at: prod(e.dims) for at, e in elements.items()}
    total, depth = max(sizes.values()), _depth(elements, sizes)
    if total < 2 or depth is None or any(size not in (total, total // depth) for size in sizes.values()):
        return None
    by_row = {at: size != total for at, size in sizes.items()}
    dims = _dims(elements, by_row, depth)
    scattered_inside = any(e.write not in ((), tuple(dense_strides(e.dims))) for e in list(elements.values())[:-1])
    if dims is None or scattered_inside or any(e.fold and by_row[at] for at, e in elements.items()):
        return None
    made = {uses.made_by(at): i for i, at in enumerate(members)}
    nodes = []
    for at, e in elements.items():
        sources = _sources(uses, at, dims, by_row, made, members)
        if sources is None:
            return None
        nodes.append(Node(uses.program.calls[at], e, sources, by_row[at] or not e.write))
    nest = Nest(dims, _write(nodes[-1], dims, by_row[members[-1]]), tuple(nodes), 1)
    nest = nest if depth > 1 else _merged(nest)
    return nest if len(nest.dims) <= MOST_LOOPS else None


def _dims(elements: dict[int, Element], by_row: dict[int, bool], depth: int) -> Steps | None:
    """Loops of which those of every element are products; the last is a row. None where they do not divide."""
    marks = {1, depth}  # elements in the innermost loops
    for at, e in elements.items():
        marks |= {prod(e.dims[i:]) * (depth if by_row[at] else 1) for i in range(len(e.dims))}
    ladder = sorted(marks)
    if (depth > 1 and ladder[1] != depth) or any(b % a for a, b in pairwise(ladder)):
        return None
    return tuple(b // a for a, b in pairwise(ladder))[::-1]


def _write(last: Node, dims: Steps, in_rows: bool) -> Steps:
    """Steps of the output along the loops."""
    if last.by_row and not in_rows:  # one value for each row that it folds
        return (*dense_strides(dims[:-1]), 0)
    return _spread(last.element.dims, last.element.write, dims, in_rows)


def _depth(elements: dict[int, Element], sizes: dict[int, int]) -> int | None:
    """Elements of a row: 1 where there are no rows, None where there are several kinds."""
    total = max(sizes.values())
    found = {e.fold.depth for e in elements.values() if e.fold} | {total // s for s in sizes.values() if s < total}
    return 1 if not found else found.pop() if len(found) == 1 else None


def _spread(own: Steps, steps: Steps, dims: Steps, by_row: bool) -> Steps:
    """Steps along a kernel's `own` loops as steps along `dims`, which divide these."""
    left = list(dims[:-1] if by_row else dims)
    found = []
    for n, step in zip(reversed(own), reversed(steps), strict=True):
        inner = 1
        while inner < n:
            found.append(step * inner)
            inner *= left.pop()
    return (*found[::-1], *([0] if by_row else []))


def _sources(
    uses: _Uses, at: int, dims: Steps, by_row: dict[int, bool], made: dict[int, int], members: list[int]
) -> tuple[Source, ...] | None:
    """Where the operands of call `at` come from; None if one is made in the group, but in other loops."""
    call, e = uses.program.calls[at], uses.elements[at]
    whole, rows = tuple(dense_strides(dims)), (*dense_strides(dims[:-1]), 0)
    sources = []
    for operand, steps in zip(call.reads, e.reads, strict=True):
        root, along = uses.root(operand), _spread(e.dims, steps, dims, by_row[at])
        node = made.get(root.tensor)
        if node is not None:
            maker = members[node]
            one_a_row = by_row[maker] or not uses.elements[maker].write
            if root.offset or along != (rows if one_a_row else whole):
                return None
        sources.append(Source(node, root, along))
    return tuple(sources)


def _merged(nest: Nest) -> Nest:
    """The same nest, where there are no rows, with as few loops as memory allows."""
    outside = [s.steps for n in nest.nodes for s in n.sources if s.node is None]
    dims, (write, *found) = collapse(nest.dims, nest.write, *outside)
    steps = iter(found)
    for node in nest.nodes:
        node.sources = tuple(s if s.node is not None else replace(s, steps=tuple(next(steps))) for s in node.sources)
    return replace(nest, dims=tuple(dims), write=tuple(write))


# ── phases ───────────────────────────────────────────────────────────────────────────────────────
def _schedule(nest: Nest, program: Program) -> Nest:
    """Every value as late as it can be: then few rows must be kept from one phase to the next."""
    for node in nest.nodes:
        made = [nest.nodes[s.node].phase for s in node.sources if s.node is not None]
        node.phase = max(made, default=0) + (node.element.fold is not None)
    phases = nest.last.phase + 1
    readers: list[list[int]] = [[] for _ in nest.nodes]  # the phases in which each node's value is read
    for i, node in reversed(list(enumerate(nest.nodes))):
        if i < len(nest.nodes) - 1:
            node.phase = min(readers[i])
            node.kept = not node.by_row and max(readers[i]) > node.phase
        node.fold_phase = node.phase - 1 if node.element.fold else node.phase
        for source in node.sources:
            if source.node is not None:
                if node.element.fold:
                    readers[source.node].append(node.fold_phase)
                if node.element.value:
                    readers[source.node].append(node.phase)
    memory = {(s.operand, s.steps) for n in nest.nodes for s in n.sources if s.node is None}
    reads = {read for read in memory if number(program.tensors[read[0].tensor]) is None}
    return replace(nest, phases=phases, reads=tuple(sorted(reads, key=lambda r: (r[0].tensor, r[0].offset, r[1]))))


def number(tensor: Tensor) -> float | None:
    """The value of a constant that is a single number, which is a part of the code; None for any other tensor."""
    return tensor.data.reshape(-1)[0].item() if tensor.data is not None and tensor.size == 1 else None


def _call(program: Program, nest: Nest) -> Call:
    """One call for the nest: named after the type of what it makes."""
    last, calls = nest.last.call, [node.call for node in nest.nodes]
    kept = [program.tensors[node.call.write.tensor] for node in nest.nodes if node.kept]
    operators = {o.index: o for call in calls for o in call.covers}
    del operators[last.operator.index]
    return Call(
        kernel=f"fused_{last.kernel.rpartition('_')[2]}",
        parameters={},
        reads=tuple(operand for operand, _ in nest.reads),
        write=last.write,
        operator=last.operator,
        macs=sum(call.macs for call in calls),
        in_place=_in_place(program, nest),
        absorbed=tuple(operators[index] for index in sorted(operators)),
        scratch=program.scratch(sum(row_bytes(nest, t.dtype) for t in kept)) if kept else None,
        nest=nest,
    )


def row_bytes(nest: Nest, dtype: str) -> int:
    """Of a row that is kept, in whole words."""
    return -(-nest.dims[-1] * ITEM[dtype] // 4) * 4


def _in_place(program: Program, nest: Nest) -> tuple[int, ...]:
    """The reads that are passed over exactly as the output is written: no element is needed once it is overwritten."""
    output = program.tensors[nest.last.call.write.tensor]
    whole = tuple(dense_strides(nest.dims))
    roots = [operand.tensor for operand, _ in nest.reads]
    return tuple(
        i
        for i, (operand, steps) in enumerate(nest.reads)
        if nest.write == steps == whole
        and nest.last.call.write.offset == 0
        and roots.count(operand.tensor) == 1
        and program.tensors[operand.tensor].dtype == output.dtype
        and program.tensors[operand.tensor].size == output.size
    )
