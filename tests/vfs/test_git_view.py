"""The Git directory over a view, without a kernel: names, numbers, and the life of an index."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.cli.group import COMMANDS
from mlbfs.mount.git_calls import Question
from mlbfs.mount.git_view import (
    WORDS,
    GitView,
    Head,
    is_closed_index,
    is_git_inode,
    is_index_name,
    root_head,
)
from mlbfs.mount.view import ROOT_INODE
from mlbfs.workspace.vfs_errors import Invalid, IsDirectory, NoEntry, NotDirectory, Stale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.testing import Bench, Paths

PLACE = Path("/mnt/work")


@pytest.fixture
def view(bench: Bench, paths: Paths) -> Iterator[GitView]:
    """The workspace of `main` with the Git directory over it."""
    workspace = paths.workspace
    head_of = root_head(lambda: Head(workspace.base.id, workspace.branch))
    return GitView(workspace, bench.source, PLACE, head_of, workspace.status)


def find(view: GitView, *names: bytes) -> Attributes:
    """Looks a path up, name by name."""
    found = view.getattr(ROOT_INODE)
    for name in names:
        found = view.lookup(found.ino, name)
    return found


def folder(view: GitView) -> Attributes:
    """Returns the folder that Git takes for its own."""
    return find(view, b".mlbfs-git", WORDS)


def read(view: GitView, inode: int) -> bytes:
    """Returns the whole content of a file."""
    return view.read(inode, 0, view.getattr(inode).size)


def test_words_name_commands_that_there_are() -> None:
    """What the refusals tell a user to type exists."""
    named = WORDS.decode().partition("use mlbfs ")[2].split(", ")
    assert named[0] == "status"
    assert set(named) <= set(COMMANDS)


def test_content(view: GitView, bench: Bench) -> None:
    """The files lead from the mount to the repository, and back."""
    base = os.fsencode(PLACE)
    git_dir = read(view, find(view, b".git").ino).removeprefix(b"gitdir: ").rstrip(b"\n")
    assert git_dir == base + b"/.mlbfs-git/" + WORDS
    names = {name: found.ino for name, found, _ in view.readdir(folder(view).ino, 0)}
    common = os.fsencode(bench.source.git.common_dir)
    assert read(view, names[b"HEAD"]) == b"ref: refs/heads/main\n"
    assert read(view, names[b"commondir"]) == common + b"\n"
    assert read(view, names[b"gitdir"]) == base + b"/.git\n"
    assert view.readlink(names[b"FETCH_HEAD"]) == common + b"/FETCH_HEAD"
    assert read(view, names[b"index"]) == b""
    assert is_closed_index(names[b"index"])


def test_what_is_looked_up_is_what_is_listed(view: GitView) -> None:
    """Names, numbers and attributes of a listing are those of a lookup; offsets go on behind."""
    for names in ((b".mlbfs-git",), (b".mlbfs-git", WORDS)):
        parent = find(view, *names)
        listed = list(view.readdir(parent.ino, 0))
        for number, (name, found, offset) in enumerate(listed):
            assert view.lookup(parent.ino, name) == found == view.getattr(found.ino)
            assert is_git_inode(found.ino)
            assert stat.S_IMODE(found.mode) & 0o222 == 0 or stat.S_ISLNK(found.mode)
            assert list(view.readdir(parent.ino, offset)) == listed[number + 1 :]
    assert not {b".git", b".mlbfs-git"} & {name for name, _, _ in view.readdir(ROOT_INODE, 0)}


def test_folders_lead_upwards(view: GitView) -> None:
    """The folder above is known to the root."""
    holder = find(view, b".mlbfs-git").ino
    assert view.parent(folder(view).ino) == holder
    assert view.parent(holder) == ROOT_INODE


def test_wrong_kinds_and_numbers(view: GitView) -> None:
    """Questions that make no sense, and numbers that nobody was given, have their answers."""
    head = view.lookup(folder(view).ino, b"HEAD").ino
    with pytest.raises(NoEntry):
        view.lookup(folder(view).ino, b"objects")
    with pytest.raises(NotDirectory):
        view.lookup(head, b"a")
    with pytest.raises(NotDirectory):
        view.readdir(head, 0).__iter__().__next__()
    with pytest.raises(IsDirectory):
        view.read(folder(view).ino, 0, 1)
    with pytest.raises(Invalid):
        view.readlink(head)
    for number in (1 << 61, 1 << 61 | 99, head | 5 << 40, view.getattr(head).ino | 0xFF):
        with pytest.raises(Stale):
            view.getattr(number)


def test_head_changes_and_its_time_with_it(view: GitView, paths: Paths, bench: Bench) -> None:
    """HEAD has one number, and a new time whenever it says something else."""
    head = view.lookup(folder(view).ino, b"HEAD")
    assert view.getattr(head.ino) == head
    assert not head.immutable
    first = paths.workspace.base.id.hex().encode()
    bench.commit({b"a": b"moved on\n"})
    assert read(view, head.ino) == first + b"\n"
    assert view.getattr(head.ino).mtime_ns > head.mtime_ns


def test_index_lives_as_long_as_it_is_counted(view: GitView, paths: Paths) -> None:
    """Equal questions share an index, others do not; it goes with its last lookup."""
    parent = folder(view).ino
    assert is_index_name(parent, b"index")
    assert not is_index_name(ROOT_INODE, b"index")
    one = view.lookup_index(parent, Question.CHANGED).ino
    assert view.lookup_index(parent, Question.TRACKED).ino == one  # nothing has changed
    paths.write(b"a", 0, b"changed")
    two = view.lookup_index(parent, Question.CHANGED).ino
    assert two != one
    assert view.lookup_index(parent, Question.TRACKED).ino == one
    assert read(view, one) != read(view, two)
    view.forget(one, 2)
    assert read(view, one).startswith(b"DIRC")
    view.forget(one, 1)
    with pytest.raises(Stale):
        view.read(one, 0, 1)
    assert view.lookup_index(parent, Question.TRACKED).ino not in (one, two)
    view.forget(two, 1)
    view.forget(two, 1)  # a second forget of the kernel's is no error
