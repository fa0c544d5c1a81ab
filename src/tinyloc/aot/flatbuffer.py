"""A FlatBuffers reader in which no byte of the file is trusted.

Every offset is checked against the end of the file before it is followed, and every vector's length before it is
walked, so a damaged file can make reading fail but cannot make it crash, hang or allocate without bound. The
layout (tables, vtables, vectors, strings) is that of the FlatBuffers "Internals" specification.
"""

import struct

import numpy as np

MAX_STRING = 4096  # bytes; converters join the names of fused operators, so names can be long


class Corrupt(Exception):
    """The bytes are not the FlatBuffer they claim to be; the message says where."""


class Buffer:
    """The whole file, with bounds-checked access by absolute position."""

    def __init__(self, data: bytes):
        self.data = data

    def scalar(self, position: int, code: str) -> int | float:
        """The little-endian scalar of `struct` format `code` at `position`."""
        size = struct.calcsize(code)
        if not 0 <= position <= len(self.data) - size:
            raise Corrupt(f"a value at byte {position} lies beyond the end of the file ({len(self.data)} bytes)")
        return struct.unpack_from("<" + code, self.data, position)[0]

    def follow(self, position: int) -> int:
        """Where the unsigned 32-bit relative offset stored at `position` points."""
        target = position + self.scalar(position, "I")
        if target > len(self.data) - 4:
            raise Corrupt(f"the offset at byte {position} points beyond the end of the file")
        return target

    def span(self, position: int, item_size: int) -> tuple[int, int]:
        """First byte and length of the vector of `item_size`-byte items at `position`."""
        length = self.scalar(position, "I")
        first = position + 4
        if length * item_size > len(self.data) - first:
            raise Corrupt(f"the vector of {length} items at byte {position} runs beyond the end of the file")
        return first, length

    def root(self) -> "Table":
        return Table(self, self.follow(0))


class Table:
    """One FlatBuffer table; fields are addressed by their number in the schema."""

    def __init__(self, buffer: Buffer, position: int):
        self.buffer = buffer
        self.position = position
        self.vtable = position - buffer.scalar(position, "i")
        self.vtable_size = buffer.scalar(self.vtable, "H")
        if self.vtable_size < 4 or self.vtable_size % 2:
            raise Corrupt(f"the table at byte {position} has a field list of impossible size")

    def _field(self, number: int) -> int | None:
        entry = 4 + 2 * number
        if entry + 2 > self.vtable_size:
            return None
        offset = self.buffer.scalar(self.vtable + entry, "H")
        return self.position + offset if offset else None

    def scalar(self, number: int, code: str, default: int | float = 0) -> int | float:
        position = self._field(number)
        return default if position is None else self.buffer.scalar(position, code)

    def table(self, number: int) -> "Table | None":
        position = self._field(number)
        return None if position is None else Table(self.buffer, self.buffer.follow(position))

    def tables(self, number: int) -> "list[Table]":
        position = self._field(number)
        if position is None:
            return []
        first, length = self.buffer.span(self.buffer.follow(position), 4)
        return [Table(self.buffer, self.buffer.follow(first + 4 * i)) for i in range(length)]

    def vector(self, number: int, dtype: str, limit: int) -> np.ndarray:
        """A vector of at most `limit` numbers as a (copied) array of NumPy type `dtype`; an absent one is empty.

        The limit matters because many tables may point to one vector.
        """
        position = self._field(number)
        item = np.dtype(dtype).newbyteorder("<")
        if position is None:
            return np.zeros(0, item)
        first, length = self.buffer.span(self.buffer.follow(position), item.itemsize)
        if length > limit:
            raise Corrupt(f"the vector at byte {first - 4} has {length} items, and at most {limit} are expected")
        return np.frombuffer(self.buffer.data, item, length, first).copy()

    def string(self, number: int) -> str:
        return self.vector(number, "u1", MAX_STRING).tobytes().decode("utf-8", errors="replace")
