"""Opening, resolving, history and configuration, with C Git as the judge."""

from __future__ import annotations

import os
import random
import shutil
import threading

import pytest

from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    MlbfsError,
    NotFoundError,
    UnsupportedError,
)
from mlbfs.git.repository import GitRepository
from mlbfs.git.revisions import RefKind
from mlbfs.ids import parse_object_id

pytestmark = pytest.mark.git


@pytest.fixture(params=["loose", "packed"])
def history(request, repository, git):
    """Thirty commits on two branches that merge now and then; fixed seed, unequal dates."""
    chance = random.Random(7)
    lines: list[str] = []
    tips = {"main": 0, "side": 0}
    for mark in range(1, 31):
        branch = chance.choice(["main", "side"]) if mark > 2 else "main"
        other = tips["side" if branch == "main" else "main"]
        lines += [f"commit refs/heads/{branch}", f"mark :{mark}"]
        lines += [f"committer C <c@x> {1_600_000_000 + 100 * mark} +0000", "data 1", "m"]
        parent = tips[branch] or tips["main"]
        if parent:
            lines.append(f"from :{parent}")
        if other and other != parent and chance.random() < 0.3:
            lines.append(f"merge :{other}")
        path = chance.choice(["a", "dir/b", "dir/sub/c"])
        lines += [f"M 100644 inline {path}", "data 1", str(chance.randrange(3))]
        tips[branch] = mark
    git("fast-import", "--quiet", data=("\n".join(lines) + "\n").encode())
    if request.param == "packed":
        git("repack", "-a", "-d", "-q")
    return repository


@pytest.mark.parametrize("branch", ["main", "side"])
def test_log_is_the_log_of_git(history, git, branch):
    """All commits come in the order of `git log`."""
    start = history.resolve(branch).commit
    ours = [commit.id.hex() for commit in history.log(start)]
    assert git("log", "--format=%H", branch).split() == ours
    assert ours[:4] == [commit.id.hex() for commit in history.log(start, limit=4)]


@pytest.mark.parametrize("path", ["a", "dir", "dir/b", "dir/sub/c", "none", "a/below"])
def test_log_of_a_path_is_that_of_git(history, git, path):
    """A path shows the commits that `git log -- PATH` shows, merges simplified alike."""
    start = history.resolve("main").commit
    ours = [commit.id.hex() for commit in history.log(start, path=path.encode())]
    assert git("log", "--format=%H", "main", "--", path).split() == ours


@pytest.mark.parametrize("packed", [False, True])
def test_log_of_a_path_that_is_no_text(repository, git, write_commit, packed, who):
    """Names are bytes, in loose and in packed trees."""
    first = write_commit({b"\xff\xfe": b"1", b"a": b"1"})
    second = write_commit({b"\xff\xfe": b"1", b"a": b"2"}, (first,))
    third = write_commit({b"\xff\xfe": b"2", b"a": b"2"}, (second,))
    repository.refs.compare_and_swap("refs/heads/main", None, third, identity=who, message="m")
    if packed:
        git("repack", "-a", "-d", "-q")
    found = [commit.id for commit in repository.log(third, path=b"\xff\xfe")]
    assert found == [third, first]
    assert [commit.id for commit in repository.log(third, path=b"none")] == []


def test_topological_order_puts_children_first(history, git):
    """For drawing: the same commits, no parent before a child; also for a path."""
    start = history.resolve("main").commit
    shown: set[bytes] = set()
    for commit in history.log(start, topological=True):
        assert not shown & set(commit.parents)
        shown.add(commit.id)
    assert {oid.hex() for oid in shown} == set(git("rev-list", "main").split())
    by_path = history.log(start, path=b"dir", topological=True)
    expected = git("log", "--format=%H", "main", "--", "dir").split()
    assert sorted(expected) == sorted(commit.id.hex() for commit in by_path)


def test_merge_base_and_ancestry_are_those_of_git(history, git):
    """We agree with `git merge-base` on all pairs of some commits."""
    names = git("rev-list", "main", "side").split()[::5]
    for one in names:
        for other in names:
            first, second = parse_object_id(one), parse_object_id(other)
            base = history.merge_base(first, second)
            assert git("merge-base", one, other) == (base.hex() if base else "")
            theirs = git("merge-base", "--all", one, other).split()
            assert theirs == [oid.hex() for oid in history.merge_bases(first, second)]
            is_ancestor = git.run("merge-base", "--is-ancestor", one, other).returncode == 0
            assert is_ancestor == history.is_ancestor(first, second)


def test_crossed_histories_have_several_merge_bases(repository, git, write_commit):
    """Two branches that merged each other have two best ancestors, as `git merge-base --all`."""
    root = write_commit({b"a": b"0"})
    left, right = (write_commit({b"a": name}, (root,)) for name in (b"l", b"r"))
    one = write_commit({b"a": b"1"}, (left, right))
    other = write_commit({b"a": b"2"}, (right, left))
    assert {left, right} == set(repository.merge_bases(one, other))
    assert len(git("merge-base", "--all", one.hex(), other.hex()).split()) == 2


def test_unrelated_histories_have_no_merge_base(repository, write_commit):
    """Two roots share nothing."""
    assert repository.merge_base(write_commit({b"a": b"1"}), write_commit({b"b": b"1"})) is None


SPECS = [
    "main", "side", "both", "refs/heads/both", "heads/both", "tags/both", "refs/tags/both",
    "feature/deep/name", "annotated", "nested", "HEAD", "@", "HEAD~2", "main^", "MERGE^2~1",
    "annotated^{commit}", "annotated^0", "main~3^{}", "origin/remote", "remotes/origin/remote",
    "origin", "main@{0}", "annotated-1-gSHORT", "FULL", "SHORT", "HEX", "packed",
]  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_names_resolve_as_in_git(history, git, packed):
    """Every form of a name gives the commit that `git rev-parse` gives."""
    git("branch", "both", "main~1")
    git("tag", "both", "side~1")
    git("branch", "feature/deep/name", "main~4")
    git("branch", "abcdef12", "main~5")
    git("tag", "-a", "-m", "x", "annotated", "main~1")
    git("tag", "-a", "-m", "x", "nested", "annotated")
    git("update-ref", "refs/remotes/origin/remote", "side~2")
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/remote")
    git("branch", "packed", "side~3")
    git("pack-refs", "--all") if packed else git("pack-refs")
    full = git("rev-parse", "main~2")
    merge = git("rev-list", "--merges", "--max-count=1", "main")
    words = {"SHORT": full[:9], "FULL": full, "HEX": "abcdef12", "MERGE": merge}
    for spec in SPECS:
        for word, value in words.items():
            spec = spec.replace(word, value)
        expected = git("rev-parse", "--verify", f"{spec}^{{commit}}")
        assert (spec, expected) == (spec, history.resolve(spec).commit.hex())


def test_the_kind_of_a_name_is_told(history, git):
    """A tag wins over a branch of its name; commits and remote branches are told apart."""
    git("branch", "both", "main~1")
    git("tag", "both", "side~1")
    git("update-ref", "refs/remotes/origin/x", "side~2")
    found = {spec: history.resolve(spec) for spec in ("both", "main", "origin/x", "HEAD", "main~1")}
    assert {spec: ref.kind for spec, ref in found.items()} == {
        "both": RefKind.TAG,
        "main": RefKind.BRANCH,
        "origin/x": RefKind.REMOTE,
        "HEAD": RefKind.BRANCH,
        "main~1": RefKind.COMMIT,
    }
    assert (found["HEAD"].ref, found["HEAD"].short) == ("refs/heads/main", "main")
    assert found["main~1"].short == found["main~1"].commit.hex()[:10]


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("mian", "did you mean 'main'?"),
        ("deep", "did you mean 'feature/deep'?"),
        ("zzz", "see 'mlbfs branch' and 'mlbfs tag' for the names there are"),
        ("main~99", "did you mean 'main'?"),
        ("", "see 'mlbfs branch' and 'mlbfs tag' for the names there are"),
    ],
)
def test_unknown_names_get_near_ones_as_a_hint(history, git, spec, hint):
    """A typing mistake is answered with what was probably meant."""
    git("branch", "feature/deep", "main")
    with pytest.raises(NotFoundError) as caught:
        history.resolve(spec)
    assert (caught.value.kind, caught.value.hint) == (ErrorKind.REF_NOT_FOUND, hint)


@pytest.mark.parametrize("spec", ["main^{tree}", "main:a", "blob-tag", "main^{bad", "a..b", "-x"])
def test_what_is_no_commit_is_refused(history, git, spec):
    """A tree, a blob, a range or a malformed word is a clear error."""
    git("tag", "blob-tag", "main:a")
    with pytest.raises(MlbfsError) as caught:
        history.resolve(spec)
    assert isinstance(caught.value, (InvalidInputError, NotFoundError))


def test_an_unborn_head_says_that_there_is_no_commit_yet(repository):
    """In a new repository HEAD names a branch without commits."""
    with pytest.raises(NotFoundError, match="'main' has no commit yet"):
        repository.resolve("HEAD")


# Opening


def test_a_new_repository_is_bare_and_keeps_logs(tmp_path, git_in):
    """Git works from inside the folder, on branch main, and thinks of no work tree."""
    repository = GitRepository.init(tmp_path / "new" / "deep")
    git = git_in(tmp_path / "new" / "deep")
    assert git("rev-parse", "--is-bare-repository", "--git-dir").split()[0] == "true"
    assert git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert git("config", "core.logAllRefUpdates") == "true"
    assert (repository.work_tree, repository.is_bare) == (None, True)
    assert repository.git_dir == repository.common_dir == tmp_path / "new" / "deep" / ".git"


def test_an_unused_repository_becomes_ours(tmp_path, git_in):
    """What `git init` just made is treated as new; HEAD stays as the user has it."""
    git_in(tmp_path)("init", "-q", "-b", "trunk", str(tmp_path / "x"))
    assert GitRepository.init(tmp_path / "x").is_bare
    assert git_in(tmp_path / "x")("config", "core.bare") == "true"
    assert git_in(tmp_path / "x")("symbolic-ref", "HEAD") == "refs/heads/trunk"


def test_a_repository_in_use_is_opened_as_it_is(tmp_path, git_in):
    """With a file in the work tree, or commits, nothing is changed."""
    git = git_in(tmp_path / "x")
    (tmp_path / "x").mkdir()
    git("init", "-q")
    (tmp_path / "x" / "file").write_text("mine")
    repository = GitRepository.init(tmp_path / "x")
    assert (repository.is_bare, repository.work_tree) == (False, tmp_path / "x")
    assert git("config", "core.bare") == "false"
    git("add", "file")
    git("commit", "-q", "-m", "one")
    again = GitRepository.init(tmp_path / "x")
    assert again.checked_out_at(again.resolve("HEAD").short) == tmp_path / "x"


def test_init_twice_opens_the_first(tmp_path):
    """A second init finds the first one's repository."""
    assert GitRepository.init(tmp_path).git_dir == GitRepository.init(tmp_path).git_dir


def test_init_on_a_file_is_refused(tmp_path):
    """A file in the way is named."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInputError, match="is a file"):
            GitRepository.init(path)


def test_discovery_goes_upwards_as_git_does(tmp_path, git_in):
    """From a sub-folder, a bare repository, inside .git, a submodule and a link."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    git_in(top)("init", "-q")
    git_in(tmp_path)("init", "-q", "--bare", str(tmp_path / "bare.git"))
    (top / "module").mkdir()
    shutil.copytree(top / ".git", top / ".git" / "modules" / "module")
    (top / "module" / ".git").write_text("gitdir: ../.git/modules/module\n")
    (tmp_path / "link").symlink_to(top / "a")
    (top / "a" / "file").touch()
    starts = ["top/a/b", "bare.git", "bare.git/refs", "top/.git/refs", "top/module", "link"]
    for start in starts:
        found = GitRepository.discover(tmp_path / start).git_dir
        assert git_in(tmp_path / start)("rev-parse", "--absolute-git-dir") == str(found.resolve())
    assert GitRepository.discover(top / "a" / "file").git_dir == top / ".git"


def test_no_repository_is_said_with_what_to_do(tmp_path):
    """Outside of any repository, and for a path that does not exist."""
    for start in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotFoundError) as caught:
            GitRepository.discover(start)
        assert caught.value.kind is ErrorKind.REPOSITORY_NOT_FOUND
        assert "mlbfs init" in (caught.value.hint or "")
    with pytest.raises(NotFoundError):
        GitRepository.open(tmp_path)


def test_a_gitfile_to_nowhere_is_damage(tmp_path):
    """A .git file whose target was moved says how to mend it."""
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")
    with pytest.raises(CorruptionError, match="does not lead to a Git repository"):
        GitRepository.discover(tmp_path)


def test_sha256_repositories_are_refused(tmp_path, git_in):
    """Object names of 32 bytes are not supported, and the error says so."""
    git_in(tmp_path)("init", "-q", "--object-format=sha256", str(tmp_path / "x"))
    with pytest.raises(UnsupportedError, match="SHA-256"):
        GitRepository.open(tmp_path / "x")


@pytest.mark.parametrize(
    ("extension", "value", "words"),
    [("refStorage", "reftable", "reftable"), ("fromTheFuture", "true", "cannot be opened")],
)
def test_unknown_extensions_are_refused(repository, git, extension, value, words):
    """A repository with features that we do not know is not touched."""
    git("config", "core.repositoryFormatVersion", "1")
    git("config", f"extensions.{extension}", value)
    with pytest.raises(UnsupportedError, match=words) as caught:
        GitRepository.open(repository.git_dir)
    assert caught.value.hint is not None


def test_partial_clones_and_work_tree_settings_are_opened(repository, git):
    """Extensions that only say how the rest came here do not keep us out."""
    git("config", "core.repositoryFormatVersion", "1")
    git("config", "extensions.partialClone", "origin")
    git("config", "extensions.worktreeConfig", "true")
    assert GitRepository.open(repository.git_dir).is_bare


def test_a_repository_of_another_user_is_refused_as_by_git(repository, git):
    """The hint is Git's own; without the right to give files away there is nothing to refuse."""
    if os.geteuid() == 0:
        for path in [repository.git_dir.parent, *repository.git_dir.parent.rglob("*")]:
            os.chown(path, 12345, 12345)
        assert git.run("log").returncode != 0
        with pytest.raises(UnsupportedError) as caught:
            GitRepository.open(repository.git_dir.parent)
        assert caught.value.kind is ErrorKind.PERMISSION_DENIED
        assert "safe.directory" in (caught.value.hint or "")
    else:
        assert GitRepository.open(repository.git_dir).is_bare


# Configuration and people


def test_configuration_values_have_the_types_of_git(repository, git):
    """Booleans, numbers with units, values set later, and bad values."""
    git("config", "mlbfs.flag", "yes")
    git("config", "mlbfs.size", "128k")
    git("config", "mlbfs.bad", "perhaps")
    assert repository.config_bool("mlbfs.flag")
    assert repository.config_int("mlbfs.size", default=1) == 128 * 1024
    assert (repository.config_get("mlbfs.none"), repository.config_bool("mlbfs.none")) == (
        None,
        False,
    )
    for read in (repository.config_bool, lambda key: repository.config_int(key, default=1)):
        with pytest.raises(InvalidInputError, match=r"mlbfs\.bad = 'perhaps'"):
            read("mlbfs.bad")


def test_people_come_from_the_environment_then_the_configuration(repository, git):
    """The order is Git's: variables, then author.*, then user.*."""
    git("config", "user.name", "Cfg")
    git("config", "user.email", "cfg@x")
    git("config", "author.name", "Special")
    env = {"GIT_COMMITTER_EMAIL": "env@x", "GIT_AUTHOR_DATE": "@5 +0200"}
    author = repository.signature("author", env=env)
    committer = repository.identity("committer", env=env)
    assert (author.name, author.email, author.time, author.offset) == ("Special", "cfg@x", 5, 120)
    assert (committer.name, committer.email) == ("Cfg", "env@x")


def test_threads_read_at_the_same_time(history):
    """Many threads read objects of one repository while others resolve and walk."""
    start = history.resolve("main").commit
    expected = [commit.id for commit in history.log(start)]
    found: list[list[bytes]] = []

    def work() -> None:
        found.extend([commit.id for commit in history.log(start)] for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 30
