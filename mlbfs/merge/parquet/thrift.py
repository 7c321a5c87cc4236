"""Thrift's compact protocol, in which the footer of a Parquet file is written.

Owns: reading and writing of structures of which nothing but the form is known, so that a field that
a later version of the format added comes out as it went in.
Layer: merge. Pure.

Source: the Thrift specification, "Compact protocol encoding", as far as structures go; messages
have no place in a file. Every length is taken for hostile until it is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from mlbfs.errors import FormatError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)

Value: TypeAlias = "bool | int | bytes | Items | Pairs | Struct"

_MAX_DEPTH = 32
_MAX_VARINT = 10
_FIXED = {DOUBLE: 8, UUID: 16}
_INTEGERS = {I16: 16, I32: 32, I64: 64}
_LONG = 15
"""In the nibble for the size of a list: the size follows."""


class MalformedThriftError(FormatError):
    """Bytes that are no structure in the compact protocol."""


@dataclass(slots=True)
class Items:
    """A list or set.

    Attributes:
        kind: Type of its items.
        items: What is in it.
    """

    kind: int
    items: list[Value]


@dataclass(slots=True)
class Pairs:
    """A map.

    Attributes:
        kinds: Types of keys and values.
        pairs: What is in it, in the order of the file.
    """

    kinds: tuple[int, int]
    pairs: list[tuple[Value, Value]]


@dataclass(slots=True)
class Struct:
    """A structure: its fields by number, each with its type."""

    fields: dict[int, tuple[int, Value]] = field(default_factory=dict)

    def integer(self, number: int) -> int | None:
        """Returns a field that is an integer, or None."""
        value = self._value(number)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def binary(self, number: int) -> bytes | None:
        """Returns a field that is bytes or a string, or None."""
        value = self._value(number)
        return value if isinstance(value, bytes) else None

    def struct(self, number: int) -> Struct | None:
        """Returns a field that is a structure, or None."""
        value = self._value(number)
        return value if isinstance(value, Struct) else None

    def structs(self, number: int) -> list[Struct]:
        """Returns the structures in a field that is a list; none where there is no such field."""
        value = self._value(number)
        if not isinstance(value, Items):
            return []
        return [item for item in value.items if isinstance(item, Struct)]

    def put(self, number: int, kind: int, value: Value) -> None:
        """Sets a field."""
        self.fields[number] = (kind, value)

    def put_structs(self, number: int, structs: list[Struct]) -> None:
        """Sets a field to a list of structures."""
        self.fields[number] = (LIST, Items(STRUCT, list(structs)))

    def drop(self, *numbers: int) -> None:
        """Removes fields, if they are there."""
        for number in numbers:
            self.fields.pop(number, None)

    def copy(self) -> Struct:
        """Returns a structure whose fields can be set without changing this one's."""
        return Struct(dict(self.fields))

    def _value(self, number: int) -> Value | None:
        found = self.fields.get(number)
        return None if found is None else found[1]


def parse_struct(data: bytes) -> Struct:
    """Returns the structure at the front of some bytes.

    Raises:
        MalformedThriftError: There is none.
    """
    return _Parser(data).struct(0)


def render_struct(value: Struct) -> bytes:
    """Returns a structure as bytes."""
    out = bytearray()
    _render_struct(out, value)
    return bytes(out)


class _Parser:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int) -> Struct:
        if depth > _MAX_DEPTH:
            raise MalformedThriftError(f"nested deeper than {_MAX_DEPTH} levels")
        found = Struct()
        number = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 15
            number = number + delta if delta else self._zigzag(16)
            if number in found.fields:
                raise MalformedThriftError(f"field {number} is there twice")
            found.fields[number] = (kind, self._field(kind, depth))
        return found

    def _field(self, kind: int, depth: int) -> Value:
        return kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Value:
        """Returns an item, or a field that has bytes of its own."""
        if kind in _INTEGERS:
            return self._zigzag(_INTEGERS[kind])
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self._items(depth)
        if kind == MAP:
            return self._pairs(depth)
        if kind in (TRUE, FALSE):
            return self._byte() == TRUE
        if kind == BYTE:
            return self._byte()
        if kind in _FIXED:
            return self._bytes(_FIXED[kind])
        raise MalformedThriftError(f"there is no type {kind}")

    def _items(self, depth: int) -> Items:
        header = self._byte()
        count, kind = header >> 4, header & 15
        if count == _LONG:
            count = self._varint()
        self._check_count(count)
        if depth >= _MAX_DEPTH:
            raise MalformedThriftError(f"nested deeper than {_MAX_DEPTH} levels")
        return Items(kind, [self._value(kind, depth + 1) for _ in range(count)])

    def _pairs(self, depth: int) -> Pairs:
        count = self._varint()
        self._check_count(count)
        if depth >= _MAX_DEPTH:
            raise MalformedThriftError(f"nested deeper than {_MAX_DEPTH} levels")
        kinds = self._byte() if count else 0
        key, value = kinds >> 4, kinds & 15
        pairs = [(self._value(key, depth + 1), self._value(value, depth + 1)) for _ in range(count)]
        return Pairs((key, value), pairs)

    def _check_count(self, count: int) -> None:
        """Refuses more items than there are bytes: each takes one at least."""
        if count > len(self._data) - self._at:
            raise MalformedThriftError(f"a list of {count} items ends behind the end")

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise MalformedThriftError("it ends too early")
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise MalformedThriftError(f"a field of {length} bytes ends behind the end")
        self._at += length
        return self._data[self._at - length : self._at]

    def _varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT):
            byte = self._byte()
            value |= (byte & 127) << (7 * place)
            if byte < 128:
                return value
        raise MalformedThriftError("an integer that does not end")

    def _zigzag(self, bits: int) -> int:
        value = self._varint()
        if value >> bits:
            raise MalformedThriftError(f"an integer of more than {bits} bits")
        return (value >> 1) ^ -(value & 1)


def _render_struct(out: bytearray, value: Struct) -> None:
    last = 0
    for number, (kind, inner) in sorted(value.fields.items()):
        if kind in (TRUE, FALSE):
            kind = TRUE if inner else FALSE
        delta = number - last
        if 0 < delta < _LONG + 1:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _render_varint(out, _zigzag(number))
        last = number
        if kind not in (TRUE, FALSE):
            _render_value(out, kind, inner)
    out.append(0)


def _render_value(out: bytearray, kind: int, value: Value) -> None:
    if isinstance(value, bool):
        out.append(TRUE if value else FALSE)
    elif isinstance(value, int):
        if kind == BYTE:
            out.append(value)
        else:
            _render_varint(out, _zigzag(value))
    elif isinstance(value, bytes):
        if kind == BINARY:
            _render_varint(out, len(value))
        out += value
    elif isinstance(value, Struct):
        _render_struct(out, value)
    elif isinstance(value, Items):
        if len(value.items) < _LONG:
            out.append(len(value.items) << 4 | value.kind)
        else:
            out.append(_LONG << 4 | value.kind)
            _render_varint(out, len(value.items))
        for item in value.items:
            _render_value(out, value.kind, item)
    else:
        _render_pairs(out, value)


def _render_pairs(out: bytearray, value: Pairs) -> None:
    _render_varint(out, len(value.pairs))
    if value.pairs:
        out.append(value.kinds[0] << 4 | value.kinds[1])
    for pair in value.pairs:
        for kind, inner in zip(value.kinds, pair, strict=True):
            _render_value(out, kind, inner)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _render_varint(out: bytearray, value: int) -> None:
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
