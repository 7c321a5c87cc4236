"""What a mount found of one before it that was not unmounted, for records, the log and people.

Owns: the words for it.
Layer: mount. Imports nothing of this layer, so that commands start quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlbfs.workspace.workspace import Workspace

Found = dict[str, Any]
"""As JSON: `commit` (hex id of a commit whose end was found, or None), `deleted` (number of files
that were deleted while programs had them open), `unsynced` (paths of files that a power cut took
bytes of which were not synced)."""

_SHOWN = 3
"""Paths that a sentence names."""


def found_by(workspace: Workspace) -> Found | None:
    """Returns what opening a workspace had to mend; None if it had been closed in order."""
    done = workspace.recovery
    if done.clean:
        return None
    paths = [workspace.path_of(ino) for ino in (*done.lost, *done.reverted, *done.shortened)]
    return {
        "commit": None if done.commit is None else done.commit.hex(),
        "deleted": done.dropped_unlinked,
        "unsynced": sorted(path.decode("utf-8", "replace") for path in paths if path is not None),
    }


def sentence(found: Found) -> str:
    """Returns it in one line."""
    parts = []
    if found["commit"] is not None:
        parts.append(f"its commit {found['commit'][:12]} is on the branch")
    paths = found["unsynced"]
    if paths:
        named = ", ".join(repr(path) for path in paths[:_SHOWN])
        more = " ..." if len(paths) > _SHOWN else ""
        what = "a file lacks" if len(paths) == 1 else f"{len(paths)} files lack"
        parts.append(f"{what} what was not synced: {named}{more}")
    else:
        parts.append("everything that was written is there")
    return f"the last mount was not unmounted; {', and '.join(parts)}"
