"""What `mlbfs doctor` examines, one function for each question.

Owns: the list of questions.
Layer: cli.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mlbfs.cli.program import PUSH_HOOK
from mlbfs.cli.render import size_text
from mlbfs.errors import FormatVersionError, NotFoundError, UnsupportedError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.cli.context import Context
    from mlbfs.git.repository import GitRepository

OLDEST_KERNEL = (5, 10)
"""Oldest kernel that mounts are expected to work well on; development is on far newer ones."""

LITTLE_ROOM = 1_000_000_000
"""Bytes of free space below which an import is likely to meet a full disk."""


class State(StrEnum):
    """How serious a finding is."""

    GOOD = "good"
    ADVICE = "advice"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question."""

    check: str
    state: State
    text: str
    hint: str | None = None


def examine(context: Context) -> Iterator[Finding]:
    """Answers every question."""
    yield _python()
    yield _kernel()
    yield _fuse()
    yield _fusermount()
    yield _kernels()
    yield from _repository(context)


def _python() -> Finding:
    return Finding("python", State.GOOD, platform.python_version())


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if numbers >= OLDEST_KERNEL:
        return Finding("kernel", State.GOOD, release)
    wanted = ".".join(map(str, OLDEST_KERNEL))
    return Finding(
        "kernel",
        State.ADVICE,
        f"{release} is old",
        f"mounts are tested on Linux {wanted} and newer",
    )


def _fuse() -> Finding:
    from mlbfs.mount.checks import check_fuse

    try:
        check_fuse()
    except UnsupportedError as err:
        return Finding("fuse", State.BAD, err.message, err.hint)
    return Finding("fuse", State.GOOD, "/dev/fuse can be opened")


def _fusermount() -> Finding:
    from mlbfs.mount.checks import find_helper, is_user_allow_other

    found = find_helper("fusermount3")
    if found is None:
        state = State.ADVICE if os.geteuid() == 0 else State.BAD
        text = "fusermount3 is missing; root mounts without it"
        return Finding("fusermount3", state, text, "apt-get install fuse3")
    if not is_user_allow_other():
        return Finding(
            "fusermount3",
            State.ADVICE,
            "other users, root among them, will not see your mounts",
            "to let them: add the line 'user_allow_other' to /etc/fuse.conf",
        )
    return Finding("fusermount3", State.GOOD, found)


def _kernels() -> Finding:
    from mlbfs.store.kernels import IMPLEMENTATION

    if IMPLEMENTATION == "native":
        return Finding("kernels", State.GOOD, "C++")
    return Finding(
        "kernels",
        State.ADVICE,
        "the C++ kernels are not built; pure Python is in use, which is far slower",
        "install g++, cmake, libzstd-dev and libxxhash-dev, and install mlbfs again",
    )


def _repository(context: Context) -> Iterator[Finding]:
    try:
        repository = context.repository()
    except (NotFoundError, UserError, FormatVersionError) as err:
        yield Finding("repository", State.ADVICE, err.message, err.hint)
        return
    with repository:
        common_dir = repository.git.common_dir
        yield Finding("repository", State.GOOD, str(common_dir))
        try:
            who = context.author(repository).author
            yield Finding("identity", State.GOOD, f"{who.name} <{who.email}>")
        except UserError as err:
            yield Finding("identity", State.BAD, err.message, err.hint)
        free = shutil.disk_usage(common_dir).free
        state = State.GOOD if free >= LITTLE_ROOM else State.ADVICE
        yield Finding("free space", state, size_text(free))
        yield from _pushes(repository.git)
    yield from _mounts(context)


def _pushes(git: GitRepository) -> Iterator[Finding]:
    """Tells where content does not go with a push of stock Git, if that uses mlbfs here."""
    from mlbfs.workspace.nearby import local_path

    if git.config_get("filter.mlbfs.process") is None:
        return
    if not _has_push_hook(git):
        yield Finding(
            "push",
            State.ADVICE,
            f"the {PUSH_HOOK} hook does not start mlbfs: a push by path takes no content along",
            f"let it hand what it reads to mlbfs {PUSH_HOOK} too; docs/git.md shows how",
        )
    for name in git.config.names_like("remote.", ".url"):
        url = git.config_get(f"remote.{name}.pushurl") or git.config_get(f"remote.{name}.url")
        if url is not None and local_path(url, git.work_tree or git.git_dir) is None:
            yield Finding(
                "push",
                State.ADVICE,
                f"{name} is on another machine: Git pushes pointers there, and no content",
                f"Git LFS can send it: mlbfs lfs-fetch BRANCH && git lfs push {name} BRANCH",
            )


def _has_push_hook(git: GitRepository) -> bool:
    from mlbfs.git.hooks import hooks_folder

    try:
        text = (hooks_folder(git).expanduser() / PUSH_HOOK).read_text(errors="replace")
    except (OSError, RuntimeError):  # none, or one in the home of nobody
        return False
    return re.search(rf"mlbfs['\"]? {PUSH_HOOK}", text) is not None


def _mounts(context: Context) -> Iterator[Finding]:
    from mlbfs.mount.session import list_mounts

    for mount in list_mounts(context.common_dir()):
        where = mount.record.directory
        if not mount.is_alive:
            text = f"the daemon of {where!r} has died"
            yield Finding("mount", State.ADVICE, text, f"run 'mlbfs umount {where}'")
