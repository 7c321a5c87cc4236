"""Extended attributes of a workspace, without a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.vfs_errors import Invalid, NoData, TooBig, Unsupported

if TYPE_CHECKING:
    from mlbfs.workspace.testing import Bench, Paths


def test_set_get_list_remove(bench: Bench) -> None:
    """Values of a committed file come back, sorted by name, and go."""
    with bench.open() as workspace:
        ino = workspace.lookup(workspace.root_inode, b"a").ino
        assert workspace.listxattr(ino) == []
        workspace.setxattr(ino, b"user.b", b"2")
        workspace.setxattr(ino, b"user.a", b"\0\xff")
        workspace.setxattr(ino, b"user.b", b"")
        assert workspace.listxattr(ino) == [b"user.a", b"user.b"]
        assert workspace.getxattr(ino, b"user.a") == b"\0\xff"
        assert workspace.getxattr(ino, b"user.b") == b""
        workspace.removexattr(ino, b"user.a")
        assert workspace.listxattr(ino) == [b"user.b"]


def test_missing(bench: Bench) -> None:
    """What is not there is told as such, with and without a row."""
    with bench.open() as workspace:
        ino = workspace.lookup(workspace.root_inode, b"a").ino
        for _ in range(2):
            with pytest.raises(NoData):
                workspace.getxattr(ino, b"user.none")
            with pytest.raises(NoData):
                workspace.removexattr(ino, b"user.none")
            workspace.setxattr(ino, b"user.other", b"")


def test_what_is_not_taken(bench: Bench) -> None:
    """Other namespaces and values beyond the kernel's limit are refused."""
    with bench.open() as workspace:
        ino = workspace.lookup(workspace.root_inode, b"a").ino
        for name in (b"trusted.a", b"a", b"user." + b"n" * 251):
            with pytest.raises(Unsupported):
                workspace.setxattr(ino, name, b"")
        with pytest.raises(TooBig):
            workspace.setxattr(ino, b"user.a", bytes(65537))


def test_no_change_to_commit(bench: Bench) -> None:
    """Git cannot keep them, so they are no change; bytes and mode stay."""
    with bench.open() as workspace:
        found = workspace.lookup(workspace.root_inode, b"a")
        workspace.setxattr(found.ino, b"user.a", b"1")
        assert workspace.status().is_clean
        after = workspace.getattr(found.ino)
        assert (after.mode, after.size, after.mtime_ns) == (found.mode, found.size, found.mtime_ns)
        assert workspace.read(found.ino, 0, 100) == b"text of a\n"


def test_the_value_that_is_there_changes_nothing(paths: Paths) -> None:
    """Not the times either, as on ext4."""
    ino = paths.inode(b"a")
    paths.workspace.setxattr(ino, b"user.a", b"value")
    before = paths.stat(b"a")
    while now_ns() == before.ctime_ns:  # some milliseconds
        pass
    paths.workspace.setxattr(ino, b"user.a", b"value")
    assert paths.stat(b"a") == before


def test_a_name_without_a_name(paths: Paths) -> None:
    """`user.` alone is no name, for any operation."""
    workspace, ino = paths.workspace, paths.inode(b"a")
    with pytest.raises(Invalid):
        workspace.setxattr(ino, b"user.", b"value")
    with pytest.raises(Invalid):
        workspace.getxattr(ino, b"user.")
    with pytest.raises(Invalid):
        workspace.removexattr(ino, b"user.")
