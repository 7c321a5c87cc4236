"""Stock Git with a stock Git LFS client: their repositories read by us, ours read by them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import ConflictError, CorruptionError, ErrorKind, MlbfsError, NotFoundError
from mlbfs.git.commits import Signature
from mlbfs.git.pointers import encode_pointer
from mlbfs.ids import FileId
from mlbfs.mount.registry import run_directory
from mlbfs.mount.session import mounted
from mlbfs.repository import Author, Repository
from mlbfs.workspace.check import ProblemKind
from mlbfs.workspace.importer import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Git

pytestmark = [pytest.mark.git, pytest.mark.slow]  # Git LFS takes 50 ms for each command

WHO = Signature("Ada", "ada@example.com", 1_700_000_000, 0)
AUTHOR = Author(WHO, WHO)
MODEL = bytes(range(256)) * 700
NEWER = MODEL[::-1] + b"newer"
IMAGE = os.urandom(50_000)
ATTRIBUTES = (
    b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n"
)


@dataclass(frozen=True, slots=True)
class Stock:
    """A repository made by Git and Git LFS: branch `main` checked out, `side` beside it."""

    git: Git
    place: Path

    @property
    def git_dir(self) -> Path:
        """Its Git directory."""
        return self.place / ".git"

    def lfs_object(self, content: bytes) -> Path:
        """Where Git LFS keeps a content."""
        name = hashlib.sha256(content).hexdigest()
        return self.git_dir / "lfs/objects" / name[:2] / name[2:4] / name


@pytest.fixture
def stock(tmp_path: Path, git_in: Callable[[Path], Git]) -> Stock:
    """Two commits on `main` with a tag on the first, and a branch `side`."""
    place = tmp_path / "stock"
    place.mkdir()
    git = git_in(place)
    git("init", "-q", "-b", "main")
    git("lfs", "install", "--local")
    (place / "folder").mkdir()
    (place / ".gitattributes").write_bytes(ATTRIBUTES)
    (place / "model.bin").write_bytes(MODEL)
    (place / "folder/image.png").write_bytes(IMAGE)
    (place / "folder/empty.bin").write_bytes(b"")
    (place / "notes.txt").write_text("notes\n")
    (place / "run.sh").write_text("#!/bin/sh\n")
    (place / "run.sh").chmod(0o755)
    (place / "link").symlink_to("model.bin")
    git("add", ".")
    git("commit", "-qm", "first")
    git("tag", "-a", "v1", "-m", "first")
    git("branch", "side")
    (place / "model.bin").write_bytes(NEWER)
    git("commit", "-qam", "second")
    return Stock(git, place)


@pytest.fixture
def adopted(stock: Stock) -> Iterator[Repository]:
    """The same repository, adopted."""
    with Repository.init(stock.place) as found:
        yield found


FIRST = {
    b".gitattributes": ATTRIBUTES,
    b"model.bin": MODEL,
    b"folder/image.png": IMAGE,
    b"folder/empty.bin": b"",
    b"notes.txt": b"notes\n",
    b"run.sh": b"#!/bin/sh\n",
    b"link": b"model.bin",
}


def _files_of(top: Path) -> dict[bytes, bytes]:
    """Returns the content of every file, and the target of every link, below a folder."""
    found = {}
    for folder, _, names in os.walk(os.fsencode(top)):
        for name in names:
            path = folder + b"/" + name
            data = (
                os.readlink(path) if os.path.islink(path) else Path(os.fsdecode(path)).read_bytes()
            )
            found[os.path.relpath(path, os.fsencode(top))] = data
    return found


def _flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\xfe\xfe")


def _cut(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 1000)


DAMAGES = pytest.mark.parametrize("damage", [_flip, _cut], ids=["flipped", "cut"])


def _log(repository: Repository) -> str:
    return "".join(
        path.read_text() for path in run_directory(repository.git.common_dir).glob("*.log")
    )


# Theirs, read by us


def test_adopted_repository_is_read(adopted: Repository, tmp_path: Path) -> None:
    """Branches, tags and history are there; content is that of the LFS client, byte for byte."""
    assert [ref.short for ref in adopted.branches()] == ["main", "side"]
    assert [ref.short for ref in adopted.tags()] == ["v1"]
    assert [commit.message for commit in adopted.log("main")] == ["second\n", "first\n"]
    for spec, model in (("v1", MODEL), ("side", MODEL), ("main", NEWER)):
        snapshot = adopted.snapshot(spec)
        sizes = {path: entry.size for path, entry in snapshot.walk() if not entry.is_directory}
        want = FIRST | {b"model.bin": model}
        assert sizes == {path: len(data) for path, data in want.items()}
        assert {path: snapshot.read(path) for path in want} == want
    adopted.export("main", tmp_path / "out")
    assert _files_of(tmp_path / "out") == FIRST | {b"model.bin": NEWER}
    assert os.access(tmp_path / "out/run.sh", os.X_OK)


@pytest.mark.fuse
def test_adopted_repository_is_mounted(adopted: Repository, tmp_path: Path) -> None:
    """A tag and a branch, read-only and read-write."""
    directory = adopted.git.common_dir
    for ref, model, read_only in (
        ("v1", MODEL, False),
        ("main", NEWER, True),
        ("side", MODEL, False),
    ):
        with mounted(directory, ref, read_only=read_only) as place:
            assert _files_of(place) == FIRST | {b"model.bin": model}


def test_missing_content_is_named(stock: Stock, adopted: Repository) -> None:
    """Reading says that it is not here and how to get it; everything else can be read."""
    stock.lfs_object(MODEL).unlink()
    snapshot = adopted.snapshot("v1")
    with pytest.raises(NotFoundError, match="is not in this repository") as raised:
        snapshot.read(b"model.bin")
    assert raised.value.hint is not None
    assert "git lfs fetch" in raised.value.hint
    assert snapshot.read(b"folder/image.png") == IMAGE


@DAMAGES
def test_damaged_content_is_refused(
    stock: Stock, adopted: Repository, damage: Callable[[Path], None]
) -> None:
    """Wrong bytes are an error, never data."""
    damage(stock.lfs_object(MODEL))
    with pytest.raises(CorruptionError, match=r"Git LFS object|bytes, but its pointer"):
        adopted.snapshot("v1").read(b"model.bin")
    problems = [problem for problem in adopted.check_commits() if problem.path == b"model.bin"]
    assert [problem.kind for problem in problems] == [ProblemKind.CONTENT_MISSING]


@DAMAGES
def test_content_damaged_after_it_was_read(
    stock: Stock, adopted: Repository, damage: Callable[[Path], None]
) -> None:
    """That it was sound once, when it was opened, is no proof for later."""
    snapshot = adopted.snapshot("v1")
    reader = snapshot.open(b"model.bin")
    assert reader.read(0, len(MODEL)) == MODEL
    damage(stock.lfs_object(MODEL))
    with pytest.raises(CorruptionError, match="Git LFS object"):
        reader.read(0, 4096)
    assert reader.read_nowait(0, 4096) is None


def test_content_that_is_touched_is_read_on(stock: Stock, adopted: Repository) -> None:
    """A new time or another hard link is no damage."""
    reader = adopted.snapshot("v1").open(b"model.bin")
    path = stock.lfs_object(MODEL)
    os.utime(path, (1, 1))
    path.with_name("other").hardlink_to(path)
    assert reader.read(0, len(MODEL)) == MODEL


@pytest.mark.fuse
@DAMAGES
def test_damaged_content_in_a_mount(
    stock: Stock, adopted: Repository, damage: Callable[[Path], None]
) -> None:
    """EIO and a line in the log."""
    damage(stock.lfs_object(MODEL))
    with mounted(adopted.git.common_dir, "v1") as place:
        with pytest.raises(OSError) as caught:
            (place / "model.bin").read_bytes()
        assert caught.value.errno == errno.EIO
        assert (place / "folder/image.png").read_bytes() == IMAGE
        (line,) = {
            line.partition(" ERROR ")[2] for line in _log(adopted).splitlines() if "ERROR" in line
        }
    assert "Git LFS object" in line or "its pointer says" in line
    assert "git lfs fsck" in line


@pytest.mark.fuse
def test_missing_content_in_a_mount(stock: Stock, adopted: Repository) -> None:
    """EIO and a line in the log; once the client has fetched it, it can be read."""
    path = stock.lfs_object(MODEL)
    path.rename(path.with_suffix(".away"))
    with mounted(adopted.git.common_dir, "v1") as place:
        with pytest.raises(OSError) as caught:
            (place / "model.bin").read_bytes()
        assert caught.value.errno == errno.EIO
        assert "git lfs fetch" in _log(adopted)
        path.with_suffix(".away").rename(path)
        assert (place / "model.bin").read_bytes() == MODEL


@pytest.mark.fuse
@pytest.mark.parametrize("told", [len(MODEL) + 5000, len(MODEL) - 5000], ids=["more", "less"])
def test_pointer_that_lies_about_the_size(stock: Stock, adopted: Repository, told: int) -> None:
    """Neither zeros nor a file cut short: what the pointer says is not there."""
    pointer = encode_pointer(FileId(hashlib.sha256(MODEL).digest()), told)
    blob = stock.git("hash-object", "-w", "--stdin", data=pointer)
    tree = stock.git("mktree", data=f"100644 blob {blob}\tmodel.bin\n".encode())
    commit = stock.git("commit-tree", tree, "-m", "a lie")
    with pytest.raises(CorruptionError, match="bytes"):
        adopted.snapshot(commit).read(b"model.bin")
    with mounted(adopted.git.common_dir, commit) as place:
        with pytest.raises(OSError) as caught:
            (place / "model.bin").read_bytes()
        assert caught.value.errno == errno.EIO


@pytest.mark.fuse
def test_commit_keeps_pointers(stock: Stock, adopted: Repository, tmp_path: Path) -> None:
    """What did not change keeps its blob, also where it was moved, made executable or touched."""
    before = _blobs(stock, "side")
    with mounted(adopted.git.common_dir, "side") as place:
        (place / "new.bin").write_bytes(b"\xff" * 9000)
        (place / "folder").rename(place / "moved")
        os.utime(place / "model.bin", (1, 1))
        (place / "notes.txt").rename(place / "moved/notes.txt")
    with adopted.workspace("side") as workspace:
        workspace.commit("on top", author=WHO)
    after = _blobs(stock, "side")
    assert after.pop("new.bin") == stock.git(
        "hash-object",
        "--stdin",
        data=encode_pointer(FileId(hashlib.sha256(b"\xff" * 9000).digest()), 9000),
    )
    assert after == {
        name.replace("folder/", "moved/").replace("notes.txt", "moved/notes.txt"): blob
        for name, blob in before.items()
    }
    stock.git("fsck", "--strict")


def test_import_keeps_foreign_pointers(stock: Stock, adopted: Repository, tmp_path: Path) -> None:
    """A pointer that was spelled in another way stays as it is when its neighbours change."""
    digest = hashlib.sha256(MODEL).hexdigest()
    old = f"version https://hawser.github.com/spec/v1\noid sha256:{digest}\nsize {len(MODEL)}\n"
    blob = stock.git("hash-object", "-w", "--stdin", data=old.encode())
    tree = stock.git("mktree", data=f"100644 blob {blob}\tmodel.bin\n".encode())
    stock.git("branch", "old", stock.git("commit-tree", tree, "-m", "old"))
    assert adopted.snapshot("old").read(b"model.bin") == MODEL
    (tmp_path / "more").write_bytes(b"\xff" * 100)
    adopted.import_paths([parse_source(str(tmp_path / "more"))], "old", author=AUTHOR)
    assert _blobs(stock, "old")["model.bin"] == blob


def test_stock_git_checks_out_and_clones_what_was_committed(
    stock: Stock, adopted: Repository, tmp_path: Path
) -> None:
    """Once its content was fetched for Git LFS, a commit of ours checks out, and clones by path."""
    made = os.urandom(300_000)
    with adopted.workspace("side") as workspace:
        _write(workspace, b"made.bin", made)
        workspace.commit("made", author=WHO)
    first = adopted.fetch_lfs(["side"])
    assert (first.files, first.size) == (1, len(made))  # the client had all the others
    again = adopted.fetch_lfs(["side"])
    assert (again.files, again.present) == (0, first.present + 1)
    stock.git("checkout", "-q", "side")
    assert (stock.place / "made.bin").read_bytes() == made
    assert stock.git("status", "--porcelain") == ""
    stock.git("lfs", "fsck")
    filters = ("filter.lfs.process=git-lfs filter-process", "filter.lfs.required=true")
    chosen = [word for text in filters for word in ("-c", text)]
    stock.git("clone", "-q", *chosen, "-b", "side", str(stock.place), str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "made.bin").read_bytes() == made


def test_damaged_content_is_not_handed_to_the_client(stock: Stock, adopted: Repository) -> None:
    """What is not what it is named by is never put there under that name."""
    objects = adopted.git.lfs
    wanted = FileId(hashlib.sha256(b"wanted").digest())
    with pytest.raises(CorruptionError, match="SHA-256"):
        objects.put(wanted, [b"some", b"thing"])
    assert objects.size(wanted) is None
    assert list((stock.git_dir / "lfs" / "tmp").glob("mlbfs-*")) == []
    objects.put(wanted, [b"wan", b"ted"])
    objects.put(wanted, [b"wanted"])
    with objects.open(wanted) as reader:
        assert reader.read(0, 10) == b"wanted"


def _blobs(stock: Stock, branch: str) -> dict[str, str]:
    lines = stock.git("ls-tree", "-r", branch).splitlines()
    return {line.partition("\t")[2]: line.split()[2] for line in lines}


# The branch that is checked out


def _refusal(action: Callable[[], object]) -> ConflictError:
    with pytest.raises(ConflictError) as raised:
        action()
    assert raised.value.kind is ErrorKind.BRANCH_CHECKED_OUT
    return raised.value


def _follow(stock: Stock, error: MlbfsError) -> None:
    """Types the Git command that a hint quotes."""
    assert error.hint is not None
    command = error.hint.split("'")[1]
    assert command.startswith("git ")
    stock.git(*command.split()[1:])


def test_import_into_the_branch_checked_out(
    stock: Stock, adopted: Repository, tmp_path: Path
) -> None:
    """It is refused, names the place, and the hint works as it stands."""
    (tmp_path / "more").write_text("more\n")

    def run() -> object:
        return adopted.import_paths([parse_source(str(tmp_path / "more"))], "main", author=AUTHOR)

    error = _refusal(run)
    assert str(stock.place) in error.message
    _follow(stock, error)
    run()
    assert adopted.snapshot("main").read(b"more") == b"more\n"
    assert stock.git("status", "--porcelain") == ""


def test_import_into_an_unborn_branch(tmp_path: Path, git_in: Callable[[Path], Git]) -> None:
    """A repository without a commit, with files in its work tree."""
    place = tmp_path / "fresh"
    place.mkdir()
    stock = Stock(git_in(place), place)
    stock.git("init", "-q", "-b", "main")
    (place / "more").write_text("more\n")
    with Repository.init(place) as adopted:

        def run() -> object:
            return adopted.import_paths([parse_source(str(place / "more"))], "main", author=AUTHOR)

        _follow(stock, _refusal(run))
        run()
        assert adopted.snapshot("main").read(b"more") == b"more\n"


@pytest.mark.fuse
def test_mount_of_the_branch_checked_out(stock: Stock, adopted: Repository) -> None:
    """Read-write it is refused; read-only it works, and so does what the hint says."""
    directory = adopted.git.common_dir
    with mounted(directory, "main", read_only=True) as place:
        assert (place / "model.bin").read_bytes() == NEWER

    def run() -> None:
        with mounted(directory, "main") as place:
            (place / "notes.txt").write_text("other\n")

    error = _refusal(run)
    assert str(stock.place) in error.message
    _follow(stock, error)
    run()


def test_commit_when_the_branch_is_checked_out_meanwhile(stock: Stock, adopted: Repository) -> None:
    """The work tree would look as if it took the commit back."""
    with adopted.workspace("side") as workspace:
        _write(workspace, b"new", b"new\n")
        stock.git("checkout", "-q", "side")
        error = _refusal(lambda: workspace.commit("m", author=WHO))
        _follow(stock, error)
        workspace.commit("m", author=WHO)
    assert adopted.snapshot("side").read(b"new") == b"new\n"


def _write(workspace, name: bytes, data: bytes) -> None:
    made = workspace.create(1, name, 0o644, uid=0, gid=0)
    workspace.write(made.ino, 0, data)


# Ours, read by them


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Repository]:
    """A repository of ours with two branches and tags of both kinds."""
    data = tmp_path / "data"
    (data / "folder").mkdir(parents=True)
    for path, content in FIRST.items():
        if path != b"link":
            (data / os.fsdecode(path)).write_bytes(content)
    with Repository.init(tmp_path / "ours") as found:
        found.import_paths([parse_source(f"{data}/")], "main", author=AUTHOR)
        found.create_tag("light", "main", author=AUTHOR)
        found.create_tag("noted", "main", message="noted\n", author=AUTHOR)
        (data / "model.bin").write_bytes(NEWER)
        found.import_paths([parse_source(f"{data}/")], "side/one", start="main", author=AUTHOR)
        yield found


@pytest.fixture
def clone(ours: Repository, tmp_path: Path, git_in: Callable[[Path], Git]) -> Stock:
    """A clone by stock Git, which has pointers in its work tree."""
    place = tmp_path / "clone"
    git_in(tmp_path)("clone", "-q", "-b", "side/one", str(ours.git.git_dir), str(place))
    git = git_in(place)
    git("lfs", "install", "--local")
    return Stock(git, place)


def test_client_knows_our_pointers(clone: Stock) -> None:
    """`git lfs ls-files` lists them with their ids, and each is one by the strict check."""
    lines = clone.git("lfs", "ls-files", "--long").splitlines()
    listed = {line.split()[2]: line.split()[0] for line in lines}
    assert listed == {
        "model.bin": hashlib.sha256(NEWER).hexdigest(),
        "folder/image.png": hashlib.sha256(IMAGE).hexdigest(),
    }
    for name in listed:
        clone.git("lfs", "pointer", "--check", "--strict", f"--file={clone.place / name}")
    assert clone.git("status", "--porcelain") == ""


def test_client_checks_our_files_out(ours: Repository, clone: Stock) -> None:
    """With the content at its place, the client writes the right bytes, and nothing differs."""
    for content in (NEWER, IMAGE):
        path = clone.lfs_object(content)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    clone.git("lfs", "checkout")
    want = {path: data for path, data in FIRST.items() if path != b"link"}
    shutil.move(clone.git_dir, clone.place.with_suffix(".git"))
    assert _files_of(clone.place) == want | {b"model.bin": NEWER}
    shutil.move(clone.place.with_suffix(".git"), clone.git_dir)
    assert clone.git("status", "--porcelain") == ""
    clone.git("lfs", "fsck")


def test_git_pushes_our_refs(
    ours: Repository, tmp_path: Path, git_in: Callable[[Path], Git]
) -> None:
    """Branches and tags reach a bare repository, and nothing of ours is found wanting."""
    git = git_in(ours.git.git_dir)
    assert git("fsck", "--strict") == ""
    bare = git_in(tmp_path)
    bare("init", "-q", "--bare", "theirs.git")
    git("push", "-q", "--mirror", str(tmp_path / "theirs.git"))
    theirs = git_in(tmp_path / "theirs.git")
    assert theirs("fsck", "--strict") == ""
    assert theirs("for-each-ref") == git("for-each-ref")
