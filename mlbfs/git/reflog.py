"""Reflogs: what a ref pointed to before.

Owns: the line format, and whether a log is started. Layer: git.

    <40 hex old> SP <40 hex new> SP <name> SP '<'<email>'>' SP <time> SP <zone> TAB <message> LF

Concurrency: an entry is one O_APPEND write made while the ref is locked, as in C Git.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import storage_error
from mlbfs.git.commits import Signature, encode_signature, parse_signature
from mlbfs.git.files import make_directories, remove_empty_directories, write_all
from mlbfs.ids import OBJECT_ID_SIZE, ObjectId

if TYPE_CHECKING:
    from pathlib import Path

NULL_ID = ObjectId(bytes(OBJECT_ID_SIZE))
"""Stands for "no object" in a reflog: the ref was made or deleted."""

_ATTEMPTS = 100
"""How often a directory may be removed by others between making it and using it."""

_LINE = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\t\n]*)(?:\t([^\n]*))?\n")


@dataclass(frozen=True, slots=True)
class ReflogEntry:
    """One change of a ref; `old` or `new` is `NULL_ID` when it was made or deleted."""

    old: ObjectId
    new: ObjectId
    who: Signature
    message: str


def encode_reflog_entry(entry: ReflogEntry) -> bytes:
    """Encodes one line; the message becomes one line too."""
    message = " ".join(entry.message.split()).encode("utf-8", "surrogateescape")
    ids = f"{entry.old.hex()} {entry.new.hex()} ".encode()
    return ids + encode_signature(entry.who) + (b"\t" + message if message else b"") + b"\n"


def parse_reflog(data: bytes) -> list[ReflogEntry]:
    """Parses a log, oldest first; a line that was torn by a crash is left out."""
    return [
        ReflogEntry(
            ObjectId(bytes.fromhex(match[1].decode())),
            ObjectId(bytes.fromhex(match[2].decode())),
            parse_signature(match[3]),
            (match[4] or b"").decode("utf-8", "replace"),
        )
        for match in _LINE.finditer(data)
    ]


def append_reflog(path: Path, entry: ReflogEntry, *, top: Path, create: bool) -> None:
    """Appends an entry durably; without `create`, only to a log that exists.

    Raises:
        StorageError: The log cannot be written.
    """
    try:
        descriptor = _open_log(path, top, create=create)
    except FileNotFoundError as err:
        if create:
            raise storage_error(err, f"writing {str(path)!r}") from err
        return
    except OSError as err:
        raise storage_error(err, f"writing {str(path)!r}") from err
    try:
        write_all(descriptor, encode_reflog_entry(entry))
        os.fsync(descriptor)
    except OSError as err:
        raise storage_error(err, f"writing {str(path)!r}") from err
    finally:
        os.close(descriptor)


def _open_log(path: Path, top: Path, *, create: bool) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    if not create:
        return os.open(path, flags)
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            make_directories(path.parent, top=top)
            if path.is_dir():  # left by a deleted ref such as a/b, now that a is made
                remove_empty_directories(path)
            return os.open(path, flags | os.O_CREAT, 0o666)
    raise FileNotFoundError(errno.ENOENT, "its directory keeps being removed", str(path))
