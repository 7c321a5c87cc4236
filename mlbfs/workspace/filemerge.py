"""Merges one file for stock Git, with the drivers of mlbfs.

Git calls a driver with the blobs of three sides as files, and takes what stands in that of ours
afterwards for the blob of the result. So a pointer is read as its content, and the result becomes
what the filter would have made of it.

Owns: that translation.
Layer: workspace.

Invariants:
  H1. The file of ours is replaced as a whole, or not at all.
  H2. With a conflict that nothing settles, Git is told so, whatever the file of ours holds.
  H3. What merge bases disagree about is as their own base has it: were it as one of them has it,
      the side that kept that one would seem to have changed nothing, and give way without a word.

Concurrency: one thread; any number of processes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import MlbfsError, storage_error
from mlbfs.git.objects import object_id
from mlbfs.git.trees import MODE_FILE
from mlbfs.merge.conflicts import Conflict, ConflictKind
from mlbfs.merge.driver import DEFAULT_MARKER_SIZE, Data, FileAt, MergeCall, Pieces, Take
from mlbfs.merge.parts import PiecedContent
from mlbfs.merge.versions import Side
from mlbfs.store.locks import wait_for_lock
from mlbfs.store.writer import LOCK_NAME
from mlbfs.workspace.filtering import PATIENCE, ContentFinder
from mlbfs.workspace.hostinputs import HostInputs, pointer_at
from mlbfs.workspace.meeting import Meeting
from mlbfs.workspace.mergecontent import MergeContent
from mlbfs.workspace.recent import RecentContent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from mlbfs.git.attributes import Attributes
    from mlbfs.ids import ObjectId
    from mlbfs.merge.driver import Content, DriverChoice
    from mlbfs.workspace.driverrun import DriverRunner
    from mlbfs.workspace.source import SnapshotSource

_FILTERS = ("mlbfs", "lfs")
_MARKER_ATTRIBUTE = "conflict-marker-size"
_INNER_MORE = 2
_STEP = 4 << 20


@dataclass(frozen=True, slots=True)
class FileMergeRequest:
    """What Git asks for.

    Attributes:
        path: Where the file lies in the tree.
        files: The file of each side; empty for a base that there is not.
        choice: The driver and its options.
        labels: What the sides are called.
        told: The commit that comes in, where Git has said so.
        marker_size: Length of conflict markers.
        is_inner: Merge bases are merged with each other; see `merges_bases`.
        style: How conflicting lines are shown.
    """

    path: bytes
    files: Mapping[Side, Path]
    choice: DriverChoice
    labels: Mapping[Side, str]
    told: ObjectId | None = None
    marker_size: int = DEFAULT_MARKER_SIZE
    style: str = "merge"
    is_inner: bool = False


class FileMerge:
    """Merges files for one call of Git.

    Args:
        source: The repository.
        attributes: Those of the work tree: they say what stays in Git.
        drivers: Runs drivers.
        waiting: Is called when gc has to be waited for.
    """

    def __init__(
        self,
        source: SnapshotSource,
        attributes: Attributes,
        drivers: DriverRunner,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._waiting = waiting
        self._source = source
        self._attributes = attributes
        self._drivers = drivers

    def merge(self, request: FileMergeRequest) -> list[Conflict]:
        """Merges a file and puts the result in the place of ours; returns what conflicts.

        Raises:
            DriverError: The driver could not do its work.
            NotFoundError: Content that has to be read is not here.
            StorageError: The device refused; ours is as it was.
        """
        try:
            found = self._merge(request)
        except MlbfsError:
            self._give_up(request)
            raise
        if any(one.settled is None for one in found):
            self._give_up(request)
        return found

    def _give_up(self, request: FileMergeRequest) -> None:
        """Puts the base in the place of ours where merge bases are merged (H3)."""
        if request.is_inner:
            base = request.files[Side.BASE]
            _replace(request.files[Side.OURS], lambda file: _copy(base, file))

    def _merge(self, request: FileMergeRequest) -> list[Conflict]:
        with (
            ContentFinder(self._source) as finder,
            self._drivers.scratch() as scratch,
        ):
            inputs = HostInputs(self._source, finder)
            call = _make_call(request, inputs, scratch)
            inputs.meeting = self._meeting(request, call)
            if request.choice.name == "keep-both":  # it would have to know both trees
                return [_two_files(request)]
            result = self._drivers.run(call)
            if result.beside or not isinstance(result.content, Take | Data | FileAt | Pieces):
                return [*result.conflicts, _two_files(request)]
            self._put(request, result.content, call)
        return list(result.conflicts)

    def _meeting(self, request: FileMergeRequest, call: MergeCall) -> Meeting:
        versions = {side: call.version(side) for side in Side}
        return Meeting(
            self._source.git,
            request.path,
            {side: one.object_id for side, one in versions.items() if one is not None},
            told=request.told,
            is_inner=request.is_inner,
        )

    def _put(self, request: FileMergeRequest, content: Content, call: MergeCall) -> None:
        ours = request.files[Side.OURS]
        if isinstance(content, Take):
            if content.side is not Side.OURS:
                _replace(ours, lambda file: _copy(request.files[content.side], file))
        elif self._is_filtered(request):
            blob = self._store(request.path, content, call)
            _replace(ours, lambda file: _write(file, blob))
        else:
            _replace(ours, lambda file: _write_content(file, content, call))

    def _is_filtered(self, request: FileMergeRequest) -> bool:
        """Whether Git's blobs of a path are what the filter makes of its content."""
        if self._attributes.lookup(request.path, ["filter"])["filter"] in _FILTERS:
            return True
        return any(pointer_at(path) is not None for path in request.files.values())

    def _store(self, path: bytes, content: Content, call: MergeCall) -> bytes:
        """Stores a merged content and returns its blob: the text, or a pointer."""
        blobs = _OneBlob()
        store = self._source.store
        with (
            wait_for_lock(store.root / LOCK_NAME, seconds=PATIENCE, waiting=self._waiting),
            store.writer() as writer,
            RecentContent(store.root) as recent,
        ):
            merged = MergeContent(self._source, self._attributes, writer, blobs)
            entry = merged.put(path, MODE_FILE, content, call)
            assert entry is not None, "what is to go was told from what is to stay"
            if entry.file_id is not None:
                recent.note([entry.file_id])
                writer.commit()
        return blobs.data


def merges_bases(attributes: Attributes, path: bytes, marker_size: int) -> bool:
    """Returns whether Git merges merge bases with each other: it asks for longer markers then.

    By two for each level. One more alone means that both sides moved the file, each elsewhere.
    """
    return marker_size >= _usual_size(attributes, path) + _INNER_MORE


def is_moved_apart(attributes: Attributes, path: bytes, marker_size: int) -> bool:
    """Returns whether each side moved the file elsewhere; Git puts the answer at both places."""
    return marker_size == _usual_size(attributes, path) + 1


def _usual_size(attributes: Attributes, path: bytes) -> int:
    usual = attributes.lookup(path, [_MARKER_ATTRIBUTE])[_MARKER_ATTRIBUTE]
    is_number = isinstance(usual, str) and usual.isascii() and usual.isdecimal()
    return int(str(usual)) if is_number else DEFAULT_MARKER_SIZE


class _OneBlob:
    """Takes the one blob that a content becomes; Git makes an object of it by itself."""

    data = b""

    def put_blob(self, data: bytes) -> ObjectId:
        """Takes it."""
        self.data = data
        return object_id("blob", data)


def _make_call(request: FileMergeRequest, inputs: HostInputs, scratch: Path) -> MergeCall:
    base = request.files[Side.BASE]
    return MergeCall(
        request.path,
        inputs.version(request.files[Side.OURS]),
        inputs.version(request.files[Side.THEIRS]),
        inputs.version(base) if base.stat().st_size else None,
        request.choice,
        inputs,
        scratch,
        request.labels,
        request.marker_size,
        request.style,
    )


def _two_files(request: FileMergeRequest) -> Conflict:
    return Conflict(
        request.path,
        ConflictKind.CONTENT,
        f"{request.choice.name} answers with other files than the one that Git can take from a "
        "driver; 'mlbfs merge' does it, and 'git checkout --theirs' shows theirs",
    )


def _write_content(file: BinaryIO, content: Content, call: MergeCall) -> None:
    """Writes a merged content as it is, for a path that is not filtered."""
    match content:
        case Data(data):
            file.write(data)
        case FileAt(place):
            _copy(place, file)
        case Pieces(parts):
            pieces = PiecedContent(parts, call)
            for start in range(0, pieces.size, _STEP):
                step = bytearray(min(_STEP, pieces.size - start))
                pieces.read_into(start, memoryview(step))
                file.write(step)


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _copy(path: Path, file: BinaryIO) -> None:
    with path.open("rb") as source:
        shutil.copyfileobj(source, file, _STEP)


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Replaces a file by what is written to a new one (H1)."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".merge_mlbfs_")
        new = Path(name)
        try:
            with open(descriptor, "wb") as file:
                write(file)
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            new.replace(path)
        except BaseException:
            new.unlink()
            raise
    except OSError as err:
        raise storage_error(err, f"writing {str(path)!r}") from err
