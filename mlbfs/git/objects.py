"""New Git objects: a few as loose files, many as a pack.

Owns: object ids, the choice between loose and packed, and that nothing the repository has is
written again.
Layer: git. Format: docs/format/objects-git.md.

Invariants:
  I1. What `commit` returns from is durable: content fsynced, names fsynced.
  I2. Left without `commit`, a writer leaves no object and no temporary file behind.
  I3. An object that was not written because it exists was freshened, so that a `git gc` beside us
      does not take it away before a ref names it.

Concurrency: a writer belongs to one thread; any number of writers may work beside each other.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from mlbfs.errors import storage_error
from mlbfs.git.commits import encode_commit, encode_tag
from mlbfs.git.files import create_temporary, sync_directory, write_all
from mlbfs.git.kinds import KIND_CODES, KIND_NAMES
from mlbfs.git.packfile import PackWriter
from mlbfs.git.packindex import KnownObjects
from mlbfs.git.trees import encode_tree
from mlbfs.ids import ObjectId
from mlbfs.limits import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from mlbfs.git.commits import Signature
    from mlbfs.git.kinds import ObjectKind
    from mlbfs.git.trees import TreeEntry

LOOSE_LIMIT = 64
"""From this many objects on, a pack is written: a million loose files would make every Git command
slow, while a pack for each small commit would make lookups slow."""

_LOOSE_BYTES = 4 * MIB
_MAX_PACK_OBJECTS = 500_000
"""A pack is finished here; bounds the memory of a writer to about 150 MB."""

_MAX_PACK_SIZE = 1 * GIB
_SYNC_THREADS = 8
"""fsyncs of small files mostly wait for the device, and the device takes several at once."""

_BLOB = KIND_CODES["blob"]


def object_id(kind: ObjectKind, data: bytes) -> ObjectId:
    """Returns the id of an object."""
    head = b"%s %d\0" % (kind.encode(), len(data))
    return ObjectId(hashlib.sha1(head + data, usedforsecurity=False).digest())


class ObjectWriter:
    """Writes objects; none is promised to be there before `commit` returns.

    A context manager: leaving it without `commit` drops everything.
    """

    def __init__(self, objects: Path) -> None:
        self._objects = objects
        self._known = KnownObjects(objects)
        self._few: dict[bytes, tuple[int, bytes]] = {}
        self._few_bytes = 0
        self._pack: PackWriter | None = None
        self._loose: LooseFiles | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def put_blob(self, data: bytes) -> ObjectId:
        """Stores a blob."""
        return self.put_blobs((data,))[0]

    def put_blobs(self, blobs: Sequence[bytes]) -> list[ObjectId]:
        """Stores many blobs; the fastest way in."""
        sha1, known, add = hashlib.sha1, self._known, self._add
        pack = self._pack
        ids: list[ObjectId] = []
        for data in blobs:
            oid = sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).digest()
            ids.append(ObjectId(oid))
            if (oid in pack if pack is not None else oid in self._few) or oid in known:
                continue
            add(_BLOB, oid, data)
            pack = self._pack
        return ids

    def put_tree(self, entries: Iterable[TreeEntry]) -> ObjectId:
        """Stores a tree; sorts it.

        Raises:
            InvalidInputError: A name is hostile or doubled, or a mode is not Git's.
        """
        return self.put_encoded_tree(encode_tree(entries))

    def put_encoded_tree(self, data: bytes) -> ObjectId:
        """Stores a tree that `encode_tree` made."""
        return self._put("tree", data)

    def put_commit(
        self,
        *,
        tree: ObjectId,
        parents: Sequence[ObjectId],
        author: Signature,
        committer: Signature,
        message: str | bytes,
    ) -> ObjectId:
        """Stores a commit.

        Raises:
            InvalidInputError: Git cannot keep a person, a time or the message.
        """
        data = encode_commit(
            tree=tree,
            parents=tuple(parents),
            author=author,
            committer=committer,
            message=message,
        )
        return self._put("commit", data)

    def put_tag(
        self,
        *,
        target: ObjectId,
        kind: ObjectKind = "commit",
        name: str,
        tagger: Signature,
        message: str | bytes,
    ) -> ObjectId:
        """Stores an annotated tag.

        Raises:
            InvalidInputError: Git cannot keep the tagger or the message.
        """
        data = encode_tag(target=target, kind=kind, name=name, tagger=tagger, message=message)
        return self._put("tag", data)

    def _put(self, kind: ObjectKind, data: bytes) -> ObjectId:
        oid = object_id(kind, data)
        here = self._few if self._pack is None else self._pack
        if oid not in here and oid not in self._known:
            self._add(KIND_CODES[kind], oid, data)
        return oid

    def _add(self, code: int, oid: bytes, data: bytes) -> None:
        if self._pack is None:
            self._few[oid] = (code, data)
            self._few_bytes += len(data)
            if len(self._few) >= LOOSE_LIMIT or self._few_bytes > _LOOSE_BYTES:
                self._spill()
            return
        self._pack.add(code, oid, data)
        if len(self._pack) >= _MAX_PACK_OBJECTS or self._pack.nbytes >= _MAX_PACK_SIZE:
            self._finish_pack(self._pack)
            self._pack = PackWriter(self._objects / "pack")

    def _spill(self) -> None:
        self._pack = PackWriter(self._objects / "pack")
        for oid, (code, data) in self._few.items():
            self._pack.add(code, oid, data)
        self._few.clear()

    def _finish_pack(self, pack: PackWriter) -> None:
        if len(pack):
            self._known.add_pack(pack.finish())
        else:
            pack.abort()

    def prepare(self) -> None:
        """Makes all objects durable but not visible: what may find no room is done then.

        Only `commit` or `abort` may follow.

        Raises:
            StorageError: The device refused; `abort` removes what was written.
        """
        if self._pack is not None:
            self._pack.prepare()
        elif self._few:
            self._loose = LooseFiles(self._objects)
            try:
                self._loose.write(list(self._few.items()))
            except OSError as err:
                raise storage_error(err, "writing Git objects") from err

    def commit(self) -> None:
        """Makes all objects durable and visible (I1). The writer may go on being used.

        Raises:
            StorageError: The device refused. Objects may have been left, complete or temporary
                and unnamed; `git gc` removes them.
        """
        if self._pack is not None:
            self._finish_pack(self._pack)
            self._pack = None
        elif self._few:
            if self._loose is None:
                self.prepare()
            assert self._loose is not None, "they were prepared"
            try:
                self._loose.publish()
            except OSError as err:
                raise storage_error(err, "writing Git objects") from err
            self._loose = None
            self._few.clear()
        self._few_bytes = 0

    def abort(self) -> None:
        """Drops what was not committed (I2) and closes the writer."""
        if self._pack is not None:
            self._pack.abort()
            self._pack = None
        if self._loose is not None:
            self._loose.abort()
            self._loose = None
        self._few.clear()
        self._known.close()


class LooseFiles:
    """A few objects on their way to files of their own."""

    def __init__(self, objects: Path) -> None:
        self._objects = objects
        self._files: list[tuple[Path, Path]] = []
        self._made: list[Path] = []

    def write(self, items: list[tuple[bytes, tuple[int, bytes]]]) -> None:
        """Writes the objects under temporary names, durably.

        Raises:
            OSError: The device refused.
        """
        directories = {self._objects / f"{oid[0]:02x}" for oid, _ in items}
        self._made = [directory for directory in directories if not directory.is_dir()]
        for directory in self._made:
            directory.mkdir(exist_ok=True)
        for oid, (code, data) in items:
            self._files.append(_write_temporary(self._objects, oid, code, data))
        with ThreadPoolExecutor(min(_SYNC_THREADS, len(items))) as pool:
            list(pool.map(_sync_file, [path for path, _ in self._files]))

    def publish(self) -> None:
        """Gives them their names, durably.

        Raises:
            OSError: The device refused.
        """
        directories = {target.parent for _, target in self._files}
        for path, target in self._files:
            path.rename(target)
        with ThreadPoolExecutor(min(_SYNC_THREADS, len(directories))) as pool:
            list(pool.map(sync_directory, directories))
        if self._made:
            sync_directory(self._objects)
        self._files.clear()

    def abort(self) -> None:
        """Removes what has no name yet."""
        for path, _ in self._files:
            path.unlink(missing_ok=True)
        self._files.clear()


def _write_temporary(objects: Path, oid: bytes, code: int, data: bytes) -> tuple[Path, Path]:
    text = oid.hex()
    directory = objects / text[:2]
    head = b"%s %d\0" % (KIND_NAMES[code].encode(), len(data))
    descriptor, path = create_temporary(directory, "tmp_obj_")
    try:
        write_all(descriptor, zlib.compress(head + data, 1))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return path, directory / text[2:]


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
