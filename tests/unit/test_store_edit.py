"""What an edit costs, and what becomes of one that cannot be made.

That it is right is for tests/property/test_edit.py.
"""

from __future__ import annotations

import random
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import CorruptionError
from mlbfs.limits import MAX_CHUNK_SIZE, MIB
from mlbfs.store import formatfile, kernels, recipe
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.edit import Edit
from mlbfs.store.filereader import FileReader
from mlbfs.store.findings import FindingKind
from mlbfs.store.fsck import fsck

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlbfs.ids import FileId

SIZE = 48 * MIB
SPACING = 4 * MIB
BASE = random.Random(8).randbytes(SIZE)

pytestmark = pytest.mark.slow
with_midstates = pytest.mark.native
"""Midstates are kept and used only where the kernels are built."""


class Counting:
    """Content in memory, and records of a store, that count what is read of them."""

    def __init__(self, data: bytes, store: ChunkStore) -> None:
        self.data = data
        self.bytes = 0
        self.records: set[bytes] = set()
        self._store = store

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer."""
        self.bytes += len(buffer)
        buffer[:] = self.data[offset : offset + len(buffer)]

    def read(self, record_id: bytes, *, nowait: bool = False) -> bytes | None:
        """Returns a chunk or node."""
        self.records.add(record_id)
        return self._store.chunks.read(record_id, nowait=nowait)


@pytest.fixture
def spacing(monkeypatch: pytest.MonkeyPatch) -> int:
    """Midstates on any processor, and close enough that a file of a test has some."""
    if kernels.IMPLEMENTATION == "native":
        monkeypatch.setattr(kernels, "sha256_is_fast", lambda: True)
    monkeypatch.setattr(recipe, "MIDSTATE_SPACING", SPACING)
    return SPACING


@pytest.fixture
def store(tmp_path: Path, spacing: int) -> Iterator[ChunkStore]:
    """A store with one long file, of several recipe nodes."""
    with ChunkStore.create(tmp_path / "store") as store:
        with store.writer() as writer:
            writer.put_stream(BytesIO(BASE))
            writer.commit()
        yield store


def _base(store: ChunkStore) -> FileReader:
    ((file_id, _),) = store.index.iter_files()
    return store.open_file(file_id)  # type: ignore[arg-type]


def _counted(
    store: ChunkStore, new: bytes, changes: Sequence[tuple[int, int]]
) -> tuple[Counting, FileId]:
    base = _base(store)
    content = Counting(new, store)
    reader = FileReader(base.file_id, base.root, content)  # type: ignore[arg-type]
    with store.writer() as writer:
        file_id, _ = writer.put_edit(Edit(reader, len(new), changes, content))
        writer.commit()
    return content, file_id


def test_the_base_has_nodes(store: ChunkStore) -> None:
    """Else the tests below would show nothing."""
    root = _base(store).root
    assert (root.depth, len(root.ids) > 3) == (1, True)


@with_midstates
def test_an_append_reads_what_was_appended_and_little_more(store: ChunkStore) -> None:
    """Up to one spacing for the hash, a chunk to be cut; a few nodes, and no chunk of the base."""
    content, _ = _counted(store, BASE + b"appended" * 1000, [(SIZE, SIZE + 8000)])
    assert content.bytes < SPACING + 8000 + 3 * MAX_CHUNK_SIZE
    nodes = set(_base_nodes(store))
    assert content.records <= nodes
    assert len(content.records) < len(nodes)


def _base_nodes(store: ChunkStore) -> list[bytes]:
    sizes = {row.size: file_id for file_id, row in store.index.iter_files()}
    return list(store.open_file(sizes[SIZE]).nodes())  # type: ignore[arg-type]


@with_midstates
def test_a_change_is_hashed_from_the_midstate_before_it(store: ChunkStore) -> None:
    """And cut again up to the next cut of the base."""
    at = SIZE - 2 * SPACING + 5
    new = BASE[:at] + b"changed" + BASE[at + 7 :]
    content, _ = _counted(store, new, [(at, at + 7)])
    assert content.bytes <= 2 * SPACING + 4 * MAX_CHUNK_SIZE


@with_midstates
def test_a_truncation_at_a_midstate_stores_a_chunk_at_most(store: ChunkStore) -> None:
    """Everything before the end is kept, and nothing is hashed."""
    with store.writer() as writer:
        content = Counting(BASE, store)
        writer.put_edit(Edit(_base(store), 6 * SPACING, [], content))
        assert writer.statistics().new_chunks <= 1
    assert content.bytes <= MAX_CHUNK_SIZE


def test_an_edit_stores_what_is_new(store: ChunkStore) -> None:
    """A few chunks, one node on each level and a root."""
    at = SIZE // 2
    with store.writer() as writer:
        content = Counting(BASE[:at] + b"changed" + BASE[at + 7 :], store)
        writer.put_edit(Edit(_base(store), SIZE, [(at, at + 7)], content))
        assert writer.statistics().new_chunks <= 3
        assert writer.statistics().stored_bytes < 4 * MAX_CHUNK_SIZE


def test_a_node_that_is_damaged_fails_the_edit(store: ChunkStore) -> None:
    """Nothing of it is published."""

    class Damaged(Counting):
        def read(self, record_id: bytes, *, nowait: bool = False) -> bytes | None:
            raise CorruptionError(f"{record_id.hex()} is damaged ({nowait})")

    base = _base(store)
    broken = Damaged(BASE, store)
    reader = FileReader(base.file_id, base.root, broken)  # type: ignore[arg-type]
    with store.writer() as writer, pytest.raises(CorruptionError):
        writer.put_edit(Edit(reader, SIZE, [(SIZE // 2, SIZE // 2 + 1)], broken))
    assert len(list(store.index.iter_files())) == 1


def test_content_that_cannot_be_read_fails_the_edit(store: ChunkStore) -> None:
    """With its own error, wherever it happens: in the hash or in the chunks."""

    class Broken(Counting):
        def read_into(self, offset: int, buffer: memoryview) -> None:
            raise OSError(5, f"{offset} {len(buffer)}")

    for changes in ([(0, 1)], [(SIZE - 1, SIZE)]):
        with store.writer() as writer, pytest.raises(OSError, match="Errno 5"):
            writer.put_edit(Edit(_base(store), SIZE, changes, Broken(BASE, store)))


@with_midstates
def test_the_feature_is_noted_with_the_first_root_that_needs_it(
    tmp_path: Path, spacing: int
) -> None:
    """At the commit, not before; a store without long files can be read by older versions."""
    root = tmp_path / "other"
    with ChunkStore.create(root) as store, store.writer() as writer:
        writer.put_stream(BytesIO(BASE[: spacing - 1]))
        writer.commit()
    assert formatfile.read_format(root).required == ()
    with ChunkStore.open(root) as store, store.writer() as writer:
        writer.put_stream(BytesIO(BASE[:spacing]))
        assert formatfile.read_format(root).required == ()
        writer.commit()
    assert formatfile.read_format(root).required == (formatfile.MIDSTATES,)


@with_midstates
def test_a_rebuilt_index_has_the_midstates(store: ChunkStore, spacing: int) -> None:
    """They lie in the packs, with the root."""
    before = _base(store).root
    assert len(before.midstates) == SIZE // spacing * recipe.MIDSTATE_SIZE
    store.rebuild_index()
    assert before == _base(store).root


@with_midstates
def test_fsck_tells_wrong_midstates(store: ChunkStore) -> None:
    """When it reads files; their records and checksums are sound."""
    root = _base(store).root
    lengths = [end - start for start, end in zip([0, *root.ends], root.ends, strict=False)]
    wrong = bytes(32) + root.midstates[32:]
    entries = list(zip(root.ids, lengths, strict=True))
    _plant(store, _base(store).file_id, recipe.encode_root(SIZE, root.depth, entries, wrong))
    assert list(fsck(store)) == []
    assert [one.kind for one in fsck(store, content=True)] == [FindingKind.MIDSTATES_WRONG]


def test_fsck_tells_a_file_of_the_wrong_chunks(tmp_path: Path) -> None:
    """When it reads files; each chunk is sound."""
    with ChunkStore.create(tmp_path / "store") as store:
        with store.writer() as writer:
            one, _ = writer.put_bytes(b"one")
            two, _ = writer.put_bytes(b"two")
            writer.commit()
        assert list(fsck(store, content=True)) == []
        row = store.index.file(two)
        assert row is not None
        assert row.root is not None
        _plant(store, one, row.root)
        assert list(fsck(store)) == []
        (found,) = fsck(store, content=True)
        assert (found.kind, found.record_id) == (FindingKind.FILE_ID_WRONG, one)


def _plant(store: ChunkStore, file_id: bytes, root: bytes) -> None:
    """Stores a root as it is."""
    with store.writer() as writer:
        writer.accept_root(file_id, root)
        writer.commit()
