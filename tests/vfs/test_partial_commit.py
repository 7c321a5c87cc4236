"""Commits of some paths: what they take, and that the rest stays changed, whatever comes."""

from __future__ import annotations

import stat
import threading

import pytest

from mlbfs.errors import (
    ErrorKind,
    InterruptedByUserError,
    InvalidInputError,
    NotFoundError,
)
from mlbfs.store.writer import StoreWriter
from mlbfs.workspace.attributes import SetAttr
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.diff import ChangeKind
from mlbfs.workspace.testing import SIGNATURE, Paths, file


def commit(workspace, *paths):
    return workspace.commit("some of it", author=SIGNATURE, paths=paths)


def changes(workspace):
    return {change.path: change.kind for change in workspace.status().changes}


def test_only_what_was_named_is_committed(bench, paths):
    """A folder takes all below; the rest stays changed, also after opening again."""
    paths.write(b"a", 0, b"TEXT")
    paths.write(b"big", 5, b"five")
    paths.unlink(b"d/one")
    paths.create(b"d/e/new", b"new\n")
    paths.chmod(b"copy/one", 0o755)
    result = commit(paths.workspace, b"d", b"a")
    assert (result.added, result.modified, result.deleted) == (1, 1, 1)
    held = bench.committed(bench.head())
    assert held[b"a"].data == b"TEXT of a\n"
    assert held[b"d/e/new"].data == b"new\n"
    assert b"d/one" not in held
    assert held[b"big"].data[:9] == bytes(range(9))
    left = {b"big": ChangeKind.MODIFIED, b"copy/one": ChangeKind.MODE_CHANGED}
    assert changes(paths.workspace) == left
    paths.workspace.close()
    with bench.open() as again:
        assert changes(again) == left
        assert Paths(again).read(b"big")[5:9] == b"five"
        commit(again, b"")
        assert again.status().is_clean
    assert bench.committed(bench.head())[b"big"].data[5:9] == b"five"


def test_one_file_of_a_new_folder(bench, paths):
    """Its neighbours stay new, and a later change of the committed one is seen."""
    paths.mkdir(b"new")
    paths.create(b"new/x", b"x\n")
    paths.create(b"new/y", b"y\n")
    commit(paths.workspace, b"new/x")
    assert bench.committed(bench.head())[b"new/x"].data == b"x\n"
    assert changes(paths.workspace) == {b"new/y": ChangeKind.ADDED}
    paths.write(b"new/x", 0, b"X")
    left = {b"new/x": ChangeKind.MODIFIED, b"new/y": ChangeKind.ADDED}
    assert changes(paths.workspace) == left
    paths.workspace.close()
    with bench.open() as again:
        assert changes(again) == left
        commit(again, b"new")
        assert again.status().is_clean
    assert bench.committed(bench.head())[b"new/x"].data == b"X\n"


def test_both_sides_of_a_rename_are_changes_of_their_own(bench, paths):
    """The new name is added and the old one goes when it is named, as in Git."""
    paths.rename(b"a", b"b")
    commit(paths.workspace, b"b")
    held = bench.committed(bench.head())
    assert held[b"a"] == held[b"b"] == file(b"text of a\n")
    assert changes(paths.workspace) == {b"a": ChangeKind.DELETED}
    commit(paths.workspace, b"a")
    assert b"a" not in bench.committed(bench.head())
    assert paths.workspace.status().is_clean


def test_one_file_of_a_moved_folder(bench, paths):
    """What has no row of its own is taken from the tree that was moved."""
    paths.rename(b"d", b"moved")
    paths.write(b"moved/two", 0, b"TWO")
    commit(paths.workspace, b"moved/e", b"moved/two", b"d/one")
    held = bench.committed(bench.head())
    assert held[b"moved/e/deep"].data == b"deep\n"
    assert held[b"moved/two"].data == b"TWO"
    assert b"moved/one" not in held
    assert b"d/one" not in held
    assert held[b"d/two"].data == b"2\n"
    assert changes(paths.workspace) == {
        b"moved/one": ChangeKind.ADDED,
        b"d/two": ChangeKind.DELETED,
        b"d/e/deep": ChangeKind.DELETED,
    }


def test_a_file_where_a_folder_was(bench, paths):
    """Taking the file takes what it stands on away; taking what is below takes that alone away."""
    for name in (b"d/e/deep", b"d/one", b"d/two"):
        paths.unlink(name)
    paths.rmdir(b"d/e")
    paths.rmdir(b"d")
    paths.create(b"d", b"a file\n")
    commit(paths.workspace, b"d/one")
    held = bench.committed(bench.head())
    assert b"d/one" not in held
    assert held[b"d/two"].data == b"2\n"
    commit(paths.workspace, b"d")
    held = bench.committed(bench.head())
    assert held[b"d"].data == b"a file\n"
    assert b"d/two" not in held


def test_names_of_one_file_are_taken_one_by_one(bench, paths):
    """The name that was not taken stays changed although its bytes are stored."""
    paths.link(b"a", b"d/a")
    paths.write(b"a", 0, b"TEXT")
    commit(paths.workspace, b"d/a")
    held = bench.committed(bench.head())
    assert (held[b"d/a"].data, held[b"a"].data) == (b"TEXT of a\n", b"text of a\n")
    assert changes(paths.workspace) == {b"a": ChangeKind.MODIFIED}
    paths.workspace.close()
    with bench.open() as again:
        assert changes(again) == {b"a": ChangeKind.MODIFIED}


def test_paths_that_are_nowhere_or_as_they_were_are_refused(bench, paths):
    """By name, and nothing is committed."""
    paths.write(b"a", 0, b"TEXT")
    head = bench.head()
    with pytest.raises(NotFoundError) as caught:
        commit(paths.workspace, b"a", b"d/nowhere")
    assert caught.value.kind is ErrorKind.PATH_NOT_FOUND
    assert "'d/nowhere'" in caught.value.message
    with pytest.raises(NothingToCommitError) as nothing:
        commit(paths.workspace, b"d/one", b"big")
    assert "'big', 'd/one'" in nothing.value.message
    assert bench.head() == head
    assert changes(paths.workspace) == {b"a": ChangeKind.MODIFIED}


def test_an_empty_message_is_refused(bench, paths):
    """As Git does, blanks alone too."""
    paths.write(b"a", 0, b"TEXT")
    for message in ("", " \n\t\n"):
        with pytest.raises(InvalidInputError):
            paths.workspace.commit(message, author=SIGNATURE)
    assert changes(paths.workspace) == {b"a": ChangeKind.MODIFIED}


def test_a_tag_is_made_with_the_commit_or_neither(bench, paths):
    """A tag that there is refuses the commit."""
    paths.write(b"a", 0, b"TEXT")
    done = paths.workspace.commit("one", author=SIGNATURE, tag="v1")
    assert bench.git.resolve("v1").commit == done.commit.id
    paths.write(b"a", 0, b"MORE")
    with pytest.raises(Exception, match="tag 'v1' exists already"):
        paths.workspace.commit("two", author=SIGNATURE, tag="v1")
    assert bench.head() == done.commit
    assert changes(paths.workspace) == {b"a": ChangeKind.MODIFIED}


def test_a_commit_that_is_given_up_changes_nothing(bench, paths):
    """Up to the commit point, and the next one takes it all."""
    paths.create(b"x", b"\0" * 5000)
    head = bench.head()

    def give_up():
        raise InterruptedByUserError("given up")

    with pytest.raises(InterruptedByUserError):
        paths.workspace.commit("one", author=SIGNATURE, check=give_up)
    assert bench.head() == head
    assert changes(paths.workspace) == {b"x": ChangeKind.ADDED}
    paths.write(b"x", 0, b"more")
    assert paths.workspace.commit("one", author=SIGNATURE).added == 1


def test_attributes_of_folders_that_were_not_named_survive(bench, paths):
    """Modes that Git does not keep last until a commit has taken the folder."""
    paths.workspace.setattr(paths.inode(b"copy"), SetAttr(mode=0o700))
    paths.write(b"a", 0, b"TEXT")
    commit(paths.workspace, b"a")
    paths.workspace.close()
    with bench.open() as again:
        assert Paths(again).stat(b"copy").mode == stat.S_IFDIR | 0o700


def test_an_empty_folder_lives_on_quietly(bench, paths):
    """It is told once, is no change, survives, and becomes a change with its content."""
    paths.mkdir(b"hollow")
    paths.write(b"a", 0, b"TEXT")
    assert commit(paths.workspace, b"").skipped_empty == [b"hollow"]
    assert paths.workspace.status().empty_directories == []
    paths.workspace.close()
    with bench.open() as again:
        assert Paths(again).names(b"hollow") == []
        assert again.status().empty_directories == []
        Paths(again).write(b"a", 0, b"more")
        assert commit(again, b"").skipped_empty == []
        Paths(again).create(b"hollow/x", b"x\n")
        assert changes(again) == {b"hollow/x": ChangeKind.ADDED}
        commit(again, b"")
    assert bench.committed(bench.head())[b"hollow/x"].data == b"x\n"


def test_writes_during_a_commit_of_some_paths_land_in_the_next_one(bench, paths, monkeypatch):
    """Readers see them at once; what was named is committed as it was at the begin."""
    paths.create(b"log", b"first\n")
    paths.create(b"other", b"other\n")

    def meanwhile():
        paths.write(b"log", 6, b"second\n")
        paths.write(b"other", 0, b"OTHER")
        assert paths.read(b"log") == b"first\nsecond\n"

    begin = StoreWriter.ingest

    def ingest(self, *args, **kwargs):
        thread = threading.Thread(target=meanwhile)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "nothing waits for a commit that copies can serve"
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(StoreWriter, "ingest", ingest)
    commit(paths.workspace, b"log")
    monkeypatch.undo()
    assert bench.committed(bench.head())[b"log"].data == b"first\n"
    assert changes(paths.workspace) == {b"log": ChangeKind.MODIFIED, b"other": ChangeKind.ADDED}
    commit(paths.workspace, b"")
    held = bench.committed(bench.head())
    assert held[b"log"].data == b"first\nsecond\n"
    assert held[b"other"].data == b"OTHER\n"
