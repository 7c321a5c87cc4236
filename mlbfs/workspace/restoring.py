"""Puts paths of a workspace back as a commit has them, while programs work in it.

Owns: what becomes of names, inodes and rows when a path goes back.
Layer: workspace.

Invariants:
  B1. A file that goes back is another inode, which stands on the content of the commit and costs
      one row whatever its size. A program that has the old one open keeps it, as after a rename
      over it.
  B2. A folder that is there on both sides stays the same folder. One that is missing comes back as
      one row, whatever is in it.
  B3. What no commit could keep is left alone, and with it the folders that hold it: pipes,
      refused names, folders that were empty before, ignored files.
  B4. What comes out as the base commit has it is marked as unchanged, so that it costs nothing from
      then on.

  B5. All paths go back or none does, also after a kill and on a device that is full.
  B6. The extended attributes of a file are kept: no commit has them, so none can bring them back.

Concurrency: one transaction under the workspace's lock; programs wait for it. The caller sees to it
that no recording is under way.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.names import is_hostile_name
from mlbfs.ids import ObjectId
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.workspace.attributes import SNAPSHOT_MODES
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.dirty import is_keepable
from mlbfs.workspace.ignoring import IgnoreRules
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.names import Names, is_in_base
from mlbfs.workspace.overlay import WHITEOUT
from mlbfs.workspace.rows import Node
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.status import known_content
from mlbfs.workspace.vfs_errors import NotEmpty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.commits import Commit
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.names import Found
    from mlbfs.workspace.savepoints import Savepoint
    from mlbfs.workspace.selection import Selection


@dataclass(slots=True)
class Restored:
    """What was put back.

    Attributes:
        paths: Paths that changed; a folder that came back or went stands for all in it.
        kept: What was left where the commit has something else, because no commit could keep it.
        names: Folder and name of each path, for those who have to tell the kernel.
        inodes: Inodes whose attributes are others now.
        savepoint: What holds the work that was dropped, if there was some.
    """

    paths: list[bytes] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    names: list[tuple[int, bytes]] = field(default_factory=list)
    inodes: set[int] = field(default_factory=set)
    savepoint: Savepoint | None = None


class _Spot(NamedTuple):
    """One name, and what it should become: as the source has it; and what the base has there."""

    path: bytes
    folder: int
    name: bytes
    wanted: DirectoryEntry | None
    base: DirectoryEntry | None


class Restorer:
    """Puts paths back as one commit has them."""

    def __init__(self, core: Core, base: Commit, source: Commit) -> None:
        """Prepares it.

        Args:
            core: The workspace.
            base: The commit that it stands on.
            source: The commit that has what is wanted.
        """
        self._core = core
        self._names = Names(core)
        self._rules = IgnoreRules(core)
        self._base = Snapshot(core.source, base)
        self._wanted = Snapshot(core.source, source)
        self._done = Restored()
        self._gone: list[int] = []

    def run(self, selection: Selection) -> Restored:
        """Puts the selected paths back, all of them or none (B5).

        Raises:
            NoSpace: There is no room for the rows of it, not even with the reserve.
            Io: The device refused.
        """
        core = self._core
        with core.lock:
            core.freeing(lambda: self._restore(selection))
            for ino in self._gone:
                core.drop_if_unused(ino)
        return self._done

    def _restore(self, selection: Selection) -> None:
        """Puts the paths back; may be done again from the beginning when it came to nothing."""
        self._done, self._gone = Restored(), []
        with self._core.changing():
            for path in selection:
                if path:
                    self._path(path)
                else:
                    self._folder(b"", ROOT_INODE, self._wanted.root, self._base.root)

    def _path(self, path: bytes) -> None:
        wanted, base = self._wanted.get(path), self._base.get(path)
        *above, name = path.split(b"/")
        ino = ROOT_INODE
        for depth, part in enumerate(above):
            found = self._lookup(ino, part)
            way = b"/".join(above[: depth + 1])
            if found and not stat.S_ISDIR(self._mode(found)):
                if wanted is not None:
                    self._done.kept.append(way)
                return
            if not found:
                if wanted is None:
                    return
                found = self._make_way(way, ino, part)
            ino = found
        self._name(_Spot(path, ino, name, wanted, base))

    def _lookup(self, ino: int, name: bytes) -> int:
        with self._core.reading():
            return self._names.find(self._core.folder(ino), name).ino

    def _mode(self, ino: int) -> int:
        with self._core.reading():
            return self._core.mode_of(ino)

    def _make_way(self, path: bytes, folder: int, name: bytes) -> int:
        """Makes an empty folder for what is to come back in it."""
        core = self._core
        with core.changing():
            found = self._names.find(core.folder(folder), name)
            if found.ino:
                return found.ino
            node = self._new_node(stat.S_IFDIR | 0o755, core.generation, parent=folder)
            self._point(_Spot(path, folder, name, None, None), found, node)
        self._told(path, folder, name)
        return node.ino

    # Folders

    def _folder(
        self, path: bytes, ino: int, wanted: DirectoryEntry | None, base: DirectoryEntry | None
    ) -> None:
        """Puts what is in a folder back; without `wanted`, takes away what is in it."""
        for name in self._candidates(ino, wanted):
            where = path + b"/" + name if path else name
            self._name(_Spot(where, ino, name, self._child(wanted, name), self._child(base, name)))

    def _child(self, folder: DirectoryEntry | None, name: bytes) -> DirectoryEntry | None:
        if folder is None or not folder.is_directory:
            return None
        index = self._core.index(ObjectId(folder.content))
        position = index.find(name)
        return None if position is None else index.entry(position)

    def _candidates(self, ino: int, wanted: DirectoryEntry | None) -> list[bytes]:
        """Returns the names of a folder that may differ from what is wanted."""
        core = self._core
        with core.reading():
            folder = core.folder(ino)
            rows = [] if folder.node is None else core.overlay.entries(ino)
            tree = ObjectId(wanted.content) if wanted is not None else None
            names = {row.name for row in rows}
            if folder.tree != tree:
                shown = {} if folder.tree is None else {e.name: e for e in core.index(folder.tree)}
                there = {} if tree is None else {e.name: e for e in core.index(tree)}
                names |= {
                    name
                    for name in shown.keys() | there.keys()
                    if shown.get(name) != there.get(name)
                }
        return sorted(names)

    # Names

    def _name(self, spot: _Spot) -> None:
        core = self._core
        with core.reading():
            found = self._names.find(core.folder(spot.folder), spot.name)
            is_folder = bool(found.ino) and stat.S_ISDIR(core.mode_of(found.ino))
        wanted = spot.wanted
        if is_folder and (is_hostile_name(spot.name) or self._is_ignored(spot, is_folder=True)):
            return  # B3: a repository of its own, say
        if is_folder and wanted is not None and wanted.is_directory:
            self._folder(spot.path, found.ino, wanted, spot.base)
            self._settle(spot)
        elif is_folder:
            if self._take_away(spot, found.ino):
                self._replace(spot)
        else:
            self._replace(spot)

    def _take_away(self, spot: _Spot, ino: int) -> bool:
        """Takes a folder away that should not be there; returns whether it is gone."""
        with self._core.reading():
            was_empty = self._is_empty_folder(ino)
        if was_empty or self._holds_only_keepable(ino, spot.path):
            return not was_empty or spot.wanted is not None
        self._folder(spot.path, ino, None, spot.base)
        with self._core.reading():
            folder = self._core.folder(ino)
            rows = self._core.overlay.has_names(ino) if folder.node is not None else True
        if rows:
            if spot.wanted is not None:
                self._done.kept.append(spot.path)
            return False
        return True

    def _holds_only_keepable(self, ino: int, path: bytes) -> bool:
        """Returns whether a commit could keep all that is in a folder (B3)."""
        with self._core.reading():
            return all(
                node is None or self._is_kept_by_commits(where, node)
                for where, node in self._rows_below(ino, path)
            )

    def _is_kept_by_commits(self, path: bytes, node: Node) -> bool:
        name = path.rpartition(b"/")[2]
        if not is_keepable(name, node) or self._is_empty(node):
            return False
        return not self._rules.cover(path, is_folder=stat.S_ISDIR(node.mode))

    def _is_ignored(self, spot: _Spot, *, is_folder: bool) -> bool:
        with self._core.reading():
            return self._rules.cover(spot.path, is_folder=is_folder)

    def _is_empty(self, node: Node) -> bool:
        return stat.S_ISDIR(node.mode) and self._is_empty_folder(node.ino)

    def _is_empty_folder(self, ino: int) -> bool:
        try:
            self._names.check_empty(ino)
        except NotEmpty:
            return False
        return True

    def _rows_below(self, ino: int, path: bytes) -> Iterator[tuple[bytes, Node | None]]:
        """Yields paths and rows below a folder, whiteouts as None."""
        core = self._core
        stack = [(ino, path)]
        while stack:
            folder, above = stack.pop()
            if core.node(folder) is None:
                continue
            for entry in core.overlay.entries(folder):
                node = None if entry.ino == WHITEOUT else core.node(entry.ino)
                where = above + b"/" + entry.name
                yield where, node
                if node is not None and stat.S_ISDIR(node.mode):
                    stack.append((node.ino, where))

    def _replace(self, spot: _Spot) -> None:
        """Points a name to what is wanted, and lets go of what it meant."""
        core = self._core
        with core.changing():
            found = self._names.find(core.folder(spot.folder), spot.name)
            if self._is_as_wanted(spot, found):
                self._mark_unchanged(spot, found)
                return
            if not self._may_go(spot, found):
                return
            xattrs = core.overlay.xattrs(found.ino) if found.ino else {}
            gone = self._let_go(spot, found)
            if spot.wanted is not None:
                node = self._node_of(spot)
                for name, value in xattrs.items():
                    core.overlay.set_xattr(node.ino, name, value)  # B6
                again = self._names.find(core.folder(spot.folder), spot.name)
                self._point(spot, again, node)
            self._mark_unchanged(spot, self._names.find(core.folder(spot.folder), spot.name))
        self._told(spot.path, spot.folder, spot.name)
        self._done.inodes.update(gone)
        self._gone += gone
        for ino in gone:
            core.note(core.replaced, ino)

    def _is_as_wanted(self, spot: _Spot, found: Found) -> bool:
        core, wanted = self._core, spot.wanted
        if not found.ino or wanted is None:
            return not found.ino and wanted is None
        node = core.node(found.ino)
        if node is None:
            return core.snapshot_entry(core.table.locate(found.ino)) == wanted
        if stat.S_ISLNK(node.mode):
            reader = core.source.open(wanted) if wanted.is_symlink else None
            return reader is not None and reader.read(0, reader.size) == node.target
        kind = EntryKind.EXECUTABLE if node.mode & stat.S_IXUSR else EntryKind.FILE
        return (
            stat.S_ISREG(node.mode)
            and kind is wanted.kind
            and known_content(node) == wanted.content
            and core.node_attributes(node).size == wanted.size
        )

    def _may_go(self, spot: _Spot, found: Found) -> bool:
        """Returns whether what a name means may be let go of (B3)."""
        node = self._core.node(found.ino) if found.ino else None
        if spot.wanted is not None and spot.wanted.kind is EntryKind.SUBMODULE:
            self._done.kept.append(spot.path)
            return False
        if node is None or stat.S_ISDIR(node.mode):
            return True
        if is_keepable(spot.name, node) and not self._rules.cover(spot.path, is_folder=False):
            return True
        if spot.wanted is not None:
            self._done.kept.append(spot.path)
        return False

    def _let_go(self, spot: _Spot, found: Found) -> list[int]:
        """Takes a name from what it means; returns the inodes that lost their last name here."""
        core = self._core
        if not found.ino:
            return []
        above = core.materialize_folder(spot.folder)
        is_folder = stat.S_ISDIR(core.mode_of(found.ino))
        gone = list(self._release_below(found.ino)) if is_folder else []
        found = self._names.find(core.folder(spot.folder), spot.name)
        self._names.hide(above, spot.name, found)
        now = now_ns()
        core.touch(above, now, links=-1 if is_folder else 0)
        self._names.release(found.ino, now)
        return [*gone, found.ino]

    def _release_below(self, ino: int) -> Iterator[int]:
        """Takes all rows of a folder that goes from what they name."""
        core, now = self._core, now_ns()
        stack = [ino]
        while stack:
            folder = stack.pop()
            if core.node(folder) is None:
                continue
            for entry in core.overlay.entries(folder):
                if entry.ino == WHITEOUT:
                    continue
                if stat.S_ISDIR(core.mode_of(entry.ino)):
                    stack.append(entry.ino)
                core.overlay.delete_entry(folder, entry.name)
                self._names.release(entry.ino, now)
                yield entry.ino

    def _node_of(self, spot: _Spot) -> Node:
        """Makes the inode of what is wanted: it stands on the commit's content (B1, B2)."""
        core, wanted = self._core, spot.wanted
        assert wanted is not None, "something is wanted"
        target = None
        if wanted.is_symlink:
            reader = core.source.open(wanted)
            target = reader.read(0, reader.size)
        return self._new_node(
            SNAPSHOT_MODES[wanted.kind],
            0 if spot.wanted == spot.base else core.generation,
            parent=spot.folder if wanted.is_directory else 0,
            base=wanted.content,
            base_size=wanted.size,
            target=target,
        )

    def _new_node(
        self,
        mode: int,
        gen: int,
        *,
        parent: int,
        base: bytes | None = None,
        base_size: int = 0,
        target: bytes | None = None,
    ) -> Node:
        core, now = self._core, now_ns()
        links = 2 if stat.S_ISDIR(mode) and base is None else 1
        node = Node(
            *(core.new_inode(), mode, links, core.uid, core.gid, 0, now, now, now, gen),
            parent=parent,
            base=base,
            base_size=base_size,
            target=target,
        )
        core.overlay.insert_node(node)
        return core.remember_node(node)

    def _point(self, spot: _Spot, found: Found, node: Node) -> None:
        core = self._core
        above = core.materialize_folder(spot.folder)
        self._names.point(above, spot.name, found, node.ino)
        core.touch(above, now_ns(), links=1 if stat.S_ISDIR(node.mode) else 0)

    # Marks

    def _settle(self, spot: _Spot) -> None:
        core = self._core
        with core.changing():
            self._mark_unchanged(spot, self._names.find(core.folder(spot.folder), spot.name))

    def _mark_unchanged(self, spot: _Spot, found: Found) -> None:
        """Marks a name that is as the base commit has it (B4); in a transaction."""
        core, row = self._core, found.row
        below = spot.path + b"/"
        in_the_way = any(path == spot.path or path.startswith(below) for path in self._done.kept)
        if row is None or spot.wanted != spot.base or in_the_way:
            return
        above = core.node(spot.folder)
        assert above is not None, "a folder of rows has one"
        if row.ino == WHITEOUT and not is_in_base(core, above, row):
            core.overlay.delete_entry(row.parent, row.name)  # there is nothing to hide
        else:
            core.overlay.settle_entry(row)

    def _told(self, path: bytes, folder: int, name: bytes) -> None:
        self._done.paths.append(path)
        self._done.names.append((folder, name))
        self._done.inodes.add(folder)
