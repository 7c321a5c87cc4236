"""How two versions of a file are compared."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mlbfs.git.textdiff import unified_hunks
from mlbfs.limits import MAX_CHUNK_SIZE
from mlbfs.workspace.contentdiff import (
    PIECE,
    ChunkDifference,
    TextDifference,
    compare,
    is_text,
)
from mlbfs.workspace.source import BytesReader


def _compare(old: bytes | None, new: bytes | None) -> TextDifference | ChunkDifference:
    return compare(
        None if old is None else BytesReader(old), None if new is None else BytesReader(new)
    )


def test_text_is_compared_by_lines() -> None:
    """The hunks are what patch and people read."""
    found = _compare(b"a\nb\nc\n", b"a\nx\nc\n")
    assert found == TextDifference(b"@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n")


def test_new_and_deleted_text() -> None:
    """No file stands for no lines."""
    assert _compare(None, b"a\n") == TextDifference(b"@@ -0,0 +1 @@\n+a\n")
    assert _compare(b"a\n", None) == TextDifference(b"@@ -1 +0,0 @@\n-a\n")
    assert _compare(b"", None) == TextDifference(b"")


def test_missing_newline_at_the_end_is_told() -> None:
    """As diff tells it."""
    assert unified_hunks(b"a\n", b"a") == (b"@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n")


def test_binary_is_compared_by_chunks() -> None:
    """Bytes changed in the middle leave the chunks before and after as they were."""
    old = random.Random(1).randbytes(20 * MAX_CHUNK_SIZE)
    middle = len(old) // 2
    new = old[:middle] + b"\0changed\0" + old[middle:]
    found = _compare(old, new)
    assert isinstance(found, ChunkDifference)
    assert found.old_chunks > 20
    assert 1 <= found.new_chunks - found.shared <= 3


def test_content_longer_than_a_piece_is_cut_as_one() -> None:
    """Where a piece of the reading ends does not show in the chunks."""
    data = random.Random(2).randbytes(PIECE + 5 * MAX_CHUNK_SIZE)
    found = _compare(data, data)
    assert isinstance(found, ChunkDifference)
    assert found.old_chunks == found.new_chunks == found.shared


@given(st.binary(max_size=200))
def test_text_is_valid_utf8_without_nul(data: bytes) -> None:
    """The same rule as that of an import."""
    try:
        expected = "\0" not in data.decode()
    except UnicodeDecodeError:
        expected = False
    assert is_text(data) == expected
