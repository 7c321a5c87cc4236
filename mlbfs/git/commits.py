"""Commits and annotated tags: bytes to values and back.

Owns: the encoding of commit and tag objects, and how a person's name is made fit for them.
Layer: git. Pure: no files, no clock. Format: docs/format/objects-git.md.

Reading is lenient (history comes from many tools); writing passes `git fsck --strict`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from mlbfs.errors import CorruptionError, ErrorKind, InvalidInputError
from mlbfs.ids import ObjectId, parse_object_id


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as Git names one."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Signature(Identity):
    """A person and a moment.

    Attributes:
        time: Seconds since 1970.
        offset: Minutes east of UTC.
    """

    time: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit.

    Attributes:
        message: Decoded for people; bytes that cannot be decoded are replaced.
        message_bytes: As stored.
    """

    id: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]
    author: Signature
    committer: Signature
    message: str
    message_bytes: bytes = field(repr=False, default=b"")

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.lstrip("\n").partition("\n")[0].strip()


class CommitNode(NamedTuple):
    """What walking history needs of a commit."""

    id: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]
    time: int


@dataclass(frozen=True, slots=True)
class TagObject:
    """One annotated tag.

    Attributes:
        kind: Type of the target: commit, tree, blob or tag.
        tagger: None in some very old tags.
    """

    id: ObjectId
    target: ObjectId
    kind: str
    name: str
    tagger: Signature | None
    message: str


_CRUD = "".join(map(chr, range(33))) + ".,:;<>\"\\'"
_UNWRITABLE = re.compile("[\0\n<>]")
_SIGNATURE = re.compile(rb"(.*?) ?<([^<>]*)>(?: +(-?[0-9]+)(?: +([+-])([0-9]{2})([0-9]{2}))?)?.*")


def clean_identity(name: str, email: str) -> Identity:
    """Returns a person without the characters that Git drops from names.

    Raises:
        InvalidInputError: Nothing is left of the name.
    """
    clean = _UNWRITABLE.sub("", name).strip(_CRUD)
    if not clean:
        raise InvalidInputError(
            f"{name!r} is not a usable name for an author",
            hint="git config --global user.name 'Your Name'",
        )
    return Identity(clean, _UNWRITABLE.sub("", email).strip(_CRUD))


def encode_signature(signature: Signature) -> bytes:
    """Encodes `name <email> time zone`.

    Raises:
        InvalidInputError: The name is empty, or the time lies before 1970.
    """
    person = clean_identity(signature.name, signature.email)
    if signature.time < 0 or abs(signature.offset) >= 100 * 60:
        raise InvalidInputError(f"Git cannot keep the time {signature.time}")
    sign = "-" if signature.offset < 0 else "+"
    hours, minutes = divmod(abs(signature.offset), 60)
    zone = f"{sign}{hours:02}{minutes:02}"
    return _encoded(f"{person.name} <{person.email}> {signature.time} {zone}", "name")


def parse_signature(data: bytes, encoding: str = "utf-8") -> Signature:
    """Parses what some tool wrote; what is missing is empty or zero."""
    match = _SIGNATURE.match(data)
    if match is None:
        return Signature(_decoded(data, encoding).strip(), "", 0)
    name, email, time, sign, hours, minutes = match.groups()
    offset = (int(hours) * 60 + int(minutes)) * (-1 if sign == b"-" else 1) if hours else 0
    return Signature(
        _decoded(name, encoding), _decoded(email, encoding), int(time) if time else 0, offset
    )


def encode_commit(
    *,
    tree: ObjectId,
    parents: tuple[ObjectId, ...],
    author: Signature,
    committer: Signature,
    message: str | bytes,
) -> bytes:
    """Encodes a commit object.

    Raises:
        InvalidInputError: A person, a time or the message cannot be kept by Git.
    """
    lines = [b"tree " + tree.hex().encode()]
    lines += [b"parent " + parent.hex().encode() for parent in dict.fromkeys(parents)]
    lines.append(b"author " + encode_signature(author))
    lines.append(b"committer " + encode_signature(committer))
    return b"\n".join(lines) + b"\n\n" + _encoded_message(message)


def parse_commit(oid: ObjectId, data: bytes) -> Commit:
    """Parses a commit object.

    Raises:
        CorruptionError: There is no tree, or an id cannot be parsed.
    """
    headers, message = _split_headers(oid, data)
    encoding = _first(headers, b"encoding", b"utf-8").decode("ascii", "replace")
    return Commit(
        oid,
        _header_id(oid, headers, b"tree"),
        tuple(_object_id(oid, value) for key, value in headers if key == b"parent"),
        parse_signature(_first(headers, b"author"), encoding),
        parse_signature(_first(headers, b"committer"), encoding),
        _decoded(message, encoding),
        message,
    )


def encode_tag(
    *, target: ObjectId, kind: str, name: str, tagger: Signature, message: str | bytes
) -> bytes:
    """Encodes an annotated tag object.

    Raises:
        InvalidInputError: The tagger or the message cannot be kept by Git.
    """
    head = f"object {target.hex()}\ntype {kind}\ntag {name}\ntagger "
    return _encoded(head, "tag") + encode_signature(tagger) + b"\n\n" + _encoded_message(message)


def parse_tag(oid: ObjectId, data: bytes) -> TagObject:
    """Parses an annotated tag object.

    Raises:
        CorruptionError: There is no target, or its id cannot be parsed.
    """
    headers, message = _split_headers(oid, data)
    tagger = _first(headers, b"tagger")
    return TagObject(
        oid,
        _header_id(oid, headers, b"object"),
        _first(headers, b"type", b"commit").decode("ascii", "replace"),
        _decoded(_first(headers, b"tag"), "utf-8"),
        parse_signature(tagger) if tagger else None,
        _decoded(message, "utf-8"),
    )


def clean_message(text: str) -> str:
    """Returns a message as `git commit` keeps it.

    Blanks at line ends, runs of empty lines, and empty lines at both ends are dropped; a message
    that is not empty ends in a newline.
    """
    lines = [line.rstrip() for line in text.split("\n")]
    kept = [line for before, line in zip(["", *lines], lines, strict=False) if line or before]
    body = "\n".join(kept).strip("\n")
    return body + "\n" if body else ""


def _split_headers(oid: ObjectId, data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    head, separator, message = data.partition(b"\n\n")
    if not separator and not data.endswith(b"\n"):
        raise _corrupt(oid)
    headers: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" "):  # goes on a signature or a merged tag, which we do not read
            continue
        key, _, value = line.partition(b" ")
        headers.append((key, value))
    return headers, message


def _first(headers: list[tuple[bytes, bytes]], key: bytes, default: bytes = b"") -> bytes:
    return next((value for name, value in headers if name == key), default)


def _header_id(oid: ObjectId, headers: list[tuple[bytes, bytes]], key: bytes) -> ObjectId:
    return _object_id(oid, _first(headers, key))


def _object_id(oid: ObjectId, text: bytes) -> ObjectId:
    try:
        return parse_object_id(text.decode("ascii", "replace"))
    except InvalidInputError as err:
        raise _corrupt(oid) from err


def _corrupt(oid: ObjectId) -> CorruptionError:
    return CorruptionError(
        f"Git object {oid.hex()} cannot be parsed",
        kind=ErrorKind.CORRUPT_OBJECT,
        hint="run 'git fsck' to see what is damaged",
    )


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as err:
        raise InvalidInputError(f"the {what} is not valid text") from err


def _encoded_message(message: str | bytes) -> bytes:
    data = message if isinstance(message, bytes) else _encoded(message, "message")
    if b"\0" in data:
        raise InvalidInputError("a message cannot hold a NUL character")
    return data if data.endswith(b"\n") or not data else data + b"\n"
