"""What goes into an import and what comes out of it: values only.

Owns: `Source`, `Policy` and `Ingested`.
Layer: store. Imports the leaves only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.ids import FileId


class Policy(IntEnum):
    """Where the content of a file goes."""

    AUTO = 0
    """Small valid text to Git, everything else to the chunk store."""

    CHUNKS = 1
    """Always to the chunk store."""

    GIT = 2
    """To Git, up to `ingest.MAX_GIT_BLOB_SIZE`; longer files to the chunk store."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the host to be stored.

    Attributes:
        path: Where it lies on the host.
        size: Its length when the folder was scanned; a hint, not a promise.
        policy: Where its content goes.
        token: Anything; handed back with the result.
        stamp: What `filestamp.stamp_of` gave when the folder was scanned; without one, the file is
            read even if it was read before.
    """

    path: Path | bytes
    size: int
    policy: Policy = Policy.AUTO
    token: object = None
    stamp: bytes = b""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one source.

    Attributes:
        source: The source, as it was given.
        size: Length of the content that was read.
        executable: Whether the owner may execute the file.
        file_id: Id in the chunk store, or None when the content belongs to Git.
        text: The content when it belongs to Git, else None.
    """

    source: Source
    size: int
    executable: bool
    file_id: FileId | None
    text: bytes | None


class SourceError(StorageError):
    """A file of the host could not be read, or did not hold still while it was read."""

    default_kind = ErrorKind.SOURCE_UNREADABLE
