"""The store lock and the directories of writers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError, ErrorKind
from mlbfs.store.locks import FileLock
from mlbfs.store.packs import WriterDirectory, remove_leftovers

if TYPE_CHECKING:
    from pathlib import Path


def test_writers_share(tmp_path: Path) -> None:
    """Any number of them."""
    path = tmp_path / "lock"
    with FileLock(path, exclusive=False), FileLock(path, exclusive=False):
        pass


@pytest.mark.parametrize("first", [False, True])
def test_gc_is_alone(tmp_path: Path, first: bool) -> None:
    """Whoever comes second is told so at once."""
    path = tmp_path / "lock"
    with FileLock(path, exclusive=first), pytest.raises(ConflictError) as caught:
        FileLock(path, exclusive=not first)
    assert caught.value.kind is ErrorKind.LOCKED
    FileLock(path, exclusive=True).release()


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    """The directory of a writer at work stays, that of a dead one goes."""
    mine = WriterDirectory(tmp_path)
    (mine.path / "0.pack").write_bytes(b"x")
    dead = tmp_path / "tmp-0123456789abcdef"
    dead.mkdir()
    (dead / "0.pack").write_bytes(b"x" * 10_000)
    assert remove_leftovers(tmp_path) >= 10_000
    assert [mine.path] == list(tmp_path.iterdir())
    mine.remove()
    assert list(tmp_path.iterdir()) == []
