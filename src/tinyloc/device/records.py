"""The two blobs between us and the runner; `firmware/runner/runner.h` has the format."""

import struct
from dataclasses import dataclass

import numpy as np

from tinyloc.errors import InputError

MAGIC_IN, MAGIC_END = 0x314E4C54, 0x31444E45
RESET = 1
OK, BAD_INPUT, TOO_BIG, FAULT, REFUSED = range(5)
_HEADER = struct.Struct("<4I")
_TRAILER = struct.Struct("<9I")


class DeviceError(InputError):
    """A run ended before its time. `result` holds what was finished, None if nothing came back."""

    def __init__(self, message: str, result: "RunResult | None" = None) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class RunResult:
    outputs: np.ndarray  # [N, output_bytes] uint8
    instructions: np.ndarray | None  # [N] int64, those of tinyloc_run with its return; None on the host
    stack_high_water: int | None  # bytes, the runner's own frames included; None on the host
    steps: np.ndarray | None = None  # [N, steps] int64, instructions of each step; None without a profile


@dataclass(frozen=True)
class Fault:
    """What the processor said of a fault; the fields of `struct runner_fault`."""

    exception: int
    cause: int
    address: int
    pc: int
    sp: int


@dataclass(frozen=True)
class Answer:
    """The output blob, taken apart."""

    status: int
    result: RunResult
    fault: Fault


def _padded(size: int) -> int:
    return -(-size // 4) * 4


def _record_type(fields: list[tuple], bytes_: int) -> np.dtype:
    """A record: fixed fields, the bytes of the tensors, padding to the next word."""
    padding = _padded(bytes_) - bytes_
    return np.dtype([*fields, ("data", "u1", (bytes_,)), ("padding", "u1", (padding,))])


def _in_type(input_bytes: int) -> np.dtype:
    return _record_type([("flags", "<u4")], input_bytes)


def _out_type(output_bytes: int, steps: int = 0) -> np.dtype:
    return _record_type([("instructions", "<u8"), ("steps", "<u4", (steps,))], output_bytes)


def pack(records: np.ndarray, reset: np.ndarray, output_bytes: int) -> bytes:
    """The input blob. records: [N, input_bytes] uint8; reset: [N] bool."""
    n, input_bytes = records.shape
    body = np.zeros(n, _in_type(input_bytes))
    body["flags"] = np.where(reset, RESET, 0)
    body["data"] = records
    return _HEADER.pack(MAGIC_IN, n, input_bytes, output_bytes) + body.tobytes()


def unpack(blob: bytes, output_bytes: int, counted: bool, steps: int = 0) -> Answer | None:
    """The output blob, taken apart; None if it is not whole.

    counted: it comes from a board, not from the host. steps: of the model, if it was built to be profiled.
    """
    if len(blob) < _TRAILER.size:
        return None
    body, trailer = blob[: -_TRAILER.size], _TRAILER.unpack(blob[-_TRAILER.size :])
    magic, status, n, stack_high_water, *fault = trailer
    kind = _out_type(output_bytes, steps)
    if magic != MAGIC_END or len(body) != n * kind.itemsize:
        return None
    rows = np.frombuffer(body, kind)
    result = RunResult(
        outputs=rows["data"].copy(),
        instructions=rows["instructions"].astype(np.int64) if counted else None,
        stack_high_water=stack_high_water if counted else None,
        steps=rows["steps"].astype(np.int64) if steps else None,
    )
    return Answer(status, result, Fault(*fault))


def refused(said: str) -> str:
    """An interpreter's reasons for its refusal, as it and the runner said them, on one line."""
    return f"the interpreter refuses: {' '.join(said.split())[-400:]}"


def blob_bytes(n: int, input_bytes: int, output_bytes: int, steps: int = 0) -> int:
    """Memory that the input and the output of n records need together."""
    per_record = _in_type(input_bytes).itemsize + _out_type(output_bytes, steps).itemsize
    return _HEADER.size + n * per_record + _TRAILER.size
