"""Helpers for tests of workspaces: small repositories, and a workspace addressed by path.

Layer: workspace. Used by tests only; kept in the package so that child processes of fault tests
and programs that extend mlbfs can use it too.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.commits import Signature
from mlbfs.git.pointers import encode_pointer
from mlbfs.git.repository import GitRepository
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.attributes import Attributes, SetAttr
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.snapshot import NS_PER_S, Snapshot
from mlbfs.workspace.source import SnapshotSource
from mlbfs.workspace.treeedit import NewEntry, TreeEdit
from mlbfs.workspace.vfs_errors import NoEntry
from mlbfs.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlbfs.git.commits import Commit
    from mlbfs.git.objects import ObjectWriter
    from mlbfs.ids import ObjectId
    from mlbfs.store.writer import StoreWriter

SIGNATURE = Signature("A Tester", "tester@example.org", 1_700_000_000, 60)


class Shape(NamedTuple):
    """What a path holds: kind, and content (the target of a symbolic link)."""

    kind: EntryKind
    data: bytes = b""


def file(data: bytes, *, executable: bool = False) -> Shape:
    """Returns the shape of a regular file."""
    return Shape(EntryKind.EXECUTABLE if executable else EntryKind.FILE, data)


class Bench:
    """A repository in a folder, and what is needed to open workspaces of it."""

    def __init__(self, root: Path) -> None:
        self.git = GitRepository.init(root)
        self.store = ChunkStore.create(self.git.common_dir / "mlbfs")
        self.source = SnapshotSource(self.git, self.store)

    def close(self) -> None:
        """Closes store and repository."""
        self.store.close()
        self.git.close()

    def commit(
        self, shapes: Mapping[bytes, Shape | bytes], *, branch: str = "main", keep: bool = False
    ) -> Commit:
        """Commits a tree to a branch, past any workspace.

        Args:
            shapes: What the tree holds, by path; bytes stand for a regular file.
            branch: Short name.
            keep: Add to the tree that the branch has, instead of replacing it.
        """
        ref = f"refs/heads/{branch}"
        old = self.git.refs.read(ref)
        base = self.git.read_commit(old).tree if old is not None and keep else None
        edit = TreeEdit(self.source, base)
        with self.store.writer() as writer, self.git.objects() as objects:
            for path, shape in shapes.items():
                edit.put(path, new_entry(shape, writer, objects))
            tree = edit.write(objects, time_ns=SIGNATURE.time * NS_PER_S)
            commit_id = objects.put_commit(
                tree=tree,
                parents=[] if old is None else [old],
                author=SIGNATURE,
                committer=SIGNATURE,
                message="a commit",
            )
            writer.commit(edit.directories)
            objects.commit()
        self.git.refs.compare_and_swap(ref, old, commit_id, identity=SIGNATURE, message="test")
        return self.git.read_commit(commit_id)

    def head(self, branch: str = "main") -> Commit:
        """Returns the commit of a branch."""
        found = self.git.refs.read(f"refs/heads/{branch}")
        assert found is not None, "the branch exists"
        return self.git.read_commit(found)

    def folder(self, name: str = "main") -> Path:
        """Returns where a workspace is kept."""
        return self.git.common_dir / "mlbfs" / "workspaces" / name

    def open(self, *, branch: str = "main", folder: str | None = None) -> Workspace:
        """Opens the workspace of a branch."""
        where = self.folder(branch if folder is None else folder)
        return Workspace.open(
            where, self.source, branch=branch, head=self.head(branch), uid=1000, gid=1000
        )

    def committed(self, commit: Commit) -> dict[bytes, Shape]:
        """Returns what a commit holds, by path."""
        snapshot = Snapshot(self.source, commit)
        found: dict[bytes, Shape] = {}
        for path, entry in snapshot.walk():
            if not entry.is_directory:
                reader = self.source.open(entry)
                found[path] = Shape(entry.kind, reader.read(0, reader.size))
        return found


def new_entry(shape: Shape | bytes, writer: StoreWriter, objects: ObjectWriter) -> NewEntry:
    """Stores content as an import would: small text in Git, the rest in the chunk store."""
    kind, data = shape if isinstance(shape, Shape) else file(shape)
    if kind is EntryKind.SYMLINK or (len(data) < 4096 and b"\0" not in data):
        return NewEntry(kind, len(data), objects.put_blob(data))
    file_id, size = writer.put_bytes(data)
    blob: ObjectId = objects.put_blob(encode_pointer(file_id, size))
    return NewEntry(kind, size, blob, file_id)


class Paths:
    """A workspace addressed by path, as a program would through the kernel."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def split(self, path: bytes) -> tuple[int, bytes]:
        """Returns the inode of the parent, and the last name."""
        folder, _, name = path.rpartition(b"/")
        return self.inode(folder), name

    def inode(self, path: bytes) -> int:
        """Returns the inode at a path."""
        ino = ROOT_INODE
        for name in path.split(b"/") if path else ():
            ino = self.workspace.lookup(ino, name).ino
            self.workspace.forget(ino, 1)
        return ino

    def stat(self, path: bytes) -> Attributes:
        """Returns the attributes at a path."""
        return self.workspace.getattr(self.inode(path))

    def exists(self, path: bytes) -> bool:
        """Returns whether there is something."""
        try:
            self.inode(path)
        except NoEntry:
            return False
        return True

    def create(self, path: bytes, data: bytes = b"", *, mode: int = 0o644) -> int:
        """Makes a file and writes it; returns its inode."""
        parent, name = self.split(path)
        ino = self.workspace.create(parent, name, mode, uid=1000, gid=1000).ino
        if data:
            self.workspace.write(ino, 0, data)
        self.workspace.forget(ino, 1)
        return ino

    def mkdir(self, path: bytes, *, mode: int = 0o755) -> int:
        """Makes a directory; returns its inode."""
        parent, name = self.split(path)
        ino = self.workspace.mkdir(parent, name, mode, uid=1000, gid=1000).ino
        self.workspace.forget(ino, 1)
        return ino

    def symlink(self, path: bytes, target: bytes) -> None:
        """Makes a symbolic link."""
        parent, name = self.split(path)
        made = self.workspace.symlink(parent, name, target, uid=1000, gid=1000)
        self.workspace.forget(made.ino, 1)

    def link(self, old: bytes, new: bytes) -> None:
        """Gives a file another name."""
        ino = self.inode(old)
        self.workspace.link(ino, *self.split(new))
        self.workspace.forget(ino, 1)

    def write(self, path: bytes, offset: int, data: bytes) -> None:
        """Writes into a file."""
        self.workspace.write(self.inode(path), offset, data)

    def truncate(self, path: bytes, size: int) -> None:
        """Sets the length of a file."""
        self.workspace.setattr(self.inode(path), SetAttr(size=size))

    def chmod(self, path: bytes, mode: int) -> None:
        """Sets the mode."""
        self.workspace.setattr(self.inode(path), SetAttr(mode=mode))

    def unlink(self, path: bytes) -> None:
        """Removes a file."""
        self.workspace.unlink(*self.split(path))

    def rmdir(self, path: bytes) -> None:
        """Removes a directory."""
        self.workspace.rmdir(*self.split(path))

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        """Moves or exchanges."""
        self.workspace.rename(*self.split(old), *self.split(new), flags)

    def read(self, path: bytes) -> bytes:
        """Returns the whole content of a file."""
        ino = self.inode(path)
        return self.workspace.read(ino, 0, self.workspace.getattr(ino).size + 1)

    def names(self, path: bytes = b"") -> list[bytes]:
        """Returns the names in a directory, sorted."""
        return sorted(item.name for item in self.workspace.readdir(self.inode(path)))

    def dump(self) -> dict[bytes, tuple[int, bytes]]:
        """Returns mode and content of everything, by path; read as a walk reads."""
        found: dict[bytes, tuple[int, bytes]] = {}
        stack = [(b"", ROOT_INODE)]
        while stack:
            prefix, folder = stack.pop()
            for name, seen, _ in self.workspace.readdir(folder):
                path = prefix + name
                assert path not in found, "a listing tells a name once"
                data = b""
                if stat.S_ISDIR(seen.mode):
                    stack.append((path + b"/", seen.ino))
                elif stat.S_ISLNK(seen.mode):
                    data = self.workspace.readlink(seen.ino)
                elif stat.S_ISREG(seen.mode):
                    data = self.workspace.read(seen.ino, 0, seen.size + 1)
                    assert len(data) == seen.size, "a file is as long as its attributes say"
                found[path] = (seen.mode, data)
        return found
