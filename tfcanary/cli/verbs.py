"""The group of all verbs: in the order in which people need them, and with a suggestion for one that is misspelt."""

from __future__ import annotations

from difflib import get_close_matches

import click

SECTIONS = (
    ("Before a release", ("doctor", "plan", "validate", "profile", "drift", "adopt", "upload")),
    ("A release", ("release", "status", "pause", "resume", "approve", "reject", "abort")),
    ("Afterwards", ("report", "history", "replay")),
    ("On this machine", ("up", "down", "serve")),
    ("By itself", ("trigger", "metrics", "completion")),
)
"""What is not named here comes last."""


class Verbs(click.Group):
    """`tfcanary --help` in sections; an unknown verb is answered with the nearest."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each section with the verbs that there are, each with its first sentence."""
        left = [name for name in self.commands if not self.commands[name].hidden]
        known = {name for _, names in SECTIONS for name in names}
        sections = (*SECTIONS, ("More", tuple(name for name in left if name not in known)))
        for title, names in sections:
            if rows := [(name.ljust(10), self.commands[name].get_short_help_str(limit=200)) for name in names if name in left]:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=12)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; raises UsageError in one sentence where there is no such verb."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = get_close_matches(args[0], [name for name, one in self.commands.items() if not one.hidden], n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no verb {args[0]!r}{meant}", ctx)
        return super().resolve_command(ctx, args)
