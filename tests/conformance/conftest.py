"""Two folders that every case is played in: one in a mount, one on ext4."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount.session import mounted
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.testing import Bench, Shape, file

HERE = Path(__file__).parent
sys.path.insert(0, os.fspath(HERE))  # as for play.py, which is a program of its own

import fixture  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

EXT4_MAGIC = 0xEF53
IMAGE_SIZE = 1 << 30


def is_ext4(folder: Path) -> bool:
    """Returns whether a folder lies on ext4."""
    words = ["stat", "--file-system", "--format=%t", folder]
    return int(subprocess.check_output(words, text=True), 16) == EXT4_MAGIC


@pytest.fixture(scope="session")
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that is surely on ext4: the host's, or that of an image that root mounts."""
    base = tmp_path_factory.mktemp("ext4")
    if is_ext4(base):
        yield base
        return
    image, place = base / "image", base / "mnt"
    place.mkdir()
    with image.open("wb") as made:
        made.truncate(IMAGE_SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def commit_fixtures(bench: Bench, count: int) -> None:
    """Commits so many fixtures, in `committed/0` and so on."""
    one: dict[bytes, Shape] = {}
    for name, text in fixture.FILES.items():
        one[name.encode()] = file(text.encode(), executable=name in fixture.EXECUTABLE)
    for name, target in fixture.LINKS.items():
        one[name.encode()] = Shape(EntryKind.SYMLINK, target.encode())
    shapes = {
        b"committed/%d/in/%s" % (number, name): shape
        for number in range(count)
        for name, shape in one.items()
    }
    bench.commit(shapes or {b"f": b"text\n"})


@pytest.fixture
def mount(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A mounted branch with as many committed fixtures as the parameter says."""
    bench = Bench(tmp_path / "repository")
    commit_fixtures(bench, getattr(request, "param", 0))
    git_dir = bench.git.common_dir
    bench.close()
    with mounted(git_dir, "main") as folder:
        yield folder
    log = "".join(path.read_text() for path in (git_dir / "mlbfs" / "run").glob("*.log"))
    assert " ERROR " not in log
    assert "Traceback" not in log
