"""Work trees of a repository and what each has checked out.

Owns: reading `HEAD` of the main and the linked work trees. Layer: git. Files only.
"""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY = ("rebase-merge/head-name", "rebase-apply/head-name")
"""While a rebase runs, HEAD is detached and these name the branch that it will move."""


@dataclass(frozen=True, slots=True)
class Use:
    """A work tree that has a branch checked out, or is about to move it by a rebase."""

    place: Path
    is_rebase: bool


def find_use(common_dir: Path, main_work_tree: Path | None, branch: str) -> Use | None:
    """Returns the use that a work tree makes of a branch (full name), or None.

    Args:
        common_dir: The shared Git directory.
        main_work_tree: The main work tree; None in a bare repository.
        branch: Full name of the branch.
    """
    for git_dir, work_tree in _work_trees(common_dir, main_work_tree):
        if _head(git_dir) == branch:
            return Use(work_tree, is_rebase=False)
        if branch in {(_read(git_dir / name) or "").strip() for name in _BUSY}:
            return Use(work_tree, is_rebase=True)
    return None


def in_use(branch: str, use: Use, *, is_born: bool, instead: str) -> ConflictError:
    """Returns the error for a branch that must not be moved under a work tree.

    Args:
        branch: Short name of the branch.
        use: Who uses it.
        is_born: Whether it has a commit.
        instead: What else the user can do; begins the hint.
    """
    where = shlex.quote(str(use.place))
    if use.is_rebase:
        way = "finish the rebase that is going on there"
    elif is_born:
        way = f"let go of it there: 'git -C {where} switch --detach'"
    else:
        way = f"let mounts be the only work trees: 'git -C {where} config core.bare true'"
    return ConflictError(
        f"branch {branch!r} is checked out at {str(use.place)!r}",
        kind=ErrorKind.BRANCH_CHECKED_OUT,
        hint=f"{instead}, or {way}" if instead else way,
    )


def _work_trees(common_dir: Path, main_work_tree: Path | None) -> Iterator[tuple[Path, Path]]:
    if main_work_tree is not None:
        yield common_dir, main_work_tree
    for linked in sorted((common_dir / "worktrees").glob("*/gitdir")):
        with contextlib.suppress(OSError):  # pruned just now
            text = linked.read_text("utf-8", "surrogateescape").strip()
            yield linked.parent, (linked.parent / text).parent


def _head(git_dir: Path) -> str | None:
    head = _read(git_dir / "HEAD") or ""
    return head.removeprefix("ref:").strip() if head.startswith("ref:") else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return None
