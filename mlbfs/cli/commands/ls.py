"""`mlbfs ls`: lists a folder of any ref, without a mount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.mounts import chosen_place, default_place
from mlbfs.cli.params import REF, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.cli.context import Context
    from mlbfs.store.dirindex import DirectoryEntry
    from mlbfs.workspace.snapshot import Snapshot

_LETTERS = {"FILE": "-", "EXECUTABLE": "x", "SYMLINK": "l", "DIRECTORY": "d", "SUBMODULE": "m"}


@named("ls")
@click.argument("where", metavar="[REF[:PATH] | PATH]", required=False, type=REF)
@click.option("--long", "-l", is_flag=True, help="Show kind, size and content id")
@click.option("--recursive", "-r", is_flag=True, help="List what is below, too")
@json_option
@click.pass_obj
def command(
    context: Context, where: str | None, long: bool, recursive: bool, as_json: bool
) -> None:
    """List a folder or file of a branch, tag or commit, without mounting it

    The kinds of -l: - file, x executable file, d folder, l symbolic link, m submodule.
    """
    with context.repository() as repository:
        place = chosen_place(repository, where) if where else default_place(repository)
        snapshot = repository.snapshot(place.spec)
        entries = _entries(snapshot, place.path, recursive=recursive)
        if as_json:
            render.out_json([_json(path, entry) for path, entry in entries])
            return
        for path, entry in entries:
            name = render.quoted(path + b"/" if entry.is_directory else path)
            render.out(f"{_columns(entry)}  {name}" if long else name)


def _entries(
    snapshot: Snapshot, path: bytes, *, recursive: bool
) -> Iterator[tuple[bytes, DirectoryEntry]]:
    entry = snapshot.find(path)
    if not entry.is_directory:
        yield path, entry
    elif recursive:
        yield from snapshot.walk(path)
    else:
        for child in snapshot.list(path):
            yield child.name, child


def _columns(entry: DirectoryEntry) -> str:
    size = "" if entry.is_directory else render.size_text(entry.size)
    return f"{_LETTERS[entry.kind.name]}  {size:>9}  {entry.content.hex()[:10]}"


def _json(path: bytes, entry: DirectoryEntry) -> dict[str, object]:
    return {
        "path": render.path_text(path),
        "kind": entry.kind.name.lower(),
        "size": entry.size,
        "sha256": entry.file_id.hex() if entry.file_id is not None else None,
        "object": entry.object_id.hex() if entry.object_id is not None else None,
    }
