"""Merges into a branch: merge, cherry-pick and revert, from what was asked to the commit.

Owns: which trees meet, what the commit says, and the commit point.
Layer: workspace.

Invariants:
  N1. Order: packs durable, index durable, Git objects durable, then the branch moves by
      compare-and-swap. The move is the commit point; a kill before it leaves the branch as it was.
  N2. With a conflict that nothing settled, nothing is committed. What was asked for is kept
      (mergestate.py) and done again from the beginning when it goes on, with what was settled.

Concurrency: one thread. A branch that another process moves meanwhile is merged into again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, InvalidInputError
from mlbfs.git.refs import RefMovedError
from mlbfs.ids import short_hex
from mlbfs.merge.versions import Side
from mlbfs.workspace.driverrun import DEFAULT_TIMEOUT
from mlbfs.workspace.mergebase import MergeBase
from mlbfs.workspace.mergeinputs import EMPTY_TREE
from mlbfs.workspace.mergemessage import merge_message
from mlbfs.workspace.treemerge import MergeSettings, TreeMerge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.ids import ObjectId
    from mlbfs.merge.conflicts import Conflict
    from mlbfs.merge.driver import DriverChoice
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.source import SnapshotSource
    from mlbfs.workspace.treemerge import MergedTree, Resolution

MAX_ATTEMPTS = 5
"""How often a merge is made again because the branch moved."""


class Verb(StrEnum):
    """What is done with a commit."""

    MERGE = "merge"
    CHERRY_PICK = "cherry-pick"
    REVERT = "revert"


class Outcome(StrEnum):
    """What a merge came to."""

    UP_TO_DATE = "up-to-date"
    """The branch has all of it; nothing was done."""

    FAST_FORWARD = "fast-forward"
    """The branch had nothing of its own and moved to the commit."""

    MERGED = "merged"
    """A commit was made."""

    CONFLICTS = "conflicts"
    """Something has to be settled by a person; the branch is as it was."""


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """What to merge, and how.

    Attributes:
        branch: The branch that is merged into.
        theirs: The commit that comes in.
        name: How that was named, for messages and markers.
        author: Who made it.
        committer: Who records it, and when.
        verb: What is done with the commit.
        message: What the commit says; None for the usual words.
        no_ff: Make a commit of two parents where the branch could just move.
        squash: Make a commit of one parent.
        only: Paths that take part; empty for all.
        overrides: Patterns and drivers that come before `.gitattributes`.
        resolutions: What a person settled, by path.
        style: How conflicting lines are shown.
        driver_timeout: Seconds that a driver may take for one path; None for any time.
    """

    branch: str
    theirs: Commit
    name: str
    author: Signature
    committer: Signature
    verb: Verb = Verb.MERGE
    message: str | None = None
    no_ff: bool = False
    squash: bool = False
    only: Sequence[bytes] = ()
    overrides: Sequence[tuple[bytes, DriverChoice]] = ()
    resolutions: Mapping[bytes, Resolution] = field(default_factory=dict)
    style: str = "merge"
    driver_timeout: float | None = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to.

    Attributes:
        outcome: In a word.
        ours: The branch as it was.
        theirs: The commit that came in.
        commit: The new head; None where nothing was committed.
        tree: The merged tree and what was found on the way; None where no trees were merged.
    """

    outcome: Outcome
    ours: Commit
    theirs: Commit
    commit: Commit | None = None
    tree: MergedTree | None = None

    @property
    def conflicts(self) -> list[Conflict]:
        """Returns all conflicts, settled ones too."""
        return [] if self.tree is None else self.tree.conflicts


@dataclass(frozen=True, slots=True)
class _Meeting:
    """The trees that meet, and the parents of the commit that comes of it."""

    base: ObjectId | None
    theirs: ObjectId
    parents: list[ObjectId]


class Merging:
    """One merge into a branch.

    Args:
        source: The repository.
        request: What to merge.
        drivers: Runs drivers.
    """

    def __init__(
        self,
        source: SnapshotSource,
        request: MergeRequest,
        drivers: DriverRunner,
    ) -> None:
        self._source = source
        self._git = source.git
        self._request = request
        self._drivers = drivers
        self._ref = f"refs/heads/{request.branch}"

    def run(self) -> Merged:
        """Merges, and moves the branch unless there are conflicts that nothing settles.

        Durability: the merged branch is on the device on return.

        Raises:
            ConflictError: The branch is checked out in a Git work tree, or keeps moving.
            DriverError: A driver could not do its work; nothing was committed.
            StorageError: The device refused; nothing was committed.
        """
        self._git.check_not_checked_out(self._request.branch)
        for _ in range(MAX_ATTEMPTS):
            try:
                return self._attempt(self._head())
            except RefMovedError:
                continue
        raise ConflictError(
            f"branch {self._request.branch!r} keeps moving; nothing was merged",
            kind=ErrorKind.REF_MOVED,
            hint="run it again",
        )

    def look(self) -> Merged:
        """Merges without keeping anything, to see what would come of it."""
        ours = self._head()
        quick = self._quick(ours)
        if quick is not None:
            return Merged(quick, ours, self._request.theirs)
        with self._source.store.writer() as writer, self._git.objects() as objects:
            merge = TreeMerge(self._source, self._settings(ours), self._drivers, writer, objects)
            meeting = self._meeting(ours)
            tree = merge.merge(meeting.base, ours.tree, meeting.theirs)
        outcome = Outcome.CONFLICTS if tree.open_conflicts else Outcome.MERGED
        return Merged(outcome, ours, self._request.theirs, None, tree)

    def preview(self) -> Merged:
        """Merges into a commit that no branch has; conflicts lie in it beside their paths.

        No ref leads to the commit: whoever looks at it has to keep it.
        """
        ours = self._head()
        if self._quick(ours) is Outcome.UP_TO_DATE:
            return Merged(Outcome.UP_TO_DATE, ours, self._request.theirs, ours)
        settings = replace(self._settings(ours), show_conflicts=True)
        merged = self._record(ours, settings, lambda _: None)
        return merged if merged.commit is not None else replace(merged, commit=ours)

    # Steps

    def _head(self) -> Commit:
        found = self._git.refs.read(self._ref)
        if found is None:
            raise ConflictError(
                f"branch {self._request.branch!r} does not exist any more",
                kind=ErrorKind.REF_MOVED,
            )
        return self._git.read_commit(found)

    def _quick(self, ours: Commit) -> Outcome | None:
        """Returns what comes of it without any trees being merged, or None."""
        request = self._request
        if request.verb is not Verb.MERGE or request.only:
            return None
        if self._git.is_ancestor(request.theirs.id, ours.id):
            return Outcome.UP_TO_DATE
        may_move = not request.no_ff and not request.squash
        if may_move and self._git.is_ancestor(ours.id, request.theirs.id):
            return Outcome.FAST_FORWARD
        return None

    def _attempt(self, ours: Commit) -> Merged:
        quick = self._quick(ours)
        if quick is Outcome.UP_TO_DATE:
            return Merged(quick, ours, self._request.theirs)
        if quick is Outcome.FAST_FORWARD:
            self._move(ours, self._request.theirs.id, "Fast-forward")
            return Merged(quick, ours, self._request.theirs, self._request.theirs)
        return self._record(
            ours,
            self._settings(ours),
            lambda commit: self._move(ours, commit, f"made by {self._request.verb}"),
        )

    def _settings(self, ours: Commit) -> MergeSettings:
        request = self._request
        return MergeSettings(
            labels={
                Side.BASE: "base",
                Side.OURS: request.branch,
                Side.THEIRS: request.name,
            },
            commits={Side.OURS: ours.id, Side.THEIRS: request.theirs.id},
            overrides=request.overrides,
            resolutions=request.resolutions,
            only=request.only,
            style=request.style,
            time=request.committer.time,
        )

    def _meeting(self, ours: Commit) -> _Meeting:
        request = self._request
        theirs = request.theirs
        if request.verb is Verb.MERGE:
            base = MergeBase(self._source, self._drivers).find(ours.id, theirs.id)
            single = request.squash or request.only
            return _Meeting(base, theirs.tree, [ours.id] if single else [ours.id, theirs.id])
        if len(theirs.parents) > 1:
            raise InvalidInputError(
                f"{short_hex(theirs.id)} is a merge, so there is no one change of it to "
                f"{request.verb}",
                hint="name the commits that it merged, one by one",
            )
        before = self._git.read_commit(theirs.parents[0]).tree if theirs.parents else EMPTY_TREE
        if request.verb is Verb.CHERRY_PICK:
            return _Meeting(before, theirs.tree, [ours.id])
        return _Meeting(theirs.tree, before, [ours.id])

    def _record(
        self, ours: Commit, settings: MergeSettings, publish: Callable[[ObjectId], None]
    ) -> Merged:
        """Merges the trees and writes the commit (N1)."""
        request = self._request
        meeting = self._meeting(ours)
        with self._source.store.writer() as writer, self._git.objects() as objects:
            merge = TreeMerge(self._source, settings, self._drivers, writer, objects)
            tree = merge.merge(meeting.base, ours.tree, meeting.theirs)
            if tree.open_conflicts and not settings.show_conflicts:
                return Merged(Outcome.CONFLICTS, ours, request.theirs, None, tree)
            if tree.tree == ours.tree and len(meeting.parents) == 1:
                return Merged(Outcome.UP_TO_DATE, ours, request.theirs, None, tree)
            commit = objects.put_commit(
                tree=tree.tree,
                parents=meeting.parents,
                author=request.author,
                committer=request.committer,
                message=merge_message(request, tree),
            )
            objects.prepare()
            writer.commit(tree.directories)
            objects.commit()
            publish(commit)
        outcome = Outcome.CONFLICTS if tree.open_conflicts else Outcome.MERGED
        return Merged(outcome, ours, request.theirs, self._git.read_commit(commit), tree)

    def _move(self, ours: Commit, commit: ObjectId, how: str) -> None:
        self._git.check_not_checked_out(self._request.branch)
        self._git.refs.compare_and_swap(
            self._ref,
            ours.id,
            commit,
            identity=self._request.committer,
            message=f"{self._request.verb} {self._request.name}: {how}",
        )
