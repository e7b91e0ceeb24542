"""The command line: one small function a verb. Exit codes: 0 yes, 1 no, 2 bad input, 3 undecided, unreachable or held."""

from __future__ import annotations

import logging
import sys

import click

from tfcanary import __version__
from tfcanary.cli import (
    completion,
    doctor,
    drift,
    guard,
    local,
    metrics,
    orders,
    plan,
    profile,
    release,
    replay,
    serve,
    show,
    trigger,
    upload,
    validate,
)
from tfcanary.cli.verbs import Verbs
from tfcanary.core.errors import Conflict, Refused, Unavailable

BAD_INPUT, UNDECIDED = 2, 3


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tfcanary")
def tfcanary() -> None:
    """Canary releases of TensorFlow Serving models: one candidate is promoted, or everything is put back, and it says why."""


for verb in (
    local.up,
    local.down,
    doctor.doctor,
    guard.guard,
    release.release,
    orders.abort,
    orders.pause,
    orders.resume,
    orders.approve,
    orders.reject,
    show.status,
    show.history,
    show.report_,
    metrics.metrics,
    validate.validate,
    plan.plan,
    plan.adopt,
    replay.replay,
    drift.drift,
    profile.profile,
    trigger.trigger,
    upload.upload,
    serve.serve,
    completion.completion,
):
    tfcanary.add_command(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run a verb; what went wrong on purpose is one sentence on stderr and the design's exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        tfcanary.main(args=arguments, prog_name="tfcanary", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(UNDECIDED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        _say(_sentence(error))
        sys.exit(BAD_INPUT)
    except Refused as error:
        _say(error)
        sys.exit(BAD_INPUT)
    except (Unavailable, Conflict) as error:
        _say(error)
        sys.exit(UNDECIDED)


def _sentence(error: click.ClickException) -> str:
    """What was typed wrong, and where the right way is told."""
    context = getattr(error, "ctx", None)
    said = " ".join(error.format_message().split())
    return f"{said} (see `{context.command_path} --help`)" if context else said


def _say(error: Exception | str) -> None:
    click.echo(f"tfcanary: {error}", err=True)
