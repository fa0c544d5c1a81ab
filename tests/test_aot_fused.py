"""Operators that are done in one pass: found where they may be, left alone where something else reads between them."""

import numpy as np
import pytest
from aot_tools import PEERS, Compiled, Micro, assert_agree
from tflite_writer import ModelWriter

STATES, CHANNELS = 3, 5


def selective(path, update: str = "SUB", shown: str = "", a_shape=(STATES, CHANNELS)):
    """A one-step state-space update. shown: a tensor inside it that is an output of the model too."""
    m, random = ModelWriter(), np.random.default_rng(0)
    wide, row = (1, 1, STATES, CHANNELS), (1, 1, 1, CHANNELS)
    delta, x = (m.input(row, name=name) for name in ("delta", "x"))
    b, c = m.input((1, 1, STATES, 1), name="b"), m.input((1, 1, 1, STATES), name="c")
    h = m.input(wide, name="state/h")
    a = m.constant(random.uniform(-1, 0, a_shape).astype(np.float32))
    made = {name: m.tensor(wide, name=name) for name in ("exponent", "decay", "decayed", "driven")}
    made |= {"drive": m.tensor(row, name="drive"), "new": m.tensor(wide, name="next/h")}
    m.operator("MUL", [delta, a], [made["exponent"]], "Mul")
    m.operator("EXP", [made["exponent"]], [made["decay"]], "Exp")
    m.operator("MUL", [made["decay"], h], [made["decayed"]], "Mul")
    m.operator("MUL", [delta, x], [made["drive"]], "Mul")
    m.operator("MUL", [made["drive"], b], [made["driven"]], "Mul")
    m.operator(update, [made["decayed"], made["driven"]], [made["new"]], update.title())
    m.operator("BATCH_MATMUL", [c, made["new"]], [y := m.tensor(row, name="y")], "BatchMatMul")
    m.operator("LOGISTIC", [y], [gate := m.tensor(row, name="gate")])
    m.operator("MUL", [gate, y], [gated := m.tensor(row, name="gated")], "Mul")
    made["gate"] = gate
    m.graph.outputs = [gated, made["new"], *([made[shown]] if shown else [])]
    return m.save(path)


def kernels(compiled: Compiled) -> list[str]:
    return [step.kernel for step in compiled.report.steps]


def agree_over_time(path, folder, steps: int = 12) -> Compiled:
    compiled, micro, random = Compiled(path, folder), Micro(path), np.random.default_rng(1)
    for _ in range(steps):
        inputs = [random.uniform(-1, 1, tensor.shape) for tensor in compiled.inputs]
        assert_agree(compiled.run(*inputs), micro.run(*inputs))
    return compiled


@pytest.mark.parametrize("update", ["SUB", "ADD"])
def test_a_selective_step_is_one_pass_over_the_state(update, tmp_path):
    compiled = agree_over_time(selective(tmp_path / "m.tflite", update), tmp_path / "c")
    assert kernels(compiled) == ["selective_step_f32", "silu_f32"]
    step = compiled.report.steps[0]
    assert step.operators == [0, 1, 2, 3, 4, 5, 6] and step.macs == STATES * CHANNELS
    assert step.name == f"MUL + EXP + MUL + MUL + MUL + {update} + BATCH_MATMUL"
    assert compiled.report.state_bytes == 64  # 60, aligned: the new state lies where the old one was


@pytest.mark.parametrize("shown", ["exponent", "decay", "decayed", "drive", "driven"])
def test_what_is_read_elsewhere_is_not_absorbed(shown, tmp_path):
    compiled = agree_over_time(selective(tmp_path / "m.tflite", shown=shown), tmp_path / "c", steps=3)
    assert "selective_step_f32" not in kernels(compiled) and "silu_f32" in kernels(compiled)


def test_a_gate_that_is_shown_is_not_absorbed(tmp_path):
    compiled = agree_over_time(selective(tmp_path / "m.tflite", shown="gate"), tmp_path / "c", steps=3)
    assert kernels(compiled) == ["selective_step_f32", "logistic_f32", "mul_f32"]


def test_rates_of_another_shape_are_not_a_selective_step(tmp_path):
    compiled = agree_over_time(selective(tmp_path / "m.tflite", a_shape=(STATES, 1)), tmp_path / "c", steps=3)
    assert "selective_step_f32" not in kernels(compiled)


def test_the_books_mamba_is_fused_and_agrees(tmp_path):
    compiled = agree_over_time(PEERS / "mamba_d16_float32.tflite", tmp_path / "c")
    assert kernels(compiled).count("selective_step_f32") == 1 and kernels(compiled).count("silu_f32") == 2
