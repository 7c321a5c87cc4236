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
_SOME_HEX = re.compile(r"[0-9a-f]{4,40}")
_DESCRIBED = re.compile(r".+-g([0-9a-fA-F]{4,40})")
_STEP = re.compile(r"~([0-9]{0,9})|\^(?!\{)([0-9]{0,9})|\^\{([a-z]*)\}")
_STEPS = re.compile(r"([^~^:]*?[^~^:{}]|@)((?:~[0-9]{0,9}|\^\{[a-z]*\}|\^[0-9]{0,9})*)")
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
        if not _FULL_HEX.fullmatch(spec):
            ref = self._find_ref("HEAD" if spec == "@" else spec)
            if ref is not None:
                return self._of_ref(spec, ref)
        commit = self.peel(self._revision(spec), spec)
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
            oid = self._tag_target(oid)
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

    def _revision(self, spec: str) -> ObjectId:
        """Returns the object that a name with steps (`~2`, `^`, `^{commit}`) leads to."""
        match = _STEPS.fullmatch(spec)
        if match is None:
            return self._other_form(spec)
        oid = self._base(spec, match[1])
        for step in _STEP.finditer(match[2]):
            oid = self._step(spec, oid, step)
        return oid

    def _base(self, spec: str, name: str) -> ObjectId:
        name = "HEAD" if name == "@" else name
        ref = None if _FULL_HEX.fullmatch(name) else self._find_ref(name)
        oid = None if ref is None else self._refs.read(ref)
        if oid is not None:
            return oid
        described = _DESCRIBED.fullmatch(name)
        digits = (described[1] if described else name).lower()
        if not _SOME_HEX.fullmatch(digits):
            raise self._not_found(spec)
        return self._of_digits(spec, digits)

    def _of_digits(self, spec: str, digits: str) -> ObjectId:
        found = self._reader.ids_with_prefix(digits)
        commits = [oid for oid in found if self._reader.kind(oid) in ("commit", "tag")]
        chosen = commits or found
        if not chosen:
            raise self._not_found(spec)
        if len(chosen) > 1:
            raise InvalidInputError(
                f"{spec!r} is the beginning of several commits", hint="give more digits"
            )
        return chosen[0]

    def _step(self, spec: str, oid: ObjectId, step: re.Match[str]) -> ObjectId:
        generations, parent, kind = step.groups()
        if kind is not None:
            return self._peel_to(spec, oid, kind)
        oid = self.peel(oid, spec)
        if generations is not None:
            for _ in range(int(generations or 1)):
                oid = self._parent(spec, oid, 1)
            return oid
        return self._parent(spec, oid, int(parent or 1))

    def _parent(self, spec: str, oid: ObjectId, number: int) -> ObjectId:
        parents = self._reader.commit_node(oid).parents
        if number == 0:
            return oid
        if number > len(parents):
            raise self._not_found(spec)
        return parents[number - 1]

    def _peel_to(self, spec: str, oid: ObjectId, kind: str) -> ObjectId:
        found = self._reader.header(oid)[0]
        if kind in ("object", found) or (not kind and found != "tag"):
            return oid
        if found == "tag":
            return self._peel_to(spec, self._tag_target(oid), kind)
        if found == "commit" and kind == "tree":
            return self._reader.commit_node(oid).tree
        raise self._not_found(spec)

    def _tag_target(self, oid: ObjectId) -> ObjectId:
        return parse_tag(oid, self._reader.read(oid, "tag")).target

    def _other_form(self, spec: str) -> ObjectId:
        """Leaves `@{...}`, `:/text` and the like to libgit2."""
        if "\0" in spec:
            raise self._not_found(spec)
        try:
            return self._reader.revision(spec)
        except (KeyError, ValueError, pygit2.GitError) as err:
            raise self._not_found(spec) from err

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
