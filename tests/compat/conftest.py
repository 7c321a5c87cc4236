"""Shared by the tests against C Git: a runner that sees no configuration but the test's own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlbfs.git.commits import Signature
from mlbfs.git.repository import GitRepository
from mlbfs.git.trees import MODE_FILE, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlbfs.ids import ObjectId

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Bo",
    "GIT_AUTHOR_EMAIL": "bo@example.com",
    "GIT_COMMITTER_NAME": "Bo",
    "GIT_COMMITTER_EMAIL": "bo@example.com",
    "LC_ALL": "C.UTF-8",
}


class Git:
    """Runs C Git in one directory."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.environment = _ENVIRONMENT

    def __call__(self, *words: str, data: bytes = b"") -> str:
        """Returns what a command prints, stripped; fails the test if the command fails."""
        done = self.run(*words, data=data)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def run(self, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Runs a command, whatever its outcome."""
        return subprocess.run(
            ["git", "-C", str(self.where), *words],
            input=data,
            capture_output=True,
            check=False,
            env=self.environment,
        )


@pytest.fixture
def who() -> Signature:
    """A person at a fixed moment."""
    return Signature("Ada Example", "ada@example.com", 1_700_000_000, 60)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A new repository."""
    return GitRepository.init(tmp_path / "repository")


@pytest.fixture
def git_in() -> Callable[[Path], Git]:
    """Makes a runner for a directory."""
    return Git


@pytest.fixture
def git(repository: GitRepository) -> Git:
    """A runner in the new repository."""
    return Git(repository.git_dir)


@pytest.fixture
def write_commit(repository: GitRepository, who: Signature) -> Callable[..., ObjectId]:
    """Writes commits with files in their root; they are on no branch yet."""

    def write(
        files: dict[bytes, bytes], parents: tuple[ObjectId, ...] = (), message: str = "a commit"
    ) -> ObjectId:
        with repository.objects() as objects:
            blobs = objects.put_blobs(list(files.values()))
            entries = [
                TreeEntry(name, MODE_FILE, oid) for name, oid in zip(files, blobs, strict=True)
            ]
            commit = objects.put_commit(
                tree=objects.put_tree(entries),
                parents=parents,
                author=who,
                committer=who,
                message=message,
            )
            objects.commit()
        return commit

    return write
