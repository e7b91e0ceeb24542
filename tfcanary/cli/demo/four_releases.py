"""The demo's course: train the models, start the platform and the users, release four candidates, and compare each end with the expected one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from tfcanary import adapters, report
from tfcanary.adapters import local
from tfcanary.cli.demo.users import UserAnswers, Users
from tfcanary.core import codec
from tfcanary.core.documents import read_document
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Entrance, Plan
from tfcanary.core.record import Release, State
from tfcanary.run.submit import progress
from tfcanary.run.submit.handle import release as submit_release
from tfcanary.run.submit.snapshots import Snapshot, read_timeline

NAME = "digits"
RATE = 100.0
"""Requests a second: two cores serve, split, judge and ask."""
BUSY = 0.75
"""The load for each processor, before the demo adds its own, from which a machine counts as busy."""
SETTLE = 5.0
"""Seconds for which users ask the first version before a candidate comes."""
BROKEN_BY_ITSELF = "the feature buffer is too small"
"""What the model that breaks under load answers itself; any other failure of a request is tfcanary's."""
MARKER = "made-by-tfcanary-demo"
"""A file in a folder that the demo made: only such a folder, or an empty one, is emptied."""
MODULES = ("envoy", "tensorflow", "sklearn", "kfp")
"""What the extra `local` installs."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoCandidate:
    """One release of the demo and its expected end."""

    model: str
    title: str
    end_state: State
    refused_by: str = ""
    """The gate that must have said no; empty: the judge decides."""


CANDIDATES = (
    DemoCandidate("better", "a better model", State.PROMOTED),
    DemoCandidate("breaks-under-load", "a model that slows down and fails on bulk requests", State.ROLLED_BACK),
    DemoCandidate("other-signature", "a model with an incompatible signature", State.REFUSED, refused_by="validate"),
    DemoCandidate("confidently-wrong", "a model that is confidently wrong", State.REFUSED, refused_by="compare"),
)


@dataclass(frozen=True)
class DemoOutcome:
    """How one release of the demo ended, and what the users met meanwhile."""

    title: str
    sentence: str
    answers: UserAnswers
    seconds: float
    """From the start of the demo to the end of this release."""
    as_expected: bool

    def lines(self) -> str:
        """Two lines for people, and one more for each failure that is tfcanary's own."""
        text = f"{'✓' if self.as_expected else '✗'} {self.title}: {self.sentence}"
        text += f"\n  users: {self.answers.summary()}; {self.seconds:.0f} s since the start"
        for problem, number in unexpected_failures(self.answers).items():
            text += f"\n  {number} requests failed because of tfcanary: {problem}"
        return text


@dataclass
class Demo:
    """What one run of the demo needs everywhere."""

    folder: Path
    plan: Plan
    say: Say
    """Prints one result; progress goes to standard error by itself."""
    began: float = field(default_factory=time.monotonic)
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    @property
    def models(self) -> Path:
        """Where the trained models, the golden requests and the users' digits lie."""
        return self.folder / "models"

    @property
    def uri(self) -> str:
        """The platform of the demo."""
        return f"local://{self.folder / 'platform'}"

    def release(self, model: str, plan: Plan, title: str) -> Snapshot:
        """Release one model and show its progress; an interrupt ends the pipeline, too."""
        self.console.rule(f"[bold]{escape(title)}[/]")
        handle = submit_release(str(self.models / model), NAME, plan, self.uri)
        try:
            return progress.show(handle.follow(), handle.platform.clock)
        finally:
            if handle.run.result() is None:
                handle.run.stop()

    def release_candidate(self, candidate: DemoCandidate, users: Users) -> DemoOutcome:
        """Release a candidate under traffic, write its page, and say how it ended."""
        users.take_answers()
        last = self.release(candidate.model, self.plan, candidate.title)
        answers = users.take_answers()
        timeline = read_timeline(adapters.open_platform(self.uri, NAME, self.plan), last)
        (self.folder / f"{candidate.model}.html").write_text(report.release_html(last.record, timeline), encoding="utf-8")
        expected = has_expected_end(candidate, last.release) and not unexpected_failures(answers)
        sentence = report.release_line(last.release, last.outline)
        outcome = DemoOutcome(candidate.title, sentence, answers, time.monotonic() - self.began, expected)
        self.say(outcome.lines())
        return outcome


def run_demo(folder: Path, say: Say) -> Mapping[str, Any]:
    """Run the whole demo in a folder of its own; returns the object of `--json`.

    Raises Refused where a module is missing or the folder is somebody else's, Unavailable where the models cannot be trained or the
    platform does not come up.
    """
    missing = next((module for module in MODULES if importlib.util.find_spec(module) is None), None)
    if missing:
        raise Refused(f"the demo needs the module {missing!r}: pip install 'tfcanary[local]'")
    empty_folder(folder)
    if busy := busy_line():
        print(busy, file=sys.stderr, flush=True)
    demo = Demo(folder, read_plan(folder / "models" / "golden.jsonl"), say)
    local.up(folder / "platform")
    try:
        train(demo.models)
        # Runs of a pipeline lie below the working directory: those of the demo in its own folder.
        with contextlib.chdir(folder):
            return _release_all(demo)
    finally:
        local.down(folder / "platform")


def _release_all(demo: Demo) -> Mapping[str, Any]:
    """The first model becomes stable without traffic; then users ask, and the candidates follow one by one."""
    first = demo.release("v1", replace(demo.plan, bootstrap=True), "the first model, with `bootstrap: true`").release
    demo.say(f"{'✓' if first.state is State.PROMOTED else '✗'} the first model: {report.release_line(first)}")
    address = adapters.open_platform(demo.uri, NAME, demo.plan).router.address()
    users = Users(address, NAME, demo.models / "users.json", RATE, tuple(Entrance))
    users.start()
    try:
        time.sleep(SETTLE)
        outcomes = [demo.release_candidate(candidate, users) for candidate in CANDIDATES]
    finally:
        users.stop()
    good = first.state is State.PROMOTED and all(one.as_expected for one in outcomes)
    demo.say(f"{'as it should be' if good else 'not as it should be'}; pages: {demo.folder}/*.html")
    return {
        "finding": Finding.PASS if good else Finding.FAIL,
        "reasons": [report.release_line(first), *(one.sentence for one in outcomes)],
        "releases": [
            {"title": one.title, "as_expected": one.as_expected, "requests": one.answers.requests, "failed": dict(one.answers.failed)}
            for one in outcomes
        ],
        "folder": str(demo.folder),
    }


def empty_folder(folder: Path) -> None:
    """Remove what an earlier demo left, its platform first; raises Refused where anything else lies in the folder."""
    marker = folder / MARKER
    try:
        if folder.exists() and not marker.exists() and any(folder.iterdir()):
            raise Refused(f"{folder}: is not empty, and no demo made it, so nothing is removed; name another one with --folder")
        local.down(folder / "platform")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        raise Refused(f"{folder}: cannot be written ({error.strerror}); name another one with --folder") from error


def busy_line() -> str:
    """A sentence where other programs already keep the processors busy: the releases then wait for longer; empty where none do."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load < BUSY * processors:
        return ""
    return (
        f"this machine is busy: {load:.1f} processes compete for {processors} processors; the demo waits for its answers, and takes longer"
    )


def read_plan(golden: Path) -> Plan:
    """The demo's plan, with the place of the golden requests filled in."""
    with resources.as_file(resources.files("tfcanary.cli.demo").joinpath("plan.yaml")) as file:
        plan: Plan = codec.decode(Plan, read_document(file), at="the demo's plan.yaml")
    assert plan.predictions is not None
    return replace(plan, predictions=replace(plan.predictions, source=str(golden)))


def train(models: Path) -> None:
    """Train and export the five models in a process of its own, whose words go to a file: TensorFlow says much when it starts.

    Raises Unavailable with the last line of that file where the process fails.
    """
    print("training five models on the handwritten digits that scikit-learn ships", file=sys.stderr, flush=True)
    models.mkdir(exist_ok=True)
    log = models / "training.log"
    with log.open("w", encoding="utf-8") as out:
        command = [sys.executable, "-m", "tfcanary.cli.demo.digit_models", str(models)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        raise Unavailable(f"the models could not be trained: {last}; see {log}")


def has_expected_end(candidate: DemoCandidate, release: Release) -> bool:
    """Whether a release ended as it should, and for the reason that it should."""
    if candidate.refused_by:
        gate = release.looks.get(candidate.refused_by)
        return release.state is candidate.end_state and gate is not None and gate.finding is Finding.FAIL
    return release.state is candidate.end_state and bool(release.watched)


def unexpected_failures(answers: UserAnswers) -> dict[str, int]:
    """The failures of users' requests that are not the broken model's own, by what was answered."""
    return {problem: number for problem, number in answers.failed.items() if BROKEN_BY_ITSELF not in problem}
