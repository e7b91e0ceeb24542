"""`make demo`: trains the models, brings up the platform, sends traffic, and releases four models through the compiled pipeline."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from examples.demo.traffic import Tally, Users
from tfcanary import adapters, report
from tfcanary.adapters import local
from tfcanary.core import codec
from tfcanary.core.domain import Finding
from tfcanary.core.plan import Plan
from tfcanary.core.record import Release, State
from tfcanary.run.submit import progress
from tfcanary.run.submit.handle import Snapshot, release

FOLDER = Path(".tfcanary") / "demo"
NAME = "digits"
RATE = 100.0
"""Requests a second: two cores serve, split, judge and ask."""
OWN = "the feature buffer is too small"
"""What the model that breaks under load says itself; any other failure is ours."""
console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Act:
    """One release of the demo and how it should end."""

    model: str
    title: str
    ends: State
    by: str = ""
    """The gate that must have said no; empty: the judge."""


ACTS = (
    Act("better", "a better model", State.PROMOTED),
    Act("breaks-under-load", "a model that slows down and fails on bulk requests", State.ROLLED_BACK),
    Act("other-signature", "a model with an incompatible signature", State.REFUSED, by="validate"),
    Act("confidently-wrong", "a model that is confidently wrong", State.REFUSED, by="compare"),
)


def main() -> int:
    """Run the demo; 0 only where all four ended as they should and no request failed because of us."""
    began = time.monotonic()
    folder = FOLDER.resolve()
    uri = f"local://{folder / 'platform'}"
    local.down(folder / "platform")
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    models = folder / "models"
    console.print("[bold]training[/] five models on the handwritten digits that scikit-learn ships")
    subprocess.run([sys.executable, "-m", "examples.demo.models", str(models)], check=True)
    plan = _plan(models / "golden.jsonl")
    local.up(folder / "platform")
    try:
        return _released(uri, models, plan, folder, began)
    finally:
        local.down(folder / "platform")


def _plan(golden: Path) -> Plan:
    plan: Plan = codec.decode(Plan, codec.read_document(Path(__file__).parent.parent / "demo.yaml"), at="examples/demo.yaml")
    assert plan.predictions is not None
    return replace(plan, predictions=replace(plan.predictions, source=str(golden)))


def _released(uri: str, models: Path, plan: Plan, folder: Path, began: float) -> int:
    first = _one(uri, models / "v1", replace(plan, bootstrap=True), "the first model, with `bootstrap: true`")
    console.print(report.release_line(first.release))
    users = Users(adapters.open_platform(uri, NAME, plan).router.address(), NAME, models / "users.json", RATE)
    users.start()
    time.sleep(5)
    rows = [_act(uri, act, models, plan, users, folder, began) for act in ACTS]
    users.stop()
    for line, _ in rows:
        console.print(line)
    good = first.release.state is State.PROMOTED and all(ok for _, ok in rows)
    console.print(f"[bold {'green' if good else 'red'}]{'as it should be' if good else 'not as it should be'}[/]; reports: {folder}/*.html")
    return 0 if good else 1


def _act(uri: str, act: Act, models: Path, plan: Plan, users: Users, folder: Path, began: float) -> tuple[str, bool]:
    """One release under traffic; returns its line of the summary, and whether it ended as it should."""
    users.since()
    seen = _one(uri, models / act.model, plan, act.title)
    tally = users.since()
    (folder / f"{act.model}.html").write_text(report.release_html(seen.record, seen.timeline), encoding="utf-8")
    ok = _as_it_should(act, seen.release) and not ours(tally)
    mark = "[green]✓[/]" if ok else "[red]✗[/]"
    spent = f"{time.monotonic() - began:.0f} s since the start"
    line = f"{mark} {act.title}: {escape(report.release_line(seen.release, seen.timeline))}\n  users: {tally.summary()}; {spent}"
    console.print(line)
    for problem, number in ours(tally).items():
        console.print(f"  [red]{number} requests failed because of us: {problem}[/]")
    return line, ok


def _as_it_should(act: Act, ended: Release) -> bool:
    """It ended as it should, and for the reason that it should."""
    if act.by:
        return ended.state is act.ends and act.by in ended.looks and ended.looks[act.by].finding is Finding.FAIL
    return ended.state is act.ends and bool(ended.watched)


def ours(tally: Tally) -> dict[str, int]:
    """The failures that are not the broken model's own."""
    return {problem: number for problem, number in tally.failed.items() if OWN not in problem}


def _one(uri: str, model: Path, plan: Plan, title: str) -> Snapshot:
    console.rule(f"[bold]{title}[/]")
    return progress.follow(release(str(model), NAME, plan, uri))


if __name__ == "__main__":
    sys.exit(main())
