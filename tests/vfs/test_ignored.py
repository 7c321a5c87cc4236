"""Ignored files: in no commit and no savepoint, and never lost."""

from __future__ import annotations

import shutil

import pytest

from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.diff import ChangeKind
from mlbfs.workspace.testing import SIGNATURE, Paths


def changes(workspace):
    return {change.path: change.kind for change in workspace.status().changes}


def commit(workspace, *named):
    return workspace.commit("a commit", author=SIGNATURE, paths=named or (b"",))


@pytest.fixture
def ignoring(bench, paths):
    """A workspace with rules that are committed, and ignored files of every sort."""
    paths.create(b".gitignore", b"*.tmp\nvenv/\n")
    commit(paths.workspace)
    paths.create(b"x.tmp", b"x\n")
    paths.create(b"d/y.tmp", b"y\n")
    paths.mkdir(b"venv")
    paths.mkdir(b"venv/lib")
    paths.create(b"venv/lib/z", b"z" * 5000)
    paths.mkdir(b"new")
    paths.create(b"new/w.tmp", b"w\n")
    return paths


LEFT = {
    b"x.tmp": b"x\n",
    b"d/y.tmp": b"y\n",
    b"venv/lib/z": b"z" * 5000,
    b"new/w.tmp": b"w\n",
}
TOLD = [b"d/y.tmp", b"new/w.tmp", b"venv/", b"x.tmp"]


def check_left(paths):
    assert {path: paths.read(path) for path in LEFT} == LEFT
    assert paths.workspace.status().ignored == TOLD


def test_they_stay_over_commits_and_mounts(bench, ignoring):
    """Whatever is committed, as often as it is."""
    paths = ignoring
    assert paths.workspace.status().is_clean
    with pytest.raises(NothingToCommitError):
        commit(paths.workspace)
    paths.create(b"new/kept", b"kept\n")
    assert changes(paths.workspace) == {b"new/kept": ChangeKind.ADDED}
    done = commit(paths.workspace)
    assert (done.added, done.skipped_empty) == (1, [])
    check_left(paths)
    assert bench.committed(bench.head()).keys() >= {b"new/kept", b".gitignore"}
    assert not bench.committed(bench.head()).keys() & LEFT.keys()
    for _ in range(2):
        paths.workspace.close()
        paths = Paths(bench.open())
        check_left(paths)
        paths.write(b"a", 0, b"more")
        commit(paths.workspace, b"a")
        check_left(paths)
        paths.truncate(b"a", 0)
        paths.write(b"a", 0, b"text")
        commit(paths.workspace)
        check_left(paths)
    paths.workspace.close()


def test_a_folder_of_ignored_files_is_not_told_as_empty(ignoring):
    """Neither by status nor by the commit."""
    assert ignoring.workspace.status().empty_directories == []
    ignoring.write(b"a", 0, b"TEXT")
    assert commit(ignoring.workspace).skipped_empty == []
    check_left(ignoring)


def test_they_outlive_a_kill_in_a_commit(bench, ignoring, monkeypatch):
    """Between the move of the branch and the note of it."""

    class Killed(BaseException):
        pass

    def kill(*args, **kwargs):
        raise Killed

    ignoring.write(b"a", 0, b"TEXT")
    monkeypatch.setattr("mlbfs.workspace.commit.Committer._mark_committed", kill)
    with pytest.raises(Killed):
        commit(ignoring.workspace)
    shutil.copytree(bench.folder(), bench.folder("killed"))
    ignoring.workspace.close()
    with bench.open(folder="killed") as again:
        check_left(Paths(again))
        assert again.status().is_clean


def test_they_outlive_a_branch_that_moves(bench, ignoring):
    """Where it has nothing of that name; where it has, the workspace stays and says so."""
    ignoring.workspace.close()
    bench.commit({b"d/one": b"theirs\n"}, keep=True)
    with bench.open() as again:
        assert not again.behind
        assert Paths(again).read(b"d/one") == b"theirs\n"
        check_left(Paths(again))
    bench.commit({b"x.tmp": b"theirs\n"}, keep=True)
    with bench.open() as again:
        assert again.behind
        check_left(Paths(again))


def test_what_is_committed_is_never_ignored(bench, paths):
    """A rule that comes later changes nothing for it, nor for what moves with its folder."""
    paths.create(b"d/old.tmp", b"old\n")
    commit(paths.workspace)
    paths.create(b".gitignore", b"*.tmp\n/copy/\n")
    paths.write(b"d/old.tmp", 0, b"NEW")
    paths.write(b"copy/one", 0, b"ONE")
    paths.create(b"copy/fresh", b"fresh\n")
    assert changes(paths.workspace) == {
        b".gitignore": ChangeKind.ADDED,
        b"d/old.tmp": ChangeKind.MODIFIED,
        b"copy/one": ChangeKind.MODIFIED,
    }
    assert paths.workspace.status().ignored == [b"copy/fresh"]
    commit(paths.workspace)
    paths.rename(b"d", b"moved")
    assert changes(paths.workspace)[b"moved/old.tmp"] is ChangeKind.ADDED
    commit(paths.workspace)
    held = bench.committed(bench.head())
    assert held[b"moved/old.tmp"].data == b"NEW\n"
    assert held[b"copy/one"].data == b"ONE"


def test_what_is_named_and_ignored_is_refused(ignoring):
    """It says why; a rule that goes lets it be committed."""
    for path in (b"x.tmp", b"venv", b"venv/lib/z"):
        with pytest.raises(NothingToCommitError) as caught:
            commit(ignoring.workspace, path)
        assert "is ignored" in caught.value.message
    ignoring.truncate(b".gitignore", 0)
    assert changes(ignoring.workspace).keys() == {b".gitignore", *LEFT}
    assert commit(ignoring.workspace).added == 4
    assert ignoring.workspace.status().ignored == []


def test_restore_and_undo_leave_them_alone(bench, ignoring):
    """They are in no savepoint, so nothing else would bring them back."""
    ignoring.create(b"new/work", b"work\n")
    done = ignoring.workspace.restore()
    assert not ignoring.exists(b"new/work")
    check_left(ignoring)
    assert not bench.committed(done.savepoint.commit).keys() & LEFT.keys()
    ignoring.workspace.restore(source=done.savepoint.commit)
    assert ignoring.read(b"new/work") == b"work\n"
    check_left(ignoring)
    assert not ignoring.workspace.needs_savepoint


def test_rules_of_the_repository_count(bench, paths):
    """`info/exclude`, as in Git."""
    exclude = bench.git.common_dir / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*.log\n")
    paths.create(b"d/x.log", b"x\n")
    assert paths.workspace.status().ignored == [b"d/x.log"]
    assert paths.workspace.status().is_clean


def test_large_ignored_folders_cost_one_row(ignoring):
    """What lies in an ignored folder is not walked, however often."""
    asked = []
    overlay = ignoring.workspace._core.overlay
    entries = overlay.entries
    overlay.entries = lambda ino: asked.append(ino) or entries(ino)
    ignoring.workspace.status()
    overlay.entries = entries
    assert ignoring.inode(b"venv/lib") not in asked
