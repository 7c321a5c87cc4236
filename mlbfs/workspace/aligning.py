"""Lets drivers that have to see a folder as a whole bring base and theirs to the places of ours.

Owns: which folders of a merge are such, and the trees of base and theirs after it.
Layer: workspace.

A folder is looked at if both sides changed it, it is a store of MLflow by what lies in it, and it
is named `mlruns` or `.gitattributes` says `merge=mlflow` for it. What is written is a tree of each
side and some documents, which no ref names: the merge that comes next reads them.

Concurrency: one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import ErrorKind, InvalidInputError
from mlbfs.git.trees import MODE_FILE
from mlbfs.merge.driver import Data, DriverChoice
from mlbfs.merge.folders import FolderCall
from mlbfs.merge.mlflow.storepaths import META, MODELS, STORE, TRASH
from mlbfs.merge.plan import StructureConflict
from mlbfs.merge.versions import Side
from mlbfs.workspace.mergecontent import MergeContent
from mlbfs.workspace.snapshot import NS_PER_S
from mlbfs.workspace.treeedit import TreeEdit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlbfs.git.attributes import Attributes
    from mlbfs.ids import ObjectId
    from mlbfs.merge.choice import Chooser
    from mlbfs.merge.folders import Alignment, Held, SideEdit
    from mlbfs.merge.plan import Plan
    from mlbfs.merge.trees import Entry
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.mergeinputs import MergeInputs
    from mlbfs.workspace.source import SnapshotSource

    Find = Callable[[Side, bytes], Entry | None]

DRIVER = "mlflow"
_BY_ITSELF = (None, DRIVER, "auto", "union")
"""What a folder of the usual name may be named for, to be a store: `auto` and `union` leave files
to their own drivers."""


class Aligned(NamedTuple):
    """What came of the folders of a merge.

    Attributes:
        trees: The trees of the sides, those of base and theirs with what was moved.
        held: What a person has to decide.
        notes: What was done, by folder.
    """

    trees: dict[Side, ObjectId | None]
    held: list[Held]
    notes: list[tuple[bytes, str]]


class Aligner:
    """Aligns the folders of one merge.

    Args:
        source: The repository.
        drivers: Runs drivers.
        chooser: Says what drivers paths are named for.
        attributes: Those of ours.
        inputs: Reads from the sides.
        only: Paths that take part; empty for all.
        time: Seconds since the epoch; what new trees show.
    """

    def __init__(
        self,
        source: SnapshotSource,
        drivers: DriverRunner,
        chooser: Chooser,
        attributes: Attributes,
        inputs: MergeInputs,
        *,
        only: Sequence[bytes],
        time: int,
    ) -> None:
        self._source = source
        self._drivers = drivers
        self._chooser = chooser
        self._attributes = attributes
        self._inputs = inputs
        self._only = only
        self._time = time

    def align(self, plan: Plan, trees: dict[Side, ObjectId | None]) -> Aligned | None:
        """Aligns the stores that a plan touches; None if all stays as it is.

        Raises:
            DriverError: The driver could not do its work.
            InvalidInputError: Only a part of a store is to be merged, and it has to be seen whole.
            StorageError: The device refused.
        """
        done: list[tuple[bytes, Alignment]] = []
        for folder in self._stores(plan):
            choice = self._chooser.named(folder + b"/0/" + META)
            if choice is None or choice.name != DRIVER:
                choice = DriverChoice(DRIVER)
            found = self._drivers.align(FolderCall(folder, choice, self._inputs))
            if not found.is_nothing:
                self._check_whole(folder)
                done.append((folder, found))
        if not done:
            return None
        new = {**trees}
        for side in (Side.BASE, Side.THEIRS):
            new[side] = self._write(trees[side], side, [one.edits[side] for _, one in done])
        held = [one for _, found in done for one in found.held]
        return Aligned(new, held, [(folder, found.note) for folder, found in done if found.note])

    def _check_whole(self, folder: bytes) -> None:
        if any(path.startswith(folder + b"/") for path in self._only):
            shown = folder.decode(errors="backslashreplace")
            raise InvalidInputError(
                f"the sides number the experiments of {shown!r} in different ways",
                kind=ErrorKind.INVALID_PATH,
                hint=f"merge it as a whole: --only {shown}",
            )

    # Stores

    def _stores(self, plan: Plan) -> list[bytes]:
        """Returns the folders to look at."""
        contested = {one.path.rpartition(b"/")[0] for one in plan.files}
        contested |= {one.path.rpartition(b"/")[0] for one in plan.conflicts}
        changed = {one.path.rpartition(b"/")[0] for one in plan.changes}
        # An experiment or a run that came is a folder, or the document of one: of other changes,
        # which may be many, the attributes are not asked.
        telling = {
            one.path.rpartition(b"/")[0]
            for one in plan.changes
            if one.entry is not None and (one.entry.is_folder or one.path.endswith(b"/" + META))
        }
        candidates = {folder for place in contested | changed for folder in _usual(place)}
        candidates = {folder for folder in candidates if self._is_by_itself(folder)}
        for place in contested | telling:
            candidates.update(self._named(place))
        found: list[bytes] = []
        for folder in sorted(candidates):
            below = any(folder.startswith(one + b"/") for one in found)
            if not below and self._is_contested(folder) and self._is_store(folder):
                found.append(folder)
        return found

    def _is_by_itself(self, folder: bytes) -> bool:
        """Whether nobody named a folder of the usual name for something else."""
        choice = self._chooser.named(folder + b"/0/" + META)
        return (None if choice is None else choice.name) in _BY_ITSELF

    def _named(self, place: bytes) -> list[bytes]:
        """Returns the folders from the root to a place, if that is named for the driver."""
        choice = self._chooser.named(place + b"/" + META) if place else None
        return _folders(place) if choice is not None and choice.name == DRIVER else []

    def _is_contested(self, folder: bytes) -> bool:
        base, ours, theirs = (self._inputs.folder(side, folder) for side in Side)
        return ours is not None and theirs is not None and len({base, ours, theirs}) == 3

    def _is_store(self, folder: bytes) -> bool:
        """Whether a side has experiments in a folder."""
        return any(
            entry.is_folder
            and name not in (MODELS, TRASH)
            and META in self._inputs.list(side, above + b"/" + name)
            for side in (Side.OURS, Side.THEIRS)
            for above in (folder, folder + b"/" + TRASH)
            for name, entry in self._inputs.list(side, above).items()
        )

    # Writing

    def _write(
        self, tree: ObjectId | None, side: Side, edits: Sequence[SideEdit]
    ) -> ObjectId | None:
        """Returns the tree of a side with what was moved and rewritten."""
        if tree is None or not any(one.moves or one.files for one in edits):
            return tree
        edit = TreeEdit(self._source, tree)
        with self._source.store.writer() as writer, self._source.git.objects() as objects:
            content = MergeContent(self._source, self._attributes, writer, objects)
            for one in edits:
                moves = [(self._inputs.folder(side, old), new) for old, new in one.moves]
                for old, _ in one.moves:
                    edit.remove(old)
                for oid, new in moves:
                    assert oid is not None, "what moves is a folder of that side"
                    edit.graft(new, oid)
                for path, data in one.files.items():
                    edit.put(path, content.put_data(path, MODE_FILE, Data(data)))
            written = edit.write(objects, time_ns=self._time * NS_PER_S)
            objects.prepare()
            writer.commit(edit.directories)
            objects.commit()
        return written


def _folders(place: bytes) -> list[bytes]:
    """Returns the folders from the root, which is none, to a place."""
    parts = place.split(b"/")
    return [b"/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _usual(place: bytes) -> list[bytes]:
    """Returns the folders of the usual name on the way to a place."""
    return [one for one in _folders(place) if one.rpartition(b"/")[2] == STORE]


def hold(plan: Plan, held: Sequence[Held], find: Find) -> None:
    """Takes from a plan what a person has to decide, and tells of it.

    Args:
        plan: What a merge comes to; changed.
        held: What has to be decided.
        find: Returns what a side has at a path.
    """
    for one in held:
        places = {Side.BASE: one.path, Side.OURS: one.ours, Side.THEIRS: one.theirs}
        base, ours, theirs = (find(side, place) for side, place in places.items())
        if any(file.path == one.path for file in plan.files):
            continue  # its driver tells of it
        plan.changes = [item for item in plan.changes if not _is_at(item.path, places)]
        plan.files = [item for item in plan.files if not _is_at(item.path, places)]
        plan.conflicts = [item for item in plan.conflicts if not _is_at(item.path, places)]
        plan.renames = [item for item in plan.renames if not any(_is_at(p, places) for p in item)]
        plan.conflicts.append(
            StructureConflict(
                one.path, one.kind, base, ours, theirs, one.ours, one.theirs, one.message
            )
        )


def _is_at(path: bytes, places: Mapping[Side, bytes]) -> bool:
    return any(path == place or path.startswith(place + b"/") for place in places.values())
