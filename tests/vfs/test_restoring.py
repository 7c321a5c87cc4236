"""Paths that go back to what a commit has, while files are open."""

from __future__ import annotations

import errno
import stat

import pytest

from mlbfs.errors import NotFoundError, StorageError
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.diff import ChangeKind
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.testing import SIGNATURE, Paths, Shape, file
from mlbfs.workspace.vfs_errors import NoEntry


def changes(workspace):
    return {change.path: change.kind for change in workspace.status().changes}


def wreck(paths):
    """Makes a change of every kind."""
    paths.write(b"a", 0, b"TEXT")
    paths.write(b"big", 7, b"seven")
    paths.unlink(b"run")
    paths.symlink(b"run", b"a")
    paths.chmod(b"d/two", 0o755)
    paths.unlink(b"d/one")
    paths.rename(b"copy", b"moved")
    paths.mkdir(b"new")
    paths.mkdir(b"new/deep")
    paths.create(b"new/deep/file", b"new\n")
    paths.unlink(b"link")
    paths.mkdir(b"link")
    paths.create(b"link/x", b"x\n")


def test_everything_goes_back(bench, paths):
    """Content, modes, types, deletions, renames and whole folders; also after opening again."""
    before = bench.committed(bench.head())
    wreck(paths)
    dropped = paths.dump()
    done = paths.workspace.restore()
    assert paths.workspace.status().is_clean
    assert {path.split(b"/")[0] for path in done.paths} == {
        *(b"a", b"big", b"run", b"d", b"copy", b"moved", b"new", b"link")
    }
    held = {path: data for path, (mode, data) in paths.dump().items() if not stat.S_ISDIR(mode)}
    assert held == {path: shape.data for path, shape in before.items()}
    assert not paths.workspace.needs_savepoint
    paths.workspace.restore(source=done.savepoint.commit)
    assert {p: d for p, (_, d) in paths.dump().items()} == {p: d for p, (_, d) in dropped.items()}
    paths.workspace.close()
    with bench.open() as again:
        assert {p: d for p, (_, d) in Paths(again).dump().items()} == {
            p: d for p, (_, d) in dropped.items()
        }
        again.restore()
        assert again.status().is_clean
    with bench.open() as again:
        assert again.status().is_clean
        assert Paths(again).names(b"copy") == [b"e", b"one", b"two"]


def test_only_what_was_named_goes_back(paths):
    """One file, one folder, one name that was deleted with the folder above it."""
    wreck(paths)
    paths.workspace.restore([b"a", b"d"])
    left = changes(paths.workspace)
    assert not {b"a", b"d/one", b"d/two"} & left.keys()
    assert left[b"big"] is ChangeKind.MODIFIED
    paths.workspace.restore([b"copy/e/deep"])
    assert paths.read(b"copy/e/deep") == b"deep\n"
    assert changes(paths.workspace)[b"copy/one"] is ChangeKind.DELETED
    paths.unlink(b"copy/e/deep")
    assert changes(paths.workspace)[b"copy/e/deep"] is ChangeKind.DELETED
    with pytest.raises(NotFoundError):
        paths.workspace.restore([b"nowhere"])


def test_open_files_stay_what_they_were(paths):
    """The name means another inode; who has the old one open reads and writes it until the end."""
    workspace = paths.workspace
    paths.write(b"a", 0, b"TEXT")
    old = workspace.lookup(ROOT_INODE, b"a").ino
    done = workspace.restore([b"a"])
    assert (ROOT_INODE, b"a") in done.names
    assert paths.inode(b"a") != old
    assert workspace.read(old, 0, 99) == b"TEXT of a\n"
    workspace.write(old, 0, b"more")
    assert workspace.read(old, 0, 99) == b"more of a\n"
    assert paths.read(b"a") == b"text of a\n"
    assert workspace.getattr(old).nlink == 0
    workspace.forget(old, 1)
    assert workspace.status().is_clean


def test_a_folder_that_goes_is_dead_for_those_who_stand_in_it(paths):
    """Nothing can be made in it, and what was open in it can be read."""
    workspace = paths.workspace
    paths.rename(b"d", b"moved")
    inner = workspace.lookup(ROOT_INODE, b"moved").ino
    held = workspace.lookup(inner, b"one").ino
    workspace.restore([b"moved"])
    assert not paths.exists(b"moved")
    with pytest.raises(NoEntry):
        workspace.create(inner, b"x", 0o644, uid=0, gid=0)
    assert workspace.read(held, 0, 9) == b"1\n"
    workspace.forget(held, 1)
    workspace.forget(inner, 1)
    assert changes(workspace).keys() == {b"d/one", b"d/two", b"d/e/deep"}


def test_a_large_file_goes_back_without_a_copy(paths):
    """It stands on the content of the commit."""
    paths.write(b"big", 7, b"seven")
    paths.workspace.restore([b"big"])
    assert paths.read(b"big")[:16] == bytes(range(16))
    paths.workspace.sync()
    assert not list((paths.workspace.root / "data").iterdir())


def test_what_no_savepoint_holds_is_left_alone(paths):
    """Pipes, refused names and empty folders, and the folders above them."""
    paths.mkdir(b"new")
    paths.create(b"new/file", b"new\n")
    paths.mkdir(b"new/.git")
    paths.create(b"new/.git/HEAD", b"ref\n")
    paths.mkdir(b"empty")
    paths.workspace.mknod(ROOT_INODE, b"pipe", stat.S_IFIFO | 0o600, 0, uid=0, gid=0)
    paths.unlink(b"run")
    paths.workspace.mknod(ROOT_INODE, b"run", stat.S_IFIFO | 0o600, 0, uid=0, gid=0)
    done = paths.workspace.restore()
    assert done.kept == [b"run"]
    assert paths.read(b"new/.git/HEAD") == b"ref\n"
    assert not paths.exists(b"new/file")
    assert paths.exists(b"empty")
    assert stat.S_ISFIFO(paths.stat(b"run").mode)


def test_a_commit_after_a_restore_from_elsewhere_takes_it(bench, paths):
    """What an older commit has becomes a change."""
    old = bench.head()
    paths.write(b"a", 0, b"TEXT")
    paths.unlink(b"d/e/deep")
    paths.workspace.commit("newer", author=SIGNATURE)
    paths.workspace.restore([b"a", b"d"], source=old)
    assert changes(paths.workspace) == {
        b"a": ChangeKind.MODIFIED,
        b"d/e/deep": ChangeKind.ADDED,
    }
    paths.workspace.commit("older again", author=SIGNATURE)
    assert bench.committed(bench.head()) == bench.committed(old)


def test_without_a_savepoint_nothing_is_kept(paths):
    """The changes are gone for good, as asked for."""
    paths.write(b"a", 0, b"TEXT")
    assert paths.workspace.restore(keep=False).savepoint is None
    assert paths.workspace.status().is_clean


def test_names_that_come_and_go_are_told(bench, paths):
    """Whoever remembers names can forget exactly these."""
    told = []
    paths.workspace.on_stale = told.append
    paths.unlink(b"d/one")
    paths.create(b"d/new", b"new\n")
    d = paths.inode(b"d")
    paths.workspace.restore([b"d"])
    assert sorted(told[0].names) == [(d, b"new"), (d, b"one")]
    assert d in told[0].attributes


def test_links_and_modes_go_back(bench, paths):
    """A link with another target, and a file that lost its executable bit."""
    paths.unlink(b"link")
    paths.symlink(b"link", b"run")
    paths.chmod(b"run", 0o644)
    paths.workspace.restore([b"link", b"run"])
    assert paths.workspace.status().is_clean
    assert paths.workspace.readlink(paths.inode(b"link")) == b"a"
    assert paths.stat(b"run").mode & 0o100
    assert bench.committed(bench.head())[b"link"] == Shape(EntryKind.SYMLINK, b"a")
    assert bench.committed(bench.head())[b"run"] == file(b"#!/bin/sh\n", executable=True)


def test_attributes_that_no_commit_has_stay(bench, paths):
    """A commit cannot bring them back, so a restore does not take them."""
    ino = paths.inode(b"a")
    paths.workspace.setxattr(ino, b"user.note", b"mine")
    paths.write(b"a", 0, b"CHANGED")
    paths.workspace.restore([b"a"])
    assert paths.workspace.getxattr(paths.inode(b"a"), b"user.note") == b"mine"
    assert paths.read(b"a") == bench.committed(bench.head())[b"a"].data


def test_all_paths_go_back_or_none(bench, paths, monkeypatch):
    """A device that fails at the last of three names leaves all three as they were."""
    for path in (b"a", b"big", b"d/two"):
        paths.write(path, 0, b"CHANGED")
    before = paths.dump()
    overlay = paths.workspace._core.overlay
    insert, calls = overlay.insert_node, []

    def fail_at_the_third(node):
        calls.append(node)
        if len(calls) == 3:
            raise OSError(errno.EIO, "error")
        insert(node)

    monkeypatch.setattr(overlay, "insert_node", fail_at_the_third)
    with pytest.raises(StorageError):
        paths.workspace.restore([b"a", b"big", b"d/two"])
    monkeypatch.undo()
    assert paths.dump() == before
    assert not paths.workspace.status().is_clean
    paths.workspace.restore([b"a", b"big", b"d/two"])
    assert paths.workspace.status().is_clean


def test_what_programs_have_open_is_replaced(bench, paths):
    """An open for writing by the old inode is sent to look again, as after a move."""
    ino = paths.workspace.lookup(ROOT_INODE, b"a").ino
    paths.write(b"a", 0, b"CHANGED")
    paths.workspace.restore([b"a"])
    assert paths.workspace.is_replaced(ino)
    assert not paths.workspace.is_replaced(paths.inode(b"a"))
