"""A fused loop (aot.loops) as a function in C.

Names: x0, x1, … what it is given; a0, … the same for this row; e0, … one element of it; v0, … the value of a node;
s0, … a sum; f0, … what a fold found; t0, … a row that is kept for a later phase; y what it makes, b its row.
"""

import re
from collections.abc import Callable

from tinyloc.aot.c_text import float_literal
from tinyloc.aot.elements import Struct
from tinyloc.aot.graph import Tensor
from tinyloc.aot.loops import Nest, Node, Source, number, row_bytes
from tinyloc.aot.program import Constant, Operand, Parameter, Program

C_TYPE = {"int8": "int8_t", "int16": "int16_t", "float32": "float"}
INDENT = "    "


def functions(nest: Nest) -> set[str]:
    """The functions of the kernels' header that the loop calls."""
    folds = [node.element.fold for node in nest.nodes if node.element.fold]
    texts = [node.element.value for node in nest.nodes] + [text for fold in folds for text in (fold.add, fold.finish)]
    return {name for text in texts for name in re.findall(r"\btl_\w+(?=\()", text)}


def function(nest: Nest, name: str, program: Program, array: Callable[[str, Constant], str]) -> str:
    """The definition of function `name`; `array` names a constant in flash, of a role."""
    return _Function(nest, program, array).text(name)


class _Function:
    def __init__(self, nest: Nest, program: Program, array: Callable[[str, Constant], str]):
        self.nest, self.program, self.array = nest, program, array
        self.given = {read: i for i, read in enumerate(nest.reads)}
        self.structs: list[str] = []
        self.constants = [self._constants(i, node) for i, node in enumerate(nest.nodes)]

    def text(self, name: str) -> str:
        lines = [f"static TL_APART void {name}({', '.join(self._parameters())})", "{"]
        lines += [INDENT + line for line in self.structs + self._kept_rows()]
        depth = len(self.nest.dims) - 1
        for k, n in enumerate(self.nest.dims[:-1]):
            lines.append(f"{INDENT * (k + 1)}for (uint32_t i{k} = 0; i{k} < {n}; i{k}++) {{")
        lines += [INDENT * (depth + 1) + line for line in self._row()]
        lines += [INDENT * (k + 1) + "}" for k in reversed(range(depth))]
        return "\n".join([*lines, "}"])

    # ── around the loops ─────────────────────────────────────────────────────────────────────────
    def _parameters(self) -> list[str]:
        reads = [f"const {C_TYPE[self._tensor(operand).dtype]} *x{i}" for (operand, _), i in self.given.items()]
        scratch = ["int8_t *rows"] if any(n.kept for n in self.nest.nodes) else []
        return [*reads, f"{C_TYPE[self._made(self.nest.last).dtype]} *y", *scratch]

    def _constants(self, index: int, node: Node) -> dict[str, str]:
        names = {}
        for role, constant in node.element.constants.items():
            if isinstance(constant, Struct):
                names[role] = f"{role}_of_{index}"
                values = self._initialiser(role, constant.values)
                self.structs.append(f"static const {constant.ctype} {names[role]} = {values};")
            else:
                names[role] = self.array(role, constant)
        return names

    def _initialiser(self, role: str, value: Parameter) -> str:
        if isinstance(value, tuple):
            return "{ " + ", ".join(self._initialiser(role, v) for v in value) + " }"
        return self.array(role, value) if isinstance(value, Constant) else str(value)

    def _kept_rows(self) -> list[str]:
        lines, at = [], 0
        for i, node in enumerate(self.nest.nodes):
            if node.kept:
                dtype = self._made(node).dtype
                cast = "" if dtype == "int8" else f"({C_TYPE[dtype]} *)(void *)"
                lines.append(f"{C_TYPE[dtype]} *const t{i} = {cast}(rows + {at});")
                at += row_bytes(self.nest, dtype)
        return lines

    # ── one row ──────────────────────────────────────────────────────────────────────────────────
    def _row(self) -> list[str]:
        lines = [
            self._of_row(f"a{i}", f"x{i}", steps, f"const {C_TYPE[self._tensor(operand).dtype]}")
            for (operand, steps), i in self.given.items()
        ]
        lines.append(self._of_row("b", "y", self.nest.write, C_TYPE[self._made(self.nest.last).dtype]))
        for (operand, steps), i in self.given.items():
            if steps[-1] == 0:
                lines.append(f"const {_value_type(self._tensor(operand))} e{i} = *a{i};")
        for phase in range(self.nest.phases):
            lines += self._phase(phase)
        if self.nest.last.by_row:
            lines.append(f"*b = {self._stored(self.nest.last)};")
        return lines

    def _of_row(self, name: str, base: str, steps: tuple[int, ...], ctype: str) -> str:
        terms = [f"i{k} * {step}" for k, step in enumerate(steps[:-1]) if step]
        return f"{ctype} *{name} = {' + '.join([base, *terms])};"

    def _phase(self, phase: int) -> list[str]:
        nodes = list(enumerate(self.nest.nodes))
        found = [(i, n) for i, n in nodes if n.element.fold and n.fold_phase == phase - 1]
        lines = [self._found(i, n) for i, n in found]
        lines += [self._value(i, n) for i, n in nodes if n.by_row and n.phase == phase and n.element.value]
        body = self._body(phase)
        if body:
            folds = [(i, n.element.fold) for i, n in nodes if n.element.fold and n.fold_phase == phase]
            lines += [f"{fold.sum_type} s{i} = {fold.start};" for i, fold in folds]
            lines.append(f"for (uint32_t i = 0; i < {self.nest.dims[-1]}; i++) {{")
            lines += [INDENT + line for line in body]
            lines.append("}")
        return lines

    def _body(self, phase: int) -> list[str]:
        lines, known = [], set()
        for i, node in enumerate(self.nest.nodes):
            computed = not node.by_row and node.phase == phase and bool(node.element.value)
            folded = node.element.fold is not None and node.fold_phase == phase
            if not computed and not folded:
                continue
            for source in node.sources:
                lines += self._loaded(source, phase, known)
            if folded:
                lines.append(f"s{i} += {self._fill(i, node, node.element.fold.add)};")
            if computed:
                known.add(f"v{i}")
                lines.append(self._value(i, node))
                if node.kept:
                    lines.append(f"t{i}[i] = {self._stored(node)};")
        last = self.nest.last
        if not last.by_row and last.phase == phase:
            lines.append(f"b[{_times('i', self.nest.write[-1])}] = {self._stored(last)};")
        return lines

    def _loaded(self, source: Source, phase: int, known: set[str]) -> list[str]:
        """What brings an element of memory, or of a row that was kept, into a variable, unless it is there."""
        if source.node is not None:
            maker, name = self.nest.nodes[source.node], f"v{source.node}"
            value = f"t{source.node}[i]"
            if maker.by_row or maker.phase == phase:
                return []
            ctype = _value_type(self._made(maker))
        else:
            if source.steps[-1] == 0 or self._literal(source.operand):
                return []
            i = self.given[source.operand, source.steps]
            name, value = f"e{i}", f"a{i}[{_times('i', source.steps[-1])}]"
            ctype = _value_type(self._tensor(source.operand))
        if name in known:
            return []
        known.add(name)
        return [f"const {ctype} {name} = {value};"]

    # ── expressions ──────────────────────────────────────────────────────────────────────────────
    def _value(self, i: int, node: Node) -> str:
        return f"const {_value_type(self._made(node))} v{i} = {self._fill(i, node, node.element.value)};"

    def _found(self, i: int, node: Node) -> str:
        fold = node.element.fold
        return f"const {fold.ctype} f{i} = {fold.finish.format(sum=f's{i}', **self.constants[i])};"

    def _fill(self, i: int, node: Node, text: str) -> str:
        operands = dict(zip("ab", (self._name(source) for source in node.sources), strict=False))
        return text.format(**operands, f=f"f{i}", **self.constants[i])

    def _name(self, source: Source) -> str:
        if source.node is None:
            literal = self._literal(source.operand)
            return literal or f"e{self.given[source.operand, source.steps]}"
        return f"v{source.node}" if self.nest.nodes[source.node].element.value else f"f{source.node}"

    def _stored(self, node: Node) -> str:
        i = next(i for i, other in enumerate(self.nest.nodes) if other is node)  # equality would compare arrays
        name = f"v{i}" if node.element.value else f"f{i}"
        return name if self._made(node).dtype == "float32" else f"({C_TYPE[self._made(node).dtype]}){name}"

    def _literal(self, operand: Operand) -> str:
        """The value of a constant that is one number; empty for anything else."""
        tensor = self._tensor(operand)
        value = number(tensor)
        return "" if value is None else f"({float_literal(value) if tensor.dtype == 'float32' else value})"

    def _tensor(self, operand: Operand) -> Tensor:
        return self.program.tensors[operand.tensor]

    def _made(self, node: Node) -> Tensor:
        return self.program.tensors[node.call.write.tensor]


def _value_type(tensor: Tensor) -> str:
    return "float" if tensor.dtype == "float32" else "int32_t"


def _times(index: str, step: int) -> str:
    return index if step == 1 else f"{index} * {step}"
