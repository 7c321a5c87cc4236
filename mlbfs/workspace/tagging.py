"""The tag that a commit was asked to make: it is made, also after a kill between the two.

The branch moves first, and the tag is made after it: they are two refs. What is still to be done
is noted with the note of the commit, before the branch moves; whoever opens the workspace after a
kill does it.

Owns: the setting of the overlay that names commit and tag.
Layer: workspace.

Concurrency: the caller makes one commit at a time, or is opening the workspace.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import AlreadyExistsError, StorageError
from mlbfs.git.refs import RefMovedError
from mlbfs.git.repository import existing_tag
from mlbfs.ids import ObjectId, short_hex

if TYPE_CHECKING:
    from mlbfs.git.repository import GitRepository
    from mlbfs.workspace.overlay import Overlay

log = logging.getLogger(__name__)

PENDING_TAG = "pending_tag"
"""Setting: id of the commit in hex, a blank, and the name of the tag."""


class NotedTag(NamedTuple):
    """A tag that is still to be made."""

    commit: ObjectId
    name: str


def note_tag(overlay: Overlay, commit: ObjectId, name: str | None) -> None:
    """Notes which tag a commit is to get, or that it gets none; in the transaction of its note."""
    if name is None:
        overlay.delete(PENDING_TAG)
    else:
        overlay.set(PENDING_TAG, f"{commit.hex()} {name}")


def noted_tag(overlay: Overlay) -> NotedTag | None:
    """Returns the tag that is still to be made, or None."""
    noted = overlay.get(PENDING_TAG)
    if not isinstance(noted, str):
        return None
    commit, _, name = noted.partition(" ")
    return NotedTag(ObjectId(bytes.fromhex(commit)), name)


def make_tag(git: GitRepository, noted: NotedTag) -> None:
    """Makes a tag that was noted; it says what the commit says, and by whom.

    Raises:
        AlreadyExistsError: Somebody made another tag of that name meanwhile.
        StorageError: The device refused.
    """
    commit = git.read_commit(noted.commit)
    who = commit.committer
    try:
        git.create_tag(noted.name, commit.id, identity=who, tagger=who, message=commit.message)
    except RefMovedError as err:
        if git.commit_of(f"refs/tags/{noted.name}") != commit.id:
            raise existing_tag(noted.name) from err


def catch_up_on_tag(overlay: Overlay, git: GitRepository) -> None:
    """Makes the tag that a kill, or a full device, kept a commit from getting; while opening."""
    noted = noted_tag(overlay)
    if noted is None:
        return
    try:
        make_tag(git, noted)
    except AlreadyExistsError as err:
        log.warning("commit %s has not got its tag: %s", short_hex(noted.commit), err)
    except StorageError as err:
        log.warning("commit %s gets its tag later: %s", short_hex(noted.commit), err)
        return
    with overlay.transaction():
        overlay.delete(PENDING_TAG)
