"""What `mlbfs install` tells Git: the filter, the merge drivers and the summaries for `git diff`.

Owns: which keys of Git's configuration are ours and what stands in them.
Layer: workspace.

Git looks a merge driver up by the whole value of the attribute, so `merge=json:key=id` needs a
section of its own. Values come from files that strangers wrote, and a driver is a line for the
shell: the command is always ours, the value is one quoted word of it, and only a value whose first
word is a driver that is installed here is taken at all.

Invariants:
  K1. A key that somebody else has set is never changed; then nothing is.
  K2. What is taken away is what `install` writes, and nothing else.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import AlreadyExistsError, InvalidInputError
from mlbfs.git.attributes import FILE_NAME, MAX_FILE_SIZE, iter_values
from mlbfs.git.trees import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_FILE
from mlbfs.merge.driver import parse_choice
from mlbfs.merge.registry import driver_names
from mlbfs.workspace.filtering import FILTER
from mlbfs.workspace.policies import attributes_reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlbfs.git.configfile import ConfigFile
    from mlbfs.git.repository import GitRepository
    from mlbfs.git.trees import TreeEntry
    from mlbfs.ids import ObjectId

KINDS = ("csv", "parquet", "sqlite", "tensors")
"""Kinds of files of which `diff=mlbfs-KIND` shows a summary; `diff=mlbfs` finds out the kind."""

GITS_OWN = frozenset({"text", "binary", "union"})
"""Merge drivers that Git has itself."""

_PROGRAMS = ("mlbfs", "git-mlbfs")
_MERGE_PLACES = "%O %A %B %L %P"


@dataclass(frozen=True, slots=True)
class Installed:
    """What became of the configuration.

    Attributes:
        written: Keys that were set or changed.
        kept: Keys that were right already.
    """

    written: list[str]
    kept: list[str]


def settings(program: str, values: Iterable[str]) -> dict[str, str]:
    """Returns what belongs into the configuration.

    Args:
        program: How a shell starts mlbfs.
        values: Values of the attribute `merge`, of drivers that are there.
    """
    expanded = program.replace("%", "%%")  # where Git puts something in place of `%f` and the like
    found = {
        f"filter.{FILTER}.process": f"{program} filter-process",
        f"filter.{FILTER}.clean": f"{expanded} filter-process --clean %f",
        f"filter.{FILTER}.smudge": f"{expanded} filter-process --smudge %f",
        f"filter.{FILTER}.required": "true",
    }
    for name in (FILTER, *(f"{FILTER}-{kind}" for kind in KINDS)):
        found[f"diff.{name}.textconv"] = f"{program} textconv"
        found[f"diff.{name}.cachetextconv"] = "true"
    for value in values:
        found[f"merge.{value}.name"] = _title(value)
        found[f"merge.{value}.driver"] = f"{expanded} {_merge_tail(value)}"
    return found


def _title(value: str) -> str:
    return f"mlbfs: {value}"


def _merge_tail(value: str) -> str:
    """Returns the arguments of a driver; Git would put something else for a single `%`."""
    return f"merge-driver {shlex.quote(value).replace('%', '%%')} {_MERGE_PLACES}"


def merge_values(git: GitRepository | None) -> tuple[list[str], list[str]]:
    """Returns the values of `merge` to be known to Git, and those that were left out.

    All drivers by their names, and what the attributes of a repository ask of them: those of HEAD,
    of the work tree, and `info/attributes`.
    """
    names = [name for name in driver_names() if name not in GITS_OWN]
    taken, refused = dict.fromkeys(names), dict[str, None]()
    for value in sorted(set(_named_values(git))) if git is not None else ():
        if not _names_driver(value, names):
            continue
        if value.isprintable() and "\n" not in value:
            taken.setdefault(value)
        else:
            refused.setdefault(value)
    return list(taken), list(refused)


def _names_driver(value: str, names: Iterable[str]) -> bool:
    try:
        return parse_choice(value).name in names
    except InvalidInputError:  # of somebody else, or to be complained about when it is used
        return False


def _named_values(git: GitRepository) -> Iterator[str]:
    for data in _attribute_files(git):
        yield from iter_values(data, "merge")


def has_filter(git: GitRepository) -> bool:
    """Returns whether any attributes of a repository name our filter."""
    return any(FILTER in iter_values(data, "filter") for data in _attribute_files(git))


def _attribute_files(git: GitRepository) -> Iterator[bytes]:
    """Yields the content of every file of attributes that there is."""
    info = git.common_dir / "info" / "attributes"
    if info.is_file():
        yield info.read_bytes()
    head = git.commit_of("HEAD")
    if head is not None:
        yield from _in_tree(git, git.read_commit(head).tree)
    if git.work_tree is not None:
        yield from _in_folder(git.work_tree)


def _in_tree(git: GitRepository, tree: ObjectId) -> Iterator[bytes]:
    stack, seen = [tree], {tree}
    while stack:
        above = stack.pop()
        # a partial clone has no blobs before a checkout, and may have no trees
        for entry in git.read_tree(above) if git.object_kind(above) is not None else ():
            if entry.mode == MODE_DIRECTORY and entry.id not in seen:
                seen.add(entry.id)
                stack.append(entry.id)
            elif _is_attributes(entry) and _is_readable(git, entry):
                yield git.read_blob(entry.id)


def _is_attributes(entry: TreeEntry) -> bool:
    return entry.name == FILE_NAME and entry.mode in (MODE_FILE, MODE_EXECUTABLE)


def _is_readable(git: GitRepository, entry: TreeEntry) -> bool:
    """Whether attributes are here, and short."""
    return git.object_kind(entry.id) is not None and git.blob_size(entry.id) < MAX_FILE_SIZE


def _in_folder(top: Path) -> Iterator[bytes]:
    """Yields the attributes of a work tree; not those of repositories and mounts in it."""
    read = attributes_reader(None, [(b"", os.fsencode(top))])
    device = top.stat().st_dev
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        if FILE_NAME.decode() in files:
            data = read(os.fsencode(os.path.relpath(here / FILE_NAME.decode(), top)))
            if data is not None:
                yield data
        folders[:] = [
            name
            for name in folders
            if name != ".git"
            and not (here / name / ".git").exists()
            and (here / name).lstat().st_dev == device
        ]


# Writing


def install(config: ConfigFile, wanted: Mapping[str, str]) -> Installed:
    """Writes what belongs into the configuration; what is there already stays.

    Raises:
        AlreadyExistsError: A key has a value of somebody else; nothing was written (K1).
        StorageError: Git cannot write its configuration.
    """
    mine, every = config.read(), config.read(every_scope=True)
    for key, value in wanted.items():
        for other in (*mine.get(key, ()), *every.get(key, ())):
            if not _is_ours(other, value):
                raise AlreadyExistsError(
                    f"the Git configuration has {key} = {other!r} already, which is not of mlbfs",
                    hint=f"if it is not needed any more: git config --unset {shlex.quote(key)}",
                )
    written = [key for key, value in wanted.items() if mine.get(key) != [value]]
    for key in written:
        config.set(key, wanted[key])
    return Installed(written, [key for key in wanted if key not in written])


def remove(config: ConfigFile) -> list[str]:
    """Takes away what `install` has written, whatever its values were; returns the keys.

    Raises:
        StorageError: Git cannot write its configuration.
    """
    there = config.read()
    gone = [key for key, values in there.items() if all(_was_written(key, one) for one in values)]
    for key in gone:
        config.unset(key)
    return gone


def is_installed(config: ConfigFile) -> bool:
    """Returns whether Git knows the filter, by its configuration of any scope.

    Raises:
        StorageError: Git cannot read its configuration.
    """
    return f"filter.{FILTER}.process" in config.read(every_scope=True)


def _is_ours(value: str, wanted: str) -> bool:
    """Whether a value is what is wanted, or the same with mlbfs at another place."""
    if value == wanted:
        return True
    head, tail = _split_program(value), _split_program(wanted)
    return head is not None and head == tail


def _was_written(key: str, value: str) -> bool:
    """Whether a key and its value are such as `install` writes (K2)."""
    section, _, rest = key.partition(".")
    name, _, last = rest.rpartition(".")
    match section, last:
        case "merge", "name":
            return value == _title(name)
        case "merge", "driver":
            return _split_program(value) == _merge_tail(name)
        case ("filter", _) | ("diff", _):
            wanted = settings("mlbfs", ()).get(key)
            return wanted is not None and _is_ours(value, wanted)
        case _:
            return False


def _split_program(command: str) -> str | None:
    """Returns what a command gives mlbfs to do, or None if it is not mlbfs that it starts."""
    for verb in (" filter-process", " merge-driver ", " textconv"):
        head, found, tail = command.partition(verb)
        if found and _is_program(head):
            return (verb + tail).strip()
    return None


def _is_program(head: str) -> bool:
    try:
        words = shlex.split(head)
    except ValueError:
        return False
    if words[1:] == ["-m", "mlbfs"]:
        return True
    return len(words) == 1 and Path(words[0]).name in _PROGRAMS
