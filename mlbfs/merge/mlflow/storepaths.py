"""What a file of MLflow's folder is, by its place.

    mlruns/<experiment>/meta.yaml
    mlruns/<experiment>/<run>/{meta.yaml,metrics/<key>,params/<key>,tags/<key>,artifacts/...}
    mlruns/models/<model>/{meta.yaml,aliases/<alias>,version-<number>/meta.yaml}
    mlruns/.trash/<experiment>/...

Owns: that layout.
Layer: merge. Pure.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

STORE = b"mlruns"
"""What MLflow calls the folder unless told otherwise."""

TRASH = b".trash"
MODELS = b"models"
ARTIFACTS = b"artifacts"
META = b"meta.yaml"

_VALUES = frozenset({b"params", b"tags", b"aliases", b"request_metadata"})


class Part(Enum):
    """What one file says."""

    DOCUMENT = "document"
    METRIC = "metric"
    VALUE = "value"


class Place(NamedTuple):
    """A file of the folder.

    Attributes:
        part: What it is.
        owner: The run, experiment, model or version that it belongs to, as text.
        key: Name of the metric, tag or parameter; "" for a document.
    """

    part: Part
    owner: str
    key: str


def place_of(path: bytes) -> Place | None:
    """Returns what a file is; None for artifacts and whatever else is there."""
    parts = path.split(b"/")
    first = parts.index(STORE) + 1 if STORE in parts[:-1] else 0
    for at in range(first + 1, len(parts) - 1):
        kind = parts[at]
        if kind == ARTIFACTS:
            return None
        if kind == b"metrics" or kind in _VALUES:
            part = Part.METRIC if kind == b"metrics" else Part.VALUE
            key = b"/".join(parts[at + 1 :])
            return Place(
                part, _text(parts[first:at]), f"{kind.decode()}/{key.decode(errors='replace')}"
            )
    if len(parts) > first + 1 and parts[-1].endswith(b".yaml"):
        return Place(Part.DOCUMENT, _text(parts[first:-1]), "")
    return None


def is_of_store(path: bytes) -> bool:
    """Returns whether a file is one that MLflow keeps in a folder of the usual name."""
    return STORE in path.split(b"/")[:-1] and place_of(path) is not None


def _text(parts: list[bytes]) -> str:
    return b"/".join(parts).decode(errors="replace")
