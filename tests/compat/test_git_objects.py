"""C Git takes the objects and packs that we write for its own, and we read what it writes."""

from __future__ import annotations

import hashlib
import os

import pytest

from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError
from mlbfs.git import objects as objects_module
from mlbfs.git.commits import Signature
from mlbfs.git.kinds import KIND_CODES
from mlbfs.git.names import is_gitmodules
from mlbfs.git.objects import object_id
from mlbfs.git.packfile import PackWriter, encode_index
from mlbfs.git.packindex import KnownObjects
from mlbfs.git.pointers import encode_pointer
from mlbfs.git.repository import GitRepository
from mlbfs.git.trees import (
    MODE_DIRECTORY,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    TreeEntry,
)
from mlbfs.ids import FileId, ObjectId, parse_object_id

pytestmark = pytest.mark.git


def pointers(count: int) -> list[bytes]:
    ids = (FileId(hashlib.sha256(b"%d" % number).digest()) for number in range(count))
    return [encode_pointer(file_id, number) for number, file_id in enumerate(ids)]


def test_a_few_objects_are_loose_and_strictly_valid(repository, git, write_commit, who):
    """Fewer objects than the limit make no pack, and fsck has nothing to say."""
    commit = write_commit({b"a": b"one\n", b"b": b""})
    repository.refs.compare_and_swap("refs/heads/main", None, commit, identity=who, message="x")
    assert "packs: 0" in git("count-objects", "-v")
    assert git("fsck", "--strict", "--full") == ""
    assert git("show", "main:a") == "one"


def test_many_objects_become_one_pack_that_git_verifies(repository, git, who):
    """Many blobs, a tree and a commit go to one pack; all Git commands work on it."""
    blobs = [*pointers(500), b"x" * 100_000, b"", "é".encode() * 50_000]
    with repository.objects() as objects:
        ids = objects.put_blobs(blobs)
        entries = [TreeEntry(b"%04d" % n, MODE_FILE, oid) for n, oid in enumerate(ids)]
        commit = objects.put_commit(
            tree=objects.put_tree(entries), parents=(), author=who, committer=who, message="many"
        )
        objects.commit()
    repository.refs.compare_and_swap("refs/heads/main", None, commit, identity=who, message="x")
    assert git("fsck", "--strict", "--full") == ""
    report = git("count-objects", "-v").splitlines()
    assert {"count: 0", "packs: 1", "garbage: 0"} <= set(report)
    assert [repository.read_blob(oid) for oid in ids] == blobs


def test_our_index_equals_the_one_git_makes(repository, git, tmp_path):
    """`git index-pack` of our pack gives our index, byte for byte."""
    with repository.objects() as objects:
        objects.put_blobs(pointers(300))
        objects.commit()
    (pack,) = (repository.common_dir / "objects" / "pack").glob("*.pack")
    git("index-pack", "--strict", "-o", str(tmp_path / "theirs.idx"), str(pack))
    assert (tmp_path / "theirs.idx").read_bytes() == pack.with_suffix(".idx").read_bytes()
    assert pack.stat().st_mode & 0o222 == 0


def test_offsets_beyond_two_gigabytes_go_to_the_wide_table(git):
    """An index with 64-bit offsets is read by Git as it was meant."""
    offsets = [12, 2**31 - 1, 2**31, 2**40 + 5]
    rows = sorted(
        (hashlib.sha1(b"%d" % offset).digest(), number, offset)
        for number, offset in enumerate(offsets)
    )
    listed = git("show-index", data=encode_index(rows, b"\1" * 20)).splitlines()
    assert [f"{offset} {name.hex()} ({crc:08x})" for name, crc, offset in rows] == listed


@pytest.mark.parametrize("kind", ["blob", "commit", "tag"])
def test_ids_are_those_of_git(git, kind):
    """We name an object as `git hash-object` does."""
    data = b"" if kind == "blob" else b"object or tree, unchecked\n"
    named = git("hash-object", "-t", kind, "--literally", "--stdin", data=data)
    assert named == object_id(kind, data).hex()


def test_trees_equal_those_of_git(repository, git):
    """Entries of all modes are sorted and encoded as `git mktree` does."""
    blob = git("hash-object", "-w", "--stdin", data=b"x")
    empty = git("mktree", data=b"")
    kinds = [
        (b"a.b", MODE_FILE, blob),
        (b"a", MODE_DIRECTORY, empty),
        (b"a-b", MODE_EXECUTABLE, blob),
        (b"a0", MODE_SYMLINK, blob),
        (b"\xff\n", MODE_FILE, blob),
        (b"sub", MODE_SUBMODULE, "12" * 20),
    ]
    names = {MODE_DIRECTORY: b"tree", MODE_SUBMODULE: b"commit"}
    lines = [
        b"%06o %s %s\t%s" % (mode, names.get(mode, b"blob"), oid.encode(), name)
        for name, mode, oid in kinds
    ]
    theirs = git("mktree", "-z", data=b"".join(line + b"\0" for line in lines))
    with repository.objects() as objects:
        ours = objects.put_tree(
            TreeEntry(name, mode, parse_object_id(oid)) for name, mode, oid in kinds
        )
        objects.commit()
    assert theirs == ours.hex()
    assert {name for name, _, _ in kinds} == {entry.name for entry in repository.read_tree(ours)}


def test_a_commit_equals_that_of_git(repository, git, write_commit):
    """Same tree, people and times make the same commit id."""
    first = write_commit({b"a": b"1"})
    tree = repository.read_commit(first).tree.hex()
    people = dict(git.environment) | {
        "GIT_AUTHOR_DATE": "1700000000 -0330",
        "GIT_COMMITTER_DATE": "1700000001 +0545",
    }
    git.environment = people
    theirs = git("commit-tree", tree, "-p", first.hex(), "-m", "Grüße\n\nbody")
    with repository.objects() as objects:
        ours = objects.put_commit(
            tree=parse_object_id(tree),
            parents=(first,),
            author=Signature("Bo", "bo@example.com", 1_700_000_000, -210),
            committer=Signature("Bo", "bo@example.com", 1_700_000_001, 345),
            message="Grüße\n\nbody",
        )
        objects.commit()
    assert theirs == ours.hex()
    commit = repository.read_commit(ours)
    assert (commit.author.offset, commit.committer.time) == (-210, 1_700_000_001)
    assert commit.subject == "Grüße"


def test_clone_diff_show_and_gc_work_on_what_we_write(repository, git, write_commit, who, tmp_path):
    """The everyday commands work, and after a gc we still read everything."""
    first = write_commit({b"a": b"one\n"})
    second = write_commit({b"a": b"two\n", b"new": b"n"}, (first,), "second")
    repository.refs.compare_and_swap("refs/heads/main", None, second, identity=who, message="x")
    repository.create_tag("v1", first, identity=who, tagger=who, message="the first")
    assert git("diff", "--name-status", "v1", "main").split() == ["M", "a", "A", "new"]
    assert git("for-each-ref", "--format=%(refname) %(objecttype)") == (
        "refs/heads/main commit\nrefs/tags/v1 tag"
    )
    assert "the first" in git("show", "--no-patch", "v1")
    git("clone", "--quiet", "--no-local", str(repository.git_dir), str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "a").read_bytes() == b"two\n"
    git("gc", "--quiet", "--prune=now")
    assert git("fsck", "--strict", "--full") == ""
    assert [entry.name for entry in repository.read_tree(repository.read_commit(second).tree)] == [
        b"a",
        b"new",
    ]


def test_what_git_has_is_not_written_again(repository, git, write_commit, who, monkeypatch):
    """Every object that Git has, packed or loose, is known; an unknown id is not."""
    commit = write_commit({b"%d" % number: b"%d" % number for number in range(100)})
    repository.refs.compare_and_swap("refs/heads/main", None, commit, identity=who, message="x")
    git("repack", "-q", "-a", "-d", "--max-pack-size=1m")
    later = write_commit({b"loose": b"loose"}, (commit,))
    repository.refs.compare_and_swap("refs/heads/main", commit, later, identity=who, message="x")
    names = [line.split()[0] for line in git("rev-list", "--objects", "main").splitlines()]
    known = KnownObjects(repository.common_dir / "objects")
    for _ in range(8):  # enough questions to pass from single look-ups to the table
        assert all(parse_object_id(name) in known for name in names)
        assert all(hashlib.sha1(name.encode()).digest() not in known for name in names)
    known.close()
    before = git("count-objects", "-v")
    with repository.objects() as objects:
        objects.put_blobs([b"%d" % number for number in range(100)] * 2)
        objects.commit()
    assert before == git("count-objects", "-v")


def test_an_object_that_is_taken_as_known_survives_a_prune(repository, git):
    """A blob that nothing names yet, written long ago, is freshened when it is put again."""
    name = git("hash-object", "-w", "--stdin", data=b"old")
    path = repository.common_dir / "objects" / name[:2] / name[2:]
    os.utime(path, (1_000_000_000, 1_000_000_000))
    with repository.objects() as objects:
        objects.put_blob(b"old")
        objects.commit()
    git("prune", "--expire=1.day.ago")
    assert repository.read_blob(parse_object_id(name)) == b"old"


def test_a_writer_left_without_commit_leaves_nothing(repository):
    """Neither loose objects nor temporary files stay."""
    before = sorted((repository.common_dir / "objects").rglob("*"))
    with repository.objects() as objects:
        objects.put_blobs(pointers(200))
    assert before == sorted((repository.common_dir / "objects").rglob("*"))


def test_packs_are_rolled_over_when_full(repository, git, monkeypatch):
    """A full pack is finished and the next begun; all objects are there at the end."""
    monkeypatch.setattr(objects_module, "_MAX_PACK_OBJECTS", 100)
    blobs = pointers(350)
    with repository.objects() as objects:
        ids = objects.put_blobs(blobs)
        assert ids == objects.put_blobs(blobs)
        objects.commit()
    assert "in-pack: 350" in git("count-objects", "-v")
    assert [repository.read_blob(oid) for oid in ids] == blobs


def test_the_same_pack_twice_is_kept_once(repository):
    """Writing the very same pack again leaves the first in place and no temporary file."""
    directory = repository.common_dir / "objects" / "pack"
    for _ in range(2):
        pack = PackWriter(directory)
        for data in pointers(3):
            pack.add(KIND_CODES["blob"], object_id("blob", data), data)
        pack.finish()
    assert sorted(path.suffix for path in directory.iterdir()) == [".idx", ".pack"]


def test_objects_from_alternates_are_known_and_read(repository, git, git_in, tmp_path):
    """A clone that borrows objects reads them, and does not write them again."""
    name = git("hash-object", "-w", "--stdin", data=b"borrowed")
    git("clone", "--quiet", "--bare", "--shared", ".", str(tmp_path / "borrower"))
    borrower = GitRepository.open(tmp_path / "borrower")
    with borrower.objects() as objects:
        oid = objects.put_blob(b"borrowed")
        objects.commit()
    assert (name, b"borrowed") == (oid.hex(), borrower.read_blob(oid))
    assert git_in(tmp_path / "borrower")("count-objects").startswith("0 ")


def test_a_shallow_clone_ends_where_it_was_cut(repository, git, write_commit, who, tmp_path):
    """History of a shallow clone stops without an error."""
    commit = None
    for number in range(5):
        parents = () if commit is None else (commit,)
        commit = write_commit({b"a": b"%d" % number}, parents, f"number {number}")
    repository.refs.compare_and_swap("refs/heads/main", None, commit, identity=who, message="x")
    url = f"file://{repository.git_dir}"
    git("clone", "--quiet", "--bare", "--depth=2", url, str(tmp_path / "shallow"))
    shallow = GitRepository.open(tmp_path / "shallow")
    subjects = [found.subject for found in shallow.log(shallow.resolve("main").commit)]
    assert subjects == ["number 4", "number 3"]


def test_a_missing_object_is_named_with_a_hint(repository):
    """An id that is nowhere is a NotFoundError, not a crash of libgit2."""
    with pytest.raises(NotFoundError) as caught:
        repository.read_blob(ObjectId(b"\7" * 20))
    assert caught.value.kind is ErrorKind.OBJECT_NOT_FOUND
    assert caught.value.hint is not None


def test_an_object_of_another_kind_is_refused(repository, write_commit):
    """Asking for a tree where a commit lies says so."""
    commit = write_commit({b"a": b"1"})
    with pytest.raises(NotFoundError, match="is a commit, not a tree"):
        repository.read_tree(commit)


def test_git_refuses_what_we_refuse_to_write(repository, who):
    """A message with NUL, a nameless author, a link named .gitmodules: fsck would complain."""
    with repository.objects() as objects:
        blob = objects.put_blob(b"x")
        tree = objects.put_tree([])
        people = {"author": who, "committer": who}
        with pytest.raises(InvalidInputError, match="NUL"):
            objects.put_commit(tree=tree, parents=(), message="a\0b", **people)
        people["author"] = Signature(" <.> ", "x@y", 1)
        with pytest.raises(InvalidInputError, match="not a usable name"):
            objects.put_commit(tree=tree, parents=(), message="m", **people)
        with pytest.raises(InvalidInputError, match="gitmodules"):
            objects.put_tree([TreeEntry(b".gitmodules", MODE_SYMLINK, blob)])


GITMODULES = [
    b".gitmodules", b".GITmodules", b".gitmodules .", b".gitmodules:x", b".gitmodules:",
    b"gitmod~1",
    b"GITMOD~4", b"gitmod~5", b"gitmod~0", b"gitmod~1 ", b"gitmod~1.x", b"gi7eba~1", b"gi7eba~9",
    b"gi7eba~0", b"gi7eb~10", b"gi7eb~01", b"gi7e~100", b"gi7~1000", b"gi~10000", b"g~100000",
    b"~1000000", b"~100000", b"gi7eba~12", b".gitmodules2", b"gitmodules", b".gitmodule", b".gitm",
    b".gitm\xe2\x80\x8dodules", b".gitmodules\xef\xbb\xbf", b".gitmodules\xff", b"gi7ebb~1",
]  # fmt: skip


def test_names_that_may_be_no_link_are_those_of_fsck(repository, git):
    """Every spelling of `.gitmodules` that some file system takes for it, and no other."""
    blob = git("hash-object", "-w", "--stdin", data=b"x")
    trees = {}
    for name in GITMODULES:
        data = b"120000 %s\0%s" % (name, bytes.fromhex(blob))
        trees[git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", data=data)] = name
    lines = git.run("fsck", "--strict").stderr.decode().splitlines()
    refused = {trees[line.split()[3].rstrip(":")] for line in lines if "gitmodulesSymlink" in line}
    assert refused == {name for name in GITMODULES if is_gitmodules(name)}


def test_a_pack_replaced_by_a_gc_beside_us_is_found_again(repository, git, who):
    """A repository that stays open reads on when its packs are rewritten."""
    with repository.objects() as objects:
        ids = objects.put_blobs(pointers(100))
        tree = objects.put_tree(TreeEntry(i.hex().encode(), MODE_FILE, i) for i in ids)
        commit = objects.put_commit(tree=tree, parents=(), author=who, committer=who, message="m")
        objects.commit()
    repository.refs.compare_and_swap("refs/heads/main", None, commit, identity=who, message="x")
    assert repository.read_blob(ids[0]) == pointers(1)[0]
    git("repack", "-q", "-a", "-d", "-F")
    assert pointers(100) == [repository.read_blob(oid) for oid in ids]
