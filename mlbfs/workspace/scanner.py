"""Walks a folder of the host in path order and says what an import can keep.

Owns: which kinds of host entries are kept, skipped and named.
Layer: workspace. Reads the host's file system; never the repository.

Invariants:
  I1. Entries come depth first, names in byte order, so that what lies together in the source
      lies together in the packs.
  I2. Every entry that is not kept is named in `Skipped`; nothing is left out in silence.

Concurrency: a scan is consumed by one thread at a time.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError, StorageError
from mlbfs.git.names import is_gitmodules, is_hostile_name
from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.store.filestamp import stamp_of
from mlbfs.store.kernels import list_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


class SkipReason(StrEnum):
    """Why an entry of the source is not kept."""

    FIFO = "fifo"
    SOCKET = "socket"
    DEVICE = "device"
    GIT_FOLDER = "git-folder"
    REFUSED_NAME = "refused-name"
    EMPTY_FOLDER = "empty-folder"


@dataclass(frozen=True, slots=True)
class Skipped:
    """One entry that is not kept, by its path inside the tree."""

    path: bytes
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file: where it goes, where it is, its size when seen, and its stamp."""

    path: bytes
    host: bytes
    size: int
    stamp: bytes


@dataclass(frozen=True, slots=True)
class FoundSymlink:
    """A symbolic link and its target, byte for byte."""

    path: bytes
    target: bytes


Found = FoundFile | FoundSymlink | Skipped

_SPECIAL = {
    stat.S_IFIFO: SkipReason.FIFO,
    stat.S_IFSOCK: SkipReason.SOCKET,
    stat.S_IFBLK: SkipReason.DEVICE,
    stat.S_IFCHR: SkipReason.DEVICE,
}


def unreadable(host: bytes, err: OSError) -> StorageError:
    """Returns the error for a source that cannot be read."""
    name = os.fsdecode(host)
    return StorageError(
        f"cannot read {name!r}: {err.strerror}",
        kind=ErrorKind.SOURCE_UNREADABLE,
        hint="make it readable, or leave it out of the import",
    )


def _refusal(name: bytes) -> SkipReason | None:
    """Returns why Git keeps no entry of this name: it could reach into `.git` on checkout."""
    if not is_hostile_name(name):
        return None
    return SkipReason.GIT_FOLDER if name.lower() == b".git" else SkipReason.REFUSED_NAME


def scan(host: bytes, path: bytes) -> Iterator[Found]:
    """Yields what lies at `host`, named as it will be named at `path` in the tree.

    Raises:
        NotFoundError: The source does not exist.
        StorageError: A folder or entry cannot be read; its name is in the message.
    """
    try:
        status = os.lstat(host)
    except FileNotFoundError:
        raise NotFoundError(
            f"source {os.fsdecode(host)!r} does not exist", kind=ErrorKind.PATH_NOT_FOUND
        ) from None
    except OSError as err:
        raise unreadable(host, err) from err
    if stat.S_ISDIR(status.st_mode):
        yield from _scan_folder(host, path)
    else:
        yield _leaf(host, path, status.st_mode, status.st_size, stamp_of(status))


def _leaf(host: bytes, path: bytes, mode: int, size: int, stamp: bytes) -> Found:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return FoundFile(path, host, size, stamp)
    if kind == stat.S_IFLNK:
        if is_gitmodules(path.rpartition(b"/")[2]):  # Git refuses such a tree
            return Skipped(path, SkipReason.REFUSED_NAME)
        return FoundSymlink(path, _read_link(host))
    return Skipped(path, _SPECIAL[kind])


def _scan_folder(host: bytes, path: bytes) -> Iterator[Found]:
    # A stack of listings, not recursion: a path may be 2,000 folders deep.
    listing = _list(host)
    if not listing:
        yield Skipped(path, SkipReason.EMPTY_FOLDER)
    stack = [(host, path + b"/" if path else b"", _taken(listing))]
    while stack:
        folder, prefix, entries = stack[-1]
        for name, mode, size, stamp in entries:
            where = prefix + name
            child = folder + b"/" + name
            refusal = _refusal(name)
            if refusal is not None:
                yield Skipped(where, refusal)
                continue
            if not mode:
                raise _vanished(child, -size)
            if not stat.S_ISDIR(mode):
                yield _leaf(child, where, mode, size, stamp)
                continue
            listing = _list(child)
            if listing:
                stack.append((child, where + b"/", _taken(listing)))
                break
            yield Skipped(where, SkipReason.EMPTY_FOLDER)
        else:
            stack.pop()


def _taken(entries: list[tuple[bytes, int, int, bytes]]) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Yields the entries and lets go of each: a folder may have millions."""
    entries.reverse()
    while entries:
        yield entries.pop()


def _list(host: bytes) -> list[tuple[bytes, int, int, bytes]]:
    """Returns name, mode, size and stamp of what is in a folder, in order (I1)."""
    # One call for the whole folder: a lock of the interpreter taken and given back for every
    # entry would have to be fought for with the threads that hash.
    status, entries = list_folder(host)
    if status:
        raise _vanished(host, -status)
    return entries


def _vanished(host: bytes, error: int) -> StorageError:
    if error == errno.ENOENT:
        return StorageError(
            f"{os.fsdecode(host)!r} vanished while it was imported",
            kind=ErrorKind.SOURCE_CHANGED,
            hint="run the import again when nothing writes to the source",
        )
    return unreadable(host, OSError(error, os.strerror(error)))


def _read_link(host: bytes) -> bytes:
    try:
        return os.readlink(host)  # noqa: PTH115 - and so are targets
    except OSError as err:
        raise _vanished(host, err.errno or errno.EIO) from err


def parse_tree_path(text: str | bytes) -> bytes:
    """Parses a path inside a tree, as people type it; b"" is the root.

    Raises:
        InvalidInputError: A part is empty, `.`, `..`, `.git` or too long.
    """
    raw = os.fsencode(text)
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    for part in parts:
        if is_hostile_name(part) or len(part) > MAX_NAME_LENGTH:
            raise InvalidInputError(
                f"{os.fsdecode(raw)!r} is not a path that a tree can hold",
                kind=ErrorKind.INVALID_PATH,
            )
    return b"/".join(parts)
