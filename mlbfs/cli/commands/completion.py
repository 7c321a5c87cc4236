"""`mlbfs completion`: writes the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mlbfs.cli import render
from mlbfs.cli.group import command as named


@named("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Write the completion script of a shell to standard output

    \b
    bash:  mlbfs completion bash > ~/.local/share/bash-completion/completions/mlbfs
    zsh:   mlbfs completion zsh > "${fpath[1]}/_mlbfs"
    fish:  mlbfs completion fish > ~/.config/fish/completions/mlbfs.fish
    """  # noqa: D301 - click reads the backspace
    kind = get_completion_class(shell)
    assert kind is not None, "click completes the three shells of the choice"
    root = ctx.find_root().command
    render.out(kind(root, {}, "mlbfs", "_MLBFS_COMPLETE").source().rstrip("\n"))
