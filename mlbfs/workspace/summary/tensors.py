"""Summaries of files of tensors: safetensors, NumPy's `.npy` and `.npz`.

Owns: reading their headers. No tensor is read, and nothing that is pickled.
Layer: workspace.
"""

from __future__ import annotations

import ast
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from mlbfs.limits import MIB
from mlbfs.workspace.summary.subject import UnreadableError

if TYPE_CHECKING:
    from typing import BinaryIO

    from mlbfs.workspace.summary.subject import Subject

NPY_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 100 * MIB
"""As the format of safetensors has it."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for an archive that is made up: an offset in front of the file is an
error of the system, a name that is no text one of Unicode."""

_MAX_NPY_HEADER = 1 * MIB
_MAX_DIMENSIONS = 64


def safetensors(subject: Subject) -> list[str]:
    """Returns name, type and shape of each tensor, and the words that go with the file."""
    (length,) = struct.unpack("<Q", subject.read(0, 8).ljust(8, b"\0"))
    if length > min(_MAX_HEADER, subject.size - 8):
        raise UnreadableError("its header is longer than the file")
    try:
        header = json.loads(subject.read(8, length))
    except (ValueError, RecursionError) as err:
        raise UnreadableError(f"its header is no JSON: {err}") from err
    if not isinstance(header, dict):
        raise UnreadableError("its header is no object")
    words = header.pop("__metadata__", {})
    if not isinstance(words, dict):
        raise UnreadableError("its metadata is no object")
    lines = [f"metadata {key}: {value}" for key, value in sorted(words.items())]
    return lines + [_tensor(name, header[name]) for name in sorted(header)]


def _tensor(name: str, entry: Any) -> str:  # noqa: ANN401 - whatever JSON has
    if not isinstance(entry, dict):
        raise UnreadableError(f"tensor {name!r} is no object")
    return _line(name, str(entry.get("dtype")), entry.get("shape"))


def npy(subject: Subject) -> list[str]:
    """Returns type and shape of an array."""
    with subject.stream() as stream:
        return [_array("array", stream)]


def npz(subject: Subject) -> list[str]:
    """Returns name, type and shape of each array of an archive."""
    lines = []
    try:
        with subject.stream() as stream, zipfile.ZipFile(stream) as archive:
            for info in sorted(archive.infolist(), key=lambda one: one.filename):
                with archive.open(info) as member:
                    lines.append(_array(info.filename.removesuffix(".npy"), member))
    except _BROKEN as err:
        raise UnreadableError(f"the archive cannot be read: {err}") from err
    return lines


def _array(name: str, stream: BinaryIO | Any) -> str:  # noqa: ANN401 - a member of an archive
    """Returns the line of an array, from its header alone."""
    front = stream.read(len(NPY_MAGIC) + 2)
    if not front.startswith(NPY_MAGIC) or len(front) < len(NPY_MAGIC) + 2:
        return f"{name}: no array"
    width = 2 if front[-2] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_NPY_HEADER:
        raise UnreadableError(f"the header of {name!r} is too long")
    try:
        header = ast.literal_eval(stream.read(length).decode("utf-8").strip())
        return _line(name, str(header["descr"]), header["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as err:
        raise UnreadableError(f"the header of {name!r} cannot be read: {err}") from err


def _line(name: str, kind: str, shape: Any) -> str:  # noqa: ANN401 - whatever the header has
    if not isinstance(shape, list | tuple) or len(shape) > _MAX_DIMENSIONS:
        raise UnreadableError(f"{name!r} has no shape")
    sizes = [one for one in shape if isinstance(one, int) and not isinstance(one, bool)]
    if len(sizes) != len(shape):
        raise UnreadableError(f"{name!r} has no shape")
    return f"{name}: {kind} [{', '.join(map(str, sizes))}]"
