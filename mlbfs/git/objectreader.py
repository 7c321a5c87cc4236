"""Reading Git objects through libgit2: loose, packed, deltas, alternates.

Owns: the libgit2 handle and the translation of its errors.
Layer: git.

Concurrency: safe from many threads. libgit2 finds new packs by itself; when a `git gc` removed
the pack that it had mapped, the repository is opened once more.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, cast

import pygit2

from mlbfs.errors import CorruptionError, ErrorKind, NotFoundError
from mlbfs.git.commits import CommitNode
from mlbfs.git.kinds import KIND_NAMES
from mlbfs.ids import ObjectId, short_hex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from mlbfs.git.kinds import ObjectKind

_T = TypeVar("_T")


class ObjectReader:
    """The objects of one repository.

    Args:
        git_dir: Where to open it.
        handle: It, opened.
    """

    def __init__(self, git_dir: Path, handle: pygit2.Repository) -> None:
        self._git_dir = git_dir
        self._lock = Lock()
        self.handle = handle
        self._odb = handle.odb

    def read(self, oid: ObjectId, kind: ObjectKind) -> bytes:
        """Returns the content of an object, checked against its id by libgit2.

        Raises:
            NotFoundError: There is no such object, or it is of another kind.
            CorruptionError: It is damaged.
        """
        found, data = self._ask(oid, lambda name: self._odb.read(name))
        if KIND_NAMES[int(found)] != kind:
            raise _wrong_kind(oid, KIND_NAMES[int(found)], kind)
        return data

    def header(self, oid: ObjectId) -> tuple[ObjectKind, int]:
        """Returns kind and size of an object.

        Raises:
            NotFoundError: There is no such object.
            CorruptionError: It is damaged.
        """
        kind, size = self._ask(oid, lambda name: self._odb.read_header(name))
        return KIND_NAMES[int(kind)], size

    def kind(self, oid: ObjectId) -> ObjectKind | None:
        """Returns the kind of an object, or None when there is none."""
        try:
            return self.header(oid)[0]
        except NotFoundError:
            return None

    def commit_node(self, oid: ObjectId) -> CommitNode:
        """Returns what walking history needs of a commit; ends where a shallow clone ends.

        Raises:
            NotFoundError: There is no such commit.
            CorruptionError: It is damaged.
        """
        return self._ask(oid, self._node)

    def _node(self, name: pygit2.Oid) -> CommitNode:
        found = cast("pygit2.Commit", self._object(name, "commit"))
        parents = tuple(ObjectId(parent.raw) for parent in found.parent_ids)
        return CommitNode(
            ObjectId(name.raw), ObjectId(found.tree_id.raw), parents, found.commit_time
        )

    def entry_at(self, tree: ObjectId, path: bytes) -> tuple[int, ObjectId] | None:
        """Returns mode and id of what lies at a path below a tree, or None.

        For comparing only: unlike `parse_tree`, this does not look for hostile names.

        Raises:
            NotFoundError: A tree on the way is missing.
            CorruptionError: A tree on the way is damaged.
        """
        return self._ask(tree, lambda name: self._entry(name, os.fsdecode(path)))

    def _entry(self, name: pygit2.Oid, path: str) -> tuple[int, ObjectId] | None:
        tree = cast("pygit2.Tree", self._object(name, "tree"))
        try:
            entry = tree[path]
        except KeyError:
            return None
        return int(entry.filemode), ObjectId(entry.id.raw)

    def _object(self, name: pygit2.Oid, kind: ObjectKind) -> object:
        found = self.handle[name]
        if KIND_NAMES[int(found.type)] != kind:
            raise _wrong_kind(ObjectId(name.raw), KIND_NAMES[int(found.type)], kind)
        return found

    def _ask(self, oid: ObjectId, question: Callable[[pygit2.Oid], _T]) -> _T:
        name = pygit2.Oid(raw=oid)
        with self._lock:
            try:
                return question(name)
            except KeyError as err:
                raise missing_object(oid) from err
            except pygit2.GitError:
                self.reopen()
            try:
                return question(name)
            except KeyError as err:
                raise missing_object(oid) from err
            except pygit2.GitError as err:
                raise CorruptionError(
                    f"Git object {short_hex(oid)} is damaged ({err})",
                    kind=ErrorKind.CORRUPT_OBJECT,
                    hint="run 'git fsck' to see what is damaged",
                ) from err

    def reopen(self) -> None:
        """Opens the repository again, as packs may have been replaced."""
        self.handle = pygit2.Repository(str(self._git_dir))
        self._odb = self.handle.odb


def missing_object(oid: ObjectId) -> NotFoundError:
    """Returns the error for an object that is not here."""
    return NotFoundError(
        f"Git object {short_hex(oid)} is missing",
        kind=ErrorKind.OBJECT_NOT_FOUND,
        hint="in a shallow or partial clone, fetch the rest; otherwise run 'git fsck'",
    )


def _wrong_kind(oid: ObjectId, found: str, kind: str) -> NotFoundError:
    return NotFoundError(
        f"Git object {short_hex(oid)} is a {found}, not a {kind}",
        kind=ErrorKind.OBJECT_NOT_FOUND,
    )
