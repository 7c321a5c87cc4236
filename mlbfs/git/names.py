"""Which names may stand in a tree and which may name a ref.

Owns: the two refusals: names that would let a tree reach outside itself or into `.git`
(`is_hostile_name`), and names that Git does not take for a ref (`check_ref_name`).
Layer: git. Pure: no files, no repository.

A tree from elsewhere is hostile. Git itself refuses to check out `.git` in any spelling that some
file system takes for it: other case, the NTFS short name `git~1`, trailing dots and blanks, a
stream suffix, and code points that HFS+ ignores. The same spellings are refused here on every
platform, because a tree written here may be checked out there.
"""

from __future__ import annotations

import re

from mlbfs.errors import ErrorKind, InvalidInputError

_HFS_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""Code points that HFS+ leaves out when it compares names (as in Git's utf8.c)."""

_NTFS_DOT_GIT = re.compile(rb"(?:\.git|git~1)[ .]*(?:[:\\].*)?", re.IGNORECASE | re.DOTALL)
"""What NTFS resolves to `.git`: the name or its short form, then blanks and dots that it drops,
then possibly a stream (`:`) or a path below it."""

_SUSPICIOUS = re.compile(rb"[\0/\\]|\A\.{0,2}\Z|\A\.g|\Agit~|\xe2|\xef", re.IGNORECASE)
"""Cheap first look: only a name that matches can be hostile."""


def is_hostile_name(name: bytes) -> bool:
    """Returns whether a tree entry of this name could reach outside its directory."""
    return _SUSPICIOUS.search(name) is not None and _is_hostile(name)


def may_hold_hostile_name(joined: bytes) -> bool:
    """Returns False when none of the names in `joined` (each ended by a slash) can be hostile."""
    return _SUSPICIOUS_JOINED.search(joined) is not None


_SUSPICIOUS_JOINED = re.compile(rb"[\0\\\xe2\xef]|(?:\A|/)(?:\.{0,2}/|\.g|git~)", re.IGNORECASE)


def _is_hostile(name: bytes) -> bool:
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        return True
    if any(_NTFS_DOT_GIT.fullmatch(part) for part in name.split(b"\\")):
        return True
    return _hfs_name(name) == ".git"


def _hfs_name(name: bytes) -> str:
    """Returns what Git compares for HFS+: in lower case, up to what is no UTF-8."""
    try:
        text = name.decode()
    except UnicodeDecodeError as err:
        text = name[: err.start].decode()
    return _HFS_IGNORED.sub("", text).lower()


_NTFS_GITMODULES = re.compile(
    rb"(?:\.gitmodules|gitmod~[1-4]|gi7eba~[1-9]|gi7eb~[1-9][0-9]|gi7e~[1-9][0-9]{2}"
    rb"|gi7~[1-9][0-9]{3}|gi~[1-9][0-9]{4}|g~[1-9][0-9]{5}|~[1-9][0-9]{6})[ .]*(?::.*)?",
    re.IGNORECASE | re.DOTALL,
)
"""What NTFS may resolve to `.gitmodules`: itself, and the short names it would be given."""


def is_gitmodules(name: bytes) -> bool:
    """Returns whether some file system takes a name for `.gitmodules`, which may be no link.

    Git reads it before anything is checked out; a link would let it read a file outside.
    """
    if _NTFS_GITMODULES.fullmatch(name):
        return True
    return _hfs_name(name) == ".gitmodules"


_BAD_REF_CHARACTER = re.compile("[\0-\x20\x7f~^:?*\\[\\\\]")


def is_ref_name(name: str) -> bool:
    """Returns whether Git takes `name` as a full ref name (`git check-ref-format`)."""
    if _BAD_REF_CHARACTER.search(name) or ".." in name or "@{" in name or "/" not in name:
        return False
    return not name.endswith(".") and all(
        part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/")
    )


def _is_text(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)


def check_ref_name(name: str) -> None:
    """Refuses a name that must not be written as a ref.

    Raises:
        InvalidInputError: Git would refuse it, or it lies outside `refs/`.
    """
    inside = name.startswith("refs/") and name.count("/") >= 2
    if not inside or not is_ref_name(name) or not _is_text(name):
        raise InvalidInputError(
            f"{shown_ref(name)!r} is not a valid name for a {ref_noun(name)}",
            kind=ErrorKind.INVALID_REF_NAME,
            hint="use letters, digits, '-', '_', '.' and '/' (see 'git help check-ref-format')",
        )


def check_branch_name(short: str) -> str:
    """Returns the full ref name of a branch to be made.

    Raises:
        InvalidInputError: Git would refuse such a branch.
    """
    if short.startswith("-") or short in ("HEAD", "@"):
        raise InvalidInputError(
            f"{short!r} is not a valid name for a branch", kind=ErrorKind.INVALID_REF_NAME
        )
    full = BRANCH_PREFIX + short
    check_ref_name(full)
    return full


def check_tag_name(short: str) -> str:
    """Returns the full ref name of a tag to be made.

    Raises:
        InvalidInputError: Git would refuse such a tag.
    """
    if short.startswith("-") or short == "HEAD":
        raise InvalidInputError(
            f"{short!r} is not a valid name for a tag", kind=ErrorKind.INVALID_REF_NAME
        )
    full = TAG_PREFIX + short
    check_ref_name(full)
    return full


BRANCH_PREFIX = "refs/heads/"
TAG_PREFIX = "refs/tags/"
REMOTE_PREFIX = "refs/remotes/"
_NOUNS = ((BRANCH_PREFIX, "branch"), (TAG_PREFIX, "tag"), (REMOTE_PREFIX, "remote branch"))


def ref_noun(name: str) -> str:
    """Returns what people call a ref of this full name."""
    return next((noun for prefix, noun in _NOUNS if name.startswith(prefix)), "ref")


def shown_ref(name: str) -> str:
    """Returns the name of a ref as people type it."""
    for prefix, _ in _NOUNS:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name
