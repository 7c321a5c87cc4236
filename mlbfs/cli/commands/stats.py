"""`mlbfs stats`: shows sizes, and what deduplication and compression save."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.store.chunkstore import StoreStatistics
    from mlbfs.workspace.disk import DiskUsage
    from mlbfs.workspace.usage import Usage


@named("stats")
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """Show what the branches hold, what of it is unique, and what the repository takes on disk

    \b
    files, bytes   all branches together, as if each were a copy of its own
    unique         after deduplication: every distinct chunk, and every distinct text in Git, once
      chunks       their length, and what they take in packs after compression
      other        text that lies in Git and content that Git LFS keeps, by its length
    on disk        the whole Git directory as 'du' counts it, and what of it is what

    For each branch: what no other branch has, and what it shares with others, of the unique bytes.
    """  # noqa: D301 - click reads the backspace
    with context.repository() as repository, render.progress("counting") as show:
        usage = repository.usage(lambda files: show(f"{files:,} distinct files"))
        store = repository.store.statistics()
        disk = repository.disk_usage()
    if as_json:
        render.out_json(_json(usage, store, disk))
    else:
        _show(usage, store, disk)


def _show(usage: Usage, store: StoreStatistics, disk: DiskUsage) -> None:
    size = render.size_text
    rows = [
        ("files", f"{usage.files:,}", f"on {_branches(len(usage.branches))}"),
        ("bytes", size(usage.size), ""),
        (
            "unique",
            size(usage.unique_bytes),
            f"deduplication saves {size(usage.saved_by_deduplication)}"
            f" ({_percent(usage.saved_by_deduplication, usage.size)})",
        ),
        ("  chunks", size(usage.chunk_bytes), _compression(usage)),
        ("  other", size(usage.git_bytes), "text in Git and content of Git LFS, by its length"),
        ("on disk", size(disk.total), "all of the Git directory"),
        ("  packs", size(disk.packs), _packs(usage, store, disk)),
        ("  index", size(disk.index), f"of {render.count_text(store.chunks, 'chunk')}"),
        ("  workspaces", size(disk.workspaces), "work that was not committed, and its reserve"),
        ("  Git objects", size(disk.git_objects), "commits, trees, text and pointers"),
        ("  Git LFS", size(disk.lfs_objects), "copies that a Git LFS client keeps"),
        ("  the rest", size(disk.other), "refs, logs, hooks"),
    ]
    optional = {"  workspaces": disk.workspaces, "  Git LFS": disk.lfs_objects}
    render.table([row for row in rows if optional.get(row[0], 1)], right=frozenset({1}))
    if usage.branches:
        render.out()
        branches = [
            (b.name, f"{b.files:,}", size(b.size), size(b.exclusive), size(b.shared))
            for b in usage.branches
        ]
        header = ("branch", "files", "bytes", "exclusive", "shared")
        render.table([header, *branches], right=frozenset({1, 2, 3, 4}))


def _compression(usage: Usage) -> str:
    stored = f"stored in {render.size_text(usage.stored_bytes)}"
    saved = usage.saved_by_compression
    if saved < 0:  # content that does not compress, and what each record says of itself
        return f"{stored}: nothing to compress; records add {render.size_text(-saved)}"
    percent = _percent(saved, usage.chunk_bytes)
    return f"{stored}: compression saves {render.size_text(saved)} ({percent})"


def _packs(usage: Usage, store: StoreStatistics, disk: DiskUsage) -> str:
    rest = render.size_text(max(0, disk.packs - usage.stored_bytes))
    packs = render.count_text(store.packs, "pack")
    return f"{packs}: these chunks, and {rest} of recipes, tables and what no branch has"


def _branches(number: int) -> str:
    return render.count_text(number, "branch", "branches")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _json(usage: Usage, store: StoreStatistics, disk: DiskUsage) -> dict[str, object]:
    return {
        "files": usage.files,
        "bytes": usage.size,
        "unique_bytes": usage.unique_bytes,
        "chunk_bytes": usage.chunk_bytes,
        "git_bytes": usage.git_bytes,
        "stored_bytes": usage.stored_bytes,
        "saved_by_deduplication": usage.saved_by_deduplication,
        "saved_by_compression": usage.saved_by_compression,
        "store": {
            "files": store.files,
            "chunks": store.chunks,
            "packs": store.packs,
            "pack_bytes": store.pack_bytes,
            "directories": store.directories,
            "index_bytes": store.index_bytes,
        },
        "disk": {
            "total": disk.total,
            "packs": disk.packs,
            "index": disk.index,
            "workspaces": disk.workspaces,
            "git_objects": disk.git_objects,
            "lfs_objects": disk.lfs_objects,
            "other": disk.other,
        },
        "branches": [
            {
                "name": branch.name,
                "files": branch.files,
                "bytes": branch.size,
                "exclusive_bytes": branch.exclusive,
                "shared_bytes": branch.shared,
            }
            for branch in usage.branches
        ],
    }
