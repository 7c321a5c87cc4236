"""Copies files and folders from any commit to a branch, without reading or writing their bytes.

Owns: where what is copied lands, and the trailers that say where it came from.
Layer: workspace.

A folder is one entry of a tree, whatever is in it, so the cost is that of the trees above it.

Concurrency: one thread. A branch that another process moves meanwhile is copied to again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
)
from mlbfs.git.refs import RefMovedError
from mlbfs.git.trees import MODE_DIRECTORY, MODE_SUBMODULE
from mlbfs.ids import short_hex
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.snapshot import NS_PER_S
from mlbfs.workspace.treeedit import NewEntry, TreeEdit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.git.trees import TreeEntry
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.source import SnapshotSource

MAX_ATTEMPTS = 5
"""How often a copy is made again because the branch moved."""

TRAILER = "Copied-from"


@dataclass(frozen=True, slots=True)
class CopySource:
    """What to copy.

    Attributes:
        commit: Where it is.
        path: A file or folder of its tree; b"" is all of it.
        name: How it was named, for the message.
    """

    commit: Commit
    path: bytes
    name: str


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """What to copy where.

    Attributes:
        sources: Each lands under its own last name; a whole tree lands as what is in it.
        branch: The branch to copy to.
        to: The folder of the branch to land in; it is made if it is not there.
        replace: Take away what is there under a name.
        message: What the commit says before the trailers; None for the usual words.
    """

    sources: Sequence[CopySource]
    branch: str
    to: bytes
    author: Signature
    committer: Signature
    replace: bool = False
    message: str | None = None


class Copying:
    """One copy to a branch."""

    def __init__(self, source: SnapshotSource, request: CopyRequest) -> None:
        self._source = source
        self._git = source.git
        self._request = request
        self._ref = f"refs/heads/{request.branch}"

    def run(self) -> ObjectId | None:
        """Copies, and moves the branch; returns the commit, or None if the branch has it all.

        Raises:
            NotFoundError: A source is not there, or the branch.
            InvalidInputError: Two sources would land at one place.
            AlreadyExistsError: Something else is where a source would land, and not `replace`.
            ConflictError: The branch is checked out in a Git work tree, or keeps moving.
            StorageError: The device refused; nothing was committed.
        """
        self._git.check_not_checked_out(self._request.branch)
        for _ in range(MAX_ATTEMPTS):
            try:
                return self._attempt()
            except RefMovedError:
                continue
        raise ConflictError(
            f"branch {self._request.branch!r} keeps moving; nothing was copied",
            kind=ErrorKind.REF_MOVED,
            hint="run it again",
        )

    def _attempt(self) -> ObjectId | None:
        request = self._request
        found = self._git.refs.read(self._ref)
        if found is None:
            raise NotFoundError(
                f"there is no branch {request.branch!r}",
                kind=ErrorKind.REF_NOT_FOUND,
                hint=f"make it: mlbfs branch {request.branch}",
            )
        head = self._git.read_commit(found)
        edit = TreeEdit(self._source, head.tree)
        for place, entry in self._all_landings().items():
            self._check_free(head, place, entry)
            self._put(edit, place, entry)
        with self._source.store.writer() as writer, self._git.objects() as objects:
            tree = edit.write(objects, time_ns=request.committer.time * NS_PER_S)
            if tree == head.tree:
                return None
            commit = objects.put_commit(
                tree=tree,
                parents=[head.id],
                author=request.author,
                committer=request.committer,
                message=copy_message(request),
            )
            objects.prepare()
            writer.commit(edit.directories)
            objects.commit()
            self._git.refs.compare_and_swap(
                self._ref,
                head.id,
                commit,
                identity=request.committer,
                message=f"copy: {request.sources[0].name}",
            )
        return commit

    def _all_landings(self) -> dict[bytes, TreeEntry]:
        """Returns what lands at which place.

        Raises:
            InvalidInputError: Two sources have different things for one place.
        """
        found: dict[bytes, TreeEntry] = {}
        for source in self._request.sources:
            for place, entry in self._landings(source):
                other = found.setdefault(place, entry)
                if (other.mode, other.id) != (entry.mode, entry.id):
                    raise InvalidInputError(
                        f"two of the sources would land at {_shown(place)}",
                        kind=ErrorKind.INVALID_PATH,
                        hint="copy one of them to another folder",
                    )
        return found

    def _landings(self, source: CopySource) -> list[tuple[bytes, TreeEntry]]:
        """Returns where what a source means lands."""
        if not source.path:
            entries = self._git.read_tree(source.commit.tree)
            return [(_join(self._request.to, entry.name), entry) for entry in entries]
        entry = self._git.find_entry(source.commit.tree, source.path)
        if entry is None:
            raise NotFoundError(
                f"{_shown(source.path)} does not exist in {short_hex(source.commit.id)}",
                kind=ErrorKind.PATH_NOT_FOUND,
                hint=f"'mlbfs ls {short_hex(source.commit.id)}' lists what is there",
            )
        return [(_join(self._request.to, source.path.rpartition(b"/")[2]), entry)]

    def _check_free(self, head: Commit, place: bytes, entry: TreeEntry) -> None:
        """Checks that nothing is lost at a place, and that folders lead to it."""
        above = place.rpartition(b"/")[0]
        while above:
            found = self._git.find_entry(head.tree, above)
            if found is not None and found.mode != MODE_DIRECTORY:
                raise InvalidInputError(
                    f"{_shown(above)} of {self._request.branch} is no folder",
                    kind=ErrorKind.INVALID_PATH,
                )
            above = above.rpartition(b"/")[0]
        there = self._git.find_entry(head.tree, place)
        if there is None or self._request.replace:
            return
        if (there.mode, there.id) != (entry.mode, entry.id):
            raise AlreadyExistsError(
                f"{self._request.branch} has something else at {_shown(place)}",
                hint="take it away with --replace, or merge: mlbfs merge SOURCE --only PATH",
            )

    def _put(self, edit: TreeEdit, place: bytes, entry: TreeEntry) -> None:
        if entry.mode == MODE_DIRECTORY:
            edit.graft(place, entry.id)
        elif entry.mode == MODE_SUBMODULE:
            edit.put(place, NewEntry(EntryKind.SUBMODULE, 0, entry.id))
        else:
            shown = self._source.describe(entry)
            edit.put(place, NewEntry(shown.kind, shown.size, entry.id, shown.file_id))


def copy_message(request: CopyRequest) -> str:
    """Returns what the commit says, with a trailer for each source: its commit and path."""
    names = ", ".join(_text(os.fsencode(source.name)) for source in request.sources)
    to = f":{_text(request.to)}" if request.to else ""
    head = request.message or f"Copy {names} to {request.branch}{to}"
    trailers = [
        f"{TRAILER}: {source.commit.id.hex()} {_text(source.path) or '.'}"
        for source in request.sources
    ]
    return head.rstrip() + "\n\n" + "\n".join(trailers) + "\n"


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _text(path: bytes) -> str:
    text = path.decode(errors="backslashreplace")
    return text if text.isprintable() else repr(text)


def _shown(path: bytes) -> str:
    return repr(path.decode(errors="backslashreplace"))
