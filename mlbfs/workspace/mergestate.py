"""A merge that waits for a person: what was asked for, and what was settled so far.

Owns: `refs/mlbfs/merge/<branch>` and the form of what it leads to.
Layer: workspace.

The ref leads to a commit that is no part of any history. Its parents are the two commits that are
being merged, so that Git keeps both; its message is JSON with the request, the conflicts and the
resolutions; its tree holds the files that were merged by hand. It is written and replaced as a
whole, so that a killed process leaves the one or the other.

Concurrency: changes are compare-and-swap; of two at once, one is refused.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlbfs.errors import ConflictError, ErrorKind, FormatError, NotFoundError
from mlbfs.git.trees import TreeEntry
from mlbfs.ids import ObjectId
from mlbfs.merge.driver import parse_choice
from mlbfs.merge.trees import Entry
from mlbfs.merge.versions import Side
from mlbfs.workspace.treemerge import Resolution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlbfs.git.commits import Signature
    from mlbfs.git.repository import GitRepository
    from mlbfs.merge.driver import DriverChoice

PREFIX = "refs/mlbfs/merge/"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Contested:
    """A path that waits for a person.

    Attributes:
        kind: What the sides disagree about.
        message: One line for people.
        ours: What ours has there.
        theirs: What theirs has there.
        base: What both began with.
    """

    kind: str
    message: str
    ours: Entry | None
    theirs: Entry | None
    base: Entry | None = None


@dataclass(frozen=True, slots=True)
class MergeState:
    """An unfinished merge.

    Attributes:
        branch: The branch that is merged into.
        verb: `merge`, `cherry-pick` or `revert`.
        name: What is merged, as it was named.
        ours: The commit of the branch when it began.
        theirs: The commit that comes in.
        message: The message that was asked for, or None.
        no_ff: Make a commit of two parents in any case.
        squash: Make a commit of one parent.
        only: The paths that take part.
        overrides: Patterns and drivers of the command line.
        contested: The paths that wait, or waited, for a person.
        resolutions: What was settled.
        kept_in: The commit that holds this state; None if it was never written.
    """

    branch: str
    verb: str
    name: str
    ours: ObjectId
    theirs: ObjectId
    message: str | None = None
    no_ff: bool = False
    squash: bool = False
    only: Sequence[bytes] = ()
    overrides: Sequence[tuple[bytes, DriverChoice]] = ()
    contested: Mapping[bytes, Contested] = field(default_factory=dict)
    resolutions: Mapping[bytes, Resolution] = field(default_factory=dict)
    kept_in: ObjectId | None = None

    @property
    def open_paths(self) -> list[bytes]:
        """Returns the paths that still wait, in order."""
        return sorted(self.contested.keys() - self.resolutions.keys())

    def resolve(self, path: bytes, resolution: Resolution) -> MergeState:
        """Returns the state with one more path settled."""
        return replace(self, resolutions={**self.resolutions, path: resolution})


def read_state(git: GitRepository, branch: str) -> MergeState | None:
    """Returns the unfinished merge of a branch, or None.

    Raises:
        FormatError: It was written by another version, or is damaged.
    """
    found = git.refs.read(PREFIX + branch)
    if found is None:
        return None
    return replace(_decode(branch, git.read_commit(found).message), kept_in=found)


def require_state(git: GitRepository, branch: str) -> MergeState:
    """Returns the unfinished merge of a branch.

    Raises:
        NotFoundError: There is none.
    """
    state = read_state(git, branch)
    if state is None:
        raise no_merge(branch)
    return state


def no_merge(branch: str, verb: str = "merge") -> NotFoundError:
    """Returns the error for a branch of which nothing waits for a person."""
    return NotFoundError(
        f"no {verb} of branch {branch!r} is in progress",
        kind=ErrorKind.NO_MERGE_IN_PROGRESS,
        hint=f"'mlbfs {verb} ...' begins one",
    )


def check_no_state(git: GitRepository, branch: str) -> None:
    """Checks that no merge of a branch waits for a person.

    Raises:
        ConflictError: One does (MERGE_IN_PROGRESS).
    """
    state = read_state(git, branch)
    if state is not None:
        raise ConflictError(
            f"a {state.verb} of branch {branch!r} is in progress",
            kind=ErrorKind.MERGE_IN_PROGRESS,
            hint=f"finish it with 'mlbfs {state.verb} --continue --into {branch}', "
            "or drop it with --abort",
        )


def write_state(git: GitRepository, state: MergeState, who: Signature) -> MergeState:
    """Keeps the state of a merge, durably, in the place of the one that it was made of.

    Raises:
        RefMovedError: Another process has changed that, dropped it, or begun a merge.
        StorageError: The device refused.
    """
    by_hand = [
        TreeEntry(b"%d" % number, made.content.mode, made.content.id)
        for number, made in enumerate(state.resolutions.values())
        if made.content is not None
    ]
    with git.objects() as objects:
        commit = objects.put_commit(
            tree=objects.put_tree(by_hand),
            parents=[state.ours, state.theirs],
            author=who,
            committer=who,
            message=_encode(state),
        )
        objects.commit()
    git.refs.compare_and_swap(
        PREFIX + state.branch,
        state.kept_in,
        commit,
        identity=who,
        message=f"{state.verb}: unfinished",
    )
    return replace(state, kept_in=commit)


def drop_state(git: GitRepository, branch: str, kept_in: ObjectId | None, who: Signature) -> None:
    """Forgets an unfinished merge of a branch.

    Raises:
        RefMovedError: Another process has changed it, dropped it, or begun another.
    """
    git.refs.compare_and_swap(PREFIX + branch, kept_in, None, identity=who, message="merge: done")


# The form: JSON; paths as text with surrogate escapes, ids in hex


def _encode(state: MergeState) -> str:
    value = {
        "version": VERSION,
        "verb": state.verb,
        "name": state.name,
        "ours": state.ours.hex(),
        "theirs": state.theirs.hex(),
        "message": state.message,
        "no_ff": state.no_ff,
        "squash": state.squash,
        "only": [os.fsdecode(path) for path in state.only],
        "overrides": [[os.fsdecode(name), str(choice)] for name, choice in state.overrides],
        "contested": {
            os.fsdecode(path): [
                found.kind,
                found.message,
                _encode_entry(found.ours),
                _encode_entry(found.theirs),
                _encode_entry(found.base),
            ]
            for path, found in state.contested.items()
        },
        "resolutions": {
            os.fsdecode(path): [
                _encode_entry(made.ours),
                _encode_entry(made.theirs),
                made.side,
                None if made.choice is None else str(made.choice),
                _encode_entry(made.content),
            ]
            for path, made in state.resolutions.items()
        },
    }
    return json.dumps(value, indent=1)


def _encode_entry(entry: Entry | None) -> str | None:
    return None if entry is None else f"{entry.mode:o} {entry.id.hex()}"


def _decode(branch: str, text: str) -> MergeState:
    try:
        value = json.loads(text)
        if value["version"] != VERSION:
            raise ValueError(value["version"])
        return _decode_state(branch, value)
    except (ValueError, KeyError, TypeError) as err:
        raise FormatError(
            f"the unfinished merge of branch {branch!r} cannot be read",
            hint=f"drop it with 'mlbfs merge --abort --into {branch}', and merge again",
        ) from err


def _decode_state(branch: str, value: dict[str, Any]) -> MergeState:
    return MergeState(
        branch,
        value["verb"],
        value["name"],
        ObjectId(bytes.fromhex(value["ours"])),
        ObjectId(bytes.fromhex(value["theirs"])),
        value["message"],
        value["no_ff"],
        value["squash"],
        [os.fsencode(path) for path in value["only"]],
        [(os.fsencode(name), parse_choice(choice)) for name, choice in value["overrides"]],
        {
            os.fsencode(path): Contested(kind, message, *map(_decode_entry, entries))
            for path, (kind, message, *entries) in value["contested"].items()
        },
        {
            os.fsencode(path): Resolution(
                _decode_entry(ours),
                _decode_entry(theirs),
                None if side is None else Side(side),
                None if choice is None else parse_choice(choice),
                _decode_entry(content),
            )
            for path, (ours, theirs, side, choice, content) in value["resolutions"].items()
        },
    )


def _decode_entry(text: str | None) -> Entry | None:
    if text is None:
        return None
    mode, _, oid = text.partition(" ")
    return Entry(int(mode, 8), ObjectId(bytes.fromhex(oid)))
