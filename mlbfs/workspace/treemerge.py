"""Merges two trees over a base: plan, drivers, storing, and the tree that comes of it.

Owns: the order in which a merge is made, what a resolution replaces, and what a preview shows of a
conflict.
Layer: workspace. No ref is moved and nothing is published here.

Invariants:
  G1. The merged tree is ours with changes laid over it: the cost is what theirs changed.
  G2. With conflicts that nothing settles there is a tree to look at, and it is never a branch's.

Concurrency: one thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbfs.errors import NotFoundError
from mlbfs.git.trees import MODE_SUBMODULE
from mlbfs.merge.choice import Chooser
from mlbfs.merge.companions import hold_split_databases, may_have_sidecars
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import (
    DEFAULT_MARKER_SIZE,
    DriverChoice,
    MergeCall,
    MergeResult,
    Take,
)
from mlbfs.merge.plan import FileMerge, StructureConflict, make_plan
from mlbfs.merge.registry import BUILT_IN
from mlbfs.merge.settling import settle
from mlbfs.merge.trees import Entry, Triple
from mlbfs.merge.versions import Side
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.aligning import Aligner, hold
from mlbfs.workspace.driverprocess import driver_failed
from mlbfs.workspace.mergecontent import MergeContent
from mlbfs.workspace.mergeinputs import EMPTY_TREE, MergeInputs
from mlbfs.workspace.snapshot import NS_PER_S
from mlbfs.workspace.treeedit import NewEntry, TreeEdit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.git.attributes import Attributes
    from mlbfs.git.objects import ObjectWriter
    from mlbfs.ids import ObjectId
    from mlbfs.merge.plan import Plan
    from mlbfs.store.writer import StoreWriter
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.source import SnapshotSource


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a person settled a path.

    Attributes:
        ours: What ours had there when it was settled.
        theirs: The same of theirs; for other versions than these two the resolution says nothing.
        side: Take that side, whatever it is.
        choice: Let that driver merge it.
        content: Take this file: the entry of a tree.
    """

    ours: Entry | None
    theirs: Entry | None

    side: Side | None = None
    choice: DriverChoice | None = None
    content: Entry | None = None


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """How trees are merged.

    Attributes:
        labels: What the sides are called.
        commits: The commit of each side, if it has one.
        overrides: Patterns and drivers of the command line.
        resolutions: What a person settled, by path.
        only: Paths that take part; empty for all.
        style: How conflicting lines are shown.
        marker_size: Length of conflict markers; longer in the base of a base.
        show_conflicts: Put the sides of each conflict beside it: `PATH.ours` and so on.
        is_base: The result is the base of another merge: what cannot be merged is as the base has
            it, but for lines, which keep their markers, as in Git.
        time: Seconds since the epoch; what new trees show.
    """

    labels: Mapping[Side, str]
    commits: Mapping[Side, ObjectId]
    overrides: Sequence[tuple[bytes, DriverChoice]] = ()
    resolutions: Mapping[bytes, Resolution] = field(default_factory=dict)
    only: Sequence[bytes] = ()
    style: str = "merge"
    marker_size: int = DEFAULT_MARKER_SIZE
    show_conflicts: bool = False
    is_base: bool = False
    time: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """A path that both sides changed, and what settled it.

    Attributes:
        by: The driver with its options, or how a person settled it.
        note: What the driver says of it.
    """

    path: bytes
    by: str
    note: str = ""


@dataclass(slots=True)
class MergedTree:
    """What merging two trees came to.

    Attributes:
        tree: The merged tree.
        settled: The paths that both sides changed, and by what they were merged.
        conflicts: What the sides disagree about, settled by a policy or not.
        renames: Files that one side moved while the other changed them: old path and new.
        changed: How many paths of ours became others; a folder taken whole counts once.
        directories: Indexes of the trees that were made, for `StoreWriter.commit`.
        contested: What base, ours and theirs have at the paths that both changed.
        places: Where else those lie, because one side moved them.
    """

    tree: ObjectId
    settled: list[Settled]
    conflicts: list[Conflict]
    renames: list[tuple[bytes, bytes]]
    changed: int
    directories: list[tuple[ObjectId, bytes]]
    contested: dict[bytes, Triple]
    places: dict[bytes, set[bytes]]

    @property
    def open_conflicts(self) -> list[Conflict]:
        """Returns the conflicts that nothing settled."""
        return [found for found in self.conflicts if found.settled is None]


class TreeMerge:
    """One merge of two trees.

    Args:
        source: The repository.
        settings: How.
        drivers: Runs drivers.
        writer: Takes chunks.
        objects: Takes blobs and trees.
    """

    def __init__(
        self,
        source: SnapshotSource,
        settings: MergeSettings,
        drivers: DriverRunner,
        writer: StoreWriter,
        objects: ObjectWriter,
    ) -> None:
        self._source = source
        self._settings = settings
        self._drivers = drivers
        self._writer = writer
        self._objects = objects

    def merge(self, base: ObjectId | None, ours: ObjectId, theirs: ObjectId) -> MergedTree:
        """Merges theirs into ours.

        Args:
            base: The tree that both began with, or None.
            ours: The tree that is merged into.
            theirs: The tree that comes in.

        Raises:
            DriverError: A driver could not do its work.
            NotFoundError: Content that has to be read is not in this repository.
            CorruptionError: A tree or a file is damaged.
            StorageError: The device refused.
        """
        git = self._source.git
        self._trees = {Side.BASE: base, Side.OURS: ours, Side.THEIRS: theirs}
        self._inputs = MergeInputs(self._source, self._trees, self._settings.commits)
        attributes = git.attributes(ours)
        self._content = MergeContent(self._source, attributes, self._writer, self._objects)
        self._chooser = Chooser(attributes, self._settings.overrides, self._inputs.open)
        self._edit = TreeEdit(self._source, ours)
        self._settled: list[Settled] = []
        self._conflicts: list[Conflict] = []
        # Whoever takes a database apart has read the folders of both sides; single paths are not
        # looked for in theirs.
        self._has_sidecars = bool(self._settings.only)
        plan = self._plan(attributes)
        if self._has_sidecars:
            hold_split_databases(plan, self._inputs.entry)
        met: list[FileMerge | StructureConflict] = [*plan.files, *plan.conflicts]
        self._contested = {one.path for one in met}
        for change in plan.changes:
            self._place(change.path, change.entry)
        for file in plan.files:
            self._merge_file(file)
        for conflict in plan.conflicts:
            self._settle_structure(conflict)
        tree = self._edit.write(self._objects, time_ns=self._settings.time * NS_PER_S)
        changed = len(plan.changes) + len(met)
        contested = {one.path: Triple(one.base, one.ours, one.theirs) for one in met}
        return MergedTree(
            tree,
            self._settled,
            self._conflicts,
            plan.renames,
            changed,
            self._edit.directories,
            contested,
            {one.path: {one.ours_path, one.theirs_path} for one in plan.conflicts},
        )

    def _plan(self, attributes: Attributes) -> Plan:
        """Plans the merge, after folders that a driver sees as a whole have been aligned."""
        plan = self._make_plan()
        settings = self._settings
        found = Aligner(
            self._source,
            self._drivers,
            self._chooser,
            attributes,
            self._inputs,
            only=settings.only,
            time=settings.time,
        ).align(plan, self._trees)
        if found is None:
            return plan
        self._trees = found.trees
        self._inputs = MergeInputs(self._source, self._trees, settings.commits)
        self._settled += [Settled(path, "mlflow", note) for path, note in found.notes]
        plan = self._make_plan()
        hold(plan, found.held, self._inputs.entry)
        return plan

    def _make_plan(self) -> Plan:
        base, ours, theirs = (self._trees[side] for side in Side)
        assert ours is not None, "a merge has both sides"
        assert theirs is not None, "a merge has both sides"
        return make_plan(self._read_tree, base, ours, theirs, only=self._only())

    def _read_tree(self, oid: ObjectId) -> bytes:
        tree = b"" if oid == EMPTY_TREE else self._source.git.read_raw_tree(oid)
        self._has_sidecars = self._has_sidecars or may_have_sidecars(tree)
        return tree

    def _only(self) -> dict[bytes, Triple] | None:
        if not self._settings.only:
            return None
        found = {}
        for path in self._settings.only:
            found[path] = Triple(*(self._inputs.entry(side, path) for side in Side))
            if not any(found[path]):
                raise NotFoundError(
                    f"{path.decode(errors='backslashreplace')!r} is on neither side",
                    hint="a path begins at the root of the tree",
                )
        return found

    def _resolution(self, found: FileMerge | StructureConflict) -> Resolution | None:
        made = self._settings.resolutions.get(found.path)
        if made is None or (made.ours, made.theirs) != (found.ours, found.theirs):
            return None
        return made

    # Placing

    def _place(self, path: bytes, entry: Entry | None) -> None:
        """Puts what a side has at a path of the merged tree."""
        if entry is None:
            self._edit.remove(path)
        elif entry.is_folder:
            self._edit.graft(path, entry.id)
        elif entry.mode == MODE_SUBMODULE:
            self._edit.put(path, _submodule(entry))
        else:
            self._edit.put(path, self._content.entry(entry))

    # Files

    def _merge_file(self, file: FileMerge) -> None:
        resolution = self._resolution(file)
        if resolution is not None and self._resolve_file(file, resolution):
            return
        choice = resolution.choice if resolution is not None else None
        versions = {
            Side.OURS: self._inputs.version(file.ours),
            Side.THEIRS: self._inputs.version(file.theirs),
        }
        base = None if file.base is None else self._inputs.version(file.base)
        there = [*versions.values(), *([base] if base is not None else [])]
        if choice is None:
            choice = self._chooser.choose(file.path, there)
        with self._drivers.scratch() as scratch:
            call = MergeCall(
                file.path,
                versions[Side.OURS],
                versions[Side.THEIRS],
                base,
                choice,
                self._inputs,
                scratch,
                self._settings.labels,
                self._settings.marker_size,
                self._settings.style,
            )
            self._take_result(file, call, self._merged(file, call))

    def _merged(self, file: FileMerge, call: MergeCall) -> MergeResult:
        if file.ours.id == file.theirs.id:  # only the modes are contested
            return MergeResult(Take(Side.OURS))
        return self._drivers.run(call)

    def _take_result(self, file: FileMerge, call: MergeCall, result: MergeResult) -> None:
        conflicts = list(result.conflicts)
        if file.mode_conflict:
            conflicts.append(
                Conflict(
                    file.path,
                    ConflictKind.MODE,
                    "one side added it executable, the other not",
                    ours=f"{file.ours.mode:o}",
                    theirs=f"{file.theirs.mode:o}",
                )
            )
        self._conflicts += conflicts
        if conflicts and self._settings.is_base and call.choice.name != "text":
            self._place(file.path, file.base)
            return
        entry = self._content.put(file.path, file.mode, result.content, call)
        if entry is None:
            self._edit.remove(file.path)
        else:
            self._edit.put(file.path, entry)
        for path, content in result.beside.items():
            self._check_free(path, call)
            beside = self._content.put(path, file.mode, content, call)
            assert beside is not None, "what is put beside a file is there"
            self._edit.put(path, beside)
        if all(found.settled is not None for found in conflicts):
            self._settled.append(Settled(file.path, str(call.choice), result.note))
        elif self._settings.show_conflicts:
            self._show(
                file.path,
                {Side.BASE: file.base, Side.OURS: file.ours, Side.THEIRS: file.theirs},
            )

    def _check_free(self, path: bytes, call: MergeCall) -> None:
        """Checks that nothing is lost where a driver puts a file beside its path.

        Raises:
            DriverError: A side has a folder there; or anything, and the driver is not one of ours:
                `sqlite` empties the log of a database that it has merged.
        """
        there = [self._inputs.entry(side, path) for side in (Side.OURS, Side.THEIRS)]
        is_ours = call.choice.name in BUILT_IN
        if any(one is not None and (one.is_folder or not is_ours) for one in there):
            shown = path.decode(errors="backslashreplace")
            raise driver_failed(call, f"it would replace {shown!r}, which a side has")

    def _resolve_file(self, file: FileMerge, resolution: Resolution) -> bool:
        """Places what a person chose for a file; False if a driver has to merge it."""
        if resolution.choice is not None:
            return False
        if resolution.side is not None:
            entries = {Side.BASE: file.base, Side.OURS: file.ours, Side.THEIRS: file.theirs}
            self._place(file.path, entries[resolution.side])
        else:
            self._place(file.path, resolution.content)
        self._settled.append(Settled(file.path, _said(resolution)))
        return True

    # Structure

    def _settle_structure(self, found: StructureConflict) -> None:
        resolution = self._resolution(found)
        if resolution is not None and resolution.choice is None:
            self._resolve_structure(found, resolution)
            return
        choice = resolution.choice if resolution is not None else self._chooser.named(found.path)
        side = None if choice is None else settle(found, choice, self._inputs)
        if side is not None:
            self._take_side(found, side)
            self._settled.append(Settled(found.path, str(choice), f"took {side}"))
            return
        self._conflicts.append(_structure_conflict(found, self._settings.labels))
        if self._settings.is_base:
            self._take_side(found, Side.BASE)
            return
        if self._settings.show_conflicts:
            self._show(
                found.path,
                {Side.BASE: found.base, Side.OURS: found.ours, Side.THEIRS: found.theirs},
            )

    def _resolve_structure(self, found: StructureConflict, resolution: Resolution) -> None:
        if resolution.side is not None:
            self._take_side(found, resolution.side)
        else:
            self._clear(found)
            self._place(found.path, resolution.content)
        self._settled.append(Settled(found.path, _said(resolution)))

    def _take_side(self, found: StructureConflict, side: Side) -> None:
        """Leaves of a contested path only what one side has."""
        self._clear(found)
        entries = {Side.BASE: found.base, Side.OURS: found.ours, Side.THEIRS: found.theirs}
        place = found.path if side is Side.BASE else found.place(side)
        if entries[side] is not None and self._is_own(found, place):
            self._place(place, entries[side])

    def _clear(self, found: StructureConflict) -> None:
        for place in {found.path, found.ours_path, found.theirs_path}:
            if self._is_own(found, place):
                self._edit.remove(place)

    def _is_own(self, found: StructureConflict, place: bytes) -> bool:
        """Whether a conflict decides of a place; not if something else is contested there too."""
        return place == found.path or place not in self._contested

    def _show(self, path: bytes, entries: Mapping[Side, Entry | None]) -> None:
        """Puts the versions of a conflict beside it, under names that are free."""
        for side, entry in entries.items():
            if entry is not None:
                self._place(self._free_name(path, side), entry)

    def _free_name(self, path: bytes, side: Side) -> bytes:
        name = path + b"." + side.encode()
        number = 1
        while any(self._inputs.entry(one, name) is not None for one in (Side.OURS, Side.THEIRS)):
            number += 1
            name = path + f".{side}-{number}".encode()
        return name


def _submodule(entry: Entry) -> NewEntry:
    return NewEntry(EntryKind.SUBMODULE, 0, entry.id)


def _said(resolution: Resolution) -> str:
    return f"resolved: {resolution.side}" if resolution.side is not None else "resolved by hand"


_MESSAGES = {
    ConflictKind.FILE_FOLDER: "a file on one side, a folder on the other",
    ConflictKind.TYPE: "one side has a file, the other a symbolic link or a submodule",
    ConflictKind.SPLIT_DATABASE: "the database would come from one side, its log from the other",
    ConflictKind.SYMLINK: "both sides changed where the symbolic link leads",
    ConflictKind.SUBMODULE: "both sides moved the submodule",
}


def _structure_conflict(found: StructureConflict, labels: Mapping[Side, str]) -> Conflict:
    message = found.message or _MESSAGES.get(found.kind) or _removal_message(found, labels)
    return Conflict(
        found.path,
        found.kind,
        message,
        base=_entry_text(found.base),
        ours=_entry_text(found.ours),
        theirs=_entry_text(found.theirs),
    )


def _removal_message(found: StructureConflict, labels: Mapping[Side, str]) -> str:
    ours, theirs = labels[Side.OURS], labels[Side.THEIRS]
    if found.kind is ConflictKind.RENAMED_TWICE:
        one, other = _shown(found.ours_path), _shown(found.theirs_path)
        return f"moved to {one} in {ours} and to {other} in {theirs}"
    lost, kept = (ours, theirs) if found.ours is None else (theirs, ours)
    if found.kind is ConflictKind.RENAMED_DELETED:
        place = found.theirs_path if found.ours is None else found.ours_path
        return f"deleted in {lost}, moved to {_shown(place)} in {kept}"
    return f"deleted in {lost}, changed in {kept}"


def _shown(path: bytes) -> str:
    return repr(path.decode(errors="backslashreplace"))


def _entry_text(entry: Entry | None) -> str | None:
    return None if entry is None else f"{entry.mode:06o} {entry.id.hex()}"
