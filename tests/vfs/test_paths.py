"""From an inode back to its path, for the words of a log."""

from __future__ import annotations

import pytest

from mlbfs.workspace.vfs_errors import Stale


def test_every_inode_leads_back(paths):
    """What is of the snapshot, what was changed, what was made and what was moved."""
    paths.write(b"a", 0, b"changed\n")
    paths.create(b"d/new", b"new\n")
    paths.mkdir(b"folder")
    paths.rename(b"d", b"folder/moved")
    for path in (b"", b"big", b"copy/e/deep", b"a", b"folder", b"folder/moved/new"):
        assert paths.workspace.path_of(paths.inode(path)) == path
    for below in (b"folder/moved/one", b"folder/moved/e", b"folder/moved/e/deep"):
        assert paths.workspace.path_of(paths.inode(below)) == below


def test_a_removed_file_has_no_path(paths):
    """One that a program still has open has none; a number that means nothing is an error."""
    ino = paths.create(b"new", b"new\n")
    paths.workspace.lookup(1, b"new")
    paths.unlink(b"new")
    assert paths.workspace.path_of(ino) is None
    with pytest.raises(Stale):
        paths.workspace.path_of(1 << 50)
