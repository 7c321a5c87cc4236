"""The values that travel over the control socket, as JSON.

Owns: the JSON form of changes, statuses and signatures.
Layer: mount. Imports workspace values; pure.

Paths are bytes and JSON has text only: bytes that are not UTF-8 travel as lone surrogates, which
JSON can write, and come back as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.git.commits import Signature
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.workspace.diff import Change, ChangeKind
from mlbfs.workspace.report import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlbfs.mount.wire import Json
    from mlbfs.workspace.commit import CommitResult
    from mlbfs.workspace.restoring import Restored

CHANGES_PER_ITEM = 1000
"""Changes in one line of an answer, far below the limit of a line."""


def encode_path(path: bytes) -> str:
    """Returns a path as text that `decode_path` takes back."""
    return path.decode("utf-8", "surrogateescape")


def decode_path(text: str) -> bytes:
    """Returns the path that `encode_path` was given."""
    return text.encode("utf-8", "surrogateescape")


def encode_change(change: Change) -> Json:
    """Returns the JSON form of a change."""
    return {
        "path": encode_path(change.path),
        "kind": change.kind.value,
        "old": _encode_entry(change.old),
        "new": _encode_entry(change.new),
    }


def decode_change(value: Json) -> Change:
    """Returns the change that `encode_change` was given."""
    path = decode_path(value["path"])
    name = path.rpartition(b"/")[2]
    return Change(
        path,
        ChangeKind(value["kind"]),
        _decode_entry(name, value["old"]),
        _decode_entry(name, value["new"]),
    )


def encode_status(status: Status) -> tuple[Json, Iterator[list[Json]]]:
    """Returns the short part of a status, and its changes in pieces."""
    head = {
        "changes": len(status.changes),
        "empty_directories": [encode_path(path) for path in status.empty_directories],
        "special": [encode_path(path) for path in status.special],
        "refused": [encode_path(path) for path in status.refused],
        "ignored": [encode_path(path) for path in status.ignored],
    }
    return head, _pieces(status.changes)


def decode_status(head: Json, pieces: Iterable[list[Json]]) -> Status:
    """Returns the status that `encode_status` was given."""
    return Status(
        [decode_change(value) for piece in pieces for value in piece],
        [decode_path(text) for text in head["empty_directories"]],
        [decode_path(text) for text in head["special"]],
        [decode_path(text) for text in head["refused"]],
        [decode_path(text) for text in head["ignored"]],
    )


def encode_commit_result(done: CommitResult) -> Json:
    """Returns the JSON form of what a commit recorded."""
    return {
        "commit": done.commit.id.hex(),
        "added": done.added,
        "modified": done.modified,
        "deleted": done.deleted,
        "new_bytes": done.new_bytes,
        "skipped_empty": [encode_path(path) for path in done.skipped_empty],
        "skipped_special": [encode_path(path) for path in done.skipped_special],
        "skipped_refused": [encode_path(path) for path in done.skipped_refused],
        "hardlinks_split": [encode_path(path) for path in done.hardlinks_split],
        "carried_from": None if done.carried_from is None else done.carried_from.id.hex(),
    }


def encode_restored(done: Restored) -> Json:
    """Returns the JSON form of what was put back."""
    return {
        "paths": [encode_path(path) for path in done.paths],
        "kept": [encode_path(path) for path in done.kept],
        "savepoint": None if done.savepoint is None else done.savepoint.number,
    }


def encode_signature(signature: Signature) -> Json:
    """Returns the JSON form of a person and a moment."""
    return {
        "name": encode_path(signature.name.encode("utf-8", "surrogateescape")),
        "email": signature.email,
        "time": signature.time,
        "offset": signature.offset,
    }


def decode_signature(value: Json) -> Signature:
    """Returns the signature that `encode_signature` was given."""
    return Signature(value["name"], value["email"], int(value["time"]), int(value["offset"]))


def _pieces(changes: list[Change]) -> Iterator[list[Json]]:
    for start in range(0, len(changes), CHANGES_PER_ITEM):
        yield [encode_change(change) for change in changes[start : start + CHANGES_PER_ITEM]]


def _encode_entry(entry: DirectoryEntry | None) -> Json | None:
    if entry is None:
        return None
    return {"kind": int(entry.kind), "size": entry.size, "content": entry.content.hex()}


def _decode_entry(name: bytes, value: Json | None) -> DirectoryEntry | None:
    if value is None:
        return None
    content = bytes.fromhex(value["content"])
    return DirectoryEntry(name, EntryKind(value["kind"]), int(value["size"]), content)
