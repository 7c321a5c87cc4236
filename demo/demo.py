"""A first session with mlbfs on real data, from import to a tagged model, timed step by step.

    make demo

Everything happens in a temporary folder that is removed at the end, and through the command line as
a person would type it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
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
    """Runs commands in a folder, shows them with their output, and notes how long each took."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.steps = 0
        self.mounted: list[Path] = []

    def title(self, text: str) -> None:
        """Shows what comes next."""
        self.steps += 1
        print(
            f"\n\033[1m{self.steps}. {text}\033[0m" if _is_colored() else f"\n{self.steps}. {text}"
        )

    def run(
        self, *command: str | Path, shown: str | None = None, folder: Path | None = None
    ) -> float:
        """Runs a command, shows it, what it says and its time; returns the seconds."""
        words = [str(word) for word in command]
        print(f"   $ {shown or shlex.join(self._short(word) for word in words)}")
        began = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=folder or self.work,
            env=os.environ | IDENTITY,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        for line in (done.stdout + done.stderr).splitlines():
            print(f"     {self._short(line)}")
        if done.returncode != 0:
            raise SystemExit(f"   the command ended with exit code {done.returncode}")
        print(f"     [{_seconds(seconds)}]")
        return seconds

    def mlbfs(self, *arguments: str | Path, folder: Path | None = None) -> float:
        """Runs one mlbfs command."""
        shown = shlex.join(["mlbfs", *(self._short(str(word)) for word in arguments)])
        return self.run(MLBFS, *arguments, shown=shown, folder=folder)

    def mount(self, ref: str, name: str, *options: str) -> float:
        """Mounts a ref of the repository on a new folder."""
        point = self.work / name
        point.mkdir()
        seconds = self.mlbfs("-C", self.work / "repository", "mount", *options, ref, point)
        self.mounted.append(point)
        return seconds

    def umount_all(self) -> None:
        """Takes every mount of the session away."""
        while self.mounted:
            subprocess.run([MLBFS, "umount", self.mounted.pop()], check=True, capture_output=True)

    def _short(self, text: str) -> str:
        return (
            text.replace(f"{self.work}/", "")
            .replace(str(TRAIN), "demo/train.py")
            .replace(sys.executable, "python")
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
    data, repository = work / "data", work / "repository"

    session.title("Real data: the digits of scikit-learn as PNG files, and the tables it ships")
    write_dataset(data)
    files, size = _measure(data)
    print(f"   data/ holds {files:,} files, {size / 1e6:.1f} MB")

    session.title("What people do today: copy it")
    copying = session.run("cp", "-r", "data", "copy")

    session.title("Import it into a branch of a new repository")
    session.mlbfs("init", "repository")
    importing = session.mlbfs("-C", repository, "import", "data/", "--branch", "data/raw")

    session.title("Branch off for training: costs nothing; mount it: costs the same for any size")
    session.mlbfs("-C", repository, "branch", "stable/digits", "data/raw")
    mounting = session.mount("stable/digits", "stable")

    session.title("Train by reading the files through the mount; the copy serves as measure")
    from_copy = session.run(sys.executable, TRAIN, work / "copy")
    from_mount = session.run(sys.executable, TRAIN, work / "stable")

    session.title("See what the training changed, and commit it from inside the mount, with a tag")
    stable = work / "stable"
    session.mlbfs("status", folder=stable)
    committing = session.mlbfs(
        "commit", "-m", "Train on the raw digits", "--tag", "v1", folder=stable
    )

    session.title("Train again with other settings; the metrics are a list that grows")
    session.run(sys.executable, TRAIN, stable, "--gamma", "0.0005", "--seed", "2")
    session.mlbfs("diff", folder=stable)
    session.mlbfs("commit", "-m", "Try a smaller gamma", "--tag", "v2", folder=stable)
    session.mlbfs("log", "--graph", folder=stable)

    session.title("Mount a second branch beside it, and the first release, read-only")
    session.mount("data/raw", "raw")
    session.mount("v1", "release")
    session.mlbfs("-C", repository, "mounts")
    session.run("ls", "stable", "raw", "release")
    _compare_models(work)

    session.title("What five more branches cost, beside five more copies")
    before = _disk_usage(repository)
    for number in range(5):
        session.mlbfs("-C", repository, "branch", f"ds/client-{number}", "stable/digits")
    grown = _disk_usage(repository) - before
    session.mlbfs("-C", repository, "stats")

    session.title("Unmount, and check that everything is sound")
    session.umount_all()
    session.mlbfs("-C", repository, "fsck")

    copied = _disk_usage(work / "copy")
    print("\nBeside `cp -r` of the same data:")
    _table(
        [
            ("", "cp -r", "mlbfs"),
            (
                "bring the data in",
                _seconds(copying),
                f"{_seconds(importing)} (durable, deduplicated)",
            ),
            ("get a working copy", _seconds(copying), f"{_seconds(mounting)} (mount)"),
            ("read all and train", _seconds(from_copy), _seconds(from_mount)),
            (
                "keep a trained version",
                _seconds(copying),
                f"{_seconds(committing)} (commit and tag)",
            ),
            (
                "disk for the data",
                _megabytes(copied),
                f"{_megabytes(before)} with 2 trained versions",
            ),
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


def _is_colored() -> bool:
    return sys.stdout.isatty() and shutil.which("tput") is not None


if __name__ == "__main__":
    main()
