"""Imports at their edges: odd sources, sources that meet, and branches that move meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    InvalidInputError,
    StorageError,
)
from mlbfs.git.commits import Signature
from mlbfs.repository import Author, Repository
from mlbfs.workspace.importer import PROGRESS_BYTES, ImportResult, Progress, parse_source

if TYPE_CHECKING:
    from pathlib import Path

WHO = Signature("A", "a@example.com", 1_700_000_000, 60)
LATER = Signature("A", "a@example.com", 1_800_000_000, 60)
AUTHOR = Author(WHO, WHO)
BINARY = bytes(range(256)) * 40


@pytest.fixture
def repository(tmp_path: Path):
    """An empty repository."""
    with Repository.init(tmp_path / "repository") as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a file, and a folder with another."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "notes.txt").write_text("notes\n")
    (folder / "sub" / "model.bin").write_bytes(BINARY)
    return folder


def _import(repository: Repository, *sources: Path | str, **options) -> ImportResult:
    parsed = [parse_source(str(source)) for source in sources]
    branch = options.pop("branch", "data")
    return repository.import_paths(parsed, branch, **{"author": AUTHOR, **options})


def _tree(repository: Repository, ref: str = "data") -> dict[bytes, bytes]:
    snapshot = repository.snapshot(ref)
    return {path: snapshot.read(path) for path, entry in snapshot.walk() if not entry.is_directory}


def _git(repository: Repository, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", repository.git.git_dir, *words], capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


# Odd sources


def test_slash_follows_a_link_to_a_folder(repository: Repository, data: Path) -> None:
    """As with rsync: `link` is the link, `link/` is what is in the folder."""
    (data.parent / "link").symlink_to("data")
    _import(repository, data.parent / "link")
    assert _tree(repository) == {b"link": b"data"}
    _import(repository, f"{data.parent}/link/", branch="other")
    assert _tree(repository, "other") == {b"notes.txt": b"notes\n", b"sub/model.bin": BINARY}


@pytest.mark.parametrize("name", ["notes.txt", "loop"])
def test_slash_behind_what_is_no_folder(repository: Repository, data: Path, name: str) -> None:
    """It is named, and nothing lands under an empty name."""
    (data / "loop").symlink_to("loop")
    with pytest.raises(InvalidInputError, match=f"{name}' is not a folder"):
        _import(repository, f"{data}/{name}/")


def test_link_to_itself_is_kept_as_a_link(repository: Repository, data: Path) -> None:
    """Nobody follows it."""
    (data / "loop").symlink_to("loop")
    _import(repository, data / "loop")
    assert _tree(repository) == {b"loop": b"loop"}


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"\x1b[31m"])
def test_source_with_an_odd_name(repository: Repository, data: Path, name: bytes) -> None:
    """Its name is kept byte for byte; the message of the commit shows it as well as it can."""
    odd = data.parent / os.fsdecode(name)
    data.rename(odd)
    _import(repository, odd)
    assert set(_tree(repository)) == {name + b"/notes.txt", name + b"/sub/model.bin"}
    (commit,) = repository.log("data")
    subject, empty, source = commit.message.splitlines()
    assert subject.startswith("Import ")
    assert subject.isprintable()
    assert (empty, source.partition(" ")[0]) == ("", "Source:")


@pytest.mark.slow
def test_names_of_255_bytes_and_deep_folders(repository: Repository, data: Path) -> None:
    """Deeper than functions may call each other, where two imports meet all the way down."""
    long = "n" * 255
    (data / long).write_bytes(b"long")
    place = data
    for _ in range(700):
        place /= "d"
        place.mkdir()
    try:
        (place / "leaf").write_bytes(b"1")
        _import(repository, f"{data}/")
        (place / "leaf").write_bytes(b"2")
        _import(repository, f"{data}/")
    finally:  # pytest, which tidies up, cannot go so deep
        subprocess.run(["rm", "-r", data / "d"], check=True)
    tree = _tree(repository)
    assert tree[long.encode()] == b"long"
    assert tree[b"d/" * 700 + b"leaf"] == b"2"


@pytest.mark.slow
def test_deep_landing_place(repository: Repository, data: Path) -> None:
    """Inside a tree, depth has no limit: that of functions that call each other is 1,000."""
    to = b"/".join([b"d"] * 1200)
    _import(repository, data / "notes.txt", to=to)
    _import(repository, data / "sub", to=to)
    assert set(_tree(repository)) == {to + b"/notes.txt", to + b"/sub/model.bin"}


# What is written


@pytest.mark.slow
@pytest.mark.git
def test_nothing_dangles(repository: Repository, data: Path) -> None:
    """Only trees that the commit is made of are written, however often and whatever is joined."""
    _import(repository, f"{data}/", data / "sub")
    (data / "sub" / "more.bin").write_bytes(BINARY[::-1])
    (data / "notes.txt").unlink()
    (data / "other").write_text("other\n")
    _import(repository, f"{data}/", data / "sub")
    _import(repository, data / "other", to=b"sub/deeper")
    assert "dangling" not in _git(repository, "fsck", "--strict")


def test_time_of_what_did_not_change(repository: Repository, data: Path) -> None:
    """A folder that comes out as it was shows the time of the import that first brought it."""
    _import(repository, f"{data}/")
    (data / "notes.txt").write_text("changed\n")
    _import(repository, f"{data}/", author=Author(LATER, LATER))
    root = repository.snapshot("data").find(b"")
    sub = repository.snapshot("data").find(b"sub")
    directory = repository.snapshot("data").directory
    assert directory(root.content).time_ns == LATER.time * 10**9
    assert directory(sub.content).time_ns == WHO.time * 10**9


def test_files_that_git_reads_itself_stay_in_git(repository: Repository, data: Path) -> None:
    """`* mlbfs` is no reason to hide the file that says so from Git."""
    (data / ".gitattributes").write_text("* mlbfs\n")
    (data / ".gitignore").write_text("*.tmp\n")
    _import(repository, f"{data}/")
    snapshot = repository.snapshot("data")
    assert snapshot.find(b"notes.txt").file_id is not None
    assert snapshot.find(b".gitattributes").file_id is None
    assert snapshot.find(b".gitignore").file_id is None


# Whose attributes count


def _in_git(repository: Repository, path: bytes, ref: str = "data") -> bool:
    return repository.snapshot(ref).find(path).file_id is None


def test_attributes_of_the_source_that_wins(repository: Repository, data: Path) -> None:
    """Of two sources that bring one, the last is the one that the tree will have."""
    other = data.parent / "other"
    other.mkdir()
    (data / ".gitattributes").write_text("*.txt mlbfs\n")
    (other / ".gitattributes").write_text("*.txt -mlbfs\n")
    _import(repository, f"{data}/", f"{other}/")
    assert _in_git(repository, b"notes.txt")


def test_attributes_imported_as_a_single_file(repository: Repository, data: Path) -> None:
    """They count for what is imported beside them."""
    (data / ".gitattributes").write_text("*.txt mlbfs\n")
    _import(repository, data / ".gitattributes", data / "notes.txt")
    assert not _in_git(repository, b"notes.txt")


def test_attributes_that_are_replaced(repository: Repository, data: Path) -> None:
    """Those of the branch do not count where --replace drops them."""
    (data / ".gitattributes").write_text("*.txt mlbfs\n")
    _import(repository, f"{data}/")
    (data / ".gitattributes").unlink()
    _import(repository, f"{data}/", replace=True)
    assert _in_git(repository, b"notes.txt")


def test_attributes_that_are_a_link(repository: Repository, data: Path) -> None:
    """Git heeds none, and the branch's are about to be replaced by it."""
    (data / ".gitattributes").write_text("*.txt mlbfs\n")
    _import(repository, f"{data}/")
    (data / ".gitattributes").unlink()
    (data / ".gitattributes").symlink_to("elsewhere")
    (data / "notes.txt").write_text("other\n")
    _import(repository, f"{data}/")
    assert _in_git(repository, b"notes.txt")


# Sources that meet


def test_sources_that_clash(repository: Repository, data: Path) -> None:
    """The message does not speak of the branch, which has nothing there."""
    other = data.parent / "other"
    other.mkdir()
    (other / "sub").write_text("a file\n")
    for replace in (False, True):
        with pytest.raises(InvalidInputError, match="in one source") as raised:
            _import(repository, data / "sub", other / "sub", replace=replace)
        assert "--replace" not in (raised.value.hint or "")


def test_file_above_the_place_to_land_in(repository: Repository, data: Path) -> None:
    """--replace cannot help: the file is not where a source lands."""
    _import(repository, data / "notes.txt")
    for replace in (False, True):
        with pytest.raises(InvalidInputError, match="is a file on the branch") as raised:
            _import(repository, data / "sub", to=b"notes.txt/x", replace=replace)
        assert "--replace" not in (raised.value.hint or "")


def test_replace_with_a_source_that_is_empty_now(repository: Repository, data: Path) -> None:
    """Its place is emptied too, and so is a folder that held nothing else."""
    _import(repository, data / "sub", to=b"a/b")
    _import(repository, data / "sub", to=b"c")
    (data / "sub" / "model.bin").unlink()
    _import(repository, data / "sub", data / "notes.txt", to=b"a/b", replace=True)
    assert set(_tree(repository)) == {b"a/b/notes.txt", b"c/sub/model.bin"}
    _import(repository, data / "sub", data / "notes.txt", to=b"c", replace=True)
    assert set(_tree(repository)) == {b"a/b/notes.txt", b"c/notes.txt"}


# Branches


def test_branch_that_cannot_be_made_is_refused_first(repository: Repository, data: Path) -> None:
    """A name that is in the way is found before hours of reading, not after."""
    _import(repository, data)
    repository.create_branch("x/y", "data", author=AUTHOR)
    for name in ("data/more", "x"):
        with pytest.raises(AlreadyExistsError, match="cannot be made"):
            _import(repository, data / "missing", branch=name)


def test_progress_of_one_large_file(repository: Repository, data: Path) -> None:
    """It is told in the middle of the file, of its whole length; of a folder, without an end."""
    big = data / "big.bin"
    big.write_bytes(random.Random(1).randbytes(12 * PROGRESS_BYTES))
    seen: list[Progress] = []
    _import(repository, big, progress=seen.append)
    assert len({now.size for now in seen if now.files == 0}) > 1
    total = big.stat().st_size
    assert {now.total for now in seen} == {total}
    assert total - PROGRESS_BYTES < seen[-1].size <= total
    seen.clear()
    _import(repository, data, progress=seen.append)
    assert {now.total for now in seen} == {None}


def test_new_branch_that_someone_else_makes_meanwhile(repository: Repository, data: Path) -> None:
    """It does not begin where --from says, so the import does not land on it."""
    _import(repository, data / "notes.txt", branch="old")
    _import(repository, data / "sub", branch="other")
    with pytest.raises(AlreadyExistsError, match="exists already, so it cannot begin"):
        _import(
            repository,
            data,
            start="old",
            progress=lambda _: repository.create_branch("data", "other", author=AUTHOR),
        )
    assert set(_tree(repository)) == {b"sub/model.bin"}


@pytest.mark.git
def test_branch_that_is_checked_out_meanwhile(repository: Repository, data: Path) -> None:
    """The last look is just before the branch moves."""
    first = _import(repository, data / "notes.txt")
    place = data.parent / "tree"
    with pytest.raises(ConflictError) as raised:
        _import(
            repository,
            data,
            progress=lambda _: _git(repository, "worktree", "add", "-q", str(place), "data"),
        )
    assert raised.value.kind is ErrorKind.BRANCH_CHECKED_OUT
    assert repository.resolve("data").commit == first.commit


def _refuse_objects(repository: Repository) -> None:
    """Lets no Git object be written: files stand where their folders would be made."""
    objects = repository.git.common_dir / "objects"
    for number in range(256):
        place = objects / f"{number:02x}"
        if not place.exists():
            place.touch()


def test_git_objects_that_find_no_room_leave_the_index_as_it_was(
    repository: Repository, data: Path
) -> None:
    """They are written before the index is, so that a failed import has taken nothing from it."""
    before = repository.store.statistics()
    _refuse_objects(repository)
    with pytest.raises(StorageError, match="Git objects"):
        _import(repository, data)
    after = repository.store.statistics()
    assert (after.directories, after.files, after.chunks) == (0, 0, 0)
    repository.gc()
    assert repository.store.statistics().pack_bytes == before.pack_bytes == 0
    assert not list((repository.git.common_dir / "objects").rglob("tmp_*"))
