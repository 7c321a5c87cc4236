"""What is in a pack file: by its table when that is sound, else record by record.

Owns: the search for records in a pack whose table or trailer is damaged.
Layer: store. Imports the leaves, packs, packformat, recordformat and kernels.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blake3 import blake3

from mlbfs.errors import CorruptionError, FormatVersionError, storage_error
from mlbfs.limits import MIB
from mlbfs.store import kernels, packformat
from mlbfs.store.packformat import PackRecord
from mlbfs.store.packs import read_table
from mlbfs.store.recipe import is_root
from mlbfs.store.recordformat import (
    RECORD_HEADER_SIZE,
    RECORD_MAGIC,
    ReadStatus,
    RecordKind,
    parse_record_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WINDOW = 1 * MIB


def load_records(path: Path) -> tuple[list[PackRecord], str | None]:
    """Returns the records of a pack, and what is wrong with its table if something is.

    With a sound table the records themselves are not looked at; without one, only records that
    verify are returned.

    Raises:
        FormatVersionError: The pack is of a version that this mlbfs does not read.
        StorageError: The pack cannot be read.
    """
    try:
        return read_table(path), None
    except FormatVersionError:
        raise
    except CorruptionError as err:
        return list(scan_records(path)), err.message


def scan_records(path: Path) -> Iterator[PackRecord]:
    """Yields every record of a pack that verifies, without help from its table.

    Raises:
        StorageError: The pack cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from _scan(fd)
    except OSError as err:
        raise storage_error(err, f"pack {path.name}") from err
    finally:
        os.close(fd)


def _scan(fd: int) -> Iterator[PackRecord]:
    at = packformat.HEADER.size
    while True:
        record = _record_at(fd, at)
        if record is None:
            found = _next_magic(fd, at + 1)
            if found is None:
                return
            at = found
        else:
            yield record
            at += record.record_len


def _record_at(fd: int, at: int) -> PackRecord | None:
    header = parse_record_header(os.pread(fd, RECORD_HEADER_SIZE, at))
    if header is None:
        return None
    record = PackRecord(
        header.id32, at, header.record_length, header.plain_length, header.kind, header.codec
    )
    return record if check_record(fd, record) is None else None


def _next_magic(fd: int, at: int) -> int | None:
    while window := os.pread(fd, _WINDOW, at):
        found = window.find(RECORD_MAGIC)
        if found >= 0:
            return at + found
        if len(window) < len(RECORD_MAGIC):
            return None
        at += len(window) - len(RECORD_MAGIC) + 1
    return None


def check_record(fd: int, record: PackRecord) -> str | None:
    """Reads a record whole; returns what is wrong with it, or None.

    Raises:
        OSError: The device failed.
    """
    status, plain = kernels.read_record(fd, record.offset, record.record_len, record.id, False)
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    if status != ReadStatus.OK:
        return f"its record does not verify ({ReadStatus(status).name.lower().replace('_', ' ')})"
    if len(plain) != record.plain_len:
        return f"its record holds {len(plain)} bytes instead of {record.plain_len}"
    if record.kind != RecordKind.RECIPE_ROOT and blake3(plain).digest() != record.id:
        return "its bytes do not match its id"
    if record.kind == RecordKind.RECIPE_ROOT and not is_root(plain):
        return "its recipe cannot be parsed"
    return None
