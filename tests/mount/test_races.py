"""Commits, renames and unmounts while programs write, on a real mount."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError, ErrorKind, MlbfsError
from mlbfs.mount import session
from mlbfs.mount.live import request
from mlbfs.mount.messages import encode_signature
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.source import SnapshotSource
from mlbfs.workspace.testing import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.mount.registry import MountRecord

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

WRITERS = 8

MLBFS = Path(sys.executable).with_name("mlbfs")

WRITER = r"""
import os, sys
me, folder, number = sys.argv[1].encode(), sys.argv[2], 0
os.mkdir(folder)
os.chdir(folder)
place = os.open("inplace", os.O_RDWR | os.O_CREAT)
while True:
    number += 1
    line = b"\xff" * (number % 2) + me + b" %09d\n" % number
    block = line * (60_000 // len(line))
    os.pwrite(place, block.ljust(60_100), 0)
    with open("new", "wb") as file:
        file.write(block)
    os.rename("new", "atomic")
    name = "n%d" % (number % 7)
    if os.path.exists(name):
        os.unlink(name)
    with open(name, "wb") as file:
        file.write(block)
    if number % 5 == 0:
        os.rename(name, name + "x")
    if number == 3:
        print("begun", flush=True)
"""
"""Every file has one line, over and over; a mix of two would be a state that never was."""


@pytest.fixture
def writers(mounts) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that write as fast as they can into a mount of `main`."""
    place = mounts.mount("main")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number), place / f"w{number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for number in range(WRITERS)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == b"begun\n"
        yield started
    finally:
        end(started)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def commit(record: MountRecord, message: str = "a commit") -> str:
    who = encode_signature(SIGNATURE)
    answer, _ = request(record, "commit", {"message": message, "author": who, "committer": who})
    return str(answer["commit"])


def check_commits(builder, ids: list[str]) -> int:
    """Checks that every file of these commits is of one moment; returns how many there are."""
    count = 0
    with ChunkStore.open(builder.git_dir / "mlbfs") as store:
        source = SnapshotSource(builder.git, store)
        for commit_id in ids:
            shown = Snapshot(source, builder.git.read_commit(bytes.fromhex(commit_id)))
            for path, entry in shown.walk():
                if not path.startswith(b"w") or entry.is_directory:
                    continue
                data = shown.read(path)
                count += 1
                assert len(data) == entry.size
                lines = {line for line in data.splitlines() if line.strip()}
                assert len(lines) <= 1, (commit_id, path, lines)
    return count


@pytest.mark.git
def test_commits_while_programs_write(mounts, builder, writers) -> None:
    """Every committed file is one that existed; a busy mount is not taken away."""
    (record,) = mounts.records
    ids = [commit(record, f"number {number}") for number in range(5)]
    with pytest.raises(ConflictError) as caught:
        session.unmount(Path(record.directory))
    assert caught.value.kind is ErrorKind.MOUNT_BUSY
    assert "python" in caught.value.message
    assert all(process.poll() is None for process in writers)
    end(writers)
    ids.append(commit(record, "the rest"))
    place = Path(record.directory)
    files = {path.relative_to(place): path.read_bytes() for path in place.glob("w*/*")}
    session.unmount(place)
    assert check_commits(builder, ids) > 5 * WRITERS
    assert sound(builder.root)
    again = mounts.mount("main", "again")
    assert {path.relative_to(again): path.read_bytes() for path in again.glob("w*/*")} == files


def sound(repository: Path) -> bool:
    """Returns whether both checks find the repository in order."""
    commands = ([MLBFS, "-C", repository, "fsck"], ["git", "-C", repository, "fsck", "--strict"])
    return all(subprocess.run(command, check=False).returncode == 0 for command in commands)


def test_two_commits_at_once(mounts, builder, writers) -> None:
    """They come one after the other."""
    (record,) = mounts.records
    with ThreadPoolExecutor(3) as pool:
        ids = list(pool.map(lambda number: commit(record, str(number)), range(3)))
    assert len(set(ids)) == 3
    head = builder.git.read_commit(builder.git.refs.read("refs/heads/main"))
    chain = [head.id.hex()]
    while len(chain) < 3:
        head = builder.git.read_commit(head.parents[0])
        chain.append(head.id.hex())
    assert sorted(chain) == sorted(ids)


def test_sigterm_under_load(mounts, writers) -> None:
    """The daemon ends in order and the workspace is whole."""
    (record,) = mounts.records
    process = os.pidfd_open(record.pid)
    committing = threading.Thread(target=commit_or_not, args=[record])
    committing.start()
    signal.pidfd_send_signal(process, signal.SIGTERM)
    wait_readable(process)
    os.close(process)
    committing.join(60)
    end(writers)
    place = mounts.mount("main", "again")
    assert len(list(place.glob("w*"))) == WRITERS
    for path in place.glob("w*/n*"):
        assert len(set(path.read_bytes().splitlines())) <= 1
    answer, _ = request(mounts.records[-1], "info", {})
    assert answer["recovery"] is None


def commit_or_not(record: MountRecord) -> None:
    try:
        commit(record)
    except MlbfsError:  # it was too late
        return


def wait_readable(descriptor: int) -> None:
    import select

    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    assert poller.poll(20_000), "nothing happened for 20 s"
