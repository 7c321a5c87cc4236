r"""The `packed-refs` file: many refs in one file, as `git pack-refs` writes it.

Owns: its format. Layer: git. Pure but for `PackedRefs`, which reads the file when it changed.

    # pack-refs with: peeled fully-peeled sorted \n       (header, optional)
    <40 hex> SP <full name>\n
    ^<40 hex>\n                                           (the line before, peeled)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlbfs.errors import CorruptionError, ErrorKind, storage_error
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(rb"([0-9a-f]{40}) ([^\n]+)\n(?:\^[0-9a-f]{40}\n)?|#[^\n]*\n")


def parse_packed_refs(data: bytes) -> dict[str, ObjectId]:
    """Parses the whole file.

    Raises:
        CorruptionError: A line is none of the three.
    """
    refs: dict[str, ObjectId] = {}
    position = 0
    for match in _LINE.finditer(data):
        if match.start() != position:
            break
        position = match.end()
        if match[1] is not None:
            refs[match[2].decode("utf-8", "surrogateescape")] = ObjectId(
                bytes.fromhex(match[1].decode())
            )
    if position != len(data):
        raise CorruptionError(
            f"the file packed-refs cannot be parsed at byte {position}",
            kind=ErrorKind.CORRUPT_OBJECT,
            hint="run 'git fsck' to see what is damaged",
        )
    return refs


def without_ref(data: bytes, name: str) -> bytes:
    """Returns the content of the file without one ref; everything else is kept as it is."""
    wanted = name.encode("utf-8", "surrogateescape")
    return b"".join(match[0] for match in _LINE.finditer(data) if match[2] != wanted)


class PackedRefs:
    """The refs in one `packed-refs`, read again when the file was replaced.

    Concurrency: Git replaces the file by rename, so what is read is always a whole version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # one attribute, so that a thread never sees the refs of one version under another
        self._cache: tuple[tuple[int, int, int] | None, dict[str, ObjectId]] = (None, {})

    def refs(self) -> dict[str, ObjectId]:
        """Returns all refs in the file as it is now; not to be changed."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return {}
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        before, refs = self._cache
        if seen != before:
            refs = parse_packed_refs(self.content())
            self._cache = (seen, refs)
        return refs

    def content(self) -> bytes:
        """Returns the bytes of the file; empty when there is none."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as err:
            raise storage_error(err, f"reading {str(self.path)!r}") from err
