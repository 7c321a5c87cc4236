"""Imports: what lands where, and that nothing is published when something fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mlbfs.errors import AlreadyExistsError, ErrorKind, InvalidInputError, StorageError
from mlbfs.git.commits import Signature
from mlbfs.git.pointers import encode_pointer
from mlbfs.git.refs import RefStore
from mlbfs.ids import FileId
from mlbfs.repository import Author, Repository
from mlbfs.store.dirindex import EntryKind
from mlbfs.workspace.importer import ImportResult, parse_source
from mlbfs.workspace.scanner import SkipReason

if TYPE_CHECKING:
    from pathlib import Path

WHO = Signature("A", "a@example.com", 1_700_000_000, 60)
AUTHOR = Author(WHO, WHO)
BINARY = bytes(range(256)) * 40


@pytest.fixture
def repository(tmp_path: Path):
    """An empty repository."""
    with Repository.init(tmp_path / "repository") as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small folder: text, binary, a link, an executable, an empty file."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "notes.txt").write_text("notes\n")
    (folder / "model.bin").write_bytes(BINARY)
    (folder / "sub" / "empty").write_bytes(b"")
    (folder / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("sub/run.sh")
    return folder


def _import(repository: Repository, *sources: Path | str, **options) -> ImportResult:
    parsed = [parse_source(str(source)) for source in sources]
    return repository.import_paths(parsed, "data", author=AUTHOR, **options)


def _tree(repository: Repository, ref: str = "data") -> dict[bytes, bytes]:
    snapshot = repository.snapshot(ref)
    return {path: snapshot.read(path) for path, entry in snapshot.walk() if not entry.is_directory}


def test_contents_of_a_folder(repository: Repository, data: Path) -> None:
    """Everything of the folder is there, of its kind."""
    result = _import(repository, f"{data}/")
    assert (result.files, result.symlinks, result.created) == (4, 1, True)
    assert _tree(repository) == {
        b"link": b"sub/run.sh",
        b"model.bin": BINARY,
        b"notes.txt": b"notes\n",
        b"sub/empty": b"",
        b"sub/run.sh": b"#!/bin/sh\n",
    }
    snapshot = repository.snapshot("data")
    kinds = {path: entry.kind for path, entry in snapshot.walk()}
    assert kinds[b"sub/run.sh"] is EntryKind.EXECUTABLE
    assert kinds[b"link"] is EntryKind.SYMLINK
    assert snapshot.find(b"model.bin").file_id is not None
    assert snapshot.find(b"notes.txt").object_id is not None


def test_a_file_that_is_a_pointer_reads_back_as_it_is(repository: Repository, data: Path) -> None:
    """What a Git LFS client left unfetched is content, not a pointer to what is not here."""
    pointer = encode_pointer(FileId(b"\1" * 32), 5)
    (data / "unfetched.bin").write_bytes(pointer)
    _import(repository, f"{data}/")
    assert _tree(repository)[b"unfetched.bin"] == pointer


def test_folder_lands_under_its_name(repository: Repository, data: Path) -> None:
    """Without a slash the folder itself lands, below --to."""
    _import(repository, data, to=b"a/b")
    assert repository.snapshot("data").read(b"a/b/data/notes.txt") == b"notes\n"


def test_single_file_lands_in_the_folder(repository: Repository, data: Path) -> None:
    """A file keeps its name."""
    _import(repository, data / "model.bin", to=b"models")
    assert _tree(repository) == {b"models/model.bin": BINARY}


def test_several_sources_are_one_commit(repository: Repository, data: Path, tmp_path: Path) -> None:
    """Folders and files may be mixed; what lands in one folder is joined, the last one winning."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("newer\n")
    (other / "more.txt").write_text("more\n")
    _import(repository, f"{data}/", f"{other}/", data / "sub")
    tree = _tree(repository)
    assert tree[b"notes.txt"] == b"newer\n"
    assert tree[b"more.txt"] == b"more\n"
    assert tree[b"model.bin"] == BINARY
    assert len(list(repository.log("data"))) == 1


def test_import_again_changes_nothing(repository: Repository, data: Path) -> None:
    """No commit is made when the branch has all of it already."""
    first = _import(repository, f"{data}/")
    again = _import(repository, f"{data}/")
    assert again.commit is None
    assert again.new_bytes == 0
    assert repository.resolve("data").commit == first.commit


def test_other_files_of_the_branch_stay(repository: Repository, data: Path) -> None:
    """An import adds and overwrites; it does not delete."""
    _import(repository, f"{data}/")
    (data / "model.bin").unlink()
    (data / "notes.txt").write_text("changed\n")
    _import(repository, f"{data}/")
    tree = _tree(repository)
    assert tree[b"model.bin"] == BINARY
    assert tree[b"notes.txt"] == b"changed\n"


def test_replace_empties_only_where_sources_land(repository: Repository, data: Path) -> None:
    """What is gone from the source goes from its place; the rest of the branch stays."""
    _import(repository, f"{data}/", to=b"kept")
    _import(repository, data)
    (data / "model.bin").unlink()
    _import(repository, data, replace=True)
    tree = _tree(repository)
    assert b"data/model.bin" not in tree
    assert b"kept/model.bin" in tree


def test_file_and_folder_do_not_replace_each_other(repository: Repository, data: Path) -> None:
    """Unless --replace is given."""
    _import(repository, data / "notes.txt", to=b"sub")
    (data / "notes.txt").unlink()
    (data / "notes.txt").mkdir()
    (data / "notes.txt" / "x").write_text("x")
    with pytest.raises(InvalidInputError, match="is a file on the branch and a folder"):
        _import(repository, data / "notes.txt", to=b"sub")
    _import(repository, data / "notes.txt", to=b"sub", replace=True)
    assert _tree(repository) == {b"sub/notes.txt/x": b"x"}


def test_new_branch_begins_at_a_ref(repository: Repository, data: Path) -> None:
    """With --from, the branch has that history; without, none."""
    _import(repository, data / "notes.txt")
    parsed = [parse_source(str(data / "model.bin"))]
    repository.import_paths(parsed, "next", author=AUTHOR, start="data")
    assert set(_tree(repository, "next")) == {b"notes.txt", b"model.bin"}
    assert len(list(repository.log("next"))) == 2
    with pytest.raises(AlreadyExistsError, match="exists already, so it cannot begin"):
        repository.import_paths(parsed, "next", author=AUTHOR, start="data")


def test_attributes_of_the_source_decide(repository: Repository, data: Path) -> None:
    """`.gitattributes` in the source, and then the one of the branch, say what stays in Git."""
    (data / ".gitattributes").write_text("notes.txt mlbfs\nmodel.bin -mlbfs\n")
    _import(repository, f"{data}/")
    snapshot = repository.snapshot("data")
    assert snapshot.find(b"notes.txt").file_id is not None
    assert snapshot.find(b"model.bin").object_id is not None
    (data / ".gitattributes").unlink()
    (data / "notes.txt").write_text("other notes\n")
    _import(repository, f"{data}/")
    assert repository.snapshot("data").find(b"notes.txt").file_id is not None


def test_default_message_names_the_source(repository: Repository, data: Path) -> None:
    """The origin of data can be traced."""
    _import(repository, f"{data}/")
    commit = next(iter(repository.log("data")))
    assert commit.message == f"Import data\n\nSource: {data}\n"
    assert (commit.author, commit.committer) == (WHO, WHO)


def test_skipped_entries_are_told(repository: Repository, data: Path) -> None:
    """By their path in the tree."""
    os.mkfifo(data / "pipe")
    (data / "hollow" / "deep").mkdir(parents=True)
    result = _import(repository, data)
    assert [(s.path, s.reason) for s in result.skipped] == [
        (b"data/hollow/deep", SkipReason.EMPTY_FOLDER),
        (b"data/pipe", SkipReason.FIFO),
    ]


def test_nothing_to_import_is_an_error(repository: Repository, tmp_path: Path) -> None:
    """An empty source is a mistake, not a commit."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="no file to import"):
        _import(repository, tmp_path / "empty")
    assert repository.branches() == []


def _make_deep_folder(top: Path) -> None:
    """Makes folders until the path is longer than the kernel takes: root cannot read it either."""
    at = os.open(top, os.O_RDONLY)
    for name in ["x" * 250] * 17:
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_source_that_cannot_be_read_publishes_nothing(repository: Repository, data: Path) -> None:
    """The file is named, and the branch is as it was."""
    first = _import(repository, f"{data}/").commit
    (data / "new.bin").write_bytes(BINARY + b"new")
    (data / "zz").symlink_to("x")
    os.truncate(data / "notes.txt", 1)
    _make_deep_folder(data / "sub")
    with pytest.raises(StorageError, match="x': File name too long") as raised:
        _import(repository, f"{data}/")
    assert raised.value.kind is ErrorKind.SOURCE_UNREADABLE
    assert repository.resolve("data").commit == first


def test_branch_that_moves_meanwhile_is_grafted_upon(
    repository: Repository, data: Path, tmp_path: Path
) -> None:
    """Whoever loses the race keeps both works, and reads no source twice."""
    (tmp_path / "rival").write_text("rival\n")
    _import(repository, data / "model.bin")
    swap = RefStore.compare_and_swap
    rivals = [parse_source(str(tmp_path / "rival"))]

    def raced(self, *arguments, **options) -> None:
        if rivals:
            rival = rivals.pop()
            (data / "notes.txt").unlink()  # were it read again, the import would fail
            repository.import_paths([rival], "data", author=AUTHOR)
        swap(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RefStore, "compare_and_swap", raced)
        _import(repository, data / "notes.txt")
    assert set(_tree(repository)) == {b"model.bin", b"notes.txt", b"rival"}
    assert len(list(repository.log("data"))) == 3


def test_limit_of_text_is_configured(repository: Repository, data: Path) -> None:
    """`mlbfs.smallTextLimit` says what is small."""
    with (repository.git.common_dir / "config").open("a") as file:
        file.write("[mlbfs]\n\tsmallTextLimit = 8\n")
    with Repository.open(repository.git.common_dir) as found:
        _import(found, f"{data}/")
        snapshot = found.snapshot("data")
        assert snapshot.find(b"notes.txt").file_id is None
        assert snapshot.find(b"sub/run.sh").file_id is not None


def test_the_first_branch_becomes_head(repository: Repository, data: Path) -> None:
    """A repository without commits has HEAD on its first branch, whatever its name; later not."""
    _import(repository, data)
    assert repository.git.refs.resolve_symbolic("HEAD") == "refs/heads/data"
    repository.import_paths([parse_source(str(data))], "other", author=AUTHOR)
    assert repository.git.refs.resolve_symbolic("HEAD") == "refs/heads/data"


def _with_defaults(repository: Repository) -> bytes:
    return repository.offer_attributes().template.read_bytes()


def test_a_new_branch_begins_with_attributes(repository: Repository, data: Path) -> None:
    """Beside what is imported, wherever that lands; a later import leaves them alone."""
    text = _with_defaults(repository)
    assert _import(repository, f"{data}/", to=b"raw").attributes
    assert _tree(repository)[b".gitattributes"] == text
    assert repository.snapshot("data").find(b".gitattributes").file_id is None
    assert set(_tree(repository)) >= {b"raw/notes.txt", b"raw/model.bin"}
    assert not _import(repository, data / "notes.txt").attributes
    repository.offer_attributes().template.unlink()
    repository.import_paths([parse_source(str(data))], "other", author=AUTHOR)
    assert b".gitattributes" not in _tree(repository, "other")


def test_attributes_that_are_imported_come_first(repository: Repository, data: Path) -> None:
    """Even if they are a folder, which Git does not heed."""
    _with_defaults(repository)
    (data / ".gitattributes").write_text("*.txt mlbfs\n")
    assert not _import(repository, f"{data}/").attributes
    assert _tree(repository)[b".gitattributes"] == b"*.txt mlbfs\n"
    (data / ".gitattributes").rename(data / "file")
    (data / ".gitattributes").mkdir()
    (data / ".gitattributes" / "x").write_text("x")
    source = [parse_source(f"{data}/")]
    assert not repository.import_paths(source, "other", author=AUTHOR).attributes
    assert b".gitattributes/x" in _tree(repository, "other")


def test_a_branch_begun_at_a_commit_has_what_that_has(repository: Repository, data: Path) -> None:
    """Only a branch without history begins with the repository's attributes."""
    first = _import(repository, data / "notes.txt").commit
    _with_defaults(repository)
    source = [parse_source(str(data / "model.bin"))]
    result = repository.import_paths(source, "other", start=first.hex(), author=AUTHOR)
    assert not result.attributes
    assert set(_tree(repository, "other")) == {b"model.bin", b"notes.txt"}


def test_replacing_everything_keeps_unchanged_attributes(
    repository: Repository, data: Path
) -> None:
    """They came from no source, so importing the same again changes nothing; own ones go."""
    text = _with_defaults(repository)
    _import(repository, f"{data}/")
    assert _import(repository, f"{data}/", replace=True).commit is None
    (data / "notes.txt").write_text("other\n")
    assert _import(repository, f"{data}/", replace=True).commit is not None
    assert _tree(repository)[b".gitattributes"] == text
    (data / ".gitattributes").write_text("*.txt mlbfs\n")
    _import(repository, f"{data}/")
    (data / ".gitattributes").unlink()
    _import(repository, f"{data}/", replace=True)
    assert b".gitattributes" not in _tree(repository)


def test_first_attributes_say_where_content_goes(repository: Repository, data: Path) -> None:
    """What the user wrote into the template counts for the import that begins a branch with it."""
    _with_defaults(repository)
    repository.offer_attributes().template.write_text("*.txt mlbfs\n")
    _import(repository, f"{data}/")
    assert repository.snapshot("data").find(b"notes.txt").file_id is not None
    assert repository.snapshot("data").find(b"sub/run.sh").file_id is None


def test_attributes_are_never_written_over(repository: Repository) -> None:
    """Offering them again leaves what the user made of them."""
    first = repository.offer_attributes()
    first.template.write_text("mine\n")
    again = repository.offer_attributes()
    assert (first.made, again.made) == (True, False)
    assert first.template.read_text() == "mine\n"
