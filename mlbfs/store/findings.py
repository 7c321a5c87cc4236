"""What fsck can find: values only.

Owns: the kinds of findings. They are append-only, for programs match on them.
Layer: store. Imports the leaves only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """Stable code of a finding."""

    PACK_UNREADABLE = "pack-unreadable"
    PACK_TABLE_DAMAGED = "pack-table-damaged"
    PACK_MISSING = "pack-missing"
    PACK_NOT_INDEXED = "pack-not-indexed"
    RECORD_DAMAGED = "record-damaged"
    INDEX_NOT_READY = "index-not-ready"
    INDEX_ROW_WRONG = "index-row-wrong"
    INDEX_ROW_MISSING = "index-row-missing"
    FILE_INCOMPLETE = "file-incomplete"
    DIRECTORY_DAMAGED = "directory-damaged"
    LEFTOVER = "leftover"
    FILE_ID_WRONG = "file-id-wrong"
    MIDSTATES_WRONG = "midstates-wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: What it is.
        message: One line for people.
        harmful: Whether content cannot be read, or would not be after the loss of the index;
            what is only left over is not harmful.
        pack: File name of the pack that it is about.
        record_id: Chunk or file that it is about.
        repaired: Whether the repair that found it has dealt with it.
    """

    kind: FindingKind
    message: str
    harmful: bool = True
    pack: str | None = None
    record_id: bytes | None = None
    repaired: bool = False
