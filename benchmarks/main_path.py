"""The main path against what a user would run instead: import, re-import, mount, stored bytes.

    python benchmarks/main_path.py [--work DIR] [--scale 1.0] [--rounds 3] [CASE ...]

The options are those of every script here (`harness.run_cases`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import datasets
from harness import (
    MLBFS,
    Plan,
    Row,
    allocated,
    alternate,
    disk_usage,
    mlbfs,
    peak_memory,
    remove,
    resident_memory,
    run,
    run_cases,
    settle_disk,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _import_case(plan: Plan, name: str, source: Path, files: int, target: str) -> Row:
    """Imports a folder or file into a fresh repository, against `cp` and `sync`."""
    copy, repository = plan.work / "copy", plan.work / "repository"

    def clean() -> None:
        remove(copy)
        remove(repository)
        repository.parent.mkdir(parents=True, exist_ok=True)
        mlbfs("init", repository)
        settle_disk()

    def with_cp() -> None:
        run(["cp", "-r", source, copy])
        os.sync()

    def with_mlbfs() -> None:
        argument = f"{source}/" if source.is_dir() else str(source)
        mlbfs("-C", repository, "import", argument, "--branch", "data", "-m", "bench")
        os.sync()

    _warm(source)
    stored: list[int] = []

    def weigh() -> None:
        if not copy.exists():
            stored.append(disk_usage(repository))

    samples = alternate(plan.rounds, {"ours": with_mlbfs, "cp": with_cp}, before=clean, after=weigh)
    row = Row(name, "`cp -r`, then sync", target, ours=samples["ours"], other=samples["cp"])
    middle = sorted(row.ours)[len(row.ours) // 2]
    row.notes["files_per_second"] = round(files / middle)
    row.notes["stored_bytes"] = stored[-1]
    row.notes["source_state"] = "in the page cache"
    remove(copy)
    remove(repository)
    return row


def _warm(source: Path) -> None:
    """Reads the source once, so that every contender finds it in the page cache."""
    if source.is_file():
        run(["cp", source, "/dev/null"])
        return
    for folder, _, names in os.walk(source):
        for name in names:
            (Path(folder) / name).read_bytes()


def import_medium_files(plan: Plan) -> list[Row]:
    """20,000 files of 100 kB, incompressible."""
    files = plan.count(20_000)
    data = datasets.incompressible_tree(plan.work / "medium", files=files, size=100_000)
    row = _import_case(plan, f"import {files:,} files of 100 kB", data, files, "at most 1.0")
    return [row.settle(at_most=1.0)]


def import_small_files(plan: Plan) -> list[Row]:
    """200,000 files of 7 kB."""
    files = plan.count(200_000)
    data = datasets.incompressible_tree(plan.work / "small", files=files, size=7_000)
    row = _import_case(plan, f"import {files:,} files of 7 kB", data, files, "at most 1.0")
    return [row.settle(at_most=1.0)]


def import_big_file(plan: Plan) -> list[Row]:
    """One file of 4 GB."""
    size = plan.count(4_000_000_000)
    file = datasets.big_file(plan.work / "big" / "data.bin", size=size)
    row = _import_case(plan, f"import one file of {size / 1e9:.3g} GB", file, 1, "at most 1.3")
    return [row.settle(at_most=1.3)]


def import_again(plan: Plan) -> list[Row]:
    """The same data again after one file in a hundred was changed, against the first import."""
    files = plan.count(20_000)
    data = datasets.incompressible_tree(plan.work / "again", files=files, size=100_000)
    row = Row(f"import {files:,} files again, 1 % changed", "the first import", "at most 0.3")
    grown = Row("stored bytes after that", "before", "at most 1.02", unit="MB")
    for number in range(plan.rounds):
        repository = plan.work / "repository"
        remove(repository)
        mlbfs("init", repository)
        _warm(data)
        settle_disk()

        def bring() -> None:
            mlbfs("-C", repository, "import", f"{data}/", "--branch", "data", "-m", "bench")  # noqa: B023
            os.sync()

        row.other.append(timed(bring))
        grown.other.append(disk_usage(repository))
        datasets.change_files(data, every=100, seed=100 + number)
        settle_disk()
        row.ours.append(timed(bring))
        grown.ours.append(disk_usage(repository))
    remove(plan.work / "repository")
    return [row.settle(at_most=0.3), grown.settle(at_most=1.02)]


def import_big_again(plan: Plan) -> list[Row]:
    """One big file again after 1 % of its bytes were overwritten in place."""
    size = plan.count(4_000_000_000)
    file = datasets.big_file(plan.work / "big-again" / "data.bin", size=size)
    repository = plan.work / "repository"
    remove(repository)
    mlbfs("init", repository)
    settle_disk()

    def bring() -> None:
        mlbfs("-C", repository, "import", file, "--branch", "data", "-m", "bench")
        os.sync()

    row = Row(f"import {size / 1e9:.3g} GB again, 1 % changed", "the first import", "at most 0.3")
    grown = Row("stored bytes of it after that", "before", "at most 1.02", unit="MB")
    row.other.append(timed(bring))
    grown.other.append(disk_usage(repository))
    datasets.change_bytes(file, pieces=10, length=max(1, size // 1000), seed=7)
    settle_disk()
    row.ours.append(timed(bring))
    grown.ours.append(disk_usage(repository))
    remove(repository)
    return [row.settle(at_most=0.3), grown.settle(at_most=1.02)]


def _repository_of(plan: Plan, name: str, *, files: int, size: int) -> Path:
    """A repository whose branch `data` holds that many files; built once and kept."""
    repository = plan.work / f"repository-{name}"
    marker = plan.work / f"repository-{name}.complete"
    if marker.exists() and marker.read_text() == f"{files} {size}\n":
        return repository
    remove(repository)
    source = plan.work / f"source-{name}"
    data = datasets.incompressible_tree(source, files=files, size=size)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", f"{data}/", "--branch", "data", "-m", "bench")
    remove(source)
    marker.write_text(f"{files} {size}\n")
    return repository


def _mount_and_list(repository: Path, point: Path) -> None:
    mlbfs("-C", repository, "mount", "data", point)
    run(["ls", point])


def mount_to_first_listing(plan: Plan) -> list[Row]:
    """From typing `mlbfs mount` to the end of the first `ls`: 1,000 files against 1,000,000."""
    many = plan.count(1_000_000)
    repositories = {
        "many": _repository_of(plan, "many", files=many, size=64),
        "few": _repository_of(plan, "few", files=1_000, size=64),
    }
    point = plan.work / "mountpoint"
    point.mkdir(exist_ok=True)
    contenders: dict[str, Callable[[], object]] = {
        name: (lambda repository=repository: _mount_and_list(repository, point))
        for name, repository in repositories.items()
    }
    rounds = max(plan.rounds, 7) if plan.scale >= 1 else plan.rounds
    samples = alternate(rounds, contenders, after=lambda: mlbfs("umount", point))
    row = Row(
        f"mount to first `ls`, {many:,} files",
        "the same with 1,000 files",
        "within 20 %, both under 0.5 s",
        ours=samples["many"],
        other=samples["few"],
    ).settle(at_most=1.2)
    row.reached = bool(row.reached) and sorted(row.ours)[len(row.ours) // 2] < 0.5
    return [row]


def memory_after_walk(plan: Plan) -> list[Row]:
    """Resident memory of the daemon after a walk with `stat` of every file."""
    many = plan.count(1_000_000)
    repository = _repository_of(plan, "many", files=many, size=64)
    point = plan.work / "mountpoint"
    point.mkdir(exist_ok=True)
    mlbfs("-C", repository, "mount", "data", point)
    try:
        began = time.perf_counter()
        seen = sum(1 for _ in _stat_everything(point))
        took = time.perf_counter() - began
        (mount,) = json.loads(mlbfs("-C", repository, "mounts", "--json"))
        memory = resident_memory(mount["pid"])
    finally:
        mlbfs("umount", point)
    row = Row(
        f"resident memory of the daemon after a walk of {many:,} files",
        "",
        "under 300 MB",
        unit="MB",
        ours=[memory["resident"]],
    )
    row.reached = memory["resident"] < 300e6
    row.notes = {"seen": seen, "entries_per_second": round(seen / took), **memory}
    return [row]


def memory_of_import(plan: Plan) -> list[Row]:
    """Peak resident memory of importing one file of 100 GB.

    The file is sparse with random bytes in one of a hundred places, since no machine at hand holds
    100 GB twice; every byte of it is read, hashed and cut all the same.
    """
    size = plan.count(100_000_000_000)
    file = plan.work / "huge.bin"
    remove(file)
    with file.open("wb") as out:
        out.truncate(size)
    datasets.change_bytes(file, pieces=1000, length=max(1, size // 100_000), seed=3)
    repository = plan.work / "repository"
    remove(repository)
    mlbfs("init", repository)
    arguments = ("-C", repository, "import", file, "--branch", "data", "-m", "bench")
    began = time.perf_counter()
    peak = peak_memory(MLBFS, *arguments)
    took = time.perf_counter() - began
    remove(file)
    remove(repository)
    row = Row(
        f"peak resident memory of importing one file of {size / 1e9:.3g} GB",
        "",
        "under 512 MB",
        unit="MB",
        ours=[peak],
        reached=peak < 512e6,
    )
    row.notes = {"seconds": round(took, 1), "gb_per_second": round(size / 1e9 / took, 2)}
    return [row]


def _stat_everything(folder: Path):  # noqa: ANN202
    with os.scandir(folder) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            yield entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _stat_everything(Path(entry.path))


def checkout_against_lfs(plan: Plan) -> list[Row]:
    """`git lfs checkout` of a set of files, against mount to first `ls` of the same set."""
    files = plan.count(20_000)
    data = datasets.incompressible_tree(plan.work / "medium", files=files, size=100_000)
    repository = plan.work / "repository-lfs-rival"
    remove(repository)
    mlbfs("init", repository)
    mlbfs("-C", repository, "import", f"{data}/", "--branch", "data", "-m", "bench")
    clone = _lfs_repository(plan, data)
    point = plan.work / "mountpoint"
    point.mkdir(exist_ok=True)
    row = Row(
        f"mount to first `ls` of {files:,} files of 100 kB",
        "`git lfs checkout`",
        "at most 0.02",
    )
    for _ in range(plan.rounds):
        settle_disk()
        row.ours.append(timed(lambda: _mount_and_list(repository, point)))
        mlbfs("umount", point)
        for path in clone.iterdir():
            if path.name not in (".git", ".gitattributes"):
                remove(path)
        run(["git", "-C", clone, "reset", "-q", "--hard"], extra_env={"GIT_LFS_SKIP_SMUDGE": "1"})
        settle_disk()
        row.other.append(timed(lambda: run(["git", "-C", clone, "lfs", "checkout"])))
    remove(repository)
    remove(clone)
    return [row.settle(at_most=0.02)]


def _lfs_repository(plan: Plan, data: Path) -> Path:
    """A stock Git LFS repository with the content of `data` committed."""
    clone = plan.work / "lfs"
    remove(clone)
    run(["git", "init", "-q", clone])
    run(["git", "-C", clone, "lfs", "install", "--local"])
    (clone / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    shutil.copytree(data, clone / "data")
    run(["git", "-C", clone, "add", "."])
    run(["git", "-C", clone, "commit", "-q", "-m", "bench"])
    return clone


def stored_bytes_of_releases(plan: Plan) -> list[Row]:
    """Ten releases of a real, growing data set, kept as ten versions by each contender."""
    releases = datasets.growing_releases(plan.work / "cache")
    if plan.scale < 1:
        releases = releases[:3]
    sizes = {
        "mlbfs": _releases_mlbfs(plan, releases),
        "restic": _releases_restic(plan, releases),
        "git-lfs": _releases_lfs(plan, releases),
    }
    plain = sum(disk_usage(folder) for _, folder in releases)
    rows = []
    for rival in ("restic", "git-lfs"):
        row = Row(
            f"stored bytes, {len(releases)} releases of {datasets.GROWING_PACKAGE}",
            rival,
            "smaller than both",
            unit="MB",
            ours=[sizes["mlbfs"]],
            other=[sizes[rival]],
        )
        row.notes = {"plain_bytes": plain, "measured": "du of the repository"}
        rows.append(row.settle(at_most=1.0))
    return rows


def _releases_mlbfs(plan: Plan, releases: list[tuple[str, Path]]) -> int:
    repository = plan.work / "growing-mlbfs"
    remove(repository)
    mlbfs("init", repository)
    for version, folder in releases:
        source = f"{folder}/"
        mlbfs("-C", repository, "import", source, "--branch", "data", "--replace", "-m", version)
    return _size_and_remove(repository)


def _releases_restic(plan: Plan, releases: list[tuple[str, Path]]) -> int:
    repository = plan.work / "growing-restic"
    remove(repository)
    secret = {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(repository)}
    secret["RESTIC_CACHE_DIR"] = str(plan.work / "growing-restic-cache")
    run(["restic", "init", "-q"], extra_env=secret)
    for _, folder in releases:
        run(["restic", "backup", "-q", "."], cwd=folder, extra_env=secret)
    remove(plan.work / "growing-restic-cache")
    return _size_and_remove(repository)


def _releases_lfs(plan: Plan, releases: list[tuple[str, Path]]) -> int:
    repository = plan.work / "growing-lfs"
    remove(repository)
    run(["git", "init", "-q", repository])
    run(["git", "-C", repository, "lfs", "install", "--local"])
    attributes = "*.json filter=lfs diff=lfs merge=lfs -text\n"
    for version, folder in releases:
        for path in repository.iterdir():
            if path.name != ".git":
                remove(path)
        shutil.copytree(folder, repository, dirs_exist_ok=True)
        (repository / ".gitattributes").write_text(attributes)
        run(["git", "-C", repository, "add", "-A"])
        run(["git", "-C", repository, "commit", "-q", "-m", version])
    run(["git", "-C", repository, "gc", "-q"])
    size = allocated(repository / ".git")
    remove(repository)
    return size


def _size_and_remove(repository: Path) -> int:
    size = allocated(repository)
    remove(repository)
    return size


CASES: dict[str, Callable[[Plan], list[Row]]] = {
    "import-medium": import_medium_files,
    "import-small": import_small_files,
    "import-big": import_big_file,
    "import-again": import_again,
    "import-big-again": import_big_again,
    "import-memory": memory_of_import,
    "mount": mount_to_first_listing,
    "memory": memory_after_walk,
    "lfs-checkout": checkout_against_lfs,
    "stored-bytes": stored_bytes_of_releases,
}


if __name__ == "__main__":
    run_cases(CASES, __doc__)
