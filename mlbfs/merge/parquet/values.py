"""Columns of Arrow compared exactly: which values are the same, and which of two columns differ.

Owns: when two values of a table are the same: when their bits are. A null is equal to a null, 0.0
and -0.0 differ, and a list is its elements.
Layer: merge. Needs pyarrow and NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Array = Any
"""A pyarrow array; pyarrow has no types of its own for mypy."""

_BITS = {"halffloat": pa.int16(), "float": pa.int32(), "double": pa.int64()}
_MAX_SHOWN = 200
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type in which values are merged, whichever of its names a writer used.

    It has no dictionaries, extensions and views, and texts and lists of it may be long.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_item(kind), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_plain_item(kind))
    return kind


def _plain_item(kind: pa.DataType) -> pa.Field:
    """Returns what a list consists of; writers call it item, element and more."""
    return pa.field("item", plain_type(kind.value_type), kind.value_field.nullable)


def plain(column: pa.ChunkedArray) -> Array:
    """Returns the values of a column as one array of their plain type.

    Raises:
        pa.ArrowException: They do not fit into one.
    """
    kind = plain_type(column.type)
    chunks = [_storage(chunk) for chunk in column.chunks]
    if not chunks:
        return pa.array([], kind)
    return pa.concat_arrays([chunk if chunk.type == kind else chunk.cast(kind) for chunk in chunks])


def _storage(array: Array) -> Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def same(one: Array, other: Array) -> NDArray[np.bool_]:
    """Returns for two arrays of one type and length, place by place, whether they are the same."""
    if _is_simple(one.type):
        equal = pc.equal(_as_bits(one), _as_bits(other))
        both_null = pc.and_(one.is_null(), other.is_null())
        return _numpy(pc.or_(pc.fill_null(equal, False), both_null))
    found = codes(pa.concat_arrays([one, other]))
    return np.asarray(found[: len(one)] == found[len(one) :])


def codes(array: Array) -> NDArray[np.int64]:
    """Returns a number for each value: the same for the same values, and for no others."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return codes(array.storage)
    if pa.types.is_dictionary(kind):
        return codes(array.dictionary_decode())
    if pa.types.is_struct(kind):
        parts = [codes(array.field(number)) for number in range(kind.num_fields)]
        return _with_nulls(array, joined_codes(parts, len(array)))
    if pa.types.is_map(kind):
        parts = [codes(array.keys), codes(array.items)]
        return _list_codes(array, array.offsets, joined_codes(parts, len(array.keys)))
    if any(is_kind(kind) for is_kind in _LISTS):
        return _list_codes(array, _offsets(array), codes(array.values))
    return _with_nulls(array, _dense(_as_bits(array)))


def joined_codes(parts: Sequence[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    """Returns a number for what some columns have at one place together."""
    found = np.zeros(length, np.int64)
    for part in parts:
        width = int(part.max()) + 1 if len(part) else 1
        found = _dense(pa.array(found * width + part)) if found.any() else part
    return found


def numbered(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns for each value how often it stands before it."""
    order = np.argsort(found, kind="stable")
    ordered = found[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(found) else found
    lengths = np.diff(np.r_[starts, len(found)])
    numbers = np.empty(len(found), np.int64)
    numbers[order] = np.arange(len(found)) - np.repeat(starts, lengths)
    return numbers


def shown(value: pa.Scalar) -> str:
    """Returns a value as text for people, of a length that fits into a line."""
    try:
        text = str(value.as_py())
    except (ValueError, OverflowError):  # nanoseconds, or a day of a year that Python has not
        text = " ".join(pa.array([value], value.type).to_string().split())
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _dense(array: Array) -> NDArray[np.int64]:
    """Returns numbers below the count of different values; a null has one of its own."""
    encoded = array.dictionary_encode(null_encoding="encode")
    return _numpy(encoded.indices).astype(np.int64)


def _with_nulls(array: Array, found: NDArray[np.int64]) -> NDArray[np.int64]:
    if not array.null_count:
        return found
    return np.where(_numpy(array.is_null()), 0, found + 1)


def _offsets(array: Array) -> Array:
    """Returns where each list begins and ends among the values."""
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return pa.array((np.arange(len(array) + 1) + array.offset) * size)
    return array.offsets


def _list_codes(array: Array, offsets: Array, inner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns numbers for lists, by taking the numbers of their elements for their bytes."""
    width = inner.itemsize
    places = np.ascontiguousarray(_numpy(offsets).astype(np.int64) * width)
    values = pa.py_buffer(np.ascontiguousarray(inner))
    lists = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(array), [None, pa.py_buffer(places), values]
    )
    return _with_nulls(array, _dense(lists))


def _as_bits(array: Array) -> Array:
    """Returns an array of floating numbers as integers, so that they are compared by their bits."""
    kind = _BITS.get(str(array.type))
    return array if kind is None else array.view(kind)


def _is_simple(kind: pa.DataType) -> bool:
    """Whether Arrow can compare values of a type by itself."""
    return (
        (pa.types.is_primitive(kind) and not pa.types.is_interval(kind))
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_decimal(kind)
    )


def _numpy(array: Array) -> NDArray[Any]:
    found: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return found
