"""What kind of file some bytes are, and which driver merges that kind unless told otherwise.

Owns: the defaults.
Layer: merge. Reads through what is handed in.

The content decides before the name: a picture that is called `data.txt` is one. A name helps where
content cannot tell. What is of no kind that is known here, a database say, is a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.merge.mlflow.sniffing import is_mlflow_database
from mlbfs.merge.mlflow.storepaths import is_of_store

if TYPE_CHECKING:
    from mlbfs.merge.versions import Reader

SNIFFED = 512
"""Bytes at the front of a file that tell its kind; magic numbers lie in the first hundred."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "overwrite"),
    (b"\xff\xd8\xff", "overwrite"),  # JPEG
    (b"GIF8", "overwrite"),
    (b"SQLite format 3\0", "sqlite"),
    (b"PAR1", "parquet"),
    (b"\x89HDF\r\n\x1a\n", "overwrite"),  # Keras models and checkpoints
)
"""First bytes of kinds of files."""

_TEXT_NAMES = {
    b".json": "json",
    b".geojson": "json",
    b".jsonl": "jsonl",
    b".ndjson": "jsonl",
    b".csv": "csv",
    b".tsv": "csv",
}
"""What a name says of a text."""

_MODEL_NAMES = frozenset(
    {
        b".ckpt", b".gguf", b".h5", b".joblib", b".keras", b".model", b".npz", b".onnx", b".pb",
        b".pickle", b".pkl", b".pt", b".pth", b".safetensors", b".tflite",
    }
)  # fmt: skip
"""Models and checkpoints, which replace each other."""


def default_driver(path: bytes, front: bytes) -> str:
    """Returns the name of the driver for a file.

    Args:
        path: Where it lies.
        front: Its first bytes, some hundred.
    """
    for magic, driver in _MAGIC:
        if front.startswith(magic):
            return driver
    if _is_text(front) and is_of_store(path):
        return "mlflow"
    name = path.rpartition(b"/")[2].lower()
    suffix = name[name.rfind(b".") :] if b"." in name else b""
    if suffix in _MODEL_NAMES:
        return "overwrite"
    if not _is_text(front):
        return "binary"
    return _TEXT_NAMES.get(suffix, "text")


def kind_of(path: bytes, reader: Reader) -> str:
    """Returns the name of the driver for a file: by its first bytes, and a look into a database.

    Args:
        path: Where it lies.
        reader: Its bytes.

    Raises:
        CorruptionError: The content is damaged.
    """
    found = default_driver(path, reader.read(0, SNIFFED))
    return "mlflow" if found == "sqlite" and is_mlflow_database(reader) else found


def one_driver(found: set[str]) -> str:
    """Returns the driver for versions of these kinds; an empty file is of any kind."""
    if not found:
        return "text"
    if found == {"sqlite", "mlflow"}:  # the store was made in a database that there was before
        return "sqlite"
    return found.copy().pop() if len(found) == 1 else "binary"


def _is_text(front: bytes) -> bool:
    """Whether some first bytes are of a text; the last character may be cut."""
    if b"\0" in front:
        return False
    try:
        front.decode("utf-8")
    except UnicodeDecodeError as err:
        return err.reason == "unexpected end of data" and err.end == len(front)
    return True
