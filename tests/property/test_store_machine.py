"""The store against a dict: what was committed is there, what was not is not."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from mlbfs.errors import NotFoundError
from mlbfs.limits import MAX_CHUNK_SIZE, MIN_CHUNK_SIZE
from mlbfs.store import ingest, recipe, sink
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.edit import Edit
from mlbfs.store.fsck import fsck
from mlbfs.store.gc import collect
from mlbfs.store.source import Policy, Source

if TYPE_CHECKING:
    from mlbfs.ids import FileId

LIMITS = [0, 1, MIN_CHUNK_SIZE - 1, MIN_CHUNK_SIZE, MIN_CHUNK_SIZE + 1, MAX_CHUNK_SIZE + 1]
contents = st.builds(
    lambda seed, size, zeros: bytes(size) if zeros else random.Random(seed).randbytes(size),
    st.integers(0, 5),
    st.sampled_from([*LIMITS, 5, 40_000, 600_000, 1_500_000]),
    st.booleans(),
)


class Memory:
    """Content in memory."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fills a buffer."""
        buffer[:] = self._data[offset : offset + len(buffer)]


class StoreMachine(RuleBasedStateMachine):
    """Random writers, aborted ones, reopening, rebuilding, gc."""

    @initialize()
    def create(self) -> None:
        """Begins with an empty store of small packs, streams and recipe nodes."""
        self.folder = Path(tempfile.mkdtemp(prefix="mlbfs-machine-"))
        self.saved = (sink.PACK_TARGET_SIZE, ingest.STREAM_SIZE, recipe.MAX_ENTRIES)
        self.spacing = recipe.MIDSTATE_SPACING
        sink.PACK_TARGET_SIZE, ingest.STREAM_SIZE, recipe.MAX_ENTRIES = 300_000, 100_000, 8
        recipe.MIDSTATE_SPACING = 200_000 // 64 * 64
        self.store = ChunkStore.create(self.folder / "store")
        self.model: dict[FileId, bytes] = {}
        self.dropped: set[FileId] = set()
        self.collected: set[FileId] = set()
        self.returned: set[FileId] = set()

    def teardown(self) -> None:
        """Checks the store as a whole and removes it."""
        if not hasattr(self, "store"):
            return
        assert not [one for one in fsck(self.store, content=True) if one.harmful]
        self.store.close()
        sink.PACK_TARGET_SIZE, ingest.STREAM_SIZE, recipe.MAX_ENTRIES = self.saved
        recipe.MIDSTATE_SPACING = self.spacing
        shutil.rmtree(self.folder)

    @rule(data=st.lists(contents, max_size=4), commit=st.booleans())
    def write(self, data: list[bytes], commit: bool) -> None:
        """Writes from memory and commits or not."""
        with self.store.writer() as writer:
            written = {}
            for at, one in enumerate(data):
                put = writer.put_bytes(one) if at % 2 else writer.put_stream(BytesIO(one))
                assert len(one) == put[1]
                written[put[0]] = one
            if commit:
                writer.commit()
        self._note(written, commit)

    @rule(data=st.lists(contents, min_size=1, max_size=5), commit=st.booleans())
    def ingest(self, data: list[bytes], commit: bool) -> None:
        """Writes files of the host and commits or not."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        sources = []
        for at, one in enumerate(data):
            (folder / str(at)).write_bytes(one)
            sources.append(Source(folder / str(at), len(one), Policy.CHUNKS))
        with self.store.writer() as writer:
            results = list(writer.ingest(sources))
            if commit:
                writer.commit()
        ids = [result.file_id for result in results]
        written = {i: one for i, one in zip(ids, data, strict=True) if i is not None}
        assert {bool(one) for one in data} >= {i is not None for i in ids}
        self._note(written, commit)

    @precondition(lambda self: self.model)
    @rule(
        data=st.data(), grown=st.integers(-300_000, 300_000), piece=contents, commit=st.booleans()
    )
    def edit(self, data: st.DataObject, grown: int, piece: bytes, commit: bool) -> None:
        """Stores a new version of a file from what changed, and commits or not."""
        base_id = data.draw(st.sampled_from(sorted(self.model)))
        base = self.model[base_id]
        size = max(0, len(base) + grown)
        at = data.draw(st.integers(0, size))
        new = bytearray(base[:size].ljust(size, b"\7"))
        new[at : at + len(piece)] = piece[: size - at]
        changes = [(at, min(size, at + len(piece))), (min(size, len(base)), size)]
        if changes[0][1] > changes[1][0]:
            changes = [(min(at, changes[1][0]), size)]
        with self.store.writer() as writer:
            edit = Edit(self.store.open_file(base_id), size, changes, Memory(new))
            file_id, length = writer.put_edit(edit)
            assert (length, sha256(new).digest()) == (size, file_id)
            if commit:
                writer.commit()
        self._note({file_id: bytes(new)}, commit)

    def _note(self, written: dict[FileId, bytes], commit: bool) -> None:
        if commit:
            self.model.update(written)
            self.dropped -= written.keys()
        else:
            self.dropped |= written.keys() - self.model.keys() - self.returned

    @rule()
    def reopen(self) -> None:
        """Closes and opens the store."""
        self.store.close()
        self.store = ChunkStore.open(self.folder / "store")

    @rule(delete=st.booleans())
    def rebuild(self, delete: bool) -> None:
        """Rebuilds the index, deleted before or not."""
        if delete:
            self.store.close()
            (self.folder / "store" / "index.lmdb").unlink()
            self.store = ChunkStore.open(self.folder / "store", repair=True)
        self.store.rebuild_index()
        # gc has forgotten files that packs may still hold.
        self.returned |= self.collected
        self.dropped -= self.returned

    @precondition(lambda self: self.model)
    @rule(seed=st.integers(0, 100), repack=st.booleans())
    def collect(self, seed: int, repack: bool) -> None:
        """Keeps a random part."""
        rng = random.Random(seed)
        live = {one: data for one, data in self.model.items() if rng.random() < 0.6}
        collect(self.store, lambda: live, repack=repack)
        self.collected |= self.model.keys() - live.keys()
        self.returned = set()
        self.dropped |= self.collected - live.keys()
        self.model = live

    @rule()
    def leave_a_mess(self) -> None:
        """Leaves what a killed writer leaves."""
        mess = self.folder / "store" / "packs" / f"tmp-{os.urandom(4).hex()}"
        mess.mkdir()
        (mess / "0.pack").write_bytes(b"half a pack")

    @invariant()
    def everything_committed_is_there(self) -> None:
        """Byte for byte, and nothing else is."""
        if not hasattr(self, "store"):
            return
        for file_id, data in self.model.items():
            reader = self.store.open_file(file_id)
            assert len(data) == reader.size == self.store.file_size(file_id)
            assert data == reader.read(0, len(data) + 1)
            middle = len(data) // 2
            assert data[middle : middle + 50_000] == reader.read(middle, 50_000)
        for file_id in self.dropped:
            try:
                self.store.open_file(file_id)
            except NotFoundError:
                continue
            raise AssertionError("a dropped file came back")


StoreMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestStore = StoreMachine.TestCase
