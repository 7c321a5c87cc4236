"""The facade: branches, tags, history, export, sizes, checks and gc over real repositories."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
)
from mlbfs.git.commits import Signature
from mlbfs.git.pointers import encode_pointer
from mlbfs.git.trees import MODE_DIRECTORY, MODE_FILE, MODE_SUBMODULE, TreeEntry
from mlbfs.ids import FileId, ObjectId
from mlbfs.repository import Author, Repository, is_initialized
from mlbfs.workspace.check import ProblemKind
from mlbfs.workspace.importer import ImportResult, parse_source

if TYPE_CHECKING:
    from pathlib import Path

WHO = Signature("A", "a@example.com", 1_700_000_000, 0)
AUTHOR = Author(WHO, WHO)
BINARY = bytes(range(256)) * 4000
"""More than a megabyte: several chunks."""


@pytest.fixture
def repository(tmp_path: Path):
    """A repository with the branch `raw`: a text, a binary file, a folder."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "text").write_text("text\n")
    (folder / "model").write_bytes(BINARY)
    (folder / "sub" / "link").symlink_to("../text")
    (folder / "sub" / "run").write_text("#!/bin/sh\n")
    (folder / "sub" / "run").chmod(0o755)
    with Repository.init(tmp_path / "repository") as found:
        _import(found, folder, "raw")
        yield found


def _import(repository: Repository, folder: Path, branch: str) -> ImportResult:
    return repository.import_paths([parse_source(f"{folder}/")], branch, author=AUTHOR)


def _commit(repository: Repository, branch: str, entries: list[TreeEntry]) -> ObjectId:
    """Puts a commit on a new branch, straight through the Git layer."""
    with repository.git.objects() as objects:
        commit = objects.put_commit(
            tree=objects.put_tree(entries), parents=[], author=WHO, committer=WHO, message="m"
        )
        objects.commit()
    repository.git.refs.compare_and_swap(
        f"refs/heads/{branch}", None, commit, identity=WHO, message="m"
    )
    return commit


def _blob(repository: Repository, data: bytes) -> ObjectId:
    with repository.git.objects() as objects:
        blob = objects.put_blob(data)
        objects.commit()
    return blob


def test_open_looks_upwards(repository: Repository, tmp_path: Path) -> None:
    """As Git does; a Git repository that was not adopted is told apart from none."""
    inside = tmp_path / "repository" / "a" / "b"
    inside.mkdir(parents=True)
    with Repository.open(inside) as found:
        assert found.git.common_dir == repository.git.common_dir
    assert is_initialized(tmp_path / "repository")
    assert not is_initialized(tmp_path)
    with pytest.raises(NotFoundError) as raised:
        Repository.open(tmp_path)
    assert raised.value.kind is ErrorKind.REPOSITORY_NOT_FOUND


def test_branch_life(repository: Repository) -> None:
    """Made at a ref, refused twice, deleted only if nothing is lost."""
    head = repository.create_branch("dev/a", "raw", author=AUTHOR)
    assert [ref.short for ref in repository.branches()] == ["dev/a", "raw"]
    with pytest.raises(AlreadyExistsError, match="branch 'dev/a' exists already"):
        repository.create_branch("dev/a", "raw", author=AUTHOR)
    assert repository.delete_branch("dev/a", author=AUTHOR) == head
    with pytest.raises(ConflictError, match="no other branch or tag has"):
        repository.delete_branch("raw", author=AUTHOR)
    with pytest.raises(NotFoundError, match="no branch 'dev/a'"):
        repository.delete_branch("dev/a", author=AUTHOR)
    with pytest.raises(InvalidInputError):
        repository.create_branch("a..b", "raw", author=AUTHOR)


def test_branch_with_unsaved_work_is_not_deleted(repository: Repository) -> None:
    """Unless forced; then its workspace goes too."""
    repository.create_tag("v1", "raw", author=AUTHOR)
    with repository.workspace("raw") as workspace:
        made = workspace.create(workspace.root_inode, b"new", 0o644, uid=0, gid=0)
        workspace.write(made.ino, 0, b"unsaved")
        with pytest.raises(ConflictError) as raised:
            repository.delete_branch("raw", author=AUTHOR)
        assert raised.value.kind is ErrorKind.LOCKED
    with pytest.raises(ConflictError, match="work that was not committed"):
        repository.delete_branch("raw", author=AUTHOR)
    repository.delete_branch("raw", author=AUTHOR, force=True)
    assert not list((repository.directory / "workspaces").iterdir())


def test_tag_life(repository: Repository) -> None:
    """Light without a message, annotated with one."""
    commit = repository.create_tag("light", "raw", author=AUTHOR)
    repository.create_tag("v1", "raw", message="First\n", author=AUTHOR)
    light, annotated = repository.tags()
    assert (light.target, light.tag) == (commit, None)
    assert annotated.commit == commit
    assert annotated.tag is not None
    assert annotated.tag.message == "First\n"
    with pytest.raises(AlreadyExistsError, match="tag 'v1' exists already"):
        repository.git.check_tag_free("v1")
    repository.delete_tag("v1", author=AUTHOR)
    repository.git.check_tag_free("v1")
    with pytest.raises(NotFoundError, match="no tag 'v1'"):
        repository.delete_tag("v1", author=AUTHOR)


def test_log_of_a_path(repository: Repository, tmp_path: Path) -> None:
    """Only the commits that changed it."""
    (tmp_path / "data" / "text").write_text("changed\n")
    _import(repository, tmp_path / "data", "raw")
    assert len(list(repository.log("raw"))) == 2
    assert len(list(repository.log("raw", topological=True))) == 2
    assert len(list(repository.log("raw", path=b"text"))) == 2
    assert len(list(repository.log("raw", path=b"model"))) == 1
    assert len(list(repository.log("raw", limit=1))) == 1
    assert [change.path for change in repository.diff("raw~1", "raw")] == [b"text"]


def test_export_of_a_folder_and_a_file(repository: Repository, tmp_path: Path) -> None:
    """Content, links and the executable bit; nothing that exists is touched."""
    result = repository.export("raw", tmp_path / "out")
    assert (result.files, result.symlinks, result.size) == (3, 1, len(BINARY) + 15)
    assert (tmp_path / "out" / "model").read_bytes() == BINARY
    assert os.readlink(tmp_path / "out" / "sub" / "link") == "../text"
    assert os.access(tmp_path / "out" / "sub" / "run", os.X_OK)
    repository.export("raw", tmp_path / "one", path=b"text")
    assert (tmp_path / "one").read_text() == "text\n"
    for taken in ("out", "one"):
        with pytest.raises(AlreadyExistsError, match="exists already"):
            repository.export("raw", tmp_path / taken)
    with pytest.raises(NotFoundError, match="does not exist"):
        repository.export("raw", tmp_path / "no" / "where")
    (tmp_path / "empty").mkdir()
    repository.export("raw", tmp_path / "empty", path=b"sub")
    assert sorted(os.listdir(tmp_path / "empty")) == ["link", "run"]


def test_export_leaves_no_part_of_a_file(repository: Repository, tmp_path: Path) -> None:
    """What cannot be copied whole is not there afterwards, and what was copied before it is."""
    for pack in (repository.store.root / "packs").glob("*.pack"):
        pack.write_bytes(bytes(pack.stat().st_size))
    with Repository.open(repository.git.common_dir) as again, pytest.raises(CorruptionError):
        again.export("raw", tmp_path / "out")
    assert not (tmp_path / "out" / "model").exists()


def test_submodules_are_named_and_not_followed(repository: Repository, tmp_path: Path) -> None:
    """A commit of another repository has no files here."""
    other = ObjectId(bytes(range(20)))
    _commit(repository, "sub", [TreeEntry(b"lib", MODE_SUBMODULE, other)])
    result = repository.export("sub", tmp_path / "out")
    assert result.submodules == [b"lib"]
    assert list((tmp_path / "out" / "lib").iterdir()) == []
    assert list(repository.check_commits()) == []


def test_usage_tells_shared_from_exclusive(repository: Repository, tmp_path: Path) -> None:
    """Bytes are counted per branch, unique once, exclusive where one branch alone has them."""
    repository.create_branch("copy", "raw", author=AUTHOR)
    only = tmp_path / "only"
    only.mkdir()
    (only / "text").write_text("text\n")
    (only / "more").write_bytes(hashlib.sha256(b"more").digest() * 3000)
    _import(repository, only, "copy")
    usage = repository.usage()
    copy, raw = usage.branches
    size = len(BINARY) + 15
    assert (raw.name, raw.files, raw.size) == ("raw", 3, size)
    assert (copy.name, copy.files, copy.size) == ("copy", 4, size + 96_000)
    assert usage.size == raw.size + copy.size
    assert raw.exclusive == 0
    assert copy.exclusive == 96_000
    assert copy.shared == raw.shared
    assert usage.unique_bytes == copy.shared + copy.exclusive
    assert usage.saved_by_deduplication == usage.size - usage.unique_bytes > size
    assert usage.saved_by_compression == usage.chunk_bytes - usage.stored_bytes > 0
    assert usage.git_bytes == 15  # two texts
    assert usage.unique_bytes == usage.chunk_bytes + usage.git_bytes


def test_disk_usage_is_what_du_says(repository: Repository, tmp_path: Path) -> None:
    """Its parts add up to the Git directory, and an import tells what the packs grew by."""
    with repository.workspace("raw"):
        pass
    name = repository.git.common_dir / "lfs" / "objects" / "aa" / "object"
    name.parent.mkdir(parents=True)
    name.write_bytes(b"x" * 5000)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "bytes").write_bytes(os.urandom(300_000))
    before = repository.store.statistics().pack_bytes
    grown = _import(repository, tmp_path / "new", "new").stored_bytes
    statistics = repository.store.statistics()
    assert statistics.pack_bytes - before == grown
    usage, disk = repository.usage(), repository.disk_usage()
    said = subprocess.run(
        ["du", "-s", "-B1", repository.git.common_dir], capture_output=True, text=True, check=True
    )
    assert disk.total == int(said.stdout.split()[0])
    parts = ("packs", "index", "workspaces", "git_objects", "lfs_objects", "other")
    assert all(getattr(disk, part) > 0 for part in parts)
    assert usage.stored_bytes <= statistics.pack_bytes <= disk.packs


def test_usage_of_nothing(tmp_path: Path) -> None:
    """An empty repository has sizes too."""
    with Repository.init(tmp_path / "empty") as empty:
        usage = empty.usage()
    assert (usage.files, usage.size, usage.branches) == (0, 0, ())


def test_git_lfs_content_is_served_checked_and_counted(
    repository: Repository, tmp_path: Path
) -> None:
    """A repository that uses Git LFS works as it stands."""
    name = hashlib.sha256(BINARY + b"lfs").hexdigest()
    place = repository.git.common_dir / "lfs" / "objects" / name[:2] / name[2:4]
    place.mkdir(parents=True)
    (place / name).write_bytes(BINARY + b"lfs")
    pointer = encode_pointer(FileId(bytes.fromhex(name)), len(BINARY) + 3)
    _commit(repository, "lfs", [TreeEntry(b"m", MODE_FILE, _blob(repository, pointer))])
    assert repository.snapshot("lfs").read(b"m") == BINARY + b"lfs"
    assert list(repository.check_commits()) == []
    branch = repository.usage().branches[0]
    assert (branch.name, branch.exclusive) == ("lfs", len(BINARY) + 3)
    (place / name).unlink()
    (problem,) = repository.check_commits()
    assert problem.kind is ProblemKind.CONTENT_MISSING
    assert problem.path == b"m"


def test_check_finds_a_pointer_that_lies(repository: Repository) -> None:
    """A size that is not that of the content."""
    found = repository.snapshot("raw").find(b"model").file_id
    assert found is not None
    blob = _blob(repository, encode_pointer(found, 7))
    _commit(repository, "lie", [TreeEntry(b"m", MODE_FILE, blob)])
    (problem,) = repository.check_commits()
    assert problem.kind is ProblemKind.SIZE_DIFFERS


def test_check_finds_a_missing_tree(repository: Repository) -> None:
    """It is named by path, commit and ref; the rest is checked all the same."""
    gone = ObjectId(hashlib.sha1(b"gone").digest())
    commit = _commit(repository, "hole", [TreeEntry(b"d", MODE_DIRECTORY, gone)])
    (problem,) = repository.check_commits()
    assert problem.kind is ProblemKind.OBJECT_UNREADABLE
    assert (problem.path, problem.commit) == (b"d", commit)
    assert "refs/heads/hole" in problem.message
    with pytest.raises((NotFoundError, CorruptionError)):
        repository.gc()


def test_gc_keeps_what_is_reachable(repository: Repository, tmp_path: Path) -> None:
    """Refs, reflogs and workspaces keep content; what a deleted branch alone had goes."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "big").write_bytes(hashlib.sha256(b"big").digest() * 9000)
    _import(repository, other, "gone")
    assert repository.gc().removed_packs == 0
    repository.create_branch("kept", "gone", author=AUTHOR)
    repository.delete_branch("gone", author=AUTHOR)
    assert repository.gc().removed_packs == 0
    with repository.workspace("kept") as workspace:
        made = workspace.create(workspace.root_inode, b"new", 0o644, uid=0, gid=0)
        workspace.write(made.ino, 0, b"unsaved")
        with pytest.raises(ConflictError, match="of branch 'kept' is in use"):
            repository.gc()
        head = repository.resolve("kept").commit
        repository.gc(mounted=lambda: {"kept": [head]})
    assert repository.snapshot("kept").read(b"big")
    repository.delete_branch("kept", author=AUTHOR, force=True)
    dry = repository.gc(dry_run=True)
    done = repository.gc()
    assert dry.removed_packs == done.removed_packs == 1
    assert done.freed_bytes == dry.freed_bytes > 0
    assert repository.snapshot("raw").read(b"model") == BINARY
    assert list(repository.check_store()) == []
    assert list(repository.check_commits()) == []


def test_gc_waits_for_nobody_and_takes_nothing_from_an_import(repository: Repository) -> None:
    """While content is on its way to a ref, gc is refused."""
    with repository.store.writer() as writer:
        writer.commit()
        with pytest.raises(ConflictError) as raised:
            repository.gc()
    assert raised.value.kind is ErrorKind.LOCKED


@pytest.mark.parametrize(("path", "named"), [(b"", "the root"), (b"sub", "'sub'")])
def test_reading_a_folder(repository: Repository, path: bytes, named: str) -> None:
    """The error names it as it was asked for."""
    with pytest.raises(InvalidInputError, match=f"{named}.* is a folder, not a file"):
        repository.snapshot("raw").open(path)
