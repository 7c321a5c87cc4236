"""All refs by name in one mount."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.fuse, pytest.mark.slow]  # each test has its own mount


@pytest.fixture
def place(mounts) -> Path:
    """All refs of the sample repository."""
    return mounts.mount(None)


def test_refs_are_folders(place: Path, builder) -> None:
    """Branches, tags and tips are listed; names with slashes are nested."""
    tip = builder.commit("refs/heads/team/one", {b"file": b"one\n"})
    first = builder.git.refs.read("refs/heads/main")
    assert sorted(os.listdir(place)) == ["branches", "commits", "tags"]
    assert sorted(os.listdir(place / "branches")) == ["main", "team"]
    assert os.listdir(place / "branches/team") == ["one"]
    assert os.listdir(place / "tags") == ["v1"]
    assert sorted(os.listdir(place / "commits")) == sorted([first.hex(), tip.hex()])
    assert (place / "branches/team/one/file").read_bytes() == b"one\n"
    assert (place / "tags/v1/folder/below/deep.txt").read_bytes() == b"deep\n"


def test_branch_comes_moves_and_goes(place: Path, builder) -> None:
    """A branch made, moved and deleted elsewhere shows at once; an open folder stays as it was."""
    path = place / "branches/new"
    assert not path.exists()
    builder.commit("refs/heads/new", {b"file": b"first\n"})
    assert (path / "file").read_bytes() == b"first\n"
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        builder.commit("refs/heads/new", {b"file": b"second\n", b"more": b""})
        assert (path / "file").read_bytes() == b"second\n"
        assert sorted(os.listdir(path)) == ["file", "more"]
        assert os.listdir(held) == ["file"]
    finally:
        os.close(held)
    builder.point("refs/heads/new", None)
    assert not path.exists()
    assert os.listdir(place / "branches") == ["main"]


def test_any_commit_is_found(place: Path, builder) -> None:
    """A commit is found by its id, whole or short, although only tips are listed."""
    old = builder.git.refs.read("refs/heads/main")
    builder.point("refs/tags/v1", None)
    builder.commit("refs/heads/main", {b"file": b"x"}, (old,))
    assert old.hex() not in os.listdir(place / "commits")
    assert (place / "commits" / old.hex() / "hello.txt").read_bytes() == b"hello\n"
    assert (place / "commits" / old.hex()[:10] / "hello.txt").read_bytes() == b"hello\n"
    builder.point("refs/heads/abcdef12", old)
    for name in ("main", "zzz", "0" * 40, "HEAD~1", "abcdef12"):
        assert not (place / "commits" / name).exists()
    for name in ("main~1", "main^", "HEAD", "main@{0}"):
        assert not (place / "branches" / name).exists()


def test_same_tree_shares_file_inodes(place: Path, builder) -> None:
    """One tree on two branches has the same files, and so the same page cache."""
    main = builder.git.refs.read("refs/heads/main")
    builder.point("refs/heads/other", main)
    one, two = place / "branches/main", place / "branches/other"
    assert (one / "binary").stat().st_ino == (two / "binary").stat().st_ino
    assert (one / "folder").stat().st_ino != (two / "folder").stat().st_ino
    assert (one / "folder/data").stat().st_ino == (two / "folder/data").stat().st_ino


def test_nothing_can_be_changed(place: Path) -> None:
    """All of it is read-only."""
    for change in ((place / "branches/x").mkdir, (place / "branches/main/hello.txt").unlink):
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno == errno.EROFS


def test_walk_finds_every_file_once(place: Path) -> None:
    """A walk with find's loop detection goes through everything."""
    found = [
        Path(folder, name).relative_to(place)
        for folder, _, names in os.walk(place / "branches")
        for name in names
    ]
    assert len(found) == len(set(found)) == 8
