"""Git objects and refs under a killed process and a device that takes no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbfs.errors import ConflictError
from mlbfs.git.commits import Signature
from mlbfs.git.files import LockFile
from mlbfs.git.repository import GitRepository

ROOT = Path(__file__).resolve().parents[2]
WHO = Signature("A", "a@x", 1_700_000_000)

PRELUDE = """
import os, resource, signal, sys
from pathlib import Path
from mlbfs.errors import StoreFullError
from mlbfs.git.commits import Signature
from mlbfs.git.files import LockFile
from mlbfs.git.repository import GitRepository
from mlbfs.git.trees import MODE_FILE, TreeEntry

who = Signature("A", "a@x", 1_700_000_000)
repository = GitRepository.open(Path(sys.argv[1]))

def add_commit(blobs, parents):
    with repository.objects() as objects:
        ids = objects.put_blobs(blobs)
        tree = objects.put_tree(
            TreeEntry(b"%d" % place, MODE_FILE, oid) for place, oid in enumerate(ids)
        )
        commit = objects.put_commit(
            tree=tree, parents=parents, author=who, committer=who, message="m"
        )
        objects.commit()
    return commit

def move(old, new):
    repository.refs.compare_and_swap("refs/heads/main", old, new, identity=who, message="m")
"""

COMMIT_FOR_EVER = """
head, number = None, 0
while True:
    blobs = [b"%d %d" % (number, place) for place in range(1 + number % 3 * 60)]
    new = add_commit(blobs, () if head is None else (head,))
    move(head, new)
    head, number = new, number + 1
    print(new.hex(), flush=True)
"""

FILES_END_AT = """
first = add_commit([b"first"], ())
move(None, first)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    move(first, add_commit([os.urandom(3000) for _ in range(int(sys.argv[3]))], (first,)))
except StoreFullError as err:
    print(first.hex(), err.hint)
"""


@pytest.fixture
def repository(tmp_path):
    """A new repository."""
    return GitRepository.init(tmp_path / "repository")


def start(repository: GitRepository, script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(repository.git_dir), *words],
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def fsck(repository: GitRepository) -> None:
    done = subprocess.run(
        ["git", "-C", str(repository.git_dir), "fsck", "--strict", "--full", "--no-dangling"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


def temporary(repository: GitRepository) -> list[Path]:
    return [
        path
        for path in repository.common_dir.rglob("*")
        if "tmp_" in path.name or path.name.endswith(".lock")
    ]


@pytest.mark.git
@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 8])
def test_a_killed_writer_leaves_a_whole_repository(repository, rounds):
    """After kill -9 the branch names a complete commit: the last announced, or a later one."""
    with start(repository, COMMIT_FOR_EVER) as child:
        assert child.stdout is not None
        announced = [child.stdout.readline().strip() for _ in range(rounds)]
        child.kill()
    head = repository.resolve("main").commit
    history = [commit.id.hex() for commit in repository.log(head)]
    assert announced == history[::-1][: len(announced)]
    fsck(repository)
    last = repository.refs.reflog("refs/heads/main")[-1]
    assert head in (last.new, last.old)


@pytest.mark.git
@pytest.mark.slow
@pytest.mark.parametrize(
    ("room", "blobs"), [(100, 3), (2000, 3), (5000, 100), (200_000, 100), (10, 1), (2000, 100)]
)
def test_a_full_device_leaves_everything_as_it_was(repository, room, blobs):
    """When no file can grow any more nothing is published and no temporary file stays."""
    with start(repository, FILES_END_AT, str(room), str(blobs)) as child:
        assert child.stdout is not None
        output = child.stdout.read().split(maxsplit=1)
    assert child.returncode == 0
    assert repository.refs.read("refs/heads/main") == bytes.fromhex(output[0])
    assert output[1].strip() == "free some space and run it again"
    assert temporary(repository) == []
    fsck(repository)


DIE_WITH_THE_LOCK = """
with LockFile(repository.common_dir / "refs/heads/main", top=repository.common_dir) as lock:
    lock.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.git
def test_a_lock_left_by_a_killed_process_of_ours_is_taken_away(repository):
    """The next one finds it abandoned, and the ref that moves is an ordinary file afterwards."""
    with start(repository, FILES_END_AT, "1000000", "1") as child:
        child.wait()
    with start(repository, DIE_WITH_THE_LOCK) as child:
        child.wait()
    path = repository.common_dir / "refs" / "heads" / "main"
    assert path.with_name("main.lock").exists()
    head = repository.resolve("main").commit
    repository.refs.compare_and_swap(
        "refs/heads/main", head, head, identity=WHO, message="as it was"
    )
    assert not path.with_name("main.lock").exists()
    assert path.stat().st_mode & 0o7000 == 0
    assert temporary(repository) == []


def test_a_lock_that_is_held_is_not_taken_away(tmp_path):
    """Whether by another thread or by another process."""
    with LockFile(tmp_path / "ref", top=tmp_path):
        with pytest.raises(ConflictError, match=r"ref\.lock"):
            LockFile(tmp_path / "ref", top=tmp_path, timeout=0.01)
        assert (tmp_path / "ref.lock").exists()
    assert not (tmp_path / "ref.lock").exists()


@pytest.mark.git
def test_a_lock_of_another_program_is_named(repository):
    """Nothing is taken over in silence: the error names the file to delete."""
    with start(repository, FILES_END_AT, "1000000", "1") as child:
        child.wait()
    (repository.common_dir / "refs" / "heads" / "main.lock").touch()
    repository.refs.lock_timeout = 0.01
    head = repository.resolve("main").commit
    with pytest.raises(ConflictError, match=r"main\.lock"):
        repository.refs.compare_and_swap(
            "refs/heads/main", head, None, identity=WHO, message="delete"
        )
    assert repository.resolve("main").commit == head
