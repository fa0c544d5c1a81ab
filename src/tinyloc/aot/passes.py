"""What is made of a lowered program before memory is planned: fewer passes over fewer tensors, the same results."""

from tinyloc.aot import loops, producers
from tinyloc.aot.program import Program


def optimised(program: Program) -> Program:
    """`program` with all fusions. Kernels take over what follows them before the rest becomes loops."""
    producers.extend(program)
    return loops.fuse(program)
