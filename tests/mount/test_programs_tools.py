"""Tools that people run in a working copy, on a real mount: pip, rsync, vim, LMDB, NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from tests.mount.programs import ENVIRONMENT, mlbfs, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mount.conftest import Mounts

pytestmark = [pytest.mark.fuse, pytest.mark.slow]


def make_wheel(folder: Path, version: str) -> Path:
    """Makes a wheel of a package with modules, data, a script and many small files."""
    info = f"parcel-{version}.dist-info"
    files = {
        "parcel/__init__.py": f"VERSION = {version!r}\n",
        "parcel/below/__init__.py": "",
        "parcel/below/data.bin": "x" * 100_000,
        **{f"parcel/many/module{number}.py": f"N = {number}\n" for number in range(50)},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: parcel\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nparcel = parcel:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / f"parcel-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


def test_pip_install(work: Path, tmp_path: Path) -> None:
    """Pip installs a package into the mount, runnable there, and then a newer one over it."""
    site = work / "site"
    for version in ("1.0", "2.0"):
        wheel = make_wheel(tmp_path, version)
        pip = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
        run(*pip, "--no-index", "--no-deps", "--upgrade", "--target", site, wheel)
        program = (
            "import parcel.many.module49 as m, parcel; print(parcel.VERSION, m.N, parcel.__file__)"
        )
        told = run(sys.executable, "-c", program, env=ENVIRONMENT | {"PYTHONPATH": str(site)})
        assert told.decode().split() == [version, "49", str(site / "parcel/__init__.py")]
        assert (site / f"parcel-{version}.dist-info/RECORD").exists()
        assert os.access(site / "bin/parcel", os.X_OK)


def test_rsync_twice(snapshot_mount: Path, work: Path, tmp_path: Path) -> None:
    """Rsync -a into a mount and out of it: again it copies nothing, then only what changed."""
    for source, target in ((snapshot_mount, work / "in"), (work / "in", tmp_path / "out")):
        rsync = ("rsync", "-a", "--itemize-changes", "--delete", f"{source}/", f"{target}/")
        assert b"hello.txt" in run(*rsync)
        run("diff", "-r", "--no-dereference", source, target)
        assert run(*rsync) == b""
    (work / "in/hello.txt").write_text("longer than before\n")
    (work / "in/run.sh").unlink()
    told = run("rsync", "-a", "--itemize-changes", "--delete", f"{work}/in/", f"{tmp_path}/out/")
    assert sorted(line.split()[-1] for line in told.splitlines() if not line.endswith(b"./")) == [
        b"hello.txt",
        b"run.sh",
    ]


def test_rsync_of_what_was_committed(mounts: Mounts, tmp_path: Path) -> None:
    """A commit changes no size and no time, so rsync has nothing to copy after it."""
    place = mounts.mount("main")
    (place / "new").mkdir()
    (place / "new/large").write_bytes(os.urandom(3_000_000))
    (place / "new/small").write_text("small\n")
    rsync = ("rsync", "-a", "--itemize-changes", f"{place}/", f"{tmp_path}/out/")
    run(*rsync)
    mlbfs(place, "commit", "-m", "new")
    assert run(*rsync) == b""


@pytest.mark.parametrize("copy", ["no", "yes"])
def test_vim(mounts: Mounts, copy: str) -> None:
    """Vim edits a committed file, saving by rename and in place, and keeps its mode."""
    place = mounts.mount("main")
    settings = f"set nocompatible swapfile directory=. backup backupskip= backupcopy={copy}"
    vim = ("vim.tiny", "-u", "NONE", "-i", "NONE", "-es", "-c", settings)
    with open(place / "run.sh") as before:
        run(*vim, "-c", "%s/ran/walked/", "-c", "wq", "run.sh", cwd=place)
        assert before.read() == f"#!/bin/sh\necho {'walked' if copy == 'yes' else 'ran'}\n"
    assert run(place / "run.sh") == b"walked\n"
    assert run(place / "run.sh~") == b"ran\n"
    assert not list(place.glob(".*.sw?"))
    mlbfs(place, "commit", "-m", "walk")
    assert run("git", "-C", place, "show", "--format=", "--summary", "HEAD") == (
        b" create mode 100755 run.sh~\n"
    )
    assert run(place / "run.sh") == b"walked\n"


def test_checkpoints_are_seen_whole(work: Path) -> None:
    """Who loads a checkpoint that is saved again and again by write, fsync and rename sees one."""
    import numpy

    path, saves = work / "model.npz", 20

    def save(step: int) -> None:
        with open(work / "model.tmp", "wb") as file:
            numpy.savez(file, weights=numpy.full(50_000, step), step=step)
            file.flush()
            os.fsync(file.fileno())
        os.replace(work / "model.tmp", path)

    save(0)
    saver = threading.Thread(target=lambda: [save(step) for step in range(1, saves)])
    saver.start()
    seen = []
    while not seen or seen[-1] < saves - 1:
        with numpy.load(path) as loaded:
            step = int(loaded["step"])
            assert (loaded["weights"] == step).all()
        seen.append(step)
    saver.join()
    assert seen == sorted(seen)
    assert os.listdir(work) == ["model.npz"]


@pytest.mark.parametrize("writemap", [False, True])
def test_lmdb(mounts: Mounts, writemap: bool) -> None:
    """LMDB writes by call and through its map, also into a database that was committed."""
    import lmdb

    place = mounts.mount("main")
    expected: dict[bytes, bytes] = {}
    for turn in range(2):
        with lmdb.open(str(place / "base"), map_size=1 << 24, writemap=writemap) as base:
            for number in range(20):
                key, value = b"%d" % (number * (turn + 1)), os.urandom(5000)
                expected[key] = value
                with base.begin(write=True) as change:
                    change.put(key, value)
        with (
            lmdb.open(str(place / "base"), map_size=1 << 24, readonly=True) as base,
            base.begin() as snapshot,
        ):
            assert dict(snapshot.cursor()) == expected
        mlbfs(place, "commit", "-m", f"turn {turn}")
        session.unmount(place)
        place = mounts.mount("main")
    assert (place / "base/data.mdb").stat().st_size > 100_000


def test_memmap_of_a_committed_array(mounts: Mounts) -> None:
    """A committed array is changed through a map, and another process sees it and the rest."""
    import numpy

    place, shape = mounts.mount("main"), (700, 1000)
    expected = numpy.arange(700_000, dtype="f4").reshape(shape)
    expected.tofile(place / "array")
    mlbfs(place, "commit", "-m", "an array")
    session.unmount(place)
    place = mounts.mount("main")
    array = numpy.memmap(place / "array", dtype="f4", mode="r+", shape=shape)
    array[300:302] = -1
    array[699, 999] = -2
    array.flush()
    expected[300:302] = -1
    expected[699, 999] = -2
    program = "import numpy, sys; print(numpy.fromfile(sys.argv[1], 'f4').sum(dtype='f8'))"
    told = float(run(sys.executable, "-c", program, place / "array"))
    assert told == expected.sum(dtype="f8")
    assert (array == expected).all()
    del array
    assert run("git", "-C", place, "status", "--porcelain", "-uno") == b" M array\n"
    mlbfs(place, "commit", "-m", "changed")
    assert (numpy.fromfile(place / "array", "f4").reshape(shape) == expected).all()


def test_tar_of_hard_links_and_holes(work: Path, tmp_path: Path) -> None:
    """Tar brings links, holes, times and modes into the mount and out again."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "one").write_bytes(b"content")
    os.link(source / "one", source / "two")
    with open(source / "holes", "wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o750)
    os.utime(source / "tool", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    tar = ("tar", "--format=posix", "--sparse")
    run(*tar, "-cf", tmp_path / "in.tar", "-C", source, ".")
    run(*tar, "-xpf", tmp_path / "in.tar", "-C", work)
    run(*tar, "-cf", tmp_path / "out.tar", "-C", work, ".")
    (tmp_path / "again").mkdir()
    run(*tar, "-xpf", tmp_path / "out.tar", "-C", tmp_path / "again")
    for place in (work, tmp_path / "again"):
        run("diff", "-r", source, place)
        assert (place / "one").samefile(place / "two")
        assert (place / "holes").stat().st_blocks < 1000
        tool = (place / "tool").stat()
        assert (tool.st_mode & 0o7777, tool.st_mtime_ns) == (0o750, 1_600_000_000_123_456_789)


def test_interrupted_writer(work: Path) -> None:
    """A program that is killed while it writes leaves what it wrote, and locks nothing."""
    child = "import sys\nf = open(sys.argv[1], 'wb', 0)\nwhile True: f.write(b'x' * 1000); print()"
    path = work / "file"
    with subprocess.Popen([sys.executable, "-uc", child, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(50)]
        writer.kill()
    data = path.read_bytes()
    assert len(data) >= 1000 * len(lines)
    assert data == b"x" * len(data)
    path.unlink()
    assert os.listdir(work) == []
