"""The memory plan: replayed call by call, no value is overwritten before its last use."""

import time

import numpy as np
import pytest
from aot_tools import PEERS
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyloc.aot.graph import Graph, Tensor, Unsupported
from tinyloc.aot.lower import lower
from tinyloc.aot.passes import optimised
from tinyloc.aot.plan import ALIGNMENT, Buffer, aligned, pack, peak, plan
from tinyloc.aot.program import Call, Operand, Program
from tinyloc.aot.reader import MAX_TENSORS, read


def replay(program: Program, layout) -> None:
    """Run the calls on memory that holds, instead of values, which byte of which tensor was written there."""
    memory = {"arena": np.full(layout.arena_bytes, -1), "state": np.full(layout.state_bytes, -1)}

    def place(operand: Operand) -> np.ndarray:
        region, offset = layout.place(program, operand)
        assert offset + program.tensors[operand.tensor].bytes - operand.offset <= len(memory[region])
        return memory[region][offset : offset + program.tensors[operand.tensor].bytes - operand.offset]

    def mark(operand: Operand) -> np.ndarray:
        root = program.storage(operand.tensor)
        start = root.tensor * 1_000_000 + root.offset + operand.offset
        return start + np.arange(program.tensors[operand.tensor].bytes - operand.offset)

    def check(operand: Operand, when: str) -> None:
        assert (place(operand) == mark(operand)).all(), f"{program.tensors[operand.tensor]} is lost {when}"

    for tensor in program.graph.inputs:
        place(Operand(tensor))[:] = mark(Operand(tensor))
    for now, call in enumerate(program.calls):
        if call.scratch is not None:
            place(Operand(call.scratch))[:] = -2
            assert not np.shares_memory(place(Operand(call.scratch)), place(call.write))
        reads = [r for r in call.reads if program.tensors[program.storage(r.tensor).tensor].data is None]
        for operand in reads:
            check(operand, f"before call {now}")
        target = place(call.write)
        for position, operand in enumerate(call.reads):
            if operand in reads and np.shares_memory(place(operand), target):
                assert position in call.in_place and place(operand).size == target.size
                assert layout.place(program, operand) == layout.place(program, call.write)
        target[:] = mark(call.write)
        for operand in call.also:
            assert not np.shares_memory(place(operand), target)
            assert not any(np.shares_memory(place(operand), place(r)) for r in reads)
            place(operand)[:] = mark(operand)
    for tensor in program.graph.outputs:
        check(Operand(tensor), "at the end")
    kept = [t for t in program.graph.outputs if t not in {pair.next.index for pair in layout.pairs}]
    for pair in layout.copies:
        place(Operand(pair.state.index))[:] = place(Operand(pair.next.index)).copy()
    for tensor in kept:
        check(Operand(tensor), "after the new state was stored")
    for pair in layout.pairs:
        assert (place(Operand(pair.state.index)) == mark(Operand(pair.next.index))).all()


@st.composite
def programs(draw) -> Program:
    """Random calls, views, takeovers in place and state."""
    sizes = st.integers(1, 70)
    tensors, inputs, outputs = [], [], []

    def tensor(name: str, size: int) -> int:
        tensors.append(Tensor(len(tensors), name, (size,), "float32"))
        return len(tensors) - 1

    pairs = draw(st.integers(0, 2))
    inputs = [tensor(f"in{i}", draw(sizes)) for i in range(draw(st.integers(1, 2)))]
    state_size = draw(sizes)
    inputs += [tensor(f"state/{i}", state_size) for i in range(pairs)]
    known, calls, views = list(inputs), [], {}

    def step(name: str, size: int | None = None) -> int:
        reads = tuple(Operand(draw(st.sampled_from(known))) for _ in range(draw(st.integers(1, 3))))
        same = [i for i, r in enumerate(reads) if tensors[r.tensor].bytes == 4 * (size or -1)]
        if size is None:
            size = draw(st.sampled_from([draw(sizes), tensors[reads[0].tensor].size]))
            same = [i for i, r in enumerate(reads) if tensors[r.tensor].size == size]
        index = tensor(name, size)
        in_place = tuple(same) if draw(st.booleans()) else ()
        calls.append(Call("any", {}, reads, Operand(index), None, in_place=in_place))
        known.append(index)
        return index

    def view(name: str, size: int | None = None) -> int | None:
        source = draw(st.sampled_from(known))
        room = tensors[source].size
        if size is not None and room < size:
            return None
        size = size or draw(st.integers(1, room))
        offset = draw(st.integers(0, room - size))
        index = tensor(name, size)
        views[index] = Operand(source, 4 * offset)
        known.append(index)
        return index

    for i in range(draw(st.integers(1, 8))):
        if draw(st.integers(0, 3)) == 0:
            view(f"view{i}")
        else:
            step(f"t{i}")
    for i in range(pairs):
        made = view(f"next/{i}", state_size) if draw(st.booleans()) else None
        outputs.append(made if made is not None else step(f"next/{i}", state_size))
    ordinary = [i for i in known if not tensors[i].name.startswith(("state/", "next/"))]
    outputs += draw(st.lists(st.sampled_from(ordinary), min_size=1, max_size=2, unique=True))
    graph = Graph("random", "", tensors, [], tuple(inputs), tuple(outputs))
    return Program(graph, list(tensors), calls, views)


@given(programs())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_no_value_is_lost(program):
    replay(program, plan(program))


@pytest.mark.parametrize("fused", [lambda program: program, optimised])
@pytest.mark.parametrize("name", ["attn_i8", "cnn_i8", "mlp_i8", "mdcsa_d16_int8", "mamba_d16_float32"])
def test_no_value_is_lost_in_real_models(name, fused):
    program = fused(lower(read(PEERS / f"{name}.tflite")))
    layout = plan(program)
    replay(program, layout)
    assert layout.arena_bytes == peak(layout.arena), "a better plan exists"


def test_peers_need_little_memory():
    """Beside TFLite Micro's arenas of 8404, 3988 and 2020 bytes (peers.json)."""
    sizes = {n: plan(lower(read(PEERS / f"{n}.tflite"))).arena_bytes for n in ("attn_i8", "cnn_i8", "mlp_i8")}
    assert sizes["attn_i8"] <= 3300 and sizes["cnn_i8"] <= 1920 and sizes["mlp_i8"] <= 740


lives = st.tuples(st.integers(1, 200), st.integers(0, 12), st.integers(0, 6))


@given(st.lists(lives, min_size=1, max_size=20))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_packing(drawn):
    buffers = [Buffer([i], size, first, first + length) for i, (size, first, length) in enumerate(drawn)]
    total = pack(buffers)
    assert peak(buffers) <= total <= sum(aligned(b.size) for b in buffers)
    for i, a in enumerate(buffers):
        assert a.offset % ALIGNMENT == 0 and a.offset + a.size <= total
        for b in buffers[i + 1 :]:
            if a.meets(b):
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset


def small(*names: tuple[str, tuple[int, ...]], inputs: int) -> Program:
    tensors = [Tensor(i, name, shape, "float32") for i, (name, shape) in enumerate(names)]
    graph = Graph("m", "", tensors, [], tuple(range(inputs)), tuple(range(inputs, len(tensors))))
    return Program(graph, list(tensors))


def test_an_operand_is_not_overwritten_while_another_still_reads_it():
    program = small(("x", (8,)), ("y", (8,)), inputs=1)
    part = program.temporary((4,), program.tensors[0])
    program.view(part.index, 0, 16)
    program.call(None, "any", {}, (0, part.index), 1, in_place=(0,))
    replay(program, plan(program))


def test_an_operand_used_twice_may_be_overwritten():
    program = small(("x", (8,)), ("y", (8,)), inputs=1)
    program.call(None, "any", {}, (0, 0), 1, in_place=(0, 1))
    layout = plan(program)
    replay(program, layout)
    assert layout.arena_bytes == 32


def test_state_is_updated_where_it_lies_if_it_can_be():
    program = small(("x", (4,)), ("state/h", (4,)), ("next/h", (4,)), inputs=2)
    program.call(None, "any", {}, (0, 1), 2, in_place=(0, 1))
    layout = plan(program)
    assert layout.copies == [] and layout.state_bytes == 16
    assert layout.place(program, Operand(1)) == layout.place(program, Operand(2)) == ("state", 0)


def test_state_that_is_still_read_is_copied_at_the_end():
    program = small(("x", (4,)), ("state/h", (4,)), ("next/h", (4,)), ("y", (4,)), inputs=2)
    program.call(None, "any", {}, (0,), 2)
    program.call(None, "any", {}, (1,), 3)
    layout = plan(program)
    assert [pair.name for pair in layout.copies] == ["h"]
    replay(program, layout)


def test_states_may_change_places():
    program = small(*(("state/a", (4,)), ("state/b", (4,)), ("next/a", (4,)), ("next/b", (4,)), ("y", (4,))), inputs=2)
    program.call(None, "any", {}, (0, 1), 4)
    program.view(2, 1)
    program.view(3, 0)
    replay(program, plan(program))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((("state/h", (4,)), ("y", (4,))), "'state/h' and 'next/h' belong together"),
        ((("state/h", (4,)), ("next/h", (5,))), "must have the same type, shape and quantisation"),
    ],
)
def test_state_without_its_like_is_refused(names, message):
    program = small(*names, inputs=1)
    program.call(None, "any", {}, (0,), 1)
    with pytest.raises(Unsupported, match=message):
        plan(program)


@pytest.mark.parametrize("length", [1, 3000], ids=["in turn", "all at once"])
def test_as_many_buffers_as_a_model_may_have_are_placed_in_time(length):
    sizes = np.random.default_rng(0).integers(1, 4000, MAX_TENSORS)
    buffers = [Buffer([i], int(size), i, i + length) for i, size in enumerate(sizes)]
    started = time.process_time()
    assert pack(buffers) >= peak(buffers) > 0
    assert time.process_time() - started < 5


def test_nothing_needs_no_arena():
    assert pack([]) == peak([]) == 0
