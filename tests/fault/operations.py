"""Random operations on a workspace or a mount, and the model that knows what must come of them.

Operations come from a seed, so that two processes know the same ones. The model knows content,
kind, mode, target, extended attributes, links and, after a `utimes`, the modification time. What a
commit has taken loses, when the workspace is opened again, what Git cannot keep; `changed` tells
for each thing whether that may have happened.
"""

from __future__ import annotations

import copy
import random
import stat
from dataclasses import dataclass, field
from typing import NamedTuple

FOLDER, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK
NAMES = [b"a", b"b.txt", b"c\xff", b"d"]
MANY = 50
"""Paths from which on things are rather removed than made."""

NOREPLACE, EXCHANGE = 1, 2


@dataclass
class Thing:
    """An inode: what all its names share.

    Attributes:
        changed: Since a commit was begun that may have taken it.
    """

    kind: int
    mode: int
    data: bytes = b""
    xattrs: dict = field(default_factory=dict)
    mtime: int | None = None
    changed: bool = True


class Seen(NamedTuple):
    """What is found at a path; `data` of a symbolic link is its target."""

    kind: int
    mode: int
    data: bytes
    xattrs: dict
    mtime: int
    ino: int
    nlink: int


class Model:
    """Names, and the things they name."""

    def __init__(self):
        self.names = {}
        self.things = {}
        self.is_committing = False

    def copy(self):
        return copy.deepcopy(self)

    def add(self, path, thing):
        number = max(self.things, default=0) + 1
        self.names[path], self.things[number] = number, thing

    def at(self, path):
        return self.things[self.names[path]]

    def paths(self, *kinds):
        return sorted(path for path in self.names if self.at(path).kind in kinds)

    def below(self, path):
        return [other for other in self.names if other.startswith(path + b"/")]

    def files(self):
        """Returns what a commit would hold, by path."""
        return {path: self.at(path).data for path in self.paths(FILE, LINK)}

    def count(self, number):
        return sum(other == number for other in self.names.values())

    # The operations

    def apply(self, operation):
        """Changes the model as an operation should."""
        kind, *args = operation
        getattr(self, f"do_{kind}")(*args)

    def _touched(self, thing):
        thing.changed = not self.is_committing

    def do_create(self, path, mode):
        self.add(path, Thing(FILE, mode))
        self._touched(self.at(path))

    def do_mkdir(self, path, mode):
        self.add(path, Thing(FOLDER, mode))
        self._touched(self.at(path))

    def do_symlink(self, path, target):
        self.add(path, Thing(LINK, 0o777, target))
        self._touched(self.at(path))

    def do_write(self, path, offset, data):
        thing = self.at(path)
        old = thing.data.ljust(offset, b"\0")
        thing.data, thing.mtime = old[:offset] + data + old[offset + len(data) :], None
        self._touched(thing)

    def do_append(self, path, data):
        self.do_write(path, len(self.at(path).data), data)

    def do_truncate(self, path, size):
        thing = self.at(path)
        thing.data, thing.mtime = thing.data[:size].ljust(size, b"\0"), None
        self._touched(thing)

    def do_chmod(self, path, mode):
        self.at(path).mode = mode
        self._touched(self.at(path))

    def do_utimes(self, path, mtime):
        self.at(path).mtime = mtime
        self._touched(self.at(path))

    def do_setxattr(self, path, name, value):
        self.at(path).xattrs[name] = value
        self._touched(self.at(path))

    def do_removexattr(self, path, name):
        del self.at(path).xattrs[name]
        self._touched(self.at(path))

    def do_link(self, old, new):
        self.names[new] = self.names[old]

    def do_unlink(self, path):
        number = self.names.pop(path)
        if not self.count(number):
            del self.things[number]

    do_rmdir = do_unlink

    def do_rename(self, old, new, flags):
        moved = {path: self.names.pop(path) for path in [old, *self.below(old)]}
        back = {}
        if flags == EXCHANGE:
            back = {path: self.names.pop(path) for path in [new, *self.below(new)]}
        elif new in self.names:
            self.do_unlink(new)
        self.names.update({new + path[len(old) :]: number for path, number in moved.items()})
        self.names.update({old + path[len(new) :]: number for path, number in back.items()})

    def do_fsync(self, path):
        pass

    def do_follow(self, path, data):
        self.add(path, Thing(FILE, 0o644, data, changed=False))

    def do_switch(self):
        pass

    def do_commit(self):
        self.do_begin_commit()
        self.do_end_commit()

    def do_begin_commit(self):
        self.is_committing = True
        for thing in self.things.values():
            thing.changed = False

    def do_end_commit(self):
        self.is_committing = False
        for thing in self.things.values():
            thing.changed = False


class Operations:
    """Draws operations that fit a model.

    With `moves`, somebody else's commit to the branch that the workspace follows is one of them,
    and going to another branch, with all that was not committed.
    """

    def __init__(self, seed, model, *, sizes=(0, 1, 60, 4096, 5000, 12_000), moves=False):
        self.moves = moves
        self.chance = random.Random(seed)
        self.model = model
        self.sizes = sizes

    def next(self):
        """Returns the next operation and applies it to the model."""
        operation = None
        while operation is None:
            operation = self._draw()
        self.model.apply(operation)
        return operation

    def _draw(self):
        model, chance = self.model, self.chance
        if model.is_committing and chance.random() < 0.15:
            return ("end_commit",)
        many = len(model.names) > MANY
        kinds = [
            *("create", "create", "mkdir", "symlink", "link"),
            *("write", "write", "write", "append", "append", "truncate", "chmod", "utimes"),
            *("setxattr", "removexattr", "unlink", "rmdir", "rename", "rename", "rename"),
            *("fsync", "commit", "begin_commit"),
        ]
        if self.moves:
            kinds += ["follow", "follow", "switch"]
        if many:
            kinds = ["unlink", "unlink", "rmdir", "write", "rename", "commit"]
        kind = chance.choice(kinds)
        return getattr(self, f"_{kind}")()

    def _pick(self, *kinds):
        found = self.model.paths(*kinds)
        return self.chance.choice(found) if found else None

    def _new(self):
        folder = self.chance.choice([b"", *self.model.paths(FOLDER)])
        name = self.chance.choice(NAMES) + b"%d" % self.chance.randrange(8)
        path = folder + b"/" + name if folder else name
        return path if path.count(b"/") < 4 else None

    def _free(self):
        path = self._new()
        return None if path is None or path in self.model.names else path

    def _create(self):
        path = self._free()
        return path and ("create", path, self.chance.choice([0o644, 0o600, 0o755]))

    def _mkdir(self):
        path = self._free()
        return path and ("mkdir", path, self.chance.choice([0o755, 0o700]))

    def _symlink(self):
        path = self._free()
        return path and ("symlink", path, self.chance.choice([b"a0", b"../b", b"x" * 300]))

    def _link(self):
        old, new = self._pick(FILE), self._free()
        return old and new and ("link", old, new)

    def _write(self):
        path = self._pick(FILE)
        data = self.chance.randbytes(self.chance.choice(self.sizes[1:]))
        return path and ("write", path, self.chance.choice(self.sizes), data)

    def _append(self):
        path = self._pick(FILE)
        if path is None or len(self.model.at(path).data) > 8 * self.sizes[-1]:
            return None
        return "append", path, self.chance.randbytes(self.chance.choice(self.sizes[1:]))

    def _truncate(self):
        path = self._pick(FILE)
        return path and ("truncate", path, self.chance.choice(self.sizes))

    def _chmod(self):
        path = self._pick(FILE, FOLDER)
        return path and ("chmod", path, self.chance.choice([0o700, 0o744, 0o755, 0o711]))

    def _utimes(self):
        path = self._pick(FILE)
        return path and ("utimes", path, self.chance.randrange(10**18, 2 * 10**18))

    def _setxattr(self):
        path = self._pick(FILE, FOLDER)
        name = b"user.%d" % self.chance.randrange(3)
        return path and ("setxattr", path, name, self.chance.randbytes(20))

    def _removexattr(self):
        path = self._pick(FILE, FOLDER)
        if path is None or not self.model.at(path).xattrs or not self.model.at(path).changed:
            return None
        return "removexattr", path, self.chance.choice(sorted(self.model.at(path).xattrs))

    def _unlink(self):
        path = self._pick(FILE, LINK)
        return path and ("unlink", path)

    def _rmdir(self):
        path = self._pick(FOLDER)
        return None if path is None or self.model.below(path) else ("rmdir", path)

    def _rename(self):
        old, new = self._pick(FILE, FOLDER, LINK), self._new()
        if self.chance.random() < 0.3:
            new = self._pick(FILE, FOLDER, LINK)
        if old is None or new is None or f"{new!r}/".startswith(f"{old!r}/"):
            return None
        if (new + b"/").startswith(old + b"/") or (old + b"/").startswith(new + b"/"):
            return None
        model = self.model
        if new not in model.names:
            return "rename", old, new, self.chance.choice([0, NOREPLACE])
        if model.names[old] == model.names[new]:
            return None
        is_folder = model.at(old).kind == FOLDER
        fits = is_folder == (model.at(new).kind == FOLDER) and not model.below(new)
        return "rename", old, new, 0 if fits and self.chance.random() < 0.6 else EXCHANGE

    def _fsync(self):
        path = self._pick(FILE, FOLDER)
        return path and ("fsync", path)

    def _commit(self):
        return None if self.model.is_committing else ("commit",)

    def _follow(self):
        """A file at the root that nobody has had: no change is in its way, whatever changed."""
        path = b"z%d" % self.chance.randrange(10**9)
        data = self.chance.randbytes(self.chance.choice([10, 5000]))
        return None if self.model.is_committing else ("follow", path, data)

    def _switch(self):
        return None if self.model.is_committing else ("switch",)

    def _begin_commit(self):
        return None if self.model.is_committing else ("begin_commit",)


# Comparing


def differences(model, seen):
    """Returns what is not as the model says, in words."""
    found = [f"{path!r} is missing" for path in model.names.keys() - seen.keys()]
    found += [f"{path!r} should not be there" for path in seen.keys() - model.names.keys()]
    for path in model.names.keys() & seen.keys():
        found += [f"{path!r}: {what}" for what in _differs(model.at(path), seen[path])]
    return found or _split(model, seen)


def _differs(thing, seen):
    if seen.kind != thing.kind:
        yield f"kind {seen.kind:o} instead of {thing.kind:o}"
        return
    if seen.data != thing.data:
        yield f"content differs: {_where(seen.data, thing.data)}"
    modes, xattrs = {thing.mode}, [thing.xattrs]
    if not thing.changed:
        xattrs.append({})
        modes.add(0o755 if thing.kind == FOLDER or thing.mode & 0o100 else 0o644)
    if seen.mode not in modes and thing.kind != LINK:
        yield f"mode {seen.mode:o} instead of {thing.mode:o}"
    if seen.xattrs not in xattrs:
        yield f"attributes {seen.xattrs} instead of {thing.xattrs}"
    if thing.changed and thing.mtime not in (None, seen.mtime):
        yield f"modified {seen.mtime} instead of {thing.mtime}"


def _where(seen, wanted):
    pairs = enumerate(zip(seen, wanted, strict=False))
    at = next((at for at, pair in pairs if pair[0] != pair[1]), None)
    return f"{len(seen)} bytes instead of {len(wanted)}, first at {at}"


def _split(model, seen):
    """Yields files that should have one inode and have several, or another number of links."""
    numbers = {}
    for path, number in model.names.items():
        numbers.setdefault(number, []).append(path)
    found = []
    for number, paths in numbers.items():
        thing = model.things[number]
        if thing.kind == FILE and thing.changed:
            inodes = {seen[path].ino for path in paths}
            if len(inodes) > 1 or seen[paths[0]].nlink != len(paths):
                found.append(f"{paths} have the inodes {inodes}, {seen[paths[0]].nlink} links")
    return found


def matches(before, after, operation, seen):
    """Returns which of two models is seen, or None; a write may have been done in part."""
    for model in (after, before):
        if not differences(model, seen):
            return model
    if operation[0] in ("write", "append", "truncate") and operation[1] in seen:
        part = after.copy()
        thing, now = part.at(operation[1]), seen[operation[1]].data
        if is_mixture(now, before.at(operation[1]).data, thing.data):
            thing.data = now
            return None if differences(part, seen) else part
    return None


def is_mixture(seen, old, new):
    """Returns whether bytes are partly those of one version, partly those of another."""
    if not min(len(old), len(new)) <= len(seen) <= max(len(old), len(new)):
        return False
    old, new = old.ljust(len(seen), b"\0"), new.ljust(len(seen), b"\0")
    return all(byte in pair for byte, *pair in zip(seen, old, new, strict=False))


def learned(model, seen):
    """Returns the model of what is seen, with what the old model knows of changes."""
    made, numbers = Model(), {}
    for path, found in seen.items():
        old = model.at(path)
        key = (found.kind, found.ino)
        if key not in numbers or found.kind != FILE:
            keeps = old.mtime == found.mtime
            made.add(
                path,
                Thing(
                    *(found.kind, found.mode, found.data, dict(found.xattrs)),
                    mtime=found.mtime if keeps else None,
                    changed=old.changed,
                ),
            )
            numbers[key] = made.names[path]
        made.names[path] = numbers[key]
    return made
