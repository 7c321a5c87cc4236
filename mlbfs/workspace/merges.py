"""The merges of a repository: begun, waiting for a person, going on, given up.

Owns: which merge of a branch is under way.
Layer: workspace.

Concurrency: synchronous; two at once on one branch are refused by compare-and-swap.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, InvalidInputError
from mlbfs.git.refs import RefMovedError
from mlbfs.git.trees import MODE_EXECUTABLE, MODE_FILE
from mlbfs.merge.trees import Entry
from mlbfs.merge.versions import Side
from mlbfs.store.source import Source
from mlbfs.workspace.driverrun import DEFAULT_TIMEOUT, DriverRunner
from mlbfs.workspace.mergestate import (
    PREFIX,
    Contested,
    MergeState,
    check_no_state,
    drop_state,
    no_merge,
    read_state,
    require_state,
    write_state,
)
from mlbfs.workspace.merging import (
    MAX_ATTEMPTS,
    Merged,
    MergeRequest,
    Merging,
    Outcome,
    Verb,
)
from mlbfs.workspace.storing import put_ingested
from mlbfs.workspace.treemerge import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.git.commits import Signature
    from mlbfs.merge.driver import DriverChoice
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
        with self._drivers(request) as drivers:
            return Merging(self._source, request, drivers).look()

    def preview(self, request: MergeRequest) -> Merged:
        """Merges into a commit that no branch has; see `Merging.preview`."""
        with self._drivers(request) as drivers:
            return Merging(self._source, request, drivers).preview()

    def check_none(self, branch: str) -> None:
        """Checks that no merge into a branch waits for a person.

        Raises:
            ConflictError: One does (MERGE_IN_PROGRESS).
        """
        check_no_state(self._git, branch)

    def waits(self, branch: str) -> bool:
        """Returns whether a merge into a branch waits for a person, readable or not."""
        return self._git.refs.read(PREFIX + branch) is not None

    def state(self, branch: str) -> MergeState | None:
        """Returns the merge of a branch that waits for a person, or None."""
        return read_state(self._git, branch)

    def resume(
        self,
        branch: str,
        *,
        author: Signature,
        committer: Signature,
        driver_timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Merged:
        """Goes on with the merge of a branch.

        Args:
            branch: The branch that is merged into.
            author: Who made it.
            committer: Who records it, and when.
            driver_timeout: Seconds that a driver may take for one path; None for any time.

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
                hint=f"mlbfs resolve PATH --into {branch} with --ours, --theirs, --base, --union "
                "or --file FILE",
            )
        request = self.request_of(state, author, committer)
        return self._run(replace(request, driver_timeout=driver_timeout), state)

    def abort(self, branch: str, who: Signature) -> None:
        """Drops the unfinished merge of a branch, even if it cannot be read; the branch stays.

        Raises:
            NotFoundError: None is in progress.
            RefMovedError: Another process changed it meanwhile.
        """
        kept_in = self._git.refs.read(PREFIX + branch)
        if kept_in is None:
            raise no_merge(branch)
        drop_state(self._git, branch, kept_in, who)

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
        for _ in range(MAX_ATTEMPTS):
            state = require_state(self._git, branch)
            found = _contested_at(state, path, side)
            with self._stored(path, file, found) as content:
                made = Resolution(found.ours, found.theirs, side, choice, content)
                try:
                    return write_state(self._git, state.resolve(path, made), who)
                except RefMovedError:  # another path was settled meanwhile
                    continue
        raise ConflictError(
            f"the merge of branch {branch!r} keeps changing",
            kind=ErrorKind.REF_MOVED,
            hint="run it again",
        )

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
        with self._drivers(request) as drivers:
            merged = Merging(self._source, request, drivers).run()
        if merged.outcome is Outcome.CONFLICTS:
            self._keep(_state_of(request, merged, state), request.committer)
        elif state is not None:
            with suppress(RefMovedError):  # of somebody else by now: that is not ours to drop
                drop_state(self._git, request.branch, state.kept_in, request.committer)
        return merged

    def _drivers(self, request: MergeRequest) -> DriverRunner:
        return DriverRunner(self._source.store.root, request.driver_timeout)

    def _keep(self, state: MergeState, who: Signature) -> None:
        try:
            write_state(self._git, state, who)
        except RefMovedError as err:
            raise ConflictError(
                f"another process began, changed or dropped a merge of branch {state.branch!r} "
                "meanwhile; this one has conflicts, and is not kept",
                kind=ErrorKind.MERGE_IN_PROGRESS,
                hint="'mlbfs resolve' shows what waits",
            ) from err

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
            yield Entry(_file_mode(found), stored.object_id)


def _contested_at(state: MergeState, path: bytes, side: Side | None) -> Contested:
    """Returns what is contested at a path.

    Raises:
        InvalidInputError: Nothing is, or the base is to be taken and there is none.
    """
    found = state.contested.get(path)
    if found is None:
        raise InvalidInputError(
            f"{os.fsdecode(path)!r} is not contested",
            kind=ErrorKind.INVALID_PATH,
            hint="'mlbfs resolve' lists what is",
        )
    if side is Side.BASE and found.base is None:
        raise InvalidInputError(
            f"{os.fsdecode(path)!r} has no base: both sides added it",
            kind=ErrorKind.INVALID_PATH,
            hint="take --ours, --theirs or --union, or a file with --file",
        )
    return found


def _file_mode(found: Contested) -> int:
    """Returns the mode of a file that is put in the place of what is contested."""
    for entry in (found.ours, found.theirs):
        if entry is not None and entry.mode in (MODE_FILE, MODE_EXECUTABLE):
            return entry.mode
    return MODE_FILE


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
        kept_in=None if old is None else old.kept_in,
    )
    contested = {}
    for found in merged.tree.open_conflicts:
        base, ours, theirs = merged.tree.contested[found.path]
        contested[found.path] = Contested(str(found.kind), found.message, ours, theirs, base)
    kept = {} if old is None else dict(old.resolutions)
    for path in contested:
        kept.pop(path, None)  # settled for other versions than there are now
    was = {} if old is None else {path: old.contested[path] for path in kept}
    return replace(state, contested={**was, **contested}, resolutions=kept)
