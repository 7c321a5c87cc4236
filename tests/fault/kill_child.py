"""Changes a workspace until it is killed; run by test_workspace_kill.py.

Operations come from a seed, so that the parent knows them: operation `n` is the same in both. A
line is printed after each, so the parent knows which have returned.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from mlbfs.workspace import content
from mlbfs.workspace.commit import NothingToCommitError
from mlbfs.workspace.testing import SIGNATURE, Bench, Paths

COPY_LIMIT = 64
"""Small, so that files of the snapshot are changed in place."""

NAMES = [b"a", b"b", b"c", b"big"]


class Operations:
    """Random operations, and the model that makes them fit.

    The model maps paths to bytes of a file, or to None for a directory.
    """

    def __init__(self, seed, model):
        self.chance = random.Random(seed)
        self.model = dict(model)

    def next(self):
        """Returns an operation: its name and arguments. The model is not changed."""
        pick = self.chance.choice
        files = sorted(path for path, data in self.model.items() if data is not None)
        folders = [b"", *sorted(path for path, data in self.model.items() if data is None)]
        folder = pick(folders)
        new = (folder + b"/" if folder else b"") + pick(NAMES) + b"%d" % self.chance.randrange(6)
        free = new not in self.model
        kinds = ["create", "create", "mkdir", "write", "write", "truncate", "unlink", "rename"]
        kind = self.chance.choice([*kinds, "rename", "commit", "fsync", "folder"])
        if kind == "create" and free:
            return "create", new
        if kind == "mkdir" and free:
            return "mkdir", new
        if kind == "folder" and free and len(folders) > 1:
            moved = pick(folders[1:])
            if not (new + b"/").startswith(moved + b"/"):
                return "rename", moved, new
        if not files or kind == "commit":
            return ("commit",)
        path = pick(files)
        if kind == "rename" and (free or self.model[new] is not None) and new != path:
            return "rename", path, new
        if kind == "truncate":
            return "truncate", path, self.chance.choice([0, 1, 100, 5000, 20_000])
        if kind in ("unlink", "fsync"):
            return kind, path
        data = self.chance.randbytes(self.chance.choice([1, 50, 5000]))
        return "write", path, self.chance.choice([0, 10, 4000, 10_000]), data

    def apply(self, operation):
        """Changes the model as the operation should."""
        kind, *rest = operation
        model = self.model
        if kind == "create":
            model[rest[0]] = b""
        elif kind == "mkdir":
            model[rest[0]] = None
        elif kind == "write":
            path, offset, data = rest
            old = model[path].ljust(offset, b"\0")
            model[path] = old[:offset] + data + old[offset + len(data) :]
        elif kind == "truncate":
            model[rest[0]] = model[rest[0]][: rest[1]].ljust(rest[1], b"\0")
        elif kind == "unlink":
            del model[rest[0]]
        elif kind == "rename":
            self._rename(*rest)

    def _rename(self, old, new):
        moved = {path for path in self.model if path == old or path.startswith(old + b"/")}
        taken = {path: self.model.pop(path) for path in moved}
        self.model.update({new + path[len(old) :]: data for path, data in taken.items()})


def perform(paths, operation):
    """Does one operation to a workspace."""
    kind, *rest = operation
    if kind == "commit":
        try:
            paths.workspace.commit("a commit", author=SIGNATURE)
        except NothingToCommitError:
            return
    elif kind == "fsync":
        paths.workspace.fsync(paths.inode(rest[0]))
    else:
        getattr(paths, kind)(*rest)


def contents(paths):
    """Returns what a workspace holds, as a model."""
    return {
        path: None if mode & 0o170000 == 0o040000 else data
        for path, (mode, data) in paths.dump().items()
    }


def main():
    content.COPY_LIMIT = COPY_LIMIT
    bench = Bench(Path(sys.argv[1]))
    paths = Paths(bench.open())
    operations = Operations(int(sys.argv[2]), contents(paths))
    while True:
        operation = operations.next()
        perform(paths, operation)
        operations.apply(operation)
        os.write(1, b".")


if __name__ == "__main__":
    main()
