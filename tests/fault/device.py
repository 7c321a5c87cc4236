"""The device below a workspace, as a test sees it: every call that reads or changes files.

The calls are those of the system that Python code makes through `os`, and those of SQLite, which
come through a VFS of ours. Each is told to a listener before it is made; the listener may raise.
What libgit2 and LMDB do themselves is not seen here; a small real device is the test of those.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager
from typing import NamedTuple

import apsw

BY_DESCRIPTOR = (
    *("pwrite", "write", "ftruncate", "fsync", "fdatasync", "pread", "preadv"),
    *("copy_file_range", "posix_fallocate"),
)
BY_PATH = ("open", "utime", "unlink", "truncate", "mkdir", "rename", "replace", "link", "rmdir")

NEEDS_ROOM = frozenset(
    (
        *("pwrite", "write", "copy_file_range", "posix_fallocate", "mkdir", "rename", "replace"),
        *("link", "create", "xWrite", "fsync", "fdatasync"),
    )
)
"""Calls that a full device refuses; the names are those of `Call.name`."""


class Call(NamedTuple):
    """One call.

    Attributes:
        name: Of the function; "create" for an `open` that may make the file.
        path: The file.
        args: The other arguments.
    """

    name: str
    path: str
    args: tuple


class _File(apsw.VFSFile):
    """A file of SQLite."""

    def __init__(self, tell, name, flags):
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.tell = tell
        super().__init__("unix", name, flags)

    def xRead(self, amount, offset):
        self.tell(Call("xRead", self.name, (amount, offset)))
        return super().xRead(amount, offset)

    def xWrite(self, data, offset):
        self.tell(Call("xWrite", self.name, (bytes(data), offset)))
        super().xWrite(data, offset)

    def xTruncate(self, size):
        self.tell(Call("xTruncate", self.name, (size,)))
        super().xTruncate(size)

    def xSync(self, flags):
        self.tell(Call("xSync", self.name, (flags,)))
        super().xSync(flags)


class _Vfs(apsw.VFS):
    """SQLite's way to the system."""

    def __init__(self, tell):
        self.tell = tell
        super().__init__("mlbfs-test", "unix", makedefault=True)

    def xOpen(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if flags[0] & apsw.SQLITE_OPEN_CREATE:
            self.tell(Call("xCreate", path, ()))
        return _File(self.tell, name, flags)

    def xDelete(self, name, sync_directory):
        self.tell(Call("xDelete", name, (sync_directory,)))
        super().xDelete(name, sync_directory)


@contextmanager
def watched(listener, root):
    """Tells `listener` of every call on files below `root`, in this process, inside the block."""
    below = f"{root}/"
    lock = threading.RLock()

    def tell(call):
        if call.path.startswith(below):
            with lock:
                listener(call)

    real = {name: getattr(os, name) for name in (*BY_DESCRIPTOR, *BY_PATH)}
    for name in BY_DESCRIPTOR:
        setattr(os, name, _by_descriptor(tell, name, real[name]))
    for name in BY_PATH:
        setattr(os, name, _by_path(tell, name, real[name]))
    vfs = _Vfs(tell)
    try:
        yield
    finally:
        vfs.unregister()
        for name, function in real.items():
            setattr(os, name, function)


def _by_descriptor(tell, name, real):
    # The source of a copy is only read; the call is about the target.
    at = 1 if name == "copy_file_range" else 0

    def call(*args, **kwargs):
        path = os.readlink(f"/proc/self/fd/{args[at]}")
        tell(Call(name, path.removesuffix(" (deleted)"), args))
        return real(*args, **kwargs)

    return call


def _by_path(tell, name, real):
    def call(path, *args, **kwargs):
        if isinstance(path, int):
            where = os.readlink(f"/proc/self/fd/{path}")
        else:
            where = os.path.abspath(os.fsdecode(path))
        makes = name == "open" and args and args[0] & os.O_CREAT
        tell(Call("create" if makes else name, where, (*args, kwargs)))
        return real(path, *args, **kwargs)

    return call


class Refusal:
    """A listener that refuses the call at one position, or all from there on.

    Attributes:
        left: Calls that still go through; None for all.
        struck: What was refused.
    """

    def __init__(self, code, *, lasting=False):
        self.code = code
        self.lasting = lasting
        self.left = None
        self.struck = []

    def arm(self, position):
        """Has the call at a position refused."""
        self.left, self.struck = position, []

    def disarm(self):
        """Lets all calls through."""
        self.left = None

    def __call__(self, call):
        if self.left is None or not self._concerns(call):
            return
        self.left -= 1
        if self.left == -1 or (self.lasting and self.left < 0):
            self.struck.append(call.name)
            self._raise(call)

    def _concerns(self, call):
        return self.code != errno.ENOSPC or call.name in NEEDS_ROOM

    def _raise(self, call):
        if not call.name.startswith("x"):
            raise OSError(self.code, os.strerror(self.code))
        raise apsw.FullError("full") if self.code == errno.ENOSPC else apsw.IOError("error")
