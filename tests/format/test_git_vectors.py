"""The test vectors of docs/format/objects-git.md."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from mlbfs.git.objects import object_id
from mlbfs.git.pointers import encode_pointer, parse_pointer
from mlbfs.git.trees import MODE_FILE, TreeEntry, encode_tree
from mlbfs.ids import FileId

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format" / "objects-git.md"


def test_vectors_of_the_page():
    """Pointer, blob id and tree id are those on the page."""
    vectors = PAGE.read_text("utf-8").partition("## Test vectors")[2]
    pointer = re.findall(r"```\n(.*?)```", vectors, re.DOTALL)[0].encode()
    blob, tree = re.findall(r"id `([0-9a-f]{40})`", vectors)
    file_id = FileId(hashlib.sha256(b"abc").digest())
    assert pointer == encode_pointer(file_id, 3)
    found = parse_pointer(pointer)
    assert found is not None
    assert (file_id, 3) == (found.file_id, found.size)
    oid = object_id("blob", pointer)
    assert (blob, tree) == (
        oid.hex(),
        object_id("tree", encode_tree([TreeEntry(b"a.bin", MODE_FILE, oid)])).hex(),
    )
