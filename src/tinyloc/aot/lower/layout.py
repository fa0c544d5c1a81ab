"""Operators that only change how the same numbers are seen: RESHAPE, SQUEEZE, EXPAND_DIMS become addresses."""

from tinyloc.aot.graph import Operator
from tinyloc.aot.lower.common import Context
from tinyloc.aot.program import Program


def reshape(program: Program, operator: Operator) -> None:
    c = Context(program, operator)
    source, output = c.input(0), c.output
    c.need(source.dtype == output.dtype and source.size == output.size, f"{source} cannot be reshaped to {output}")
    program.view(output.index, source.index)


LOWERINGS = {"RESHAPE": reshape, "SQUEEZE": reshape, "EXPAND_DIMS": reshape}
