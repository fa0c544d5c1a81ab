"""What kernels do with one element, in C: the parts of which a fused loop is made (aot.loops).

An Element says over which loops its kernel runs, how an operand moves along them, and what the value is. Kernels that
fold a row into one number (sums, norms) say that too. The expressions are those of the kernels themselves, or call the
same inline functions of tinyloc_kernels.h, so a fused loop gives the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinyloc.aot.c_text import float_literal
from tinyloc.aot.lower.common import collapse, dense_strides
from tinyloc.aot.program import Call, Constant, Parameter

Steps = tuple[int, ...]


@dataclass(frozen=True)
class Struct:
    """A constant that an expression refers to by its role."""

    ctype: str
    values: tuple[Parameter, ...]


@dataclass(frozen=True)
class Fold:
    """A row as one number: `finish` of `start` and `add` for every element; {a} the element, {sum} the sum."""

    depth: int
    sum_type: str
    start: str
    add: str
    finish: str
    ctype: str


@dataclass(frozen=True)
class Element:
    """`value` in C; {a} and {b} stand for the operands, {f} for what `fold` found, other names for `constants`."""

    dims: Steps  # loops, all longer than 1
    reads: tuple[Steps, ...]  # of every operand, in elements along each loop
    write: Steps  # empty: one value a row
    value: str  # empty: what `fold` found is the value
    fold: Fold | None = None
    constants: dict[str, Struct | Constant] = field(default_factory=dict)


def element(call: Call) -> Element | None:
    """What `call` does with one element; None: it does not work element by element, nor along dense rows."""
    name, _, suffix = call.kernel.rpartition("_")
    make = _KERNELS.get(call.kernel) or _KERNELS.get(name)
    return make(call.parameters, suffix) if make else None


# ── one operand ──────────────────────────────────────────────────────────────────────────────────
def _flat(count: int, value: str, constants: dict | None = None) -> Element:
    dims = (count,) if count > 1 else ()
    step = (1,) * len(dims)
    return Element(dims, (step,), step, value, constants=constants or {})


def _table(p: dict, suffix: str) -> Element:
    return _flat(p["count"], "{table}[{a} + 128]", {"table": p["table"]})


def _unary(value: str, wide: str = "") -> Callable[[dict, str], Element | None]:
    """value, wide: of a float, and of an int16, whose parameter block is {block}."""

    def make(p: dict, suffix: str) -> Element | None:
        if suffix == "f32":
            return _flat(p["count"], value)
        if not wide:
            return None
        ctype = "struct tl_scale" if "scale" in p else "struct tl_sigmoid_s16"
        fields = p["scale"] if "scale" in p else tuple(p.values())
        return _flat(p["count"], wide, {"block": Struct(ctype, fields)})

    return make


def _clamp(p: dict, suffix: str) -> Element:
    return _flat(p["count"], f"tl_clampf({{a}}, {float_literal(p['low'])}, {float_literal(p['high'])})")


def _quantize(p: dict, suffix: str) -> Element:
    return _flat(p["count"], f"tl_saturate_{suffix}(tl_quantised({{a}}, {float_literal(p['scale'])}, {p['zero']}))")


def _dequantize(p: dict, suffix: str) -> Element:
    return _flat(p["count"], f"{float_literal(p['scale'])} * (float){_minus('{a}', p['zero'])}")


def _requantize(p: dict, suffix: str) -> Element:
    rescaled = f"tl_rescale({_minus('{a}', p['zero_in'])}, &{{scale}}) + {p['zero_out']}"
    value = f"tl_clamp({rescaled}, {p['low']}, {p['high']})"
    return _flat(p["count"], value, {"scale": Struct("struct tl_scale", p["scale"])})


def _move(p: dict, suffix: str) -> Element:
    dims, steps_in, steps_out = _collapsed(p["dims"], p["in"], p["out"])
    return Element(dims, (steps_in,), steps_out, "{a}")


def scattered(call: Call) -> Element | None:
    """A move that takes the elements as they lie and scatters them; None: `call` is none, or its source has gaps.

    Then what makes the source may be in one loop with it.
    """
    if not call.kernel.startswith("move_"):
        return None
    p = call.parameters
    loops = sorted(zip(p["dims"], p["in"], p["out"], strict=True), key=lambda loop: -loop[1])
    dims, steps_in, steps_out = _collapsed(*zip(*loops, strict=True))
    return Element(dims, (steps_in,), steps_out, "{a}") if steps_in == tuple(dense_strides(dims)) else None


def _collapsed(dims: Steps, *strides: Steps) -> tuple[Steps, ...]:
    loops, found = collapse(dims, *strides)
    return tuple(loops), *(tuple(steps) for steps in found)


# ── two operands ─────────────────────────────────────────────────────────────────────────────────
def _binary(p: dict, value: str, constants: dict | None = None) -> Element:
    dims, a, b = _collapsed(*p["shape"])
    return Element(dims, (a, b), tuple(dense_strides(dims)), value, constants=constants or {})


def _float_binary(value: str) -> Callable[[dict, str], Element]:
    def make(p: dict, suffix: str) -> Element:
        clamped = (
            f"tl_clampf({value}, {float_literal(p['low'])}, {float_literal(p['high'])})" if p["clamped"] else value
        )
        return _binary(p, clamped)

    return make


def _integer_binary(value: Callable[[dict], str]) -> Callable[[dict, str], Element]:
    def make(p: dict, suffix: str) -> Element:
        function = "tl_requantise" if suffix == "s8" else "tl_requantise_s16"
        result = f"{function}({value(p)}, &{{output}}, {p['output'][-1]})"
        if p.get("clamped"):
            result = f"tl_clamp({result}, {p['low']}, {p['high']})"
        constants = {"output": Struct("struct tl_channel", p["output"])}
        if "common" in p:
            constants["common"] = Struct("struct tl_common_scale", p["common"])
        if "scale_a" in p:
            constants["scale_a"] = Struct("struct tl_scale", p["scale_a"])
        return _binary(p, result, constants)

    return make


def _extremum(relation: str) -> Callable[[dict, str], Element]:
    def make(p: dict, suffix: str) -> Element:
        value = f"({{a}} {relation} {{b}} ? {{a}} : {{b}})"
        return _float_binary(value)(p, suffix) if suffix == "f32" else _binary(p, value)

    return make


def _prelu(p: dict, suffix: str) -> Element:
    value = f"tl_saturate_{suffix}(tl_sloped({{a}}, {{b}}, &{{slopes}}))"
    return _binary(p, value, {"slopes": Struct("struct tl_slopes", p["slopes"])})


_IN_COMMON_SCALE = "tl_in_common_scale(&{common}, {a}, {b})"


def _product(p: dict) -> str:
    return f"{_minus('{a}', p['zero_a'])} * {_minus('{b}', p['zero_b'])}"


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────
def _sum(p: dict, suffix: str) -> Element | None:
    kept, kept_step, summed, summed_step = p["shape"]
    dims, steps = _collapsed((*kept, *summed), (*kept_step, *summed_step))
    depth = int(np.prod(summed))
    if steps != tuple(dense_strides(dims)) or depth == 1:
        return None
    if suffix == "f32":
        fold = Fold(depth, "float", "0.0f", "{a}", f"{{sum}} / {float_literal(p['divisor'])}", "float")
        return Element(dims, (steps,), (), "", fold)
    finish = f"tl_saturate_{suffix}(tl_rescale({{sum}}, &{{scale}}) + {p['zero_out']})"
    fold = Fold(depth, "int32_t", str(-p["offset"]), "{a}", finish, "int32_t")
    return Element(dims, (steps,), (), "", fold, {"scale": Struct("struct tl_scale", p["scale"])})


def _l2_normalization(p: dict, suffix: str) -> Element | None:
    if p["depth"] == 1:
        return None
    dims = tuple(n for n in (p["rows"], p["depth"]) if n > 1)
    steps = tuple(dense_strides(dims))
    if suffix == "f32":
        fold = Fold(p["depth"], "float", "0.0f", "{a} * {a}", "tl_norm({sum})", "float")
        return Element(dims, (steps,), steps, "{a} / {f}", fold)
    centred = _minus("{a}", p["zero_in"])
    fold = Fold(p["depth"], "int32_t", "0", f"{centred} * {centred}", "tl_direction({sum})", "struct tl_direction")
    return Element(dims, (steps,), steps, f"tl_directed({centred}, &{{f}})", fold)


def _minus(x: str, zero: int) -> str:
    return f"({x} {'+-'[zero > 0]} {abs(zero)})" if zero else x


_KERNELS: dict[str, Callable[[dict, str], Element | None]] = {
    "table_s8": _table,
    "tanh": _unary("tl_tanhf({a})", "tl_tanh_of_s16({a}, &{block})"),
    "logistic": _unary("tl_logisticf({a})", "tl_logistic_of_s16({a}, &{block})"),
    "silu": _unary("tl_siluf({a})"),
    "exp": _unary("tl_expf({a})"),
    "log": _unary("tl_logf({a})"),
    "sqrt": _unary("sqrtf({a})"),
    "rsqrt": _unary("tl_rsqrtf({a})", "tl_rsqrt_of_s16({a}, &{block})"),
    "square": _unary("{a} * {a}"),
    "neg": _unary("-{a}"),
    "abs": _unary("fabsf({a})"),
    "elu": _unary("tl_eluf({a})"),
    "hard_swish": _unary("tl_hard_swishf({a})"),
    "clamp": _clamp,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "requantize_s8_s16": _requantize,
    "requantize_s16_s8": _requantize,
    "requantize_s16_s16": _requantize,
    "move": _move,
    "add_f32": _float_binary("{a} + {b}"),
    "sub_f32": _float_binary("{a} - {b}"),
    "mul_f32": _float_binary("{a} * {b}"),
    "div_f32": _float_binary("{a} / {b}"),
    "squared_difference_f32": _float_binary("({a} - {b}) * ({a} - {b})"),
    "minimum": _extremum("<"),
    "maximum": _extremum(">"),
    "add": _integer_binary(lambda p: _IN_COMMON_SCALE),
    "mul": _integer_binary(_product),
    "squared_difference_s8": _integer_binary(lambda p: f"tl_squared({_IN_COMMON_SCALE})"),
    "squared_difference_s16": _integer_binary(lambda p: "tl_squared(tl_halved_difference({a}, {b}, &{scale_a}))"),
    "prelu_f32": _float_binary("({a} >= 0.0f ? {a} : {a} * {b})"),
    "prelu": _prelu,
    "sum": _sum,
    "l2_normalization": _l2_normalization,
}
