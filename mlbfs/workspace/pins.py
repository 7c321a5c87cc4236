"""The ref that keeps the base commit of a workspace: Git must not collect what changes stand on.

A branch can be moved or deleted while a workspace has changes on a commit of it; after that nothing
but this ref leads to the commit, and `git gc` knows nothing of workspaces.

Owns: `refs/mlbfs/base/<name of the workspace's folder>`.
Layer: workspace.

Concurrency: the caller holds the workspace.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mlbfs.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.git.refs import RefStore
    from mlbfs.ids import ObjectId

PREFIX = "refs/mlbfs/base/"


def pin_name(root: Path) -> str:
    """Returns the name of the ref; `root` is the folder of the workspace."""
    return PREFIX + root.name


def pin(refs: RefStore, root: Path, base: Commit) -> None:
    """Points the ref to the commit that a workspace has come to stand on.

    A full or failing device must not keep anybody from the work in the workspace, nor make a commit
    that was made look as if it had not been; the next opening, or the next commit, does it then.
    """
    with suppress(StorageError):
        _move(refs, pin_name(root), base.id, base.committer)


def unpin(refs: RefStore, root: Path, identity: Signature) -> None:
    """Removes the ref of a workspace that is gone.

    Raises:
        StorageError: The device failed.
    """
    _move(refs, pin_name(root), None, identity)


def _move(refs: RefStore, name: str, commit: ObjectId | None, identity: Signature) -> None:
    old = refs.read(name)
    if old != commit:
        refs.compare_and_swap(name, old, commit, identity=identity, message="base of a workspace")
