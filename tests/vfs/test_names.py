"""What operations on names answer, as ext4 would."""

from __future__ import annotations

import os
import stat

import pytest

from mlbfs.workspace.attributes import RenameFlags, SetAttr
from mlbfs.workspace.vfs_errors import (
    Exists,
    Invalid,
    IsDirectory,
    NameTooLong,
    NoEntry,
    NotDirectory,
    NotEmpty,
    NotPermitted,
)

LONG = b"n" * 255


def test_names_of_255_bytes_are_kept_and_longer_ones_refused(paths):
    """The limit is that of ext4, for making and for looking up (S3)."""
    paths.create(LONG, b"x")
    assert paths.read(LONG) == b"x"
    for action in (paths.create, paths.mkdir, paths.inode, paths.unlink):
        with pytest.raises(NameTooLong):
            action(LONG + b"n")
    with pytest.raises(NameTooLong):
        paths.rename(b"a", LONG + b"n")


@pytest.mark.parametrize("name", [b"", b"x/y", b"nul\0"])
def test_impossible_names_are_invalid(paths, name):
    """A name is one part of a path."""
    with pytest.raises(Invalid):
        paths.workspace.create(1, name, 0o644, uid=0, gid=0)


@pytest.mark.parametrize("path", [b"a", b"d", b"d/one", b"link"])
def test_making_over_what_is_there_is_refused(paths, path):
    """Whether it stands in the snapshot or not."""
    for action in (paths.create, paths.mkdir, lambda p: paths.symlink(p, b"t")):
        with pytest.raises(Exists):
            action(path)
    with pytest.raises(Exists):
        paths.link(b"a", path)


def test_removing_the_wrong_kind_is_refused(paths):
    """Directories go with rmdir, everything else with unlink."""
    with pytest.raises(IsDirectory):
        paths.unlink(b"d")
    with pytest.raises(NotDirectory):
        paths.rmdir(b"a")
    with pytest.raises(NotEmpty):
        paths.rmdir(b"d")
    with pytest.raises(NoEntry):
        paths.unlink(b"missing")
    with pytest.raises(NotDirectory):
        paths.inode(b"a/below")


def test_a_directory_of_the_snapshot_can_be_emptied_and_removed(paths):
    """Whiteouts count as gone."""
    for name in (b"d/one", b"d/two", b"d/e/deep"):
        paths.unlink(name)
    with pytest.raises(NotEmpty):
        paths.rmdir(b"d")
    paths.rmdir(b"d/e")
    paths.rmdir(b"d")
    assert not paths.exists(b"d")
    paths.mkdir(b"d")
    assert paths.names(b"d") == []


def test_nothing_is_made_in_a_removed_directory(paths):
    """A process may still stand in it."""
    paths.mkdir(b"gone")
    folder = paths.workspace.lookup(1, b"gone").ino
    paths.rmdir(b"gone")
    with pytest.raises(NoEntry):
        paths.workspace.create(folder, b"x", 0o644, uid=0, gid=0)
    assert paths.workspace.getattr(folder).nlink == 0


def test_rename_over_a_file_replaces_it(paths):
    """The old content is gone, the new has the name."""
    paths.rename(b"a", b"d/one")
    assert paths.read(b"d/one") == b"text of a\n"
    assert not paths.exists(b"a")


def test_rename_of_one_link_over_another_does_nothing(paths):
    """POSIX asks for that: both names stay."""
    paths.link(b"a", b"same")
    paths.rename(b"a", b"same")
    assert paths.exists(b"a")
    assert paths.stat(b"same").nlink == 2


def test_rename_of_directories_over_others(paths):
    """Only over an empty directory, and never over a file."""
    with pytest.raises(NotEmpty):
        paths.rename(b"copy", b"d")
    with pytest.raises(NotDirectory):
        paths.rename(b"d", b"a")
    with pytest.raises(IsDirectory):
        paths.rename(b"a", b"d")
    paths.mkdir(b"empty")
    paths.rename(b"d", b"empty")
    assert paths.names(b"empty") == [b"e", b"one", b"two"]


def test_a_directory_cannot_move_below_itself(paths):
    """Not at any depth, and not by an exchange."""
    for target in (b"d/x", b"d/e/x"):
        with pytest.raises(Invalid):
            paths.rename(b"d", target)
    with pytest.raises(Invalid):
        paths.rename(b"d", b"d/e", RenameFlags.EXCHANGE)
    with pytest.raises(Invalid):
        paths.rename(b"d/e", b"d", RenameFlags.EXCHANGE)


def test_noreplace_and_exchange(paths):
    """The two flags of renameat2 that programs use."""
    with pytest.raises(Exists):
        paths.rename(b"a", b"run", RenameFlags.NOREPLACE)
    paths.rename(b"a", b"free", RenameFlags.NOREPLACE)
    paths.rename(b"free", b"d", RenameFlags.EXCHANGE)
    assert paths.read(b"d") == b"text of a\n"
    assert paths.names(b"free") == [b"e", b"one", b"two"]
    assert paths.workspace.parent(paths.inode(b"free/e")) == paths.inode(b"free")
    with pytest.raises(NoEntry):
        paths.rename(b"d", b"missing", RenameFlags.EXCHANGE)
    with pytest.raises(Invalid):
        paths.rename(b"d", b"x", 8)


def test_same_tree_at_two_places_has_its_own_inodes(paths):
    """A write to one does not show in the other."""
    paths.write(b"d/e/deep", 0, b"DEEP")
    assert paths.read(b"copy/e/deep") == b"deep\n"
    assert paths.inode(b"d/one") != paths.inode(b"copy/one")


def test_inode_number_stays_when_a_file_is_written_and_moved(paths):
    """The kernel holds on to numbers; a program that has the file open goes on."""
    ino = paths.inode(b"d/one")
    paths.write(b"d/one", 0, b"x")
    paths.rename(b"d", b"moved")
    assert paths.inode(b"moved/one") == ino
    assert paths.workspace.read(ino, 0, 9) == b"x\n"


def test_an_unlinked_file_lives_until_it_is_forgotten(paths):
    """Of the snapshot or not, changed before or after."""
    workspace = paths.workspace
    paths.create(b"new", b"new")
    held = [workspace.lookup(1, name).ino for name in (b"a", b"new", b"big")]
    for name in (b"a", b"new", b"big"):
        paths.unlink(name)
    workspace.write(held[0], 0, b"TEXT")
    assert workspace.read(held[0], 0, 99) == b"TEXT of a\n"
    assert workspace.read(held[1], 0, 99) == b"new"
    assert [workspace.getattr(ino).nlink for ino in held] == [0, 0, 0]
    with pytest.raises(NoEntry):
        workspace.link(held[1], 1, b"again")
    data = workspace.root / "data"
    assert len(list(data.iterdir())) == 2
    for ino in held:
        workspace.forget(ino, 1)
    workspace.sync()
    assert not list(data.iterdir())


def test_hard_links_share_bytes_and_attributes(paths):
    """A link of a snapshot file materializes it."""
    paths.link(b"d/one", b"other")
    paths.write(b"other", 1, b"-more")
    paths.chmod(b"d/one", 0o600)
    assert paths.read(b"d/one") == b"1-more"
    assert paths.stat(b"other").mode == stat.S_IFREG | 0o600
    assert paths.stat(b"other").nlink == 2
    paths.unlink(b"d/one")
    assert paths.stat(b"other").nlink == 1
    with pytest.raises(NotPermitted):
        paths.link(b"d", b"hard")


def test_special_files_live_in_the_overlay(paths):
    """FIFOs, sockets and devices, with their numbers."""
    workspace = paths.workspace
    workspace.mknod(1, b"fifo", stat.S_IFIFO | 0o600, 0, uid=1, gid=2)
    device = workspace.mknod(1, b"null", stat.S_IFCHR | 0o666, os.makedev(1, 3), uid=0, gid=0)
    assert stat.S_ISFIFO(paths.stat(b"fifo").mode)
    assert device.rdev == os.makedev(1, 3)
    assert paths.workspace.status().special == [b"fifo", b"null"]


def test_group_is_inherited_from_a_set_group_id_directory(paths):
    """Files get the group; directories get the bit too (S34)."""
    workspace = paths.workspace
    folder = workspace.mkdir(1, b"shared", 0o2775, uid=5, gid=77).ino
    made = workspace.create(folder, b"f", 0o644, uid=5, gid=5)
    below = workspace.mkdir(folder, b"sub", 0o755, uid=5, gid=5)
    assert (made.gid, below.gid) == (77, 77)
    assert below.mode & stat.S_ISGID


def test_link_counts_of_directories_made_here(paths):
    """Two, and one for each directory in it."""
    top = paths.mkdir(b"top")
    paths.mkdir(b"top/x")
    paths.mkdir(b"top/y")
    assert paths.workspace.getattr(top).nlink == 4
    paths.rename(b"top/x", b"x")
    paths.rmdir(b"top/y")
    assert paths.workspace.getattr(top).nlink == 2


def test_changing_names_sets_the_times_of_the_directory(paths):
    """Both of the directory that loses a name and of the one that gets it."""
    before = [paths.stat(p).mtime_ns for p in (b"d", b"copy")]
    paths.rename(b"d/one", b"copy/three")
    after = [paths.stat(p).mtime_ns for p in (b"d", b"copy")]
    assert all(old < new for old, new in zip(before, after, strict=True))


def test_times_are_set_to_the_nanosecond(paths):
    """With and without a data file."""
    for path in (b"a", b"big", b"d", b"link"):
        ino = paths.inode(path)
        paths.workspace.setattr(ino, SetAttr(atime_ns=1_234_567_891, mtime_ns=987_654_321_123))
        seen = paths.workspace.getattr(ino)
        assert (seen.atime_ns, seen.mtime_ns) == (1_234_567_891, 987_654_321_123)
    paths.write(b"a", 0, b"x")
    paths.workspace.setattr(paths.inode(b"a"), SetAttr(mtime_ns=5))
    assert paths.stat(b"a").mtime_ns == 5
