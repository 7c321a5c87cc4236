"""Puts an open workspace on another commit, while programs use it.

Owns: how the directories of an open workspace change their trees.
Layer: workspace.

What differs between the two commits is walked, as far down as directories are known: those that
have inode numbers or rows. All others are found on their new tree when somebody looks.

Invariants:
  X1. An entry that is the same in both trees keeps its inode, and with it what the kernel has of
      it; so does a directory that both have. Everything else at a path is another inode.
  X2. An inode that is at no path any more is read as it was until it is forgotten: a number belongs
      to the tree that it was made for, and a row lives on without a name.
  X3. Rows that a commit has give way where the trees differ; rows that no commit has are never
      touched, and stand at paths where the trees do not differ (carry.py).
  X4. Rows, base commit and branch change in one transaction. Tables in memory follow when it has
      happened: after a kill the workspace stands on one commit or on the other.
  X5. A row never shares its inode number with an entry of a tree: names that have a row get a new
      number beside it, for the day that the row goes.

Concurrency: the caller holds the workspace's lock, and no commit is under way.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbfs.ids import ObjectId
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.inodes import MOVE_SHIFT, ROOT_INODE, Numbering, Run, derive_inode
from mlbfs.workspace.nodes import Standing
from mlbfs.workspace.overlay import WHITEOUT
from mlbfs.workspace.rowmatch import Stretch, match_rows
from mlbfs.workspace.snapshot import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlbfs.git.commits import Commit
    from mlbfs.store.dirindex import DirectoryEntry, DirectoryIndex
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.datafiles import DataKey
    from mlbfs.workspace.rows import Entry

MOVED = "moved"
"""Setting: some directory has other listing offsets than its tree says, for the next opening."""


@dataclass(slots=True)
class Stale:
    """What somebody who remembers names and attributes has to forget after a checkout.

    Attributes:
        names: Folder and name of what is another inode, or came, or went.
        attributes: Folders that are the same inode, with other times.
    """

    names: list[tuple[int, bytes]] = field(default_factory=list)
    attributes: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.names or self.attributes)


@dataclass(frozen=True, slots=True)
class _Step:
    """A known directory whose tree changes.

    Attributes:
        old: Its tree in the commit that the workspace stood on.
        new: Its tree in the other commit.
    """

    path: bytes
    ino: int
    old: ObjectId | None
    new: ObjectId


@dataclass(slots=True)
class _Plan:
    """All that a checkout will do, worked out before anything changes."""

    bases: list[tuple[int, ObjectId]] = field(default_factory=list)
    standing: dict[int, Standing] = field(default_factory=dict)
    numberings: list[tuple[int, Numbering]] = field(default_factory=list)
    dropped: list[Entry] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    detached: list[int] = field(default_factory=list)
    stale: Stale = field(default_factory=Stale)


class Checkout:
    """One change of the commit that a workspace stands on."""

    def __init__(self, core: Core, old: Commit, new: Commit, changed: frozenset[bytes]) -> None:
        """Prepares it.

        Args:
            core: The workspace.
            old: The commit that it stands on.
            new: The commit to stand on.
            changed: Paths whose rows stay as they are; the two commits agree on them (X3).
        """
        self._core = core
        self._old = old
        self._new = new
        self._changed = changed
        self._plan = _Plan()
        self._emptied: list[int] = []
        self._now = now_ns()

    def run(self, *, settings: Mapping[str, bytes | str] | None = None) -> Stale:
        """Does it; returns what is not true any more.

        Args:
            settings: Written down in the same transaction.

        Raises:
            VfsError: The device refused; nothing changed.
        """
        core, plan = self._core, self._plan
        before, core.time_ns = core.time_ns, self._new.committer.time * NS_PER_S
        try:
            self._work_out()
            unused = core.freeing(lambda: self._write(settings or {}))
        except BaseException:
            core.time_ns = before
            raise
        for ino in plan.detached:
            core.table.detach(ino)
        for ino, numbering in plan.numberings:
            core.table.move(ino, numbering)
        core.standing.update(plan.standing)
        for key in unused:
            core.doom(key)
        for ino in self._emptied:
            core.drop_if_unused(ino)
        return plan.stale

    # Working out

    def _work_out(self) -> None:
        stack = [_Step(b"", ROOT_INODE, self._old.tree, self._new.tree)]
        while stack:
            step = stack.pop()
            if step.old != step.new:
                stack += _FolderPlan(self._core, self._plan, step, self._changed, self._now).run()

    # Writing

    def _write(self, settings: Mapping[str, bytes | str]) -> list[DataKey]:
        """Changes the rows (X4); returns data files that nobody needs."""
        core, plan = self._core, self._plan
        unused: list[DataKey] = []
        self._emptied.clear()
        with core.changing():
            for ino in plan.detached:
                self._detach_rows(ino, unused)
            for entry in plan.dropped:
                core.overlay.delete_entry(entry.parent, entry.name)
            for ino in plan.released:
                self._release(ino, unused)
            for ino, tree in plan.bases:
                node = core.node(ino)
                assert node is not None, "a base belongs to a row"
                node.base = tree
                node.nlink = min(node.nlink, 1)  # folders that come with a tree are not counted
                node.mtime = node.ctime = self._now
                core.overlay.update_node(node)
            core.overlay.set("base", self._new.id)
            core.overlay.set(MOVED, 1)
            for key, value in settings.items():
                core.overlay.set(key, value)
        return unused

    def _detach_rows(self, ino: int, unused: list[DataKey]) -> None:
        """Takes all names out of a directory that goes, and its own link."""
        core = self._core
        if core.overlay.node(ino) is None:
            return
        for entry in core.overlay.entries(ino):
            core.overlay.delete_entry(entry.parent, entry.name)
            if entry.ino != WHITEOUT:
                self._release(entry.ino, unused)
        node = core.node(ino)
        assert node is not None, "it has a row"
        node.base = None
        core.overlay.update_node(node)

    def _release(self, ino: int, unused: list[DataKey]) -> None:
        """Takes one link from an inode; it lives on as long as it is known (X2)."""
        core = self._core
        node = core.node(ino)
        assert node is not None, "a name points to a row"
        is_folder = stat.S_ISDIR(node.mode)
        node.nlink = 0 if is_folder else max(0, node.nlink - 1)
        node.ctime = self._now
        core.overlay.update_node(node)
        if node.nlink:
            return
        if is_folder:
            self._emptied.append(ino)
        if core.lookups[ino] or core.writers[ino] or is_folder:
            core.note(core.orphans, ino)
            core.note(core.replaced, ino)
            return
        if node.data:
            unused.append((ino, node.data))
        core.overlay.delete_node(ino)


class _FolderPlan:
    """Works out what becomes of one directory."""

    def __init__(
        self, core: Core, plan: _Plan, step: _Step, changed: frozenset[bytes], now: int
    ) -> None:
        self._core = core
        self._plan = plan
        self._step = step
        self._changed = changed
        self._now = now
        self._folder = core.folder(step.ino)
        node = self._folder.node
        self._rows = {} if node is None else {r.name: r for r in core.overlay.entries(step.ino)}
        self._new = core.index(step.new)
        self._new_rows = self._new.rows()
        self._compared: dict[ObjectId | None, list[Stretch]] = {}
        self._dropped: set[bytes] = set()
        self._below: list[_Step] = []

    def run(self) -> list[_Step]:
        """Adds to the plan; returns the directories in it that go on."""
        core, plan, step = self._core, self._plan, self._step
        self._compare()
        if self._folder.node is not None:
            plan.bases.append((step.ino, step.new))
        else:
            plan.standing[step.ino] = Standing(step.new, self._now)
        if self._folder.node is not None or core.table.is_numbered(step.ino):
            plan.numberings.append((step.ino, self._numbering()))
        if self._is_known(step.ino):
            plan.stale.attributes.append(step.ino)
        return self._below

    def _is_known(self, ino: int) -> bool:
        return ino == ROOT_INODE or bool(self._core.lookups[ino])

    # What is at each name

    def _compare(self) -> None:
        """Passes over the names that differ between the two commits."""
        old = None if self._step.old is None else self._core.index(self._step.old)
        for stretch in self._stretches(self._step.old):
            if not stretch.is_equal:
                self._name(_entry_at(old, stretch.old), _entry_at(self._new, stretch.new))

    def _stretches(self, tree: ObjectId | None) -> list[Stretch]:
        """Returns how a tree compares with the new one; mostly it is asked twice for one tree."""
        found = self._compared.get(tree)
        if found is None:
            rows = [] if tree is None else self._core.index(tree).rows()
            found = self._compared[tree] = list(match_rows(rows, self._new_rows))
        return found

    def _name(self, old: DirectoryEntry | None, new: DirectoryEntry | None) -> None:
        found = old or new
        assert found is not None, "a difference has two sides, and one is there"
        row = self._rows.get(found.name)
        if row is not None:
            self._row(row, old, new)
            return
        ino = 0 if old is None else self._inode(found.name)
        if old is not None and old.is_directory:
            if new is not None and new.is_directory:
                self._go_on(found.name, ino, old, new)
                return
            self._detach(ino)
        self._forget(found.name, ino)

    def _row(self, row: Entry, old: DirectoryEntry | None, new: DirectoryEntry | None) -> None:
        """Decides about a name that has a row (X3)."""
        path = self._path(row.name)
        if path in self._changed:
            return
        node = None if row.ino == WHITEOUT else self._core.node(row.ino)
        if node is not None and stat.S_ISDIR(node.mode):
            if new is not None and new.is_directory:
                self._go_on(row.name, row.ino, old, new)
                return
            self._detach(row.ino)
        self._plan.dropped.append(row)
        self._dropped.add(row.name)
        if node is not None:
            self._plan.released.append(row.ino)
        self._forget(row.name, row.ino)

    def _go_on(
        self, name: bytes, ino: int, old: DirectoryEntry | None, new: DirectoryEntry
    ) -> None:
        """Has a directory that both commits have change its tree (X1)."""
        if not ino:
            return  # nobody was shown it
        core = self._core
        before = ObjectId(old.content) if old is not None and old.is_directory else None
        after = ObjectId(new.content)
        if ino not in core.materialized and ino in core.table:
            self._plan.standing[ino] = Standing(after, self._now)
            if not core.table.is_numbered(ino):
                if self._is_known(ino):
                    self._plan.stale.attributes.append(ino)
                return
        self._below.append(_Step(self._path(name), ino, before, after))

    def _forget(self, name: bytes, ino: int) -> None:
        """Notes a name that means something else; a folder that nobody knows has none."""
        if self._is_known(self._step.ino) and (ino in (0, WHITEOUT) or self._core.lookups[ino]):
            self._plan.stale.names.append((self._step.ino, name))

    def _path(self, name: bytes) -> bytes:
        return self._step.path + b"/" + name if self._step.path else name

    def _inode(self, name: bytes) -> int:
        """Returns the inode that a name of the base has shown; 0 if it was never shown."""
        core, tree = self._core, self._folder.tree
        if tree is None or not core.table.is_numbered(self._step.ino):
            return 0
        position = core.index(tree).find(name)
        assert position is not None, "without a row the directory shows what its commit has"
        return core.table.child(self._step.ino, tree, position)

    # Directories that go

    def _detach(self, ino: int) -> None:
        """Notes that a directory is gone with all that is known below it."""
        core, plan = self._core, self._plan
        stack = [ino] if ino else []
        while stack:
            at = stack.pop()
            plan.detached.append(at)
            folder = core.folder(at)
            rows = {} if folder.node is None else {r.name: r for r in core.overlay.entries(at)}
            for row in rows.values():
                node = None if row.ino == WHITEOUT else core.node(row.ino)
                if node is not None and stat.S_ISDIR(node.mode):
                    stack.append(row.ino)
            if folder.tree is None or not core.table.is_numbered(at):
                continue
            for position, entry in enumerate(core.index(folder.tree)):
                if entry.is_directory and entry.name not in rows:
                    below = core.table.child(at, folder.tree, position)
                    if core.table.is_numbered(below):
                        stack.append(below)

    # Numbers

    def _numbering(self) -> Numbering:
        """Works out which entries of the new tree keep their inode (X1, X5)."""
        core, ino, tree = self._core, self._step.ino, self._folder.tree
        if tree is not None:
            core.table.number(ino, tree)
        before = core.table.numbering(ino)
        times = self._times(before)
        number = core.table.take_number()
        times[number] = self._new.time_ns
        moves = 1 if before is None else before.moves + 1
        if not core.table.is_numbered(ino):  # nothing of it was shown: begin from the front
            moves = 0
        runs = _Runs(self, before, number, moves)
        for stretch in self._stretches(tree):
            runs.add(stretch)
        return Numbering(self._step.new, runs.made, times, moves)

    def _times(self, before: Numbering | None) -> dict[int, int]:
        if before is not None:
            return dict(before.times)
        tree = self._folder.tree
        if tree is None:
            return {}
        return {self._core.table.number(self._step.ino, tree): self._core.index(tree).time_ns}

    def are_folders(self, old: int, new: int) -> bool:
        """Returns whether both trees have a directory at a name."""
        assert self._folder.tree is not None, "a position belongs to a tree"
        before = self._core.index(self._folder.tree).entry(old)
        return before.is_directory and self._new.entry(new).is_directory

    def stood(self, before: Numbering | None, start: int, stop: int) -> Iterator[Run]:
        """Yields inodes and offsets of a part of the tree that the directory stood on."""
        if before is not None:
            yield from before.runs_between(start, stop)
            return
        tree = self._folder.tree
        assert tree is not None, "a position belongs to a tree"
        number = self._core.table.number(self._step.ino, tree)
        yield Run(start, stop, derive_inode(number, start), start)

    def rows_between(self, start: int, stop: int) -> list[tuple[int, Entry]]:
        """Returns the names in a part of the new tree that have rows (X5), with their positions."""
        if not self._rows:
            return []
        if len(self._rows) > stop - start:
            found = ((p, self._rows.get(self._new.name(p))) for p in range(start, stop))
            return [(p, row) for p, row in found if row is not None]
        placed = ((self._new.find(name), row) for name, row in self._rows.items())
        return sorted((p, row) for p, row in placed if p is not None and start <= p < stop)

    def is_dropped(self, row: Entry) -> bool:
        """Returns whether the row of a name goes."""
        return row.name in self._dropped


class _Runs:
    """Numbers the entries of a new tree, from the front.

    Attributes:
        made: The runs so far.
    """

    def __init__(
        self, folder: _FolderPlan, before: Numbering | None, number: int, moves: int
    ) -> None:
        self.made: list[Run] = []
        self._folder = folder
        self._before = before
        self._number = number
        self._behind = moves << MOVE_SHIFT

    def add(self, stretch: Stretch) -> None:
        """Adds what a stretch has in the new tree."""
        if stretch.new is None:
            return
        at, end = stretch.new, stretch.new + stretch.length
        for position, row in self._folder.rows_between(at, end):
            self._add_part(stretch, at, position)
            self._add_beside(position, row)
            at = position + 1
        self._add_part(stretch, at, end)

    def _add_part(self, stretch: Stretch, start: int, stop: int) -> None:
        """Adds names without rows."""
        if start == stop:
            return
        if stretch.old is None or stretch.new is None:
            self._append(self._fresh(start, stop, self._behind + start))
            return
        first = stretch.old + start - stretch.new
        keeps = stretch.is_equal or self._folder.are_folders(first, start)
        for run in self._folder.stood(self._before, first, first + stop - start):
            begin = start + run.start - first
            end = begin + run.stop - run.start
            if keeps:
                self._append(Run(begin, end, run.inode, run.offset))
            else:
                self._append(self._fresh(begin, end, run.offset))

    def _add_beside(self, position: int, row: Entry) -> None:
        """Adds a name that has a row; if the row goes, its place in listings stays."""
        goes = self._folder.is_dropped(row)
        offset = row.off if goes else self._behind + position
        self._append(self._fresh(position, position + 1, offset))

    def _fresh(self, start: int, stop: int, offset: int) -> Run:
        return Run(start, stop, derive_inode(self._number, start), offset)

    def _append(self, run: Run) -> None:
        """Adds a run, joined with the last one if it goes on there."""
        if self.made and self.made[-1].part(run.start, run.stop) == run:
            self.made[-1] = self.made[-1]._replace(stop=run.stop)
        else:
            self.made.append(run)


def _entry_at(index: DirectoryIndex | None, position: int | None) -> DirectoryEntry | None:
    return None if index is None or position is None else index.entry(position)
