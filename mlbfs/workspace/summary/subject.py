"""The file that a summary is made of.

Owns: reading it by offset, and as a file of the host for libraries that want one.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Protocol

from mlbfs.errors import FormatError
from mlbfs.limits import MIB
from mlbfs.workspace.exporter import pieces

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.workspace.source import Reader

MAX_COPY = 4096 * MIB
"""Content of a pointer that is longer is not copied out for a library to open it."""


class UnreadableError(FormatError):
    """A file is not what its first bytes promise; never leaves the package."""


class Summarize(Protocol):
    """Makes the lines of a summary."""

    def __call__(self, subject: Subject, /) -> list[str]:
        """Returns the lines; raises UnreadableError if the file cannot be read."""


class Subject:
    """One file.

    Args:
        reader: Its bytes.
        path: Where it lies on the host, if it does.
        scratch: A folder for a copy.
    """

    def __init__(self, reader: Reader, path: Path | None, scratch: Path) -> None:
        self.reader = reader
        self.size = reader.size
        self._path = path
        self._scratch = scratch

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file."""
        return self.reader.read(offset, length)

    def stream(self) -> io.BufferedReader:
        """Returns the bytes as a file that can be sought in."""
        return io.BufferedReader(_Stream(self.reader), MIB)

    def path(self) -> Path:
        """Returns where the file lies on the host, and puts it there if it does not.

        Raises:
            UnreadableError: It is too long for that.
        """
        if self._path is None:
            if self.size > MAX_COPY:
                raise UnreadableError("too long to be looked into")
            self._path = self._scratch / "file"
            with self._path.open("wb") as file:
                for piece in pieces(self.reader):
                    file.write(piece)
        return self._path


class _Stream(io.RawIOBase):
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        """Returns whether bytes can be read, which is always."""
        return True

    def seekable(self) -> bool:
        """Returns whether the place can be changed, which is always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place and returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size}[whence]
        if start + offset < 0:
            raise OSError("there is nothing in front of a file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Returns the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as in io
        """Fills the front of a buffer with the next bytes."""
        data = self._reader.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
