"""What a compilation found and decided: operators, bytes, and the map of the arena."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass

from tinyloc import __version__
from tinyloc.aot import loop_text
from tinyloc.aot.kernels import sources_of
from tinyloc.aot.plan import Plan
from tinyloc.aot.program import Program


@dataclass(frozen=True)
class OperatorRow:
    index: int
    name: str
    version: int
    inputs: list[list[int]]  # shapes
    outputs: list[list[int]]
    kernels: list[str]  # empty: the operator became an address
    macs: int


@dataclass(frozen=True)
class StepRow:
    """One call of tinyloc_run, in the order of execution."""

    operators: list[int]  # whose work it does; empty: a copy that no operator asked for
    name: str  # of those operators
    kernel: str
    output: str
    macs: int


@dataclass(frozen=True)
class TensorRow:
    """One tensor of the arena or the state; times count kernel calls, -1 is before the first."""

    name: str
    shape: list[int]
    dtype: str
    region: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Report:
    tinyloc: str
    model: str
    sha256: str
    arena_bytes: int
    state_bytes: int
    weights_bytes: int  # constants of the model in flash: weights, biases, scales, tables
    macs: int
    operators: list[OperatorRow]
    steps: list[StepRow]
    tensors: list[TensorRow]
    sources: list[str]  # C files to build, and their headers
    core: str
    flags: list[str]  # to build them with for that core

    @classmethod
    def of(cls, program: Program, plan: Plan, weights_bytes: int, core: str, flags: tuple[str, ...]) -> "Report":
        rows = _operators(program)
        return cls(
            tinyloc=__version__,
            model=program.graph.source,
            sha256=program.graph.sha256,
            arena_bytes=plan.arena_bytes,
            state_bytes=plan.state_bytes,
            weights_bytes=weights_bytes,
            macs=sum(row.macs for row in rows),
            operators=rows,
            steps=_steps(program, plan),
            tensors=[*_tensors(program, plan, "arena"), *_tensors(program, plan, "state")],
            sources=["model.c", "model.h", *_sources(program)],
            core=core,
            flags=list(flags),
        )

    def as_dict(self) -> dict:
        return asdict(self)

    def as_text(self) -> str:
        lines = [
            f"{self.model}  SHA-256 {self.sha256}  tinyloc {self.tinyloc}",
            f"arena {self.arena_bytes} B, state {self.state_bytes} B, constants {self.weights_bytes} B, "
            f"{self.macs} multiply-accumulates",
            f"{self.core}: build {' '.join(s for s in self.sources if s.endswith('.c'))}",
            f"  with {' '.join(self.flags)}",
            "",
            "operators",
            *(
                f"{row.index:4} {row.name:20} {_shapes(row):44} {row.macs:>10}  {_kernels(row)}"
                for row in self.operators
            ),
            "",
            "memory (times count kernel calls)",
            f"{'region':6} {'offset':>8} {'bytes':>8} {'first':>6} {'last':>6}  tensor",
            *(
                f"{row.region:6} {row.offset:8} {row.bytes:8} {row.first:6} {row.last:6}  {row.name} {row.shape}"
                for row in self.tensors
            ),
        ]
        return "\n".join(line.rstrip() for line in lines) + "\n"


def _sources(program: Program) -> list[str]:
    fused = [call.nest for call in program.calls if call.nest]
    called = {name for nest in fused for name in loop_text.functions(nest)}
    return sources_of({call.kernel for call in program.calls if not call.nest}, called)


def _operators(program: Program) -> list[OperatorRow]:
    shape = [list(tensor.shape) for tensor in program.tensors]
    by_operator = defaultdict(list)
    for call in program.calls:
        for operator in call.covers:
            by_operator[operator.index].append(call)
    rows = []
    for operator in program.graph.operators:
        calls = by_operator[operator.index]
        rows.append(
            OperatorRow(
                index=operator.index,
                name=operator.name,
                version=operator.version,
                inputs=[shape[i] for i in operator.inputs if i is not None],
                outputs=[shape[i] for i in operator.outputs],
                kernels=[call.kernel for call in calls],
                macs=sum(call.macs for call in calls if call.operator is operator),
            )
        )
    return rows


def _steps(program: Program, plan: Plan) -> list[StepRow]:
    rows = []
    for call in program.calls:
        operators = call.covers
        name = " + ".join(operator.name for operator in operators) or "copy"
        output = program.tensors[call.write.tensor].name
        rows.append(StepRow([operator.index for operator in operators], name, call.kernel, output, call.macs))
    return rows + [StepRow([], "copy", "memcpy", pair.state.name, 0) for pair in plan.copies]


def _tensors(program: Program, plan: Plan, region: str) -> list[TensorRow]:
    rows = []
    for buffer in plan.arena if region == "arena" else plan.state:
        for index in buffer.tensors:
            tensor = program.tensors[index]
            first, last = plan.lives[index]
            kind = (tensor.name, list(tensor.shape), tensor.dtype)
            rows.append(TensorRow(*kind, region, buffer.offset, tensor.bytes, first, last))
    return rows


def _shapes(row: OperatorRow) -> str:
    sides = [" ".join("x".join(map(str, shape)) or "1" for shape in side) for side in (row.inputs, row.outputs)]
    return " -> ".join(sides)


def _kernels(row: OperatorRow) -> str:
    counts = Counter(row.kernels)
    return ", ".join(f"{n} x {k}" if n > 1 else k for k, n in counts.items()) or "(an address)"
