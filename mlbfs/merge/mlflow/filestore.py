"""Brings the folders of base and theirs to the numbers of ours.

Owns: which folders of MLflow's store are one experiment or one version of a model, and all that
has to follow when one gets another number: the name of its folder, ids in documents, places of
artifacts that lie in the folder itself, and aliases.
Layer: merge.

Bytes of artifacts are never changed. A document that cannot be read stays where it is, and is told.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.folders import MOVED, Alignment, Held
from mlbfs.merge.mlflow.database import counted
from mlbfs.merge.mlflow.matching import Known, match
from mlbfs.merge.mlflow.rewriting import Malformed, Rewriter
from mlbfs.merge.mlflow.storepaths import META, MODELS, TRASH
from mlbfs.merge.mlflow.yamltext import MAX_SIZE, MalformedYamlError, parse_document
from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlbfs.merge.folders import FolderCall
    from mlbfs.merge.mlflow.matching import Renumbering
    from mlbfs.merge.mlflow.yamltext import Document

_VERSION = re.compile(rb"version-([0-9]{1,18})")
_DIGITS = 18
"""Digits of the numbers that MLflow gives to experiments of a folder."""


class _Experiment(NamedTuple):
    """An experiment of one side: its folder, the id of that in Git, and what it is."""

    place: bytes
    tree: bytes
    known: Known


def align_stores(call: FolderCall) -> Alignment:
    """Finds what has to move in base and theirs, and what a person has to decide.

    Raises:
        NotFoundError: Content that has to be read is not in the repository.
        CorruptionError: It is damaged.
    """
    return _Aligning(call).run()


class _Aligning:
    """One look at a store."""

    def __init__(self, call: FolderCall) -> None:
        self._call = call
        self._inputs = call.inputs
        self._documents: dict[bytes, Document] = {}
        self._malformed: dict[Side, Malformed] = {side: {} for side in Side}
        self._left: dict[Side, Malformed] = {}
        self._found = Alignment()

    def run(self) -> Alignment:
        sides = {side: self._experiments(side) for side in Side}
        base, ours, theirs = ({key: one.known for key, one in sides[side].items()} for side in Side)
        found = match(base, ours, theirs, _fresh)
        numbers = {Side.BASE: found.base, Side.OURS: {}, Side.THEIRS: found.theirs}
        models = {name: self._match_versions(name) for name in self._models()}
        for side in MOVED:
            experiments = {old: (sides[side][old].place, new) for old, new in numbers[side].items()}
            versions = {
                name: one.base if side is Side.BASE else one.theirs for name, one in models.items()
            }
            rewriter = Rewriter(self._call, side, experiments, versions)
            self._found.edits[side] = rewriter.run()
            self._left[side] = rewriter.malformed
        moved = {
            side: {numbers[side].get(key, key): one for key, one in sides[side].items()}
            for side in Side
        }
        self._hold_trashed(moved)
        self._hold_names(moved)
        self._hold_malformed()
        given = sum(one.given for one in models.values())
        told = (counted(found.given, "experiment"), counted(given, "model version"))
        self._found.note = ", ".join(one for one in told if one)
        return self._found

    # Reading

    def _path(self, *names: bytes) -> bytes:
        return b"/".join((self._call.path, *names))

    def _experiments(self, side: Side) -> dict[str, _Experiment]:
        """Returns the experiments of a side by their number, those in the trash too."""
        found: dict[str, _Experiment] = {}
        for folder in (self._path(TRASH), self._path()):
            for name, entry in sorted(self._inputs.list(side, folder).items()):
                if not entry.is_folder or name in (TRASH, MODELS):
                    continue
                place = folder + b"/" + name
                document = self._document(side, place + b"/" + META)
                if document is not None:
                    known = Known(str(document.get("name")), document.get("creation_time"))
                    found[name.decode(errors="surrogateescape")] = _Experiment(
                        place, entry.id, known
                    )
        return found

    def _document(self, side: Side, path: bytes) -> Document | None:
        """Returns a document; None where there is none, or one that cannot be read."""
        version = self._inputs.find(side, path)
        if version is None:
            return None
        found = self._documents.get(version.content)
        if found is None:
            try:
                data = self._inputs.open(version).read(0, MAX_SIZE + 1)
                found = self._documents[version.content] = parse_document(data, str(side))
            except MalformedYamlError as err:
                self._malformed[side][path] = (path, err)
        return found

    def _models(self) -> list[bytes]:
        found = {
            name
            for side in Side
            for name, entry in self._inputs.list(side, self._path(MODELS)).items()
            if entry.is_folder
        }
        return sorted(found)

    def _match_versions(self, model: bytes) -> Renumbering[int]:
        base, ours, theirs = (dict(self._versions(side, model)) for side in Side)
        return match(base, ours, theirs, _next_version)

    def _versions(self, side: Side, model: bytes) -> Iterator[tuple[int, Known]]:
        """Yields the versions of a model, told by when and by which run they were made."""
        folder = self._path(MODELS, model)
        for name, entry in self._inputs.list(side, folder).items():
            number = _VERSION.fullmatch(name)
            if number is None or not entry.is_folder:
                continue
            document = self._document(side, folder + b"/" + name + b"/" + META)
            if document is not None:
                made = str(document.get("creation_timestamp")), str(document.get("run_id"))
                yield int(number[1]), Known(made, made)

    # Telling

    def _hold_trashed(self, moved: dict[Side, dict[str, _Experiment]]) -> None:
        """Tells of experiments that one side deleted while the other went on with them."""
        for key in sorted(moved[Side.OURS].keys() & moved[Side.THEIRS].keys()):
            name = key.encode(errors="surrogateescape")
            base, ours, theirs = (
                None if one is None else (one.place.rpartition(b"/")[0] + b"/" + name, one.tree)
                for one in (moved[side].get(key) for side in Side)
            )
            assert ours is not None, "both have it"
            assert theirs is not None, "both have it"
            if ours[0] == theirs[0] or base in (ours, theirs):
                continue
            self._found.held.append(
                Held(
                    self._path(name),
                    ConflictKind.TRASHED,
                    "one side deleted this experiment, and the other has work of its own in it",
                    ours[0],
                    theirs[0],
                )
            )

    def _hold_names(self, moved: dict[Side, dict[str, _Experiment]]) -> None:
        """Tells of experiments that would have one name, and have not on any side."""
        named: dict[object, str] = {}
        for key in sorted(moved[Side.OURS].keys() | moved[Side.THEIRS].keys()):
            name = _merged_name(*(moved[side].get(key) for side in Side))
            if name is None:
                continue
            other = named.setdefault(name, key)
            if other != key and not any(
                {_name(moved[side].get(one)) for one in (key, other)} == {name} for side in Side
            ):
                path = self._path(key.encode(errors="surrogateescape"), META)
                message = f"the experiments {other} and {key} would both be named {name!r}"
                self._found.held.append(Held(path, ConflictKind.CONSTRAINT, message, path, path))

    def _hold_malformed(self) -> None:
        """Tells of documents that cannot be read, unless the base has them, too."""
        for side in (Side.OURS, Side.THEIRS):
            found = {**self._malformed[side], **self._left.get(side, {})}
            for path, (before, err) in sorted(found.items()):
                if self._inputs.find(Side.BASE, before) == self._inputs.find(side, before):
                    continue
                if all(one.path != path for one in self._found.held):
                    message = f"{err.message} ({err.where})"
                    self._found.held.append(Held(path, ConflictKind.MALFORMED, message, path, path))


def _name(found: _Experiment | None) -> object:
    return None if found is None else found.known.name


def _merged_name(
    base: _Experiment | None, ours: _Experiment | None, theirs: _Experiment | None
) -> object:
    """Returns the name that an experiment has when all is merged; None if it goes."""
    before, mine, other = map(_name, (base, ours, theirs))
    return other if mine == before else mine


def _fresh(known: Known, taken: Collection[str]) -> str:
    """Returns a number that comes of the name: other merges give the experiment the same."""
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{attempt} {known.name}".encode(errors="surrogatepass")).digest()
        number = str(10 ** (_DIGITS - 1) + int.from_bytes(digest[:8], "big") % 10 ** (_DIGITS - 1))
        if number not in taken:
            return number
        attempt += 1


def _next_version(known: Known, taken: Collection[int]) -> int:
    del known  # MLflow counts them
    return max(taken) + 1
