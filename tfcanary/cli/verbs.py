"""The group of all verbs: its help has sections in the order in which people need them, and a misspelt verb gets a suggestion."""

from __future__ import annotations

from difflib import get_close_matches

import click

SECTIONS = (
    ("Before a release", ("doctor", "init", "plan", "validate", "profile", "drift", "adopt", "upload")),
    ("A release", ("release", "status", "pause", "resume", "approve", "reject", "override-window", "abort", "repair")),
    ("Afterwards", ("report", "history", "replay", "verify")),
    ("On this machine", ("demo", "up", "down", "serve")),
    ("Services and scripts", ("trigger", "judge", "metrics", "completion")),
)
"""The sections of the help; a verb that is in none of them comes last."""


class Verbs(click.Group):
    """The group of verbs; its help has sections, and an unknown verb is answered with the most similar one."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section with its verbs and their short help."""
        visible = [name for name in self.commands if not self.commands[name].hidden]
        in_sections = {name for _, names in SECTIONS for name in names}
        sections = (*SECTIONS, ("More", tuple(name for name in visible if name not in in_sections)))
        for title, names in sections:
            if rows := [(name.ljust(10), self.commands[name].get_short_help_str(limit=200)) for name in names if name in visible]:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=17)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the verb as click does; raises UsageError with a suggestion where the verb does not exist."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = get_close_matches(args[0], [name for name, command in self.commands.items() if not command.hidden], n=1)
            suggestion = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no verb {args[0]!r}{suggestion}", ctx)
        return super().resolve_command(ctx, args)
