"""Random operations on a workspace while its branch moves elsewhere, and it goes along.

The machine of `test_workspace_machine` with more rules: commits made elsewhere, moves to them with
and without changes, files and folders that stay open over a move, listings that go on over one.
"""

from __future__ import annotations

import stat

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.testing import Shape, file
from tests.property.test_workspace_machine import (
    DATA,
    NAMES,
    Dir,
    File,
    Link,
    WorkspaceMachine,
    shapes_of,
    walk,
)

FOLDERS = st.sampled_from([b"", b"", b"d/", b"d/e/", b"d/e/f/", b"x/", b"new/", b"a/", b"many/"])


class Listing:
    """A listing of a folder that is under way."""

    def __init__(self, ino, node):
        self.ino = ino
        self.node = node
        self.offset = 0
        self.told = []
        self.always = set(node.names)


class CheckoutMachine(WorkspaceMachine):
    """One workspace, its model, and a branch that moves by itself."""

    def open(self):
        super().open()
        self.tip = self.head
        self.opened = {}
        self.listings = []
        self.stale = []
        self.workspace.on_stale = self.stale.append

    # Elsewhere

    @rule(
        folder=FOLDERS,
        name=NAMES,
        content=DATA,
        kind=st.sampled_from([EntryKind.FILE, EntryKind.FILE, EntryKind.EXECUTABLE, None, "link"]),
        follows=st.booleans(),
    )
    def change_elsewhere(self, folder, name, content, kind, follows):
        """Somebody commits: a file written, removed, or put where a folder is, and vice versa."""
        path = folder + name
        tip = dict(self.tip)
        for other in list(tip):
            if other == path or other.startswith(path + b"/") or path.startswith(other + b"/"):
                del tip[other]
        if kind == "link":
            tip[path] = Shape(EntryKind.SYMLINK, content or b"target")
        elif kind is not None:
            tip[path] = Shape(kind, content)
        tip.setdefault(b"stays", file(b"a tree that is never empty\n"))
        self.bench.commit(tip)
        self.tip = tip
        if follows:
            self.move(only_clean=False)

    @rule(seed=st.integers(0, 5))
    def many_elsewhere(self, seed):
        """Somebody commits a folder that takes several steps to list, or other content of it."""
        tip = {path: shape for path, shape in self.tip.items() if not path.startswith(b"many")}
        tip |= {
            b"many/%03d" % number: file(b"%d" % (number % 7 == seed))
            for number in range(300)
            if number % 5 != seed
        }
        self.bench.commit(tip)
        self.tip = tip
        self.move(only_clean=True)

    @rule()
    def elsewhere_back(self):
        """The branch is put back to what the workspace stands on."""
        self.bench.commit(self.head)
        self.tip = self.head

    # Going along

    @rule(only_clean=st.booleans())
    def move(self, only_clean):
        before = self.inodes()
        now = shapes_of(self.root)
        changed = {p for p in now.keys() | self.head.keys() if now.get(p) != self.head.get(p)}
        moved = self.workspace.move(self.bench.head(), only_clean=only_clean)
        if moved.stale is None:
            assert moved.in_the_way
            assert changed or self.leftovers()
            return
        assert not (only_clean and changed)
        assert all(self.tip.get(path) == self.head.get(path) for path in changed)
        self.apply(changed)
        self.head = self.tip
        assert self.workspace.base == self.bench.head()
        self.check_inodes(before)

    def leftovers(self):
        """Returns what a commit would not record, but a move has to take along."""
        folders = {path for path, node in walk(self.root) if isinstance(node, Dir)}
        known = {path.rsplit(b"/", depth)[0] for path in self.head for depth in range(1, 12)}
        return folders - known or [e for e in self.rows() if e.off >= 1 << 32 or e.gen]

    def rows(self):
        overlay = self.workspace._core.overlay
        return overlay.entries_since(self.workspace._core.committed)

    def apply(self, changed):
        """Makes of the model what the new commit has, where nothing changed here."""
        differing = {
            path
            for path in self.tip.keys() | self.head.keys()
            if self.tip.get(path) != self.head.get(path)
        }
        for path in sorted(differing & self.head.keys(), reverse=True):
            above, name = self.parent(path)
            del above.names[name]
        kept = folders_of(self.tip)
        for path in sorted(folders_of(self.head) - kept, reverse=True):
            above, name = self.parent(path)
            if not above.names[name].names:
                del above.names[name]
        for path in sorted(differing & self.tip.keys()):
            kind, data = self.tip[path]
            above = self.root
            *folders, name = path.split(b"/")
            for part in folders:
                above = above.names.setdefault(part, Dir())
            if kind is EntryKind.SYMLINK:
                above.names[name] = Link(data)
            else:
                above.names[name] = File(data, 0o755 if kind is EntryKind.EXECUTABLE else 0o644)

    # What stays

    def inodes(self):
        """Returns the inode of everything, with the node that stands for it in the model."""
        return {path: (node, self.paths.inode(path)) for path, node in walk(self.root)}

    def check_inodes(self, before):
        """What is the same file or folder at a path has its inode; all else has another."""
        for path, (node, ino) in self.inodes().items():
            old = before.get(path)
            if old is not None:
                assert (old[0] is node) == (old[1] == ino), path

    @rule(data=st.data())
    def hold_open(self, data):
        path = self.pick(data, File)
        if path is not None:
            parent, name = self.paths.split(path)
            ino = self.workspace.lookup(parent, name).ino
            self.opened.setdefault(ino, [self.node(path), 0])[1] += 1

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), content=DATA)
    def write_to_open(self, data, content):
        """What is written to an open file is there for whoever has it open."""
        ino = data.draw(st.sampled_from(sorted(self.opened)))
        node = self.opened[ino][0]
        self.workspace.write(ino, 0, content)
        node.data = content + node.data[len(content) :]

    @precondition(lambda self: self.opened)
    @rule()
    def close_open(self):
        ino, (_, count) = self.opened.popitem()
        self.workspace.forget(ino, count)

    @rule(data=st.data())
    def begin_listing(self, data):
        path = self.pick(data, Dir)
        ino = 1
        for name in path.split(b"/") if path else ():
            ino = self.workspace.lookup(ino, name).ino
        self.listings.append(Listing(ino, self.node(path)))

    @precondition(lambda self: self.listings)
    @rule(count=st.integers(1, 150))
    def go_on_listing(self, count):
        listing = self.listings[-1]
        for _ in range(count):
            found = next(iter(self.workspace.readdir(listing.ino, listing.offset)), None)
            if found is None:
                self.end_listing(self.listings.pop())
                return
            listing.told.append(found.name)
            listing.offset = found.next_offset

    def end_listing(self, listing):
        told = [name for name in listing.told if name in listing.always]
        assert sorted(told) == sorted(listing.always)

    # Rules of the other machine that mean something else here

    def commit_now(self, paths=(b"",)):
        """A commit onto a branch that moved is for other tests; here it is put back first."""
        if self.bench.head() != self.workspace.base:
            self.elsewhere_back()
            moved = self.workspace.move(self.bench.head())
            assert moved.stale is not None, "nothing differs, so nothing is in the way"
        result = super().commit_now(paths)
        self.tip = self.bench.committed(result.commit)
        return result

    @rule()
    def reopen(self):
        self.elsewhere_back()
        super().reopen()

    @rule()
    def kill(self):
        self.elsewhere_back()
        super().kill()

    @precondition(lambda _: False)
    @rule()
    def follow(self):
        """Opening on a branch that moved is the other machine's."""

    @precondition(lambda self: hasattr(self, "workspace"))
    @invariant()
    def open_files_read_as_opened(self):
        for ino, (node, _) in self.opened.items():
            assert self.workspace.read(ino, 0, len(node.data) + 1) == node.data
            seen = self.workspace.getattr(ino)
            assert stat.S_ISREG(seen.mode)
            assert seen.size == len(node.data)
        for listing in self.listings:
            listing.always &= set(listing.node.names)


def folders_of(shapes):
    """Returns the folders that a commit has."""
    found = set()
    for path in shapes:
        while b"/" in path:
            path = path.rpartition(b"/")[0]
            found.add(path)
    return found


TestCheckoutMachine = pytest.mark.slow(CheckoutMachine.TestCase)
TestCheckoutMachine.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
