"""How changes are shown: in a list, as JSON, and as a difference of contents.

Owns: the letters of changes and the form of a diff.
Layer: cli.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.cli import render
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.diff import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.store.dirindex import DirectoryEntry
    from mlbfs.workspace.contentdiff import ChunkDifference, Readable
    from mlbfs.workspace.diff import Change

LETTERS = {
    ChangeKind.ADDED: "A",
    ChangeKind.MODIFIED: "M",
    ChangeKind.DELETED: "D",
    ChangeKind.TYPE_CHANGED: "T",
    ChangeKind.MODE_CHANGED: "X",
}

_MODES = {
    EntryKind.FILE: "100644",
    EntryKind.EXECUTABLE: "100755",
    EntryKind.SYMLINK: "120000",
    EntryKind.DIRECTORY: "040000",
    EntryKind.SUBMODULE: "160000",
}


def change_json(change: Change) -> dict[str, object]:
    """Returns what programs are told of a change."""
    return {
        "path": render.path_text(change.path),
        "change": str(change.kind),
        "old": _side_json(change.old),
        "new": _side_json(change.new),
    }


def _side_json(entry: DirectoryEntry | None) -> dict[str, object] | None:
    if entry is None:
        return None
    return {"kind": entry.kind.name.lower(), "size": entry.size, "content": entry.content.hex()}


def show_difference(
    change: Change,
    open_old: Callable[[DirectoryEntry], Readable],
    open_new: Callable[[Change], Readable],
) -> None:
    """Writes one change: text as a unified diff, everything else as sizes and chunks."""
    path = render.quoted(change.path)
    for line in _mode_lines(change):
        render.out(f"{path}: {line}")
    if change.kind is ChangeKind.MODE_CHANGED:
        return
    if any(e is not None and e.kind is EntryKind.SUBMODULE for e in (change.old, change.new)):
        render.out(f"{path}: submodule {_content(change.old)} -> {_content(change.new)}")
        return
    # Late: it loads libgit2, and a list of changes needs none of it.
    from mlbfs.workspace.contentdiff import TextDifference, compare

    found = compare(
        open_old(change.old) if change.old is not None else None,
        open_new(change) if change.new is not None else None,
    )
    if isinstance(found, TextDifference):
        render.out(f"--- {_side(b'a/', change)}" if change.old is not None else "--- /dev/null")
        render.out(f"+++ {_side(b'b/', change)}" if change.new is not None else "+++ /dev/null")
        render.out_content(found.hunks)
        return
    render.out(f"{path}: {_sizes(change)}; {_chunks(change, found)}")


def _side(prefix: bytes, change: Change) -> str:
    return render.quoted(prefix + change.path)


def _mode_lines(change: Change) -> list[str]:
    if change.old is None or change.new is None or change.old.kind is change.new.kind:
        return []
    return [f"mode {_MODES[change.old.kind]} -> {_MODES[change.new.kind]}"]


def _sizes(change: Change) -> str:
    if change.old is None:
        return f"new, {_size(change.new)}"
    if change.new is None:
        return f"deleted, {_size(change.old)}"
    return f"{_size(change.old)} -> {_size(change.new)}"


def _chunks(change: Change, found: ChunkDifference) -> str:
    if change.new is None:
        return render.count_text(found.old_chunks, "chunk")
    chunks = render.count_text(found.new_chunks, "chunk")
    if change.old is None:
        return chunks
    return f"{found.new_chunks - found.shared:,} of {chunks} new"


def _size(entry: DirectoryEntry | None) -> str:
    return render.size_text(entry.size) if entry is not None else ""


def _content(entry: DirectoryEntry | None) -> str:
    return entry.content.hex()[:10] if entry is not None else "(none)"
