"""Takes files of the host straight into a branch, without a checkout.

Owns: where each source lands, what an import keeps, and the order in which it becomes durable.
Layer: workspace.

Invariants:
  I1. Order: packs durable, then the index, then Git objects, then the ref moves by
      compare-and-swap. The ref move is the commit point; before it nothing is visible.
  I2. When the branch moved meanwhile, the imported trees are grafted onto its new head; no
      source is read again.
  I3. Files go to the store in scan order, so what lies together is stored together.

Concurrency: one thread drives an import; the store hashes and compresses on all cores.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import AlreadyExistsError, ConflictError, ErrorKind, InvalidInputError
from mlbfs.git.pointers import encode_pointer, parse_pointer
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.store.source import Source
from mlbfs.workspace.beginning import first_attributes, still_begins_with, with_attributes
from mlbfs.workspace.grafting import Grafter, Row, TreeBuilder, TreeWriter
from mlbfs.workspace.policies import attributes_reader
from mlbfs.workspace.scanner import (
    Found,
    FoundFile,
    FoundSymlink,
    Skipped,
    SkipReason,
    parse_tree_path,
    scan,
)
from mlbfs.workspace.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlbfs.git.attributes import Attributes
    from mlbfs.git.commits import Commit, Signature
    from mlbfs.git.objects import ObjectWriter
    from mlbfs.ids import ObjectId
    from mlbfs.store.source import Ingested
    from mlbfs.store.writer import StoreWriter
    from mlbfs.workspace.source import SnapshotSource

MAX_ATTEMPTS = 16
"""Times that an import is grafted onto a branch that keeps moving before it gives up."""

PROGRESS_BYTES = 1 << 20
"""Bytes between two calls of the progress function, at least: often enough for a bar, too seldom
to cost."""


MESSAGE_SOURCES = 3
"""Sources named in the first line of a default import message; the body names all."""


@dataclass(frozen=True, slots=True)
class ImportSource:
    """One thing to import: `contents` takes what is in the folder, not the folder itself."""

    host: Path
    contents: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is.

    Attributes:
        files: Files that are done with.
        size: Bytes that were taken in, also of a file that is not done with.
        current: Path of the last file that is done with.
        total: Bytes that there are, if that is known beforehand: the sources are files.
    """

    files: int
    size: int
    current: bytes
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import, and where to.

    Attributes:
        branch: Short name of the branch; made when it does not exist.
        to: Folder of the tree that the sources land in; b"" is the root.
        start: Commit that a new branch begins at; None makes a branch without history.
        replace: Drop what the places that the sources land in held before.
        reread: Read files even if their stamps show that they were read before.
    """

    sources: tuple[ImportSource, ...]
    branch: str
    message: str
    author: Signature
    committer: Signature
    to: bytes = b""
    start: Commit | None = None
    replace: bool = False
    reread: bool = False
    progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did.

    Attributes:
        commit: The new head, or None when the branch had all of it already.
        created: Whether the branch was made.
        attributes: Whether it begins with the `.gitattributes` of the repository.
        text_files: Files that went to Git as text; the others are in the chunk store.
        new_bytes: Bytes of chunks that the store did not have.
        stored_bytes: What the packs grew by: these chunks, compressed, with recipes and tables.
    """

    branch: str
    commit: ObjectId | None
    created: bool
    attributes: bool
    files: int
    text_files: int
    symlinks: int
    size: int
    new_bytes: int
    stored_bytes: int
    skipped: tuple[Skipped, ...]


@dataclass(slots=True)
class _Tally:
    files: int = 0
    text_files: int = 0
    symlinks: int = 0
    size: int = 0
    attributes: bool = False
    taken: int = 0  # bytes, as they come
    told: int = -PROGRESS_BYTES  # bytes that the progress function was told of last
    last: bytes = b""
    skipped: list[Skipped] = field(default_factory=list)


def parse_source(text: str) -> ImportSource:
    """Parses a source as typed: with a trailing slash, or `.`, it means the folder's contents."""
    # abspath keeps a symlink a symlink, unlike Path.resolve.
    path = Path(os.path.abspath(text))  # noqa: PTH100
    last = text.rstrip("/").rpartition("/")[2]
    return ImportSource(path, contents=text.endswith("/") or last in ("", ".", ".."))


def destination(source: ImportSource, to: bytes) -> bytes:
    """Returns the path of the tree that a source lands at."""
    if source.contents:
        return to
    name = parse_tree_path(os.fsencode(source.host.name))
    return to + b"/" + name if to else name


def _host(source: ImportSource) -> bytes:
    """Returns where a source lies; for the contents of a folder a link to it is followed.

    Raises:
        InvalidInputError: The contents are asked for of what is not a folder.
    """
    if not source.contents:
        return os.fsencode(source.host)
    real = os.path.realpath(source.host)
    if os.path.lexists(real) and not os.path.isdir(real):  # noqa: PTH112 - as text, for fsencode
        raise InvalidInputError(
            f"source {str(source.host)!r} is not a folder",
            kind=ErrorKind.INVALID_PATH,
            hint="leave out the slash at its end",
        )
    return os.fsencode(real)


def check_sources(sources: tuple[ImportSource, ...], *, forbidden: tuple[Path, ...]) -> None:
    """Refuses sources that hold, or lie in, one of the `forbidden` places.

    Raises:
        InvalidInputError: Names the source and the place.
    """
    for source in sources:
        real = Path(os.path.realpath(source.host))  # unlike Path.resolve, takes links in a circle
        for place in forbidden:
            if place == real or place.is_relative_to(real) or real.is_relative_to(place):
                raise InvalidInputError(
                    f"source {str(source.host)!r} overlaps the repository's own {str(place)!r}",
                    kind=ErrorKind.INVALID_PATH,
                    hint="import a folder that lies beside the repository, not around it",
                )


def default_message(sources: Sequence[ImportSource]) -> str:
    """Returns the message of an import that was given none: it names where the data came from."""
    names = [_printable(source.host.name or "/") for source in sources]
    more = len(names) - MESSAGE_SOURCES
    subject = ", ".join(names[:MESSAGE_SOURCES]) + (f" and {more} more" if more > 0 else "")
    lines = [f"Source: {_printable(str(source.host))}" for source in sources]
    return "\n".join([f"Import {subject}", "", *lines]) + "\n"


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)


def begun_elsewhere(branch: str, start: str) -> AlreadyExistsError:
    """Returns the error for a branch that exists but was to begin at `start`."""
    return AlreadyExistsError(
        f"branch {branch!r} exists already, so it cannot begin at {start!r}",
        hint="leave --from out, or choose another name",
    )


class Importer:
    """One import into one branch."""

    def __init__(self, source: SnapshotSource, request: ImportRequest) -> None:
        self._source = source
        self._git = source.git
        self._store = source.store
        self._request = request
        self._tally = _Tally()
        self._time_ns = request.committer.time * 1_000_000_000

    def run(self) -> ImportResult:
        """Imports and moves the branch.

        Raises:
            StorageError: A source cannot be read or keeps changing, or the disk is full; the
                branch is as it was.
            ConflictError: The branch moved again and again meanwhile.
        """
        ref = f"refs/heads/{self._request.branch}"
        first = self._git.refs.read(ref)
        if first is None:
            self._git.refs.check_not_in_the_way(ref)
        with (
            self._store.writer() as writer,
            writer.spool("trees") as spool,
            self._git.objects() as objects,
        ):
            writer.on_length = self._note_length
            trees = TreeWriter(spool, time_ns=self._time_ns)
            top = self._build(writer, trees, objects, first)
            commit, new_trees = self._graft(first, top, trees, objects)
            objects.prepare()  # what finds no room then has added nothing to the index
            writer.commit(trees.directories(new_trees))
            statistics = writer.statistics()
            objects.commit()  # I1
            # Before the writer ends: until then gc stays away from what no ref names yet.
            moved = commit is None or self._publish(ref, first, commit)
            for _ in range(MAX_ATTEMPTS):
                if moved:
                    break
                first = self._git.refs.read(ref)
                commit = self._graft_again(first, top, trees)
                moved = commit is None or self._publish(ref, first, commit)
        if not moved:
            raise ConflictError(
                f"branch {self._request.branch!r} keeps moving; the import was not published",
                kind=ErrorKind.REF_MOVED,
                hint="run the import again; what was stored is not stored twice",
            )
        return ImportResult(
            branch=self._request.branch,
            commit=commit,
            created=first is None,
            attributes=first is None and self._tally.attributes,
            files=self._tally.files,
            text_files=self._tally.text_files,
            symlinks=self._tally.symlinks,
            size=self._tally.size,
            new_bytes=statistics.new_bytes,
            stored_bytes=statistics.stored_bytes,
            skipped=tuple(self._tally.skipped),
        )

    def _build(
        self,
        writer: StoreWriter,
        trees: TreeWriter,
        objects: ObjectWriter,
        head: ObjectId | None,
    ) -> ObjectId:
        """Ingests every source and returns a tree that holds them, and only them."""
        sources = [(_host(s), destination(s, self._request.to)) for s in self._request.sources]
        base = self._git.read_commit(head) if head is not None else self._request.start
        attributes = self._git.attributes_of(
            attributes_reader(
                Snapshot(self._source, base) if base is not None else None,
                [(place, host) for host, place in sources],
                replaced=self._replaced,
                beginning=self._beginning(base),
            )
        )
        joined = Grafter(self._source, trees, joining=True)
        top: ObjectId | None = None
        for host, place in sources:
            builder = TreeBuilder(trees)
            self._build_one(scan(host, place), builder, writer, objects, attributes)
            tree = builder.finish()
            if tree is not None:
                top = joined.overlay(top, tree)
        if top is None:
            names = ", ".join(repr(str(source.host)) for source in self._request.sources)
            raise InvalidInputError(f"there is no file to import in {names}")
        return top

    def _beginning(self, base: Commit | None) -> bytes | None:
        """Returns the `.gitattributes` for a branch that begins here, or begins here anew.

        It does not come from a source, so an import that replaces all of the branch would take it
        away; as long as it is what the branch began with, it is put there again.
        """
        if base is not None and b"" not in self._replaced:
            return None
        found = first_attributes(self._store.root)
        if found is None or base is None or still_begins_with(self._git, base.tree, found):
            return found
        return None

    @property
    def _places(self) -> frozenset[bytes]:
        return frozenset(destination(s, self._request.to) for s in self._request.sources)

    @property
    def _replaced(self) -> frozenset[bytes]:
        return self._places if self._request.replace else frozenset()

    def _build_one(
        self,
        found: Iterator[Found],
        builder: TreeBuilder,
        writer: StoreWriter,
        objects: ObjectWriter,
        attributes: Attributes,
    ) -> None:
        waiting: deque[Found] = deque()
        ingested = writer.ingest(
            _sources(found, waiting, attributes, reread=self._request.reread),
            small_text_limit=self._source.small_text_limit,
        )
        for item in ingested:
            while not isinstance(entry := waiting.popleft(), FoundFile):
                self._add_other(entry, builder, objects)
            self._add_file(entry, _never_a_pointer(item, writer), builder, objects)
        for entry in waiting:
            self._add_other(entry, builder, objects)

    def _add_file(
        self, found: FoundFile, item: Ingested, builder: TreeBuilder, objects: ObjectWriter
    ) -> None:
        name = found.path.rpartition(b"/")[2]
        kind = EntryKind.EXECUTABLE if item.executable else EntryKind.FILE
        if item.file_id is None:
            assert item.text is not None, "a file without an id carries its text"
            blob = objects.put_blob(item.text)
            content = bytes(blob)
        else:
            blob = objects.put_blob(encode_pointer(item.file_id, item.size))
            content = bytes(item.file_id)
        builder.add(found.path, Row(DirectoryEntry(name, kind, item.size, content), blob))
        tally = self._tally
        tally.files += 1
        tally.text_files += item.file_id is None
        tally.size += item.size
        tally.last = found.path

    def _note_length(self, length: int) -> None:
        """Tells of progress; called as bytes are taken in, also in the middle of a file."""
        tally = self._tally
        tally.taken += length
        if self._request.progress is None or tally.taken - tally.told < PROGRESS_BYTES:
            return
        tally.told = tally.taken
        self._request.progress(Progress(tally.files, tally.taken, tally.last, self._total))

    @cached_property
    def _total(self) -> int | None:
        """The length of the sources if they are files; to walk folders twice costs too much."""
        try:
            found = [os.lstat(source.host) for source in self._request.sources]
        except OSError:  # gone meanwhile, as the scanner will say
            return None
        if not all(stat.S_ISREG(status.st_mode) for status in found):
            return None
        return sum(status.st_size for status in found)

    def _add_other(self, found: Found, builder: TreeBuilder, objects: ObjectWriter) -> None:
        if isinstance(found, FoundSymlink):
            name = found.path.rpartition(b"/")[2]
            blob = objects.put_blob(found.target)
            entry = DirectoryEntry(name, EntryKind.SYMLINK, len(found.target), bytes(blob))
            builder.add(found.path, Row(entry, blob))
            self._tally.symlinks += 1
        elif isinstance(found, Skipped):
            self._tally.skipped.append(found)

    def _graft(
        self,
        head: ObjectId | None,
        top: ObjectId,
        trees: TreeWriter,
        objects: ObjectWriter,
    ) -> tuple[ObjectId | None, list[ObjectId]]:
        """Writes the commit that adds `top` to the branch.

        Returns:
            The commit, or None when nothing would change, and its trees that have no index yet.
        """
        request = self._request
        base = self._git.read_commit(head) if head is not None else request.start
        tree = top
        attributes = self._beginning(base)
        if attributes is not None:
            tree = with_attributes(trees, top, attributes, objects)
            self._tally.attributes = tree != top
            top = tree
        if base is not None:
            grafter = Grafter(self._source, trees, places=self._places)
            tree = grafter.overlay(base.tree, top, replaced=self._replaced)
            if tree == base.tree:
                return (None if head is not None else base.id), []
        new_trees = trees.store(tree, objects, self._source)
        commit = objects.put_commit(
            tree=tree,
            parents=[base.id] if base is not None else [],
            author=request.author,
            committer=request.committer,
            message=request.message,
        )
        return commit, new_trees

    def _graft_again(
        self, head: ObjectId | None, top: ObjectId, trees: TreeWriter
    ) -> ObjectId | None:
        request = self._request
        if head is not None and request.start is not None:
            raise begun_elsewhere(request.branch, request.start.id.hex()[:10])
        with self._git.objects() as objects:  # I2
            commit, new_trees = self._graft(head, top, trees, objects)
            objects.prepare()
            self._store.put_directories(trees.directories(new_trees))
            objects.commit()
        return commit

    def _publish(self, ref: str, old: ObjectId | None, new: ObjectId) -> bool:
        self._git.check_not_checked_out(self._request.branch, instead="import to another branch")
        summary = self._request.message.partition("\n")[0]
        try:
            self._git.refs.compare_and_swap(
                ref, old, new, identity=self._request.committer, message=f"import: {summary}"
            )
        except ConflictError as err:
            if err.kind is not ErrorKind.REF_MOVED:
                raise
            return False
        if old is None:
            self._git.adopt_first_branch(ref)
        return True


def _never_a_pointer(item: Ingested, writer: StoreWriter) -> Ingested:
    """Returns `item` with its content in the chunk store if it is the text of a pointer.

    As a blob it would be read as a pointer to something else.
    """
    if item.text is None or parse_pointer(item.text) is None:
        return item
    return replace(item, file_id=writer.put_bytes(item.text)[0], text=None)


def _sources(
    found: Iterator[Found], waiting: deque[Found], attributes: Attributes, *, reread: bool
) -> Iterator[Source]:
    """Yields the files to ingest and notes every entry, in order, in `waiting`."""
    for entry in found:
        waiting.append(entry)
        if isinstance(entry, FoundFile):
            policy = attributes.storage_policy(entry.path)
            yield Source(entry.host, entry.size, policy, stamp=b"" if reread else entry.stamp)


__all__ = [
    "ImportRequest",
    "ImportResult",
    "ImportSource",
    "Importer",
    "Progress",
    "SkipReason",
    "check_sources",
    "default_message",
    "destination",
    "parse_source",
]
