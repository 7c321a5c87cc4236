"""Makes a new tree from a base tree and a set of changes.

Owns: how changes by path become trees; which folders come out empty.
Layer: workspace.

Invariants:
  T1. Only folders on the way to a change are read and written: the cost is what changed.
  T2. A tree and its directory index are made from the same rows, so they cannot disagree.
  T3. Ids of entries that did not change are taken from Git's tree, not computed: a pointer that
      another program wrote may be spelled in another way than ours.

Concurrency: one thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, InvalidInputError
from mlbfs.git.trees import TreeEntry
from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, EntryKind, encode_directory
from mlbfs.store.dirsplice import splice_directory
from mlbfs.workspace.source import UNKNOWN_TIME
from mlbfs.workspace.treesplice import WORTH_IT, splice_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.objects import ObjectWriter
    from mlbfs.ids import FileId
    from mlbfs.workspace.source import SnapshotSource

MODES = {
    EntryKind.FILE: 0o100644,
    EntryKind.EXECUTABLE: 0o100755,
    EntryKind.SYMLINK: 0o120000,
    EntryKind.DIRECTORY: 0o040000,
    EntryKind.SUBMODULE: 0o160000,
}


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What a path becomes.

    Attributes:
        kind: Any kind but DIRECTORY.
        size: Bytes of the content.
        object_id: Git blob: of the text, of the pointer, or of the link's target.
        file_id: Content in the chunk store, or None when the blob is the content.
    """

    kind: EntryKind
    size: int
    object_id: ObjectId
    file_id: FileId | None = None


@dataclass(slots=True)
class _Folder:
    """Changes below one folder.

    Attributes:
        base: The tree that the changes are made to.
        inherit: The base is what the parent's base has.
        made: Something was put in it, so that a file of the base gives way.
    """

    base: ObjectId | None = None
    inherit: bool = True
    made: bool = False
    children: dict[bytes, _Folder | NewEntry | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Step:
    """One folder to write, with the step of its parent."""

    path: bytes
    name: bytes
    folder: _Folder
    parent: _Step | None
    existed: bool
    results: dict[bytes, ObjectId | None] = field(default_factory=dict)


class TreeEdit:
    """Changes to a tree, written at once.

    Later changes win over earlier ones at the same path.

    Attributes:
        directories: Id and encoded index of each tree written, for `StoreWriter.commit`.
        dropped_empty: Paths of folders that were left out because nothing is in them.
        trees_read: Number of trees of the base that were read in full.
    """

    def __init__(self, source: SnapshotSource, base: ObjectId | None) -> None:
        self._source = source
        self._root = _Folder(base, inherit=False)
        self.directories: list[tuple[ObjectId, bytes]] = []
        self.dropped_empty: list[bytes] = []
        self.trees_read = 0

    def put(self, path: bytes, entry: NewEntry) -> None:
        """Puts an entry; folders on the way are made, files on the way are replaced."""
        folder, name = self._parent(path)
        folder.children[name] = entry

    def remove(self, path: bytes) -> None:
        """Removes whatever is at `path`; nothing there is no error."""
        *parents, name = path.split(b"/")
        folder = self._root
        for part in parents:
            below = folder.children.setdefault(part, _Folder())
            if not isinstance(below, _Folder):
                return  # put or removed before, so there is nothing below it
            folder = below
        folder.children[name] = None

    def graft(self, path: bytes, tree_id: ObjectId) -> None:
        """Puts a whole tree at `path`, in place of what is there."""
        self._replace(path, _Folder(tree_id, inherit=False))

    def clear(self, path: bytes) -> None:
        """Makes `path` an empty folder, to be filled by later changes."""
        self._replace(path, _Folder(None, inherit=False))

    def write(self, objects: ObjectWriter, *, time_ns: int) -> ObjectId:
        """Writes the trees that changed and returns the root.

        Args:
            objects: Receives the trees.
            time_ns: The time that the entries of new trees show.
        """
        root = _Step(b"", b"", self._root, None, self._root.base is not None)
        for step in reversed(list(self._steps(root))):
            tree = self._write_folder(step, objects, time_ns)
            if step.parent is None:
                return objects.put_tree([]) if tree is None else tree
            step.parent.results[step.name] = tree
        raise AssertionError("the root is always a step")

    def _replace(self, path: bytes, new: _Folder) -> None:
        if path:
            folder, name = self._parent(path)
            folder.children[name] = new
        else:
            self._root = new

    def _parent(self, path: bytes) -> tuple[_Folder, bytes]:
        if not path:
            raise InvalidInputError("the root is a folder", kind=ErrorKind.INVALID_PATH)
        *parents, name = path.split(b"/")
        folder = self._root
        for part in parents:
            below = folder.children.get(part)
            if not isinstance(below, _Folder):
                # What a change put or removed here before is gone: nothing to inherit.
                below = _Folder(inherit=part not in folder.children)
                folder.children[part] = below
            below.made = True
            folder = below
        return folder, name

    def _steps(self, root: _Step) -> Iterator[_Step]:
        """Yields the folders with changes, parents first, each with its base resolved."""
        stack = [root]
        while stack:
            step = stack.pop()
            yield step
            for name, child in step.folder.children.items():
                if isinstance(child, _Folder):
                    if child.inherit:
                        child.base = self._base_of(step.folder, name)
                    path = step.path + b"/" + name if step.path else name
                    existed = not child.inherit or child.base is not None
                    stack.append(_Step(path, name, child, step, existed))

    def _base_of(self, folder: _Folder, name: bytes) -> ObjectId | None:
        if folder.base is None:
            return None
        index = self._source.directory(folder.base, time_ns=UNKNOWN_TIME)
        position = index.find(name)
        if position is None:
            return None
        entry = index.entry(position)
        return ObjectId(entry.content) if entry.is_directory else None

    def _write_folder(self, step: _Step, objects: ObjectWriter, time_ns: int) -> ObjectId | None:
        folder = step.folder
        if not folder.children:  # grafted as it is, or empty
            if folder.base is None and step.path:
                self.dropped_empty.append(step.path)
            return folder.base
        changes = self._changes(step)
        tree = self._splice(folder.base, changes, objects, time_ns)
        if tree is not None:
            return tree
        raws = self._base_entries(folder.base, changes)
        raws += [row[0] for row in changes.values() if row is not None]
        if not raws:
            if step.existed and step.path:
                self.dropped_empty.append(step.path)
            return None
        tree = objects.put_tree(raws)
        del raws  # a folder may have a million of them, and of what comes next
        if tree != folder.base and self._source.store.directory(tree) is None:
            entries = self._index_entries(folder.base, changes)
            self.directories.append((tree, encode_directory(entries, time_ns=time_ns)))  # T2
        return tree

    def _splice(
        self,
        base: ObjectId | None,
        changes: dict[bytes, _Row | None],
        objects: ObjectWriter,
        time_ns: int,
    ) -> ObjectId | None:
        """Changes a large folder of files without unpacking it; None where that is no way."""
        if base is None:
            return None
        index = self._source.directory(base, time_ns=UNKNOWN_TIME)
        if len(index) < max(WORTH_IT, len(changes) + 1):  # else nothing may be left in it
            return None
        data = splice_tree(self._source.git.read_raw_tree(base), index, changes)
        if data is None:
            return None
        self.trees_read += 1
        tree = objects.put_encoded_tree(data)
        if tree != base and self._source.store.directory(tree) is None:
            shown = {name: None if row is None else row[1] for name, row in changes.items()}
            encoded = splice_directory(index, shown, time_ns=time_ns)
            self.directories.append((tree, encoded))  # T2
        return tree

    def _changes(self, step: _Step) -> dict[bytes, _Row | None]:
        """Returns what names of a folder become; None for those that go."""
        changes: dict[bytes, _Row | None] = {}
        for name, child in step.folder.children.items():
            tree = step.results.get(name)
            if isinstance(child, NewEntry):
                changes[name] = _file_row(name, child)
            elif tree is not None:
                changes[name] = _folder_row(name, tree)
            elif child is None or child.made or not child.inherit or child.base is not None:
                changes[name] = None
            # Else: only removals below a name that is no folder in the base; it stays.
        return changes

    def _base_entries(
        self, base: ObjectId | None, changes: dict[bytes, _Row | None]
    ) -> list[TreeEntry]:
        """Returns the entries of the base that do not change (T3)."""
        if base is None:
            return []
        self.trees_read += 1
        return [raw for raw in self._source.git.read_tree(base) if raw.name not in changes]

    def _index_entries(
        self, base: ObjectId | None, changes: dict[bytes, _Row | None]
    ) -> Iterator[DirectoryEntry]:
        """Yields the same entries as the directory index shows them, changes too."""
        if base is not None:
            for entry in self._source.directory(base, time_ns=UNKNOWN_TIME):
                if entry.name not in changes:
                    yield entry
        for row in changes.values():
            if row is not None:
                yield row[1]


_Row = tuple[TreeEntry, DirectoryEntry]
"""An entry as Git's tree has it, and as the directory index shows it."""


def _file_row(name: bytes, new: NewEntry) -> _Row:
    content = new.object_id if new.file_id is None else new.file_id
    raw = TreeEntry(name, MODES[new.kind], new.object_id)
    return raw, DirectoryEntry(name, new.kind, new.size, content)


def _folder_row(name: bytes, tree: ObjectId) -> _Row:
    raw = TreeEntry(name, MODES[EntryKind.DIRECTORY], tree)
    return raw, DirectoryEntry(name, EntryKind.DIRECTORY, 0, tree)
