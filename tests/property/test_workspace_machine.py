"""Random operations on a workspace, side by side with a plain model in memory.

After each step the whole workspace is read and compared. Commits, reopening and killing (the
folder is copied as a killed process would leave it) come in between; a commit is read back from
Git, and `status` must name exactly the paths that differ from it.
"""

from __future__ import annotations

import copy
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace import content
from mlbfs.workspace.attributes import RenameFlags
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths, Shape, file
from mlbfs.workspace.vfs_errors import Exists, Invalid, IsDirectory, NoEntry, NotDirectory, NotEmpty

BASE = {
    b"a": b"text of a\n",
    b"b": b"",
    b"big": bytes(range(256)) * 40,
    b"run": file(b"#!/bin/sh\n", executable=True),
    b"link": Shape(EntryKind.SYMLINK, b"a"),
    b"d/one": b"1\n",
    b"d/two": b"2\0binary",
    b"d/e/deep": b"deep\n",
    b"d/e/f/deeper": b"deeper\n",
    b"\xff\xfe/\xe9": b"not utf-8\n",
}
NAMES = st.sampled_from([b"a", b"b", b"big", b"d", b"e", b"f", b"one", b"new", b"x", b"\xff\xfe"])
DATA = st.sampled_from([b"", b"\0", b"short", b"0123456789" * 30, b"tail\n"])
OFFSETS = st.sampled_from([0, 1, 5, 100, 4095, 10_239, 10_240, 12_000])


class Dir:
    def __init__(self):
        self.mode = stat.S_IFDIR | 0o755
        self.names = {}


class File:
    def __init__(self, data=b"", mode=0o644):
        self.mode = stat.S_IFREG | mode
        self.data = data


class Link:
    def __init__(self, target):
        self.mode = stat.S_IFLNK | 0o777
        self.data = target


def model_of(shapes):
    """Returns the model of what a commit holds."""
    root = Dir()
    for path, shape in shapes.items():
        kind, data = shape if isinstance(shape, Shape) else file(shape)
        *folders, name = path.split(b"/")
        at = root
        for part in folders:
            at = at.names.setdefault(part, Dir())
        if kind is EntryKind.SYMLINK:
            at.names[name] = Link(data)
        else:
            at.names[name] = File(data, 0o755 if kind is EntryKind.EXECUTABLE else 0o644)
    return root


def walk(node, prefix=b""):
    for name, child in node.names.items():
        yield prefix + name, child
        if isinstance(child, Dir):
            yield from walk(child, prefix + name + b"/")


def shapes_of(root):
    """Returns what a commit of the model would hold."""
    found = {}
    for path, node in walk(root):
        if isinstance(node, Link):
            found[path] = Shape(EntryKind.SYMLINK, node.data)
        elif isinstance(node, File):
            found[path] = file(node.data, executable=bool(node.mode & stat.S_IXUSR))
    return found


def covered(path, named):
    """Returns whether a path is one of the named, or below one."""
    return any(path == name or path.startswith(name + b"/") for name in named)


def chosen_head(head, now, named):
    """Returns what a commit of some paths holds: there what is now, elsewhere what was."""
    taken = {path: shape for path, shape in now.items() if covered(path, named)}
    ways = {path[:end] for path in taken for end, char in enumerate(path) if char == ord("/")}
    kept = {p: shape for p, shape in head.items() if p not in ways and not covered(p, named)}
    return kept | taken


def nested(shapes):
    """Returns shapes by path as folders of folders."""
    top = {}
    for path, shape in shapes.items():
        *folders, name = path.split(b"/")
        at = top
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = shape
    return top


def put_back(node, wanted):
    """Returns what becomes of a node of the model that goes back to what is wanted there."""
    if isinstance(wanted, dict):
        result = Dir() if not isinstance(node, Dir) else node
        for name in [*result.names.keys() | wanted.keys()]:
            child = put_back(result.names.pop(name, None), wanted.get(name))
            if child is not None:
                result.names[name] = child
        return result
    if isinstance(node, Dir):
        was_empty = not node.names
        for name in list(node.names):
            child = put_back(node.names.pop(name), None)
            if child is not None:
                node.names[name] = child
        if node.names or (was_empty and wanted is None):
            return node
    if wanted is None:
        return None
    if wanted.kind is EntryKind.SYMLINK:
        return Link(wanted.data)
    mode = 0o755 if wanted.kind is EntryKind.EXECUTABLE else 0o644
    same = isinstance(node, File) and node.data == wanted.data
    return node if same and bool(node.mode & 0o100) == (mode == 0o755) else File(wanted.data, mode)


def restored(root, path, wanted):
    """Returns the model after one path went back."""
    if not path:
        return put_back(root, wanted)
    *folders, name = path.split(b"/")
    for folder in folders:
        wanted = wanted.get(folder, {}) if isinstance(wanted, dict) else {}
    goal = wanted.get(name) if isinstance(wanted, dict) else None
    at = root
    for folder in folders:
        if folder not in at.names and goal is not None:
            at.names[folder] = Dir()
        at = at.names.get(folder)
        if not isinstance(at, Dir):
            return root
    child = put_back(at.names.pop(name, None), goal)
    if child is not None:
        at.names[name] = child
    return root


class WorkspaceMachine(RuleBasedStateMachine):
    """One workspace and its model."""

    @initialize()
    def start(self):
        self.copy_limit = content.COPY_LIMIT
        content.COPY_LIMIT = 64  # so that `big` is not copied by its first write
        self.place = Path(tempfile.mkdtemp())
        self.bench = Bench(self.place / "repository")
        self.bench.commit(BASE)
        self.root = model_of(BASE)
        self.head = shapes_of(self.root)
        self.held = {}
        self.folders = 0
        self.saved = []
        self.open()

    def open(self):
        self.workspace = self.bench.open(folder=str(self.folders))
        self.paths = Paths(self.workspace)

    def teardown(self):
        if hasattr(self, "workspace"):
            self.workspace.close()
            self.bench.close()
            shutil.rmtree(self.place)
            content.COPY_LIMIT = self.copy_limit

    # Picking

    def pick(self, data, kind=None):
        """Draws an existing path; b"" is the root and only drawn when directories are."""
        nodes = [(b"", self.root), *walk(self.root)]
        fitting = sorted(p for p, node in nodes if kind is None or isinstance(node, kind))
        fitting = [path for path in fitting if path or kind is Dir]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    def node(self, path):
        at = self.root
        for part in path.split(b"/") if path else ():
            at = at.names[part]
        return at

    def parent(self, path):
        folder, _, name = path.rpartition(b"/")
        return self.node(folder), name

    def new_path(self, data):
        folder = self.pick(data, Dir)
        name = data.draw(NAMES)
        return folder + b"/" + name if folder else name

    def expect(self, error, action, *args):
        try:
            action(*args)
        except error:
            return
        raise AssertionError(f"{error.__name__} was expected")

    # Rules

    @rule(data=st.data(), content=DATA, mode=st.sampled_from([0o644, 0o755, 0o600]))
    def create(self, data, content, mode):
        path = self.new_path(data)
        above, name = self.parent(path)
        if name in above.names:
            self.expect(Exists, lambda: self.paths.create(path))
            return
        self.paths.create(path, content, mode=mode)
        above.names[name] = File(content, mode)

    @rule(data=st.data())
    def mkdir(self, data):
        path = self.new_path(data)
        above, name = self.parent(path)
        if name in above.names:
            self.expect(Exists, self.paths.mkdir, path)
            return
        self.paths.mkdir(path)
        above.names[name] = Dir()

    @rule(data=st.data())
    def symlink(self, data):
        path = self.new_path(data)
        above, name = self.parent(path)
        if name not in above.names:
            self.paths.symlink(path, b"some/target")
            above.names[name] = Link(b"some/target")

    @rule(data=st.data(), offset=OFFSETS, content=DATA)
    def write(self, data, offset, content):
        path = self.pick(data, File)
        if path is None:
            return
        node = self.node(path)
        self.paths.write(path, offset, content)
        if content:
            old = node.data.ljust(offset, b"\0")
            node.data = old[:offset] + content + old[offset + len(content) :]

    @rule(data=st.data(), size=OFFSETS)
    def truncate(self, data, size):
        path = self.pick(data, File)
        if path is not None:
            node = self.node(path)
            self.paths.truncate(path, size)
            node.data = node.data[:size].ljust(size, b"\0")

    @rule(data=st.data(), mode=st.sampled_from([0o644, 0o755, 0o4711, 0o400]))
    def chmod(self, data, mode):
        path = self.pick(data, File)
        if path is not None:
            self.paths.chmod(path, mode)
            self.node(path).mode = stat.S_IFREG | mode

    @rule(data=st.data())
    def unlink(self, data):
        path = self.pick(data)
        if path is None:
            return
        if isinstance(self.node(path), Dir):
            self.expect(IsDirectory, self.paths.unlink, path)
            return
        self.paths.unlink(path)
        above, name = self.parent(path)
        del above.names[name]

    @rule(data=st.data())
    def rmdir(self, data):
        path = self.pick(data)
        if path is None:
            return
        node = self.node(path)
        if not isinstance(node, Dir):
            self.expect(NotDirectory, self.paths.rmdir, path)
        elif node.names:
            self.expect(NotEmpty, self.paths.rmdir, path)
        else:
            self.paths.rmdir(path)
            above, name = self.parent(path)
            del above.names[name]

    @rule(data=st.data())
    def link(self, data):
        old, new = self.pick(data, File), self.new_path(data)
        above, name = self.parent(new)
        if old is not None and name not in above.names:
            self.paths.link(old, new)
            above.names[name] = self.node(old)

    @rule(data=st.data(), flags=st.sampled_from([0, 0, 1, 2]))
    def rename(self, data, flags):
        old, new = self.pick(data), self.new_path(data)
        if old is None:
            return
        error = self.rename_error(old, new, flags)
        if error is not None:
            self.expect(error, self.paths.rename, old, new, flags)
            return
        self.paths.rename(old, new, flags)
        (source, name), (target, new_name) = self.parent(old), self.parent(new)
        node, there = source.names[name], target.names.get(new_name)
        if node is there:
            return
        target.names[new_name] = node
        if flags & RenameFlags.EXCHANGE:
            source.names[name] = there
        else:
            del source.names[name]

    def rename_error(self, old, new, flags):
        node = self.node(old)
        above, name = self.parent(new)
        there = above.names.get(name)
        if flags & RenameFlags.EXCHANGE:
            if there is None:
                return NoEntry
            loops = new.startswith(old + b"/") or old.startswith(new + b"/")
            return Invalid if loops else None
        if there is not None and flags & RenameFlags.NOREPLACE:
            return Exists
        if there is node:
            return None
        if isinstance(node, Dir) and new.startswith(old + b"/"):
            return Invalid
        if isinstance(there, Dir):
            if not isinstance(node, Dir):
                return IsDirectory
            return NotEmpty if there.names else None
        return NotDirectory if isinstance(node, Dir) and there is not None else None

    @rule(data=st.data(), content=DATA)
    def hold_open_and_unlink(self, data, content):
        """A file that is open when its last name goes can still be read and written."""
        path = self.pick(data, File)
        if path is None:
            return
        parent, name = self.paths.split(path)
        ino = self.workspace.lookup(parent, name).ino
        above, last = self.parent(path)
        node = above.names.pop(last)
        self.paths.unlink(path)
        self.workspace.write(ino, 0, content)
        node.data = content + node.data[len(content) :]
        self.held.setdefault(ino, [node, 0])[1] += 1

    @precondition(lambda self: self.held)
    @rule()
    def forget_held(self):
        ino, (_, count) = self.held.popitem()
        self.workspace.forget(ino, count)

    @rule()
    def status(self):
        seen = {change.path for change in self.workspace.status().changes}
        now = shapes_of(self.root)
        paths = now.keys() | self.head.keys()
        assert seen == {path for path in paths if now.get(path) != self.head.get(path)}

    @rule()
    def commit(self):
        now = shapes_of(self.root)
        if now == self.head:
            self.expect(NothingToCommitError, self.commit_now)
            return
        result = self.commit_now()
        assert self.bench.committed(result.commit) == now
        assert self.bench.head() == result.commit
        self.head = now

    @rule(data=st.data(), count=st.integers(1, 3))
    def commit_some(self, data, count):
        """Only what was named is committed; the rest stays changed."""
        now = shapes_of(self.root)
        known = sorted({path for path, _ in walk(self.root)} | self.head.keys())
        named = {data.draw(st.sampled_from(known)) for _ in range(count)} if known else set()
        wanted = chosen_head(self.head, now, named)
        if wanted == self.head:
            self.expect(NothingToCommitError, self.commit_now, named or [b""])
            return
        result = self.commit_now(named)
        assert self.bench.committed(result.commit) == wanted
        self.head = wanted

    @rule()
    def savepoint(self):
        """It holds what a commit would, and changes nothing."""
        now, branch = shapes_of(self.root), self.bench.head()
        found = self.workspace.savepoint()
        if now == self.head:
            assert found is None
        else:
            assert self.bench.committed(found.commit) == now
            self.saved.append(found.commit)
        assert self.bench.head() == branch

    @rule(data=st.data())
    def restore(self, data):
        """A path goes back to what the branch has."""
        known = sorted({path for path, _ in walk(self.root)} | self.head.keys())
        path = data.draw(st.sampled_from([b"", *known]))
        self.put_back(path, self.head, None)

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def undo(self, data):
        """Everything goes back to a savepoint."""
        commit = data.draw(st.sampled_from(self.saved))
        self.put_back(b"", self.bench.committed(commit), commit)

    def put_back(self, path, wanted, commit):
        numbers = {p: self.paths.inode(p) for p, _ in walk(self.root)}
        self.workspace.restore([path], source=commit)
        self.root = restored(self.root, path, nested(wanted))
        # A file that was not replaced is the same one, with modes that Git does not keep.
        for where, node in list(walk(self.root)):
            if isinstance(node, File) and covered(where, [path] if path else where.split(b"/")[:1]):
                above, name = self.parent(where)
                seen = self.paths.stat(where)
                if numbers.get(where) != seen.ino:
                    above.names[name] = File(node.data, (node.mode & 0o100 and 0o755) or 0o644)

    def commit_now(self, paths=(b"",)):
        return self.workspace.commit("change", author=SIGNATURE, paths=paths)

    @rule()
    def reopen(self):
        self.workspace.close()
        self.after_reopening()

    @precondition(lambda self: shapes_of(self.root) == self.head)
    @rule(data=st.data(), content=DATA)
    def follow(self, data, content):
        """A workspace without changes stands on what its branch has come to, when opened."""
        path = self.pick(data, File)
        changes = {b"outside": content}
        if path is not None:
            changes[path] = file(content, executable=bool(self.node(path).mode & stat.S_IXUSR))
        self.workspace.close()
        self.bench.commit(changes, keep=True)
        self.root.names[b"outside"] = File(content)
        if path is not None:
            above, name = self.parent(path)
            above.names[name] = File(content, above.names[name].mode & 0o7777)
        self.head = shapes_of(self.root)
        self.after_reopening()

    @rule()
    def kill(self):
        """Leaves the files as a killed process would, and opens them."""
        old = self.bench.folder(str(self.folders))
        self.folders += 1
        shutil.copytree(old, self.bench.folder(str(self.folders)))
        self.workspace.close()
        self.after_reopening()

    def after_reopening(self):
        self.held.clear()
        self.open()
        assert not self.workspace.behind
        self.split_links()
        now = shapes_of(self.root)
        # Modes that Git does not keep live until the commit is opened again.
        for path, node in walk(self.root):
            if isinstance(node, File) and path in self.head and now[path] == self.head[path]:
                seen = self.paths.stat(path).mode
                kept = stat.S_IFREG | (0o755 if node.mode & stat.S_IXUSR else 0o644)
                assert seen in (node.mode, kept)
                node.mode = seen

    def split_links(self):
        """Names that a commit has made files of their own are that after reopening."""
        for path, node in list(walk(self.root)):
            if isinstance(node, File) and self.paths.stat(path).nlink == 1:
                above, name = self.parent(path)
                above.names[name] = copy.copy(node)

    # What must hold after each step

    @precondition(lambda self: hasattr(self, "workspace"))
    @invariant()
    def everything_reads_as_in_the_model(self):
        wanted = {}
        for path, node in walk(self.root):
            wanted[path] = (node.mode, b"" if isinstance(node, Dir) else node.data)
        assert self.paths.dump() == wanted
        for ino, (node, _) in self.held.items():
            assert self.workspace.read(ino, 0, len(node.data) + 1) == node.data


TestWorkspaceMachine = pytest.mark.slow(WorkspaceMachine.TestCase)
TestWorkspaceMachine.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    # Each step reads everything, so shrinking a failure takes minutes: add it by hand when needed.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
