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
    from mlbfs.workspace.usage import Usage


@named("stats")
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """Show what the branches hold, what of it is unique, and what it takes on disk

    \b
    files, bytes   all branches together, as if each were a copy of its own
    unique         after deduplication: every distinct chunk, and every distinct file in Git, once
    stored         after compression: what these take in packs (files in Git by their length)
    on disk        all of .git/mlbfs: older versions and the chunk index too

    For each branch: what no other branch has, and what it shares with others, of the unique bytes.
    """  # noqa: D301 - click reads the backspace
    with context.repository() as repository, render.progress("counting") as show:
        usage = repository.usage(lambda files: show(f"{files:,} distinct files"))
        store = repository.store.statistics()
    if as_json:
        render.out_json(_json(usage, store))
    else:
        _show(usage, store)


def _show(usage: Usage, store: StoreStatistics) -> None:
    size = render.size_text
    on_disk = store.pack_bytes + store.index_bytes
    render.table(
        [
            ("files", f"{usage.files:,}", f"on {_branches(len(usage.branches))}"),
            ("bytes", size(usage.size), ""),
            (
                "unique",
                size(usage.unique_bytes),
                f"deduplication saves {size(usage.saved_by_deduplication)}"
                f" ({_percent(usage.saved_by_deduplication, usage.size)})",
            ),
            (
                "stored",
                size(usage.stored_bytes),
                _compression(usage),
            ),
            (
                "on disk",
                size(on_disk),
                f"{render.count_text(store.packs, 'pack')}, {size(store.pack_bytes)};"
                f" chunk index {size(store.index_bytes)}",
            ),
        ],
        right=frozenset({1}),
    )
    if usage.branches:
        render.out()
        rows = [
            (b.name, f"{b.files:,}", size(b.size), size(b.exclusive), size(b.shared))
            for b in usage.branches
        ]
        header = ("branch", "files", "bytes", "exclusive", "shared")
        render.table([header, *rows], right=frozenset({1, 2, 3, 4}))


def _compression(usage: Usage) -> str:
    saved = usage.saved_by_compression
    if saved < 0:  # content that does not compress, and what each record says of itself
        return f"nothing to compress; records add {render.size_text(-saved)}"
    percent = _percent(saved, usage.unique_bytes)
    return f"compression saves {render.size_text(saved)} ({percent})"


def _branches(number: int) -> str:
    return render.count_text(number, "branch", "branches")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _json(usage: Usage, store: StoreStatistics) -> dict[str, object]:
    return {
        "files": usage.files,
        "bytes": usage.size,
        "unique_bytes": usage.unique_bytes,
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
