"""The daemon of a mount is killed while it commits and programs write: nothing closed is lost.

The number of rounds is `MLBFS_KILL_ROUNDS`; each begins with what the round before left.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import MlbfsError
from mlbfs.mount import session
from mlbfs.mount.live import request
from mlbfs.mount.messages import encode_signature
from mlbfs.mount.mountinfo import mount_at, read_mountinfo
from mlbfs.workspace.kept import list_workspaces
from mlbfs.workspace.testing import SIGNATURE, Bench
from tests.mount.conftest import wait_readable

if TYPE_CHECKING:
    from mlbfs.mount.registry import MountRecord

pytestmark = [pytest.mark.fuse, pytest.mark.slow, pytest.mark.git]

ROUNDS = int(os.environ.get("MLBFS_KILL_ROUNDS", "4"))

MLBFS = Path(sys.executable).with_name("mlbfs")

FILES = 12


def content(name: int, version: int) -> bytes:
    """Bytes of a version of a file; every third file is no text and goes to the chunk store."""
    line = b"%d of version %d\n" % (name, version)
    return (b"\xff" if name % 3 == 0 else b"") + line * (1 + 700 * (name % 4))


class Writer(threading.Thread):
    """Writes one version after the other, half of them in place and half by rename.

    Attributes:
        done: The last version of each file that was closed.
        begun: The last version of each file that was begun.
    """

    def __init__(self, place: Path, done: dict[int, int]) -> None:
        super().__init__()
        self.place = place
        self.done = done
        self.begun = dict(done)

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone
            while True:
                for name in range(FILES):
                    self._write(name)

    def _write(self, name: int) -> None:
        path, version = self.place / f"file{name}", self.begun[name] + 1
        self.begun[name] = version
        if name % 2:
            path.with_suffix(".new").write_bytes(content(name, version))
            path.with_suffix(".new").rename(path)
        else:
            with open(path, "r+b", buffering=0) as file:
                file.write(content(name, version))
                file.truncate(len(content(name, version)))
        self.done[name] = version


def commit(record: MountRecord, message: str) -> str | None:
    """Commits; returns the id if the daemon lived to tell it."""
    who = encode_signature(SIGNATURE)
    try:
        answer, _ = request(record, "commit", {"message": message, "author": who, "committer": who})
    except MlbfsError:
        return None
    return str(answer["commit"])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def is_version(data: bytes, name: int, done: int, begun: int) -> bool:
    """Returns whether a file is as it was when it was closed, or as a later write may leave it."""
    versions = range(done, begun + 1)
    if data in [content(name, version) for version in versions]:
        return True
    # In place: the new bytes may be there before the new length.
    new, old = content(name, begun), content(name, done)
    return name % 2 == 0 and data == new + old[len(new) :]


def test_daemon_killed_in_commits(tmp_path: Path) -> None:
    """After each kill the mount shows every closed write, and the branch the old or new commit.

    The promise of a mount (S20, S23).
    """
    place = tmp_path / "mnt"
    place.mkdir()
    bench = Bench(tmp_path / "repository")
    bench.commit({f"file{name}".encode(): content(name, 0) for name in range(FILES)})
    git_dir, chance = bench.git.common_dir, random.Random(3)
    versions, head = dict.fromkeys(range(FILES), 0), bench.head().id
    try:
        for number in range(ROUNDS):
            record = session.mount(git_dir, "main", place)
            assert not (place / "file1.new").exists() or (place / "file1").exists()
            writer = Writer(place, dict(versions))
            writer.start()
            killer = threading.Timer(chance.uniform(0.02, 0.4), kill, [record.pid])
            killer.start()
            told = head
            while (answer := commit(record, f"round {number}")) is not None:
                told = bytes.fromhex(answer)
            killer.join()
            writer.join(60)
            assert not writer.is_alive()
            record = session.mount(git_dir, "main", place)
            for name in range(FILES):
                data = (place / f"file{name}").read_bytes()
                seen = f"round {number}: file{name}"
                assert is_version(data, name, writer.done[name], writer.begun[name]), seen
                versions[name] = writer.begun[name] + 1
                (place / f"file{name}").write_bytes(content(name, versions[name]))
            head = bench.head().id
            parents = bench.git.read_commit(head).parents
            assert told in (head, *parents)
            session.unmount(place)
            assert subprocess.run([MLBFS, "-C", tmp_path / "repository", "fsck"]).returncode == 0
        strict = subprocess.run(["git", "-C", tmp_path / "repository", "fsck", "--strict"])
        assert strict.returncode == 0
    finally:
        if mount_at(read_mountinfo(), place) is not None:
            session.unmount(place, lazy=True)
        bench.close()


MOVED = 200
"""Files that two branches differ in."""


def shape(turn: int) -> dict[bytes, bytes]:
    """A branch: 200 files in 10 folders with content of its own, and one more."""
    files = {b"d%d/f%03d" % (n % 10, n): b"%d of branch %d\n" % (n, turn) for n in range(MOVED)}
    return files | {b"only%d" % turn: b"\xff" * 5000}


def files_of(place: Path) -> dict[bytes, bytes]:
    root = os.fsencode(place)
    return {
        os.path.relpath(os.path.join(folder, name), root): Path(
            os.fsdecode(os.path.join(folder, name))
        ).read_bytes()
        for folder, folders, names in os.walk(root)
        for name in names
        if b".git" not in (name, *folders)
    }


def test_daemon_killed_in_a_move(tmp_path: Path) -> None:
    """Between two branches the workspace is wholly on one of them, with the work that was unsaved.

    The kill comes at any moment of `switch`, which is told or not; what was told is so.
    """
    place = tmp_path / "mnt"
    place.mkdir()
    bench = Bench(tmp_path / "repository")
    shapes = {"main": shape(0), "side": shape(1)}
    for branch, files in shapes.items():
        bench.commit(files, branch=branch)
    git_dir, chance, branch = bench.git.common_dir, random.Random(7), "main"
    mine: dict[bytes, bytes] = {}
    try:
        for number in range(2 * ROUNDS):
            record = session.mount(git_dir, branch, place)
            mine[b"mine%d" % number] = b"unsaved %d\n" % number
            (place / f"mine{number}").write_bytes(b"unsaved %d\n" % number)
            gone = os.pidfd_open(record.pid)
            killer = threading.Timer(chance.uniform(0, 0.08), kill, [record.pid])
            killer.start()
            told = branch
            with contextlib.suppress(MlbfsError):
                while True:
                    other = "side" if told == "main" else "main"
                    request(record, "switch", {"branch": other})
                    told = other
            killer.join()
            wait_readable(gone)  # until then the process has its locks
            os.close(gone)
            (kept,) = list_workspaces(bench.store.root)
            branch = kept.branch
            session.mount(git_dir, branch, place)
            assert files_of(place) == shapes[branch] | mine, f"round {number}, told {told}"
            session.unmount(place)
            assert kept.is_dirty
        bench.store.close()
        assert subprocess.run([MLBFS, "-C", tmp_path / "repository", "fsck"]).returncode == 0
    finally:
        if mount_at(read_mountinfo(), place) is not None:
            session.unmount(place, lazy=True)
        bench.close()
