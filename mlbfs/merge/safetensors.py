"""The format safetensors: a JSON header, and the bytes of tensors behind it.

    OFFSET  SIZE  DESCRIPTION
    0       8     length N of the header, little-endian
    8       N     JSON object in UTF-8, padded with spaces:
                  name -> {"dtype": ..., "shape": [...], "data_offsets": [start, stop]}
                  "__metadata__" -> object of strings, optional
    8 + N   rest  the tensors; offsets count from here, and leave no byte out and none twice

Every length and offset is taken for hostile until it is checked.

Owns: reading and writing that header.
Layer: merge. Pure Python: no library is needed to merge models.

Memory: the header, as values; at most 100 MB of text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mlbfs.merge.tensorfile import Layout
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.windows import window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.merge.versions import Reader

METADATA = "__metadata__"
MAX_HEADER = 100_000_000
"""Bytes of a header; the same limit as that of the library."""
_PREFIX = 8
_MAX_ELEMENTS = 1 << 64
_ALIGNMENT = 8

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits of one number of each type."""

_NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}


@dataclass(frozen=True, slots=True)
class SafeTensor:
    """One tensor of one file.

    Attributes:
        name: What the file calls it.
        dtype: Type of its numbers.
        shape: Length of each dimension.
        start: Where its bytes begin in the file.
        stop: Where they end.
        reader: The file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int
    reader: Reader

    @property
    def form(self) -> object:
        """Type and shape."""
        return self.dtype, self.shape

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    def open(self) -> BinaryIO:
        """Returns its bytes as a stream."""
        return window(self.reader, self.start, self.stop)

    def layout(self) -> Layout:
        """Returns how its numbers lie in its bytes."""
        return Layout(_NUMPY.get(self.dtype, self.dtype), self.shape)


@dataclass(frozen=True, slots=True)
class SafetensorsFile:
    """A file whose header was read.

    Attributes:
        tensors: Its tensors by name, in the order of their bytes.
        metadata: What `__metadata__` says; None where there is none.
        data_start: Where the tensors begin.
    """

    tensors: dict[str, SafeTensor]
    metadata: dict[str, str] | None
    data_start: int


def read_safetensors(reader: Reader, where: str) -> SafetensorsFile:
    """Reads the header of a file, and checks all that it says.

    Args:
        reader: The file.
        where: What the file is called in errors.

    Raises:
        UnmergeableError: It is malformed.
    """
    prefix = reader.read(0, _PREFIX)
    length = int.from_bytes(prefix, "little")
    data_start = _PREFIX + length
    if len(prefix) < _PREFIX:
        raise UnmergeableError("too short for a file of safetensors", where)
    if length > MAX_HEADER:
        raise UnmergeableError(f"a header of {length} bytes; at most {MAX_HEADER} may be", where)
    if data_start > reader.size:
        raise UnmergeableError("the file ends within its header", where)
    values = _parse(reader.read(_PREFIX, length), where)
    metadata = _metadata(values.pop(METADATA, None), where)
    tensors = [
        _tensor(name, value, data_start, reader, f"{where}, tensor {name!r}")
        for name, value in values.items()
    ]
    tensors.sort(key=lambda one: (one.start, one.stop))  # stable: empty ones keep their order
    _check_cover(tensors, data_start, reader.size, where)
    return SafetensorsFile({one.name: one for one in tensors}, metadata, data_start)


def _parse(data: bytes, where: str) -> dict[str, Any]:
    if not data.startswith(b"{"):
        raise UnmergeableError("the header does not begin with '{'", where)
    try:
        values = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise UnmergeableError("the header is nested too deeply", where) from None
    except ValueError as err:
        raise UnmergeableError(f"the header cannot be read: {err}", where) from None
    assert isinstance(values, dict), "what begins with '{' and can be parsed is an object"
    return values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name!r} is there twice")
        name.encode()  # half a surrogate pair cannot be written again
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _metadata(value: object, where: str) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise UnmergeableError(f"{METADATA} is no object of strings", where)
    return value


def _tensor(name: str, value: object, origin: int, reader: Reader, where: str) -> SafeTensor:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise UnmergeableError("dtype, shape and data_offsets are not what it has", where)
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise UnmergeableError(f"the type {dtype!r} is not known", where)
    if not _are_lengths(shape):
        raise UnmergeableError("its shape is no list of lengths", where)
    if not _are_lengths(offsets) or len(offsets) != 2:
        raise UnmergeableError("its data_offsets are no two offsets", where)
    start, stop = offsets
    if not start <= stop <= reader.size - origin:
        raise UnmergeableError("its bytes are not within the file", where)
    bits = _elements(shape, where) * BITS[dtype]
    if bits != (stop - start) * 8:
        raise UnmergeableError(f"{stop - start} bytes are not {dtype} {shape}", where)
    return SafeTensor(name, dtype, tuple(shape), origin + start, origin + stop, reader)


def _are_lengths(value: object) -> bool:
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def _elements(shape: Sequence[int], where: str) -> int:
    found = 1
    for length in shape:
        found *= length
        if found >= _MAX_ELEMENTS:
            raise UnmergeableError("its shape is too large", where)
    return found


def _check_cover(tensors: Sequence[SafeTensor], start: int, stop: int, where: str) -> None:
    at = start
    for one in tensors:
        if one.start != at:
            what = "lies over another" if one.start < at else "leaves bytes before it that are none"
            raise UnmergeableError(f"the tensor {one.name!r} {what}", where)
        at = one.stop
    if at != stop:
        raise UnmergeableError(f"{stop - at} bytes at the end belong to no tensor", where)


def write_order(file: SafetensorsFile, tensors: Sequence[SafeTensor]) -> list[SafeTensor]:
    """Returns the order in which tensors are to be written, given that of a file.

    The library writes large numbers first, so that each lies at a multiple of its size. A file that
    keeps to this does so afterwards.
    """
    sizes = [BITS[one.dtype] for one in file.tensors.values()]
    if sizes != sorted(sizes, reverse=True):
        return list(tensors)
    return sorted(tensors, key=lambda one: -BITS[one.dtype])  # stable


def render_header(
    tensors: Sequence[SafeTensor], metadata: dict[str, str] | None, like: SafetensorsFile
) -> bytes:
    """Returns the front of a file with these tensors, one behind the other.

    As long as that of `like` where it fits, so that the tensors stay where they are; else the
    tensors begin at a multiple of the same power of two.

    Raises:
        UnmergeableError: It would be longer than the format allows.
    """
    values: dict[str, Any] = {} if metadata is None else {METADATA: metadata}
    at = 0
    for one in tensors:
        offsets = [at, at + one.size]
        values[one.name] = {"dtype": one.dtype, "shape": one.shape, "data_offsets": offsets}
        at += one.size
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    size = _PREFIX + len(text)
    if len(text) > MAX_HEADER:
        raise UnmergeableError("the header of both together would be too long", "the result")
    if size <= like.data_start:
        size = like.data_start
    else:
        alignment = max(_ALIGNMENT, min(4096, like.data_start & -like.data_start))
        size = -(-size // alignment) * alignment
    length = size - _PREFIX
    return length.to_bytes(_PREFIX, "little") + text.ljust(length, b" ")
