"""Identifiers: raw bytes in memory, lower-case hex in text.

Owns: the id types and their text form.
Layer: leaf. Imports the standard library and errors.
"""

from __future__ import annotations

from typing import NewType

from mlbfs.errors import ErrorKind, InvalidInputError

ChunkId = NewType("ChunkId", bytes)
"""BLAKE3-256 of a chunk's plain bytes; 32 bytes."""

FileId = NewType("FileId", bytes)
"""SHA-256 of a whole file, as in a Git LFS pointer; 32 bytes."""

PackId = NewType("PackId", bytes)
"""BLAKE3-256 of a pack's footer; 32 bytes. It names the pack file."""

ObjectId = NewType("ObjectId", bytes)
"""SHA-1 name of a Git object; 20 bytes."""

CHUNK_ID_SIZE = 32
FILE_ID_SIZE = 32
PACK_ID_SIZE = 32
OBJECT_ID_SIZE = 20

SHORT_HEX = 10
"""Digits of an id shown to people."""


def short_hex(raw: bytes) -> str:
    """Returns the first digits of an id, for people."""
    return raw.hex()[:SHORT_HEX]


def _parse(text: str, size: int, what: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != size or len(text) != 2 * size:
        raise InvalidInputError(
            f"{text!r} is not a {what} id ({2 * size} hex digits)", kind=ErrorKind.INVALID_ARGUMENT
        )
    return raw


def parse_object_id(text: str) -> ObjectId:
    """Parses 40 hex digits.

    Raises:
        InvalidInputError: `text` is anything else.
    """
    return ObjectId(_parse(text, OBJECT_ID_SIZE, "Git object"))


def parse_file_id(text: str) -> FileId:
    """Parses 64 hex digits.

    Raises:
        InvalidInputError: `text` is anything else.
    """
    return FileId(_parse(text, FILE_ID_SIZE, "file"))
