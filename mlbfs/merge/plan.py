"""The plan of a merge: what is decided by ids, what a driver has to merge, what is in conflict.

Owns: the meaning of contested paths that are not two versions of one file: deleted and modified,
file and folder, links, modes, and files that were moved.
Layer: merge. Reads trees through a function handed in.

Concurrency: one thread.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlbfs.git.paths import ancestors
from mlbfs.git.trees import (
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
)
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.renames import find_renames, has_new_files, lost_files
from mlbfs.merge.trees import (
    Agreed,
    Change,
    Clash,
    Contest,
    Decision,
    Entry,
    merge_path,
    merge_trees,
)
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlbfs.git.trees import TreeEntry
    from mlbfs.ids import ObjectId
    from mlbfs.merge.trees import ReadTree, Triple

_REGULAR = (MODE_FILE, MODE_EXECUTABLE)


@dataclass(frozen=True, slots=True)
class FileMerge:
    """A file whose content both sides changed; for a driver.

    Attributes:
        path: Where the result lies.
        base: The entry of the base, maybe at another path; None when both added the file.
        mode: The mode of the result.
        mode_conflict: Both sides added it, one executable and one not.
    """

    path: bytes
    base: Entry | None
    ours: Entry
    theirs: Entry
    mode: int
    mode_conflict: bool = False


@dataclass(frozen=True, slots=True)
class StructureConflict:
    """A path that no content can settle.

    Attributes:
        path: Where it is told of.
        kind: What the sides disagree about.
        base: The entry of the base.
        ours: What ours has, at `ours_path`.
        theirs: What theirs has, at `theirs_path`.
        message: What to say of it; "" for the usual words.
    """

    path: bytes
    kind: ConflictKind
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    ours_path: bytes
    theirs_path: bytes
    message: str = ""

    def place(self, side: Side) -> bytes:
        """Returns where a side has what it has; the base is where ours was."""
        return self.theirs_path if side is Side.THEIRS else self.ours_path


@dataclass(slots=True)
class Plan:
    """What merging two trees comes to.

    Attributes:
        changes: What paths of ours become, folders before what lies in them.
        files: What drivers have to merge.
        conflicts: What nothing but a person can settle.
        renames: Files that one side moved and the other changed: old path and new.
    """

    changes: list[Change] = field(default_factory=list)
    files: list[FileMerge] = field(default_factory=list)
    conflicts: list[StructureConflict] = field(default_factory=list)
    renames: list[tuple[bytes, bytes]] = field(default_factory=list)


def make_plan(
    read: ReadTree,
    base: ObjectId | None,
    ours: ObjectId,
    theirs: ObjectId,
    *,
    only: Mapping[bytes, Triple] | None = None,
) -> Plan:
    """Plans the merge of theirs into ours.

    Args:
        read: Reads a tree as it is stored.
        base: The tree that both began with; None when their histories have nothing in common.
        ours: The tree that is merged into.
        theirs: The tree that comes in.
        only: The paths that take part, none below another, with what the sides have there; None
            for all.

    Raises:
        NotFoundError: A tree is missing.
        CorruptionError: A tree is damaged or hostile.
    """
    planner = _Planner(read, base, ours, theirs)
    if only is None:
        planner.add(merge_trees(read, base, ours, theirs))
    else:
        for path in sorted(only):
            planner.add(merge_path(read, path, only[path]))
    return planner.finish()


class _Planner:
    """Sorts decisions; those that may be renames wait until all are known."""

    def __init__(
        self, read: ReadTree, base: ObjectId | None, ours: ObjectId, theirs: ObjectId
    ) -> None:
        self._read = read
        self._base = base
        self._trees = {Side.OURS: ours, Side.THEIRS: theirs}
        self._plan = Plan()
        self._changes: dict[bytes, Entry | None] = {}
        self._contests: dict[bytes, Contest] = {}
        self._gone: dict[bytes, Entry] = {}
        self._clashes: dict[bytes, Clash] = {}

    def add(self, decisions: Iterable[Decision]) -> None:
        """Takes decisions in path order."""
        for found in decisions:
            match found:
                case Change(path, entry):
                    self._changes[path] = entry
                case Agreed(path, base, entry):
                    self._gone.update(lost_files(self._read, path, base, entry))
                case Contest():
                    self._contests[found.path] = found
                case Clash():
                    self._clashes[found.path] = found

    def finish(self) -> Plan:
        """Follows renames, sorts the contested paths and returns the plan."""
        self._follow_renames()
        below = self._below_clashes()
        for clash in self._clashes.values():
            if self._has_file(clash) and self._has_folder(clash, below[clash.path]):
                self._tell_clash(clash, below[clash.path])
        for contest in self._contests.values():
            self._sort(contest)
        self._plan.changes = [Change(*item) for item in sorted(self._changes.items())]
        return self._plan

    # Renames

    def _follow_renames(self) -> None:
        moved = {side: self._moved_by(side) for side in (Side.OURS, Side.THEIRS)}
        for side in moved:
            for old, (new, entry) in moved[side].items():
                contest = self._contests.get(old)
                if contest is not None:
                    self._follow(contest, side, new, Entry(entry.mode, entry.id))
        for old, base in self._gone_files(moved):
            self._judge_moved(old, base, [moved[side].get(old) for side in moved])

    def _moved_by(self, side: Side) -> dict[bytes, tuple[bytes, TreeEntry]]:
        """Returns where a side moved files that it seems to have taken away."""
        if self._base is None:
            return {}
        wanted = [
            (found.path, found.base)
            for found in self._contests.values()
            if found.base is not None
            and (found.ours if side is Side.OURS else found.theirs) is None
        ]
        wanted += self._gone.items()
        return find_renames(self._read, self._base, self._trees[side], wanted)

    def _follow(self, contest: Contest, side: Side, new: bytes, entry: Entry) -> None:
        """Brings to the new place what the other side did to a file that a side moved."""
        assert contest.base is not None, "what was moved was there"
        other = contest.theirs if side is Side.OURS else contest.ours
        assert other is not None, "the other side has it, or nothing would be contested"
        met = self._contests.get(new)
        is_taken = met is None and side is Side.OURS and self._is_changed(new)
        if is_taken or self._is_in_clash(contest.path, new) or not _same_type(other, entry):
            return  # the new place is decided otherwise: the conflict stays where it is
        moved = Entry(_merged_mode(contest.base, entry, other), other.id)
        if met is None:
            self._changes[new] = moved
        elif side is Side.OURS:
            self._contests[new] = replace(met, ours=moved)
        else:
            self._contests[new] = replace(met, theirs=moved)
        del self._contests[contest.path]
        if side is Side.THEIRS:
            self._changes.setdefault(contest.path, None)  # a folder in its place stays
        self._plan.renames.append((contest.path, new))

    def _is_changed(self, path: bytes) -> bool:
        """Returns whether theirs changes a path of ours, or a folder above it."""
        return path in self._changes or any(found in self._changes for found in ancestors(path))

    def _is_in_clash(self, old: bytes, new: bytes) -> bool:
        """Returns whether a place lies in a folder that may have to give way to a file.

        Not if it is the file itself that was moved into the folder in its place.
        """
        return any(path in self._clashes and path != old for path in ancestors(new))

    def _gone_files(
        self, moved: Mapping[Side, Mapping[bytes, object]]
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yields the files that both sides took away and at least one moved."""
        for old in sorted({path for found in moved.values() for path in found}):
            if old not in self._contests and old in self._gone:
                yield old, self._gone[old]

    def _judge_moved(
        self, old: bytes, base: Entry, places: list[tuple[bytes, TreeEntry] | None]
    ) -> None:
        """Tells of a file that both sides took from its place, but not to the same new one."""
        ours, theirs = places
        if ours is not None and theirs is not None and ours[0] == theirs[0]:
            return
        both = ours is not None and theirs is not None
        self._plan.conflicts.append(
            StructureConflict(
                old,
                ConflictKind.RENAMED_TWICE if both else ConflictKind.RENAMED_DELETED,
                base,
                None if ours is None else Entry(ours[1].mode, ours[1].id),
                None if theirs is None else Entry(theirs[1].mode, theirs[1].id),
                old if ours is None else ours[0],
                old if theirs is None else theirs[0],
            )
        )

    # Files and folders at one path

    def _has_file(self, clash: Clash) -> bool:
        """Returns whether the merged tree would have a file at the path of a clash."""
        if clash.path in self._contests:
            return True
        entry = self._changes.get(clash.path)
        if entry is not None and not entry.is_folder:
            return True
        return not clash.ours.is_folder and self._changes.get(clash.path, clash.ours) is not None

    def _below_clashes(self) -> defaultdict[bytes, list[bytes]]:
        """Returns the paths that are decided below each clash; no clash lies below another."""
        found: defaultdict[bytes, list[bytes]] = defaultdict(list)
        if self._clashes:
            for path in (*self._contests, *self._changes):
                for clash in filter(self._clashes.__contains__, ancestors(path)):
                    found[clash].append(path)
        return found

    def _has_folder(self, clash: Clash, below: list[bytes]) -> bool:
        """Returns whether the merged tree would have anything below the path of a clash."""
        entry = self._changes.get(clash.path)
        if entry is not None and entry.is_folder:
            return True
        if any(path in self._contests or self._changes.get(path) for path in below):
            return True
        return clash.ours.is_folder and has_new_files(self._read, clash.base, clash.ours)

    def _tell_clash(self, clash: Clash, below: list[bytes]) -> None:
        """Makes a clash a conflict; ours stays as it is, with all that lies below."""
        path = clash.path
        for name in (path, *below):
            self._contests.pop(name, None)
            self._changes.pop(name, None)
        self._plan.conflicts.append(
            StructureConflict(
                *(path, ConflictKind.FILE_FOLDER, clash.base, clash.ours, clash.theirs),
                *(path, path),
            )
        )

    # Contested paths

    def _sort(self, contest: Contest) -> None:
        base, ours, theirs = contest.base, contest.ours, contest.theirs
        kind = _structure_conflict(contest)
        if kind is not None:
            path = contest.path
            self._plan.conflicts.append(
                StructureConflict(path, kind, base, ours, theirs, path, path)
            )
            return
        assert ours is not None, "a side without it is a conflict"
        assert theirs is not None, "a side without it is a conflict"
        if base is not None and base.mode not in _REGULAR:
            base = None  # a link is no version of a file
        mode = _merged_mode(base, ours, theirs)
        mode_conflict = base is None and ours.mode != theirs.mode
        settled = _settled_content(base, ours, theirs)
        if settled is not None and not mode_conflict:
            self._changes[contest.path] = Entry(mode, settled)
            return
        self._plan.files.append(FileMerge(contest.path, base, ours, theirs, mode, mode_conflict))


def _structure_conflict(contest: Contest) -> ConflictKind | None:
    """Returns why a contested path is not two versions of one file, or None if it is."""
    ours, theirs = contest.ours, contest.theirs
    if ours is None or theirs is None:
        return ConflictKind.DELETED_MODIFIED
    if not _same_type(ours, theirs):
        return ConflictKind.TYPE
    if ours.mode == MODE_SYMLINK:
        return ConflictKind.SYMLINK
    return ConflictKind.SUBMODULE if ours.mode == MODE_SUBMODULE else None


def _same_type(one: Entry, other: Entry) -> bool:
    return one.mode == other.mode or (one.mode in _REGULAR and other.mode in _REGULAR)


def _merged_mode(base: Entry | None, ours: Entry, theirs: Entry) -> int:
    """Returns the mode that a side changed; that of ours where both did."""
    if base is not None and ours.mode == base.mode:
        return theirs.mode
    return ours.mode


def _settled_content(base: Entry | None, ours: Entry, theirs: Entry) -> ObjectId | None:
    """Returns the content if only modes are contested, or None."""
    if ours.id == theirs.id or (base is not None and theirs.id == base.id):
        return ours.id
    return theirs.id if base is not None and ours.id == base.id else None
