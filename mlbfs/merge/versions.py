"""What meets in a merge: the three sides, and the version of one file that each has.

Owns: the words base, ours and theirs, and what identifies a version without reading it.
Layer: merge. Pure: values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from mlbfs.git.trees import MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK

if TYPE_CHECKING:
    from mlbfs.ids import ObjectId


class Side(StrEnum):
    """One of the three inputs of a merge."""

    BASE = "base"
    """What both sides began with."""

    OURS = "ours"
    """The branch that is merged into."""

    THEIRS = "theirs"
    """What is merged."""


class Reader(Protocol):
    """The bytes of one version."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes; short only at the end of the file.

        Raises:
            CorruptionError: The content is damaged.
            StorageError: The device failed.
        """


@dataclass(frozen=True, slots=True)
class Version:
    """A file or symbolic link as one side has it.

    Attributes:
        mode: Mode of the entry in Git's tree.
        object_id: Blob in Git: the text itself, or a pointer.
        content: Id of the bytes: a file id (32 bytes), or the blob (20 bytes) if that holds them.
            Equal ids are equal bytes.
        size: Length of the bytes.
    """

    mode: int
    object_id: ObjectId
    content: bytes
    size: int

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode == MODE_SYMLINK

    @property
    def is_regular(self) -> bool:
        """Whether it is a file with bytes of its own."""
        return self.mode in (MODE_FILE, MODE_EXECUTABLE)
