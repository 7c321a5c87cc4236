"""The merges of a repository: begun, waiting for a person, going on, given up.

Owns: which merge of a branch is under way.
Layer: workspace.

Concurrency: synchronous; two at once on one branch are refused by compare-and-swap.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, InvalidInputError
from mlbfs.git.trees import MODE_FILE
from mlbfs.merge.trees import Entry
from mlbfs.store.source import Source
from mlbfs.workspace.driverrun import DriverRunner
from mlbfs.workspace.mergestate import (
    Contested,
    MergeState,
    check_no_state,
    drop_state,
    read_state,
    require_state,
    write_state,
)
from mlbfs.workspace.merging import Merged, MergeRequest, Merging, Outcome, Verb
from mlbfs.workspace.storing import put_ingested
from mlbfs.workspace.treemerge import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.git.commits import Signature
    from mlbfs.merge.driver import DriverChoice
    from mlbfs.merge.versions import Side
    from mlbfs.workspace.source import SnapshotSource


class Merges:
    """Merges into the branches of one repository."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._git = source.git

    def begin(self, request: MergeRequest) -> Merged:
        """Merges into a branch; what conflicts is kept for `resolve` and `resume`.

        Raises:
            ConflictError: A merge of the branch is under way (MERGE_IN_PROGRESS), or see
                `Merging.run`.
            DriverError: A driver could not do its work; nothing was committed.
        """
        check_no_state(self._git, request.branch)
        return self._run(request, None)

    def look(self, request: MergeRequest) -> Merged:
        """Merges without keeping anything, to see what would come of it."""
        return Merging(self._source, request, DriverRunner().run).look()

    def preview(self, request: MergeRequest) -> Merged:
        """Merges into a commit that no branch has; see `Merging.preview`."""
        return Merging(self._source, request, DriverRunner().run).preview()

    def state(self, branch: str) -> MergeState | None:
        """Returns the merge of a branch that waits for a person, or None."""
        return read_state(self._git, branch)

    def resume(self, branch: str, *, author: Signature, committer: Signature) -> Merged:
        """Goes on with the merge of a branch.

        Raises:
            NotFoundError: None is in progress.
            ConflictError: Paths wait to be resolved (MERGE_CONFLICTS).
        """
        state = require_state(self._git, branch)
        if state.open_paths:
            shown = [repr(os.fsdecode(path)) for path in state.open_paths]
            more = f" and {len(shown) - 3} more" if shown[3:] else ""
            raise ConflictError(
                f"not resolved yet: {', '.join(shown[:3])}{more}",
                kind=ErrorKind.MERGE_CONFLICTS,
                hint="mlbfs resolve PATH --ours, --theirs, --base, --union or --file FILE",
            )
        return self._run(self.request_of(state, author, committer), state)

    def abort(self, branch: str, who: Signature) -> MergeState:
        """Drops the unfinished merge of a branch; the branch is as it was.

        Raises:
            NotFoundError: None is in progress.
        """
        state = require_state(self._git, branch)
        drop_state(self._git, branch, who)
        return state

    def resolve(
        self,
        branch: str,
        path: bytes,
        *,
        who: Signature,
        side: Side | None = None,
        choice: DriverChoice | None = None,
        file: Path | None = None,
    ) -> MergeState:
        """Settles a path of the unfinished merge of a branch, by one of the three.

        Args:
            branch: The branch that is merged into.
            path: A path that is contested.
            who: Who does it, and when.
            side: Take what that side has.
            choice: Have that driver merge it.
            file: Take this file of the host.

        Returns:
            The state with the path settled.

        Raises:
            NotFoundError: No merge is in progress.
            InvalidInputError: The path is not contested, or a side is named that has nothing to
                take.
        """
        state = require_state(self._git, branch)
        found = state.contested.get(path)
        if found is None:
            raise InvalidInputError(
                f"{os.fsdecode(path)!r} is not contested",
                kind=ErrorKind.INVALID_PATH,
                hint="'mlbfs resolve' lists what is",
            )
        with self._stored(path, file, found) as content:
            made = Resolution(found.ours, found.theirs, side, choice, content)
            state = state.resolve(path, made)
            write_state(self._git, state, who)
        return state

    def request_of(
        self, state: MergeState, author: Signature, committer: Signature
    ) -> MergeRequest:
        """Returns the request that an unfinished merge stands for."""
        return MergeRequest(
            state.branch,
            self._git.read_commit(state.theirs),
            state.name,
            author,
            committer,
            Verb(state.verb),
            state.message,
            state.no_ff,
            state.squash,
            state.only,
            state.overrides,
            state.resolutions,
        )

    def _run(self, request: MergeRequest, state: MergeState | None) -> Merged:
        merged = Merging(self._source, request, DriverRunner().run).run()
        if merged.outcome is Outcome.CONFLICTS:
            write_state(self._git, _state_of(request, merged, state), request.committer)
        elif state is not None:
            drop_state(self._git, request.branch, request.committer)
        return merged

    @contextmanager
    def _stored(self, path: bytes, file: Path | None, found: Contested) -> Iterator[Entry | None]:
        """Stores a file of the host as the content of a path; gc stays away until the end."""
        if file is None:
            yield None
            return
        policy = self._git.attributes(None).storage_policy(path)
        source = Source(file, file.stat().st_size, policy)
        with self._source.store.writer() as writer, self._git.objects() as objects:
            limit = self._source.small_text_limit
            (ingested,) = writer.ingest([source], small_text_limit=limit)
            stored = put_ingested(ingested, writer, objects)
            objects.prepare()
            writer.commit()
            objects.commit()
            sides = [one for one in (found.ours, found.theirs) if one is not None]
            yield Entry(sides[0].mode if sides else MODE_FILE, stored.object_id)


def _state_of(request: MergeRequest, merged: Merged, old: MergeState | None) -> MergeState:
    assert merged.tree is not None, "conflicts come of merging trees"
    state = MergeState(
        request.branch,
        str(request.verb),
        request.name,
        merged.ours.id,
        merged.theirs.id,
        request.message,
        request.no_ff,
        request.squash,
        request.only,
        request.overrides,
    )
    contested = {}
    for found in merged.tree.open_conflicts:
        ours, theirs = merged.tree.contested[found.path]
        contested[found.path] = Contested(str(found.kind), found.message, ours, theirs)
    kept = {} if old is None else dict(old.resolutions)
    for path in contested:
        kept.pop(path, None)  # settled for other versions than there are now
    was = {} if old is None else {path: old.contested[path] for path in kept}
    return replace(state, contested={**was, **contested}, resolutions=kept)
