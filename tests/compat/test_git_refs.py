"""Refs, reflogs and packed-refs: C Git and we change the same repository and agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
)
from mlbfs.git.reflog import NULL_ID
from mlbfs.git.refs import RefMovedError
from mlbfs.git.repository import GitRepository
from mlbfs.ids import ObjectId

pytestmark = pytest.mark.git

MAIN = "refs/heads/main"


@pytest.fixture
def commits(write_commit) -> list[ObjectId]:
    """Three commits, each the parent of the next."""
    first = write_commit({b"a": b"1"})
    second = write_commit({b"a": b"2"}, (first,))
    return [first, second, write_commit({b"a": b"3"}, (second,))]


@pytest.fixture
def move(repository, who):
    """Changes a ref in one short call."""

    def change(name, old, new, message="moved"):
        repository.refs.compare_and_swap(name, old, new, identity=who, message=message)

    return change


def test_git_sees_our_branches_and_we_see_its(repository, git, commits, move):
    """A branch made by either side is there for the other, packed or not."""
    move(MAIN, None, commits[0])
    move("refs/heads/feature/a", None, commits[1])
    git("branch", "theirs", commits[2].hex())
    expected = {
        MAIN: commits[0],
        "refs/heads/feature/a": commits[1],
        "refs/heads/theirs": commits[2],
    }
    assert dict(repository.refs.iter("refs/heads/")) == expected
    git("pack-refs", "--all")
    assert dict(repository.refs.iter("refs/heads/")) == expected
    assert git("for-each-ref", "--format=%(refname)").split() == sorted(expected)
    move("refs/heads/theirs", commits[2], commits[1])
    assert git("rev-parse", "theirs") == commits[1].hex()


def test_a_swap_needs_the_value_that_is_there(repository, commits, move):
    """A ref that moved, is missing or exists already is left as it is."""
    move(MAIN, None, commits[0])
    for old, new in [(commits[1], commits[2]), (None, commits[1]), (commits[2], None)]:
        with pytest.raises(RefMovedError) as caught:
            move(MAIN, old, new)
        assert caught.value.kind is ErrorKind.REF_MOVED
    with pytest.raises(RefMovedError):
        move("refs/heads/none", commits[0], commits[1])
    assert repository.refs.read(MAIN) == commits[0]
    assert not list(repository.common_dir.rglob("*.lock"))


def test_packed_values_count_in_a_swap(repository, git, commits, move):
    """A ref that exists only in packed-refs is compared, changed and deleted."""
    move(MAIN, None, commits[0])
    move("refs/heads/other", None, commits[0])
    git("pack-refs", "--all")
    assert not (repository.common_dir / MAIN).exists()
    with pytest.raises(RefMovedError):
        move(MAIN, None, commits[1])
    move(MAIN, commits[0], commits[1])
    assert git("rev-parse", "main") == commits[1].hex()
    move(MAIN, commits[1], None)
    assert git("for-each-ref", "--format=%(refname)") == "refs/heads/other"
    assert git("fsck", "--strict") is not None


def test_a_deleted_branch_takes_its_log_and_empty_folders_along(repository, git, commits, move):
    """After `a/b` is deleted, `a` can be made, by us and by Git."""
    move("refs/heads/a/b", None, commits[0])
    move("refs/heads/a/b", commits[0], None)
    assert not (repository.common_dir / "refs/heads/a").exists()
    assert not (repository.common_dir / "logs/refs/heads/a").exists()
    move("refs/heads/a", None, commits[1])
    move("refs/heads/a", commits[1], None)
    git("branch", "a/b", commits[0].hex())
    git("branch", "-D", "a/b")
    move("refs/heads/a", None, commits[1])
    assert git("rev-parse", "a") == commits[1].hex()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("existing", "wanted"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a")])
def test_a_name_cannot_be_ref_and_folder(repository, git, commits, move, existing, wanted, packed):
    """Git's directory conflicts are refused whether the other ref is packed or loose."""
    move(f"refs/heads/{existing}", None, commits[0])
    if packed:
        git("pack-refs", "--all")
    with pytest.raises(AlreadyExistsError) as caught:
        move(f"refs/heads/{wanted}", None, commits[1])
    assert repr(existing) in caught.value.message
    assert git("for-each-ref", "--format=%(refname:short)") == existing
    assert not list(repository.common_dir.rglob("*.lock"))


def test_a_held_lock_is_respected_and_named(repository, git, commits, move):
    """While someone holds the lock file nothing changes, and the error says which file."""
    move(MAIN, None, commits[0])
    lock = repository.common_dir / f"{MAIN}.lock"
    lock.touch()
    repository.refs.lock_timeout = 0.02
    with pytest.raises(ConflictError) as caught:
        move(MAIN, commits[0], commits[1])
    assert caught.value.kind is ErrorKind.LOCKED
    assert str(lock) in caught.value.message
    assert lock.exists()
    assert repository.refs.read(MAIN) == commits[0]
    lock.unlink()
    move(MAIN, commits[0], commits[1])


def test_a_held_packed_refs_lock_stops_a_deletion(repository, commits, move):
    """A deletion waits for the lock of packed-refs and leaves the ref when it stays held."""
    move(MAIN, None, commits[0])
    (repository.common_dir / "packed-refs.lock").touch()
    repository.refs.lock_timeout = 0.02
    with pytest.raises(ConflictError):
        move(MAIN, commits[0], None)
    assert repository.refs.read(MAIN) == commits[0]


def test_git_respects_our_lock(repository, git, commits, move):
    """While we hold the lock, C Git cannot move the ref."""
    move(MAIN, None, commits[0])
    with repository.refs._lock(MAIN):
        done = git.run("-c", "core.filesRefLockTimeout=1", "update-ref", MAIN, commits[1].hex())
        assert done.returncode != 0
        assert b".lock" in done.stderr
    git("update-ref", MAIN, commits[1].hex())


def test_reflogs_are_read_by_git_and_those_of_git_by_us(repository, git, commits, move, who):
    """Both sides write one log; HEAD's log follows the branch it names."""
    move(MAIN, None, commits[0], "commit (initial):  one\ntwo ")
    git("update-ref", "-m", "theirs", MAIN, commits[1].hex(), commits[0].hex())
    move("HEAD", commits[1], commits[2], "third")
    lines = git("reflog", "show", "--format=%H %gs %gn", MAIN).splitlines()
    assert lines == [
        f"{commits[2].hex()} third {who.name}",
        f"{commits[1].hex()} theirs Bo",
        f"{commits[0].hex()} commit (initial): one two {who.name}",
    ]
    assert git("reflog", "show", "--format=%gs", "HEAD").splitlines() == [
        "third",
        "theirs",
        "commit (initial): one two",
    ]
    entries = repository.refs.reflog(MAIN)
    assert [(entry.old, entry.new) for entry in entries] == [
        (NULL_ID, commits[0]),
        (commits[0], commits[1]),
        (commits[1], commits[2]),
    ]
    assert entries[0].who == who


def test_a_symbolic_ref_is_followed_and_never_overwritten(repository, git, commits, move):
    """Moving HEAD moves the branch; HEAD stays symbolic."""
    move("HEAD", None, commits[0])
    assert git("symbolic-ref", "HEAD") == MAIN
    assert repository.refs.read("HEAD") == commits[0] == repository.refs.read(MAIN)
    git("symbolic-ref", "refs/heads/alias", MAIN)
    move("refs/heads/alias", commits[0], commits[1])
    assert git("symbolic-ref", "refs/heads/alias") == MAIN
    assert git("rev-parse", "main") == commits[1].hex()
    repository.refs.set_symbolic("HEAD", "refs/heads/other")
    assert git("symbolic-ref", "HEAD") == "refs/heads/other"


def test_a_detached_head_is_read_but_not_moved(repository, git, commits, move):
    """HEAD that names a commit is C Git's business."""
    git("update-ref", "--no-deref", "HEAD", commits[0].hex())
    assert repository.resolve("HEAD").commit == commits[0]
    with pytest.raises(InvalidInputError):
        move("HEAD", commits[0], commits[1])


def test_a_circle_of_symbolic_refs_is_damage(repository, git):
    """A chain without end is an error, not a loop."""
    (repository.common_dir / "refs/heads/x").write_text("ref: refs/heads/y\n")
    (repository.common_dir / "refs/heads/y").write_text("ref: refs/heads/x\n")
    with pytest.raises(CorruptionError, match="circle"):
        repository.refs.read("refs/heads/x")


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 41, b"xyz\n", b"12" * 20 + b"34\n", b"ref: refs/../x\n"]
)
def test_a_torn_ref_is_damage_with_a_hint(repository, content):
    """A ref file that a crash emptied is named, and the reflog pointed to."""
    (repository.common_dir / MAIN).write_bytes(content)
    with pytest.raises(CorruptionError) as caught:
        repository.refs.read(MAIN)
    assert "reflog" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "name",
    ["refs/heads/", "refs/heads/a..b", "refs/heads/.a", "refs/heads/a.lock", "refs/heads/a b",
     "refs/heads/a//b", "refs/heads/-/\udcff", "refs/x", "other", "refs/heads/a@{b",
     "refs/heads/a."],
)  # fmt: skip
def test_bad_names_are_refused(commits, move, name):
    """What Git takes for no ref name, we do not write."""
    with pytest.raises(InvalidInputError) as caught:
        move(name, None, commits[0])
    assert caught.value.kind is ErrorKind.INVALID_REF_NAME


def test_a_ref_needs_an_object_that_exists(repository, git, commits, move):
    """A branch to nowhere, or to a tree, is not made."""
    with pytest.raises(NotFoundError):
        move(MAIN, None, ObjectId(b"\1" * 20))
    tree = repository.read_commit(commits[0]).tree
    with pytest.raises(InvalidInputError, match="needs a commit"):
        move(MAIN, None, tree)
    move("refs/tags/a-tree", None, tree)
    assert repository.tags()[0].commit is None


def test_logs_are_kept_as_the_configuration_says(repository, git, commits, move):
    """`false` starts no log, `always` logs tags too, and no value logs branches."""
    git("config", "core.logAllRefUpdates", "false")
    move("refs/heads/one", None, commits[0])
    git("config", "core.logAllRefUpdates", "always")
    move("refs/tags/two", None, commits[0])
    git("config", "--unset", "core.logAllRefUpdates")
    move("refs/heads/three", None, commits[0])
    move("refs/tags/four", None, commits[0])
    logs = repository.common_dir / "logs" / "refs"
    found = sorted(str(path.relative_to(logs)) for path in logs.rglob("*") if path.is_file())
    assert found == ["heads/three", "tags/two"]


def test_tags_annotated_and_light(repository, git, commits, who):
    """Both sorts are listed with the commit they lead to; a second of one name is refused."""
    repository.create_tag("light", commits[0], identity=who)
    annotated = repository.create_tag("v1", commits[1], identity=who, tagger=who, message="Hi\n")
    git("tag", "-a", "-m", "nested", "v2", "v1")
    light, first, second = repository.tags()
    assert (light.commit, light.tag, light.short) == (commits[0], None, "light")
    assert (first.target, first.commit) == (annotated, commits[1])
    assert first.tag is not None
    assert (first.tag.message, first.tag.tagger) == ("Hi\n", who)
    assert second.commit == commits[1]
    with pytest.raises(RefMovedError):
        repository.create_tag("v1", commits[0], identity=who)
    assert git("fsck", "--strict") is not None


def test_linked_work_trees_have_their_own_head(repository, git, git_in, commits, move, tmp_path):
    """From a linked work tree: shared branches, own HEAD and own HEAD log."""
    move(MAIN, None, commits[0])
    where = tmp_path / "linked"
    git("worktree", "add", "-q", "-b", "side", str(where), "main")
    linked = GitRepository.discover(where)
    assert (linked.common_dir, linked.git_dir) == (
        repository.common_dir,
        repository.common_dir / "worktrees" / "linked",
    )
    assert linked.resolve("HEAD").ref == "refs/heads/side"
    assert repository.checked_out_at("side") == where
    assert repository.checked_out_at("main") is None
    who = repository.refs.reflog(MAIN)[0].who
    linked.refs.compare_and_swap("HEAD", commits[0], commits[1], identity=who, message="ours")
    assert git_in(where)("reflog", "-1", "--format=%gs", "HEAD") == "ours"
    assert git("rev-parse", "side") == commits[1].hex()
    assert git("reflog", "-1", "--format=%gs", "HEAD") == "moved"


def test_a_branch_under_rebase_is_in_use(repository, git, git_in, commits, move, tmp_path):
    """While a rebase has HEAD detached, the branch that it will move is in use."""
    move(MAIN, None, commits[0])
    where = tmp_path / "linked"
    git("worktree", "add", "-q", "-b", "side", str(where), "main")
    git_in(where)("checkout", "-q", "--detach")
    assert repository.checked_out_at("side") is None
    state = repository.common_dir / "worktrees" / "linked" / "rebase-merge"
    state.mkdir()
    (state / "head-name").write_text("refs/heads/side\n")
    assert repository.checked_out_at("side") == where


COUNT_UP = """
import sys
from pathlib import Path
from mlbfs.errors import ConflictError
from mlbfs.git.commits import Signature
from mlbfs.git.repository import GitRepository

repository = GitRepository.open(Path(sys.argv[1]))
who = Signature(sys.argv[2], "x@example.com", 1_700_000_000)
done = 0
while done < int(sys.argv[3]):
    old = repository.refs.read("refs/heads/main")
    with repository.objects() as objects:
        tree = repository.read_commit(old).tree
        new = objects.put_commit(
            tree=tree, parents=(old,), author=who, committer=who, message=str(done)
        )
        objects.commit()
    try:
        repository.refs.compare_and_swap(
            "refs/heads/main", old, new, identity=who, message="count"
        )
        done += 1
    except ConflictError:
        pass
"""

COUNT_UP_GIT = """
done=0
while [ $done -lt "$2" ]; do
    old=$(git -C "$1" rev-parse main)
    new=$(git -C "$1" commit-tree -m "git $done" -p "$old" "$old^{tree}")
    git -C "$1" update-ref -m count refs/heads/main "$new" "$old" 2>/dev/null && done=$((done + 1))
done
"""

PACK = 'for round in $(seq "$2"); do git -C "$1" pack-refs --all; done'


@pytest.mark.slow
def test_no_update_is_lost_among_processes(repository, git, commits, move):
    """C Git and we add commits to one branch while it is being packed; each commit stays."""
    move(MAIN, None, commits[0])
    path, each = str(repository.git_dir), 8
    ours = [[sys.executable, "-c", COUNT_UP, path, name, str(each)] for name in ("one", "two")]
    theirs = ["sh", "-c", COUNT_UP_GIT, "sh", path, str(each)]
    packing = ["sh", "-c", PACK, "sh", path, "20"]
    environment = dict(git.environment) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    running = [subprocess.Popen(words, env=environment) for words in [*ours, theirs, packing]]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    assert git("rev-list", "--count", "main") == str(1 + 3 * each)
    assert len(repository.refs.reflog(MAIN)) == 1 + 3 * each
    assert git("fsck", "--strict", "--full", "--no-dangling") == ""
    assert not list(repository.common_dir.rglob("*.lock"))


CHURN = """
import sys
from pathlib import Path
from mlbfs.git.commits import Signature
from mlbfs.git.repository import GitRepository
from mlbfs.ids import parse_object_id

repository = GitRepository.open(Path(sys.argv[1]))
who = Signature("churn", "x@example.com", 1_700_000_000)
commit = parse_object_id(sys.argv[2])
for number in range(int(sys.argv[4])):
    name = f"refs/heads/{sys.argv[3]}/deep/{number % 3}"
    repository.refs.compare_and_swap(name, None, commit, identity=who, message="make")
    repository.refs.compare_and_swap(name, commit, None, identity=who, message="drop")
"""


@pytest.mark.slow
def test_deleted_branches_stay_deleted_while_refs_are_packed(repository, git, commits, move):
    """Branches come and go in folders that others remove, beside `git pack-refs`."""
    move(MAIN, None, commits[0])
    path = str(repository.git_dir)
    churn = [sys.executable, "-c", CHURN, path, commits[0].hex(), "a", "30"]
    environment = dict(git.environment) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    commands = [churn, [*churn[:5], "b", "30"], ["sh", "-c", PACK, "sh", path, "30"]]
    running = [subprocess.Popen(words, env=environment) for words in commands]
    assert [process.wait(timeout=120) for process in running] == [0] * 3
    assert git("for-each-ref", "--format=%(refname)") == MAIN
    assert [name for name, _ in repository.refs.iter()] == [MAIN]


def test_packed_refs_with_unknown_lines_are_damage(repository, commits):
    """A packed-refs file that cannot be parsed is an error, never an empty list."""
    packed = repository.common_dir / "packed-refs"
    packed.write_bytes(b"# pack-refs with: peeled fully-peeled sorted \nnonsense\n")
    with pytest.raises(CorruptionError, match="byte 46"):
        list(repository.refs.iter())
