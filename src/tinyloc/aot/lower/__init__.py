"""From operators to kernel calls: one lowering for each operator, in one module for each family.

An operator's version is not compared with a limit: versions add types and options, and those are checked one by one.
"""

from tinyloc.aot.graph import Graph
from tinyloc.aot.lower import dense, layout
from tinyloc.aot.program import Program, refuse

LOWERINGS = dense.LOWERINGS | layout.LOWERINGS


def lower(graph: Graph) -> Program:
    """Kernel calls for every operator of `graph`, in its order.

    Raises Unsupported for a form of an operator that there is no kernel for.
    """
    program = Program(graph, list(graph.tensors))
    for operator in graph.operators:
        lowering = LOWERINGS.get(operator.name)
        if lowering is None:
            raise refuse(graph, operator, "tinyloc has no kernel for it")
        lowering(program, operator)
    return program
