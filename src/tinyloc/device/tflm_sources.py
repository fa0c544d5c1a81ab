"""A `.tflite` as the runner on TFLite Micro takes it: the file itself, and the constants of `model.h`."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyloc.aot.graph import Graph, Tensor
from tinyloc.device import windows
from tinyloc.device.emitted import HEADER, Emitted
from tinyloc.errors import InputError
from tinyloc.files import write_text

MODEL, ASSEMBLY = "model.tflite", "model.S"

# Words by which the names of the schema become those of MicroMutableOpResolver's methods, where capitals do not do it.
_SPELLED = {
    "2D": "2D",
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "L2_NORMALIZATION": "L2Normalization",
    "L2_POOL_2D": "L2Pool2D",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
# Builtin operators that the resolver has a method for, less those that need several subgraphs or variables.
_KNOWN = """
    ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CAST CEIL
    CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
    EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU
    QUANTIZE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2
    ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM
    UNPACK ZEROS_LIKE
"""


def _method(name: str) -> str:
    words = _SPELLED.get(name) or "".join(_SPELLED.get(word, word.capitalize()) for word in name.split("_"))
    return f"Add{words}"


RESOLVER = {name: _method(name) for name in _KNOWN.split()}
"""Method of MicroMutableOpResolver by the operator's name in the schema."""

# The fields of `arena` in firmware/tflm/work_tflm.cc, in its order: uint32 each.
REPORT = np.dtype(
    [
        (n, "<u4")
        for n in ("used", "activations", "persistent", "tensors", "operators", "buffers", "variables", "events")
    ]
)


@dataclass(frozen=True)
class _State:
    input: int  # among the inputs
    output: int  # among the outputs
    tensor: Tensor


def emit(tflite: Path, graph: Graph, folder: Path) -> Emitted:
    """Write `model.h`, `model.S` and a copy of the file into `folder`.

    Raises InputError: an operator that TFLite Micro's resolver does not know, or a state without its other end.
    """
    kinds = [_resolved(tflite, graph, name) for name in dict.fromkeys(o.name for o in graph.operators)]
    states = _states(tflite, graph)
    ins, outs = windows.inputs(graph), windows.outputs(graph)
    constants = {
        "TINYLOC_STATE_BYTES": sum(s.tensor.bytes for s in states),
        "TINYLOC_INPUT_BYTES": sum(t.bytes for t in ins),
        "TINYLOC_OUTPUT_BYTES": sum(t.bytes for t in outs) + REPORT.itemsize,
        "TINYLOC_STEPS": len(graph.operators),
        "TFLM_ARENA_REPORT_BYTES": REPORT.itemsize,
        "TFLM_N_KINDS": len(kinds),
        "TFLM_KINDS(method)": " ".join(f"method({kind})" for kind in kinds),
        "TFLM_INPUTS": ", ".join(f"{{{graph.inputs.index(t.index)}, {t.bytes}}}" for t in ins),
        "TFLM_OUTPUTS": ", ".join(f"{{{graph.outputs.index(t.index)}, {t.bytes}}}" for t in outs),
        "TFLM_INPUT_BYTES": ", ".join(str(t.bytes) for t in ins),
        "TFLM_OUTPUT_BYTES": ", ".join(str(t.bytes) for t in outs),
        "TFLM_STATES": "".join(f"{{{s.input}, {s.output}, {s.tensor.bytes}, {_zero(s.tensor)}}}, " for s in states),
    }
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tflite, folder / MODEL)
    write_text(folder / HEADER, _header(graph, constants))
    write_text(folder / ASSEMBLY, _ASSEMBLY)
    return Emitted(
        folder,
        arena_bytes=0,  # the library is given whatever is left
        state_bytes=constants["TINYLOC_STATE_BYTES"],
        input_bytes=constants["TINYLOC_INPUT_BYTES"],
        output_bytes=constants["TINYLOC_OUTPUT_BYTES"],
        steps=constants["TINYLOC_STEPS"],
    )


def take_apart(rows: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """The runner's outputs [N, output_bytes] uint8, N > 0, as the model's own [N, …], and the last REPORT."""
    report = np.ascontiguousarray(rows[-1, -REPORT.itemsize :]).view(REPORT)[0]
    return rows[:, : -REPORT.itemsize], {name: int(report[name]) for name in REPORT.names}


def _resolved(tflite: Path, graph: Graph, name: str) -> str:
    if name not in RESOLVER:
        operator = next(o for o in graph.operators if o.name == name)
        raise InputError(
            f"{tflite}: operator {operator.index} ({name}, version {operator.version}), which makes "
            f"{graph.tensors[operator.outputs[0]]}: TFLite Micro's resolver does not know it; export without it"
        )
    return RESOLVER[name]


def _states(tflite: Path, graph: Graph) -> list[_State]:
    results = {graph.tensors[t].name: place for place, t in enumerate(graph.outputs)}
    found = []
    for place, index in enumerate(graph.inputs):
        tensor = graph.tensors[index]
        if tensor.name.startswith(windows.STATE):
            name = windows.NEXT + tensor.name.removeprefix(windows.STATE)
            if name not in results:
                raise InputError(f"{tflite}: input {tensor.name} has no output {name}; export the model again")
            found.append(_State(place, results[name], tensor))
    return found


def _zero(tensor: Tensor) -> int:
    """Every byte of real zero; wider types than one byte have their zero point at 0 in TFLite."""
    one_byte = np.dtype(tensor.dtype).itemsize == 1
    return tensor.zero_point & 0xFF if one_byte and tensor.quantisation is not None else 0


def _header(graph: Graph, constants: Mapping[str, int | str]) -> str:
    defines = "\n".join(f"#define {name} {value}".rstrip() for name, value in constants.items())
    return f"""\
/* {graph.source} (sha256 {graph.sha256}) for the runner on TFLite Micro. */
#ifndef TINYLOC_MODEL_H
#define TINYLOC_MODEL_H

{defines}

#endif
"""


_ASSEMBLY = f"""\
    .section .rodata.tflm_model, "a"
    .balign 16
    .globl tflm_model
tflm_model:
    .incbin "{MODEL}"
#ifdef __linux__ /* or the linker takes the stack for one that is executed */
    .section .note.GNU-stack, "", %progbits
#endif
"""
