"""The format file: which format the store has and what a reader must understand.

Text, ASCII, one `key value` pair per line; the first line is the magic and the version. The page
docs/format/format-file.md is normative.

    mlbfs-format 1
    required <feature>       any number of times; unknown to the reader: refuse
    optional <feature>       any number of times; unknown to the reader: ignore
    chunker gear-1 16384 65536 262144

Owns: the file and the rule of what is refused.
Layer: store. Imports the leaves and files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlbfs.errors import ErrorKind, FormatError, FormatVersionError, NotFoundError, storage_error
from mlbfs.limits import MAX_CHUNK_SIZE, MIN_CHUNK_SIZE, TARGET_CHUNK_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.store.files import Files

MAGIC = "mlbfs-format"
VERSION = 1
FILE_NAME = "format"
MAX_FILE_SIZE = 64 * 1024
"""A longer file is not a format file; it is not read whole."""

CHUNKER = f"gear-1 {MIN_CHUNK_SIZE} {TARGET_CHUNK_SIZE} {MAX_CHUNK_SIZE}"
"""Chunker and its parameters. Other ones would still read, but no longer deduplicate."""

MIDSTATES = "sha256-midstates"
"""Feature: there may be recipe roots of version 2."""

KNOWN_FEATURES = frozenset({MIDSTATES})
"""Required features that this version understands."""


@dataclass(frozen=True, slots=True)
class StoreFormat:
    """What a format file says.

    Attributes:
        version: Version of the format.
        required: Features that a reader must understand.
        optional: Features that a reader may ignore.
        chunker: Chunker and its parameters.
    """

    version: int = VERSION
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    chunker: str = CHUNKER


def encode_format(value: StoreFormat) -> bytes:
    """Returns the text of a format file."""
    lines = [f"{MAGIC} {value.version}"]
    lines += [f"required {feature}" for feature in value.required]
    lines += [f"optional {feature}" for feature in value.optional]
    lines += [f"chunker {value.chunker}", ""]
    return "\n".join(lines).encode("ascii")


def parse_format(data: bytes) -> StoreFormat:
    """Parses a format file.

    Raises:
        FormatError: It is not one.
        FormatVersionError: It is newer than this mlbfs, or asks for something unknown.
    """
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as err:
        raise _bad("it is not ASCII text") from err
    version = _parse_version(lines[0] if lines else "")
    required, optional, chunkers = [], [], []
    for line in lines[1:]:
        key, _, value = line.partition(" ")
        if key == "required":
            required.append(value)
        elif key == "optional":
            optional.append(value)
        elif key == "chunker":
            chunkers.append(value)
        else:
            raise _bad(f"unknown line {line!r}")
    if len(chunkers) != 1:
        raise _bad("it must name one chunker")
    _check_features(required, chunkers[0])
    return StoreFormat(version, tuple(required), tuple(optional), chunkers[0])


def _parse_version(line: str) -> int:
    magic, _, number = line.partition(" ")
    if magic != MAGIC or not number.isdecimal():
        raise _bad(f"it begins with {line[:40]!r}")
    version = int(number)
    if version > VERSION:
        raise FormatVersionError(
            f"the repository has format {version}; this mlbfs reads format {VERSION}",
            kind=ErrorKind.FORMAT_TOO_NEW,
            hint="update mlbfs: pip install --upgrade mlbfs",
        )
    if version != VERSION:
        raise FormatVersionError(
            f"the repository has format {version}, which never existed",
            kind=ErrorKind.FORMAT_UNKNOWN,
        )
    return version


def _check_features(required: list[str], chunker: str) -> None:
    unknown = sorted(set(required) - KNOWN_FEATURES)
    if not unknown and chunker != CHUNKER:
        unknown = [f"chunker {chunker}"]
    if unknown:
        raise FormatVersionError(
            f"the repository needs {', '.join(map(repr, unknown))}, unknown to this mlbfs",
            kind=ErrorKind.FORMAT_UNKNOWN,
            hint="update mlbfs: pip install --upgrade mlbfs",
        )


def read_format(root: Path) -> StoreFormat:
    """Reads the format file of a store.

    Raises:
        NotFoundError: There is no store at `root` (NOT_MLBFS).
        FormatError: The file is damaged.
        FormatVersionError: This mlbfs cannot read the store.
    """
    path = root / FILE_NAME
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_SIZE)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise not_adopted(root) from err
    except OSError as err:
        raise storage_error(err, f"format file {str(path)!r}") from err
    try:
        return parse_format(data)
    except FormatError as err:
        raise FormatError(
            f"format file {str(path)!r}: {err.message}",
            hint=f"this version of mlbfs writes two lines into it, '{MAGIC} {VERSION}' and"
            f" 'chunker {CHUNKER}'; put them back, then run 'mlbfs fsck'",
        ) from err


def not_adopted(root: Path) -> NotFoundError:
    """Returns the error for a Git repository that has no store at `root`."""
    return NotFoundError(
        f"the Git repository {str(root.parent)!r} is not an mlbfs repository yet",
        kind=ErrorKind.NOT_MLBFS,
        hint="adopt it with 'mlbfs init'",
    )


def write_format(root: Path, files: Files) -> None:
    """Writes the format file of a new store; durable when it returns."""
    path = root / FILE_NAME
    try:
        files.write_new(path, encode_format(StoreFormat()))
    except OSError as err:
        raise storage_error(err, f"format file {str(path)!r}") from err


def require_feature(root: Path, feature: str, files: Files) -> None:
    """Notes that readers of a store must understand a feature; durable when it returns.

    Two writers may do so at once: they write the same file, as long as there is one feature.

    Raises:
        StorageError: The device failed.
        FormatError: The file is damaged.
    """
    found = read_format(root)
    if feature in found.required:
        return
    path = root / FILE_NAME
    try:
        files.write_new(path, encode_format(replace(found, required=(*found.required, feature))))
    except OSError as err:
        raise storage_error(err, f"format file {str(path)!r}") from err


def _bad(what: str) -> FormatError:
    return FormatError(f"format file: {what}", kind=ErrorKind.FORMAT_INVALID)
