"""Reading Git objects: loose ones here, packed ones through libgit2.

Owns: the libgit2 handle that reads packs, and the translation of its errors.
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
from mlbfs.git.commits import CommitNode, parse_commit
from mlbfs.git.kinds import KIND_NAMES
from mlbfs.git.looseobjects import LooseObjects, damaged_object
from mlbfs.git.packindex import iter_packed_prefix, object_directories
from mlbfs.git.trees import parse_tree
from mlbfs.ids import ObjectId, short_hex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from mlbfs.git.kinds import ObjectKind

_T = TypeVar("_T")


class ObjectReader:
    """The objects of one repository.

    Args:
        git_dir: Where libgit2 opens it.
        objects: The directory of the objects.
        handle: It, opened.
    """

    def __init__(self, git_dir: Path, objects: Path, handle: pygit2.Repository) -> None:
        self._git_dir = git_dir
        self._directories = object_directories(objects)
        self._loose = LooseObjects(self._directories)
        self._lock = Lock()
        self._use_packs_of(handle)

    def _use_packs_of(self, handle: pygit2.Repository) -> None:
        """Lets libgit2 look into packs only; see looseobjects.py for why."""
        odb = pygit2.Odb()
        for place, directory in enumerate(reversed(self._directories), 1):
            odb.add_backend(pygit2.OdbBackendPack(str(directory)), place)
        handle.set_odb(odb)
        self._handle, self._odb = handle, odb

    def read(self, oid: ObjectId, kind: ObjectKind) -> bytes:
        """Returns the content of an object, checked against its id.

        Raises:
            NotFoundError: There is no such object, or it is of another kind.
            CorruptionError: It is damaged.
        """
        found, data = self._either(oid, self._loose.read, self._read_packed)
        _check_kind(oid, found, kind)
        return data

    def header(self, oid: ObjectId) -> tuple[ObjectKind, int]:
        """Returns kind and size of an object.

        Raises:
            NotFoundError: There is no such object.
            CorruptionError: It is damaged.
        """
        return self._either(oid, self._loose.header, self._header_packed)

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
        return self._either(oid, self._node_loose, self._node_packed)

    def _node_loose(self, oid: ObjectId) -> CommitNode | None:
        found = self._loose.read(oid)
        if found is None:
            return None
        _check_kind(oid, found[0], "commit")
        commit = parse_commit(oid, found[1])
        return CommitNode(oid, commit.tree, commit.parents, commit.committer.time)

    def _node_packed(self, name: pygit2.Oid) -> CommitNode:
        found = cast("pygit2.Commit", self._object(name, "commit"))
        parents = tuple(ObjectId(parent.raw) for parent in found.parent_ids)
        return CommitNode(
            ObjectId(name.raw), ObjectId(found.tree_id.raw), parents, found.commit_time
        )

    def child_of(self, tree: ObjectId, name: bytes) -> tuple[int, ObjectId] | None:
        """Returns mode and id of one entry of a tree, or None.

        For comparing only: unlike `parse_tree`, this does not look for hostile names.

        Raises:
            NotFoundError: There is no such tree.
            CorruptionError: It is damaged.
        """
        text = os.fsdecode(name)
        return self._either(
            tree,
            lambda oid: self._child_loose(oid, name),
            lambda packed: (self._child_packed(packed, text),),
        )[0]

    def _child_loose(
        self, tree: ObjectId, name: bytes
    ) -> tuple[tuple[int, ObjectId] | None] | None:
        found = self._loose.read(tree)
        if found is None:
            return None
        _check_kind(tree, found[0], "tree")
        entry = next((item for item in parse_tree(found[1]) if item.name == name), None)
        return (None if entry is None else (entry.mode, entry.id),)

    def _child_packed(self, tree: pygit2.Oid, name: str) -> tuple[int, ObjectId] | None:
        try:
            entry = cast("pygit2.Tree", self._object(tree, "tree"))[name]
        except KeyError:
            return None
        return int(entry.filemode), ObjectId(entry.id.raw)

    def _read_packed(self, name: pygit2.Oid) -> tuple[ObjectKind, bytes]:
        kind, data = self._odb.read(name)
        return KIND_NAMES[int(kind)], data

    def _header_packed(self, name: pygit2.Oid) -> tuple[ObjectKind, int]:
        kind, size = self._odb.read_header(name)
        return KIND_NAMES[int(kind)], size

    def _object(self, name: pygit2.Oid, kind: ObjectKind) -> object:
        found = self._handle[name]
        _check_kind(ObjectId(name.raw), KIND_NAMES[int(found.type)], kind)
        return found

    def _either(
        self,
        oid: ObjectId,
        loose: Callable[[ObjectId], _T | None],
        packed: Callable[[pygit2.Oid], _T],
    ) -> _T:
        """Answers from the loose object or, without one or with a damaged one, from packs."""
        try:
            answer = loose(oid)
        except CorruptionError as err:
            try:
                return self._ask_packs(oid, packed)
            except NotFoundError:
                raise err from None
        return self._ask_packs(oid, packed) if answer is None else answer

    def _ask_packs(self, oid: ObjectId, question: Callable[[pygit2.Oid], _T]) -> _T:
        name = pygit2.Oid(raw=oid)
        with self._lock:
            try:
                return question(name)
            except KeyError as err:
                raise missing_object(oid) from err
            except pygit2.GitError:  # the pack may have been replaced
                self._use_packs_of(pygit2.Repository(str(self._git_dir)))
            try:
                return question(name)
            except KeyError as err:
                raise missing_object(oid) from err
            except pygit2.GitError as err:
                raise damaged_object(oid) from err

    def ids_with_prefix(self, text: str) -> list[ObjectId]:
        """Returns the ids of all objects that begin with some lower-case hex digits."""
        found = set(self._loose.iter_prefix(text))
        found.update(iter_packed_prefix(self._directories, text))
        return sorted(found)

    def revision(self, spec: str) -> ObjectId:
        """Returns what libgit2 finds for a revision.

        Raises:
            KeyError: Nothing.
            ValueError: It is malformed, or fits several objects.
            GitError: It cannot be followed.
        """
        return ObjectId(pygit2.Repository(str(self._git_dir)).revparse_single(spec).id.raw)

    def close(self) -> None:
        """Releases files."""
        self._handle.free()


def _check_kind(oid: ObjectId, found: ObjectKind, wanted: ObjectKind) -> None:
    if found != wanted:
        raise NotFoundError(
            f"Git object {short_hex(oid)} is a {found}, not a {wanted}",
            kind=ErrorKind.OBJECT_NOT_FOUND,
        )


def missing_object(oid: ObjectId) -> NotFoundError:
    """Returns the error for an object that is not here."""
    return NotFoundError(
        f"Git object {short_hex(oid)} is missing",
        kind=ErrorKind.OBJECT_NOT_FOUND,
        hint="in a shallow or partial clone, fetch the rest; otherwise run 'git fsck'",
    )
