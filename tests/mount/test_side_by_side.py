"""A mounted branch and a plain folder, side by side with the same random operations.

Hypothesis draws the operations. Each must answer alike, and after each step everything must look
alike: names, types, modes, owners, lengths, bytes, links, extended attributes, and times where they
were set. In between the branch is mounted again, its daemon is killed, commits are made, and the
mount goes to another branch.

`MLBFS_SIDE_BY_SIDE=N` plays N runs of 200 steps instead of a few short ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import select
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlbfs.errors import ErrorKind, MlbfsError
from mlbfs.mount import session
from mlbfs.mount.live import request
from mlbfs.mount.messages import encode_signature
from mlbfs.mount.mountinfo import mount_at, read_mountinfo
from mlbfs.workspace.testing import SIGNATURE, Bench

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

RUNS = int(os.environ.get("MLBFS_SIDE_BY_SIDE", "0"))
IS_ROOT = os.geteuid() == 0

FILES = {
    b"a": b"text\n",
    b"big": random.Random(3).randbytes(2 << 20),
    b"d/one": b"1\n",
    b"d/two": b"2\n",
    b"d/e/deep": b"deep\n",
    b"x/one": b"1\n",
}
NAMES = [b"a", b"big", b"d", b"e", b"x", b"one", b"two", b"new", b"\xff\xfe"]
_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

LONG_AGO = 10**18
"""Nanoseconds: times before this were set by a step, times after it come from the clock."""

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
offsets = st.sampled_from([0, 1, 4095, 4096, 70_000, 1_500_000, 2_000_000, 2_500_000])
texts = st.sampled_from([b"", b"x", b"\0", b"line\n" * 900, b"\xff" * 150_000])
modes = st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o2755, 0o1777, 0o4755])
who = st.sampled_from([0, 1001, 1002] if IS_ROOT else [os.geteuid()])
times = st.integers(0, LONG_AGO - 1)
attributes = st.sampled_from(["user.a", "user.b"])


class Seen(NamedTuple):
    """What is compared of one path, but for times."""

    mode: int
    owner: tuple[int, int]
    links: int
    data: bytes
    attributes: tuple[tuple[str, bytes], ...]

    def kept(self) -> tuple[object, ...]:
        """Returns what a commit keeps of it (S50)."""
        is_program = stat.S_ISREG(self.mode) and self.mode & 0o100
        return stat.S_IFMT(self.mode), bool(is_program), self.data


def look(top: bytes) -> tuple[dict[bytes, Seen], dict[bytes, int]]:
    """Returns everything in a folder, and the modification times, by path."""
    seen, modified = {}, {}
    for where, folders, files in os.walk(top):
        for name in folders + files:
            path = where + b"/" + name
            status = os.lstat(path)
            key = path[len(top) :]
            seen[key] = look_at(path, status)
            modified[key] = status.st_mtime_ns
    return seen, modified


def look_at(path: bytes, status: os.stat_result) -> Seen:
    data, links, found = b"", status.st_nlink, ()
    if stat.S_ISLNK(status.st_mode):
        data = os.readlink(path)
    elif stat.S_ISDIR(status.st_mode):
        links = 0  # a folder that came with a commit does not count them (S31)
    else:
        with open(path, "rb") as file:
            data = file.read()
        assert len(data) == status.st_size
    if not stat.S_ISLNK(status.st_mode):
        found = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    return Seen(status.st_mode, (status.st_uid, status.st_gid), links, data, found)


def answer(action, *arguments):
    """Returns the errno of an operation, 0 when it went well."""
    try:
        action(*arguments)
    except OSError as err:
        return err.errno
    return 0


@contextlib.contextmanager
def acting_as(uid):
    """Is another user for a step."""
    if uid == os.geteuid():
        yield
        return
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


# Operations on one path or two


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


def overwrite(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def save(path, data):
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


def exchange(one, other):
    if _libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


def set_time(path, time_ns):
    os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


class SideBySide(RuleBasedStateMachine):
    """Plays each step in both folders."""

    def __init__(self):
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="mlbfs-side-"))
        self.plain = os.fsencode(self.base / "plain")
        self.place = self.base / "mnt"
        self.place.mkdir()
        self.base.chmod(0o755)
        self.open_files = {}
        self.is_committed = False
        self.branch = "main"
        bench = Bench(self.base / "repository")
        bench.commit(FILES)
        self.git_dir = bench.git.common_dir
        bench.close()
        self.record = session.mount(self.git_dir, "main", self.place)
        for name, data in FILES.items():
            path = self.plain + b"/" + name
            os.makedirs(os.path.dirname(path), exist_ok=True)
            create(path, data)

    def teardown(self):
        self.close_files()
        if mount_at(read_mountinfo(), self.place) is not None:
            session.unmount(self.place)
        log = "".join(path.read_text() for path in (self.git_dir / "mlbfs/run").glob("*.log"))
        shutil.rmtree(self.base)
        assert " ERROR " not in log
        assert "Traceback" not in log

    @property
    def tops(self):
        return (os.fsencode(self.place), self.plain)

    def both(self, action, names, *rest, uid=None):
        """Plays an operation on paths in both folders; the answers must be the same."""
        answers = []
        for top in self.tops:
            with acting_as(os.geteuid() if uid is None else uid):
                answers.append(answer(action, *[top + b"/" + name for name in names], *rest))
        assert answers[0] == answers[1], f"{action.__name__} {names} {rest}"

    @invariant()
    def everything_is_alike(self):
        (ours, our_times), (theirs, their_times) = (look(top) for top in self.tops)
        assert ours == theirs
        for path, time_ns in our_times.items():
            if min(time_ns, their_times[path]) < LONG_AGO:
                assert time_ns == their_times[path], path
        for mount, plain in self.open_files.values():
            assert os.pread(mount, 4 << 20, 0) == os.pread(plain, 4 << 20, 0)
            assert os.fstat(mount).st_nlink == os.fstat(plain).st_nlink

    # Steps

    @rule(path=paths, offset=offsets, data=texts, uid=who)
    def writes(self, path, offset, data, uid):
        self.both(write, [path], offset, data, uid=uid)

    @rule(path=paths, data=texts, uid=who, action=st.sampled_from([append, create, overwrite]))
    def puts(self, path, data, uid, action):
        self.both(action, [path], data, uid=uid)

    @rule(path=paths, data=texts)
    def saves(self, path, data):
        self.both(save, [path], data)

    @rule(path=paths, offset=offsets)
    def maps(self, path, offset):
        self.both(write_mapped, [path], offset)

    @rule(path=paths, size=offsets, uid=who)
    def truncates(self, path, size, uid):
        self.both(os.truncate, [path], size, uid=uid)

    @rule(path=paths, uid=who, action=st.sampled_from([os.unlink, os.rmdir, os.mkdir]))
    def makes_and_removes(self, path, uid, action):
        self.both(action, [path], uid=uid)

    @rule(old=paths, new=paths, uid=who, action=st.sampled_from([os.rename, os.link, exchange]))
    def moves(self, old, new, uid, action):
        self.both(action, [old, new], uid=uid)

    @rule(path=paths, to=paths)
    def makes_link(self, path, to):
        self.both(lambda made: os.symlink(to, made), [path])

    @rule(path=paths, mode=modes, uid=who)
    def changes_mode(self, path, mode, uid):
        self.both(os.chmod, [path], mode, uid=uid)

    @rule(path=paths, to=who, uid=who)
    def changes_owner(self, path, to, uid):
        self.both(lambda found: os.lchown(found, to, to), [path], uid=uid)

    @rule(path=paths, time_ns=times)
    def changes_time(self, path, time_ns):
        self.both(set_time, [path], time_ns)

    @rule(path=paths, name=attributes, value=texts.filter(lambda text: len(text) < 100))
    def sets_attribute(self, path, name, value):
        self.both(lambda found: os.setxattr(found, name, value), [path])

    @rule(path=paths, name=attributes)
    def removes_attribute(self, path, name):
        self.both(lambda found: os.removexattr(found, name), [path])

    @rule(path=paths)
    def makes_special(self, path):
        self.both(lambda made: os.mknod(made, stat.S_IFSOCK | 0o640), [path])
        self.both(os.unlink, [path])

    # Open files

    @precondition(lambda self: len(self.open_files) < 3)
    @rule(path=paths)
    def opens(self, path):
        found = []
        self.both(lambda name: found.append(os.open(name, os.O_RDWR)), [path])
        if found:
            self.open_files[max(self.open_files, default=0) + 1] = tuple(found)

    @precondition(lambda self: self.open_files)
    @rule(offset=offsets, data=texts)
    def writes_to_open_files(self, offset, data):
        for pair in self.open_files.values():
            for fd in pair:
                os.pwrite(fd, data, offset)

    @precondition(lambda self: self.open_files)
    @rule(size=offsets)
    def cuts_open_files(self, size):
        for pair in self.open_files.values():
            for fd in pair:
                os.ftruncate(fd, size)

    @rule()
    def close_files(self):
        for pair in self.open_files.values():
            for fd in pair:
                os.close(fd)
        self.open_files.clear()

    # What only the mount does

    @rule()
    def commits(self):
        author = encode_signature(SIGNATURE)
        words = {"message": "a commit", "author": author, "committer": author}
        try:
            request(self.record, "commit", words)
        except MlbfsError as err:
            if err.kind is not ErrorKind.NOTHING_TO_COMMIT:
                raise
        else:
            self.is_committed = True

    @rule()
    def switches(self):
        """Goes to the other branch, which is put where this one is, so that all comes along."""
        other = "side" if self.branch == "main" else "main"
        words = ["update-ref", f"refs/heads/{other}", f"refs/heads/{self.branch}"]
        subprocess.run(["git", "-C", self.git_dir, *words], check=True)
        request(self.record, "switch", {"branch": other})
        self.branch = other

    @rule()
    def mounts_again(self):
        self.close_files()
        session.unmount(self.place)
        self.mount()

    @rule()
    def is_killed(self):
        self.close_files()
        process = os.pidfd_open(self.record.pid)
        signal.pidfd_send_signal(process, signal.SIGKILL)
        wait_for(process)
        self.mount()

    def mount(self):
        """Mounts; what no commit keeps may have gone if there was one (S51)."""
        self.record = session.mount(self.git_dir, self.branch, self.place)
        if self.is_committed:
            self.adopt()
            self.is_committed = False

    def adopt(self):
        """Checks what a commit keeps, and takes over the rest from the mount."""
        ours, theirs = ({path: at.kept() for path, at in look(top)[0].items()} for top in self.tops)
        assert ours == theirs
        shutil.rmtree(self.plain)
        copy = ["cp", "--archive", os.fsencode(self.place), self.plain]
        subprocess.run(copy, check=True)


def wait_for(process):
    """Waits until a killed process is gone."""
    poller = select.poll()
    poller.register(process, select.POLLIN)
    assert poller.poll(20_000), "it is still there"
    os.close(process)


SideBySide.TestCase.settings = settings(
    max_examples=RUNS or 3,
    stateful_step_count=200 if RUNS else 30,
    deadline=None,
    derandomize=not RUNS,
    suppress_health_check=list(HealthCheck),
)
SideBySide.TestCase.pytestmark = pytestmark


class TestSideBySide(SideBySide.TestCase):
    """A mount and a plain folder cannot be told apart (S1, S7, S15, S20, S51)."""
