"""Work trees of a repository and what each has checked out.

Owns: reading `HEAD` of the main and the linked work trees. Layer: git. Files only.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY = ("rebase-merge/head-name", "rebase-apply/head-name")
"""While a rebase runs, HEAD is detached and these name the branch that it will move."""


def checked_out_at(common_dir: Path, main_work_tree: Path | None, branch: str) -> Path | None:
    """Returns the work tree that has a branch (full name) checked out, or None.

    Args:
        common_dir: The shared Git directory.
        main_work_tree: The main work tree; None in a bare repository.
        branch: Full name of the branch.
    """
    for git_dir, work_tree in _work_trees(common_dir, main_work_tree):
        if branch in _branches_in_use(git_dir):
            return work_tree
    return None


def _work_trees(common_dir: Path, main_work_tree: Path | None) -> Iterator[tuple[Path, Path]]:
    if main_work_tree is not None:
        yield common_dir, main_work_tree
    for linked in sorted((common_dir / "worktrees").glob("*/gitdir")):
        with contextlib.suppress(OSError):  # pruned just now
            text = linked.read_text("utf-8", "surrogateescape").strip()
            yield linked.parent, (linked.parent / text).parent


def _branches_in_use(git_dir: Path) -> set[str]:
    found = {(_read(git_dir / name) or "").strip() for name in _BUSY}
    head = _read(git_dir / "HEAD") or ""
    if head.startswith("ref:"):
        found.add(head.removeprefix("ref:").strip())
    return found


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return None
