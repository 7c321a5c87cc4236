"""What files of tensors have in common: named tensors whose bytes can be read in steps.

Owns: the words in which the driver `tensors` sees a file, whichever format it is in, and what it
says of a file that it cannot merge.
Layer: merge.

Memory: some megabytes, whatever the size of a tensor.
"""

from __future__ import annotations

import errno
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from mlbfs.errors import FormatError
from mlbfs.merge.conflicts import ConflictKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.merge.versions import Reader

STEP = 4 << 20
"""Bytes of a tensor in memory at a time; a multiple of the size of every number."""


class UnmergeableError(FormatError):
    """A version cannot be merged by tensor: it is malformed, or of a kind that is refused by name.

    Attributes:
        where: The side, and the place in it.
        conflict_kind: What sort of conflict that is.
    """

    def __init__(
        self, message: str, where: str, conflict_kind: ConflictKind = ConflictKind.MALFORMED
    ) -> None:
        super().__init__(message)
        self.where = where
        self.conflict_kind = conflict_kind


@dataclass(frozen=True, slots=True)
class Layout:
    """How the numbers of a tensor lie in its bytes.

    Attributes:
        dtype: Type of the numbers, as NumPy writes it (`<f4`); what NumPy does not know has the
            name that the file gives it (`BF16`).
        shape: Length of each dimension.
        fortran: The first dimension is the one that runs fastest.
        header: Bytes in front of the numbers.
    """

    dtype: str
    shape: tuple[int, ...]
    fortran: bool = False
    header: bytes = b""

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}{' in Fortran order' if self.fortran else ''}"


class Tensor(Protocol):
    """One tensor of one version."""

    @property
    def name(self) -> str:
        """What the file calls it."""

    @property
    def form(self) -> object:
        """What has to be equal, beside the bytes, for two tensors to be the same."""

    @property
    def size(self) -> int:
        """Number of bytes that `open` gives."""

    def open(self) -> BinaryIO:
        """Returns its bytes as a stream."""

    def layout(self) -> Layout | None:
        """Returns how its numbers lie in its bytes; None for what is no array at all.

        Raises:
            UnmergeableError: It is malformed.
        """


class Window(io.RawIOBase):
    """A part of a version as a stream that can be moved about in."""

    def __init__(self, reader: Reader, start: int, stop: int) -> None:
        self._reader = reader
        self._start = start
        self._size = stop - start
        self._at = 0

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def seekable(self) -> bool:
        """Returns whether one can move, which is always."""
        return True

    def tell(self) -> int:
        """Returns where the next bytes come from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(errno.EINVAL, f"there is no offset {origin + offset}")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the front of a buffer with the next bytes."""
        length = min(len(buffer), max(0, self._size - self._at))
        data = self._reader.read(self._start + self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def window(reader: Reader, start: int, stop: int) -> BinaryIO:
    """Returns the bytes [start, stop) of a version as a stream."""
    return io.BufferedReader(Window(reader, start, stop), STEP)


def steps(stream: BinaryIO) -> Iterator[bytes]:
    """Yields what is left of a stream, each time as much as a step unless it is the last."""
    while data := stream.read(STEP):
        yield data


def same_bytes(one: BinaryIO, other: BinaryIO) -> bool:
    """Whether two streams hold the same bytes; ends at the first difference."""
    while True:
        first, second = one.read(STEP), other.read(STEP)
        if first != second:
            return False
        if not first:
            return True


def same_tensor(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same, told by their bytes: NaN is equal to the same NaN."""
    if one.form != other.form or one.size != other.size:
        return False
    with one.open() as mine, other.open() as theirs:
        return same_bytes(mine, theirs)
