r"""The format npy: one array of NumPy, with the text of a dictionary in front of its bytes.

    OFFSET  SIZE    DESCRIPTION
    0       6       \x93NUMPY
    6       2       version: 1.0, 2.0 or 3.0
    8       2 or 4  length N of the dictionary, little-endian; 4 bytes from 2.0 on
    ..      N       {'descr': ..., 'fortran_order': ..., 'shape': ...}, a literal of Python
    ..      rest    the numbers

Owns: reading that front. Arrays of objects are pickles: they are moved as bytes and never opened.
Layer: merge. Pure Python: NumPy is not needed to tell whether an array is whole.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from mlbfs.merge.tensorfile import Layout
from mlbfs.merge.unmergeable import UnmergeableError
from mlbfs.merge.windows import window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.merge.versions import Reader

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000
"""Characters of a dictionary; the limit of NumPy too."""

_MAX_LENGTH = 1 << 63
_SIMPLE = re.compile(r"[<>|=]?([?bBhHiIlLqQefdgFDGiufcSaUVMmO])(\d*)(\[[^]]*\])?")
_CHAR_SIZE = {"U": 4}


def read_front(stream: BinaryIO, where: str) -> Layout:
    """Reads the front of an array; the stream then stands at its first number.

    Raises:
        UnmergeableError: It is malformed.
    """
    front = stream.read(8)
    if not front.startswith(MAGIC) or len(front) < 8:
        raise UnmergeableError("it does not begin as an array of NumPy does", where)
    if front[6] not in (1, 2, 3) or front[7]:
        raise UnmergeableError(f"version {front[6]}.{front[7]} of npy is not known", where)
    width = 2 if front[6] == 1 else 4
    prefix = stream.read(width)
    length = int.from_bytes(prefix, "little")
    if len(prefix) == width and length > MAX_HEADER:
        raise UnmergeableError(f"a header of {length} bytes; at most {MAX_HEADER} may be", where)
    text = stream.read(length)
    if len(prefix) < width or len(text) < length:
        raise UnmergeableError("the file ends within its header", where)
    encoding = "latin-1" if front[6] < 3 else "utf-8"
    descr, fortran, shape = _parse(text, encoding, where)
    return Layout(_dtype(descr), shape, fortran, front + prefix + text)


def _parse(text: bytes, encoding: str, where: str) -> tuple[object, bool, tuple[int, ...]]:
    try:
        found = ast.literal_eval(text.decode(encoding).strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as err:
        raise UnmergeableError(f"the header cannot be read: {_line(err)}", where) from None
    if not isinstance(found, dict) or found.keys() != {"descr", "fortran_order", "shape"}:
        raise UnmergeableError("descr, fortran_order and shape are not what it has", where)
    fortran, shape = found["fortran_order"], found["shape"]
    if type(fortran) is not bool or not _is_shape(shape):
        raise UnmergeableError("its shape or its order is none", where)
    return found["descr"], fortran, shape


def _line(err: BaseException) -> str:
    return str(err).split("\n", 1)[0] or type(err).__name__


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and all(
        type(one) is int and 0 <= one < _MAX_LENGTH for one in value
    )


def _dtype(descr: object) -> str:
    return descr if isinstance(descr, str) else repr(descr)


def is_object(layout: Layout) -> bool:
    """Whether the array holds objects, and so a pickle instead of numbers."""
    names = [layout.dtype] if _is_simple(layout.dtype) else _simple_types(_descr(layout.dtype))
    return any(name.lstrip("<>|=").startswith("O") for name in names)


def check_body(layout: Layout, size: int, where: str) -> None:
    """Checks that an array has the bytes that its shape says; of objects nothing is known.

    Args:
        layout: Its front.
        size: All its bytes, the front among them.
        where: What it is called in errors.

    Raises:
        UnmergeableError: It is malformed.
    """
    wanted, there = _body_size(layout, where), size - len(layout.header)
    if wanted is not None and wanted != there:
        raise UnmergeableError(f"{there} bytes are not {layout}", where)


def _body_size(layout: Layout, where: str) -> int | None:
    """Returns how many bytes of numbers there have to be; None for objects."""
    try:
        if is_object(layout):
            return None
        size = _item_size(layout.dtype if _is_simple(layout.dtype) else _descr(layout.dtype))
    except (ValueError, SyntaxError, TypeError, RecursionError):
        raise UnmergeableError(f"the type {layout.dtype[:80]!r} is not known", where) from None
    return size * math.prod(layout.shape)


def _is_simple(dtype: str) -> bool:
    return not dtype.startswith(("[", "("))


def _descr(dtype: str) -> object:
    return ast.literal_eval(dtype)


def _item_size(descr: object) -> int:
    """Returns the bytes of one number, or of one record of several."""
    if isinstance(descr, str):
        return _simple_size(descr)
    if isinstance(descr, tuple):  # a type, and the shape of an array of it
        inner, shape = descr
        return _item_size(inner) * math.prod(_lengths(shape))
    if isinstance(descr, list):
        return sum(_field_size(field) for field in descr)
    raise ValueError("no type")


def _field_size(field: object) -> int:
    if not isinstance(field, tuple) or not 2 <= len(field) <= 3:
        raise ValueError("no field")
    return _item_size(field[1]) * math.prod(_lengths(field[2]) if len(field) == 3 else ())


def _lengths(shape: object) -> Sequence[int]:
    found = (shape,) if isinstance(shape, int) else shape
    if not _is_shape(found):
        raise ValueError("no shape")
    assert isinstance(found, tuple), "a shape is a tuple"
    return found


def _simple_size(name: str) -> int:
    found = _SIMPLE.fullmatch(name)
    if found is None:
        raise ValueError("no type")
    kind, digits, _ = found.groups()
    if not digits:
        if kind == "?":
            return 1
        raise ValueError("a type without its size")
    return int(digits) * _CHAR_SIZE.get(kind, 1)


def _simple_types(descr: object) -> list[str]:
    """Returns the names of all types within one."""
    if isinstance(descr, str):
        return [descr]
    if isinstance(descr, tuple):
        return _simple_types(descr[0])
    if isinstance(descr, list):
        return [name for field in descr for name in _simple_types(field[1])]
    raise ValueError("no type")


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """A file that is one array.

    Attributes:
        reader: The file.
        where: What it is called in errors.
        name: What it is called in conflicts: the path says all there is to say.
    """

    reader: Reader
    where: str
    name: str = ""

    @property
    def form(self) -> object:
        """Nothing: all that there is to an array is in its bytes."""
        return None

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.reader.size

    def open(self) -> BinaryIO:
        """Returns its bytes as a stream."""
        return window(self.reader, 0, self.size)

    def layout(self) -> Layout:
        """Returns how its numbers lie in its bytes.

        Raises:
            UnmergeableError: It is malformed.
        """
        with self.open() as stream:
            layout = read_front(stream, self.where)
        check_body(layout, self.size, self.where)
        return layout
