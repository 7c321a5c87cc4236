"""Does operations (operations.py) to a workspace or through a mount, and looks at what is there."""

from __future__ import annotations

import ctypes
import os
import stat
import threading

from operations import EXCHANGE, NOREPLACE, Seen

from mlbfs.mount.live import request
from mlbfs.mount.messages import encode_signature
from mlbfs.workspace.attributes import SetAttr
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.kept import list_workspaces
from mlbfs.workspace.testing import SIGNATURE, Paths

NOTHING = b"\0" * 20
"""Stands for the id of a commit that had nothing to record."""


class Commits:
    """Commits, also beside other operations."""

    def __init__(self):
        self._running = None
        self._failed = []

    def commit(self):
        return self.record()

    def begin_commit(self):
        self._running = threading.Thread(target=self._try)
        self._running.start()

    def _try(self):
        try:
            self.record()
        except BaseException as err:
            self._failed.append(err)

    def end_commit(self):
        """Waits for the commit; an error of it is one of this operation."""
        if self._running is not None:
            self._running.join()
            self._running = None
        if self._failed:
            raise self._failed.pop()


def open_again(bench):
    """Opens the one workspace of a repository, on the branch that it belongs to."""
    kept = list_workspaces(bench.store.root)
    branch = kept[0].branch if kept else "main"
    return bench.open(branch=branch, folder=kept[0].name if kept else None)


class ByWorkspace(Commits):
    """Operations on an open workspace, without a kernel."""

    def __init__(self, workspace, bench=None):
        """Takes what `open_again` opened; without its repository nothing moves it."""
        super().__init__()
        self.workspace = workspace
        self.bench = bench
        self.paths = Paths(workspace)
        for name in ("write", "truncate", "unlink", "rmdir", "symlink", "link", "rename", "chmod"):
            setattr(self, name, getattr(self.paths, name))

    def perform(self, operation):
        """Does one operation; returns the id that a commit has."""
        return getattr(self, operation[0])(*operation[1:])

    def record(self):
        try:
            done = self.workspace.commit("a commit", author=SIGNATURE)
        except NothingToCommitError:
            return NOTHING
        return done.commit.id

    def create(self, path, mode):
        self.paths.create(path, mode=mode)

    def mkdir(self, path, mode):
        self.paths.mkdir(path, mode=mode)

    def append(self, path, data):
        self.paths.write(path, self.paths.stat(path).size, data)

    def utimes(self, path, mtime):
        self.workspace.setattr(self.paths.inode(path), SetAttr(atime_ns=mtime, mtime_ns=mtime))

    def setxattr(self, path, name, value):
        self.workspace.setxattr(self.paths.inode(path), name, value)

    def removexattr(self, path, name):
        self.workspace.removexattr(self.paths.inode(path), name)

    def fsync(self, path):
        self.workspace.fsync(self.paths.inode(path))

    def follow(self, path, data):
        """Somebody else commits a file to the branch, and the workspace goes along."""
        self.bench.commit({path: data}, branch=self.workspace.branch, keep=True)
        self._check_moved(self.workspace.move(self.bench.head(self.workspace.branch)))

    def switch(self):
        """Goes to the other branch, which is put where this one is."""
        other = "side" if self.workspace.branch == "main" else "main"
        refs, name = self.bench.git.refs, f"refs/heads/{other}"
        here = self.bench.head(self.workspace.branch).id
        refs.compare_and_swap(name, refs.read(name), here, identity=SIGNATURE, message="test")
        self._check_moved(self.workspace.switch(other))

    def _check_moved(self, moved):
        assert moved.stale is not None, f"in the way: {moved.in_the_way}"

    def look(self):
        """Returns what is there, by path."""
        found, workspace = {}, self.workspace
        stack = [(b"", ROOT_INODE)]
        while stack:
            prefix, folder = stack.pop()
            for name, at, _ in workspace.readdir(folder):
                path, data = prefix + name, b""
                if stat.S_ISDIR(at.mode):
                    stack.append((path + b"/", at.ino))
                elif stat.S_ISLNK(at.mode):
                    data = workspace.readlink(at.ino)
                elif stat.S_ISREG(at.mode):
                    data = workspace.read(at.ino, 0, at.size + 1)
                    assert len(data) == at.size, path
                names = workspace.listxattr(at.ino)
                xattrs = {key: workspace.getxattr(at.ino, key) for key in names}
                shown = (stat.S_IMODE(at.mode), data, xattrs, at.mtime_ns, at.ino, at.nlink)
                assert path not in found, f"{path!r} is listed twice"
                found[path] = Seen(stat.S_IFMT(at.mode), *shown)
        return found


_LIBC = ctypes.CDLL(None, use_errno=True)
_HERE = -100


class ByMount(Commits):
    """Operations through the kernel."""

    def __init__(self, place, record):
        super().__init__()
        self.root = os.fsencode(place)
        self.mount = record

    def perform(self, operation):
        """Does one operation; returns the id that a commit has."""
        return getattr(self, operation[0])(*operation[1:])

    def at(self, path):
        return os.path.join(self.root, path)

    def record(self):
        who = encode_signature(SIGNATURE)
        words = {"message": "a commit", "author": who, "committer": who}
        try:
            answer, _ = request(self.mount, "commit", words)
        except NothingToCommitError:
            return NOTHING
        return bytes.fromhex(answer["commit"])

    def create(self, path, mode):
        os.close(os.open(self.at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def symlink(self, path, target):
        os.symlink(target, self.at(path))

    def link(self, old, new):
        os.link(self.at(old), self.at(new))

    def write(self, path, offset, data, flags=os.O_WRONLY):
        fd = os.open(self.at(path), flags)
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(fd, data[done:], offset + done)
        finally:
            os.close(fd)

    def append(self, path, data):
        self.write(path, 0, data, os.O_WRONLY | os.O_APPEND)

    def truncate(self, path, size):
        os.truncate(self.at(path), size)

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def utimes(self, path, mtime):
        os.utime(self.at(path), ns=(mtime, mtime))

    def setxattr(self, path, name, value):
        os.setxattr(self.at(path), name, value)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name)

    def unlink(self, path):
        os.unlink(self.at(path))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def rename(self, old, new, flags):
        if flags in (NOREPLACE, EXCHANGE):
            if _LIBC.renameat2(_HERE, self.at(old), _HERE, self.at(new), flags):
                raise OSError(ctypes.get_errno(), f"cannot rename {old!r} to {new!r}")
        else:
            os.rename(self.at(old), self.at(new))

    def fsync(self, path):
        fd = os.open(self.at(path), os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def look(self):
        """Returns what is there, by path."""
        found, stack = {}, [b""]
        while stack:
            prefix = stack.pop()
            for entry in os.scandir(self.at(prefix)):
                path, at, data = prefix + entry.name, entry.stat(follow_symlinks=False), b""
                if stat.S_ISDIR(at.st_mode):
                    stack.append(path + b"/")
                elif stat.S_ISLNK(at.st_mode):
                    data = os.readlink(entry.path)
                elif stat.S_ISREG(at.st_mode):
                    with open(entry.path, "rb") as file:
                        data = file.read()
                    assert len(data) == at.st_size, path
                names = [os.fsencode(n) for n in os.listxattr(entry.path, follow_symlinks=False)]
                xattrs = {key: os.getxattr(entry.path, key) for key in names}
                shown = (stat.S_IMODE(at.st_mode), data, xattrs, at.st_mtime_ns, at.st_ino)
                found[path] = Seen(stat.S_IFMT(at.st_mode), *shown, at.st_nlink)
        return found
