"""Tests of appending to a new file past the page cache."""

from __future__ import annotations

import mmap
import os
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbfs.store import output
from mlbfs.store.files import Files
from mlbfs.store.output import Output

if TYPE_CHECKING:
    from pathlib import Path

PAGE_SIZE = mmap.PAGESIZE
BLOCK = 4 * PAGE_SIZE
SIZES = st.one_of(
    st.integers(0, 3 * BLOCK), st.sampled_from([0, 1, PAGE_SIZE, BLOCK - 1, BLOCK, BLOCK + 1])
)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "BLOCK_SIZE", BLOCK)


class ShortFiles(Files):
    """Real files that take no more than `most` bytes at once, as a full device may."""

    def __init__(self, most: int) -> None:
        self.most = most

    def write(self, fd: int, data: bytes | memoryview) -> int:
        return super().write(fd, memoryview(data)[: self.most])


class FullFiles(Files):
    """Real files on a device that takes nothing after `left` writes."""

    def __init__(self, left: int) -> None:
        self.left = left

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, os.strerror(28))
        return super().write(fd, data)


def _write(path: Path, files: Files, pieces: list[bytes]) -> None:
    out = Output(path, files)
    try:
        for piece in pieces:
            out.write(piece)
        os.close(out.finish())
    finally:
        out.close()


@given(sizes=st.lists(SIZES, max_size=12), seed=st.integers(0, 2**32))
def test_the_file_is_what_was_written(
    sizes: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the pieces, the file is their concatenation."""
    source = random.Random(seed)
    pieces = [source.randbytes(size) for size in sizes]
    path = tmp_path_factory.mktemp("output") / "file"
    _write(path, Files(), pieces)
    assert path.read_bytes() == b"".join(pieces)


@pytest.mark.parametrize("most", [1000, PAGE_SIZE, PAGE_SIZE + 512])
def test_short_writes_are_continued(most: int, tmp_path: Path) -> None:
    """A write may take less than it was given, even an odd number of bytes."""
    data = random.Random(most).randbytes(6 * BLOCK + 77)
    _write(tmp_path / "file", ShortFiles(most), [data])
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("left", range(8))
def test_every_failed_write_is_told(left: int, tmp_path: Path) -> None:
    """No position loses an error between the threads."""
    data = random.Random(left).randbytes(7 * BLOCK + 5)
    with pytest.raises(OSError, match="No space left"):
        _write(tmp_path / "file", FullFiles(left), [data])


def test_a_file_that_is_not_finished_is_closed(tmp_path: Path) -> None:
    """Neither a descriptor nor a thread is left."""
    before = len(os.listdir("/proc/self/fd"))
    out = Output(tmp_path / "file", Files())
    out.write(bytes(6 * BLOCK))
    out.close()
    out.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_system_without_direct_writes_will_do(tmp_path: Path) -> None:
    """Where O_DIRECT is refused, writes are buffered."""

    class Refusing(Files):
        def create_direct(self, path: Path) -> int:
            return self.create(path)

    data = random.Random(1).randbytes(3 * BLOCK + 1)
    _write(tmp_path / "file", Refusing(), [data])
    assert (tmp_path / "file").read_bytes() == data
