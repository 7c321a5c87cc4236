"""From what people type to a commit: branches, tags, short ids, `main~2`.

Owns: the order in which a word is tried (Git's own), and the hint when nothing fits.
Layer: git.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pygit2

from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError
from mlbfs.git.commits import parse_tag
from mlbfs.git.names import BRANCH_PREFIX, REMOTE_PREFIX, TAG_PREFIX, is_ref_name, shown_ref
from mlbfs.ids import ObjectId, short_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.objectreader import ObjectReader
    from mlbfs.git.refs import RefStore

_RULES = (
    "{}",
    "refs/{}",
    "refs/tags/{}",
    "refs/heads/{}",
    "refs/remotes/{}",
    "refs/remotes/{}/HEAD",
)
"""Where Git looks for a name, in this order (gitrevisions): a tag wins over a branch."""

_FULL_HEX = re.compile(r"[0-9a-fA-F]{40}")
_SHORT_HEX = re.compile(r"[0-9a-fA-F]{4,39}")
_PSEUDO_REF = re.compile(r"[A-Z_]+")
_HINTS = 3
_MAX_TAG_DEPTH = 20


class RefKind(StrEnum):
    """What a word turned out to be."""

    BRANCH = "branch"
    TAG = "tag"
    REMOTE = "remote"
    COMMIT = "commit"


_KINDS = {BRANCH_PREFIX: RefKind.BRANCH, TAG_PREFIX: RefKind.TAG, REMOTE_PREFIX: RefKind.REMOTE}


@dataclass(frozen=True, slots=True)
class ResolvedRef:
    """What a word stands for.

    Attributes:
        spec: The word.
        commit: The commit; tags are peeled.
        ref: Full name of the ref, or None for a bare commit.
        kind: What sort of ref it is.
        short: Name for people.
    """

    spec: str
    commit: ObjectId
    ref: str | None
    kind: RefKind
    short: str


class Resolver:
    """Resolves words in one repository."""

    def __init__(self, refs: RefStore, reader: ObjectReader) -> None:
        self._refs = refs
        self._reader = reader

    def resolve(self, spec: str) -> ResolvedRef:
        """Returns what `spec` stands for.

        Raises:
            NotFoundError: Nothing fits (REF_NOT_FOUND); the hint names what is near.
            InvalidInputError: It fits several commits, or something that is no commit.
        """
        name = "HEAD" if spec == "@" else spec
        if not _FULL_HEX.fullmatch(name):
            ref = self._find_ref(name)
            if ref is not None:
                return self._of_ref(spec, ref)
        commit = self.peel(self._revision(name), spec)
        return ResolvedRef(spec, commit, None, RefKind.COMMIT, short_hex(commit))

    def peel(self, oid: ObjectId, spec: str) -> ObjectId:
        """Returns the commit that an object is or, through tags, names.

        Raises:
            InvalidInputError: It is a tree or a blob.
        """
        for _ in range(_MAX_TAG_DEPTH):
            kind = self._reader.header(oid)[0]
            if kind == "commit":
                return oid
            if kind != "tag":
                break
            oid = parse_tag(oid, self._reader.read(oid, "tag")).target
        raise InvalidInputError(
            f"{spec!r} does not name a commit", hint="name a branch, a tag or a commit"
        )

    def _find_ref(self, name: str) -> str | None:
        if not name or not is_ref_name("refs/" + name):
            return None
        for rule in _RULES:
            full = rule.format(name)
            if not full.startswith("refs/") and not _PSEUDO_REF.fullmatch(full):
                continue
            if self._refs.read(full) is not None:
                return full
        if name == "HEAD":
            raise self._unborn()
        return None

    def _of_ref(self, spec: str, ref: str) -> ResolvedRef:
        if ref == "HEAD":
            ref = self._refs.resolve_symbolic(ref)
        oid = self._refs.read(ref)
        if oid is None:  # deleted since it was found
            raise self._not_found(spec)
        commit = self.peel(oid, spec)
        for prefix, kind in _KINDS.items():
            if ref.startswith(prefix):
                return ResolvedRef(spec, commit, ref, kind, shown_ref(ref))
        return ResolvedRef(spec, commit, None, RefKind.COMMIT, short_hex(commit))

    def _revision(self, name: str) -> ObjectId:
        if not name or "\0" in name:
            raise self._not_found(name)
        try:
            found = self._reader.handle.revparse_single(name)
        except ValueError as err:
            raise _ambiguous(name) from err
        except (KeyError, pygit2.GitError, UnicodeEncodeError) as err:
            raise self._not_found(name) from err
        return ObjectId(found.id.raw)

    def _unborn(self) -> NotFoundError:
        branch = shown_ref(self._refs.resolve_symbolic("HEAD"))
        return NotFoundError(
            f"branch {branch!r} has no commit yet",
            kind=ErrorKind.REF_NOT_FOUND,
            hint=f"make one: mlbfs import FOLDER --branch {branch}",
        )

    def _not_found(self, spec: str) -> NotFoundError:
        noun = "commit" if _FULL_HEX.fullmatch(spec) else "branch, tag or commit"
        near = self._near(spec)
        if near:
            hint = "did you mean " + " or ".join(repr(name) for name in near) + "?"
        else:
            hint = "see 'mlbfs branch' and 'mlbfs tag' for the names there are"
        return NotFoundError(
            f"there is no {noun} {spec!r}", kind=ErrorKind.REF_NOT_FOUND, hint=hint
        )

    def _near(self, spec: str) -> list[str]:
        word = re.split(r"[~^:@]", spec, maxsplit=1)[0]
        names = dict.fromkeys(self._names())
        tails = [name for name in names if word and name.endswith("/" + word)]
        return (tails or difflib.get_close_matches(word, names, _HINTS))[:_HINTS]

    def _names(self) -> Iterator[str]:
        for prefix in _KINDS:
            yield from (shown_ref(name) for name, _ in self._refs.iter(prefix))


def _ambiguous(name: str) -> InvalidInputError:
    if _SHORT_HEX.fullmatch(name):
        return InvalidInputError(
            f"{name!r} is the beginning of several commits", hint="give more digits"
        )
    return InvalidInputError(f"{name!r} is not a valid name for a revision")
