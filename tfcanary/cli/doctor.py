"""`doctor`: is a machine or a cluster ready, and if not, what is to be done?"""

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
from tfcanary.cli.findings import EXIT, reasons, show
from tfcanary.run import submit


@click.command(short_help="Is this machine or cluster ready? What to do where not.")
@options.platform
@options.plan(required=False, without="Without: only the platform itself is looked at.")
@options.name(required=False, text="The model: then its counters, its route and its record are looked at, too.")
@options.host
@options.image
@options.service_account
@options.as_json
def doctor(platform_uri: str, plan_file: Path | None, name: str, host: str, image: str, service_account: str, json_: bool) -> None:
    """Say whether this machine or cluster is ready for a release, and what to do where it is not.

    Asks only, but for one small object in each bucket of the plan, which is removed. An account of the steps in another
    namespace is named `namespace/name`. Exit 0 ready, 1 not, 2 bad input,
    3 something could not be asked.

    \b
    Example:  tfcanary doctor
              tfcanary doctor --platform kube://serving --plan plan.yaml --name digits --host http://localhost:8888
    """
    plan = options.read_plan(plan_file) if plan_file else None
    with Console(stderr=True).status(f"asking {escape(platform_uri)}"):
        found = adapters.examine(platform_uri, Requirements(plan, name, service_account, image))
        if host:
            found = replace(found, evidence=(*found.evidence, *submit.examine(host).evidence))
    if json_:
        options.print_json({"finding": found.finding, "reasons": reasons(found), "checks": found.evidence, "absent": found.absent})
    else:
        show(found, platform_uri)
    sys.exit(EXIT[found.finding])
