"""Loose objects: one zlib file per object below `objects/`.

Owns: reading and finding them. Layer: git.

    objects/<2 hex>/<38 hex>:  zlib stream of  <kind> SP <size in decimal> NUL <content>

They are read here and not by libgit2, because libgit2 (seen in 1.9.7) never returns from a file
whose zlib stream is cut off, which is what a power cut leaves of an object that was not fsynced.
Damaged packs it reports well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import zlib
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind, storage_error
from mlbfs.git.kinds import KIND_CODES
from mlbfs.ids import ObjectId, short_hex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.git.kinds import ObjectKind

_HEAD = re.compile(rb"(commit|tree|blob|tag) (0|[1-9][0-9]{0,18})\0")
_HEAD_ROOM = 64
_NAMES: dict[bytes, ObjectKind] = {kind.encode(): kind for kind in KIND_CODES}


class LooseObjects:
    """The loose objects of a repository and its alternates. Safe from many threads."""

    def __init__(self, directories: list[Path]) -> None:
        self._directories = [os.fspath(directory) for directory in directories]

    def read(self, oid: ObjectId) -> tuple[ObjectKind, bytes] | None:
        """Returns kind and content, or None when the object is not loose.

        Raises:
            CorruptionError: The file is not what it is named by.
            StorageError: The device failed.
        """
        packed = self._file(oid)
        if packed is None:
            return None
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(packed)
        except zlib.error as err:
            raise damaged_object(oid) from err
        kind, size, head = _parse_head(oid, data)
        digest = hashlib.sha1(data, usedforsecurity=False).digest()
        if not inflater.eof or len(data) - head != size or digest != oid:
            raise damaged_object(oid)
        return kind, data[head:]

    def header(self, oid: ObjectId) -> tuple[ObjectKind, int] | None:
        """Returns kind and size, or None when the object is not loose.

        Raises:
            CorruptionError: The beginning of the file is damaged.
            StorageError: The device failed.
        """
        packed = self._file(oid, 4096)
        if packed is None:
            return None
        try:
            data = zlib.decompressobj().decompress(packed, _HEAD_ROOM)
        except zlib.error as err:
            raise damaged_object(oid) from err
        kind, size, _ = _parse_head(oid, data)
        return kind, size

    def iter_prefix(self, text: str) -> Iterator[ObjectId]:
        """Yields the ids that begin with some (at least two) lower-case hex digits."""
        for directory in self._directories:
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(f"{directory}/{text[:2]}"):  # noqa: PTH208 - names only
                    with contextlib.suppress(ValueError):  # a temporary file
                        oid = bytes.fromhex(text[:2] + name)
                        if len(oid) == 20 and oid.hex().startswith(text):
                            yield ObjectId(oid)

    def _file(self, oid: ObjectId, limit: int = -1) -> bytes | None:
        text = oid.hex()
        for directory in self._directories:
            try:
                with open(f"{directory}/{text[:2]}/{text[2:]}", "rb", buffering=0) as file:
                    return file.read(limit)
            except FileNotFoundError:
                continue
            except OSError as err:
                raise storage_error(err, f"reading Git object {short_hex(oid)}") from err
        return None


def _parse_head(oid: ObjectId, data: bytes) -> tuple[ObjectKind, int, int]:
    match = _HEAD.match(data)
    if match is None:
        raise damaged_object(oid)
    return _NAMES[match[1]], int(match[2]), match.end()


def damaged_object(oid: ObjectId) -> CorruptionError:
    """Returns the error for an object whose bytes are wrong."""
    return CorruptionError(
        f"Git object {short_hex(oid)} is damaged",
        kind=ErrorKind.CORRUPT_OBJECT,
        hint="run 'git fsck' to see what is damaged; 'git fetch' may bring it back",
    )
