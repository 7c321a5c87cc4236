"""The device refuses the n-th call, for every n: nothing is lost and nothing half done is seen."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import resource
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import CorruptionError, StorageError, StoreFullError
from mlbfs.ids import FileId
from mlbfs.store import kernels, output, recipe, sink
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.edit import Edit
from mlbfs.store.files import Files
from mlbfs.store.formatfile import MIDSTATES, read_format
from mlbfs.store.fsck import fsck
from mlbfs.store.gc import collect

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.store.writer import StoreWriter

OPERATIONS = ("create", "write", "short write", "sync_file", "rename", "sync_directory")


class FaultyFiles(Files):
    """Real files, but one call of one operation fails, once or from then on."""

    def __init__(self, operation: str, position: int, code: int, *, lasting: bool = False) -> None:
        self.operation = operation
        self.left = position
        self.code = code
        self.lasting = lasting
        self.struck = False

    def _strike(self, operation: str) -> bool:
        if operation != self.operation.removeprefix("short "):
            return False
        self.left -= 1
        hit = self.left == -1 or (self.lasting and self.left < 0)
        self.struck |= hit
        return hit

    def _fail(self) -> None:
        raise OSError(self.code, os.strerror(self.code))

    def create(self, path: Path) -> int:
        if self._strike("create"):
            self._fail()
        return super().create(path)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self._strike("write"):
            if self.operation == "write":
                self._fail()
            return super().write(fd, memoryview(data)[: len(data) // 2])
        return super().write(fd, data)

    def sync_file(self, fd: int) -> None:
        if self._strike("sync_file"):
            self._fail()
        super().sync_file(fd)

    def rename(self, old: Path, new: Path) -> None:
        if self._strike("rename"):
            self._fail()
        super().rename(old, new)

    def sync_directory(self, path: Path) -> None:
        if self._strike("sync_directory"):
            self._fail()
        super().sync_directory(path)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several packs per commit, so that faults strike between them."""
    monkeypatch.setattr(sink, "PACK_TARGET_SIZE", 150_000)
    monkeypatch.setattr(output, "BLOCK_SIZE", 32_768)


def _contents(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(size) for size in (10, 90_000, 200_000, 50_000)]


def _write(store: ChunkStore, contents: list[bytes]) -> list[FileId]:
    with store.writer() as writer:
        ids = [_put(writer, data) for data in contents]
        writer.commit()
    return ids


def _put(writer: StoreWriter, data: bytes) -> FileId:
    put = writer.put_bytes(data) if len(data) < 100_000 else writer.put_stream(BytesIO(data))
    return put[0]


def _refused(store: ChunkStore, contents: list[bytes]) -> StorageError | None:
    try:
        _write(store, contents)
    except StorageError as err:
        return err
    return None


def _assert_intact(root: Path, before: dict[FileId, bytes], attempted: list[bytes]) -> None:
    """The old files are there, the store is sound, and writing again succeeds."""
    with ChunkStore.open(root) as store:
        assert all(f.harmful is False for f in fsck(store))
        for file_id, data in before.items():
            assert data == store.open_file(file_id).read(0, len(data) + 1)
        ids = _write(store, attempted)
        for file_id, data in zip(ids, attempted, strict=True):
            assert data == store.open_file(file_id).read(0, len(data) + 1)
        assert not list((root / "packs").glob("tmp-*"))
        everything = [*before, *ids]
        collect(store, lambda: everything, repack=True)
        assert list(fsck(store)) == []
        for file_id, data in zip(ids, attempted, strict=True):
            assert data == store.open_file(file_id).read(0, len(data) + 1)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.slow
def test_every_position_of_a_write(tmp_path: Path, operation: str, code: int) -> None:
    """An error comes out, of the right kind; the store is as it was and the next write works."""
    struck = True
    position = 0
    while struck:
        root = tmp_path / str(position)
        with ChunkStore.create(root) as store:
            old = _contents(1)
            before = dict(zip(_write(store, old), old, strict=True))
        faulty = FaultyFiles(operation, position, code)
        with ChunkStore.open(root, files=faulty) as store:
            error = _refused(store, _contents(2))
        struck = faulty.struck
        assert (error is not None) == (struck and operation != "short write")
        assert (code == errno.ENOSPC) == isinstance(error, StoreFullError) or error is None
        _assert_intact(root, before, _contents(2))
        position += 1
    assert position > (1 if operation == "sync_directory" else 2)


@pytest.mark.parametrize("operation", ["create", "write", "sync_file", "rename", "sync_directory"])
@pytest.mark.slow
def test_every_position_of_gc(tmp_path: Path, operation: str) -> None:
    """What is live stays readable, and the next gc finishes the work."""
    struck = True
    position = 0
    while struck:
        root = tmp_path / str(position)
        with ChunkStore.create(root) as store:
            contents = _contents(1)
            ids = _write(store, contents)
        live = {ids[0]: contents[0], ids[2]: contents[2]}
        faulty = FaultyFiles(operation, position, errno.ENOSPC)
        with ChunkStore.open(root, files=faulty) as store:
            try:
                collect(store, lambda live=live: live, repack=True)
            except StoreFullError:
                assert faulty.struck
            else:
                assert not faulty.struck
        struck = faulty.struck
        with ChunkStore.open(root) as store:
            assert all(f.harmful is False for f in fsck(store))
            collect(store, lambda live=live: live, repack=True)
            assert list(fsck(store)) == []
            for file_id, data in live.items():
                assert data == store.open_file(file_id).read(0, len(data) + 1)
        position += 1


@pytest.mark.parametrize("operation", ["create", "write", "sync_file", "rename", "sync_directory"])
def test_every_position_of_create(tmp_path: Path, operation: str) -> None:
    """A store that could not be made is made by the next attempt."""
    struck = True
    position = 0
    while struck:
        root = tmp_path / str(position)
        faulty = FaultyFiles(operation, position, errno.EIO)
        try:
            ChunkStore.create(root, files=faulty).close()
        except StorageError:
            assert faulty.struck
        struck = faulty.struck
        with ChunkStore.create(root) as store:
            _write(store, [b"works"])
        position += 1


def test_a_disk_that_stays_full(tmp_path: Path) -> None:
    """Giving up needs no space."""
    with ChunkStore.create(tmp_path) as store:
        old = _contents(1)
        before = dict(zip(_write(store, old), old, strict=True))
    faulty = FaultyFiles("write", 3, errno.ENOSPC, lasting=True)
    with ChunkStore.open(tmp_path, files=faulty) as store, pytest.raises(StoreFullError):
        _write(store, _contents(2))
    _assert_intact(tmp_path, before, _contents(2))


@pytest.mark.parametrize("operation", ["write", "sync_file"])
def test_a_failed_writer_cannot_commit(tmp_path: Path, operation: str) -> None:
    """Not even when its caller goes on as if nothing had been."""
    with ChunkStore.create(tmp_path) as store:
        before = dict(zip(_write(store, [b"old"]), [b"old"], strict=True))
    faulty = FaultyFiles(operation, 0, errno.ENOSPC)
    with ChunkStore.open(tmp_path, files=faulty) as store, store.writer() as writer:
        for data in _contents(2):
            with contextlib.suppress(StoreFullError):
                writer.put_bytes(data)
        with pytest.raises(StoreFullError):
            writer.commit()
        assert faulty.struck
    _assert_intact(tmp_path, before, _contents(2))


@pytest.mark.slow
def test_a_limit_that_strikes_the_index_too(tmp_path: Path) -> None:
    """With a real limit of the kernel on the length of files: an error or success, never damage."""
    outcomes = set()
    for limit in (5_000, 40_000, 60_000, 100_000, 160_000, 400_000):
        root = tmp_path / str(limit)
        with ChunkStore.create(root) as store:
            before = {}
            for seed in range(3):
                old = _contents(seed)
                before.update(zip(_write(store, old), old, strict=True))
        attempted = [os.urandom(500) for _ in range(300)] + _contents(9)
        outcomes.add(_write_limited(root, attempted, limit))
        _assert_intact(root, before, attempted)
    assert {0, 1} == outcomes


def _write_limited(root: Path, contents: list[bytes], limit: int) -> int:
    """Writes in a child whose files may not grow beyond a limit; 0 success, 1 refused."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with ChunkStore.open(root) as store:
                _write(store, contents)
            code = 0
        except StoreFullError:
            code = 1
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    return status


class _DyingFiles(FaultyFiles):
    """Does not return from the call: the process is killed as by SIGKILL."""

    def _fail(self) -> None:
        os.kill(os.getpid(), 9)


@pytest.mark.parametrize("operation", ["write", "sync_file", "rename", "sync_directory"])
@pytest.mark.slow
def test_a_writer_killed_at_every_position(tmp_path: Path, operation: str) -> None:
    """The old files are there, the half-written ones are not, the space comes back."""
    killed = True
    position = 0
    while killed:
        root = tmp_path / str(position)
        with ChunkStore.create(root) as store:
            old = _contents(1)
            before = dict(zip(_write(store, old), old, strict=True))
        child = os.fork()
        if child == 0:
            try:
                dying = _DyingFiles(operation, position, errno.EIO)
                with ChunkStore.open(root, files=dying) as store:
                    _write(store, _contents(2))
            finally:
                os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        _assert_intact(root, before, _contents(2))
        position += 1
    assert position > 1


@pytest.mark.parametrize("operation", ["write", "sync_file", "rename", "sync_directory"])
@pytest.mark.slow
def test_gc_killed_at_every_position(tmp_path: Path, operation: str) -> None:
    """What is live is there, and the next gc finishes the work."""
    killed = True
    position = 0
    while killed:
        root = tmp_path / str(position)
        with ChunkStore.create(root) as store:
            contents = _contents(1)
            ids = _write(store, contents)
        live = {ids[0]: contents[0], ids[2]: contents[2]}
        child = os.fork()
        if child == 0:
            try:
                dying = _DyingFiles(operation, position, errno.EIO)
                with ChunkStore.open(root, files=dying) as store:
                    collect(store, lambda live=live: live, repack=True)
            finally:
                os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        with ChunkStore.open(root) as store:
            assert not [finding for finding in fsck(store) if finding.harmful]
            collect(store, lambda live=live: live, repack=True)
            assert list(fsck(store)) == []
            for file_id, data in live.items():
                assert data == store.open_file(file_id).read(0, len(data) + 1)
        position += 1
    assert position > 1


@pytest.mark.slow
def test_writers_and_readers_of_several_processes(tmp_path: Path) -> None:
    """Three processes write overlapping content while this one reads what they have committed."""
    rng = random.Random(11)
    contents = [rng.randbytes(size) for size in (20, 5000, 70_000, 200_000) * 6]
    ids = [FileId(hashlib.sha256(data).digest()) for data in contents]
    with ChunkStore.create(tmp_path) as store:
        children = [_start_writer(tmp_path, contents, seed) for seed in range(3)]
        running = True
        while running:
            running = any(os.waitid(os.P_PID, child, WAITING) is None for child in children)
            for file_id, data in zip(ids, contents, strict=True):
                if store.file_size(file_id) is not None:
                    assert data == store.open_file(file_id).read(0, len(data) + 1)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [
            0,
            0,
            0,
        ]
        for file_id, data in zip(ids, contents, strict=True):
            assert data == store.open_file(file_id).read(0, len(data) + 1)
        assert list(fsck(store)) == []


WAITING = os.WEXITED | os.WNOHANG | os.WNOWAIT


def _start_writer(root: Path, contents: list[bytes], seed: int) -> int:
    """Starts a child that writes everything in an order of its own, some at a time."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        order = random.Random(seed).sample(contents, len(contents))
        with ChunkStore.open(root) as store:
            for start in range(0, len(order), 4):
                _write(store, order[start : start + 4])
        code = 0
    finally:
        os._exit(code)


@pytest.mark.slow
def test_damaged_packs_never_give_wrong_bytes(tmp_path: Path) -> None:
    """Whatever byte is flipped and wherever the file is cut: an error or the right bytes."""
    contents = [b"text that compresses " * 3000, os.urandom(20_000), bytes(100_000)]
    with ChunkStore.create(tmp_path) as store:
        ids = _write(store, contents)
    (pack,) = (tmp_path / "packs").glob("*.pack")
    whole = pack.read_bytes()
    rng = random.Random(7)
    for number in range(300):
        damaged = bytearray(whole)
        at = rng.randrange(len(whole))
        if number % 3:
            damaged[at] ^= 1 << rng.randrange(8)
        else:
            del damaged[at:]
        pack.write_bytes(damaged)
        _assert_never_wrong(tmp_path, ids, contents)


def _assert_never_wrong(root: Path, ids: list[FileId], contents: list[bytes]) -> None:
    with ChunkStore.open(root) as store:
        for file_id, data in zip(ids, contents, strict=True):
            error = None
            try:
                assert data == store.open_file(file_id).read(0, len(data) + 1)
            except CorruptionError as err:
                error = err
            assert error is None or (".pack" in error.message and error.hint is not None)


class Memory:
    """Content in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer."""
        buffer[:] = self._data[offset : offset + len(buffer)]


def _edit(store: ChunkStore, base_id: FileId, new: bytes, changes: list[tuple[int, int]]) -> None:
    with store.writer() as writer:
        writer.put_edit(Edit(store.open_file(base_id), len(new), changes, Memory(new)))
        writer.commit()


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.parametrize("operation", ["create", "write", "sync_file", "rename", "sync_directory"])
def test_every_position_of_an_edit(
    tmp_path: Path, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first with midstates, so that the format file is written as well: both or neither."""
    monkeypatch.setattr(kernels, "sha256_is_fast", lambda: True)
    base = random.Random(1).randbytes(600_000)
    new = base[:100_000] + bytes(200_000) + base[300_000:] + b"end"
    changes = [(100_000, 300_000), (600_000, 600_003)]
    new_id = FileId(hashlib.sha256(new).digest())
    struck = True
    position = 0
    while struck:
        root = tmp_path / str(position)
        with ChunkStore.create(root) as store:
            (base_id,) = _write(store, [base])
        faulty = FaultyFiles(operation, position, errno.ENOSPC)
        with monkeypatch.context() as patch, ChunkStore.open(root, files=faulty) as store:
            patch.setattr(recipe, "MIDSTATE_SPACING", 65_536)
            try:
                _edit(store, base_id, new, changes)
            except StoreFullError:
                assert faulty.struck
                assert store.file_size(new_id) is None
            else:
                assert not faulty.struck
            _edit(store, base_id, new, changes)
            assert new == store.open_file(new_id).read(0, len(new))
            assert len(store.open_file(new_id).root.midstates) == len(new) // 65_536 * 32
            assert base == store.open_file(base_id).read(0, len(base))
            assert list(fsck(store, content=True)) == []
        assert read_format(root).required == (MIDSTATES,)
        assert [path.name for path in root.glob("format*")] == ["format"]
        struck = faulty.struck
        position += 1
    assert position > 2
