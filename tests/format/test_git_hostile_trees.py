"""Trees from elsewhere: what could reach outside its folder is refused, as is what is damaged."""

from __future__ import annotations

import zlib

import pytest

from mlbfs.errors import CorruptionError, ErrorKind, InvalidInputError
from mlbfs.git.names import is_hostile_name
from mlbfs.git.objects import object_id
from mlbfs.git.repository import GitRepository
from mlbfs.git.trees import (
    MODE_DIRECTORY,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    HostileTreeError,
    TreeEntry,
    encode_tree,
    parse_tree,
)
from mlbfs.ids import ObjectId

OID = ObjectId(b"\x01 a\0/..\0.git\x02" + b"\xff" * 7)
"""An id whose bytes look like entries themselves."""


def entry(name: bytes, mode: bytes = b"100644", oid: bytes = OID) -> bytes:
    return b"%s %s\0%s" % (mode, name, oid)


HOSTILE_NAMES = {
    "empty": b"",
    "dot": b".",
    "dot-dot": b"..",
    "slash": b"a/b",
    "only-slash": b"/",
    "absolute": b"/etc",
    "climbing": b"../x",
    "dot-git": b".git",
    "dot-git-upper": b".GIT",
    "dot-git-mixed": b".gIt",
    "ntfs-short": b"git~1",
    "ntfs-short-upper": b"GIT~1",
    "ntfs-trailing-dot": b".git.",
    "ntfs-trailing-blank": b".git ",
    "ntfs-trailing-both": b".git . .",
    "ntfs-stream": b".git::$INDEX_ALLOCATION",
    "ntfs-backslash": b"a\\.git\\config",
    "ntfs-backslash-first": b"\\.git",
    "hfs-ignored-before": "\u200c.git".encode(),
    "hfs-ignored-inside": ".g\u200dit".encode(),
    "hfs-ignored-after": ".git\ufeff".encode(),
    "hfs-ignored-case": ".G\u206eIT".encode(),
    "hfs-cut-at-no-utf8": b".git\xffx",
}

HARMLESS_NAMES = [
    b"...", b".gitignore", b".gitattributes", b".gitmodules", b"git", b"git~2", b".gi", b".git2",
    b"a.git", b"git~10", b"\xff\xfe", b"a\\b", b"a:b", b"CON", b" ", b"-rf", b"\n",
    "\u200c".encode(), "日本".encode(), b".g\xe2it",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_hostile_names_are_refused_reading_and_writing(name):
    """A hostile name is refused wherever it stands, and we never write one."""
    others = [entry(b"0"), entry(b"zz")]
    for data in (entry(name), others[0] + entry(name) + others[1]):
        with pytest.raises(HostileTreeError) as caught:
            parse_tree(data)
        assert caught.value.kind is ErrorKind.HOSTILE_TREE
    with pytest.raises(InvalidInputError) as refused:
        encode_tree([TreeEntry(name, MODE_FILE, OID)])
    assert refused.value.kind is ErrorKind.INVALID_PATH


def test_a_nul_in_a_name_cannot_be_read_or_written():
    """NUL ends a name; what follows is then no id of ours, and the tree is refused."""
    assert is_hostile_name(b"a\0b")
    with pytest.raises(CorruptionError):
        parse_tree(entry(b"a\0b"))
    with pytest.raises(InvalidInputError):
        encode_tree([TreeEntry(b"a\0b", MODE_FILE, OID)])


def test_harmless_names_are_kept_byte_for_byte():
    """What only resembles a hostile name, or is no text at all, passes."""
    entries = [TreeEntry(name, MODE_FILE, OID) for name in HARMLESS_NAMES]
    assert {name for name in HARMLESS_NAMES if is_hostile_name(name)} == set()
    assert {item.name for item in parse_tree(encode_tree(entries))} == set(HARMLESS_NAMES)


DAMAGED = {
    "no-mode": b" a\0" + OID,
    "no-name-end": b"100644 a",
    "id-cut-off": entry(b"a")[:-1],
    "rubbish-after": entry(b"a") + b"x",
    "rubbish-before": b"x" + entry(b"a"),
    "rubbish-between": entry(b"a") + b"\0" + entry(b"b"),
    "mode-not-octal": entry(b"a", b"100684"),
    "mode-too-long": entry(b"a", b"00000000100644"),
    "nothing-but-nul": b"\0" * 30,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_trees_are_damage(data):
    """Bytes that are no tree are an error, never a shorter list."""
    with pytest.raises(CorruptionError) as caught:
        parse_tree(data)
    assert caught.value.kind is ErrorKind.CORRUPT_OBJECT


DISORDERED = {
    "unsorted": entry(b"b") + entry(b"a"),
    "doubled": entry(b"a") + entry(b"a"),
    "file-and-directory": entry(b"a") + entry(b"a.b") + entry(b"a", b"40000"),
    "directory-sorted-as-file": entry(b"a", b"40000") + entry(b"a.b"),
}


@pytest.mark.parametrize("data", DISORDERED.values(), ids=DISORDERED.keys())
def test_trees_out_of_order_are_refused(data):
    """A tree that Git would search wrongly could show different files to different programs."""
    with pytest.raises(HostileTreeError):
        parse_tree(data)


def test_doubled_names_are_not_written():
    """A file and a directory of one name cannot be put into one tree."""
    entries = [TreeEntry(b"a", MODE_FILE, OID), TreeEntry(b"a", MODE_DIRECTORY, OID)]
    with pytest.raises(InvalidInputError, match="twice"):
        encode_tree(entries)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (b"100664", MODE_FILE),
        (b"100600", MODE_FILE),
        (b"100775", MODE_EXECUTABLE),
        (b"040000", MODE_DIRECTORY),
        (b"40755", MODE_DIRECTORY),
        (b"120777", MODE_SYMLINK),
        (b"160000", MODE_SUBMODULE),
        (b"100644", MODE_FILE),
    ],
)
def test_modes_of_old_trees_are_understood_as_by_git(text, mode):
    """Old tools wrote other permission bits and leading zeros."""
    assert [TreeEntry(b"a", mode, OID)] == parse_tree(entry(b"a", text))


@pytest.mark.parametrize("mode", [0, 0o100664, 0o100600, 0o040755, 0o020000])
def test_only_modes_of_git_are_written(mode):
    """A device, or odd permission bits, do not get into a tree."""
    with pytest.raises(InvalidInputError, match="cannot have mode"):
        encode_tree([TreeEntry(b"a", mode, OID)])


@pytest.fixture
def plant(tmp_path):
    """Writes raw objects into a new repository, past all checks; returns both."""
    repository = GitRepository.init(tmp_path)

    def write(kind, data):
        oid = object_id(kind, data)
        text = oid.hex()
        folder = repository.common_dir / "objects" / text[:2]
        folder.mkdir(exist_ok=True)
        content = zlib.compress(b"%s %d\0" % (kind.encode(), len(data)) + data)
        (folder / text[2:]).write_bytes(content)
        return oid

    return repository, write


def test_a_hostile_tree_in_a_repository_is_refused_on_reading(plant):
    """The refusal reaches whoever reads the tree, with its own kind."""
    repository, write = plant
    oid = write("tree", entry(b"..", b"40000"))
    with pytest.raises(HostileTreeError, match=r"named '\.\.'; nothing of tree"):
        repository.read_tree(oid)


def test_an_object_that_is_not_what_its_id_says_is_refused(plant):
    """Content is checked against its id on every read."""
    repository, write = plant
    oid = write("blob", b"good")
    text = oid.hex()
    path = repository.common_dir / "objects" / text[:2] / text[2:]
    path.write_bytes(zlib.compress(b"blob 4\0evil"))
    with pytest.raises(CorruptionError) as caught:
        repository.read_blob(oid)
    assert "git fsck" in (caught.value.hint or "")


TORN = {
    "empty": b"",
    "zeros": b"\0" * 30,
    "head-only": b"x\x9c",
    "cut-off": zlib.compress(b"blob 4000\0" + bytes(range(250)) * 16, 0)[:2000],
    "no-checksum": zlib.compress(b"blob 12\0some content")[:-3],
    "too-short": zlib.compress(b"blob 12\0short"),
    "too-long": zlib.compress(b"blob 3\0some content"),
    "no-kind": zlib.compress(b"blub 12\0some content"),
    "another": zlib.compress(b"blob 12\0same content"),
}


@pytest.mark.parametrize("kind", ["blob", "tree", "commit"])
@pytest.mark.parametrize("content", TORN.values(), ids=TORN.keys())
def test_a_torn_object_file_is_damage(plant, content, kind):
    """What a crash left of a loose object is an error: never data, never an endless read."""
    repository, write = plant
    oid = write(kind, b"some content")
    text = oid.hex()
    (repository.common_dir / "objects" / text[:2] / text[2:]).write_bytes(content)
    read = {"blob": repository.read_blob, "tree": repository.read_tree}
    with pytest.raises(CorruptionError):
        read.get(kind, repository.read_commit)(oid)
    with pytest.raises(CorruptionError):
        list(repository.log(oid, path=b"a/b"))


def test_a_good_copy_in_a_pack_makes_up_for_a_torn_loose_one(plant):
    """As in Git, either copy will do."""
    repository, _ = plant
    blobs = [b"%d" % number for number in range(100)]
    with repository.objects() as objects:
        oid = objects.put_blobs(blobs)[5]
        objects.commit()
    text = oid.hex()
    path = repository.common_dir / "objects" / text[:2] / text[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x\x9c")
    assert repository.read_blob(oid) == b"5"


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"tree xyz\n\n", b"author a <b> 1 +0000\n\nm", b"tree " + b"1" * 39 + b"\n\n"],
)
def test_a_commit_that_cannot_be_parsed_is_damage(plant, data):
    """No tree, or an id that is none."""
    repository, write = plant
    with pytest.raises(CorruptionError) as caught:
        repository.read_commit(write("commit", data))
    assert caught.value.kind is ErrorKind.CORRUPT_OBJECT


def test_commits_of_other_tools_are_read(plant):
    """Another encoding, a signature block, odd author lines: the message comes out right."""
    repository, write = plant
    head = b"tree " + b"12" * 20 + b"\nparent " + b"34" * 20 + b"\n"
    data = (
        head
        + b"author  <> 12 -0130\ncommitter J\xe9r <j@x>\nencoding ISO-8859-1\n"
        + b"gpgsig -----BEGIN-----\n parent " + b"56" * 20 + b"\n -----END-----\n\ncaf\xe9\n"
    )  # fmt: skip
    commit = repository.read_commit(write("commit", data))
    assert commit.parents == (ObjectId(b"\x34" * 20),)
    assert (commit.author.name, commit.author.time, commit.author.offset) == ("", 12, -90)
    assert (commit.committer.name, commit.committer.time) == ("Jér", 0)
    assert (commit.message, commit.message_bytes) == ("café\n", b"caf\xe9\n")
