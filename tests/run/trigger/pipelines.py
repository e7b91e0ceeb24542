"""The host of pipelines in memory, for the trigger: what it is asked to start opens its release at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import count

from tests.act.conftest import end_as
from tests.fakes import World
from tfcanary.act import ledger
from tfcanary.core import codec
from tfcanary.core.errors import Held
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import State
from tfcanary.run.submit import Submission


class Pipelines:
    """In the place of `submit.start`: a run opens its release, which is active until the test ends it."""

    def __init__(self, worlds: dict[str, World]) -> None:
        self.worlds = worlds
        self.submitted: list[tuple[str, str]] = []
        """Model and candidate of each run, in order."""
        self.submissions: list[Submission] = []
        self.runs: list[Pipeline] = []
        self.collisions = 0
        """Runs that found another active release."""
        self._numbers = count(1)
        self.begins = True
        self.error: Exception | None = None
        """What the host says in place of starting a run."""
        self.waits: threading.Event | None = None
        """The host answers only when this is set."""

    def start(self, submission: Submission) -> Pipeline:
        if self.waits:
            self.waits.wait(30)
        if self.error:
            raise self.error
        self.submissions.append(submission)
        model = submission.arguments["model_name"]
        run = Pipeline(self.worlds[model].platform(model), f"run-{next(self._numbers)}", submission.arguments["release_id"])
        try:
            if self.begins:
                ledger.begin(run.platform, codec.decode(Plan, submission.arguments["plan"]), run.release_id)
        except Held:
            self.collisions += 1
        self.runs.append(run)
        self.submitted.append((model, submission.arguments["model_uri"]))
        return run

    def versions(self, model: str = "digits") -> list[str]:
        """The last part of each candidate's URI, in the order of submission."""
        return [uri.rpartition("/")[2] for name, uri in self.submitted if name == model]


@dataclass
class Pipeline:
    """One run."""

    platform: Platform
    run_id: str
    release_id: str
    over: bool | None = None

    def result(self) -> bool | None:
        return self.over

    def stop(self) -> None:
        self.over = False

    def describe(self) -> str:
        return f"https://kfp.example/#/runs/details/{self.run_id}"

    def failure(self) -> str:
        return ""

    def end(self) -> None:
        """The release is over, whatever state it has."""
        end_as(self.platform, self.release_id, State.ROLLED_BACK, "the test ends it")
        self.over = True
