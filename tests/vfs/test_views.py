"""The views that a mount shows of snapshots, without a kernel."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbfs.ids import ObjectId
from mlbfs.mount.all_view import AllView
from mlbfs.mount.git_view import GitView, Head, root_head
from mlbfs.mount.snapshot_view import SnapshotView
from mlbfs.mount.tree_inodes import DIRECTORY_BIT
from mlbfs.mount.view import ROOT_INODE
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.vfs_errors import Invalid, NoEntry, NotDirectory, Stale

if TYPE_CHECKING:
    from mlbfs.mount.view import View
    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.testing import Bench


@pytest.fixture
def snapshot(bench: Bench) -> Snapshot:
    """The commit of the bench."""
    return Snapshot(bench.source, bench.head())


@pytest.fixture(params=["plain", "under a Git view"])
def view(snapshot: Snapshot, request: pytest.FixtureRequest) -> View:
    """Its view, also with the Git directory over it, which hands on what is not its own."""
    view = SnapshotView(snapshot)
    if request.param == "plain":
        return view
    head = Head(snapshot.commit.id)
    return GitView(view, snapshot.source, Path("/mnt"), root_head(lambda: head))


def find(view: View, path: bytes) -> Attributes:
    """Looks a path up, name by name."""
    found = view.getattr(ROOT_INODE)
    for name in path.split(b"/"):
        found = view.lookup(found.ino, name)
    return found


def test_path_of_what_was_looked_up(view: View, snapshot: Snapshot) -> None:
    """Each inode leads back to a path that shows it; equal folders share their files."""
    assert view.path_of(ROOT_INODE) == b""
    for path, _ in snapshot.walk():
        inode = find(view, path).ino
        found = view.path_of(inode)
        assert found is not None
        assert find(view, found).ino == inode
    assert view.path_of(find(view, b"copy/e").ino) == b"copy/e"


def test_path_under_a_ref(bench: Bench) -> None:
    """With all refs, the path begins with the ref."""
    view = AllView(bench.source)
    for path in (b"branches/main/d/e", b"branches/main/big", b"branches/main"):
        assert view.path_of(find(view, path).ino) == path


def test_path_of_a_forgotten_folder_is_not_known(view: View) -> None:
    """What the kernel has forgotten has no path, and is no error."""
    folder, deep = find(view, b"d/e"), find(view, b"d/e/deep")
    view.forget(folder.ino, 2)
    assert view.path_of(deep.ino) is None


def test_everything_of_the_snapshot(view: View, snapshot: Snapshot) -> None:
    """Every path of the tree has the kind, size and bytes that the tree says."""
    numbers: dict[int, bytes] = {ROOT_INODE: b""}
    for path, entry in snapshot.walk():
        found = find(view, path)
        assert found.is_directory == entry.is_directory
        # Two folders with one tree share their files, never anything else.
        assert numbers.setdefault(found.ino, entry.content) == entry.content
        assert view.getattr(found.ino) == found
        if entry.kind is EntryKind.SYMLINK:
            assert view.readlink(found.ino) == snapshot.readlink(path)
        elif not entry.is_directory:
            assert found.size == entry.size
            assert view.read(found.ino, 0, entry.size + 1) == snapshot.read(path)
            executable = bool(found.mode & stat.S_IXUSR)
            assert executable == (entry.kind is EntryKind.EXECUTABLE)


def test_listing_agrees_with_lookup(view: View) -> None:
    """A listing, from any offset on, gives what a lookup of each name gives."""
    whole = list(view.readdir(ROOT_INODE, 0))
    assert [name for name, _, _ in whole] == [b"a", b"big", b"copy", b"d", b"link", b"run"]
    for number, (name, attributes, offset) in enumerate(whole):
        assert view.lookup(ROOT_INODE, name) == attributes
        assert [item[0] for item in view.readdir(ROOT_INODE, offset)] == [
            item[0] for item in whole[number + 1 :]
        ]


def test_read_without_waiting_agrees_with_read(view: View) -> None:
    """The fast way gives the same bytes, or none."""
    big = find(view, b"big")
    for offset, length in ((0, 100), (65_000, 70_000), (big.size - 5, 100), (big.size, 1)):
        fast = view.read_nowait(big.ino, offset, length)
        assert fast in (None, view.read(big.ino, offset, length))
        assert view.read_nowait(big.ino, offset, length) == view.read(big.ino, offset, length)


def test_wrong_kinds(view: View) -> None:
    """A file is no folder, a folder no link, and unknown numbers are stale."""
    file, folder = find(view, b"a"), find(view, b"d")
    with pytest.raises(NotDirectory):
        view.lookup(file.ino, b"x")
    with pytest.raises(NotDirectory):
        list(view.readdir(file.ino, 0))
    with pytest.raises(Invalid):
        view.readlink(file.ino)
    with pytest.raises(Stale):
        view.readlink(folder.ino)
    with pytest.raises(NoEntry):
        view.lookup(folder.ino, b"none")
    for number in (2, 1 << 40, DIRECTORY_BIT | 5, (file.ino | 0xFFFFFF)):
        with pytest.raises(Stale):
            view.getattr(number)


def test_number_comes_back_after_a_forget(view: View) -> None:
    """A folder that was forgotten is stale, and has the same number when it is found again."""
    first = find(view, b"d")
    view.forget(first.ino, 1)
    with pytest.raises(Stale):
        view.getattr(first.ino)
    assert find(view, b"d") == first


@settings(max_examples=50)
@given(steps=st.lists(st.sampled_from(["lookup", "list", "forget", "forget all"]), max_size=20))
def test_known_as_long_as_it_is_counted(snapshot: Snapshot, steps: list[str]) -> None:
    """A folder is known if and only if the kernel has lookups of it left."""
    view, count = SnapshotView(snapshot), 0
    number = view.lookup(ROOT_INODE, b"d").ino
    view.forget(number, 1)
    for step in steps:
        if step == "lookup":
            assert view.lookup(ROOT_INODE, b"d").ino == number
            count += 1
        elif step == "list":
            listed = {name: found.ino for name, found, _ in view.readdir(ROOT_INODE, 0)}
            assert listed[b"d"] == number
            view.remember(number)
            count += 1
        elif count:
            taken = 1 if step == "forget" else count
            view.forget(number, taken)
            count -= taken
        if count:
            assert view.getattr(number).is_directory
        else:
            with pytest.raises(Stale):
                view.getattr(number)


def test_readiness(bench: Bench) -> None:
    """A view says that it is ready once the index of a folder is in memory."""
    view = SnapshotView(Snapshot(bench.source, bench.head()))
    tree = ObjectId(bench.head().tree)
    assert view.is_ready(ROOT_INODE) == bench.source.is_loaded(tree)
    view.lookup(ROOT_INODE, b"a")
    assert view.is_ready(ROOT_INODE)


def test_all_refs(bench: Bench, snapshot: Snapshot) -> None:
    """Refs are folders; one tree has the same files in all of them, and folders of their own."""
    bench.commit({b"x/y": b"1\n"}, branch="team/one")
    view = AllView(bench.source)
    assert {name for name, _, _ in view.readdir(ROOT_INODE, 0)} == {
        b"branches",
        b"tags",
        b"commits",
    }
    main, one = find(view, b"branches/main"), find(view, b"branches/team/one")
    tip = find(view, b"commits/" + bench.head().id.hex().encode())
    assert main.ino != tip.ino
    assert view.lookup(main.ino, b"a").ino == view.lookup(tip.ino, b"a").ino
    assert view.lookup(main.ino, b"d").ino != view.lookup(tip.ino, b"d").ino
    assert view.parent(one.ino) == find(view, b"branches/team").ino
    assert not view.is_stable(ROOT_INODE)
    assert view.is_stable(one.ino)


def test_moved_branch_is_another_folder(bench: Bench) -> None:
    """The kernel finds another inode at the name, and the old one goes on as it was."""
    view = AllView(bench.source)
    before = find(view, b"branches/main")
    bench.commit({b"only": b"1\n"})
    after = find(view, b"branches/main")
    assert before.ino != after.ino
    assert [name for name, _, _ in view.readdir(after.ino, 0)] == [b"only"]
    assert view.lookup(before.ino, b"a").size == len(b"text of a\n")
