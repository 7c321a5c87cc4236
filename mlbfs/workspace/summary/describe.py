"""Tells the kind of a file and makes its summary.

Owns: which kinds there are, and the form of what is shown: bounded, and harmless to a terminal.
Layer: workspace.

A text is shown as it is. Of everything else the first line tells the kind, the length and the
SHA-256, so that two versions never look the same unless they are; what else is known follows.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.limits import MIB
from mlbfs.workspace.exporter import pieces
from mlbfs.workspace.summary import parquet, sqlite, tensors
from mlbfs.workspace.summary.subject import Subject, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.workspace.source import Reader
    from mlbfs.workspace.summary.subject import Summarize

MAX_LINES = 5000
MAX_LINE = 500
"""Characters of a line of a summary."""

MAX_TEXT = 64 * MIB
"""A longer text ends there, with its length and its SHA-256."""

_SNIFFED = 4096
_MODELS = frozenset(
    {
        ".ckpt", ".gguf", ".h5", ".joblib", ".keras", ".model", ".onnx", ".pb", ".pickle", ".pkl",
        ".pt", ".pth", ".tflite",
    }
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e]")
"""What a line must not have: control characters, and what turns text around."""


def describe(reader: Reader, name: str, path: Path | None = None) -> Iterator[bytes]:
    """Yields the summary of a file, in pieces.

    Args:
        reader: Its bytes.
        name: What it is called; a hint where the content cannot tell.
        path: Where it lies on the host, if it does.

    Raises:
        CorruptionError: Its content is damaged.
        StorageError: The device failed.
    """
    front = reader.read(0, _SNIFFED)
    if _is_text(front):
        yield from _text(reader)
        return
    kind, summarize = _kind(front, name)
    size = "1 byte" if reader.size == 1 else f"{reader.size} bytes"
    lines = [f"{kind}, {size}, sha256 {_digest(reader)}"]
    if summarize is not None:
        with tempfile.TemporaryDirectory(prefix="mlbfs-summary-") as scratch:
            try:
                lines += summarize(Subject(reader, path, Path(scratch)))
            except UnreadableError as err:
                lines.append(f"not read: {err}")
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"... and {len(lines) - MAX_LINES} more lines"]
    for line in lines:
        yield _visible(line).encode() + b"\n"


def _kind(front: bytes, name: str) -> tuple[str, Summarize | None]:
    """Returns the kind of a file, and what makes its summary."""
    suffix = Path(name).suffix.lower()
    if front.startswith(sqlite.MAGIC):
        return "SQLite database", sqlite.sqlite
    if front.startswith(parquet.MAGIC):
        return "Parquet file", parquet.parquet
    if front.startswith(tensors.NPY_MAGIC):
        return "NumPy array", tensors.npy
    if front.startswith(b"PK\x03\x04") and suffix == ".npz":
        return "NumPy archive", tensors.npz
    if suffix == ".safetensors" or front[8:10] == b'{"':
        return "safetensors", tensors.safetensors
    return ("model" if suffix in _MODELS else "binary file"), None


def _is_text(front: bytes) -> bool:
    if b"\0" in front:
        return False
    try:
        front.decode("utf-8")
    except UnicodeDecodeError as err:
        return err.reason == "unexpected end of data" and err.end == len(front)
    return True


def _text(reader: Reader) -> Iterator[bytes]:
    """Yields a text as it is, up to a length."""
    length = 0
    for piece in pieces(reader):
        yield piece[: MAX_TEXT - length]
        length += len(piece)
        if length >= MAX_TEXT and reader.size > MAX_TEXT:
            yield f"\n... of {reader.size} bytes, sha256 {_digest(reader)}\n".encode()
            return


def _digest(reader: Reader) -> str:
    digest = hashlib.sha256()
    for piece in pieces(reader):
        digest.update(piece)
    return digest.hexdigest()


def _visible(line: str) -> str:
    """Returns a line that is short and does nothing to a terminal."""
    if len(line) > MAX_LINE:
        line = f"{line[:MAX_LINE]} ... {len(line)} characters"
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line)
