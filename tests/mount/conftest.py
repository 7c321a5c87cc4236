"""Real FUSE mounts for tests: small repositories, and mounts that always go away again."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.git.commits import Signature
from mlbfs.git.pointers import encode_pointer
from mlbfs.git.repository import GitRepository
from mlbfs.git.trees import TreeEntry
from mlbfs.mount import session
from mlbfs.mount.detach import detach
from mlbfs.mount.mountinfo import mount_at, read_mountinfo
from mlbfs.mount.registry import log_path, run_directory
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import DirectoryEntry, EntryKind, encode_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.ids import ObjectId
    from mlbfs.mount.registry import MountRecord

SIGNATURE = Signature("A Tester", "tester@example.org", 1_700_000_000, 0)
TIME_NS = 1_700_000_000_000_000_000

BINARY = bytes(range(256)) * 700
"""179,200 bytes that are no text: more than one chunk."""

_MODES = {EntryKind.FILE: 0o100644, EntryKind.EXECUTABLE: 0o100755, EntryKind.SYMLINK: 0o120000}
Tree = dict[bytes, "bytes | tuple[EntryKind, bytes] | Tree"]


def sample_tree() -> Tree:
    """A tree with one of everything that a snapshot can hold."""
    return {
        b"hello.txt": b"hello\n",
        b"empty": b"",
        b"binary": BINARY,
        b"run.sh": (EntryKind.EXECUTABLE, b"#!/bin/sh\necho ran\n"),
        b"link": (EntryKind.SYMLINK, b"hello.txt"),
        b"caf\xe9": b"latin-1 name\n",
        b"folder": {b"below": {b"deep.txt": b"deep\n"}, b"data": BINARY[:5000]},
    }


class Builder:
    """Writes commits straight through the store and Git layers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git = GitRepository.init(root)
        self.git_dir = self.git.common_dir
        self._store = ChunkStore.create(self.git_dir / "mlbfs")

    def close(self) -> None:
        self._store.close()
        self.git.close()

    def commit(self, ref: str, tree: Tree, parents: tuple[ObjectId, ...] = ()) -> ObjectId:
        """Commits a tree and points a ref to it."""
        directories: list[tuple[ObjectId, bytes]] = []
        with self._store.writer() as writer, self.git.objects() as objects:

            def put_tree(folder: Tree) -> ObjectId:
                entries, shown = [], []
                for name, value in folder.items():
                    if isinstance(value, dict):
                        child = put_tree(value)
                        entries.append(TreeEntry(name, 0o040000, child))
                        shown.append(DirectoryEntry(name, EntryKind.DIRECTORY, 0, child))
                        continue
                    kind, data = value if isinstance(value, tuple) else (EntryKind.FILE, value)
                    if b"\xff" in data:  # not text: chunks
                        file_id, size = writer.put_bytes(data)
                        blob, content = objects.put_blob(encode_pointer(file_id, size)), file_id
                    else:
                        blob = content = objects.put_blob(data)
                    entries.append(TreeEntry(name, _MODES[kind], blob))
                    shown.append(DirectoryEntry(name, kind, len(data), content))
                tree_id = objects.put_tree(entries)
                directories.append((tree_id, encode_directory(shown, time_ns=TIME_NS)))
                return tree_id

            commit = objects.put_commit(
                tree=put_tree(tree),
                parents=parents,
                author=SIGNATURE,
                committer=SIGNATURE,
                message="a commit\n",
            )
            writer.commit(directories)
            objects.commit()
        self.point(ref, commit)
        return commit

    def point(self, ref: str, commit: ObjectId | None) -> None:
        """Points a ref to a commit; None deletes it."""
        old = self.git.refs.read(ref)
        self.git.refs.compare_and_swap(ref, old, commit, identity=SIGNATURE, message="test")


@dataclass
class Mounts:
    """Mounts of one repository; `expected` are parts of log lines that a test provokes."""

    git_dir: Path
    base: Path
    records: list[MountRecord] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def directory(self, name: str = "mnt") -> Path:
        path = self.base / name
        # Not touched when a test has killed its daemon: it would not answer.
        if all(record.directory != str(path) for record in self.records):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def mount(self, ref: str | None, name: str = "mnt", **options: bool) -> Path:
        directory = self.directory(name)
        record = session.mount(self.git_dir, ref, directory, **options)
        self.records.append(record)
        return directory

    def kill(self, directory: Path) -> None:
        """Kills the daemon of a mount, and waits until it is gone."""
        record = next(r for r in reversed(self.records) if r.directory == str(directory))
        process = os.pidfd_open(record.pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            wait_readable(process)
        finally:
            os.close(process)

    def log(self) -> str:
        run = run_directory(self.git_dir)
        paths = [log_path(run, record.id) for record in self.records]
        return "".join(path.read_text() for path in paths if path.exists())

    def close(self) -> None:
        for record in self.records:
            directory = Path(record.directory)
            if mount_at(read_mountinfo(), directory) is not None:
                try:
                    session.unmount(directory)
                except Exception:
                    detach(directory, lazy=True)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(record.pid, signal.SIGKILL)
                    raise

    def check_log(self) -> None:
        """Fails for any error or traceback in a log that the test did not announce."""
        bad = [
            line
            for line in self.log().splitlines()
            if (" ERROR " in line or "Traceback" in line or "Error:" in line)
            and not any(part in line for part in self.expected)
        ]
        assert bad == []


def wait_readable(descriptor: int) -> None:
    import select

    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    assert poller.poll(20_000), "nothing happened for 20 s"


@contextlib.contextmanager
def _mounts(builder: Builder, base: Path) -> Iterator[Mounts]:
    mounts = Mounts(builder.git_dir, base)
    try:
        yield mounts
    finally:
        mounts.close()
    mounts.check_log()


@contextlib.contextmanager
def _builder(root: Path) -> Iterator[Builder]:
    with contextlib.closing(Builder(root)) as builder:
        first = builder.commit("refs/heads/main", sample_tree())
        builder.point("refs/tags/v1", first)
        yield builder


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    """A repository with `sample_tree` on branch main and tag v1."""
    with _builder(tmp_path / "repo") as made:
        yield made


@pytest.fixture
def mounts(builder: Builder, tmp_path: Path) -> Iterator[Mounts]:
    """Mounts of a repository of this test alone."""
    with _mounts(builder, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounts]:
    """Mounts of a repository that the tests of a module share."""
    base = tmp_path_factory.mktemp("shared")
    with _builder(base / "repo") as made, _mounts(made, base) as mounts:
        yield mounts


@pytest.fixture(scope="module")
def snapshot_mount(shared: Mounts) -> Path:
    """The tag v1, mounted read-only for a module."""
    return shared.mount("v1", "snapshot")


@pytest.fixture(scope="module")
def branch_mount(shared: Mounts) -> Path:
    """The branch main, mounted read-write for a module."""
    return shared.mount("main", "branch")


@pytest.fixture
def work(branch_mount: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of one test in the shared branch mount."""
    path = branch_mount / request.node.name.replace("/", "_")
    path.mkdir()
    return path
