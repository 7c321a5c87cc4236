"""Calls of merge drivers without a repository, for tests of drivers."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.git.trees import MODE_FILE
from mlbfs.ids import ObjectId
from mlbfs.merge.driver import (
    Data,
    FileAt,
    MergeCall,
    Pieces,
    Span,
    Take,
    parse_choice,
)
from mlbfs.merge.registry import load_driver
from mlbfs.merge.versions import Side, Version
from mlbfs.workspace.source import BytesReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlbfs.merge.driver import Content, MergeResult, Piece


class Inputs:
    """Files in memory, by side and path."""

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._files: dict[tuple[Side, bytes], Version] = {}
        self.times: dict[Side, int] = {}

    def put(self, side: Side, path: bytes, data: bytes) -> Version:
        content = hashlib.sha256(data).digest()
        self._data[content] = data
        version = Version(MODE_FILE, ObjectId(content[:20]), content, len(data))
        self._files[side, path] = version
        return version

    def open(self, version: Version) -> BytesReader:
        return BytesReader(self._data[version.content])

    def find(self, side: Side, path: bytes) -> Version | None:
        return self._files.get((side, path))

    def changed_at(self, side: Side, path: bytes) -> int:
        return self.times.get(side, 0)


class Merged:
    """What a driver made of three versions.

    Attributes:
        data: The merged bytes; None if the path goes.
        conflicts: What it told.
        beside: What it put beside, by path.
    """

    def __init__(self, call: MergeCall, result: MergeResult) -> None:
        self.result = result
        self.data = content_bytes(call, result.content)
        self.conflicts = result.conflicts
        self.beside = {path: content_bytes(call, one) for path, one in result.beside.items()}
        self.note = result.note

    @property
    def open_conflicts(self) -> list[object]:
        return [found for found in self.conflicts if found.settled is None]


def content_bytes(call: MergeCall, content: Content) -> bytes | None:
    match content:
        case Take(side):
            return None if call.version(side) is None else call.read(side)
        case Data(data):
            return data
        case FileAt(path):
            assert path.is_relative_to(call.scratch), "files are written in scratch"
            return path.read_bytes()
        case Pieces(parts):
            return b"".join(_piece_bytes(call, one) for one in parts)
    return None


def _piece_bytes(call: MergeCall, piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, Span):
        return call.read(piece.side)[piece.start : piece.stop]
    assert piece.path.is_relative_to(call.scratch), "files are written in scratch"
    return piece.path.read_bytes()[piece.start : piece.stop]


def merge(
    choice: str,
    base: bytes | None,
    ours: bytes,
    theirs: bytes,
    *,
    path: bytes = b"file",
    others: Mapping[tuple[Side, bytes], bytes] | None = None,
    times: Mapping[Side, int] | None = None,
    labels: Mapping[Side, str] | None = None,
) -> Merged:
    """Merges three versions with a driver, as `merge=` names it."""
    inputs = Inputs()
    for (side, name), data in (others or {}).items():
        inputs.put(side, name, data)
    inputs.times = dict(times or {})
    with tempfile.TemporaryDirectory() as scratch:
        call = MergeCall(
            path,
            inputs.put(Side.OURS, path, ours),
            inputs.put(Side.THEIRS, path, theirs),
            None if base is None else inputs.put(Side.BASE, path, base),
            parse_choice(choice),
            inputs,
            Path(scratch),
            **({} if labels is None else {"labels": labels}),
        )
        return Merged(call, load_driver(call.choice.name).merge(call))
