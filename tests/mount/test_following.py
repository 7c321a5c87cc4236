"""Mounted branches that move elsewhere: what programs see, and what the kernel remembers."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pyfuse3
import pytest
import trio

from mlbfs.livemounts import ask, mount_at_path
from mlbfs.mount.operations import Operations
from mlbfs.mount.session import list_mounts
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.workspace.source import SnapshotSource
from mlbfs.workspace.workspace import Workspace
from tests.mount.conftest import BINARY, sample_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlbfs.ids import ObjectId
    from mlbfs.mount.registry import MountRecord
    from tests.mount.conftest import Builder, Mounts, Tree

pytestmark = pytest.mark.fuse

LIMIT = 20.0
"""Seconds until a mount that does not follow is given up; it takes one on an idle machine."""


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not is_true():
        assert time.monotonic() < deadline, f"{what}: nothing happened for {LIMIT:.0f} s"
        time.sleep(0.02)


def record_of(mounts: Mounts, place: Path) -> MountRecord:
    found = [m.record for m in list_mounts(mounts.git_dir) if m.record.directory == str(place)]
    return found[0]


def wait_for(mounts: Mounts, place: Path, commit: ObjectId) -> None:
    """Waits until the mount stands on a commit, and the kernel was told."""
    wait_until(lambda: record_of(mounts, place).commit == commit.hex(), "following")


def moved(builder: Builder, change: Callable[[Tree], None]) -> ObjectId:
    """Moves main to a commit that differs from the sample."""
    tree = sample_tree()
    change(tree)
    return builder.commit("refs/heads/main", tree, (builder.git.refs.read("refs/heads/main"),))


def test_a_clean_mount_follows(builder: Builder, mounts: Mounts) -> None:
    """A commit by another process is there soon, and `mounts` says that it followed (S18)."""
    place = mounts.mount("main")
    assert (place / "hello.txt").read_text() == "hello\n"
    assert not (place / "new.txt").exists()
    assert record_of(mounts, place).followed == 0

    def change(tree: Tree) -> None:
        tree[b"hello.txt"] = b"changed elsewhere\n"
        tree[b"new.txt"] = b"new\n"
        del tree[b"run.sh"]

    commit = moved(builder, change)
    wait_for(mounts, place, commit)
    wait_until((place / "new.txt").exists, "a name that was missing")
    assert (place / "hello.txt").read_text() == "changed elsewhere\n"
    assert not (place / "run.sh").exists()
    assert "run.sh" not in os.listdir(place)
    assert (place / "folder" / "below" / "deep.txt").read_text() == "deep\n"
    assert record_of(mounts, place).followed > record_of(mounts, place).started
    assert not record_of(mounts, place).behind


@pytest.mark.parametrize("packed", [False, True])
def test_refs_that_git_moves(builder: Builder, mounts: Mounts, packed: bool) -> None:
    """`git update-ref` is followed, also when the ref lies in packed-refs."""
    commit = builder.commit("refs/heads/other", {b"only.txt": b"only\n"})
    if packed:
        subprocess.run(["git", "-C", builder.root, "pack-refs", "--all"], check=True)
    place = mounts.mount("main")
    command = ["git", "-C", builder.root, "update-ref", "refs/heads/main", commit.hex()]
    subprocess.run(command, check=True)
    if packed:
        subprocess.run(["git", "-C", builder.root, "pack-refs", "--all"], check=True)
    wait_for(mounts, place, commit)
    wait_until(lambda: os.listdir(place) == ["only.txt"], "another tree")


def test_a_push_is_followed(builder: Builder, mounts: Mounts, tmp_path: Path) -> None:
    """What is pushed into the repository by Git shows in the mount."""
    place = mounts.mount("main")
    clone = tmp_path / "clone"
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "clone", "-q", "--branch", "main", builder.root, clone], check=True)
    (clone / "pushed.txt").write_text("pushed\n")
    subprocess.run([*git, "-C", clone, "add", "pushed.txt"], check=True)
    subprocess.run([*git, "-C", clone, "commit", "-qm", "pushed"], check=True)
    subprocess.run([*git, "-C", clone, "push", "-q", "origin", "main"], check=True)
    wait_until((place / "pushed.txt").exists, "a push")
    assert (place / "pushed.txt").read_text() == "pushed\n"
    assert (place / "binary").read_bytes() == BINARY


def test_a_mount_with_changes_stays(builder: Builder, mounts: Mounts) -> None:
    """With changes the mount stays, says "behind", and goes along when they are gone (S18)."""
    place = mounts.mount("main")
    (place / "mine.txt").write_text("mine\n")
    commit = moved(builder, lambda tree: tree.update({b"hello.txt": b"theirs\n"}))
    wait_until(lambda: record_of(mounts, place).behind, "falling behind")
    assert (place / "hello.txt").read_text() == "hello\n"
    info, _ = ask(mount_at_path(place), "info")
    assert info["behind"]
    assert info["tip"] == commit.hex() != info["base"]
    (place / "mine.txt").unlink()
    wait_for(mounts, place, commit)
    wait_until(lambda: (place / "hello.txt").read_text() == "theirs\n", "new content")


def test_what_is_open_stays_as_it_was(builder: Builder, mounts: Mounts) -> None:
    """Descriptors and memory maps of a file go on showing what they were opened on (S19)."""
    place = mounts.mount("main")
    with (place / "binary").open("rb") as opened, (place / "folder" / "data").open("rb") as gone:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        assert mapped[:1000] == BINARY[:1000]

        def change(tree: Tree) -> None:
            tree[b"binary"] = b"\xff" * 500_000
            tree[b"folder"] = b"a file where a folder was\n"

        commit = moved(builder, change)
        wait_for(mounts, place, commit)
        wait_until((place / "folder").is_file, "a folder that became a file")
        assert mapped[:] == BINARY
        assert opened.read() == BINARY
        assert gone.read() == BINARY[:5000]
        assert os.fstat(opened.fileno()).st_nlink == 0
        assert (place / "binary").read_bytes() == b"\xff" * 500_000
        mapped.close()


def test_what_did_not_change_is_not_read_again(builder: Builder, mounts: Mounts) -> None:
    """A file that is the same before and after keeps its inode, so its pages stay in memory."""
    place = mounts.mount("main")
    before = os.stat(place / "binary")
    folder = os.stat(place / "folder")
    commit = moved(builder, lambda tree: tree.update({b"hello.txt": b"theirs\n"}))
    wait_for(mounts, place, commit)
    wait_until(lambda: (place / "hello.txt").read_text() == "theirs\n", "new content")
    after = os.stat(place / "binary")
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert os.stat(place / "folder").st_ino == folder.st_ino


_STAND = """
import os, sys
os.chdir(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    try:
        print(sorted(os.listdir(".")), os.path.exists(line.strip()), flush=True)
    except OSError as err:
        print(err, flush=True)
"""


def test_who_stands_in_a_folder(builder: Builder, mounts: Mounts) -> None:
    """The working folder of a program shows the new content; one that is gone is empty."""
    place = mounts.mount("main")
    programs = []
    for folder in ("folder", "folder/below"):
        program = subprocess.Popen(
            [sys.executable, "-c", _STAND, place / folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        programs.append(program)

    def ask_program(number: int, name: str) -> str:
        program = programs[number]
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(name + "\n")
        program.stdin.flush()
        return program.stdout.readline().strip()

    assert ask_program(0, "new") == "['below', 'data'] False"
    assert ask_program(1, "deep.txt") == "['deep.txt'] True"
    commit = moved(builder, lambda tree: tree.update({b"folder": {b"new": b"new\n"}}))
    wait_for(mounts, place, commit)
    wait_until(lambda: ask_program(0, "new") == "['new'] True", "the working folder")
    wait_until(lambda: ask_program(1, "deep.txt") == "[] False", "a working folder that is gone")
    for program in programs:
        program.communicate()


def test_walks_while_the_branch_moves(builder: Builder, mounts: Mounts) -> None:
    """Walks of the tree during many moves meet no error, and always what is in all commits."""
    stays: Tree = {b"%03d" % number: b"%d\n" % number for number in range(200)}
    trees: list[Tree] = [
        {b"walk": stays | {b"extra%d" % turn: b"x", b"%03d-more" % turn: b"y"}, b"f%d" % turn: b""}
        for turn in range(4)
    ]
    commits = [builder.commit("refs/heads/main", tree) for tree in trees]
    place = mounts.mount("main")
    problems: list[object] = []
    ended = threading.Event()

    def walk() -> None:
        while not ended.is_set():
            found = subprocess.run(["find", place / "walk"], capture_output=True, check=False)
            names = {line.rpartition(b"/")[2] for line in found.stdout.splitlines()}
            # `find` may meet a name that goes; what stays must be there, and once.
            lines = [n for n in found.stdout.splitlines() if n.rpartition(b"/")[2] in stays]
            if not names >= stays.keys() or len(lines) != len(stays):
                problems.append((found.stderr, stays.keys() - names))

    walkers = [threading.Thread(target=walk) for _ in range(2)]
    for walker in walkers:
        walker.start()
    for turn in range(8):
        builder.point("refs/heads/main", commits[turn % 4])
        wait_for(mounts, place, commits[turn % 4])
    ended.set()
    for walker in walkers:
        walker.join()
    assert problems == []


def test_unmounting_while_the_branch_moves(builder: Builder, mounts: Mounts) -> None:
    """A mount that is taken away in the middle of a move ends in order, and is there again."""
    one = builder.git.refs.read("refs/heads/main")
    two = builder.commit("refs/heads/main", {b"a": b"a\n"})
    for turn in range(5):
        place = mounts.mount("main")
        os.listdir(place)
        builder.point("refs/heads/main", (one, two)[turn % 2])
        mounts.close()
    place = mounts.mount("main")
    assert (place / "hello.txt").read_text() == "hello\n"


def test_a_write_by_a_name_that_was_replaced_is_sent_to_look_again(builder: Builder) -> None:
    """Until the kernel was told, an open for writing of the old inode is answered with ESTALE."""
    source = SnapshotSource(builder.git, ChunkStore.open(builder.git_dir / "mlbfs"))
    head = builder.git.read_commit(builder.git.refs.read("refs/heads/main"))
    with (
        source.store,
        Workspace.open(builder.root / "space", source, branch="main", head=head) as workspace,
    ):
        operations = Operations(workspace, workspace)
        context = pyfuse3.RequestContext()
        ino = workspace.lookup(1, b"hello.txt").ino
        commit = moved(builder, lambda tree: tree.update({b"hello.txt": b"theirs\n"}))
        workspace.move(builder.git.read_commit(commit))
        assert trio.run(operations.open, ino, os.O_RDONLY, context).fh == ino
        with pytest.raises(pyfuse3.FUSEError) as caught:
            trio.run(operations.open, ino, os.O_WRONLY, context)
        assert caught.value.errno == errno.ESTALE
        new = workspace.lookup(1, b"hello.txt").ino
        assert trio.run(operations.open, new, os.O_RDWR, context).fh == new
