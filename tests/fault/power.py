"""Rounds of random operations, each ended by a power cut of a small real device.

    unshare --mount python tests/fault/power.py --rounds 200 --seed 1      (as root)

The device is a loop device with ext4, and the cut is the shutdown that the file system offers for
such tests: from then on nothing reaches the device, and what it has after the next mount is what a
power cut leaves. Between operations some files are written back and the journal is committed, so
that what was not synced arrives in any order, or not at all.

After each cut the workspace is opened and compared with what the model knows:

- names and attributes are those of one moment since the last fsync or commit returned;
- a file has the bytes that were last synced, or, where it was written since, those or newer ones;
- every commit that returned is on the branch, with all that it held.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from contextlib import closing
from pathlib import Path

import operations
import performing
from history import History
from rounds import FIRST, LostError, check_repository, first_model, in_child
from rounds import check_commits as check_commits_hold

from mlbfs.workspace import content
from mlbfs.workspace.testing import Bench

SIZE = 192 << 20

CHECK_EVERY = 40

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN of ext4, XFS and others."""

_WITHOUT_FLUSH = 2
"""Not even the journal is written."""


class Device:
    """A file system of our own that can be cut off from its device."""

    def __init__(self, folder):
        self.image, self.place = folder / "image", folder / "device"
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        self.place.mkdir()
        self.mount()

    def mount(self):
        options = "loop,commit=1"
        subprocess.run(["mount", "-o", options, self.image, self.place], check=True)

    def unmount(self):
        subprocess.run(["umount", self.place], check=True)

    def cut(self):
        """Cuts the power."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(fd)


class Round:
    """One round."""

    def __init__(self, device, model, seed):
        self.device = device
        self.root = device.place / "repository"
        self.model = model
        self.seed = seed
        chance = random.Random(seed)
        self.count = chance.randrange(1, 60)
        self.in_place = chance.random() < 0.7
        self.disturbs = chance.random() < 0.8

    def run(self):
        """Does it; returns the model to go on with."""
        told = self._operate()
        self.device.unmount()
        self.device.mount()
        return in_child(lambda: self._check(told))

    def _operate(self):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            try:
                self._go_on(writer)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        os.close(writer)
        told = b""
        while len(told) < 20 * self.count and (piece := os.read(reader, 20)):
            told += piece
        self.device.cut()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if len(told) < 20 * self.count:
            raise LostError("the process that operates has ended")
        os.set_blocking(reader, False)
        with os.fdopen(reader, "rb") as file:
            told += file.read() or b""
        return [told[at : at + 20] for at in range(0, len(told), 20)]

    def _go_on(self, writer):
        self._prepare()
        chance = random.Random(self.seed)
        with closing(Bench(self.root)) as bench:
            doing = performing.ByWorkspace(bench.open())
            drawn = operations.Operations(self.seed, self.model)
            while True:
                answer = doing.perform(drawn.next())
                os.write(writer, answer or performing.NOTHING)
                if self.disturbs and chance.random() < 0.3:
                    self._disturb(bench.folder(), chance)

    def _prepare(self):
        if self.in_place:
            content.COPY_LIMIT = 64

    def _disturb(self, folder, chance):
        """Writes one file of the workspace back, or none, and commits the journal."""
        files = sorted([*folder.glob("data/*"), *folder.glob("overlay*")])
        fd = os.open(chance.choice(files), os.O_RDONLY)
        if chance.random() < 0.7:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # begins to write it back
        os.close(fd)
        with open(self.device.place / "other", "ab") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())

    # Looking

    def _check(self, told):
        self._prepare()
        history = History(self.model)
        drawn = operations.Operations(self.seed, self.model.copy())
        for answer in told:
            history.note(drawn.next(), drawn.model, answer)
        history.note(drawn.next(), drawn.model, None)
        with closing(Bench(self.root)) as bench, bench.open() as workspace:
            seen = performing.ByWorkspace(workspace).look()
            found = history.find(seen)
            if found is None:
                raise LostError(f"after {len(told)}: {history.explain(seen)}")
            check_commits_hold(bench, "main", history.commits)
            workspace.status()
        return found


def run_rounds(folder, rounds, seed):
    """Runs rounds on a new device; raises `LostError` with what to run again."""
    os.umask(0)
    device = Device(folder)
    try:

        def begin():
            with closing(Bench(device.place / "repository")) as bench:
                bench.commit(FIRST)

        in_child(begin)
        os.sync()
        model = first_model()
        for number in range(rounds):
            one = Round(device, model, seed + number)
            try:
                model = one.run()
                if number % CHECK_EVERY == CHECK_EVERY - 1 or number == rounds - 1:
                    check_repository(one.root)
            except LostError as err:
                raise LostError(f"round {number}, seed {one.seed}: {err}") from err
    finally:
        device.unmount()


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlbfs-power-") as folder:
        run_rounds(Path(folder), chosen.rounds, chosen.seed)
    sys.stdout.write(f"{chosen.rounds} power cuts from seed {chosen.seed}: nothing lost\n")


if __name__ == "__main__":
    main()
