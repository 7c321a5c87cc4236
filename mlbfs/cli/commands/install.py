"""`mlbfs install`: tells stock Git of the filter, the merge drivers and the summaries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlbfs.cli import render
from mlbfs.cli.group import command as named
from mlbfs.cli.params import json_option
from mlbfs.cli.program import PUSH_HOOK, program, write_push_hook

if TYPE_CHECKING:
    from mlbfs.cli.context import Context
    from mlbfs.git.configfile import ConfigFile
    from mlbfs.git.repository import GitRepository


@named("install")
@click.option("--local", "scope", flag_value="--local", help="In this repository (the default)")
@click.option("--global", "scope", flag_value="--global", help="For all repositories of yours")
@click.option("--worktree", "scope", flag_value="--worktree", help="In this work tree only")
@click.option("--remove", is_flag=True, help="Take away what was written, and nothing else")
@json_option
@click.pass_obj
def command(context: Context, scope: str | None, remove: bool, as_json: bool) -> None:
    """Let stock Git use mlbfs: for content, for merging, and for readable diffs

    Writes to Git's configuration the filter 'mlbfs', a merge driver for each one of mlbfs, and the
    summaries of 'git diff'. Which files they are for is said by .gitattributes: 'filter=mlbfs',
    'merge=json', 'diff=mlbfs'. Values with options, such as 'merge=json:key=id', are taken from the
    .gitattributes of HEAD and of the work tree: run it again when new ones have come. Values that
    somebody else has set are never changed. A hook brings content along when Git pushes to a
    repository of this machine; with --global, a repository gets it when the filter is first used
    there.
    """
    from mlbfs.git.configfile import ConfigFile, Scope

    chosen = Scope(scope or "--local")
    git = _repository(context, needed=chosen is not Scope.GLOBAL)
    config = ConfigFile(Path() if git is None else git.work_tree or git.git_dir, chosen)
    if remove:
        _remove(config, None if chosen is Scope.GLOBAL else git, as_json=as_json)
    else:
        _install(context, config, git, as_json=as_json, adopt=chosen is not Scope.GLOBAL)


def _repository(context: Context, *, needed: bool) -> GitRepository | None:
    """Returns the Git repository that is meant, whether or not it has content of mlbfs."""
    from mlbfs.errors import NotFoundError
    from mlbfs.git.repository import GitRepository

    try:
        return GitRepository.discover(context.git_start())
    except NotFoundError:
        if needed:
            raise
        return None


def _remove(config: ConfigFile, git: GitRepository | None, *, as_json: bool) -> None:
    from mlbfs.git.hooks import remove_hook
    from mlbfs.workspace import installing

    gone = installing.remove(config)
    # the hook belongs to all work trees, so it stays while the filter is there for any of them
    is_last = git is not None and not installing.is_installed(config)
    if git is not None and is_last and remove_hook(git, PUSH_HOOK):
        gone.append(f"hook {PUSH_HOOK}")
    if as_json:
        render.out_json({"removed": gone})
    else:
        render.out(f"took away {render.count_text(len(gone), 'setting')}")
    if gone and git is not None and is_last and installing.has_filter(git):
        render.say(
            "attributes still name filter=mlbfs: without it 'git add' puts content into Git "
            "itself, and a checkout writes pointers"
        )


def _install(
    context: Context, config: ConfigFile, git: GitRepository | None, *, as_json: bool, adopt: bool
) -> None:
    from mlbfs.repository import Repository
    from mlbfs.workspace import installing

    values, refused = installing.merge_values(git)
    done = installing.install(config, installing.settings(program(), values))
    has_hook = True
    if adopt and git is not None:
        Repository.adopt(context.git_start()).close()
        has_hook = write_push_hook(git)
    if as_json:
        render.out_json({"written": done.written, "kept": done.kept, "refused": refused})
        return
    written = render.count_text(len(done.written), "setting")
    render.out(f"wrote {written}; {len(done.kept)} were there already")
    if not has_hook:
        render.say(
            f"a push by path takes no content along: your {PUSH_HOOK} hook has to hand what it "
            f'reads to mlbfs {PUSH_HOOK} "$@" as well (docs/git.md)'
        )
    for value in refused:
        render.say(f"left out merge={value!r}: it has characters that are not for a command")
    if git is not None and not installing.has_filter(git):
        render.say("no file has the filter yet; next: echo '* filter=mlbfs' >> .gitattributes")
