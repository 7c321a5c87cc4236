"""An open workspace that comes to stand on another commit, without a kernel."""

from __future__ import annotations

import shutil
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.attributes import SetAttr
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths, Shape, file
from mlbfs.workspace.vfs_errors import NoEntry, NotEmpty

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.workspace.attributes import Attributes
    from mlbfs.workspace.carry import Moved
    from mlbfs.workspace.checkout import Stale

BASE = {
    b"a": b"text of a\n",
    b"big": bytes(range(256)) * 8192,
    b"d/one": b"1\n",
    b"d/two": b"2\n",
    b"d/e/deep": b"deep\n",
    b"link": Shape(EntryKind.SYMLINK, b"a"),
}


def known(paths: Paths, path: bytes) -> Attributes:
    """Looks a path up as the kernel does, which remembers everything on the way."""
    ino = 1
    found = None
    for name in path.split(b"/"):
        found = paths.workspace.lookup(ino, name)
        ino = found.ino
    assert found is not None
    return found


def elsewhere(bench: Bench, changes: dict[bytes, Shape | bytes | None]) -> None:
    """Commits to the branch, past the workspace; None removes a path."""
    shapes: dict[bytes, Shape | bytes] = dict(bench.committed(bench.head()))
    for path, shape in changes.items():
        if shape is None:
            del shapes[path]
        else:
            shapes[path] = shape
    bench.commit(shapes)


def _folder_with_hostile_name(paths: Paths) -> None:
    """Makes what a commit leaves behind: a folder with nothing that Git takes."""
    paths.mkdir(b"new")
    paths.mkdir(b"new/.git")
    paths.create(b"new/.git/config", b"mine\n")
    paths.create(b"other", b"other\n")
    paths.workspace.commit("other", author=SIGNATURE)


def move(bench: Bench, paths: Paths, *, only_clean: bool = False) -> Moved:
    return paths.workspace.move(bench.head(), only_clean=only_clean)


@pytest.fixture(autouse=True)
def base(bench: Bench) -> None:
    """`main` holds BASE."""
    bench.commit(BASE)


def test_what_is_the_same_keeps_its_inode(bench: Bench, paths: Paths) -> None:
    """Files and folders that both commits have are the same inodes; what differs is another."""
    before = {path: known(paths, path).ino for path in (b"a", b"d", b"d/one", b"d/two", b"d/e")}
    elsewhere(bench, {b"d/one": b"changed\n", b"d/new": b"new\n"})
    assert move(bench, paths).stale is not None
    after = {path: paths.inode(path) for path in before}
    assert {path for path in before if before[path] != after[path]} == {b"d/one"}
    assert paths.read(b"d/one") == b"changed\n"
    assert paths.names(b"d") == [b"e", b"new", b"one", b"two"]
    assert paths.workspace.status().is_clean


def test_what_is_open_reads_as_it_was(bench: Bench, paths: Paths) -> None:
    """A file that is replaced, removed, or lies in a folder that goes, is read as it was opened."""
    opened = {path: known(paths, path).ino for path in (b"a", b"big", b"d/one", b"d/e/deep")}
    elsewhere(bench, {b"a": None, b"big": b"small\n", b"d/one": None, b"d/two": None})
    elsewhere(bench, {b"d/e/deep": None, b"d": b"a file now\n"})
    move(bench, paths)
    for path, ino in opened.items():
        shape = BASE[path]
        data = shape.data if isinstance(shape, Shape) else shape
        assert paths.workspace.read(ino, 0, len(data) + 1) == data
        seen = paths.workspace.getattr(ino)
        assert (seen.size, seen.nlink) == (len(data), 0)
    assert paths.read(b"d") == b"a file now\n"


def test_what_is_written_to_a_replaced_file_is_in_no_commit(bench: Bench, paths: Paths) -> None:
    """A file that is open over a move is written as one without a name, and goes with its close."""
    ino = known(paths, b"a").ino
    elsewhere(bench, {b"a": b"theirs\n"})
    move(bench, paths)
    paths.workspace.write(ino, 0, b"TEXT")
    assert paths.workspace.read(ino, 0, 100) == b"TEXT of a\n"
    assert paths.read(b"a") == b"theirs\n"
    assert paths.workspace.status().is_clean
    paths.workspace.forget(ino, 1)
    paths.workspace.sync()
    assert not list((paths.workspace.root / "data").iterdir())


def test_a_folder_that_is_gone_is_an_empty_one(bench: Bench, paths: Paths) -> None:
    """Who stands in a folder that another commit has not finds nothing, and makes nothing."""
    d, e = known(paths, b"d").ino, known(paths, b"d/e").ino
    elsewhere(bench, {b"d/one": None, b"d/two": None, b"d/e/deep": None})
    move(bench, paths)
    for ino in (d, e):
        assert list(paths.workspace.readdir(ino)) == []
        assert paths.workspace.getattr(ino).nlink == 0
        with pytest.raises(NoEntry):
            paths.workspace.lookup(ino, b"deep")
        with pytest.raises(NoEntry):
            paths.workspace.create(ino, b"new", 0o644, uid=0, gid=0)
    assert not paths.exists(b"d")
    elsewhere(bench, {b"d/e/deep": b"again\n"})
    move(bench, paths)
    assert paths.read(b"d/e/deep") == b"again\n"
    assert list(paths.workspace.readdir(d)) == []


def test_a_folder_with_rows_that_is_gone(bench: Bench, paths: Paths) -> None:
    """Rows that a commit has go with their folder; what of them is open is read on."""
    paths.create(b"d/made", b"made here\n")
    paths.create(b"d/e/made", b"made here too\n")
    paths.workspace.commit("made", author=SIGNATURE)
    ino = known(paths, b"d/made").ino
    bench.commit({b"a": b"text of a\n"})
    move(bench, paths)
    assert paths.names() == [b"a"]
    assert paths.workspace.read(ino, 0, 100) == b"made here\n"
    paths.workspace.sync()
    assert len(list((paths.workspace.root / "data").iterdir())) == 1
    paths.workspace.forget(ino, 1)
    paths.workspace.sync()
    assert not list((paths.workspace.root / "data").iterdir())


def test_changes_are_carried_over(bench: Bench, paths: Paths) -> None:
    """Changes at paths that the two commits agree on stand on the other commit."""
    paths.write(b"big", 5, b"here")
    paths.create(b"d/mine", b"mine\n")
    paths.rename(b"d/two", b"moved")
    elsewhere(bench, {b"d/one": b"theirs\n", b"x/y": b"theirs\n"})
    before = {change.path for change in paths.workspace.status().changes}
    moved = move(bench, paths)
    assert sorted(moved.carried) == sorted(before)
    assert {change.path for change in paths.workspace.status().changes} == before
    assert paths.read(b"d/one") == b"theirs\n"
    done = paths.workspace.commit("mine", author=SIGNATURE)
    assert bench.committed(done.commit)[b"x/y"] == file(b"theirs\n")
    assert bench.committed(done.commit)[b"moved"] == file(b"2\n")
    assert b"d/two" not in bench.committed(done.commit)


@pytest.mark.parametrize(
    ("change", "theirs"),
    [
        (lambda p: p.write(b"a", 0, b"mine"), {b"a": b"theirs\n"}),
        (lambda p: p.write(b"a", 0, b"mine"), {b"a": None}),
        (lambda p: p.unlink(b"a"), {b"a": b"theirs\n"}),
        (lambda p: p.create(b"new", b"mine\n"), {b"new": b"theirs\n"}),
        (lambda p: p.create(b"new", b"mine\n"), {b"new/file": b"theirs\n"}),
        (lambda p: p.mkdir(b"new"), {b"new": b"theirs\n"}),
        (
            lambda p: p.create(b"d/mine", b"mine\n"),
            {b"d/one": None, b"d/two": None, b"d/e/deep": None},
        ),
        (lambda p: p.rename(b"d", b"moved"), {b"d/one": b"theirs\n"}),
        (_folder_with_hostile_name, {b"new": b"theirs\n"}),
        (lambda p: p.chmod(b"a", 0o755), {b"a": b"theirs\n"}),
    ],
)
def test_changes_in_the_way(bench, paths, change, theirs) -> None:
    """Where both changed something nothing is moved, nothing is lost, and the paths are told."""
    change(paths)
    seen = paths.dump()
    base = paths.workspace.base
    elsewhere(bench, theirs)
    moved = move(bench, paths)
    assert moved.stale is None
    assert moved.in_the_way
    assert paths.dump() == seen
    assert paths.workspace.base == base


def test_a_file_that_was_touched_gives_way(bench: Bench, paths: Paths) -> None:
    """A file that was written as it was is no change: it is in nobody's way."""
    paths.write(b"a", 0, b"text")
    paths.workspace.setattr(paths.inode(b"d/one"), SetAttr(mtime_ns=5))
    paths.write(b"big", 0, bytes(range(20)))
    elsewhere(bench, {b"a": b"theirs\n", b"d/one": b"theirs\n", b"big": b"theirs\n"})
    moved = move(bench, paths, only_clean=True)
    assert moved.stale is not None
    assert paths.read(b"a") == paths.read(b"d/one") == paths.read(b"big") == b"theirs\n"
    assert paths.workspace.status().is_clean


def test_only_a_clean_workspace_follows(bench: Bench, paths: Paths) -> None:
    """With a change, also far from what moved, a workspace that follows stays where it is."""
    paths.create(b"mine", b"mine\n")
    elsewhere(bench, {b"a": b"theirs\n"})
    assert move(bench, paths, only_clean=True).in_the_way == [b"mine"]
    assert paths.read(b"a") == b"text of a\n"
    paths.unlink(b"mine")
    assert move(bench, paths, only_clean=True).stale is not None
    assert paths.read(b"a") == b"theirs\n"


def test_what_no_commit_takes_comes_along(bench: Bench, paths: Paths) -> None:
    """Pipes, empty folders and names that Git refuses keep nothing from following, and stay."""
    parent, name = paths.split(b"pipe")
    paths.workspace.mknod(parent, name, stat.S_IFIFO | 0o600, 0, uid=0, gid=0)
    paths.mkdir(b"empty")
    paths.mkdir(b".git")
    paths.create(b".git/config", b"kept\n")
    elsewhere(bench, {b"a": b"theirs\n"})
    assert move(bench, paths, only_clean=True).stale is not None
    assert paths.names() == [b".git", b"a", b"big", b"d", b"empty", b"link", b"pipe"]
    assert paths.read(b".git/config") == b"kept\n"


def test_a_row_that_was_committed_gives_way(bench: Bench, paths: Paths) -> None:
    """What was written here and committed is replaced by what the branch has later."""
    paths.write(b"a", 0, b"MINE")
    paths.create(b"made", b"made\n")
    paths.unlink(b"d/one")
    paths.workspace.commit("mine", author=SIGNATURE)
    ino = known(paths, b"a").ino
    bench.commit(BASE)  # as it was before
    move(bench, paths)
    assert paths.read(b"a") == b"text of a\n"
    assert paths.read(b"d/one") == b"1\n"
    assert not paths.exists(b"made")
    assert paths.inode(b"a") != ino
    assert paths.workspace.read(ino, 0, 100) == b"MINE of a\n"
    paths.write(b"a", 0, b"AGAIN")
    assert paths.read(b"a") == b"AGAINof a\n"
    assert [change.path for change in paths.workspace.status().changes] == [b"a"]


def test_a_listing_goes_on_over_a_move(bench: Bench, paths: Paths) -> None:
    """What is in a folder before and after a move is told once by a listing that began before."""
    names = [b"%04d" % number for number in range(600)]
    bench.commit({b"f/" + name: name for name in names})
    move(bench, paths)
    folder = known(paths, b"f").ino
    listing = iter(paths.workspace.readdir(folder))
    told = [next(listing) for _ in range(250)]
    kept = [name for name in names if int(name) % 3]
    changed = {name: b"other" if int(name) % 7 == 0 else name for name in kept}
    more = {b"%04d-more" % number: b"" for number in range(0, 600, 5)}
    bench.commit({b"f/" + name: data for name, data in (changed | more).items()})
    move(bench, paths)
    rest = list(paths.workspace.readdir(folder, told[-1].next_offset))
    seen = [item.name for item in [*told, *rest] if item.name in changed]
    assert sorted(seen) == kept
    assert sorted(item.name for item in paths.workspace.readdir(folder)) == sorted(changed | more)


def test_stale_is_what_somebody_knows(bench: Bench, paths: Paths) -> None:
    """Told are names that differ in folders that are known, and the folders; nothing else."""
    told: list[Stale] = []
    paths.workspace.on_stale = told.append
    d = known(paths, b"d").ino
    known(paths, b"d/one")
    elsewhere(bench, {b"d/one": b"x", b"d/two": b"x", b"d/new": b"x", b"d/e/deep": b"x"})
    move(bench, paths)
    assert len(told) == 1
    # `two` was never looked up, and nothing in `e`; `new` may be remembered as missing.
    assert sorted(told[0].names) == [(d, b"new"), (d, b"one")]
    assert sorted(told[0].attributes) == [1, d]


def test_folders_that_nobody_looked_into_are_not_read(bench: Bench, paths: Paths) -> None:
    """A move costs what differs where somebody looked; the rest is found when it is looked at."""
    paths.names()
    bench.commit({b"%d/file" % number: b"%d" % number for number in range(50)} | BASE)
    move(bench, paths)
    bench.commit({b"%d/file" % number: b"x%d" % number for number in range(50)} | BASE)
    entries = list(bench.source.directory(bench.head().tree, time_ns=0))
    move(bench, paths)
    trees = [entry.content for entry in entries if entry.is_directory and entry.name != b"d"]
    assert not any(bench.source.is_loaded(tree) for tree in trees)  # type: ignore[arg-type]
    assert paths.read(b"7/file") == b"x7"


def test_a_killed_workspace_stands_where_it_was_moved(bench: Bench, paths: Paths) -> None:
    """After a kill the workspace is on the new commit, with the changes that were carried over."""
    paths.write(b"big", 5, b"here")
    paths.create(b"d/mine", b"mine\n")
    paths.rename(b"d/two", b"d/renamed")
    elsewhere(bench, {b"d/one": b"theirs\n", b"d/0": b"0", b"z": b"z"})
    move(bench, paths)
    paths.unlink(b"d/0")
    paths.rename(b"d/e", b"moved")
    paths.create(b"moved/more", b"more\n")
    seen = paths.dump()
    shutil.copytree(bench.folder(), bench.folder("killed"))
    elsewhere(bench, {b"a": b"even later\n"})
    with bench.open(folder="killed") as workspace:
        assert not workspace.behind
        again = Paths(workspace)
        seen[b"a"] = (seen[b"a"][0], b"even later\n")
        assert again.dump() == seen


def test_rows_of_a_renamed_folder_hide_its_base_after_reopening(bench: Bench, paths: Paths) -> None:
    """A folder that was renamed after a move lists each name once when it is opened again."""
    paths.write(b"d/two", 0, b"mine")
    paths.workspace.commit("mine", author=SIGNATURE)
    elsewhere(bench, {b"d/0": b"0", b"d/1": b"1"})
    move(bench, paths)
    paths.write(b"d/1", 0, b"changed")
    paths.rename(b"d", b"renamed")
    seen = paths.dump()
    paths.workspace.close()
    with bench.open() as workspace:
        assert Paths(workspace).dump() == seen
        assert sorted(Paths(workspace).names(b"renamed")) == [b"0", b"1", b"e", b"one", b"two"]


def test_a_folder_can_be_emptied_after_a_move(bench: Bench, paths: Paths) -> None:
    """Rmdir counts what is in the folder now, not what was in it before the move."""
    paths.unlink(b"d/one")
    paths.workspace.commit("one is gone", author=SIGNATURE)
    elsewhere(bench, {b"d/zero": b"0\n", b"d/e/deep": None})
    move(bench, paths)
    paths.unlink(b"d/two")
    with pytest.raises(NotEmpty):
        paths.rmdir(b"d")
    paths.unlink(b"d/zero")
    paths.rmdir(b"d")
    assert not paths.exists(b"d")


def test_many_moves_back_and_forth(bench: Bench, paths: Paths) -> None:
    """A hundred moves between two commits leave names, inodes of what stays, and offsets right."""
    one, two = bench.head(), bench.commit({**BASE, b"a": b"other\n", b"d/three": b"3\n"})
    stays = known(paths, b"d/one").ino
    for number in range(100):
        paths.workspace.move((two, one)[number % 2])
        assert paths.exists(b"d/three") == (number % 2 == 0)
        assert paths.inode(b"d/one") == stays
    assert paths.names() == [b"a", b"big", b"d", b"link"]
    assert paths.names(b"d") == [b"e", b"one", b"two"]


def test_what_was_replaced_is_known(bench: Bench, paths: Paths) -> None:
    """A file that another stands in the place of is told from one that was removed here."""
    paths.create(b"made", b"made\n")
    paths.workspace.commit("made", author=SIGNATURE)
    files = {path: known(paths, path).ino for path in (b"a", b"big", b"made", b"d/one", b"d/two")}
    paths.unlink(b"d/two")
    elsewhere(bench, {b"a": b"theirs\n", b"made": None, b"d/one": b"theirs\n"})
    move(bench, paths)
    replaced = {path for path, ino in files.items() if paths.workspace.is_replaced(ino)}
    assert replaced == {b"a", b"made", b"d/one"}
    for ino in files.values():
        paths.workspace.forget(ino, 1)
    assert not paths.workspace.is_replaced(paths.inode(b"a"))
    assert not paths.workspace._core.replaced


def test_moves_while_threads_read_and_write(bench: Bench, paths: Paths) -> None:
    """Whatever is read is of one of the commits, and what is written is there in the end."""
    workspace = paths.workspace
    shapes = [
        {b"f/%03d" % number: b"%d %d\n" % (number, turn) for number in range(150)}
        | {b"only-%d/file" % turn: b"x"}
        for turn in range(2)
    ]
    commits = [bench.commit(shape) for shape in shapes]
    workspace.move(commits[0])
    ended = threading.Event()
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not ended.is_set():
                    work()
            except BaseException as err:
                failures.append(err)

        return run

    def read() -> None:
        folder = workspace.lookup(1, b"f")
        names = [item.name for item in workspace.readdir(folder.ino)]
        assert sorted(names) == sorted(set(names)) == [b"%03d" % n for n in range(150)]
        found = workspace.lookup(folder.ino, b"077")
        assert workspace.read(found.ino, 0, 100) in (b"77 0\n", b"77 1\n")
        workspace.forget(found.ino, 1)
        workspace.forget(folder.ino, 1)

    written, most = 0, 400

    def write() -> None:
        nonlocal written
        if written < most:  # a move costs what has changed: without an end each takes longer
            paths.create(b"mine-%d" % written, b"%d\n" % written)
            written += 1
        else:
            paths.write(b"mine-0", 0, b"0\n")

    threads = [threading.Thread(target=guarded(work)) for work in (read, read, write)]
    for thread in threads:
        thread.start()
    for turn in range(1, 31):
        assert workspace.move(commits[turn % 2]).stale is not None
    ended.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    expected = dict(shapes[0]) | {b"mine-%d" % n: b"%d\n" % n for n in range(written)}
    dumped = {p: data for p, (mode, data) in paths.dump().items() if stat.S_ISREG(mode)}
    assert dumped == expected
    assert {c.path for c in workspace.status().changes} == expected.keys() - shapes[0].keys()
