"""Bytes of files: read, write, truncate, sync.

A file that was never written reads from the snapshot. The first write gives it a data file: a
small file is copied, a large one gets an empty sparse file and a set of written ranges (extents),
and everything outside those still reads from the base.

Owns: when bytes come from the data file and when from the base.
Layer: workspace.

Invariants:
  W7. Bytes reach the data file before the row that says they are there; after a kill in between
      the base shows, as if the write had not happened.
  W8. A data file that a running commit reads is not written: the first write makes a copy, or
      waits for that file to be stored when it is too large to copy.
  W9. Extents are made durable after the bytes they stand for.

Concurrency: bytes move without the workspace's lock; a pinned descriptor keeps them possible.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.limits import MIB
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.attributes import limit_time, without_lent_rights
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.vfs_errors import Invalid, Io, IsDirectory, NoSpace, from_os_error

if TYPE_CHECKING:
    from mlbfs.workspace.attributes import Attributes, SetAttr
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.datafiles import Handle
    from mlbfs.workspace.rows import Node
    from mlbfs.workspace.source import Reader

COPY_LIMIT = MIB
"""Committed files up to this are copied by their first write: it takes about a millisecond, and
such a file needs no ranges afterwards."""

BLOCK = 4096
"""Unit in which bytes of a file are its own or its base's: no file system has larger holes."""

FROZEN_COPY_LIMIT = 8 * MIB
"""Files up to this are copied when they are written during a commit that reads them."""


class _Plan(NamedTuple):
    """How to read a materialized file: pieces are (start, stop, from the data file)."""

    handle: Handle | None
    base: Reader | None
    pieces: list[tuple[int, int, bool]]


class Content:
    """Operations on the bytes of files."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # Reading

    def read(self, ino: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file; short only at its end."""
        reader = self.snapshot_reader(ino)
        if reader is not None:
            return reader.read(offset, length)
        plan = self._plan(ino, offset, length)
        try:
            return b"".join([_read_piece(plan, piece) for piece in plan.pieces])
        except OSError as err:
            raise from_os_error(err) from err
        finally:
            self._unpin(plan)

    def read_nowait(self, ino: int, offset: int, length: int) -> bytes | None:
        """Returns bytes of a file, or None if that would wait for the disk."""
        reader = self.snapshot_reader(ino)
        if reader is not None:
            return reader.read_nowait(offset, length)
        plan = self._plan(ino, offset, length)
        try:
            parts = [_read_piece_nowait(plan, piece) for piece in plan.pieces]
        except OSError:
            # It would wait, or this file system cannot tell (tmpfs, NFS), or something is wrong:
            # the read that waits says what.
            return None
        finally:
            self._unpin(plan)
        return b"".join(part for part in parts if part is not None) if None not in parts else None

    def snapshot_reader(self, ino: int) -> Reader | None:
        """Returns the reader of a file that is not materialized, or None; needs no lock."""
        place = self._core.place_of(ino)
        if place is None:
            return None
        entry = self._core.snapshot_entry(place)
        if entry.kind in (EntryKind.DIRECTORY, EntryKind.SUBMODULE):
            raise IsDirectory(ino)
        return self._core.source.open(entry)

    def _plan(self, ino: int, offset: int, length: int) -> _Plan:
        core = self._core
        with core.reading():
            node = _regular(core.node(ino))
            if not node.data:
                stop = min(offset + length, node.base_size)
                pieces = [(offset, stop, False)] if offset < stop else []
                return _Plan(None, self._base_of(node, pieces), pieces)
            handle = core.data.open((ino, node.data))
            stop = min(offset + length, os.fstat(handle.fd).st_size)
            pieces = []
            if node.base_size:
                pieces += core.extents(node).pieces(offset, min(stop, node.base_size))
            own = max(offset, node.base_size)
            if own < stop:
                pieces.append((own, stop, True))
            base = self._base_of(node, pieces)
            core.data.pin(handle)
            return _Plan(handle, base, pieces)

    def _base_of(self, node: Node, pieces: list[tuple[int, int, bool]]) -> Reader | None:
        if node.base is None or all(own for _, _, own in pieces):
            return None
        return self._core.source.open_content(node.base)

    def _unpin(self, plan: _Plan) -> None:
        if plan.handle is not None:
            with self._core.lock:
                self._core.data.unpin(plan.handle)

    # Writing

    def write(self, ino: int, offset: int, data: bytes) -> int:
        """Writes bytes at an offset and returns how many; what lies before is filled with zeros.

        Once a file has a data file and is marked, a write costs one system call and no statement.
        """
        try:
            return self._write(ino, offset, data)
        except NoSpace:
            if not self._core.data.has_doomed:
                raise
            self._core.give_back()
        return self._write(ino, offset, data)

    def write_nowait(self, ino: int, offset: int, data: bytes) -> int | None:
        """Writes bytes as `write` does, or returns None if it would take more than a system call.

        That call waits for the disk only if the kernel makes writers wait; the caller knows when.
        """
        core = self._core
        if not core.lock.acquire(blocking=False):
            return None
        try:
            if core.overlay.in_transaction or not self._takes_bytes_alone(ino, offset, len(data)):
                return None
            return self._write(ino, offset, data)
        except NoSpace:
            return None  # the write that may wait gives room back and tries again
        finally:
            core.lock.release()

    def _takes_bytes_alone(self, ino: int, offset: int, length: int) -> bool:
        """Returns whether a write changes no row, reads no base and waits for no commit."""
        core = self._core
        with core.reading():
            node = core.node(ino)
            return (
                node is not None
                and _is_marked(node, core)
                and ino not in core.frozen
                and self._is_known(node, offset, offset + length)
            )

    def _write(self, ino: int, offset: int, data: bytes) -> int:
        handle = self._begin_write(ino)
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(handle.fd, memoryview(data)[done:], offset + done)
        except OSError as err:
            raise from_os_error(err) from err
        finally:
            self._end_write(ino, handle, offset, offset + done)  # what was not written is base
        return done

    def _begin_write(self, ino: int) -> Handle:
        core = self._core
        with core.reading():
            self._wait_thawable(ino)
            node = core.node(ino)
            if node is None or not _is_marked(node, core) or ino in core.frozen:
                node = self.make_writable(ino)
            handle = core.data.open((ino, node.data))
            core.data.pin(handle)
            core.writers[ino] += 1
            return handle

    def _end_write(self, ino: int, handle: Handle, start: int, stop: int) -> None:
        core = self._core
        with core.reading():
            core.data.unpin(handle)
            core.writes += 1
            core.writers[ino] -= 1
            if not core.writers[ino]:
                del core.writers[ino]
                if core.frozen:  # nobody waits for anything else
                    core.idle.notify_all()
            node = core.node(ino)
            if (
                node is None
                or start == stop
                or (_is_marked(node, core) and self._is_known(node, start, stop))
            ):
                return
            with core.changing():
                self._record_write(node, start, stop)

    def _is_known(self, node: Node, start: int, stop: int) -> bool:
        """Returns whether a range needs no extent: behind the base, or written before."""
        start, stop = _whole_blocks(start, stop, node.base_size)
        return start >= stop or self._core.extents(node).covers(start, stop)

    def _record_write(self, node: Node, start: int, stop: int) -> None:
        core = self._core
        core.mark(node, bytes_change=True)  # W6
        first, last = _whole_blocks(start, stop, node.base_size)
        if not core.writers[node.ino]:  # nobody else is writing what is filled in here
            self._fill_up(node, (first, start), (stop, last))
            start, stop = first, last
        edit = core.extents(node).add(start, min(stop, node.base_size))
        for first, last in edit.added:
            core.overlay.add_extent(node.ino, edit.removed, first, last)  # W7
            core.note_unsynced(node.ino)

    def _fill_up(self, node: Node, *ranges: tuple[int, int]) -> None:
        """Takes from the base what lies in one block with what was written.

        So a block is all in the data file or all in the base, and one that a power cut has kept
        from arriving is a hole.
        """
        core = self._core
        for start, stop in ranges:
            below = min(stop, node.base_size)  # behind the base everything is in the data file
            for first, last, own in core.extents(node).pieces(start, below):
                if not own and node.base is not None:
                    data = core.source.open_content(node.base).read(first, last - first)
                    _write_all(core.data.open((node.ino, node.data)).fd, data, first)

    def make_writable(self, ino: int, *, keep: bool = True) -> Node:
        """Returns the row of a file whose data file may be written now.

        Args:
            ino: The file.
            keep: Whether its bytes are kept; without, the data file comes out empty.
        """
        core = self._core
        with core.changing():
            node = _regular(core.materialize(ino))
            core.mark(node, bytes_change=True)
            if ino in core.frozen:
                self._thaw(node, keep=keep)
            if not node.data:
                self._make_data(node, keep=keep)
            return node

    def _make_data(self, node: Node, *, keep: bool) -> None:
        """Makes the data file of a file that has none; the file exists before the row says so."""
        core = self._core
        version = core.data.fresh_version(node.ino)
        handle = core.create_data((node.ino, version))
        if keep and node.base_size and node.base is not None:
            # First: a file without a length is one that a power cut has kept from being made.
            os.ftruncate(handle.fd, node.base_size)
            if node.base_size <= COPY_LIMIT:
                reader = core.source.open_content(node.base)
                _write_all(handle.fd, reader.read(0, node.base_size), 0)
                self._record_write(node, 0, node.base_size)
            core.note_unsynced(node.ino)
        else:
            node.base, node.base_size = None, 0
        os.utime(handle.fd, ns=(node.atime, node.mtime))
        node.data = version
        core.overlay.update_node(node)

    def _wait_thawable(self, ino: int) -> None:
        """Waits until a file that a commit reads can be copied, or is stored (W8).

        Called before a transaction begins: waiting lets other threads have the lock.
        """
        core = self._core
        while ino in core.frozen:
            node = core.node(ino)
            if node is None or not node.data:
                return
            large = core.data.stat((ino, node.data)).st_blocks * 512 > FROZEN_COPY_LIMIT
            if not large and not core.writers[ino]:
                return
            if core.gives_way:  # what is recorded of it is worthless from here on
                core.gave_way = True
                core.frozen.discard(ino)
                return
            core.idle.wait()

    def _thaw(self, node: Node, *, keep: bool) -> None:
        """Lets a file be written that a commit reads: the commit keeps the old version (W8)."""
        core = self._core
        if node.data:
            old, new = (node.ino, node.data), (node.ino, node.data + 1)
            core.create_data(new)
            if keep:
                core.data.copy(old, new)
                core.data.sync(new)  # what was synced in the old one has to be in the new one
            node.data += 1
            core.overlay.update_node(node)
            core.retired.append(old)
            core.undo(lambda: core.retired.remove(old))
        core.frozen.discard(node.ino)
        core.undo(lambda: core.frozen.add(node.ino))

    def _truncate(self, ino: int, size: int) -> None:
        """Sets the length of a file; what is new reads as zeros.

        The data file is cut before the row: after a kill in between, the base is cut to the
        length of the data file when the workspace is opened.
        """
        if size < 0:
            raise Invalid(size)
        core = self._core
        with core.changing():
            node = self.make_writable(ino, keep=size > 0)
            if not size and node.base_size:
                self._replace_data(node)
            handle = core.data.open((ino, node.data))
            os.ftruncate(handle.fd, size)
            if size < node.base_size:
                # Rows that reach the device alone would show what the file still has behind.
                os.fdatasync(handle.fd)
                core.extents(node).clip(size)
                core.overlay.clip_extents(ino, size)
                node.base_size = size
                core.overlay.update_node(node)

    def _replace_data(self, node: Node) -> None:
        """Gives a file that stands on a base an empty data file, and takes it off the base.

        Not the same file cut to nothing: that is what a power cut makes of one that is new.
        """
        core = self._core
        old = (node.ino, node.data)
        core.create_data((node.ino, node.data + 1))
        core.after(lambda: core.doom(old))
        node.data += 1
        node.base, node.base_size = None, 0
        core.forget_extents(node.ino)
        core.overlay.clip_extents(node.ino, 0)
        core.overlay.update_node(node)

    # Attributes

    def setattr(self, ino: int, change: SetAttr) -> Attributes:
        """Changes attributes and returns them all."""
        core = self._core
        with core.reading():
            if change.size is None:
                return self._setattr(ino, change)
            self._wait_thawable(ino)
            return core.freeing(lambda: self._setattr(ino, change))

    def _setattr(self, ino: int, change: SetAttr) -> Attributes:
        core = self._core
        with core.changing():
            node = core.materialize(ino)
            if change.size is not None:
                _regular(node)
                self._truncate(ino, change.size)
                node = core.materialize(ino)
            _set_owner_and_mode(node, change)
            self._set_times(node, change)
            core.mark(node)
            node.ctime = now_ns()
            core.overlay.update_node(node)
            return core.node_attributes(node)

    def _set_times(self, node: Node, change: SetAttr) -> None:
        if change.atime_ns is None and change.mtime_ns is None:
            return
        core = self._core
        atime, mtime, handle = node.atime, node.mtime, None
        if node.data:
            handle = core.data.open((node.ino, node.data))
            status = os.fstat(handle.fd)
            atime, mtime = status.st_atime_ns, status.st_mtime_ns
        node.atime = atime if change.atime_ns is None else limit_time(change.atime_ns)
        node.mtime = mtime if change.mtime_ns is None else limit_time(change.mtime_ns)
        if handle is not None:
            os.utime(handle.fd, ns=(node.atime, node.mtime))

    # Durability

    def fsync(self, ino: int) -> None:
        """Makes an inode durable: its bytes, its attributes and all names.

        Order: bytes, names of data files, bytes of other files that have extents (W9), database.
        """
        core = self._core
        with core.reading():
            node = core.node(ino)
            handle = None
            if node is not None and node.data:
                handle = core.data.open((ino, node.data))
                core.data.pin(handle)
        try:
            if handle is not None:
                os.fsync(handle.fd)
        except OSError as err:
            raise from_os_error(err) from err
        finally:
            if handle is not None:
                with core.lock:
                    core.data.unpin(handle)
        self.sync_metadata()

    def sync_metadata(self) -> None:
        """Makes everything that the database says durable, and what it says it about."""
        core = self._core
        with core.reading():
            core.sync_rows()


def _set_owner_and_mode(node: Node, change: SetAttr) -> None:
    if change.mode is not None:
        node.mode = stat.S_IFMT(node.mode) | (change.mode & 0o7777)
    changes_rights = (change.size, change.uid, change.gid) != (None, None, None)
    if changes_rights and change.caller is not None and stat.S_ISREG(node.mode):
        node.mode = without_lent_rights(node.mode, node.gid, change.caller)
    node.uid = node.uid if change.uid is None else change.uid
    node.gid = node.gid if change.gid is None else change.gid


def _regular(node: Node | None) -> Node:
    assert node is not None, "the caller has materialized it"
    if stat.S_ISDIR(node.mode):
        raise IsDirectory(node.ino)
    if not stat.S_ISREG(node.mode):
        raise Invalid(node.ino)
    return node


def _whole_blocks(start: int, stop: int, base_size: int) -> tuple[int, int]:
    """Returns the part of a base in the blocks that a range touches."""
    return start // BLOCK * BLOCK, min(-(-stop // BLOCK) * BLOCK, base_size)


def _is_marked(node: Node, core: Core) -> bool:
    """Returns whether a file has a data file, and its row says that its bytes change (W6)."""
    return bool(node.data) and node.gen == core.generation and node.content is None


def _read_piece(plan: _Plan, piece: tuple[int, int, bool]) -> bytes:
    start, stop, own = piece
    if own:
        assert plan.handle is not None, "own bytes lie in a data file"
        return os.pread(plan.handle.fd, stop - start, start)
    assert plan.base is not None, "other bytes lie in the base"
    data = plan.base.read(start, stop - start)
    if len(data) != stop - start:
        raise Io("the base is shorter than it was")
    return data


def _read_piece_nowait(plan: _Plan, piece: tuple[int, int, bool]) -> bytes | None:
    start, stop, own = piece
    if own:
        assert plan.handle is not None, "own bytes lie in a data file"
        buffer = bytearray(stop - start)
        count = os.preadv(plan.handle.fd, [buffer], start, os.RWF_NOWAIT)
        # The kernel may answer with the part that is in memory; only a whole piece will do.
        return bytes(buffer) if count == len(buffer) else None
    assert plan.base is not None, "other bytes lie in the base"
    return plan.base.read_nowait(start, stop - start)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    done = os.pwrite(fd, data, offset)
    while done < len(data):
        done += os.pwrite(fd, memoryview(data)[done:], offset + done)
