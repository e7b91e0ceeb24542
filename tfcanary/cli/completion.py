"""The verb `completion`: the script with which a shell completes verbs, options and names of models."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "tfcanary", "_TFCANARY_COMPLETE"


@click.command(short_help="Print the script that completes verbs in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes verbs, options and names of models in a shell.

    Exit 0 printed, 2 for an unknown shell.

    \b
    Example:  tfcanary completion bash > ~/.local/share/bash-completion/completions/tfcanary
              tfcanary completion zsh > "${fpath[1]}/_tfcanary"
              tfcanary completion fish > ~/.config/fish/completions/tfcanary.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
