"""Copying records from old packs to new ones, as they are.

Owns: nothing; used by gc and by the repair of damaged packs.
Layer: store. Imports the leaves, packs, packscan, sink and batch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlbfs.errors import StorageError, storage_error
from mlbfs.limits import MIB
from mlbfs.store.batch import Encoded
from mlbfs.store.packs import damaged_pack
from mlbfs.store.packscan import check_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mlbfs.store.packformat import PackRecord
    from mlbfs.store.sink import PackSink

GROUP_SIZE = 4 * MIB
"""Bytes copied at once."""


def copy_records(path: Path, records: Iterable[PackRecord], sink: PackSink) -> None:
    """Copies records of the pack at `path`, each verified first.

    Raises:
        CorruptionError: A record is damaged.
        StorageError: The device failed.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for group in _groups(records):
                sink.append(_load(fd, path, group))
        finally:
            os.close(fd)
    except OSError as err:
        raise storage_error(err, f"pack {path.name}") from err


def _groups(records: Iterable[PackRecord]) -> Iterator[list[PackRecord]]:
    group: list[PackRecord] = []
    size = 0
    for record in records:
        group.append(record)
        size += record.record_len
        if size >= GROUP_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _load(fd: int, path: Path, group: list[PackRecord]) -> Encoded:
    encoded = Encoded()
    at = 0
    for record in group:
        wrong = check_record(fd, record)
        if wrong is not None:
            raise damaged_pack(path, f"{record.id.hex()[:10]}: {wrong}")
        data = os.pread(fd, record.record_len, record.offset)
        if len(data) != record.record_len:
            raise StorageError(f"pack {path.name}: it was cut while it was read")
        encoded.parts.append(data)
        encoded.records.append(
            (record.id, at, record.record_len, record.plain_len, record.kind, record.codec)
        )
        at += record.record_len
    return encoded
