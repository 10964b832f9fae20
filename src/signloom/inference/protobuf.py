"""Reads and writes fields of a protocol buffer, so that an .onnx file needs no other package.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """A field of a message.

    value: the content of a text, bytes or a message, or a whole number.  start, end: where the field is in the message.
    """

    number: int
    value: memoryview | int
    start: int
    end: int

    @property
    def content(self) -> memoryview:
        """The content of a text, bytes or a message. Raises ValueError for a number."""
        if isinstance(self.value, int):
            raise ValueError(f"field {self.number} is a number")
        return self.value


def fields(message: memoryview) -> Iterator[Field]:
    """Yields the fields of a message in their order. Raises ValueError where it is no such message, or ends early."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field without a number")
        value: memoryview | int
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind in (_FIXED64, _LENGTH, _FIXED32):
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if size is None:
                size, at = _varint(message, at)
            if size > len(message) - at:
                raise ValueError("it ends early")
            value, at = message[at : at + size], at + size
        else:
            raise ValueError(f"a field of unknown type {kind}")
        yield Field(number, value, start, at)


def encoded(number: int, content: bytes) -> bytes:
    """Returns a field whose content is text, bytes or a message."""
    return _encoded_varint(number << 3 | _LENGTH) + _encoded_varint(len(content)) + content


def encoded_number(number: int, value: int) -> bytes:
    """Returns a field whose content is a whole number of at least 0."""
    return _encoded_varint(number << 3 | _VARINT) + _encoded_varint(value)


def numbers(field: Field) -> list[int]:
    """Returns the whole numbers of a repeated field, whether it is packed or one of many. Raises ValueError."""
    if isinstance(field.value, int):
        return [field.value]
    result, at = [], 0
    while at < len(field.value):
        value, at = _varint(field.value, at)
        result.append(value)
    return result


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Returns the number at a position, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends early")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _encoded_varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
