"""What two commits have in common, as a tree to merge over.

Owns: the base of a merge where histories are crossed, and of a merge of chosen paths.
Layer: workspace.

Crossed histories have several merge bases; they are merged with each other first, oldest first, as
Git's recursive strategy does. What cannot be merged there stays as their own base has it, and lines
keep their markers.

Concurrency: one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.driver import DEFAULT_MARKER_SIZE
from mlbfs.merge.versions import Side
from mlbfs.workspace.treemerge import MergeSettings, TreeMerge

if TYPE_CHECKING:
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.source import SnapshotSource

_MARKER_STEP = 2
"""Characters that the markers of a base are longer than those of what is merged over it."""


class MergeBase:
    """Finds the base of a merge.

    Args:
        source: The repository.
        drivers: Runs drivers.
    """

    def __init__(self, source: SnapshotSource, drivers: DriverRunner) -> None:
        self._source = source
        self._drivers = drivers

    def find(self, ours: ObjectId, theirs: ObjectId) -> ObjectId | None:
        """Returns the tree of the merge base; None when the histories have nothing in common."""
        return self._joined([ours], theirs, depth=1)

    def _joined(self, ours: list[ObjectId], theirs: ObjectId, *, depth: int) -> ObjectId | None:
        """Returns the base of `theirs` and the merge of `ours`, which may be several commits."""
        git = self._source.git
        found = {base for one in ours for base in git.merge_bases(one, theirs)}
        best = [
            base
            for base in found
            if not any(base != other and git.is_ancestor(base, other) for other in found)
        ]
        if not best:
            return None
        best.sort(key=lambda oid: (git.read_commit(oid).committer.time, oid))
        done = [best[0]]
        tree = git.read_commit(best[0]).tree
        for other in best[1:]:
            base = self._joined(done, other, depth=depth + 1)
            tree = self._merge(base, tree, other, depth)
            done.append(other)
        return tree

    def _merge(
        self, base: ObjectId | None, tree: ObjectId, other: ObjectId, depth: int
    ) -> ObjectId:
        """Merges a base into those that were merged before; what it stores is named by no ref."""
        commit = self._source.git.read_commit(other)
        settings = MergeSettings(
            labels={
                Side.BASE: "merged common ancestors",
                Side.OURS: "Temporary merge branch 1",
                Side.THEIRS: "Temporary merge branch 2",
            },
            commits={Side.THEIRS: other},
            marker_size=DEFAULT_MARKER_SIZE + _MARKER_STEP * depth,
            is_base=True,
            time=commit.committer.time,
        )
        with self._source.store.writer() as writer, self._source.git.objects() as objects:
            merged = TreeMerge(self._source, settings, self._drivers, writer, objects).merge(
                base, tree, commit.tree
            )
            objects.prepare()
            writer.commit(merged.directories)
            objects.commit()
        return merged.tree
