"""Calls and answers of merge drivers as messages.

Owns: the form of both, and the rules that an answer keeps. They are checked on both ends: where a
driver runs, so that it is told which rule it broke, and where its answer is used, because the
driver's process may send what it likes.
Layer: merge.

Invariants:
  W1. An answer that was decoded is safe to store: spans lie inside their versions, files inside
      the call's scratch folder, names beside the path are names that a tree can hold.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbfs.errors import MlbfsError
from mlbfs.git.names import is_hostile_name
from mlbfs.ids import FILE_ID_SIZE, OBJECT_ID_SIZE, ObjectId
from mlbfs.limits import MAX_NAME_LENGTH
from mlbfs.merge.channel import BadMessageError
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import (
    Data,
    DriverChoice,
    FileAt,
    FileSpan,
    MergeCall,
    MergeResult,
    Pieces,
    Removed,
    Span,
    Take,
)
from mlbfs.merge.versions import Side, Version

if TYPE_CHECKING:
    from mlbfs.merge.driver import Content, Inputs, Piece

MAX_NOTE = 1000
"""Characters of a note: it is a part of one line of the commit message."""


class NonsenseError(MlbfsError):
    """A driver answered what no driver may answer; the message says what it did."""


# Calls


def encode_version(version: Version | None) -> list[Any] | None:
    """Returns the form of a version."""
    if version is None:
        return None
    return [version.mode, version.object_id.hex(), version.content.hex(), version.size]


def decode_version(value: Any) -> Version:  # noqa: ANN401 - whatever came
    """Returns a version.

    Raises:
        BadMessageError: It is none.
    """
    try:
        mode, object_id, content, size = value
        found = Version(mode, ObjectId(bytes.fromhex(object_id)), bytes.fromhex(content), size)
    except (TypeError, ValueError) as err:
        raise BadMessageError("a message has no version where it needs one") from err
    lengths = len(found.object_id), len(found.content)
    if type(mode) is not int or type(size) is not int or size < 0:
        raise BadMessageError("a message has a version without mode or size")
    if lengths not in ((OBJECT_ID_SIZE, OBJECT_ID_SIZE), (OBJECT_ID_SIZE, FILE_ID_SIZE)):
        raise BadMessageError("a message has a version with ids of no known length")
    return found


def encode_call(call: MergeCall) -> dict[str, Any]:
    """Returns the form of a call."""
    return {
        "do": "merge",
        "path": call.path.hex(),
        "versions": [encode_version(call.version(side)) for side in Side],
        "driver": [call.choice.name, *call.choice.words],
        "scratch": os.fspath(call.scratch),
        "labels": {str(side): label for side, label in call.labels.items()},
        "marker_size": call.marker_size,
        "style": call.style,
    }


def decode_call(value: dict[str, Any], inputs: Inputs) -> MergeCall:
    """Returns the call that a message of our own stands for."""
    base, ours, theirs = value["versions"]
    name, *words = value["driver"]
    return MergeCall(
        bytes.fromhex(value["path"]),
        decode_version(ours),
        decode_version(theirs),
        None if base is None else decode_version(base),
        DriverChoice(name, tuple(words)),
        inputs,
        Path(value["scratch"]),
        {Side(side): label for side, label in value["labels"].items()},
        value["marker_size"],
        value["style"],
    )


# Answers


def encode_result(result: MergeResult, call: MergeCall) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the form of an answer, and bytes that belong to it, in order.

    Raises:
        NonsenseError: It breaks a rule.
    """
    if not isinstance(result, MergeResult):
        raise NonsenseError(f"it answered {type(result).__name__} and not a result")
    data: list[bytes] = []
    try:
        value = {
            "content": _encode_content(result.content, data),
            "conflicts": [_encode_conflict(found, call) for found in result.conflicts],
            "beside": [
                [bytes(path).hex(), _encode_content(content, data)]
                for path, content in result.beside.items()
            ],
            "note": result.note,
        }
    except (TypeError, AttributeError) as err:
        raise NonsenseError(f"it answered what is no result: {err}") from err
    return value, data


def decode_result(value: Any, data: bytes, call: MergeCall) -> MergeResult:  # noqa: ANN401
    """Returns the answer to a call (W1).

    Args:
        value: What came; anything at all.
        data: The bytes that came with it.
        call: What was asked.

    Raises:
        NonsenseError: It breaks a rule.
    """
    reader = _Bytes(data)
    try:
        content = _decode_content(value["content"], reader, call)
        conflicts = tuple(_decode_conflict(one, call.path) for one in value["conflicts"])
        beside = {}
        for name, other in value["beside"]:
            path = bytes.fromhex(name)
            _check_beside(path, call.path)
            beside[path] = _decode_content(other, reader, call)
            if isinstance(beside[path], Removed):
                raise NonsenseError("it answered to remove a file beside the path")
        note = _one_line(value["note"])
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise NonsenseError(f"it answered what cannot be read: {err!r}") from err
    if reader.left:
        raise NonsenseError(f"it answered {reader.left} bytes that belong to nothing")
    return MergeResult(content, conflicts, beside, note)


def _encode_content(content: Content, data: list[bytes]) -> list[Any]:
    match content:
        case Take(side):
            return ["take", str(Side(side))]
        case Data(found):
            data.append(_bytes(found))
            return ["data", len(found)]
        case FileAt(path):
            return ["file", os.fspath(path)]
        case Pieces(parts):
            return ["pieces", [_encode_part(part, data) for part in parts]]
        case Removed():
            return ["removed"]
    raise NonsenseError(f"it answered {type(content).__name__} where content is due")


def _encode_part(part: Piece, data: list[bytes]) -> list[Any] | dict[str, Any] | int:
    if isinstance(part, Span):
        return [str(part.side), part.start, part.stop]
    if isinstance(part, FileSpan):
        return {"file": os.fspath(part.path), "start": part.start, "stop": part.stop}
    data.append(_bytes(part))
    return len(part)


def _bytes(found: object) -> bytes:
    if not isinstance(found, bytes):
        raise NonsenseError(f"it answered {type(found).__name__} where bytes are due")
    return found


def _decode_content(value: Any, data: _Bytes, call: MergeCall) -> Content:  # noqa: ANN401
    kind, *rest = value
    match kind, *rest:
        case "take", side:
            return _take(Side(side), call)
        case "data", length:
            return Data(data.take(_number(length)))
        case "file", path:
            return FileAt(_file(path, call.scratch))
        case "pieces", parts:
            return Pieces(tuple(_decode_part(part, data, call) for part in parts))
        case ("removed",):
            return Removed()
    raise NonsenseError("it answered content of no known kind")


def _take(side: Side, call: MergeCall) -> Take:
    if call.version(side) is None:
        raise NonsenseError("it took the base, and there is none")
    return Take(side)


def _decode_part(value: Any, data: _Bytes, call: MergeCall) -> Piece:  # noqa: ANN401
    if isinstance(value, dict):
        path = _file(value["file"], call.scratch)
        start, stop, size = value["start"], value["stop"], path.stat().st_size
        _check_span(start, stop, size, path.name)
        return FileSpan(path, start, stop)
    if not isinstance(value, list):
        return data.take(_number(value))
    name, start, stop = value
    side = Side(name)
    version = call.version(side)
    size = 0 if version is None else version.size
    _check_span(start, stop, size, side)
    return Span(side, start, stop)


def _check_span(start: object, stop: object, size: int, name: str) -> None:
    if not 0 <= _number(start) <= _number(stop) <= size:
        raise NonsenseError(f"it answered bytes {start} to {stop} of {name}, which has {size}")


def _file(value: Any, scratch: Path) -> Path:  # noqa: ANN401
    """Returns a regular file of the scratch folder, whatever links lead to it."""
    try:
        path, folder = Path(value).resolve(strict=True), scratch.resolve(strict=True)
        mode = path.lstat().st_mode
    except (OSError, RuntimeError) as err:
        raise NonsenseError(f"it answered a file that cannot be found: {value!r}") from err
    if not path.is_relative_to(folder):
        raise NonsenseError(f"it answered a file outside its scratch folder: {value!r}")
    if not stat.S_ISREG(mode):
        raise NonsenseError(f"it answered what is no regular file: {value!r}")
    return path


def _check_beside(path: bytes, merged: bytes) -> None:
    folder, _, name = path.rpartition(b"/")
    is_name = name and not is_hostile_name(name) and len(name) <= MAX_NAME_LENGTH
    if not is_name or folder != merged.rpartition(b"/")[0] or path == merged:
        shown = path.decode(errors="backslashreplace")
        raise NonsenseError(f"it answered a file that is not beside the path: {shown!r}")


def _encode_conflict(found: Conflict, call: MergeCall) -> list[Any]:
    if not isinstance(found, Conflict):
        raise NonsenseError(f"it answered {type(found).__name__} where a conflict is due")
    if found.path != call.path:
        raise NonsenseError(f"it answered a conflict of another path: {found.path!r}")
    settled = None if found.settled is None else str(found.settled)
    texts = [found.message, found.where, found.base, found.ours, found.theirs]
    return [str(found.kind), settled, *texts]


def _decode_conflict(value: Any, path: bytes) -> Conflict:  # noqa: ANN401
    kind, settled, message, where, base, ours, theirs = value
    if kind not in set(ConflictKind):
        raise NonsenseError(f"it answered a conflict of no known kind: {kind!r}")
    if not isinstance(message, str) or not isinstance(where, str):
        raise NonsenseError("it answered a conflict without words")
    if any(not isinstance(one, str | None) for one in (base, ours, theirs)):
        raise NonsenseError("it answered a conflict with values that are no text")
    side = None if settled is None else Side(settled)
    return Conflict(path, ConflictKind(kind), message, where, base, ours, theirs, side)


def _one_line(note: object) -> str:
    if not isinstance(note, str) or len(note) > MAX_NOTE or any(c in note for c in "\0\n\r"):
        raise NonsenseError(f"it answered a note that is not one line of at most {MAX_NOTE}")
    return note


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise NonsenseError(f"it answered {value!r} where a number of bytes is due")
    return value


class _Bytes:
    """The bytes that came with an answer, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, length: int) -> bytes:
        if length > len(self._data):
            raise NonsenseError(f"it answered {length} bytes and sent {len(self._data)}")
        found, self._data = self._data[:length], self._data[length:]
        return bytes(found)
