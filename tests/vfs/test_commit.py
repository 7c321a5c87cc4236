"""What a commit keeps, what it leaves, and what goes on meanwhile."""

from __future__ import annotations

import stat
import subprocess
import threading

import pytest

from mlbfs.errors import ConflictError, ErrorKind
from mlbfs.git.pointers import encode_pointer
from mlbfs.ids import FileId
from mlbfs.store.dirindex import EntryKind
from mlbfs.store.writer import StoreWriter
from mlbfs.workspace.attributes import SetAttr
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.diff import ChangeKind
from mlbfs.workspace.dirty import collect_items
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.testing import SIGNATURE, Paths, Shape, file


def commit(workspace):
    return workspace.commit("a change\n\nand why", author=SIGNATURE)


def changes(workspace):
    return {change.path: change.kind for change in workspace.status().changes}


def test_each_kind_of_change_is_told_and_committed(bench, paths):
    """Status before, the tree after, and nothing left to tell (S50)."""
    paths.mkdir(b"new")
    paths.create(b"new/file", b"new\n")
    paths.write(b"a", 0, b"TEXT")
    paths.unlink(b"d/one")
    paths.chmod(b"d/two", 0o755)
    paths.unlink(b"run")
    paths.symlink(b"run", b"a")
    assert changes(paths.workspace) == {
        b"new/file": ChangeKind.ADDED,
        b"a": ChangeKind.MODIFIED,
        b"d/one": ChangeKind.DELETED,
        b"d/two": ChangeKind.MODE_CHANGED,
        b"run": ChangeKind.TYPE_CHANGED,
    }
    result = commit(paths.workspace)
    assert (result.added, result.modified, result.deleted) == (1, 3, 1)
    held = bench.committed(bench.head())
    assert held[b"a"] == file(b"TEXT of a\n")
    assert held[b"d/two"] == file(b"2\n", executable=True)
    assert held[b"run"] == Shape(EntryKind.SYMLINK, b"a")
    assert b"d/one" not in held
    assert paths.workspace.status().is_clean
    with pytest.raises(NothingToCommitError):
        commit(paths.workspace)


def test_what_git_cannot_keep_is_named_and_stays(bench, paths):
    """Empty folders, special files and `.git`; also after opening again (S52)."""
    workspace = paths.workspace
    paths.mkdir(b"empty")
    workspace.mknod(1, b"fifo", stat.S_IFIFO | 0o600, 0, uid=0, gid=0)
    paths.mkdir(b"d/.git")
    paths.create(b"d/.git/HEAD", b"ref\n")
    paths.unlink(b"d/e/deep")
    result = commit(workspace)
    assert sorted(result.skipped_empty) == [b"d/e", b"empty"]
    assert result.skipped_special == [b"fifo"]
    assert result.skipped_refused == [b"d/.git"]
    assert workspace.status().refused == [b"d/.git"]
    workspace.close()
    with bench.open() as again:
        left = Paths(again)
        assert left.read(b"d/.git/HEAD") == b"ref\n"
        assert left.names(b"empty") == left.names(b"d/e") == []
        assert again.status().special == [b"fifo"]
        assert again.status().is_clean


def test_link_that_git_refuses_is_named_and_stays(bench, paths):
    """A link may not be named `.gitmodules`, in any spelling; the rest is committed."""
    paths.symlink(b"gitmod~1", b"elsewhere")
    paths.create(b"new", b"new\n")
    result = commit(paths.workspace)
    assert (result.added, result.skipped_refused) == (1, [b"gitmod~1"])
    paths.workspace.close()
    with bench.open() as again:
        assert again.status().refused == [b"gitmod~1"]


def test_names_of_one_file_become_files_that_share_content(bench, paths):
    """The commit tells which."""
    paths.create(b"x", b"\0shared")
    paths.link(b"x", b"d/y")
    result = commit(paths.workspace)
    assert sorted(result.hardlinks_split) == [b"d/y", b"x"]
    held = bench.committed(bench.head())
    assert held[b"x"] == held[b"d/y"] == file(b"\0shared")


def test_a_file_rewritten_as_it_was_is_no_change(paths):
    """Compared by content, not by time."""
    paths.truncate(b"a", 0)
    paths.write(b"a", 0, b"text of a\n")
    paths.write(b"big", 0, bytes(range(256)))
    assert changes(paths.workspace) == {}
    with pytest.raises(NothingToCommitError):
        commit(paths.workspace)


def test_a_renamed_folder_is_committed_without_reading_its_files(bench, paths, monkeypatch):
    """Its tree goes to the new place as it is."""
    before = bench.head().tree

    def fail(*args, **kwargs):
        raise AssertionError("no content is stored")

    monkeypatch.setattr(StoreWriter, "put_stream", fail)
    monkeypatch.setattr(StoreWriter, "put_bytes", fail)
    paths.rename(b"d", b"moved")
    paths.unlink(b"moved/two")
    assert changes(paths.workspace) == {
        b"d/e/deep": ChangeKind.DELETED,
        b"d/one": ChangeKind.DELETED,
        b"d/two": ChangeKind.DELETED,
        b"moved/e/deep": ChangeKind.ADDED,
        b"moved/one": ChangeKind.ADDED,
    }
    result = commit(paths.workspace)
    assert result.new_bytes == 0
    assert (
        bench.git.find_entry(before, b"d/e").id
        == bench.git.find_entry(bench.head().tree, b"moved/e").id
    )


def test_text_that_looks_like_a_pointer_is_kept_as_content(bench, paths):
    """Read back, it must not become the content of something else."""
    text = encode_pointer(FileId(bytes(32)), 12)
    paths.create(b"fake", text)
    commit(paths.workspace)
    assert bench.committed(bench.head())[b"fake"] == file(text)


def test_attributes_in_the_workspace_decide_where_content_goes(bench, paths):
    """Those that are about to be committed, not those of the base."""
    paths.create(b".gitattributes", b"*.json mlbfs\n*.bin -mlbfs\n")
    paths.create(b"x.json", b"{}\n")
    paths.create(b"y.bin", b"\0\1")
    commit(paths.workspace)
    tree = bench.head().tree
    assert bench.git.read_blob(bench.git.find_entry(tree, b"x.json").id).startswith(b"version ")
    assert bench.git.read_blob(bench.git.find_entry(tree, b"y.bin").id) == b"\0\1"


def test_a_commit_goes_on_top_of_a_branch_that_moved(bench, paths):
    """Changes at other paths than those that moved are put on what the branch has come to."""
    paths.write(b"a", 0, b"MINE")
    before = paths.workspace.base
    theirs = bench.commit({b"d/one": b"theirs\n"}, keep=True)
    result = commit(paths.workspace)
    assert result.commit.parents == (theirs.id,)
    assert result.carried_from == before
    assert (result.added, result.modified, result.deleted) == (0, 1, 0)
    assert bench.committed(bench.head())[b"d/one"] == file(b"theirs\n")
    assert bench.committed(bench.head())[b"a"] == file(b"MINE of a\n")
    assert paths.read(b"d/one") == b"theirs\n"
    assert paths.workspace.status().is_clean


def test_two_workspaces_of_a_branch_commit_in_turn(bench, paths):
    """Each commit goes on top of the other's, and both come to stand on the last one."""
    with bench.open(folder="main@2") as second:
        for turn in range(3):
            for number, space in enumerate((paths.workspace, second)):
                Paths(space).create(b"%d-%d" % (number, turn), b"text\n")
                commit(space)
        assert paths.workspace.follow().stale is not None
        assert second.follow() is None
        assert Paths(second).dump() == paths.dump()
        assert len(paths.names()) == 12
        Paths(second).write(b"a", 0, b"SECOND")
        paths.write(b"a", 0, b"FIRST")
        commit(second)
        with pytest.raises(ConflictError) as caught:
            commit(paths.workspace)
        assert caught.value.kind is ErrorKind.CHANGES_IN_THE_WAY
        assert paths.read(b"a").startswith(b"FIRST")


def test_a_branch_that_moved_is_not_overwritten(bench, paths):
    """The commit is refused and everything is as it was; opening again tells that it is behind."""
    paths.write(b"a", 0, b"MINE")
    theirs = bench.commit({b"a": b"theirs\n"}, keep=True)
    with pytest.raises(ConflictError) as caught:
        commit(paths.workspace)
    assert caught.value.kind is ErrorKind.CHANGES_IN_THE_WAY
    assert "'a'" in caught.value.message
    assert bench.head() == theirs
    assert changes(paths.workspace) == {b"a": ChangeKind.MODIFIED}
    paths.workspace.close()
    with bench.open() as again:
        assert again.behind
        assert again.base.id == theirs.parents[0]
        assert changes(again) == {b"a": ChangeKind.MODIFIED}


def test_a_clean_workspace_follows_its_branch_when_opened(bench, paths):
    """Modes and times that only this workspace knew are no reason to stay."""
    paths.chmod(b"a", 0o600)
    paths.mkdir(b"empty")
    paths.workspace.close()
    bench.commit({b"a": b"new text\n", b"empty/file": b"x\n"}, keep=True)
    with bench.open() as again:
        assert not again.behind
        assert Paths(again).read(b"a") == b"new text\n"
        assert Paths(again).names(b"empty") == [b"file"]
        assert again.status().is_clean


def during_commit(workspace, monkeypatch, action):
    """Commits, and runs an action in another thread once the files are being stored."""
    begin = StoreWriter.ingest
    failures = []

    def act():
        try:
            action()
        except BaseException as err:
            failures.append(err)

    thread = threading.Thread(target=act)

    def ingest(self, *args, **kwargs):
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "nothing waits for a commit that copies can serve"
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(StoreWriter, "ingest", ingest)
    result = commit(workspace)
    monkeypatch.undo()
    assert not failures
    return result


def test_writes_during_a_commit_land_in_the_next_one(bench, paths, monkeypatch):
    """The commit has what was there when it began; reads see what was written since (S53)."""
    workspace = paths.workspace
    paths.create(b"log", b"first\n")
    paths.create(b"cut", b"will be cut\n")
    paths.create(b"gone", b"will go\n")
    paths.write(b"big", 7, b"seven")
    held = workspace.lookup(1, b"gone").ino

    def meanwhile():
        paths.write(b"log", 6, b"second\n")
        paths.truncate(b"cut", 0)
        paths.write(b"big", 20, b"twenty")
        paths.unlink(b"gone")
        workspace.forget(held, 1)
        paths.create(b"late", b"late\n")
        paths.rename(b"d", b"moved")
        assert paths.read(b"log") == b"first\nsecond\n"

    during_commit(workspace, monkeypatch, meanwhile)
    held = bench.committed(bench.head())
    assert held[b"log"].data == b"first\n"
    assert held[b"cut"].data == b"will be cut\n"
    assert held[b"gone"].data == b"will go\n"
    assert held[b"big"].data[:32] == bytes(range(7)) + b"seven" + bytes(range(12, 32))
    assert b"late" not in held
    assert set(changes(workspace)) >= {b"log", b"cut", b"big", b"gone", b"late", b"d/one"}
    commit(workspace)
    held = bench.committed(bench.head())
    assert held[b"log"].data == b"first\nsecond\n"
    assert held[b"big"].data[20:26] == b"twenty"
    assert b"gone" not in held
    assert b"moved/one" in held
    assert workspace.status().is_clean
    workspace.sync()
    names = {path.name for path in (workspace.root / "data").iterdir()}
    assert len(names) == 3, "old versions of files are gone"


def test_branch_that_was_deleted(bench, paths):
    """A commit onto a branch that is gone says how to bring it back, and then it succeeds."""
    paths.create(b"x", b"x\n")
    workspace, refs = paths.workspace, bench.git.refs
    base = workspace.base.id
    refs.compare_and_swap("refs/heads/main", base, None, identity=SIGNATURE, message="deleted")
    with pytest.raises(ConflictError) as caught:
        commit(workspace)
    assert caught.value.kind is ErrorKind.REF_MOVED
    assert "does not exist any more" in caught.value.message
    assert (
        caught.value.hint == f"bring it back and commit again: mlbfs branch main {base.hex()[:10]}"
    )
    refs.compare_and_swap("refs/heads/main", None, base, identity=SIGNATURE, message="back")
    assert commit(workspace).added == 1


def test_a_failed_commit_changes_nothing(bench, paths, monkeypatch):
    """Neither the branch nor what is changed, and the next one takes it all."""
    paths.create(b"x", b"x\n")
    head = bench.head()

    def fail(*args, **kwargs):
        raise ConflictError("someone else", kind=ErrorKind.REF_MOVED)

    monkeypatch.setattr(bench.git.refs, "compare_and_swap", fail, raising=False)
    with pytest.raises(ConflictError):
        commit(paths.workspace)
    monkeypatch.undo()
    assert bench.head() == head
    assert changes(paths.workspace) == {b"x": ChangeKind.ADDED}
    assert commit(paths.workspace).added == 1


def test_a_commit_killed_after_the_branch_moved_is_finished_at_the_next_open(
    bench, paths, monkeypatch
):
    """The branch has it, so the workspace stands on it."""
    paths.create(b"x", b"x\n")

    class Killed(BaseException):
        pass

    def kill(*args, **kwargs):
        raise Killed

    monkeypatch.setattr("mlbfs.workspace.commit.Committer._mark_committed", kill)
    with pytest.raises(Killed):
        commit(paths.workspace)
    paths.workspace.close()
    with bench.open() as again:
        assert not again.behind
        assert again.base == bench.head()
        assert again.status().is_clean
        assert Paths(again).read(b"x") == b"x\n"


def test_a_second_process_is_refused(bench, paths):
    """The message names who has it."""
    with pytest.raises(ConflictError) as caught:
        bench.open()
    assert caught.value.kind is ErrorKind.LOCKED


@pytest.mark.parametrize(
    "change", [SetAttr(mode=0o4750), SetAttr(uid=3, gid=4), SetAttr(atime_ns=5, mtime_ns=77)]
)
@pytest.mark.parametrize("path", [b"a", b"d/one", b"d/e", b"link"])
def test_attributes_that_git_does_not_keep_survive_opening_again(bench, paths, path, change):
    """Modes, owners and times, as long as no commit was made."""
    paths.workspace.setattr(paths.inode(path), change)
    paths.workspace.setxattr(paths.inode(b"run"), b"user.note", b"kept")
    before = paths.stat(path)
    paths.workspace.close()
    with bench.open() as again:
        after = Paths(again).stat(path)
        assert after[1:] == before[1:]
        assert again.getxattr(Paths(again).inode(b"run"), b"user.note") == b"kept"
        assert [change.path for change in again.status().changes] == (
            [path] if path in (b"a", b"d/one") and change.mode else []
        )


def moved_branch(bench, paths, theirs, *, keep=True):
    """Commits past the workspace, which is opened again."""
    paths.workspace.close()
    bench.commit(theirs, keep=keep)
    return bench.open()


def test_changes_are_carried_over_to_a_branch_that_moved_elsewhere(bench, paths):
    """Opened again, the workspace shows both, and its commit adds to theirs."""
    paths.write(b"a", 0, b"MINE")
    paths.unlink(b"d/one")
    paths.rename(b"copy", b"moved")
    paths.mkdir(b"d/new")
    paths.create(b"d/new/file", b"mine\n")
    paths.chmod(b"run", 0o700)
    with moved_branch(bench, paths, {b"d/two": b"theirs\n", b"d/0": b"0\n"}) as again:
        assert not again.behind
        both = Paths(again)
        assert both.read(b"a") == b"MINE of a\n"
        assert both.read(b"d/two") == b"theirs\n"
        assert both.names(b"d") == [b"0", b"e", b"new", b"two"]
        assert both.names(b"moved") == [b"e", b"one", b"two"]
        assert both.stat(b"run").mode == stat.S_IFREG | 0o700
        commit(again)
        held = bench.committed(bench.head())
        assert held[b"d/two"].data == b"theirs\n"
        assert held[b"a"].data == b"MINE of a\n"
        assert b"d/one" not in held
        assert b"copy/one" not in held


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (lambda paths: paths.write(b"a", 0, b"x"), {b"a": b"theirs\n"}),
        (lambda paths: paths.unlink(b"d/one"), {b"d/one": b"theirs\n"}),
        (lambda paths: paths.rename(b"d", b"moved"), {b"d/e/deep": b"theirs\n"}),
        (lambda paths: paths.create(b"new"), {b"new": b"theirs\n"}),
        (lambda paths: paths.write(b"d/one", 0, b"x"), {b"d": b"a file now\n"}),
        (lambda paths: paths.create(b"d/new", b"x"), {b"d": b"a file now\n"}),
    ],
)
def test_changes_at_paths_that_moved_too_are_not_carried_over(bench, paths, mine, theirs):
    """Neither side is lost: the workspace stays where it is, and says so."""
    mine(paths)
    before = paths.dump()
    with moved_branch(bench, paths, theirs) as again:
        assert again.behind
        assert Paths(again).dump() == before
        with pytest.raises(ConflictError):
            commit(again)


def test_what_no_commit_can_take_gives_way_to_files_of_the_branch(bench, paths):
    """It would look like a deletion otherwise; elsewhere it stays."""
    paths.mkdir(b"new")
    paths.mkdir(b"new/below")
    paths.workspace.mknod(1, b"fifo", stat.S_IFIFO | 0o600, 0, uid=0, gid=0)
    paths.workspace.mknod(1, b"other", stat.S_IFIFO | 0o600, 0, uid=0, gid=0)
    with moved_branch(bench, paths, {b"new": b"file\n", b"fifo": b"file\n"}) as again:
        assert not again.behind
        assert again.status().is_clean
        assert Paths(again).read(b"new") == Paths(again).read(b"fifo") == b"file\n"
        assert again.status().special == [b"other"]


def test_a_folder_that_the_branch_dropped_is_not_brought_back(bench, paths):
    """Also when only its attributes were changed here."""
    paths.chmod(b"d/e", 0o700)
    paths.write(b"a", 0, b"MINE")
    with moved_branch(bench, paths, {b"a": b"text of a\n", b"d/one": b"1\n"}, keep=False) as again:
        assert again.behind


def test_large_files_do_not_lie_on_the_disk_twice_after_a_commit(bench, paths):
    """They read from the store; bytes, times and inode number stay, and they can be written."""
    data = bytes(range(256)) * 9000
    ino = paths.create(b"model", data)
    paths.write(b"big", 3, b"three")
    paths.create(b"small", b"\0small")
    paths.workspace.setattr(ino, SetAttr(mtime_ns=123_456_789))
    commit(paths.workspace)
    files = list((paths.workspace.root / "data").iterdir())
    assert sum(path.stat().st_blocks for path in files) * 512 < 64 * 1024
    assert (paths.inode(b"model"), paths.stat(b"model").mtime_ns) == (ino, 123_456_789)
    assert paths.read(b"model") == data
    assert paths.workspace.status().is_clean
    paths.write(b"model", 10, b"again")
    wanted = data[:10] + b"again" + data[15:]
    assert paths.read(b"model") == wanted
    commit(paths.workspace)
    assert bench.committed(bench.head())[b"model"].data == wanted


def test_git_gc_leaves_what_changes_stand_on(bench):
    """A base that no branch has any more survives `git gc`, and with it the changes."""
    with bench.open() as workspace:
        Paths(workspace).write(b"a", 0, b"MINE")
        base = workspace.base.id
    bench.git.refs.compare_and_swap(
        "refs/heads/main", base, None, identity=SIGNATURE, message="deleted"
    )
    git = ["git", "-C", str(bench.git.common_dir)]
    subprocess.run([*git, "reflog", "expire", "--expire=now", "--all"], check=True)
    subprocess.run([*git, "gc", "-q", "--prune=now"], check=True)
    bench.git.refs.compare_and_swap(
        "refs/heads/main", None, base, identity=SIGNATURE, message="back"
    )
    with bench.open() as workspace:
        assert Paths(workspace).read(b"a") == b"MINE of a\n"
        assert commit(workspace).modified == 1


def test_status_passes_over_what_is_removed_meanwhile(bench, paths):
    """A file that goes after its row was read, and before its bytes are, is no change any more."""
    workspace = paths.workspace
    paths.write(b"a", 0, b"TEXT")
    reader, base = workspace._status, Snapshot(bench.source, workspace.base)
    (item,) = collect_items(workspace._core)
    paths.unlink(b"a")
    workspace.forget(item.node.ino, 1000)
    assert reader._file_entry(b"a", item.node, base.get(b"a")) is None
