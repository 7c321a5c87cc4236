r"""Git LFS v1 pointers: the small text that stands in Git for content kept elsewhere.

Owns: the pointer encoding. Layer: git. Pure. Format: docs/format/objects-git.md and the
Git LFS specification.

    version https://git-lfs.github.com/spec/v1\n
    oid sha256:<64 lower-case hex digits>\n
    size <decimal, no leading zero>\n

Keys after `version` are sorted; extension lines (`ext-N-name sha256:...`) may stand before `oid`.
One content has exactly one pointer as we write it, so equal files are equal blobs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlbfs.ids import FileId

MAX_POINTER_SIZE = 1024
"""A pointer is shorter than this (Git LFS specification); a longer blob is content."""

_HEAD = b"version https://git-lfs.github.com/spec/v1\noid sha256:"
_VERSIONS = (b"https://git-lfs.github.com/spec/v1", b"https://hawser.github.com/spec/v1")
_OID = re.compile(rb"sha256:([0-9a-f]{64})")
_SIZE = re.compile(rb"0|[1-9][0-9]{0,18}")
_KEY = re.compile(rb"[a-z0-9.-]+")
_MAX_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer says.

    Attributes:
        file_id: SHA-256 of the content.
        size: Length of the content in bytes.
        extra: Lines other than version, oid and size, as they stand; empty in what we write.
    """

    file_id: FileId
    size: int
    extra: tuple[bytes, ...] = ()


def encode_pointer(file_id: FileId, size: int) -> bytes:
    """Returns the one pointer of a content."""
    return b"%s%s\nsize %d\n" % (_HEAD, file_id.hex().encode(), size)


def parse_pointer(data: bytes) -> Pointer | None:
    """Parses a blob, or returns None when it is not a pointer but content.

    Strict, as the specification asks: a blob that only resembles a pointer is content.
    """
    if not data.startswith(b"version ") or len(data) >= MAX_POINTER_SIZE:
        return None
    if not data.endswith(b"\n"):
        return None
    pairs = [line.partition(b" ") for line in data[:-1].split(b"\n")]
    keys = [key for key, _, _ in pairs]
    if not all(_KEY.fullmatch(key) and value for key, _, value in pairs):
        return None
    if pairs[0][2] not in _VERSIONS or keys[1:] != sorted(set(keys[1:])):
        return None
    return _pointer_of({key: value for key, _, value in pairs})


def _pointer_of(values: dict[bytes, bytes]) -> Pointer | None:
    oid = _OID.fullmatch(values.get(b"oid", b""))
    size = _SIZE.fullmatch(values.get(b"size", b""))
    if oid is None or size is None or int(size[0]) > _MAX_SIZE:
        return None
    known = (b"version", b"oid", b"size")
    extra = tuple(b"%s %s" % item for item in values.items() if item[0] not in known)
    return Pointer(FileId(bytes.fromhex(oid[1].decode())), int(size[0]), extra)
