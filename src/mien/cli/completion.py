"""`mien completion`: the shell's completion of verbs, options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes mien's verbs and options in a shell.

    \b
    bash: mien completion bash > ~/.local/share/bash-completion/completions/mien
    zsh:  mien completion zsh  > "${fpath[1]}/_mien"
    fish: mien completion fish > ~/.config/fish/completions/mien.fish
    """
    from mien.cli.main import cli

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "mien", "_MIEN_COMPLETE").source())
