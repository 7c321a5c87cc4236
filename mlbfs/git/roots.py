"""What keeps Git objects alive: refs, heads of work trees, work that Git has interrupted, reflogs.

Owns: the list of places that gc must look at.
Layer: git.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.git.reflog import NULL_ID, parse_reflog
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.git.repository import GitRepository

PSEUDO_REFS = (
    "HEAD",
    "ORIG_HEAD",
    "MERGE_HEAD",
    "MERGE_AUTOSTASH",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    *(
        f"{folder}/{name}"
        for folder in ("rebase-merge", "rebase-apply")
        for name in ("autostash", "onto", "orig-head")
    ),
)
"""Files that hold ids; unsaved work that a merge or rebase has put aside is in none but these."""


@dataclass(frozen=True, slots=True)
class Root:
    """One object that is kept, and what keeps it.

    Attributes:
        is_history: It is kept by a reflog only, so Git may have pruned it already.
    """

    id: ObjectId
    name: str
    is_history: bool = False


def iter_roots(git: GitRepository) -> Iterator[Root]:
    """Yields every root: refs first, then heads, then reflogs."""
    for name, oid in git.refs.iter():
        yield Root(oid, name)
    for folder in git_dirs(git):
        for name in PSEUDO_REFS:
            for found in _ids_in(folder / name):
                yield Root(found, name)
        if folder != git.common_dir:
            yield from _own_refs(folder / "refs")
    for folder in git_dirs(git):
        yield from _logged(folder / "logs")


def git_dirs(git: GitRepository) -> Iterator[Path]:
    """Yields the Git directory of each work tree, the shared one first."""
    yield git.common_dir
    worktrees = git.common_dir / "worktrees"
    if worktrees.is_dir():
        yield from sorted(path for path in worktrees.iterdir() if path.is_dir())


def _own_refs(folder: Path) -> Iterator[Root]:
    """Yields the refs that a linked work tree has for itself, such as those of a bisection."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        for found in _ids_in(path):
            yield Root(found, f"refs/{path.relative_to(folder)}")


def _ids_in(path: Path) -> Iterator[ObjectId]:
    """Yields the ids that the lines of a file begin with; one that names a ref keeps no more."""
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        found = _object_id(line[:40])
        if found is not None:
            yield found


def _object_id(text: str) -> ObjectId | None:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return ObjectId(raw) if len(raw) == len(NULL_ID) else None


def _logged(logs: Path) -> Iterator[Root]:
    for path in sorted(logs.rglob("*")) if logs.is_dir() else ():
        if path.is_file():
            name = str(path.relative_to(logs))
            for entry in parse_reflog(path.read_bytes()):
                for oid in (entry.old, entry.new):
                    if oid != NULL_ID:
                        yield Root(oid, name, is_history=True)
