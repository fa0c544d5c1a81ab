"""Windows for a device: an .npz with one array a tensor, as the records that the runner takes and gives."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyloc.aot.graph import Graph, Tensor
from tinyloc.errors import InputError
from tinyloc.files import atomic, contents

STATE, NEXT = "state/", "next/"
RESET = "reset"


@dataclass(frozen=True)
class Windows:
    records: np.ndarray  # [N, input_bytes] uint8, the inputs of each inference one after another
    reset: np.ndarray  # [N] bool, zero the state before this one
    expected: dict[str, np.ndarray]  # by output name [N, *shape], what another runtime gave; may be empty


def inputs(graph: Graph) -> list[Tensor]:
    """The inputs that a record brings: all but the states."""
    return [t for t in (graph.tensors[i] for i in graph.inputs) if not t.name.startswith(STATE)]


def outputs(graph: Graph) -> list[Tensor]:
    """The outputs that a record takes away: all but the states."""
    return [t for t in (graph.tensors[i] for i in graph.outputs) if not t.name.startswith(NEXT)]


def read(path: Path, graph: Graph) -> Windows:
    """Read an .npz: an array [N, ...] for every input, in the tensor's own type or real numbers (then quantised),
    and, if there, `reset` [N] and arrays of expected outputs in the same way.

    Raises InputError: the file is missing or no .npz, an array is missing, unknown, or of another shape or type.
    """
    arrays = _load(path)
    known = {t.name: t for t in (*inputs(graph), *outputs(graph))}
    for name in arrays:
        if name != RESET and name not in known:
            raise InputError(f"{path}: array {name!r} is no input or output of {graph.source}; {_list(graph)}")
    for tensor in inputs(graph):
        if tensor.name not in arrays:
            raise InputError(f"{path}: input {tensor.name!r} of {graph.source} is missing; {_list(graph)}")
    n = len(np.atleast_1d(arrays[inputs(graph)[0].name]))
    if n == 0:
        raise InputError(f"{path}: there is no window in it")
    reset = arrays.pop(RESET, np.zeros(n, bool))
    if reset.shape != (n,):
        raise InputError(f"{path}: {RESET} is {list(reset.shape)}, not [{n}]")
    if reset.dtype.kind not in "biu":
        raise InputError(f"{path}: {RESET} is {reset.dtype}; give bool, true where the state is zeroed")
    values = {name: _values(path, known[name], array, n) for name, array in arrays.items()}
    rows = [values[t.name].reshape(n, -1).view(np.uint8) for t in inputs(graph)]
    expected = {t.name: values[t.name] for t in outputs(graph) if t.name in values}
    return Windows(np.concatenate(rows, axis=1), reset.astype(bool), expected)


def split(graph: Graph, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The runner's outputs [N, output_bytes] uint8 by name, [N, *shape] in each tensor's own type."""
    return columns(outputs(graph), rows)


def columns(tensors: Sequence[Tensor], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Tensors that lie one after another in rows [N, bytes] uint8, by name, [N, *shape] in each tensor's own type."""
    parts, begin = {}, 0
    for tensor in tensors:
        part = np.ascontiguousarray(rows[:, begin : begin + tensor.bytes])
        parts[tensor.name] = part.view(tensor.dtype).reshape(len(rows), *tensor.shape)
        begin += tensor.bytes
    return parts


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays [N, ...] by name as an .npz, whole or not at all.

    Raises InputError: the name of the file does not end in .npz.
    """
    if path.suffix != ".npz":
        raise InputError(f"{path}: outputs are written as .npz; give such a name")
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def dequantise(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """A tensor's own values as real numbers, float64."""
    if np.dtype(tensor.dtype).kind == "f" or tensor.quantisation is None:
        return values.astype(np.float64)
    return (values.astype(np.float64) - tensor.zero_point) * float(tensor.scale)


def quantise(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Real numbers as a tensor's own values, rounded to the nearest and clipped to the type's range."""
    info = np.iinfo(tensor.dtype)
    steps = np.round(values.astype(np.float64) / float(tensor.scale)) + tensor.zero_point
    return np.clip(steps, info.min, info.max).astype(tensor.dtype)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(contents(path))) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of windows") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read as an .npz of arrays ({error.strerror or error})") from None
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        why = "an object in it would run code" if "pickle" in str(error) else str(error)
        raise InputError(f"{path}: not an .npz of arrays ({why}); write it with numpy.savez") from None


def _values(path: Path, tensor: Tensor, array: np.ndarray, n: int) -> np.ndarray:
    """[N, *shape] in the tensor's own type; the batch axis of 1 may be left out in the file."""
    if array.size != n * tensor.size or array.shape[-1:] != tensor.shape[-1:]:
        wanted = [n, *(tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape)]
        raise InputError(f"{path}: {tensor.name!r} is {list(array.shape)}, not {wanted}")
    array = np.ascontiguousarray(array).reshape(n, *tensor.shape)
    real, own = array.dtype.kind == "f", np.dtype(tensor.dtype)
    if real and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise InputError(f"{path}: {tensor.name!r} has a value in window {row} that is not a finite number")
    if array.dtype == own or (real and own.kind == "f"):
        return array.astype(own)
    if real and tensor.quantisation is not None:
        return quantise(tensor, array)
    raise InputError(f"{path}: {tensor.name!r} is {array.dtype}; give {own} or real numbers")


def _list(graph: Graph) -> str:
    def names(tensors: list[Tensor]) -> str:
        return ", ".join(t.name for t in tensors)

    return f"inputs are {names(inputs(graph))}; outputs are {names(outputs(graph))}"


def difference(graph: Graph, a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> dict[str, bool | float]:
    """How far two runs' outputs, by name, are apart: {"bit_identical", "max_abs_difference"}, in real numbers.

    Only outputs that both have are compared.
    """
    tensors = [t for t in outputs(graph) if t.name in a and t.name in b]
    return {
        "bit_identical": all(a[t.name].tobytes() == b[t.name].tobytes() for t in tensors),
        "max_abs_difference": max(
            float(np.abs(dequantise(t, a[t.name]) - dequantise(t, b[t.name])).max()) for t in tensors
        ),
    }
