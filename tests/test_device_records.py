import struct

import numpy as np
import pytest

from tinyloc.device import faults, records
from tinyloc.device.records import Fault

STACK_BOTTOM = 0x20000000


def test_an_input_record_is_flags_data_and_padding_to_the_next_word():
    blob = records.pack(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), np.array([True, False]), output_bytes=7)
    assert blob == struct.pack("<4I", records.MAGIC_IN, 2, 3, 7) + (
        b"\x01\0\0\0\x01\x02\x03\0" + b"\0\0\0\0\x04\x05\x06\0"
    )


def output_blob(n: int = 2, claimed: int = 2) -> bytes:
    rows = b"".join(struct.pack("<Q5s3x", 10**10 + i, bytes([i] * 5)) for i in range(n))
    return rows + struct.pack("<9I", records.MAGIC_END, 0, claimed, 96, 0, 0, 0, 0, 0)


def test_an_output_blob_is_taken_apart():
    result = records.unpack(output_blob(), 5, counted=True).result
    assert result.outputs.tolist() == [[0] * 5, [1] * 5]
    assert result.instructions.tolist() == [10**10, 10**10 + 1]
    assert result.stack_high_water == 96


def test_what_the_host_did_not_count_is_not_a_count_of_zero():
    result = records.unpack(output_blob(), 5, counted=False).result
    assert result.instructions is None
    assert result.stack_high_water is None


@pytest.mark.parametrize("cut", [1, 36, 37, 68])
def test_a_blob_that_is_cut_short_is_refused(cut):
    assert records.unpack(output_blob()[:-cut], 5, counted=True) is None


def test_a_blob_with_fewer_records_than_its_trailer_says_is_refused():
    assert records.unpack(output_blob(n=1, claimed=2), 5, counted=True) is None


def test_blob_bytes_is_the_size_of_both_blobs():
    given = records.pack(np.zeros((2, 3), np.uint8), np.zeros(2, bool), 5)
    assert records.blob_bytes(2, 3, 5) == len(given) + len(output_blob())


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        (0x82, "access to 0x20008000, outside the RAM or a write to the code"),
        (0x01, "jump to 0x00000123, where there is no code"),
        (0x10000, "undefined instruction"),
        (0x2000000, "division by zero"),
        (0x92, "stack overflow"),
        (0, "hard fault (CFSR 0x00000000)"),
    ],
)
def test_a_fault_has_a_name(cause, name):
    fault = Fault(exception=3, cause=cause, address=0x20008000, pc=0x123, sp=STACK_BOTTOM + 64)
    assert faults.name(fault, STACK_BOTTOM) == name


def test_a_stack_pointer_below_the_stack_is_an_overflow_whatever_else_broke():
    fault = Fault(exception=3, cause=0x10000, address=0, pc=0, sp=STACK_BOTTOM - 8)
    assert faults.name(fault, STACK_BOTTOM) == "stack overflow"


def test_an_exception_that_nothing_enables_is_named_by_number():
    assert faults.name(Fault(15, 0, 0, 0, STACK_BOTTOM), STACK_BOTTOM) == "unexpected exception 15"
