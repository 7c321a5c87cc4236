"""Brings content along when stock Git pushes to a repository of this machine.

Git sends objects: commits, trees, and pointers. What the pointers stand for has to be there before
the refs move, or whoever mounts or clones that repository would find pointers without content.

Owns: which contents those are, and putting them into the other store.
Layer: workspace.

Invariants:
  U1. Content is durable in the other repository, and kept from gc there, before Git sends anything.
  U2. If a content cannot be brought, nothing is pushed.
  U3. Nothing but content is made: a repository that needs none gets no store.

Concurrency: one thread; any number of processes.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, NotFoundError
from mlbfs.git.pointers import Pointer
from mlbfs.git.repository import GitRepository
from mlbfs.ids import FileId, ObjectId
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.workspace.diff import diff_trees
from mlbfs.workspace.filtering import ContentFinder, ReaderStream
from mlbfs.workspace.nearby import STORE_NAME
from mlbfs.workspace.recent import RecentContent
from mlbfs.workspace.snapshot import naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mlbfs.workspace.source import SnapshotSource


_MOST_COMPARED = 16
"""So many branches of the other repository are compared with what is pushed."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought, or was left behind.

    Attributes:
        files: Contents that were not there.
        size: Their length.
    """

    files: int
    size: int


def bring_content(source: SnapshotSource, place: Path, tips: Iterable[ObjectId]) -> Brought:
    """Puts what some commits need into another repository; it gets a store if it has none.

    Args:
        source: The repository that pushes.
        place: The other one.
        tips: What is pushed: commits, or tags of them.

    Raises:
        NotFoundError: There is no repository, or a content is nowhere to be found (U2).
        ConflictError: gc is at work there (LOCKED).
        StorageError: The device failed.
    """
    with ExitStack() as stack:
        other = stack.enter_context(GitRepository.open(place))
        if other.common_dir == source.git.common_dir:
            return Brought(0, 0)
        needed = {
            pointer: path
            for pointer, path in _new_pointers(source, other, tips)
            if other.lfs.size(pointer.file_id) != pointer.size
        }
        if needed:
            store = stack.enter_context(ChunkStore.create(other.common_dir / STORE_NAME))
            # U3: what is there needs a store to be known, so it is opened late
            for pointer in [one for one in needed if store.is_complete(one.file_id)]:
                del needed[pointer]
            _copy(source, store, needed)
    return Brought(len(needed), sum(pointer.size for pointer in needed))


def left_behind(
    source: SnapshotSource, remote: str, pushed: Iterable[tuple[ObjectId, ObjectId | None]]
) -> Brought:
    """Returns which contents a push to another machine leaves behind, where Git has only pointers.

    What `filter=lfs` stands for is sent by Git LFS, and is left out.

    Args:
        source: The repository that pushes.
        remote: Its name for the other one.
        pushed: What is pushed, each with what the ref is there, if it is there.

    Raises:
        NotFoundError: An object of what is pushed is missing.
    """
    found: dict[FileId, int] = {}
    for tip, there in pushed:
        new = _peel(source.git, tip)
        if new is None:
            continue
        tree = source.git.read_commit(new).tree
        attributes = source.git.attributes(tree)
        for change in diff_trees(source, _tree_there(source.git, remote, new, there), tree):
            entry = change.new
            if entry is None or entry.file_id is None or not entry.size:
                continue
            if attributes.lookup(change.path, ["filter"])["filter"] != "lfs":
                found[FileId(entry.file_id)] = entry.size
    return Brought(len(found), sum(found.values()))


def _tree_there(
    git: GitRepository, remote: str, new: ObjectId, there: ObjectId | None
) -> ObjectId | None:
    """Returns a tree that the other repository is known to have, the best for comparing with."""
    tips = [] if there is None else [there]
    tips += [oid for _, oid in islice(git.refs.iter(f"refs/remotes/{remote}/"), _MOST_COMPARED)]
    for tip in tips:
        if git.object_kind(tip) == "commit":
            base = git.merge_base(new, tip)
            if base is not None:
                return git.read_commit(base).tree
    return None


def _copy(source: SnapshotSource, store: ChunkStore, needed: dict[Pointer, bytes]) -> None:
    with (
        store.writer() as writer,
        ContentFinder(source) as finder,
        RecentContent(store.root) as recent,
    ):
        for pointer, path in needed.items():
            with naming(path):
                writer.put_stream(ReaderStream(finder.open(pointer)))
        recent.note(pointer.file_id for pointer in needed)  # U1
        writer.commit()


def _new_pointers(
    source: SnapshotSource, other: GitRepository, tips: Iterable[ObjectId]
) -> Iterator[tuple[Pointer, bytes]]:
    """Yields the pointers of trees that the other repository has not, each with a path."""
    trees: set[ObjectId] = set()
    for commit in _new_commits(source.git, other, tips):
        stack = [(b"", commit)]
        while stack:
            above, tree = stack.pop()
            if tree in trees or other.object_kind(tree) is not None:
                continue
            trees.add(tree)
            for entry in map(source.describe, source.git.read_tree(tree)):
                path = above + entry.name
                if entry.is_directory:
                    stack.append((path + b"/", ObjectId(entry.content)))
                elif entry.file_id is not None and entry.size:
                    yield Pointer(FileId(entry.file_id), entry.size), path


def _new_commits(
    git: GitRepository, other: GitRepository, tips: Iterable[ObjectId]
) -> Iterator[ObjectId]:
    """Yields the root trees of commits that the other repository has not."""
    stack = [found for tip in tips if (found := _peel(git, tip)) is not None]
    seen = set(stack)
    while stack:
        oid = stack.pop()
        if other.object_kind(oid) is not None:
            continue
        commit = git.read_commit(oid)
        yield commit.tree
        stack += [parent for parent in commit.parents if parent not in seen]
        seen.update(commit.parents)


def _peel(git: GitRepository, oid: ObjectId) -> ObjectId | None:
    """Returns the commit that an object leads to; None for a tree or blob."""
    while (kind := git.object_kind(oid)) == "tag":
        oid = git.read_tag(oid).target
    if kind is None:
        raise NotFoundError(
            f"object {oid.hex()[:10]} is not in this repository", kind=ErrorKind.OBJECT_NOT_FOUND
        )
    return oid if kind == "commit" else None
