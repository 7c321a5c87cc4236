"""Bytes that wait for a commit come back as they were put."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import StorageError
from mlbfs.store.files import Files
from mlbfs.store.spool import ByteSpool

if TYPE_CHECKING:
    from pathlib import Path


def test_pieces_are_read_back_wherever_they_wait(tmp_path: Path) -> None:
    """A spool gives every piece back, from memory and from its file."""
    pieces = [bytes([n]) * (n * 7 % 40) for n in range(50)]
    spool = ByteSpool(tmp_path / "pieces", Files(), memory_size=100)
    starts = [spool.add(piece) for piece in pieces]
    assert pieces == [
        spool.read(start, len(piece)) for start, piece in zip(starts, pieces, strict=True)
    ]
    spool.close()
    assert (tmp_path / "pieces").stat().st_size > 100


def test_a_spool_that_was_cut_says_so(tmp_path: Path) -> None:
    """Bytes that are not there are an error, never fewer bytes."""
    spool = ByteSpool(tmp_path / "pieces", Files(), memory_size=10)
    start = spool.add(bytes(100))
    (tmp_path / "pieces").write_bytes(bytes(50))
    with pytest.raises(StorageError, match="cut"):
        spool.read(start, 100)
    spool.close()
