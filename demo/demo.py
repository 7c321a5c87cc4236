"""A first session with mlbfs on real data, from import to a tagged model, timed step by step.

    make demo

Everything happens in a temporary folder that is removed at the end, and through the command line as
a person would type it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from dataset import write_dataset

MLBFS = Path(sys.executable).with_name("mlbfs")
TRAIN = Path(__file__).with_name("train.py")
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Demo"), ("EMAIL", "demo@example.com"))
}


class Session:
    """Runs commands in the folders of the session; shows them, what they say, and their time."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.steps = 0
        self.mounted: list[Path] = []

    def title(self, text: str) -> None:
        """Shows what comes next."""
        self.steps += 1
        line = f"{self.steps}. {text}"
        print(f"\n\033[1m{line}\033[0m" if sys.stdout.isatty() else f"\n{line}")

    def run(self, folder: str, program: str | Path, *arguments: str) -> float:
        """Runs a program in a folder of the session; returns the seconds."""
        name = {MLBFS: "mlbfs", Path(sys.executable): "python"}.get(Path(program), str(program))
        shown = shlex.join([name, *arguments]).replace(str(TRAIN), "demo/train.py")
        print(f"   {folder or '.'} $ {shown}")
        began = time.perf_counter()
        done = subprocess.run(
            [str(program), *arguments],
            cwd=self.work / folder,
            env=os.environ | IDENTITY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        for line in done.stdout.splitlines():
            print(f"     {line.replace(f'{self.work}/', '')}")
        print(f"     [{_seconds(seconds)}]")
        if done.returncode != 0:
            raise SystemExit(f"the command ended with exit code {done.returncode}")
        return seconds

    def mlbfs(self, *arguments: str, folder: str = "repository") -> float:
        """Runs one mlbfs command, in the repository if not said otherwise."""
        return self.run(folder, MLBFS, *arguments)

    def train(self, folder: str, *options: str) -> float:
        """Trains on the data of a folder."""
        return self.run("", sys.executable, str(TRAIN), folder, *options)

    def mount(self, ref: str, name: str) -> float:
        """Mounts a ref of the repository on a new folder."""
        (self.work / name).mkdir()
        seconds = self.mlbfs("mount", ref, f"../{name}")
        self.mounted.append(self.work / name)
        return seconds

    def umount_all(self) -> None:
        """Takes every mount of the session away."""
        while self.mounted:
            subprocess.run(
                [MLBFS, "umount", "--lazy", self.mounted.pop()], check=True, capture_output=True
            )


def main() -> None:
    """Plays the session and cleans up, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="mlbfs-demo-") as folder:
        session = Session(Path(folder).resolve())
        try:
            play(session)
        finally:
            session.umount_all()


def play(session: Session) -> None:
    """Plays the session."""
    work = session.work
    repository = work / "repository"

    session.title("Real data: the digits of scikit-learn as PNG files, and what else it ships")
    write_dataset(work / "data")
    files, size = _measure(work / "data")
    print(f"   data/ holds {files:,} files, {size / 1e6:.1f} MB")

    session.title("What people do today: copy it")
    copying = session.run("", "cp", "-r", "data", "copy")

    session.title("Import it into a branch of a new repository")
    session.mlbfs("init", "repository", folder="")
    importing = session.mlbfs("import", "../data/", "--branch", "data/raw")

    session.title("Branch off for training, and mount that branch")
    session.mlbfs("branch", "stable/digits", "data/raw")
    mounting = session.mount("stable/digits", "stable")

    session.title("Train by reading the files through the mount; the copy serves as measure")
    from_copy = session.train("copy")
    from_mount = session.train("stable")

    session.title("See what the training changed, and commit it from inside the mount, with a tag")
    session.mlbfs("status", folder="stable")
    committing = session.mlbfs("commit", "-m", "Train", "--tag", "v1", folder="stable")

    session.title("Train again with other settings; the metrics are a list that grows")
    session.train("stable", "--gamma", "0.0005", "--seed", "2")
    session.mlbfs("diff", folder="stable")
    session.mlbfs("commit", "-m", "Try a smaller gamma", "--tag", "v2", folder="stable")
    session.mlbfs("log", "--graph", folder="stable")

    session.title("Mount a second branch beside it, and the first release, read-only")
    session.mount("data/raw", "raw")
    session.mount("v1", "release")
    session.mlbfs("mounts")
    session.run("", "ls", "stable", "raw", "release")
    _compare_models(work)

    session.title("Make five more branches, where one would make five more copies")
    before = _disk_usage(repository)
    workspaces = _disk_usage(repository / ".git" / "mlbfs" / "workspaces")
    for number in range(5):
        session.mlbfs("branch", f"ds/client-{number}", "stable/digits")
    grown = _disk_usage(repository) - before
    session.mlbfs("stats")

    session.title("Unmount, and check that everything is sound")
    session.umount_all()
    session.mlbfs("fsck")

    copied = _disk_usage(work / "copy")
    print("\nBeside `cp -r` of the same data:")
    _table(
        [
            ("", "cp -r", "mlbfs"),
            ("bring the data in", _seconds(copying), f"{_seconds(importing)} (import, durable)"),
            ("get a working copy", _seconds(copying), f"{_seconds(mounting)} (mount)"),
            ("read all and train", _seconds(from_copy), f"{_seconds(from_mount)} (from the mount)"),
            ("keep a version", _seconds(copying), f"{_seconds(committing)} (commit and tag)"),
            ("disk", _megabytes(copied), f"{_megabytes(before - workspaces)} (with two versions)"),
            ("two writable mounts", "", f"{_megabytes(workspaces)} (most of it a reserve)"),
            ("disk for five more", _megabytes(5 * copied), _megabytes(grown)),
        ]
    )


def _compare_models(work: Path) -> None:
    for name in ("release", "stable"):
        records = json.loads((work / name / "metrics.json").read_text())
        print(f"   {name}/metrics.json: {[record['accuracy'] for record in records]}")


def _measure(folder: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _disk_usage(folder: Path) -> int:
    """Returns what the folder takes on disk; the index is a sparse file, so blocks count."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _table(rows: list[tuple[str, str, str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for first, second, third in rows:
        print(f"   {first.ljust(widths[0])}  {second.rjust(widths[1])}  {third}")


if __name__ == "__main__":
    main()
