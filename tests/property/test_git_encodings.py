"""Round trips of what goes into Git objects, and agreement with C Git on names and attributes."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlbfs.errors import InvalidInputError
from mlbfs.git.attributes import Attributes
from mlbfs.git.commits import (
    Signature,
    clean_message,
    encode_commit,
    encode_signature,
    parse_commit,
    parse_signature,
)
from mlbfs.git.names import is_hostile_name, is_ref_name
from mlbfs.git.packedrefs import parse_packed_refs, without_ref
from mlbfs.git.packfile import encode_object_head
from mlbfs.git.pointers import Pointer, encode_pointer, parse_pointer
from mlbfs.git.reflog import ReflogEntry, encode_reflog_entry, parse_reflog
from mlbfs.git.trees import MODE_DIRECTORY, MODE_FILE, TreeEntry, encode_tree, parse_tree
from mlbfs.ids import FileId, ObjectId

object_ids = st.binary(min_size=20, max_size=20).map(ObjectId)
file_ids = st.binary(min_size=32, max_size=32).map(FileId)
words = st.text(st.characters(codec="utf-8"), max_size=30)
signatures = st.builds(
    Signature,
    st.text("abcÄ<>\n.,: \0", max_size=10),
    st.text("ab@.<> \n", max_size=10),
    st.integers(0, 2**40),
    st.integers(-14 * 60, 14 * 60),
)


@pytest.fixture(scope="module")
def git(tmp_path_factory):
    """Runs C Git in an empty repository and returns code and output."""
    where = tmp_path_factory.mktemp("git")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LC_ALL": "C.UTF-8",
    }

    def run(*command: str, data: bytes = b"") -> tuple[int, bytes]:
        done = subprocess.run(
            ["git", *command], cwd=where, env=environment, input=data, capture_output=True
        )
        return done.returncode, done.stdout + done.stderr

    run("init", "-q", ".")
    run.where = where
    return run


@given(file_ids, st.integers(0, 2**63 - 1))
def test_a_pointer_is_read_as_it_was_written(file_id, size):
    """Content and size survive; the encoding is the one of the specification."""
    data = encode_pointer(file_id, size)
    assert Pointer(file_id, size) == parse_pointer(data)
    assert len(data) < 200


@given(file_ids, st.data())
def test_a_changed_pointer_is_content_or_says_something_else(file_id, data):
    """No byte of a pointer can be dropped or changed and still mean the same."""
    good = encode_pointer(file_id, 12345)
    place = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.binary(max_size=2).filter(lambda new: new != good[place : place + 1]))
    changed = good[:place] + other + good[place + 1 :]
    assert parse_pointer(changed) != Pointer(file_id, 12345)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_pointer_or_content(data):
    """Parsing a blob never fails."""
    assert parse_pointer(data) is None or data.startswith(b"version ")


names = st.binary(min_size=1, max_size=8).filter(lambda name: not is_hostile_name(name))
trees = st.lists(
    st.builds(TreeEntry, names, st.sampled_from([MODE_FILE, MODE_DIRECTORY]), object_ids),
    unique_by=lambda entry: entry.name,
)


@given(trees)
@example([TreeEntry(b"a", MODE_DIRECTORY, ObjectId(b"x" * 20)),
          TreeEntry(b"a.b", MODE_FILE, ObjectId(b"\0 a\0" * 5))])  # fmt: skip
def test_a_tree_is_read_as_it_was_written(entries):
    """Entries survive, in Git's order, and encoding what was parsed changes nothing."""
    data = encode_tree(entries)
    parsed = parse_tree(data)
    assert sorted(parsed, key=repr) == sorted(entries, key=repr)
    assert data == encode_tree(parsed)


@given(signatures)
def test_a_person_is_read_as_written(signature):
    """What can be written is one line that reads back to the same person and moment."""
    try:
        data = encode_signature(signature)
    except InvalidInputError:
        return
    again = parse_signature(data)
    assert (again.time, again.offset) == (signature.time, signature.offset)
    assert data == encode_signature(again)
    assert b"\n" not in data


@given(object_ids, st.lists(object_ids, max_size=3, unique=True), words)
def test_a_commit_is_read_as_it_was_written(tree, parents, message):
    """Tree, parents, people and message survive."""
    who = Signature("A B", "a@b", 5, -90)
    if "\0" in message:
        return
    data = encode_commit(
        tree=tree, parents=tuple(parents), author=who, committer=who, message=message
    )
    commit = parse_commit(tree, data)
    assert (commit.tree, commit.parents) == (tree, tuple(parents))
    assert (commit.author, commit.committer) == (who, who)
    assert commit.message.removesuffix("\n") == message.removesuffix("\n")


@given(st.binary(max_size=200))
def test_parsing_a_person_never_fails(data):
    """History comes from many tools; a broken author line is no reason to refuse a commit."""
    parse_signature(data)


@given(st.lists(st.builds(ReflogEntry, object_ids, object_ids, st.just(
    Signature("A", "a@b", 7, 60)), words)))  # fmt: skip
def test_a_reflog_is_read_as_it_was_written(entries):
    """Every entry survives; a message becomes one line."""
    parsed = parse_reflog(b"".join(map(encode_reflog_entry, entries)))
    assert [(e.old, e.new, e.who) for e in entries] == [(e.old, e.new, e.who) for e in parsed]
    assert [" ".join(entry.message.split()) for entry in entries] == [e.message for e in parsed]


@given(st.dictionaries(st.from_regex(r"refs/heads/[a-z/]{1,8}", fullmatch=True), object_ids))
def test_a_ref_taken_out_of_packed_refs_leaves_the_others(refs):
    """Peeled lines go with their ref, everything else stays byte for byte."""
    head = b"# pack-refs with: peeled fully-peeled sorted \n"
    lines = {
        name: f"{oid.hex()} {name}\n^{'12' * 20}\n".encode() for name, oid in sorted(refs.items())
    }
    data = head + b"".join(lines.values())
    assert refs == parse_packed_refs(data)
    for name, line in lines.items():
        assert data.replace(line, b"") == without_ref(data, name)


@given(st.integers(1, 4), st.integers(0, 2**60))
def test_the_head_of_a_packed_object_holds_kind_and_size(code, size):
    """Reads back with the rule of gitformat-pack."""
    head = encode_object_head(code, size)
    value = head[0] & 15
    for place, byte in enumerate(head[1:]):
        value |= (byte & 0x7F) << (4 + 7 * place)
    assert (code, size) == (head[0] >> 4 & 7, value)
    assert [bool(byte & 0x80) for byte in head] == [True] * (len(head) - 1) + [False]


# Against C Git

ref_parts = st.text("ab./-_{}@~^:?*[\\ \x7fé", max_size=5) | st.sampled_from(
    ["a.lock", "..", "@{", "@", ".x", "x.", "lock"]
)


@pytest.mark.git
@settings(max_examples=60)
@given(st.lists(ref_parts, min_size=2, max_size=3).map("/".join))
def test_ref_names_are_judged_as_by_git(git, name):
    """`git check-ref-format` and we accept the same names."""
    if "\0" not in name:
        code, _ = git("check-ref-format", "refs/" + name)
        assert (name, code == 0) == (name, is_ref_name("refs/" + name))


@pytest.mark.git
@settings(max_examples=60)
@given(st.text(" \t\nab\n", max_size=12))
def test_messages_are_cleaned_as_by_git(git, text):
    """`git stripspace` and we keep the same lines."""
    assert git("stripspace", data=text.encode()) == (0, clean_message(text).encode())


_PIECES = [".git", ".GIT", ".Git", "git~1", "GIT~1", "git~2", ".gi", "t", ".", " ", ":", "\\",
           "x", "\u200c", "\u200f", "\u202a", "\u206f", "\ufeff", "é",
           "::$INDEX_ALLOCATION"]  # fmt: skip
spellings = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4).map("".join)


@pytest.mark.git
@settings(max_examples=10)
@given(st.lists(spellings, min_size=20, max_size=40, unique=True))
def test_spellings_of_dot_git_are_refused_as_by_git(git, candidates):
    """What `git fsck` calls a .git entry, or `.` or `..`, is a hostile name, and nothing else."""
    blob = git("hash-object", "-w", "--stdin", data=b"")[1].strip()
    trees = {}
    for name in candidates:
        line = b"100644 blob %s\t%s\0" % (blob, name.encode())
        trees[git("mktree", "-z", data=line)[1].strip().decode()] = name
    _, report = git("fsck", "--no-dangling", "--strict")
    bad = {
        trees[line.split()[3].rstrip(":")]
        for line in report.decode().splitlines()
        if ("hasDot" in line) and line.split()[3].rstrip(":") in trees
    }
    assert bad == {name for name in candidates if is_hostile_name(name.encode())}


parts = st.text("ab*?[]-!^\\.é", min_size=1, max_size=5) | st.sampled_from(
    [
        "**",
        "*.bin",
        "[a-c]",
        "[!a]",
        "[[:alpha:]]",
        "a",
        "b",
        "[]a]",
        "[a-]",
        "\\*",
        "[[:x:]]",
        "[a",
    ]
)
patterns = st.builds(
    lambda head, middle, tail: head + "/".join(middle) + tail,
    st.sampled_from(["", "", "/", "!"]),
    st.lists(parts, min_size=1, max_size=3),
    st.sampled_from(["", "", "", "/", "/**"]),
)
settings_words = st.sampled_from(
    [
        "x",
        "-x",
        "!x",
        "x=1",
        "x=2",
        "both",
        "-both",
        "binary",
        "y",
        "x y",
        "x=1 !x",
        "-x=3",
        "bad!",
        "y=a=b",
    ]
)
lines = st.builds("{} {}".format, patterns, settings_words) | st.sampled_from(
    ["# comment", "", "[attr]both x -y", '"a b" x', '"\\141" x', "[attr]y x=9", "  a x", "a\tx  y",
     "[attr]x y", '"a x', "[attr]both=1 x"]
)  # fmt: skip
files = st.lists(lines, max_size=5).map("\n".join)
paths = st.lists(
    st.text("ab-]*", min_size=1, max_size=2) | st.sampled_from(["x.bin", "a b", "é", "b"]),
    min_size=1,
    max_size=3,
).map("/".join)


@pytest.mark.git
@settings(max_examples=80)
@given(files, files, files, st.lists(paths, min_size=5, max_size=30, unique=True))
@example("a/** x\n**/b -x\na/**/b x=1", "", "", ["a", "a/b", "b", "a/a/b", "a/b/a"])
@example("[attr]m x -y\n* m\nb !x", "[attr]m y\na m", "", ["a", "b", "a/b"])
def test_attributes_are_those_of_check_attr(git, root, below, info, found):
    """Any patterns, macros and files give what `git check-attr` gives for every path."""
    sources = {b".gitattributes": root.encode(), b"a/.gitattributes": below.encode()}
    for name, data in sources.items():
        target = git.where / os.fsdecode(name)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    (git.where / ".git" / "info" / "attributes").write_bytes(info.encode())
    wanted = ["x", "y", "both", "m", "binary", "diff"]
    data = b"".join(path.encode() + b"\0" for path in found)
    _, report = git("check-attr", "-z", "--stdin", *wanted, data=data)
    theirs = report[report.find(found[0].encode()) :].split(b"\0")[:-1]
    ours = Attributes(sources.get, info=info.encode())
    mine = [
        part
        for path in found
        for name, value in ours.lookup(path.encode(), wanted).items()
        for part in (path.encode(), name.encode(), _shown(value))
    ]
    assert len(theirs) >= len(mine)
    assert mine == theirs[: len(mine)]


def _shown(value: bool | str | None) -> bytes:
    words = {None: b"unspecified", True: b"set", False: b"unset"}
    return value.encode() if isinstance(value, str) else words[value]
