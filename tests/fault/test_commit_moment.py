"""A process that ends between the move of the branch and the note of it in the workspace."""

from __future__ import annotations

import stat

import pytest

from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths


class Killed(BaseException):
    """Ends a commit at once, as a kill does: nothing behind it runs."""


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "repository")
    bench.commit({b"a": b"text\n"})
    yield bench
    bench.close()


def commit_and_die(bench, workspace, meanwhile=lambda: None):
    """Commits, and ends just after the branch has moved; `meanwhile` is what programs do."""
    refs = bench.git.refs
    swap = refs.compare_and_swap

    def last_step(name, *args, **kwargs):
        meanwhile()
        swap(name, *args, **kwargs)
        if name == "refs/heads/main":
            raise Killed

    refs.compare_and_swap = last_step
    try:
        with pytest.raises(Killed):
            workspace.commit("the last one", author=SIGNATURE)
    finally:
        refs.compare_and_swap = swap


def test_a_file_that_was_moved_meanwhile_has_its_last_bytes(bench):
    """Not those of the commit before, which the workspace knew the content of."""
    with bench.open() as workspace:
        paths = Paths(workspace)
        paths.create(b"n", b"one\n")
        workspace.commit("the first one", author=SIGNATURE)
        paths.write(b"n", 0, b"TWO\n")
        commit_and_die(bench, workspace, lambda: paths.exists(b"n") and paths.rename(b"n", b"m"))
    with bench.open() as workspace:
        assert Paths(workspace).read(b"m") == b"TWO\n"
        assert [change.path for change in workspace.status().changes] == [b"m", b"n"]
        workspace.commit("the next one", author=SIGNATURE)
    assert bench.committed(bench.head())[b"m"].data == b"TWO\n"
    with bench.open() as workspace:
        assert Paths(workspace).read(b"m") == b"TWO\n"


def test_what_no_commit_can_take_is_still_there(bench):
    """Empty folders, pipes, and a repository of its own with all that is in it."""
    with bench.open() as workspace:
        paths = Paths(workspace)
        paths.mkdir(b"empty")
        paths.mkdir(b"clone")
        paths.mkdir(b"clone/.git")
        paths.create(b"clone/.git/HEAD", b"ref: refs/heads/main\n")
        workspace.mknod(1, b"pipe", stat.S_IFIFO | 0o600, 0, uid=1000, gid=1000)
        paths.create(b"new", b"new\n")
        before = paths.dump()
        commit_and_die(bench, workspace)
    with bench.open() as workspace:
        assert Paths(workspace).dump() == before
        status = workspace.status()
        assert status.is_clean
        assert status.empty_directories == [b"clone", b"empty"]
        assert (status.special, status.refused) == ([b"pipe"], [b"clone/.git"])


def test_status_leaves_out_what_a_refused_name_holds(bench):
    """As a commit does, so that both say the same."""
    with bench.open() as workspace:
        paths = Paths(workspace)
        for folder in (b"clone", b"clone/.git"):
            paths.mkdir(folder)
        paths.create(b"clone/.git/HEAD", b"ref: refs/heads/main\n")
        assert workspace.status().is_clean
        assert workspace.status().refused == [b"clone/.git"]
        with pytest.raises(NothingToCommitError):
            workspace.commit("nothing", author=SIGNATURE)


def test_a_tag_is_made_when_the_workspace_is_opened_again(bench):
    """Branch and tag are two refs; a kill between their moves leaves no commit without its tag."""
    with bench.open() as workspace:
        Paths(workspace).create(b"model", b"weights\n")
        swap = bench.git.refs.compare_and_swap

        def last_step(name, *args, **kwargs):
            if name == "refs/tags/v1":
                raise Killed
            swap(name, *args, **kwargs)

        bench.git.refs.compare_and_swap = last_step
        try:
            with pytest.raises(Killed):
                workspace.commit("trained", author=SIGNATURE, tag="v1")
        finally:
            bench.git.refs.compare_and_swap = swap
    assert bench.git.tags() == []
    with bench.open() as workspace:
        assert workspace.status().is_clean
    (tag,) = bench.git.tags()
    assert (tag.short, tag.commit, tag.tag.message) == ("v1", bench.head().id, "trained\n")


def test_a_commit_that_was_not_made_leaves_no_tag(bench):
    """The branch did not move, so the tag of that commit is nobody's; the next commit has none."""
    with bench.open() as workspace:
        Paths(workspace).create(b"model", b"weights\n")
        swap = bench.git.refs.compare_and_swap

        def refuse(name, *args, **kwargs):
            if name == "refs/heads/main":
                raise Killed
            swap(name, *args, **kwargs)

        bench.git.refs.compare_and_swap = refuse
        try:
            with pytest.raises(Killed):
                workspace.commit("trained", author=SIGNATURE, tag="v1")
        finally:
            bench.git.refs.compare_and_swap = swap
        workspace.commit("without a tag", author=SIGNATURE)
    with bench.open():
        assert bench.git.tags() == []
