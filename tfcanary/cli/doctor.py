"""The verb `doctor`: checks whether a machine or a cluster is ready for a release."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from tfcanary import adapters
from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.cli import options
from tfcanary.cli.findings import EXIT, print_look, reasons
from tfcanary.run import submit
from tfcanary.run.submit.host_auth import read_auth


@click.command(short_help="Check whether this machine or cluster is ready for a release.")
@options.platform
@options.plan(required=False, without="Without it, only the platform itself is checked.")
@options.name(required=False, text="The model. With it, the model's counters, route and record are checked, too.")
@options.host
@options.host_auth
@options.image
@options.service_account
@options.as_json
def doctor(
    platform_uri: str,
    plan_file: Path | None,
    name: str,
    host: str,
    host_auth: str,
    image: str,
    service_account: str,
    json_: bool,
) -> None:
    """Check whether this machine or cluster is ready for a release, and say what to do where it is not.

    The checks only read, except that they write one small object into each bucket of the plan and remove it again. Write the
    service account of the steps as `namespace/name` where it is in another namespace. Exit 0 ready, 1 not ready, 2 bad input,
    3 a check could not be made.

    \b
    Example:  tfcanary doctor
              tfcanary doctor --platform kube://serving --plan plan.yaml --name digits --host http://localhost:8888
    """
    plan = options.read_plan(plan_file) if plan_file else None
    with Console(stderr=True).status(f"checking {escape(platform_uri)}"):
        look = adapters.examine(platform_uri, Requirements(plan, name, service_account, image))
        if host:
            look = replace(look, evidence=(*look.evidence, *submit.examine(host, read_auth(host_auth)).evidence))
    if json_:
        options.print_json({"finding": look.finding, "reasons": reasons(look), "checks": look.evidence, "absent": look.absent})
    else:
        print_look(look, platform_uri)
    sys.exit(EXIT[look.finding])
