"""Three-way merge of the lines of a text, as `git merge-file` does it.

Owns: the choice of libgit2 for it, which has Git's own xdiff.
Layer: git. Pure: bytes to bytes.

pygit2 offers the merge of index entries without the options of markers, so its own binding is
called here. The entries lead to blobs of a database in memory that lives as long as the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pygit2
from pygit2 import IndexEntry
from pygit2.enums import FileMode, ObjectType
from pygit2.errors import check_error
from pygit2.ffi import C, ffi

if TYPE_CHECKING:
    from collections.abc import Iterator

STYLES = {
    "merge": C.GIT_MERGE_FILE_STYLE_MERGE,
    "diff3": C.GIT_MERGE_FILE_STYLE_DIFF3,
    "zdiff3": C.GIT_MERGE_FILE_STYLE_ZDIFF3,
}
"""How conflicting lines are shown, by the value of Git's `merge.conflictStyle`."""


@dataclass(frozen=True, slots=True)
class TextMerge:
    """A merged text.

    Attributes:
        data: The text, with markers where both sides changed the same lines.
        is_clean: There are no markers.
    """

    data: bytes
    is_clean: bool


def merge_text(
    base: bytes,
    ours: bytes,
    theirs: bytes,
    *,
    labels: tuple[str, str, str] = ("base", "ours", "theirs"),
    style: str = "merge",
    marker_size: int = 7,
    union: bool = False,
) -> TextMerge:
    """Merges two versions of a text by lines.

    Args:
        base: What both began with.
        ours: One version.
        theirs: The other version.
        labels: What base, ours and theirs are called in markers.
        style: `merge`, `diff3` or `zdiff3`.
        marker_size: Length of a marker.
        union: Keep the lines of both sides where they conflict.
    """
    blobs = _Blobs()
    database = pygit2.Odb()
    database.add_backend(blobs, 1)
    repository = pygit2.Repository()
    repository.set_odb(database)
    entries = [
        IndexEntry("text", blobs.put(data), FileMode.BLOB)._to_c() for data in (base, ours, theirs)
    ]
    options = ffi.new("git_merge_file_options *")
    names = [ffi.new("char[]", label.encode()) for label in labels]
    options.version = 1
    options.ancestor_label, options.our_label, options.their_label = names
    options.flags = STYLES[style]
    options.favor = C.GIT_MERGE_FILE_FAVOR_UNION if union else C.GIT_MERGE_FILE_FAVOR_NORMAL
    options.marker_size = marker_size
    result = ffi.new("git_merge_file_result *")
    pointers = [entry for entry, _ in entries]
    check_error(C.git_merge_file_from_index(result, repository._repo, *pointers, options))
    try:
        return TextMerge(bytes(ffi.buffer(result.ptr, result.len)), bool(result.automergeable))
    finally:
        C.git_merge_file_result_free(result)


class _Blobs(pygit2.OdbBackend):
    """Blobs in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._blobs: dict[pygit2.Oid, bytes] = {}

    def put(self, data: bytes) -> pygit2.Oid:
        oid = pygit2.hash(data)
        self._blobs[oid] = data
        return oid

    def exists_cb(self, oid: pygit2.Oid) -> bool:
        return oid in self._blobs

    def read_cb(self, oid: pygit2.Oid) -> tuple[Any, bytes]:
        return ObjectType.BLOB, self._blobs[oid]

    def read_header_cb(self, oid: pygit2.Oid) -> tuple[Any, int]:
        return ObjectType.BLOB, len(self._blobs[oid])

    def __iter__(self) -> Iterator[pygit2.Oid]:
        return iter(self._blobs)
