"""Attributes without C Git: the storage policy, and files that must be ignored."""

from __future__ import annotations

import pytest

from mlbfs.git.attributes import MAX_LINE_LENGTH, Attributes
from mlbfs.git.wildmatch import compile_pattern
from mlbfs.store.source import Policy


def attributes(text, **more):
    return Attributes({b".gitattributes": text.encode()}.get, **more)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", Policy.AUTO),
        ("*.bin mlbfs", Policy.CHUNKS),
        ("*.bin -mlbfs", Policy.GIT),
        ("*.bin filter=lfs diff=lfs merge=lfs -text", Policy.CHUNKS),
        ("*.bin filter=lfs -mlbfs", Policy.GIT),
        ("*.bin filter=other", Policy.AUTO),
        ("*.bin mlbfs\na/** !mlbfs", Policy.AUTO),
        ("[attr]big mlbfs\na/*.bin big", Policy.CHUNKS),
        ("a/ mlbfs", Policy.AUTO),
    ],
)
def test_policy_follows_from_attributes(text, policy):
    """`mlbfs`, `-mlbfs` and `filter=lfs` say where content goes; otherwise it is looked at."""
    assert policy is attributes(text).storage_policy(b"a/x.bin")


def test_files_deeper_down_and_of_the_repository_win():
    """info/attributes over a/.gitattributes over the root over the extra sources."""
    files = {b".gitattributes": b"* x=root y=root z=root", b"a/.gitattributes": b"* x=a y=a"}
    found = Attributes(files.get, info=b"* x=info", extra=[b"* x=extra w=extra"])
    assert found.lookup(b"a/f", "wxyz") == {"w": "extra", "x": "info", "y": "a", "z": "root"}
    assert found.lookup_all(b"f") == {"w": "extra", "x": "info", "y": "root", "z": "root"}


def test_each_file_is_read_once():
    """A million files of a folder cost one look for its .gitattributes."""
    asked = []

    def read(path):
        asked.append(path)

    found = Attributes(read)
    for number in range(5):
        found.storage_policy(b"a/b/%d" % number)
    assert sorted(asked) == [b".gitattributes", b"a/.gitattributes", b"a/b/.gitattributes"]


def test_overlong_lines_and_a_byte_order_mark_are_treated_as_by_git():
    """A mark at the beginning is skipped; a line of 2048 bytes or more does not count."""
    long = "b" * MAX_LINE_LENGTH + " x\n"
    assert attributes("\ufeffa x\n" + long).lookup(b"a", ["x"]) == {"x": True}
    assert attributes(long).lookup(b"b" * MAX_LINE_LENGTH, ["x"]) == {"x": None}


def test_a_macro_that_names_itself_ends():
    """Macros that refer to each other in a circle are expanded once."""
    text = "[attr]one two x\n[attr]two one y\n* one"
    assert attributes(text).lookup_all(b"f") == {"one": True, "two": True, "x": True, "y": True}


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (b"*", [b"a", b"", b"\xff\n"], [b"a/b"]),
        (b"a/**/b", [b"a/b", b"a/x/b", b"a/x/y/b"], [b"ab", b"a/xb"]),
        (b"**/a", [b"a", b"x/a"], [b"xa"]),
        (b"a/**", [b"a/x", b"a/x/y"], [b"a", b"b/x"]),
        (b"a**b", [b"ab", b"axb"], [b"a/b"]),
        (b"[a-c]?", [b"ax"], [b"a", b"dx", b"a/"]),
        (b"[!a]", [b"b"], [b"a", b"/"]),
        (b"[]-]", [b"]", b"-"], [b"a"]),
        (b"\\*", [b"*"], [b"a"]),
        (b"[[:digit:][:upper:]]", [b"1", b"A"], [b"a"]),
    ],
)
def test_patterns(pattern, yes, no):
    """The cases of Git's own documentation."""
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert [name for name in yes if not compiled.fullmatch(name)] == []
    assert [name for name in no if compiled.fullmatch(name)] == []


@pytest.mark.parametrize("pattern", [b"[a", b"[", b"[[:nope:]]", b"a\\", b"[\\"])
def test_malformed_patterns_match_nothing(pattern):
    """As in Git, they are not errors."""
    assert compile_pattern(pattern) is None
