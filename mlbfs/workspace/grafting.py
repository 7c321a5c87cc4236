"""Builds trees from a scan and lays one tree over another, folder by folder.

Owns: how imported trees meet the trees that a branch has already.
Layer: workspace.

Invariants:
  I1. A tree and its directory index are made from the same rows, so they cannot disagree.
  I2. Laying a tree over another reads only folders that both have and that differ.
  I3. Git gets only trees that a commit is made of: what comes to lie under another is dropped.

`treeedit.py` makes trees too, from changes by path; it holds them all, which for an import would be
every file. Here a folder is complete when the next one begins, so one folder per level is held.

Concurrency: one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import ErrorKind, InvalidInputError
from mlbfs.git.objects import object_id
from mlbfs.git.paths import ancestors
from mlbfs.git.trees import TreeEntry, encode_tree, parse_tree
from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex, EntryKind, encode_directory
from mlbfs.workspace.source import UNKNOWN_TIME
from mlbfs.workspace.treeedit import MODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlbfs.git.objects import ObjectWriter
    from mlbfs.ids import ObjectId
    from mlbfs.store.spool import ByteSpool
    from mlbfs.workspace.source import SnapshotSource


@dataclass(slots=True)
class Row:
    """One entry of a tree: what the directory index shows, and the Git object behind it."""

    entry: DirectoryEntry
    object_id: ObjectId


class _Made(NamedTuple):
    """Where a tree that was made here waits: Git's object and behind it the index.

    Attributes:
        below: The trees in it.
    """

    start: int
    raw_len: int
    directory_len: int
    below: tuple[ObjectId, ...]


class TreeWriter:
    """Makes trees together with their directory indexes (I1), and keeps those that are needed.

    Memory: a few hundred bytes for each tree; the trees themselves wait in the spool.
    """

    def __init__(self, spool: ByteSpool, *, time_ns: int) -> None:
        self._spool = spool
        self._made: dict[ObjectId, _Made] = {}
        self._time_ns = time_ns

    def write(self, rows: Iterable[Row]) -> ObjectId:
        """Makes one tree and returns its id; nothing is stored yet."""
        rows = list(rows)
        raw = encode_tree(
            TreeEntry(row.entry.name, MODES[row.entry.kind], row.object_id) for row in rows
        )
        tree = object_id("tree", raw)
        if tree not in self._made:
            directory = encode_directory((row.entry for row in rows), time_ns=self._time_ns)
            below = tuple(row.object_id for row in rows if row.entry.is_directory)
            start = self._spool.add(raw)
            self._spool.add(directory)
            self._made[tree] = _Made(start, len(raw), len(directory), below)
        return tree

    def _raw(self, made: _Made) -> bytes:
        return self._spool.read(made.start, made.raw_len)

    def _directory(self, made: _Made) -> bytes:
        return self._spool.read(made.start + made.raw_len, made.directory_len)

    def rows(self, tree: ObjectId) -> Iterator[Row] | None:
        """Returns the rows of a tree that was made here, or None."""
        made = self._made.get(tree)
        if made is None:
            return None
        return join_rows(parse_tree(self._raw(made)), DirectoryIndex(self._directory(made)))

    def store(
        self, root: ObjectId, objects: ObjectWriter, source: SnapshotSource
    ) -> list[ObjectId]:
        """Writes the trees that were made here and that `root` is made of (I3).

        Returns:
            Those that have no index yet: one that has was committed before, and its entries go on
            showing the time of that commit.
        """
        new: list[ObjectId] = []
        waiting = [root]
        seen = {root}
        while waiting:
            tree = waiting.pop()
            made = self._made.get(tree)
            if made is None:
                continue
            objects.put_encoded_tree(self._raw(made))
            if source.store.directory(tree) is None:
                new.append(tree)
            below = set(made.below) - seen
            seen |= below
            waiting += below
        return new

    def directories(self, trees: Iterable[ObjectId]) -> Iterator[tuple[ObjectId, bytes]]:
        """Yields trees that were made here with their directory indexes."""
        for tree in trees:
            yield tree, self._directory(self._made[tree])


def join_rows(entries: Iterable[TreeEntry], index: DirectoryIndex) -> Iterator[Row]:
    """Joins what a tree and its index say.

    The index has no ids of pointers, and one that another program wrote may be spelled in another
    way than ours, so that its id cannot be computed.
    """
    # Not by `find`: the search for each name was a third of importing a folder again.
    shown = {entry.name: entry for entry in index}
    for found in entries:
        yield Row(shown[found.name], found.id)


def directory_row(name: bytes, tree: ObjectId) -> Row:
    """Returns the row of a folder."""
    return Row(DirectoryEntry(name, EntryKind.DIRECTORY, 0, bytes(tree)), tree)


class TreeBuilder:
    """Makes a tree from rows that come in scan order; holds one folder per level."""

    def __init__(self, trees: TreeWriter) -> None:
        self._trees = trees
        self._names: list[bytes] = []  # of the open folders below the root
        self._rows: list[list[Row]] = [[]]
        self._folder = b""

    def add(self, path: bytes, row: Row) -> None:
        """Adds one entry; its folder is opened, and folders that are complete are written."""
        folder, _, _ = path.rpartition(b"/")
        if folder != self._folder:
            self._enter(folder)
        self._rows[-1].append(row)

    def finish(self) -> ObjectId | None:
        """Writes what is open and returns the root, or None when nothing was added."""
        self._enter(b"")
        rows = self._rows[0]
        return self._trees.write(rows) if rows else None

    def _enter(self, folder: bytes) -> None:
        parts = folder.split(b"/") if folder else []
        shared = 0
        for ours, wanted in zip(self._names, parts, strict=False):
            if ours != wanted:
                break
            shared += 1
        while len(self._names) > shared:
            rows = self._rows.pop()
            self._rows[-1].append(directory_row(self._names.pop(), self._trees.write(rows)))
        for name in parts[shared:]:
            self._names.append(name)
            self._rows.append([])
        self._folder = folder


@dataclass(slots=True)
class _Meeting:
    """A folder that two trees have; `waiting` are folders in it, with their two trees."""

    path: bytes
    name: bytes
    rows: dict[bytes, Row]
    waiting: list[tuple[bytes, ObjectId, ObjectId | None]]


class Grafter:
    """Lays a tree that was made here over another tree.

    Args:
        source: Reads trees of the repository.
        trees: Has made the tree above, and makes what comes of it.
        places: Where the sources land: what a `--replace` could drop.
        joining: The tree below comes from a source too, not from the branch.
    """

    def __init__(
        self,
        source: SnapshotSource,
        trees: TreeWriter,
        *,
        places: frozenset[bytes] = frozenset(),
        joining: bool = False,
    ) -> None:
        self._source = source
        self._trees = trees
        self._places = places
        self._joining = joining

    def overlay(
        self, base: ObjectId | None, top: ObjectId, *, replaced: frozenset[bytes] = frozenset()
    ) -> ObjectId:
        """Returns the tree that has everything of `base` and of `top`; `top` wins.

        Args:
            base: The tree below, or None.
            top: The tree above.
            replaced: Paths whose content in `base` is dropped instead of kept.

        Raises:
            InvalidInputError: A file would replace a folder, or a folder a file.
        """
        if base is None or base == top or b"" in replaced:
            return top
        above = {parent for path in replaced for parent in ancestors(path)}
        # A stack, not recursion: trees may be deeper than the interpreter's limit.
        stack = [self._meet(b"", b"", (base, top), replaced, above)]
        while True:
            meeting = stack[-1]
            if meeting.waiting:
                name, old, new = meeting.waiting.pop()
                path = _join(meeting.path, name)
                stack.append(self._meet(path, name, (old, new), replaced, above))
                continue
            stack.pop()
            if not stack:
                return self._trees.write(meeting.rows.values())
            if meeting.rows:  # else all of it was replaced by nothing
                tree = self._trees.write(meeting.rows.values())
                stack[-1].rows[meeting.name] = directory_row(meeting.name, tree)

    def _meet(
        self,
        path: bytes,
        name: bytes,
        trees: tuple[ObjectId, ObjectId | None],
        replaced: frozenset[bytes],
        above: set[bytes],
    ) -> _Meeting:
        """Lays the rows of two folders over each other; folders that both have are left waiting."""
        base, top = trees
        meeting = _Meeting(path, name, {}, [])
        for old in self._rows(base):
            if _join(path, old.entry.name) not in replaced:
                meeting.rows[old.entry.name] = old
        own = (
            {name for name, row in meeting.rows.items() if row.entry.is_directory}
            if above
            else set()
        )
        for new in self._rows(top) if top is not None else ():
            own.discard(new.entry.name)
            self._put(meeting, new)
        for name in own:  # of the tree below only: something deeper in it may be dropped
            if _join(path, name) in above:
                meeting.waiting.append((name, meeting.rows[name].object_id, None))
        for name, _, _ in meeting.waiting:
            del meeting.rows[name]
        return meeting

    def _rows(self, tree: ObjectId) -> Iterator[Row]:
        made = self._trees.rows(tree)
        if made is not None:
            return made
        index = self._source.directory(tree, time_ns=UNKNOWN_TIME)
        return join_rows(self._source.git.read_tree(tree), index)

    def _put(self, meeting: _Meeting, new: Row) -> None:
        name = new.entry.name
        old = meeting.rows.get(name)
        if old is None or not (old.entry.is_directory or new.entry.is_directory):
            meeting.rows[name] = new
        elif old.entry.is_directory != new.entry.is_directory:
            raise self._clash(_join(meeting.path, name), is_folder=old.entry.is_directory)
        elif old.object_id != new.object_id:
            meeting.waiting.append((name, old.object_id, new.object_id))

    def _clash(self, path: bytes, *, is_folder: bool) -> InvalidInputError:
        below, above = ("folder", "file") if is_folder else ("file", "folder")
        name = repr(path.decode(errors="replace"))
        if self._joining:
            return InvalidInputError(
                f"{name} is a {below} in one source and a {above} in another",
                kind=ErrorKind.INVALID_PATH,
                hint="import one of them alone, with --to another place",
            )
        lands_here = not self._places.isdisjoint({b"", path, *ancestors(path)})
        return InvalidInputError(
            f"{name} is a {below} on the branch and a {above} in the source",
            kind=ErrorKind.INVALID_PATH,
            hint="import to another place with --to" + ", or use --replace" * lands_here,
        )


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
