"""The verb `judge`: the judge alone, for a release that somebody else's controller makes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfcanary.adapters.clock import SystemClock
from tfcanary.adapters.storage import open_storage
from tfcanary.cli import options
from tfcanary.core.domain import Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Clock
from tfcanary.run.alone import judge_server
from tfcanary.run.alone.judge_service import JudgeService, as_json
from tfcanary.run.alone.lone_watch import Answer, FixedSplit, LoneWatch, Opinion, Split, Subject
from tfcanary.run.alone.saved_watches import SavedWatches, check_release

if TYPE_CHECKING:
    from tfcanary.adapters.kube.other_controllers import ControllerObject
    from tfcanary.adapters.metrics.queries import Labels

EXIT = {Answer.PROMOTE: 0, Answer.ROLLBACK: 1, Answer.UNDECIDED: 3}
ALONE = "release"
"""The id of a release that nobody names: its state is kept nowhere."""


@click.command(short_help="Judge a canary of another controller.")
@options.plan(required=True)
@options.name(required=False, text="The name under which TensorFlow Serving serves the model. Default: that of the InferenceService.")
@click.option("--prometheus", default="", metavar="URL", help="The Prometheus that scrapes the servers. Default: the plan's metrics.url.")
@options.track_selectors
@click.option("--weight", type=click.IntRange(0, 100), help="The canary's share in percent, where it does not change.")
@click.option(
    "--split",
    "split_uri",
    default="",
    metavar="URI",
    help="The object whose status says the canary's share: kube://<namespace>/<rollouts, canaries or inferenceservices>/<name>.",
)
@click.option("--state", default="", metavar="URI", help="A directory or bucket for the judge's state, so that a restart goes on.")
@click.option(
    "--release",
    default="",
    metavar="ID",
    help="The id of the release that is judged; --state needs it. Default: the InferenceService's canary.",
)
@click.option(
    "--serve", "address", default="", metavar="HOST:PORT", help="Answer Argo Rollouts and Flagger by HTTP; docs/with-other-tools.md."
)
@click.option("--token-file", default="", metavar="FILE", help="The bearer token of the callers of --serve.")
@options.as_json
def judge(plan_file: Path, address: str, token_file: str, json_: bool, **chosen: Any) -> None:
    """Poll both tracks of a canary until the judge decides, or until the plan's `stage.maximum` is over. No traffic is moved.

    Exit 0 promote, 1 roll back, 2 bad input, 3 undecided, or Prometheus or the state could not be reached.

    \b
    Example:  tfcanary judge --plan plan.yaml --name digits --prometheus http://prometheus:9090 --weight 10 \\
                --stable-selector '{track="stable"}' --canary-selector '{track="canary"}'
    """
    from tfcanary.adapters.kube.other_controllers import ControllerObject

    plan, clock = options.read_plan(plan_file), SystemClock()
    controller = ControllerObject(chosen["split_uri"]) if chosen["split_uri"] else None
    begin = _watches(plan, chosen, controller, clock)
    if address:
        _serve(begin, plan, clock, address, token_file)
        return
    if token_file:
        raise click.UsageError("--token-file is for --serve")
    watch = begin(_release(chosen, controller))
    opinion = watch_to_the_end(watch, clock, plan.stage.poll.total_seconds(), to_stderr=json_)
    if json_:
        told = as_json(watch.release, opinion)
        options.print_json({"decision": told.pop("result"), "reasons": [told.pop("reason")], **told, "verdict": opinion.verdict})
    else:
        click.echo(f"{opinion.answer.value}: {opinion.verdict.reason}")
    sys.exit(EXIT[opinion.answer])


def watch_to_the_end(watch: LoneWatch, clock: Clock, every: float, to_stderr: bool) -> Opinion:
    """Poll every so many seconds and print a line for each poll, until the answer is not to hold; returns the last opinion."""
    opinion = watch.last()
    while opinion is None or opinion.answer is Answer.HOLD:
        began = clock.now()
        opinion = watch.poll()
        click.echo(_line(opinion), err=to_stderr)
        if opinion.answer is Answer.HOLD:
            clock.sleep(max(every - (clock.now() - began).total_seconds(), 0.0))
    return opinion


def _line(opinion: Opinion) -> str:
    verdict = opinion.verdict
    return f"{verdict.at:%H:%M:%S} {opinion.answer.value} at {verdict.weight} %, {opinion.requests:,.0f} canary requests: {verdict.reason}"


def _serve(begin: Callable[[str], LoneWatch], plan: Plan, clock: Clock, address: str, token_file: str) -> None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError(f"--serve {address!r}: must be an address and a port, for example 127.0.0.1:8080")
    try:
        callers = judge_server.authenticator(host, token_file)
    except Unavailable as error:
        raise Refused(f"--token-file {error}") from error
    service = JudgeService(begin, clock, plan.judge.guards.blind_after, callers)
    server = judge_server.set_up(service, host, int(port), plan.stage.poll.total_seconds())
    click.echo(f"listening on {host}:{server.port}", err=True)
    server.run()


def _watches(plan: Plan, chosen: Mapping[str, Any], controller: ControllerObject | None, clock: Clock) -> Callable[[str], LoneWatch]:
    """Return what begins the watch of a release. Raises Refused or UsageError where an option is wrong, before anything is watched."""
    from tfcanary.adapters.metrics.prometheus import PrometheusSource

    if controller and chosen["weight"] is not None:
        raise click.UsageError("give --weight or --split, not both")
    url = chosen["prometheus"] or plan.metrics.url
    if not url:
        raise click.UsageError("give --prometheus, or metrics.url in the plan")
    model = chosen["name"] or (controller.name if controller and controller.has_tracks else "")
    if not model:
        raise click.UsageError("give --name, the name under which TensorFlow Serving serves the model")
    selectors = _selectors(chosen, controller, plan)
    split: Split = controller or FixedSplit(chosen["weight"])
    kept = SavedWatches(open_storage(chosen["state"]), chosen["state"]) if chosen["state"] else None

    def begin(release: str) -> LoneWatch:
        source = PrometheusSource(url, model, plan.metrics, selectors(), judge=plan.judge)
        return LoneWatch(Subject(model, plan, source, split), release, clock, kept)

    return begin


def _selectors(chosen: Mapping[str, Any], controller: ControllerObject | None, plan: Plan) -> Callable[[], Mapping[Track, Labels]]:
    """Return what finds the labels of both tracks: the two options, or the status of an InferenceService when a watch begins."""
    if chosen["stable"] or chosen["canary"]:
        labels = options.track_labels(chosen["stable"], chosen["canary"])
        return lambda: labels
    if controller and controller.has_tracks:
        return lambda: controller.selectors(plan.metrics)
    raise click.UsageError("give --stable-selector and --canary-selector, or a --split that is an InferenceService")


def _release(chosen: Mapping[str, Any], controller: ControllerObject | None) -> str:
    """Return the id under which the state is kept. Raises UsageError where there is a state and no id."""
    if chosen["release"] and not chosen["state"]:
        raise click.UsageError("--release is for --state, and for the callers of --serve to name")
    if not chosen["state"]:
        return ALONE
    if not chosen["release"] and controller and controller.has_tracks:
        return controller.tracks().release
    if not chosen["release"]:
        raise click.UsageError("--state needs --release, an id that no other release has")
    return check_release(chosen["release"])
