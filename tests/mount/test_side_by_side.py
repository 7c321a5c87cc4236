"""A mounted branch and a plain folder, side by side with the same random operations.

Every operation must answer alike, and everything must read alike, over remounts too.
"""

from __future__ import annotations

import mmap
import os
import random
import stat

import pytest

from mlbfs.mount.session import mounted
from mlbfs.workspace.testing import Bench

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

FILES = {
    b"a": b"text\n",
    b"big": random.Random(3).randbytes(2 << 20),
    b"d/one": b"1\n",
    b"d/two": b"2\n",
    b"d/e/deep": b"deep\n",
    b"x/one": b"1\n",
}
NAMES = [b"a", b"big", b"d", b"e", b"x", b"one", b"two", b"new", b"\xff\xfe"]
OPERATIONS = 150


def write(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def append(path, data):
    with open(path, "ab") as file:
        file.write(data)


def create(path, data):
    with open(path, "xb") as file:
        file.write(data)


def rewrite(path, data):
    """As programs save that want the old or the new file after a crash."""
    with open(path + b".tmp", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + b".tmp", path)


def write_mapped(path, offset):
    with open(path, "r+b") as file:
        if size := os.fstat(file.fileno()).st_size:
            with mmap.mmap(file.fileno(), 0) as view:
                view[offset % size] = 90
                view.flush()


def make_link(path):
    os.symlink(b"target", path)


class Player:
    """Draws operations and plays each in both folders."""

    def __init__(self, seed, folders):
        self.chance = random.Random(seed)
        self.folders = [os.fsencode(folder) for folder in folders]

    def path(self):
        return b"/".join(self.chance.choice(NAMES) for _ in range(self.chance.choice([1, 1, 2, 3])))

    def bytes(self):
        return self.chance.randbytes(self.chance.choice([0, 10, 5000, 150_000]))

    def draw(self):
        """Returns a function, the paths it takes, and what else."""
        number = self.chance.randrange(3_000_000 if self.chance.random() < 0.2 else 100)
        mode = self.chance.choice([0o644, 0o755, 0o600])
        return self.chance.choice(
            [
                (write, 1, (number, self.bytes())),
                (append, 1, (self.bytes(),)),
                (create, 1, (self.bytes(),)),
                (rewrite, 1, (self.bytes(),)),
                (write_mapped, 1, (number,)),
                (make_link, 1, ()),
                (os.truncate, 1, (number,)),
                (os.chmod, 1, (mode,)),
                (os.unlink, 1, ()),
                (os.mkdir, 1, ()),
                (os.rmdir, 1, ()),
                (os.rename, 2, ()),
                (os.rename, 2, ()),
                (os.link, 2, ()),
            ]
        )

    def step(self):
        """Plays one operation; returns what it was and the answers."""
        action, count, rest = self.draw()
        paths = [self.path() for _ in range(count)]
        answers = [
            answer(action, [folder + b"/" + path for path in paths], rest)
            for folder in self.folders
        ]
        return action.__name__, paths, answers


def answer(action, paths, rest):
    """Returns the errno of an operation, 0 when it went well."""
    try:
        action(*paths, *rest)
    except OSError as err:
        return err.errno
    return 0


def contents(folder):
    """Returns mode, links and bytes of everything in a folder, by path."""
    found = {}
    top = os.fsencode(folder)
    for where, folders, files in os.walk(top):
        for name in folders + files:
            path = where + b"/" + name
            status = os.lstat(path)
            data, links = b"", 0
            if stat.S_ISLNK(status.st_mode):
                data = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    data = file.read()
                links = status.st_nlink
            found[path[len(top) :]] = (status.st_mode, links, data)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mount_and_a_plain_folder_cannot_be_told_apart(tmp_path, seed):
    """Answers, modes, links and bytes are the same after each step, and after a remount."""
    plain = tmp_path / "plain"
    bench = Bench(tmp_path / "repository")
    bench.commit(FILES)
    for name, data in FILES.items():
        path = plain / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    git_dir = bench.git.common_dir
    bench.close()
    for _ in range(2):
        with mounted(git_dir, "main") as folder:
            player = Player(seed, [folder, plain])
            assert contents(folder) == contents(plain)
            went_well = 0
            for number in range(OPERATIONS):
                name, paths, answers = player.step()
                assert answers[0] == answers[1], f"step {number}: {name} {paths}"
                went_well += answers[0] == 0
                if number % 10 == 0:
                    assert contents(folder) == contents(plain), f"step {number}: {name} {paths}"
            assert contents(folder) == contents(plain)
            assert went_well > OPERATIONS // 10
