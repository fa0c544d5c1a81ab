"""Instructions by class: every instruction of an inference once, and in the right class."""

from pathlib import Path

import numpy as np
import pytest
import tiny_model

from tinyloc.aot.compiler import compile_model
from tinyloc.device import mix, qemu, toolchain

PEERS = Path(__file__).parent / "peers"
CALLS = 10  # instructions with which the bench asks for the model's input and output, outside of what it times


@pytest.mark.parametrize(
    ("name", "board"),
    [("mamba_d16_float32", "mps2-an386"), ("mlp_i8", "mps2-an500"), ("mlp_i8", "mps3-an547")],
)
def test_the_classes_add_up_to_the_instructions_that_the_timer_counts(tmp_path, name, board):
    tiny_model.need(toolchain.CROSS_GCC, toolchain.QEMU)
    compile_model(PEERS / f"{name}.tflite", tmp_path / "aot")
    built = qemu.build(tmp_path / "aot", board, 64 * 1024, tmp_path / "out")
    record = np.random.default_rng(0).integers(0, 120, built.emitted.input_bytes).astype(np.uint8)
    counted = qemu.run(built, np.stack([record, record]), np.array([True, False])).instructions[1]
    found = mix.mix(built, record)
    assert 0 <= sum(found[name] for name in mix.CLASSES) - counted <= CALLS
    assert (found["vector"] > 0) == (board == "mps3-an547")
    assert (found["float_multiply_add"] > 0) == name.endswith("float32")
    assert found["block"] < found["block_words"] <= 32 * found["block"]


@pytest.mark.parametrize(
    ("instruction", "kind"),
    [
        ("add.w r0, r1, r2", "integer"),
        ("bic.w r0, r1, r2", "integer"),
        ("subs r0, #1", "integer"),
        ("ssat r0, #8, r1", "integer"),
        ("smlad r0, r1, r2, r3", "multiply"),
        ("smmulr r0, r1, r2", "multiply"),
        ("umull r0, r1, r2, r3", "multiply"),
        ("mlsne r0, r1, r2, r3", "multiply"),
        ("udiv r0, r1, r2", "divide"),
        ("ldrsb.w r0, [r1]", "load"),
        ("ldrne r0, [r1]", "load"),
        ("vldr s0, [r1]", "load"),
        ("strh r0, [r1]", "store"),
        ("ldrd r0, r1, [r2]", "block"),
        ("ldmia.w sp!, {r4, pc}", "block"),
        ("bls.n 5e0", "branch"),
        ("bl 5e0", "branch"),
        ("cbnz r0, 5e0", "branch"),
        ("le lr, 5e0", "branch"),
        ("vfma.f32 s0, s1, s2", "float_multiply_add"),
        ("vsqrt.f32 s0, s1", "float_divide"),
        ("vcvt.f32.s32 s0, s1", "float"),
        ("vmlava.s16 r0, q0, q1", "vector"),
        ("vldrw.u32 q0, [r1]", "vector"),
        ("vctp.32 r0", "vector"),
    ],
)
def test_instructions_are_told_apart(instruction, kind):
    mnemonic, operands = instruction.split(maxsplit=1)
    assert mix.classify(mnemonic, operands) == kind


def test_a_block_transfer_moves_the_words_of_its_registers():
    moved = {"{r4-r7, lr}": 5, "sp!, {r4, r5, r6, pc}": 4, "{s16-s19}": 4, "{d8-d11}": 8, "r0, r1, [r2]": 2}
    moved |= {"r3!, {r0}": 1, "sp!, {r4-r9, sl, fp, ip, lr}": 10}
    assert {operands: mix.words_moved(operands) for operands in moved} == moved


def test_the_log_is_read_execution_by_execution():
    """Translated once, executed three times, of which QEMU stopped one; then its place on the host is used again."""
    log = [
        "IN: f",
        "0x00000100:  2000  movs r0, #0",
        "0x00000102:  4770  bx lr",
        "Trace 0: 0xaa [0/00000100/0/0] f",
        "Trace 0: 0xaa [0/00000100/0/0] f",
        "Stopped execution of TB chain before 0xaa [00000100] f",
        "Trace 0: 0xaa [0/00000100/0/0] f",
        "IN: g",
        "0x00000200:  4770  bx lr",
        "Trace 0: 0xaa [0/00000200/0/0] g",
    ]
    assert mix.count(log) == {(0x100, 0x102): 2, (0x200, 0x200): 1}
