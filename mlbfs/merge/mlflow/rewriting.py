"""Writes what has to follow when experiments and versions of a folder get other numbers.

Owns: which documents name a number, and how.
Layer: merge.

A place of artifacts follows if it lies in the folder itself: it is a path, or a `file:` address,
with the name of the folder and the number. What lies in a bucket or behind a server is not moved.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlbfs.merge.folders import SideEdit
from mlbfs.merge.mlflow.storepaths import ARTIFACTS, META, MODELS
from mlbfs.merge.mlflow.yamltext import (
    MAX_SIZE,
    MalformedYamlError,
    encode_document,
    parse_document,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlbfs.merge.folders import FolderCall
    from mlbfs.merge.mlflow.yamltext import Document
    from mlbfs.merge.versions import Side, Version

_SKIPPED = frozenset(
    {ARTIFACTS, b"metrics", b"params", b"tags", b"request_metadata", b"assessments"}
)
"""Folders without documents that name a number."""

_PLACES = frozenset({"artifact_location", "artifact_uri", "source", "storage_location"})
_PLACE_TAG = b"mlflow.artifactLocation"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MAX_DEPTH = 100

Malformed = dict[bytes, tuple[bytes, MalformedYamlError]]


class Rewriter:
    """Moves and rewrites in the folder of one side.

    Args:
        call: The folder.
        side: The side.
        experiments: Folder and new number of each experiment that moves, by its old number.
        versions: New numbers of the versions of each model, by the old ones.

    Attributes:
        malformed: Documents that could not be read, by their new place, with their old one.
    """

    def __init__(
        self,
        call: FolderCall,
        side: Side,
        experiments: Mapping[str, tuple[bytes, str]],
        versions: Mapping[bytes, Mapping[int, int]],
    ) -> None:
        self._inputs = call.inputs
        self._root = call.path
        self._side = side
        self._experiments = experiments
        self._versions = versions
        self._edit = SideEdit()
        self.malformed: Malformed = {}
        numbers = "|".join(re.escape(one) for one in experiments)
        store = re.escape(call.path.rpartition(b"/")[2].decode(errors="surrogateescape"))
        self._place = re.compile(rf"((?:^|/){store}/)({numbers})(?=/|$)")

    def run(self) -> SideEdit:
        """Returns what becomes of the folder."""
        for place, new in self._experiments.values():
            target = place.rpartition(b"/")[0] + b"/" + new.encode(errors="surrogateescape")
            self._edit.moves.append((place, target))
            for path in self._documents(place):
                self._rewrite(path, target + path.removeprefix(place))
            self._rewrite_traces(place, target)
        for model, numbers in self._versions.items():
            if numbers or self._experiments:
                self._rewrite_model(self._root + b"/" + MODELS + b"/" + model, numbers)
        return self._edit

    def _documents(self, folder: bytes, depth: int = 0) -> Iterator[bytes]:
        if depth > _MAX_DEPTH:
            return
        for name, entry in sorted(self._inputs.list(self._side, folder).items()):
            path = folder + b"/" + name
            if entry.is_folder and name not in _SKIPPED:
                yield from self._documents(path, depth + 1)
            elif not entry.is_folder and name.endswith(b".yaml"):
                yield path

    def _rewrite(self, path: bytes, target: bytes, version: int | None = None) -> None:
        """Rewrites a document; one that cannot be read stays as it is, and is told."""
        document = self._document(path, target)
        if document is None:
            return
        new = self._renumbered(document)
        if version is not None and "version" in new:
            new["version"] = type(new["version"])(version)
        if new != document:
            self._edit.files[target] = encode_document(new)

    def _document(self, path: bytes, target: bytes) -> Document | None:
        """Returns a document; None where there is none, or one that cannot be read."""
        file = self._inputs.find(self._side, path)
        if file is None:
            return None
        try:
            return parse_document(self._read(file), str(self._side))
        except MalformedYamlError as err:
            self.malformed[target] = (path, err)
            return None

    def _read(self, file: Version) -> bytes:
        return self._inputs.open(file).read(0, MAX_SIZE + 1)

    def _renumbered(self, value: Any, key: str = "") -> Any:  # noqa: ANN401 - values of YAML
        if isinstance(value, dict):
            return {name: self._renumbered(one, str(name)) for name, one in value.items()}
        if isinstance(value, list):
            return [self._renumbered(one, key) for one in value]
        if key == "experiment_id" and str(value) in self._experiments:
            new = self._experiments[str(value)][1]
            return int(new) if type(value) is int and new.isdecimal() else new
        if key in _PLACES and isinstance(value, str):
            return self._moved(value)
        return value

    def _moved(self, place: str) -> str:
        """Returns where artifacts lie after the folders have moved."""
        is_elsewhere = _ADDRESS.match(place) is not None and not place.startswith("file:")
        if is_elsewhere or not self._experiments:
            return place
        return self._place.sub(lambda met: met[1] + self._experiments[met[2]][1], place)

    def _rewrite_traces(self, place: bytes, target: bytes) -> None:
        """Rewrites the tag of a trace that says where its artifacts lie."""
        traces = place + b"/traces"
        for name in sorted(self._inputs.list(self._side, traces)):
            tag = b"/traces/" + name + b"/tags/" + _PLACE_TAG
            file = self._inputs.find(self._side, place + tag)
            if file is not None:
                text = self._read(file).decode(errors="surrogateescape")
                if self._moved(text) != text:
                    new = self._moved(text).encode(errors="surrogateescape")
                    self._edit.files[target + tag] = new

    # Models

    def _rewrite_model(self, folder: bytes, numbers: Mapping[int, int]) -> None:
        for name, entry in sorted(self._inputs.list(self._side, folder).items()):
            if not entry.is_folder or not name.startswith(b"version-"):
                continue
            old = name.removeprefix(b"version-")
            new = numbers.get(int(old)) if old.isdigit() else None
            place = target = folder + b"/" + name
            if new is not None:
                target = folder + b"/version-%d" % new
                self._edit.moves.append((place, target))
            self._rewrite(place + b"/" + META, target + b"/" + META, new)
        if numbers:
            self._rewrite_aliases(folder, numbers)

    def _rewrite_aliases(self, folder: bytes, numbers: Mapping[int, int]) -> None:
        """Lets aliases follow, in their files and in the document of the model."""
        for name in sorted(self._inputs.list(self._side, folder + b"/aliases")):
            path = folder + b"/aliases/" + name
            file = self._inputs.find(self._side, path)
            text = b"" if file is None else self._read(file).strip()
            if text.isdigit() and int(text) in numbers:
                self._edit.files[path] = b"%d" % numbers[int(text)]
        path = folder + b"/" + META
        document = self._document(path, path)
        if document is None:
            return
        aliases = document.get("aliases")
        if isinstance(aliases, dict):
            document["aliases"] = {key: _follow(one, numbers) for key, one in aliases.items()}
            self._edit.files[path] = encode_document(document)


def _follow(value: Any, numbers: Mapping[int, int]) -> Any:  # noqa: ANN401 - values of YAML
    text = str(value)
    if text.isdecimal() and int(text) in numbers:
        return type(value)(numbers[int(text)])
    return value
