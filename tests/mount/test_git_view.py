"""Git inside a mount: it tells the truth or refuses with our words, and never changes anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.mount import session
from tests.compat.conftest import Git
from tests.mount.conftest import sample_tree
from tests.mount.programs import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mount.conftest import Builder, Mounts

pytestmark = [pytest.mark.fuse, pytest.mark.git, pytest.mark.slow]

MLBFS = Path(sys.executable).with_name("mlbfs")
WORDS = "use mlbfs status"


def mlbfs(place: Path, *words: str) -> str:
    """Runs our command line in a folder; it must succeed."""
    done = subprocess.run(
        [MLBFS, *words],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        env=Git(place).environment,
    )
    return done.stdout


def head_of(git_dir: Path, ref: str = "refs/heads/main") -> str:
    """Returns the commit of a ref, as the repository has it."""
    return Git(git_dir)("rev-parse", ref)


# The truth


@pytest.mark.parametrize("below", ["", "folder", "folder/below"])
def test_standing_is_told_in_every_folder(
    shared: Mounts, branch_mount: Path, snapshot_mount: Path, below: str
) -> None:
    """Git finds repository, commit, branch and root from any folder of a mount (S80)."""
    tip = head_of(shared.git_dir)
    for place, name in ((branch_mount, "main"), (snapshot_mount, "HEAD")):
        git = Git(place / below)
        assert git("rev-parse", "HEAD") == tip
        assert git("rev-parse", "--abbrev-ref", "HEAD") == name
        assert git("rev-parse", "--show-toplevel") == str(place)
        assert git("rev-parse", "--show-prefix") == (below and below + "/")
        assert git("rev-parse", "--is-inside-work-tree") == "true"
        assert git("rev-parse", "--is-bare-repository") == "false"
        assert git("describe", "--tags", "--always", "HEAD") == "v1"


def test_history_and_objects_are_read(shared: Mounts, branch_mount: Path) -> None:
    """Log, show, diff between commits, ls-tree and grep in a commit answer as in the repository."""
    git, outside = Git(branch_mount / "folder"), Git(shared.git_dir)
    assert git("show", "HEAD:hello.txt") == "hello"
    assert git("show", "HEAD:./below/deep.txt") == "deep"
    assert git("grep", "-l", "hello", "HEAD", "--", ":/") == "HEAD:../hello.txt"
    for words in (
        ("log", "--format=%H %s"),
        ("ls-tree", "-r", "--full-tree", "HEAD"),
        ("diff", "--stat", "v1", "main"),
        ("cat-file", "-p", "HEAD"),
        ("for-each-ref", "refs/heads"),
        ("rev-list", "--objects", "HEAD"),
    ):
        assert git(*words) == outside(*words)


def test_diff_of_two_commits_by_path(mounts: Mounts, builder: Builder) -> None:
    """`git diff A B -- path` takes the path from the folder that it runs in."""
    first = builder.git.refs.read("refs/heads/main")
    assert first is not None
    tree = sample_tree() | {b"folder": {b"below": {b"deep.txt": b"deeper\n"}}, b"hello.txt": b"x\n"}
    builder.commit("refs/heads/main", tree, (first,))
    place = mounts.mount("main")
    told = Git(place / "folder")("diff", "v1", "HEAD", "--", "below")
    assert "-deep\n+deeper" in told
    assert "hello" not in told


def test_tracked_files_are_not_ignored(mounts: Mounts, builder: Builder) -> None:
    """`check-ignore` knows which files the commit has, as in an ordinary work tree."""
    builder.commit("refs/heads/main", {b".gitignore": b"*.o\n", b"d": {b"kept.o": b"1\n"}})
    place = mounts.mount("main")
    (place / "d/new.o").touch()
    git = Git(place / "d")
    assert git.run("check-ignore", "kept.o").returncode == 1
    assert git("check-ignore", "new.o") == "new.o"
    assert git("-C", "..", "check-ignore", "--", "d/new.o") == "d/new.o"


def test_libraries_find_the_commit(shared: Mounts, branch_mount: Path) -> None:
    """GitPython, pygit2 and dulwich open the repository and know the commit (S80)."""
    import git
    import pygit2
    from dulwich.repo import Repo

    tip = head_of(shared.git_dir)
    folder = str(branch_mount / "folder/below")
    with git.Repo(folder, search_parent_directories=True) as one:
        assert one.head.commit.hexsha == tip
        assert one.active_branch.name == "main"
        assert one.working_tree_dir == str(branch_mount)
        assert one.ignored(folder) == []
        assert not one.is_dirty()
        with pytest.raises(git.GitCommandError, match=WORDS):
            one.is_dirty(untracked_files=True)
    two = pygit2.Repository(pygit2.discover_repository(folder))
    assert str(two.head.target) == tip
    assert two.head.shorthand == "main"
    assert Path(two.workdir) == branch_mount
    with pytest.raises(pygit2.GitError, match=WORDS):
        two.status()
    with Repo.discover(folder) as three:
        assert three.head().decode() == tip
        with pytest.raises(PermissionError, match=WORDS):
            three.open_index()


CHANGES = """
describe --always --dirty
describe --tags --dirty --long
diff --cached --name-only
diff --name-status
diff --name-status HEAD
diff --quiet
diff --raw
diff-files
diff-index --cached HEAD
diff-index HEAD
ls-files
ls-files -s
status --porcelain=v2 --branch -uno
status -s --untracked-files=no
status -uno
""".strip().splitlines()


def change_much(place: Path) -> None:
    """Changes a tree of the sample in all ways that Git knows, and in some that are no change."""
    (place / "hello.txt").write_text("jello\n")
    (place / "empty").chmod(0o755)
    with open(place / "binary", "r+b") as file:
        file.write(b"changed in the middle")
    (place / "link").unlink()
    (place / "link").write_text("a file now\n")
    (place / "folder/below").rename(place / "folder/moved")
    (place / "folder/data").unlink()
    (place / "folder/data").mkdir()
    (place / "folder/data/inside").write_text("a folder now\n")
    (place / "new").write_text("not tracked\n")
    (place / "pipe.txt").unlink()
    os.mkfifo(place / "pipe.txt")
    run = (place / "run.sh").read_bytes()
    (place / "run.sh").write_bytes(b"for a moment")
    (place / "run.sh").write_bytes(run)
    os.utime(place / os.fsdecode(b"caf\xe9"))


def test_changes_are_told_as_in_a_work_tree(
    mounts: Mounts, builder: Builder, tmp_path: Path
) -> None:
    """Which tracked files have changed is told as in a work tree of Git's own (S81)."""
    builder.commit("refs/heads/main", sample_tree() | {b"pipe.txt": b"a pipe later\n"})
    place, twin = mounts.mount("main"), tmp_path / "twin"
    Git(builder.git_dir)("worktree", "add", "-q", "--detach", str(twin))
    Git(twin)("symbolic-ref", "HEAD", "refs/heads/main")
    for change in (lambda _: None, change_much):
        change(place)
        change(twin)
        for line in CHANGES:
            mine, its = (Git(where).run(*line.split()) for where in (place, twin))
            assert (mine.returncode, mine.stdout) == (its.returncode, its.stdout), line
    Git(builder.git_dir)("worktree", "remove", "--force", str(twin))
    mlbfs(place, "commit", "-m", "changed")
    assert Git(place)("status", "--porcelain", "-uno") == ""
    assert Git(place)("describe", "--dirty", "--always") == head_of(builder.git_dir)[:7]


def test_index_of_ones_own_question(branch_mount: Path, work: Path) -> None:
    """Each asker finds the index of its own question, while others ask theirs at the same time."""
    (work / "file").write_text("new\n")
    (branch_mount / "hello.txt").write_text("changed\n")
    git = Git(branch_mount)
    lines = ("status --porcelain -uno", "check-ignore -v hello.txt", "ls-files hello.txt", "status")
    expected = [(0, b" M hello.txt\n"), (1, b""), (0, b"hello.txt\n"), (128, b"")]
    for _ in range(5):
        running = [
            subprocess.Popen(
                ["git", "-C", branch_mount, *line.split()],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=git.environment,
            )
            for line in lines
        ]
        told = [process.communicate()[0] for process in running]
        codes = [process.returncode for process in running]
        assert list(zip(codes, told, strict=True)) == expected
    (branch_mount / "hello.txt").write_text("hello\n")
    assert git("status", "--porcelain", "-uno") == ""


def test_modes_that_the_repository_does_not_heed(mounts: Mounts, builder: Builder) -> None:
    """With `core.fileMode=false` an execute bit is no change, as in a work tree of Git's."""
    place = mounts.mount("main")
    (place / "hello.txt").chmod(0o755)
    git = Git(place)
    assert git("status", "--porcelain", "-uno") == "M hello.txt"
    git("config", "core.fileMode", "false")
    assert git("status", "--porcelain", "-uno") == ""
    (place / "hello.txt").write_text("changed\n")
    assert git("status", "--porcelain", "-uno") == "M hello.txt"


def test_sparse_checkout_in_the_repository(mounts: Mounts, builder: Builder) -> None:
    """Where Git would look at files itself, a question for changes is refused."""
    Git(builder.git_dir)("config", "core.sparseCheckout", "true")
    git = Git(mounts.mount("main"))
    assert WORDS in git.run("status", "-uno").stderr.decode()
    assert git("ls-files", "hello.txt") == "hello.txt"


# Refusals

REFUSED = """
add .
add new
am patch
apply --index patch
bisect start
blame hello.txt
branch -D main
branch -M main other
branch -f main other
branch -m other-name
checkout -- hello.txt
checkout -b made
checkout -f
checkout --orphan made
checkout other
checkout-index -a -f
cherry-pick other
clean -fdx
clean -n
commit --allow-empty -m x
commit --amend --no-edit
commit -am x
commit -m x
diff
diff --cached
diff HEAD
diff --name-status -p
diff --stat
diff-files -p
diff-index -p HEAD
fetch . other:main
gc
grep hello
init
ls-files -m
ls-files -o
merge --ff-only other
merge other
mv hello.txt moved
prune
pull . other
push . other:main
read-tree HEAD
rebase other
reset
reset --hard
reset --hard other
reset --soft other
restore --staged hello.txt
restore hello.txt
revert HEAD
rm hello.txt
sparse-checkout set folder
stash
stash -u
stash create
status
status --porcelain
submodule status
switch --detach
switch -c made
switch other
symbolic-ref HEAD refs/heads/other
update-index --refresh
update-ref HEAD other
update-ref refs/heads/main other
write-tree
""".strip().splitlines()


@pytest.fixture(scope="module")
def other(shared: Mounts) -> Iterator[Git]:
    """The repository, with another branch to go to."""
    outside = Git(shared.git_dir)
    outside("branch", "other", outside("commit-tree", "v1^{tree}", "-p", "v1", "-m", "other"))
    yield outside
    outside("branch", "-D", "other")


@pytest.fixture(scope="module", params=["clean", "changed"])
def branch(request: pytest.FixtureRequest, shared: Mounts, other: Git) -> Iterator[str]:
    """A branch that is mounted, with changes of what is tracked, or with new files alone."""
    name: str = request.param
    other("branch", name, "v1")
    place = shared.mount(name, name)
    (place / "new").write_text("new\n")
    (place / "patch").write_text("--- a/new\n+++ b/new\n@@ -1 +1 @@\n-new\n+newer\n")
    if name == "changed":
        (place / "hello.txt").write_text("changed\n")
        (place / "run.sh").unlink()
    yield name
    session.unmount(place)
    other("branch", "-D", name)


def everything(git_dir: Path, place: Path) -> tuple[object, ...]:
    """Returns what no command may change: refs, configuration, files of the mount, its status."""
    files = {
        path.relative_to(place): path.read_bytes() if path.is_file() else None
        for path in sorted(place.rglob("*"))
    }
    # Savepoints are made meanwhile.
    refs = [line for line in Git(git_dir)("for-each-ref").splitlines() if "refs/mlbfs/" not in line]
    refs.append((git_dir / "HEAD").read_text())
    # Git writes packed-refs when it wants to delete a ref, even if there is none of that name.
    names = set(os.listdir(git_dir)) - {"packed-refs", "FETCH_HEAD"}
    return refs, (git_dir / "config").read_bytes(), files, names


def test_commands_on_files_refuse(shared: Mounts, branch: str) -> None:
    """A command on files, or one that moves the branch, changes nothing and says so (S81)."""
    place = shared.directory(branch)
    git = Git(place)
    status = mlbfs(place, "status")
    before = everything(shared.git_dir, place)
    for line in REFUSED:
        done = git.run(*line.replace("main", branch).split())
        told = (done.stdout + done.stderr).decode()
        assert done.returncode != 0, line
        assert WORDS in told, (line, told)
        assert done.stdout == b"" or line.startswith(("init", "push")), (line, told)
        assert everything(shared.git_dir, place) == before, line
    assert mlbfs(place, "status") == status
    assert git("rev-parse", "--abbrev-ref", "HEAD") == branch


def test_clone_into_an_empty_mount(mounts: Mounts, builder: Builder, tmp_path: Path) -> None:
    """Git takes an empty mount for a place to clone to; it must not make the repository its own."""
    first = builder.git.refs.read("refs/heads/main")
    assert first is not None
    builder.commit("refs/heads/main", {}, (first,))
    place = mounts.mount("main")
    assert os.listdir(place) == []
    source = Git(tmp_path)
    source("init", "-q", "source")
    before = everything(builder.git_dir, place)
    for words in (("clone", str(tmp_path / "source"), "."), ("init", ".")):
        assert WORDS in Git(place).run(*words).stderr.decode()
        assert everything(builder.git_dir, place) == before
    assert WORDS in source.run("clone", str(place), "copy").stderr.decode()
    source("clone", "-q", str(builder.git_dir), "copy")


def test_refs_and_remotes_work(mounts: Mounts, builder: Builder, tmp_path: Path) -> None:
    """Branches, tags, notes, configuration, fetch and push are the repository's."""
    place = mounts.mount("main")
    git, outside = Git(place), Git(builder.git_dir)
    git("tag", "-a", "-m", "two", "v2")
    git("branch", "other")
    git("notes", "add", "-m", "a note", "HEAD")
    git("config", "some.key", "value")
    assert outside("config", "some.key") == "value"
    assert outside("rev-parse", "v2^{}", "other", "HEAD").split() == [head_of(place)] * 3
    Git(tmp_path)("init", "-q", "--bare", "away")
    git("remote", "add", "away", str(tmp_path / "away"))
    git("push", "-q", "away", "main", "v2")
    git("fetch", "-q", "away")
    assert outside("rev-parse", "away/main") == head_of(place)
    assert outside("rev-parse", "FETCH_HEAD") == head_of(place)
    assert outside("config", "core.bare") == "true"


# HEAD


def test_head_follows_a_commit(mounts: Mounts, builder: Builder) -> None:
    """After a commit in the mount HEAD is the new commit, at once and by its branch."""
    place = mounts.mount("main")
    git = Git(place)
    before = git("rev-parse", "HEAD")
    (place / "new").write_text("new\n")
    mlbfs(place, "commit", "-m", "second")
    assert git("rev-parse", "HEAD") == head_of(builder.git_dir)
    assert git("rev-parse", "HEAD~1") == before
    assert git("log", "-1", "--format=%s %d") == "second  (HEAD -> main)"
    assert git("show", "HEAD:new") == "new"


def test_head_is_the_base_of_a_workspace_that_is_behind(mounts: Mounts, builder: Builder) -> None:
    """When the branch has moved away, HEAD is the commit that the workspace stands on (S80)."""
    first = builder.git.refs.read("refs/heads/main")
    assert first is not None
    place = mounts.mount("main")
    (place / "hello.txt").write_text("mine\n")
    second = builder.commit(
        "refs/heads/main", sample_tree() | {b"hello.txt": b"theirs\n"}, (first,)
    )
    git = Git(place)
    assert git("rev-parse", "HEAD", "main").split() == [first.hex(), second.hex()]
    assert git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert git("rev-list", "--count", "HEAD..main") == "1"
    builder.point("refs/heads/main", None)
    assert git("rev-parse", "HEAD") == first.hex()


def test_head_follows_a_switch(mounts: Mounts, builder: Builder) -> None:
    """After a switch HEAD is the other branch; what came along is a change of it (S80)."""
    first = builder.git.refs.read("refs/heads/main")
    assert first is not None
    other = builder.commit("refs/heads/other", sample_tree() | {b"more": b"1\n"}, (first,))
    place = mounts.mount("main")
    (place / "hello.txt").write_text("carried over\n")
    git = Git(place / "folder")
    for branch, commit in (("other", other), ("main", first)):
        mlbfs(place, "switch", branch)
        assert git("rev-parse", "--abbrev-ref", "HEAD") == branch
        assert git("rev-parse", "HEAD") == commit.hex()
        assert git("status", "--porcelain", "-uno") == "M hello.txt"


def test_head_follows_its_branch(mounts: Mounts, builder: Builder, tmp_path: Path) -> None:
    """A push to the mounted branch is taken, and HEAD is at the new commit with the files (S80)."""
    place = mounts.mount("main")
    away = Git(tmp_path)
    away(
        "clone", "-q", "-b", "main", str(builder.git_dir), "away", "--config", "core.symlinks=true"
    )
    away = Git(tmp_path / "away")
    (away.where / "pushed").write_text("pushed\n")
    away("add", "pushed")
    away("commit", "-qm", "pushed")
    away("push", "-q", "origin", "main")
    wait_until(lambda: (place / "pushed").exists())
    git = Git(place)
    assert git("rev-parse", "HEAD") == away("rev-parse", "HEAD")
    assert git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git("status", "--porcelain", "-uno") == ""


def test_every_ref_of_all_has_its_head(mounts: Mounts, builder: Builder) -> None:
    """Under `--all` each tree answers for its own ref; the folders above are in no repository."""
    first = builder.git.refs.read("refs/heads/main")
    assert first is not None
    other = builder.commit("refs/heads/team/one", {b"file": b"1\n", b"d": {b"e": b"2\n"}}, (first,))
    place = mounts.mount(None)
    told = Git(place / "branches/team/one/d")
    assert told("rev-parse", "HEAD") == other.hex()
    assert told("rev-parse", "--abbrev-ref", "HEAD") == "team/one"
    assert told("rev-parse", "--show-toplevel") == str(place / "branches/team/one")
    assert WORDS in told.run("status").stderr.decode()
    for below in ("tags/v1/folder", f"commits/{first.hex()}"):
        assert Git(place / below)("rev-parse", "HEAD") == first.hex()
        assert Git(place / below)("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    for above in ("", "branches", "branches/team"):
        assert Git(place / above).run("rev-parse", "HEAD").returncode == 128
    moved = builder.commit("refs/heads/team/one", {b"file": b"3\n"}, (other,))
    assert Git(place / "branches/team/one")("rev-parse", "HEAD") == moved.hex()


def test_repository_with_a_work_tree(tmp_path: Path) -> None:
    """An adopted repository keeps its work tree as it is while another branch is mounted."""
    work, place = tmp_path / "work", tmp_path / "mnt"
    Git(tmp_path)("init", "-q", "-b", "main", str(work))
    git = Git(work)
    (work / "file").write_text("content\n")
    git("add", "file")
    git("commit", "-qm", "first")
    git("branch", "side")
    (work / "file").write_text("changed\n")
    mlbfs(work, "init", "--no-attributes")
    place.mkdir()
    with session.mounted(work / ".git", "side", place):
        inside = Git(place)
        assert inside("rev-parse", "--show-toplevel") == str(place)
        assert inside("rev-parse", "--abbrev-ref", "HEAD") == "side"
        assert inside("show", "HEAD:file") == "content"
        assert WORDS in inside.run("reset", "--hard").stderr.decode()
        assert WORDS in inside.run("checkout", "main").stderr.decode()
        assert git("status", "--porcelain").split() == ["M", "file"]
        assert git("rev-parse", "--abbrev-ref", "HEAD") == "main"


# Names


def test_it_is_found_but_not_listed(branch_mount: Path, tmp_path: Path) -> None:
    """Listings, copies and archives of a mount do not meet it; it can be read (S82)."""
    for lister in (["find", "."], ["ls", "-A"], ["tar", "c", "."], ["du", "-a"]):
        told = subprocess.run(lister, cwd=branch_mount, capture_output=True, check=True).stdout
        assert b".git" not in told
    (folder,) = (branch_mount / ".mlbfs-git").iterdir()
    # A whole path, because some libraries take a relative one from the working folder.
    assert (branch_mount / ".git").read_text() == f"gitdir: {folder}\n"
    names = {"HEAD", "commondir", "gitdir", "index", "FETCH_HEAD"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / ".." / ".." / "hello.txt").read_text() == "hello\n"
    subprocess.run(["ls", "-laR", branch_mount / ".mlbfs-git"], check=True, capture_output=True)
    subprocess.run(["cp", "-a", folder / "HEAD", tmp_path / "HEAD"], check=True)
    assert (tmp_path / "HEAD").read_text() == "ref: refs/heads/main\n"
    with pytest.raises(PermissionError):
        (folder / "index").read_bytes()


def test_nothing_takes_its_place(branch_mount: Path, work: Path) -> None:
    """Its names cannot be made, replaced, moved or removed, nor anything put into it (S82)."""
    (folder,) = (branch_mount / ".mlbfs-git").iterdir()
    (work / "file").touch()
    (work / "folder").mkdir()
    changes = [
        lambda: (branch_mount / ".git").unlink(),
        lambda: (branch_mount / ".git").mkdir(),
        lambda: (branch_mount / ".git").write_bytes(b""),
        lambda: (branch_mount / ".git").rename(work / "git"),
        lambda: (branch_mount / ".git").chmod(0o666),
        lambda: (work / "file").rename(branch_mount / ".git"),
        lambda: (work / "folder").rename(branch_mount / ".mlbfs-git"),
        lambda: (branch_mount / ".mlbfs-git").rmdir(),
        lambda: os.link(branch_mount / ".git", work / "link"),
        lambda: os.link(work / "file", folder / "link"),
        lambda: (folder / "index.lock").touch(),
        lambda: (folder / "logs").mkdir(),
        lambda: (folder / "link").symlink_to("HEAD"),
        lambda: os.mkfifo(folder / "pipe"),
        lambda: (work / "file").rename(folder / "HEAD"),
        lambda: (folder / "HEAD").unlink(),
        lambda: os.truncate(folder / "HEAD", 0),
        lambda: os.utime(folder / "HEAD"),
        lambda: os.setxattr(folder / "HEAD", "user.a", b"b"),
    ]
    for change in changes:
        with pytest.raises(OSError):
            change()
    assert os.listxattr(folder / "HEAD") == []
    assert sorted(os.listdir(work)) == ["file", "folder"]
    assert Git(branch_mount)("rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_git_directory_of_ones_own(mounts: Mounts, builder: Builder) -> None:
    """A `.git` that a workspace has at its root stands before ours, until it goes (S82)."""
    outside = Git(builder.git_dir)
    outside("config", "mlbfs.gitView", "false")
    place = mounts.mount("main")
    git = Git(place)
    assert git.run("rev-parse", "HEAD").returncode == 128
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "mine")
    own = git("rev-parse", "HEAD")
    session.unmount(place)
    outside("config", "--unset", "mlbfs.gitView")
    place = mounts.mount("main")
    assert git("rev-parse", "HEAD") == own
    git("add", "hello.txt")
    git("commit", "-qm", "mine too")
    subprocess.run(["rm", "-rf", place / ".git"], check=True)
    assert git("rev-parse", "HEAD") == head_of(builder.git_dir)
    assert WORDS in git.run("status").stderr.decode()


def test_it_is_no_change(mounts: Mounts) -> None:
    """Nothing of it is in a status or in a commit (S82)."""
    place = mounts.mount("main")
    Git(place)("rev-parse", "HEAD")
    assert "git" not in mlbfs(place, "status")
    (place / "new").touch()
    mlbfs(place, "commit", "-m", "second")
    assert "git" not in Git(place)("ls-tree", "-r", "--name-only", "HEAD")


def test_nothing_is_left_after_a_kill(mounts: Mounts, builder: Builder) -> None:
    """The view is the daemon's alone: a kill leaves nothing of it, the next mount has it."""
    before = sorted(os.listdir(builder.git_dir))
    place = mounts.mount("main")
    tip = Git(place)("rev-parse", "HEAD")
    mounts.kill(place)
    place = mounts.mount("main")
    assert Git(place)("rev-parse", "HEAD") == tip
    session.unmount(place)
    assert sorted(os.listdir(builder.git_dir)) == before


def test_repository_in_a_subfolder(work: Path, branch_mount: Path) -> None:
    """A repository made in a folder of the mount is its own, for Git's every command."""
    git = Git(work)
    git("init", "-q", "-b", "inner")
    (work / "file").write_text("one\n")
    git("add", "file")
    git("commit", "-qm", "inner")
    git("checkout", "-qb", "next")
    assert git("rev-parse", "--show-toplevel") == str(work)
    assert git("status", "--porcelain") == ""
    outer = Git(branch_mount)
    assert outer("rev-parse", "HEAD") != git("rev-parse", "HEAD")
    outer("clone", "-q", str(work), str(work / "cloned"))
    outer("init", "-q", str(work / "made"))
