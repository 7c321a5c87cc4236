"""Bits that lend rights, times at their limits: the rules of a local file system."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from mlbfs.workspace.attributes import Caller, SetAttr, without_lent_rights

if TYPE_CHECKING:
    from mlbfs.workspace.testing import Paths

MAX_TIME = (1 << 63) - 1


def caller(uid: int, *groups: int) -> Caller:
    return Caller(uid, 1000, lambda: groups)


@pytest.mark.parametrize(
    ("mode", "left"),
    [(0o4755, 0o755), (0o2755, 0o755), (0o6777, 0o777), (0o1777, 0o1777), (0o2644, 0o644)],
)
def test_others_take_the_bits_away(mode: int, left: int) -> None:
    """Set-user-id and set-group-id go, the sticky bit stays."""
    assert without_lent_rights(mode, 7, caller(1000)) == left


def test_members_keep_what_lends_nothing() -> None:
    """Set-group-id without the execute bit stays for members of the group, asked in turn."""
    assert without_lent_rights(0o2644, 1000, caller(1000)) == 0o2644
    assert without_lent_rights(0o2644, 7, caller(1000, 6, 7)) == 0o2644
    assert without_lent_rights(0o2755, 7, caller(1000, 7)) == 0o755


def test_root_keeps_them() -> None:
    """Root may lend the rights of anybody."""
    assert without_lent_rights(0o6777, 7, caller(0)) == 0o6777


@pytest.mark.parametrize("change", [{"size": 0}, {"size": 30}, {"uid": 1000}, {"gid": 1000}])
def test_length_and_owner_take_them_away(paths: Paths, change: dict[str, int]) -> None:
    """Of a committed file, too; a change of time alone takes nothing away (S34)."""
    paths.chmod(b"run", 0o6755)
    ino = paths.inode(b"run")
    paths.workspace.setattr(ino, SetAttr(mtime_ns=5, caller=caller(1000)))
    assert stat.S_IMODE(paths.stat(b"run").mode) == 0o6755
    paths.workspace.setattr(ino, SetAttr(**change, caller=caller(1000)))
    assert stat.S_IMODE(paths.stat(b"run").mode) == 0o755


def test_folders_keep_them(paths: Paths) -> None:
    """There set-group-id means something else."""
    paths.chmod(b"d", 0o2755)
    paths.workspace.setattr(paths.inode(b"d"), SetAttr(gid=7, caller=caller(1000)))
    assert stat.S_IMODE(paths.stat(b"d").mode) == 0o2755


@pytest.mark.parametrize("path", [b"a", b"d", b"link"])
def test_times_beyond_what_can_be_kept(paths: Paths, path: bytes) -> None:
    """The nearest one that can be kept takes their place (S42)."""
    ino = paths.inode(path)
    paths.workspace.setattr(ino, SetAttr(atime_ns=-(1 << 70), mtime_ns=1 << 70))
    found = paths.stat(path)
    assert (found.atime_ns, found.mtime_ns) == (-MAX_TIME - 1, MAX_TIME)


def test_reading_leaves_the_access_time(paths: Paths) -> None:
    """Also that of a file with a data file (S41)."""
    ino = paths.create(b"new", b"bytes")
    paths.workspace.setattr(ino, SetAttr(atime_ns=5))
    assert paths.workspace.read(ino, 0, 5) == b"bytes"
    assert paths.stat(b"new").atime_ns == 5
