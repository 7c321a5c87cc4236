"""Sizes of a repository: what its branches show, what is unique, what is stored.

Owns: the counting of shared and exclusive bytes.
Layer: workspace.

Every distinct folder is read once and knows which tips reach it. Every distinct file, and then
every distinct chunk, is noted once with its owner: a number that stands for a set of tips. Files
and chunks lie in a temporary database on disk, so memory is bounded by the number of folders.

Concurrency: one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import apsw

from mlbfs.ids import ChunkId, FileId, ObjectId
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.source import UNKNOWN_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlbfs.workspace.source import SnapshotSource

_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;
PRAGMA cache_size = -65536;
CREATE TABLE content (id BLOB PRIMARY KEY, owner INT, size INT) WITHOUT ROWID;
CREATE TABLE chunk (id BLOB PRIMARY KEY, owner INT, size INT, stored INT) WITHOUT ROWID;
BEGIN;
"""
_NOTE = """
INSERT INTO {table} VALUES ({values})
ON CONFLICT DO UPDATE SET owner = join_owners(owner, ?2) WHERE owner <> ?2
"""
_SUMS = """
SELECT owner, sum(size), sum(size * is_chunk), sum(stored)
FROM (SELECT owner, size, 0 AS stored, 0 AS is_chunk FROM content
      UNION ALL SELECT owner, size, stored, 1 FROM chunk)
GROUP BY owner
"""
_NEXT_CONTENT = """
SELECT id, owner FROM content WHERE id > ? AND length(id) = 32 ORDER BY id LIMIT 500
"""
_FILES = (EntryKind.FILE, EntryKind.EXECUTABLE)


@dataclass(frozen=True, slots=True)
class BranchUsage:
    """Sizes of one tip.

    Attributes:
        files: Files that it shows.
        size: Their length together.
        exclusive: Unique bytes that no other tip has.
        shared: Unique bytes that it has in common with others.
    """

    name: str
    files: int
    size: int
    exclusive: int
    shared: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Sizes of a repository, over all tips.

    Attributes:
        files: Files of all tips, each counted for every tip that shows it.
        size: Their length together.
        chunk_bytes: Length of the distinct chunks.
        git_bytes: Length of the distinct files that lie elsewhere: text in Git, and content that
            only a Git LFS client keeps.
        stored_bytes: What the distinct chunks take in packs.
    """

    files: int
    size: int
    chunk_bytes: int
    git_bytes: int
    stored_bytes: int
    branches: tuple[BranchUsage, ...]

    @property
    def unique_bytes(self) -> int:
        """Bytes after deduplication: every distinct chunk and every other distinct file, once."""
        return self.chunk_bytes + self.git_bytes

    @property
    def saved_by_deduplication(self) -> int:
        """Bytes that are not stored because they are stored once already."""
        return self.size - self.unique_bytes

    @property
    def saved_by_compression(self) -> int:
        """Bytes of distinct chunks that compression leaves out."""
        return self.chunk_bytes - self.stored_bytes


@dataclass(slots=True)
class _Folder:
    """One distinct tree: what it holds itself, and with everything below."""

    children: list[ObjectId]
    files: int = 0
    size: int = 0
    mask: int = 0  # bit n: the tip number n reaches it


class _Owners:
    """Numbers for sets of tips; a set is a bit mask."""

    def __init__(self) -> None:
        self.masks: list[int] = []
        self._numbers: dict[int, int] = {}

    def number(self, mask: int) -> int:
        """Returns the number of a set."""
        found = self._numbers.get(mask)
        if found is None:
            found = self._numbers[mask] = len(self.masks)
            self.masks.append(mask)
        return found

    def join(self, one: int, two: int) -> int:
        """Returns the number of the union of two sets, by their numbers."""
        return self.number(self.masks[one] | self.masks[two])


class UsageCounter:
    """Counts the sizes of a list of tips."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._folders: dict[ObjectId, _Folder] = {}
        self._owners = _Owners()

    def count(
        self, tips: Sequence[tuple[str, ObjectId]], progress: Callable[[int], None] | None = None
    ) -> Usage:
        """Returns the sizes of the given (name, tree) pairs."""
        for number, (_, tree) in enumerate(tips):
            self._read(tree)
            self._mark(tree, 1 << number)
        database = apsw.Connection("")  # a temporary file that only this connection sees
        try:
            database.create_scalar_function(
                "join_owners",
                cast("Callable[..., int]", self._owners.join),
                2,
                deterministic=True,
            )
            database.execute(_SCHEMA).fetchall()  # to its end: apsw runs statements lazily
            self._note_files(database)
            self._note_chunks(database, progress)
            return self._result(database, tips)
        finally:
            database.close()

    def _read(self, root: ObjectId) -> None:
        """Reads every tree below `root` that is not known yet; sums children before parents."""
        stack = [(root, False)]
        while stack:
            tree, is_complete = stack.pop()
            if is_complete:
                folder = self._folders[tree]
                folder.files += sum(self._folders[child].files for child in folder.children)
                folder.size += sum(self._folders[child].size for child in folder.children)
            elif tree not in self._folders:
                folder = self._folders[tree] = self._read_one(tree)
                stack.append((tree, True))
                stack.extend((child, False) for child in folder.children)

    def _read_one(self, tree: ObjectId) -> _Folder:
        folder = _Folder([])
        for entry in self._source.directory(tree, time_ns=UNKNOWN_TIME):
            if entry.is_directory:
                folder.children.append(ObjectId(entry.content))
            elif entry.kind in _FILES:
                folder.files += 1
                folder.size += entry.size
        return folder

    def _mark(self, root: ObjectId, bit: int) -> None:
        stack = [root]
        while stack:
            folder = self._folders[stack.pop()]
            if not folder.mask & bit:
                folder.mask |= bit
                stack.extend(folder.children)

    def _note_files(self, database: apsw.Connection) -> None:
        note = _NOTE.format(table="content", values="?1, ?2, ?3")
        for tree, folder in self._folders.items():
            owner = self._owners.number(folder.mask)
            entries = self._source.directory(tree, time_ns=UNKNOWN_TIME)
            database.executemany(
                note, ((e.content, owner, e.size) for e in entries if e.kind in _FILES)
            )

    def _note_chunks(
        self, database: apsw.Connection, progress: Callable[[int], None] | None
    ) -> None:
        """Notes the chunks of every file of the store, and drops the file in favour of them."""
        note = _NOTE.format(table="chunk", values="?1, ?2, ?3, ?4")
        done = 0
        for rows in _chunked_content(database):
            chunks = [
                (chunk_id, owner, size)
                for content, owner in rows
                for chunk_id, size in self._chunks(content)
            ]
            stored = self._source.store.stored_lengths([chunk_id for chunk_id, _, _ in chunks])
            database.executemany(note, ((*row, stored.get(row[0], 0)) for row in chunks))
            database.executemany(
                "DELETE FROM content WHERE id = ?",
                ((content,) for content, _ in rows if self._is_chunked(content)),
            )
            done += len(rows)
            if progress is not None:
                progress(done)

    def _is_chunked(self, content: bytes) -> bool:
        """Returns whether the chunk store has a file; else it is served from Git LFS objects."""
        return self._source.store.file_size(FileId(content)) is not None

    def _chunks(self, content: bytes) -> Iterator[tuple[ChunkId, int]]:
        if self._is_chunked(content):
            yield from self._source.store.open_file(FileId(content)).chunks()

    def _result(self, database: apsw.Connection, tips: Sequence[tuple[str, ObjectId]]) -> Usage:
        unique = chunks = stored = 0
        exclusive, shared = [0] * len(tips), [0] * len(tips)
        for owner, size, in_chunks, in_packs in database.execute(_SUMS):
            unique += size
            chunks += in_chunks
            stored += in_packs
            mask = self._owners.masks[owner]
            amounts = exclusive if mask.bit_count() == 1 else shared
            for number in range(len(tips)):
                if mask >> number & 1:
                    amounts[number] += size
        branches = [
            BranchUsage(name, self._folders[tree].files, self._folders[tree].size, *amounts)
            for (name, tree), *amounts in zip(tips, exclusive, shared, strict=True)
        ]
        return Usage(
            files=sum(branch.files for branch in branches),
            size=sum(branch.size for branch in branches),
            chunk_bytes=chunks,
            git_bytes=unique - chunks,
            stored_bytes=stored,
            branches=tuple(branches),
        )


def _chunked_content(database: apsw.Connection) -> Iterator[list[tuple[bytes, int]]]:
    """Yields lists of id and owner of content named by a file id; rows may be deleted meanwhile."""
    after = b""
    while True:
        rows = cast("list[tuple[bytes, int]]", database.execute(_NEXT_CONTENT, (after,)).fetchall())
        if not rows:
            return
        yield rows
        after = rows[-1][0]
