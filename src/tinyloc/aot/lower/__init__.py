"""From operators to kernel calls: one lowering for each operator, one module for each family.

An operator's version is not compared with a limit: versions add types and options, and those are checked one by one.
"""

from tinyloc.aot.graph import Graph
from tinyloc.aot.lower import conv, dense, elementwise, fused, layout, matmul, pool, reduce, resize, slopes, unary
from tinyloc.aot.lower.common import Context
from tinyloc.aot.program import Program
from tinyloc.aot.quantise import Unsuitable

LOWERINGS = {
    name: lowering
    for module in (conv, dense, elementwise, layout, matmul, pool, reduce, resize, slopes, unary)
    for name, lowering in module.LOWERINGS.items()
}

SEVERAL_OUTPUTS = {"SPLIT", "SPLIT_V", "UNPACK"}


def lower(graph: Graph, fuse: bool = True) -> Program:
    """Kernel calls for every operator of `graph`, in its order; with `fuse` one call for several where there is one.

    Raises Unsupported, naming operator, version and tensor, for a form of an operator that there is no kernel for.
    """
    program = Program(graph, list(graph.tensors))
    groups = {group.last.index: group for group in (fused.groups(graph) if fuse else ())}
    absorbed = {operator.index for group in groups.values() for operator in group.operators[:-1]}
    alone = Program(graph, list(graph.tensors))  # what is fused is checked as if it were not
    for operator in graph.operators:
        group = groups.get(operator.index)
        if group or operator.index in absorbed:
            _lower(Context(alone, operator))
        if operator.index not in absorbed:
            _lower(Context(program, operator), group)
    program.drop_unread_copies()
    return program


def _lower(context: Context, group: fused.Group | None = None) -> None:
    name, outputs = context.operator.name, context.outputs
    context.need(name in LOWERINGS, "tinyloc has no kernel for it")
    context.need(len(outputs) == 1 or name in SEVERAL_OUTPUTS, "it has more than one output")
    try:
        (group.lower if group else LOWERINGS[name])(context)
    except Unsuitable as error:
        raise context.refuse(str(error)) from None
