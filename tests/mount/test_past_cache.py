"""Handles that only write go past the kernel's cache: what others see of it, and at once."""

from __future__ import annotations

import mmap
import os
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.mount.conftest import Mounts

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

SIZE = 10_000


class Handles:
    """One file, open in each of the three ways."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writing = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(self.writing, b"a" * SIZE)
        self.reading = os.open(path, os.O_RDONLY)
        self.both = os.open(path, os.O_RDWR)

    def close(self) -> None:
        for descriptor in (self.writing, self.reading, self.both):
            os.close(descriptor)


@pytest.fixture
def file(mounts: Mounts) -> Iterator[Handles]:
    """A file of 10,000 times `a` in a mounted branch."""
    handles = Handles(mounts.mount("main") / "file")
    yield handles
    handles.close()


def test_a_reader_sees_a_write_at_once(file: Handles) -> None:
    """Also what it has read before and the kernel has kept."""
    assert os.pread(file.reading, SIZE, 0) == b"a" * SIZE
    os.pwrite(file.writing, b"BBB", 2)
    assert os.pread(file.reading, 6, 0) == b"aaBBBa"
    assert file.path.read_bytes()[:6] == b"aaBBBa"


def test_a_mapped_reader_sees_a_write_at_once(file: Handles) -> None:
    """The pages that were mapped go, and come back with the new bytes."""
    with mmap.mmap(file.reading, SIZE, prot=mmap.PROT_READ) as mapped:
        assert mapped[:6] == b"aaaaaa"
        os.pwrite(file.writing, b"BBB", 2)
        assert mapped[:6] == b"aaBBBa"


def test_a_write_over_a_mapped_page_that_was_changed_loses_neither(file: Handles) -> None:
    """What the map changed reaches the file before the page goes."""
    with mmap.mmap(file.both, SIZE) as mapped:
        mapped[8000:8003] = b"ZZZ"
        os.pwrite(file.writing, b"CC", 8001)
        assert mapped[7999:8004] == b"aZCCa"
        assert os.pread(file.reading, 5, 7999) == b"aZCCa"


def test_appends_of_two_handles_follow_each_other(file: Handles) -> None:
    """Each finds the end where the other has put it."""
    one, other = (os.open(file.path, os.O_WRONLY | os.O_APPEND) for _ in range(2))
    for _ in range(100):
        os.write(one, b"1111111")
        os.write(other, b"2222222")
    assert os.fstat(file.reading).st_size == SIZE + 1400
    assert os.pread(file.reading, 1400, SIZE) == b"11111112222222" * 100
    os.close(one)
    os.close(other)


def test_a_cut_by_the_same_handle_is_seen(file: Handles) -> None:
    """Length and bytes, also by who has them in the kernel's cache."""
    assert len(os.pread(file.reading, SIZE, 0)) == SIZE
    os.ftruncate(file.writing, 5)
    assert os.pread(file.reading, 100, 0) == b"aaaaa"
    assert os.fstat(file.reading).st_size == 5


@pytest.mark.parametrize("bits", [stat.S_ISUID, stat.S_ISUID | stat.S_ISGID | stat.S_IXGRP])
def test_rights_that_were_lent_after_the_open_are_taken_back(file: Handles, bits: int) -> None:
    """The kernel leaves that to us for such a handle."""
    file.path.chmod(0o744 | bits)
    os.write(file.writing, b"x")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o744 | (bits & stat.S_IXGRP)


def test_writes_of_any_length_and_place_arrive(mounts: Mounts, tmp_path: Path) -> None:
    """Longer than a request, not on a page, in many pieces, and by a program that copies."""
    place = mounts.mount("main")
    data = os.urandom(3_654_321)
    with (place / "long").open("wb", buffering=0) as file:
        assert file.write(data) == len(data)
    descriptor = os.open(place / "pieces", os.O_CREAT | os.O_WRONLY, 0o644)
    at = 0
    while at < len(data):
        view = memoryview(data)
        at += os.writev(descriptor, [view[at : at + 99_999], view[at + 99_999 : at + 123_456]])
    os.close(descriptor)
    for name in ("long", "pieces"):
        assert (place / name).read_bytes() == data, name
