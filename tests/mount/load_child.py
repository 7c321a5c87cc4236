"""One of the processes that work in a mount at the same time; see `test_load.py`.

    python load_child.py MOUNT NUMBER SECONDS REPORT

It works in a folder of its own, whose content it knows, and in one that all share, where every file
is put in place by a rename and says itself what has to be in it. It ends with an error at the first
thing that is not as it should be, and otherwise writes down what its own folder holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from pathlib import Path

SHARED = 12
"""Files in the shared folder."""

SIZES = (0, 1, 100, 4096, 5000, 131_072, 300_000)
MOST = 60
"""Files of its own from which on a process rather removes some."""


def sealed(chance: random.Random) -> bytes:
    """Returns bytes that begin with their own checksum."""
    body = chance.randbytes(chance.choice(SIZES))
    return hashlib.sha256(body).digest() + body


def check_sealed(data: bytes, what: object) -> None:
    assert len(data) >= 32, f"{what} has {len(data)} bytes"
    assert hashlib.sha256(data[32:]).digest() == data[:32], f"{what} is a mixture"


class Worker:
    """Works in one folder, and knows what is in it."""

    def __init__(self, mount: Path, number: int) -> None:
        self.number = number
        self.own = mount / f"own{number}"
        self.shared = mount / "shared"
        self.chance = random.Random(number)
        self.files: dict[str, bytes] = {}
        self.made = 0
        self.own.mkdir(exist_ok=True)
        self.shared.mkdir(exist_ok=True)

    def step(self) -> None:
        """Does one thing, chosen at random."""
        kinds = [
            *(self.create, self.create, self.append, self.overwrite, self.truncate, self.rename),
            *(self.check, self.check, self.put_shared, self.put_shared, self.check_shared),
            *(self.check_shared, self.unlink_open, self.replace, self.link, self.move_folder),
        ]
        if len(self.files) > MOST:
            kinds = [self.unlink, self.unlink, self.check, self.put_shared]
        self.chance.choice(kinds)()

    def _pick(self) -> str | None:
        return self.chance.choice(sorted(self.files)) if self.files else None

    def _new(self) -> str:
        self.made += 1
        folder = f"d{self.chance.randrange(3)}"
        (self.own / folder).mkdir(exist_ok=True)
        return f"{folder}/f{self.made}"

    def create(self) -> None:
        name, data = self._new(), self.chance.randbytes(self.chance.choice(SIZES))
        (self.own / name).write_bytes(data)
        self.files[name] = data

    def append(self) -> None:
        if (name := self._pick()) is None:
            return
        data = self.chance.randbytes(self.chance.choice(SIZES[:5]))
        with (self.own / name).open("ab") as file:
            file.write(data)
        self.files[name] += data

    def overwrite(self) -> None:
        if (name := self._pick()) is None:
            return
        old = self.files[name]
        offset, data = self.chance.randrange(len(old) + 1), self.chance.randbytes(777)
        with (self.own / name).open("r+b") as file:
            file.seek(offset)
            file.write(data)
        self.files[name] = old[:offset] + data + old[offset + len(data) :]

    def truncate(self) -> None:
        if (name := self._pick()) is None:
            return
        size = self.chance.randrange(2 * len(self.files[name]) + 2)
        os.truncate(self.own / name, size)
        self.files[name] = self.files[name][:size].ljust(size, b"\0")

    def rename(self) -> None:
        if (name := self._pick()) is None:
            return
        new = self._new() if self.chance.random() < 0.5 else self._pick()
        assert new is not None, "there is a file"
        os.rename(self.own / name, self.own / new)
        self.files[new] = self.files.pop(name)

    def replace(self) -> None:
        """Writes a new version beside the old one and renames it over, as editors do."""
        if (name := self._pick()) is None:
            return
        data, beside = self.chance.randbytes(3000), self.own / "beside"
        with beside.open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        beside.rename(self.own / name)
        self.files[name] = data

    def link(self) -> None:
        """Gives a file a second name, takes the first one away, and looks."""
        if (name := self._pick()) is None:
            return
        new = self._new()
        os.link(self.own / name, self.own / new)
        os.unlink(self.own / name)
        self.files[new] = self.files.pop(name)
        assert (self.own / new).read_bytes() == self.files[new]

    def unlink(self) -> None:
        if (name := self._pick()) is not None:
            os.unlink(self.own / name)
            del self.files[name]

    def unlink_open(self) -> None:
        """Removes a file that it has open; it stays readable and writable."""
        if (name := self._pick()) is None:
            return
        with (self.own / name).open("r+b") as file:
            os.unlink(self.own / name)
            assert file.read() == self.files[name], name
            file.write(b"more")
            file.seek(0)
            assert file.read() == self.files.pop(name) + b"more", name

    def move_folder(self) -> None:
        """Moves a folder away and back, with what is in it."""
        folder = f"d{self.chance.randrange(3)}"
        if not (self.own / folder).is_dir():
            return
        (self.own / folder).rename(self.own / "moved")
        inside = [name for name in self.files if name.startswith(folder + "/")]
        for name in inside[:3]:
            path = self.own / "moved" / name.partition("/")[2]
            assert path.read_bytes() == self.files[name], name
        (self.own / "moved").rename(self.own / folder)

    def check(self) -> None:
        if (name := self._pick()) is not None:
            data = (self.own / name).read_bytes()
            assert data == self.files[name], (name, len(data), len(self.files[name]))

    def put_shared(self) -> None:
        """Puts a file in place of whatever another process has there."""
        beside = self.shared / f".new{self.number}"
        beside.write_bytes(sealed(self.chance))
        beside.rename(self.shared / f"s{self.chance.randrange(SHARED)}")

    def check_shared(self) -> None:
        """Reads a file that others replace meanwhile: it is one version, and whole."""
        path = self.shared / f"s{self.chance.randrange(SHARED)}"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        check_sealed(data, path)

    def names(self) -> set[str]:
        found = {str(path.relative_to(self.own)) for path in self.own.rglob("*") if path.is_file()}
        return found - {"beside"}


def main() -> None:
    mount, number, seconds, report = sys.argv[1:]
    worker = Worker(Path(mount), int(number))
    steps, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        worker.step()
        steps += 1
    assert worker.names() == worker.files.keys()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in worker.files.items()}
    Path(report).write_text(json.dumps({"steps": steps, "files": digests}))


if __name__ == "__main__":
    main()
