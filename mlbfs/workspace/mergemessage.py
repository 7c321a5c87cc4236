"""What the commit of a merge says.

Owns: the words, and the lines that tell which driver settled which path.
Layer: workspace. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.workspace.merging import MergeRequest
    from mlbfs.workspace.treemerge import MergedTree

MAX_LINES = 100
"""Paths that a message names; a merge of ten thousand runs is not read line by line."""


def merge_message(request: MergeRequest, merged: MergedTree) -> str:
    """Returns the message: what was merged, then how each path that both changed was settled."""
    head = request.message if request.message is not None else _subject(request)
    lines = [f"{_quoted(path)}: {by}" for path, by in _told(merged)]
    more = len(lines) - MAX_LINES
    if more > 0:
        lines = [*lines[:MAX_LINES], f"and {more} more"]
    body = "\n".join(lines)
    return f"{head.rstrip()}\n\n{body}\n" if body else f"{head.rstrip()}\n"


def _subject(request: MergeRequest) -> str:
    theirs = request.theirs
    match str(request.verb):
        case "cherry-pick":
            return f"{theirs.message.rstrip()}\n\n(cherry picked from commit {theirs.id.hex()})"
        case "revert":
            return f'Revert "{theirs.subject}"\n\nThis reverts commit {theirs.id.hex()}.'
    paths = " ".join(map(_quoted, request.only))
    what = f"{paths} of {request.name}" if paths else request.name
    verb = "Squash" if request.squash else "Merge"
    return f"{verb} {what} into {request.branch}"


def _told(merged: MergedTree) -> list[tuple[bytes, str]]:
    told = [(one.path, f"{one.by} ({one.note})" if one.note else one.by) for one in merged.settled]
    told += [(new, f"moved from {_quoted(old)}") for old, new in merged.renames]
    return sorted(told)


def _quoted(path: bytes) -> str:
    text = path.decode(errors="backslashreplace")
    return text if text.isprintable() else repr(text)
