"""Who acts: Kubeflow and its steps, the guard as its Deployment restarts it, people, a second release, an administrator."""

from __future__ import annotations

import copy
import hashlib
import logging
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from tests.fake_storage import FakeStorage
from tests.simulation.judge import PlainJudge
from tests.simulation.scheduler import START, Choice, Process, Scheduler
from tests.simulation.world import World
from tfcanary.act import checkpoint, deploy, ledger, orders, promote, push, rollback
from tfcanary.core import codec
from tfcanary.core.domain import Absence, Decision, Look, ModelVersion, Pool, Scaling, Track, Traffic, Verdict
from tfcanary.core.errors import Held, Refused, TfcanaryError
from tfcanary.core.plan import Approval, FreezePlan, Plan, ScalingPlan
from tfcanary.core.ports import Platform
from tfcanary.core.record import State
from tfcanary.look.evaluate import metrics
from tfcanary.look.savedmodel import FileDigest, Manifest
from tfcanary.run import guard, watch

UNTIL = 6 * 3600.0
"""Virtual seconds after which a release must have ended."""
POD = 12.0
"""Seconds until the pod of a step, or of a guard that died, has started."""
DRIFT = Look("drift", absent=(Absence("drift", "absent by plan"),))
PLAN: Plan = codec.decode(
    Plan,
    {
        "weights": [10, 50],
        "stage": {"poll": "5s", "minimum": "10s", "maximum": "300s", "patience": "400s"},
        "judge": {"guards": {"blind_after": "150s"}},
        "deploy": {"keep_previous": "240s", "ready_timeout": "60s"},
        "guard": {"ready_timeout": "120s"},
    },
)


@dataclass(frozen=True)
class Scenario:
    """What happens beside the choices of the schedule; times in seconds from the beginning."""

    bad: bool = False
    """The candidate answers with errors."""
    abort_at: float | None = None
    second_at: float | None = None
    """Somebody else's release of another version waits for its turn from then on."""
    admin_at: float | None = None
    """An administrator changes the canary's share by hand."""
    diverted_at: float | None = None
    """An administrator leads the route to a Service of somebody else."""
    pause_at: float | None = None
    """A person pauses the release, and resumes it two minutes later."""
    twice: str = ""
    """The step that Kubeflow starts a second time while the first process still works."""
    lost_at: float | None = None
    """Kubeflow itself is gone from then on: no further step runs, the exit step neither."""
    away: tuple[tuple[str, float, float], ...] = ()
    """Ports that do not answer: name, from, to."""
    skew: float = 30.0
    """How many seconds the clocks of the machines are apart."""
    approval: bool = False
    """Each stage waits for a person, who approves."""
    scaling: bool = False
    """Each version has an autoscaler."""
    frozen: tuple[int, int] | None = None
    """From when to when no weight may rise by the plan, in minutes."""
    override_at: float | None = None
    """A person overrides the plan's windows."""
    baseline: bool = False
    """Fresh servers of the stable version get as much as the canary."""

    @property
    def is_quiet(self) -> bool:
        """Nothing happens that could be a reason to roll back a healthy canary."""
        loud = (self.abort_at, self.admin_at, self.diverted_at, self.lost_at)
        return not (self.bad or self.away or any(at is not None for at in loud))


def frozen(begins: int, ends: int) -> FreezePlan:
    """A freeze between two minutes of the simulation."""
    first, last = (f"{START + timedelta(minutes=minute):%Y-%m-%d %H:%M}" for minute in (begins, ends))
    return FreezePlan("UTC", first, last)


@dataclass
class Run:
    """One simulated release, or two."""

    scenario: Scenario
    choices: tuple[Choice, ...] = ()
    scheduler: Scheduler = field(init=False)
    world: World = field(init=False)
    finished: dict[str, bool] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler({choice.at: choice for choice in self.choices})
        self.world = World(self.scheduler)
        self.world.storage.objects = dict(_bucket().objects)
        self.world.storage.generation = _bucket().generation
        self.world.bad = self.scenario.bad
        if self.scenario.scaling:
            self.world.autoscalers = {Pool(1): Scaling(2, held=False)}
        self.world.frozen = self.scenario.frozen or (0, 0)
        self.world.away = {name: (begins, ends) for name, begins, ends in self.scenario.away}
        self.world.on_guard = lambda run_id: self._guard(run_id, 0.0)
        self.scheduler.on_time.append(self.world.check)
        self.scheduler.on_abort = lambda: self._person("a person who aborts", self._abort, 0.0)

    def play(self) -> Run:
        """Run the scenario to its end and judge the world."""
        judge, watch.Judge = watch.Judge, PlainJudge  # type: ignore[misc,assignment,attr-defined]
        threads, metrics.ThreadPoolExecutor = metrics.ThreadPoolExecutor, InPlace  # type: ignore[misc,assignment,attr-defined]
        lines, checkpoint.LINES = checkpoint.LINES, 2
        random.seed(1)  # the jitter of the library's own retries
        logging.disable(logging.CRITICAL)
        try:
            self._begin()
            self.scheduler.run(UNTIL)
            self._judge()
        except AssertionError as error:
            self.world.violate(f"{type(error).__name__}: {error}")
        finally:
            logging.disable(logging.NOTSET)
            watch.Judge = judge  # type: ignore[misc,attr-defined]
            checkpoint.LINES = lines
            metrics.ThreadPoolExecutor = threads  # type: ignore[misc,attr-defined]
        return self

    @property
    def state(self) -> State:
        """How the first release ended."""
        record = self.world.stored.record if self.world.stored else None
        assert record is not None
        if record.release and record.release.run_id == "run-1":
            return record.release.state
        return next(line.state for line in record.history if line.run_id == "run-1")

    def _begin(self) -> None:
        self._pipeline("run-1", 2, 0.0)
        one = self.scenario
        if one.second_at is not None:
            self._pipeline("run-2", 3, one.second_at)
        if one.abort_at is not None:
            self._person("a person who aborts", self._abort, one.abort_at)
        if one.pause_at is not None:
            self._person("a person who pauses", self._pause, one.pause_at)
        if one.override_at is not None:
            self._person("a person who overrides", self._override, one.override_at)
        if one.approval:
            self._person("a person who approves", self._approve, 60.0)
        if one.admin_at is not None:
            self.scheduler.spawn(Process("an administrator"), self._edit, one.admin_at)
        if one.diverted_at is not None:
            self.scheduler.spawn(Process("an administrator"), self._divert, one.diverted_at)

    def _process(self, name: str) -> Process:
        self._count += 1
        return Process(name, timedelta(seconds=(self._count % 3 - 1) * self.scenario.skew))

    # Kubeflow

    def _pipeline(self, run_id: str, number: int, after: float) -> None:
        kubeflow = Process(f"kubeflow {run_id}")
        self.scheduler.spawn(kubeflow, lambda: self._graph(run_id, number), after)
        if self.scenario.lost_at is not None:
            self.scheduler.spawn(Process("an outage"), lambda: self.scheduler.kill(kubeflow), self.scenario.lost_at)

    def _graph(self, run_id: str, number: int) -> None:
        version = versions()[number]
        plan = replace(PLAN, deploy=replace(PLAN.deploy, baseline=self.scenario.baseline))
        plan = replace(plan, stage=replace(plan.stage, approval=Approval.EVERY)) if self.scenario.approval else plan
        plan = replace(plan, scaling=ScalingPlan(max=8, min=2)) if self.scenario.scaling else plan
        plan = replace(plan, freeze=(frozen(*self.scenario.frozen),)) if self.scenario.frozen else plan
        begun = self._step(run_id, "begin", lambda p: ledger.begin(p, plan, run_id), again=run_id != "run-1")
        if begun:
            self._release(run_id, version, plan)
        self._step(run_id, "exit", lambda p: rollback.roll_back(p, run_id), retries=5)

    def _release(self, run_id: str, version: ModelVersion, plan: Plan) -> None:
        def deployed(platform: Platform) -> Look:
            with_candidate = ledger.change(platform, run_id, lambda r: r if r.candidate else replace(r, candidate=version))
            return deploy.deploy_canary(platform, run_id, with_candidate.candidate or version, lambda: iter(()))

        look = self._step(run_id, "deploy", deployed)
        if look is None or look.finding.value != "pass":
            return
        for stage in range(len(plan.weights)):
            verdict: Verdict | None = self._step(run_id, f"watch {stage}", lambda p, s=stage: watch.watch_stage(p, run_id, s))
            if verdict is None:
                return
            judged: Verdict | None = self._step(
                run_id, f"judge {stage}", lambda p, s=stage, v=verdict: watch.judge_stage(p, run_id, s, v, DRIFT)
            )
            if judged is None:
                return
            if judged.decision is Decision.ROLLBACK:
                self._step(run_id, "rollback", lambda p: rollback.roll_back(p, run_id))
                return
        self._step(run_id, "promote", lambda p: promote.promote(p, run_id))

    def _step(self, run_id: str, name: str, body: Callable[[Platform], Any], retries: int = 2, again: bool = False) -> Any:
        """One step, whose pod is started again where it dies; None where it failed. `again`: what is held is waited for."""
        for attempt in range(retries + 1):
            while True:
                done: list[Any] = []
                self._attempt(f"{run_id} {name}#{attempt}", body, done)
                if self.scenario.twice == name and attempt == 0:
                    self.scheduler.sleep(7.0)
                    self._attempt(f"{run_id} {name}#twin", body, done)
                while not any(isinstance(one, tuple) for one in done):
                    self.scheduler.sleep(2.0)
                results = [one for one in done if isinstance(one, tuple)]
                if again and isinstance(results[0][1], Held):
                    self.scheduler.sleep(30.0)
                    continue
                break
            if results[0][0] == "ok":
                return results[0][1]
            if results[0][0] == "error" and name != "exit":
                return None
            self.scheduler.sleep(POD)
        return None

    def _attempt(self, name: str, body: Callable[[Platform], Any], done: list[Any]) -> None:
        process = self._process(name)

        def live() -> None:
            try:
                result = body(self.world.platform(process))
                done.append(("ok", result))
            except TfcanaryError as error:
                self.scheduler.say(f"{name}: {type(error).__name__}: {error}")
                done.append(("error", error))

        process.on_death = lambda: done.append(("killed", None))
        self.scheduler.spawn(process, live, POD if "#0" in name else 0.0)

    # The guard

    def _guard(self, run_id: str, after: float) -> None:
        process = self._process(f"guard {run_id}")
        process.on_death = lambda: self._guard(run_id, POD) if run_id in self.world.guards else None

        def live() -> None:
            try:
                guard.stand_guard(self.world.platform(process), run_id)
            except TfcanaryError as error:
                self.scheduler.say(f"{process.name}: {type(error).__name__}: {error}")
                if run_id in self.world.guards:
                    self._guard(run_id, POD)

        self.scheduler.spawn(process, live, after)

    # People

    def _person(self, name: str, body: Callable[[Platform], object], after: float) -> None:
        process = self._process(name)

        def live() -> None:
            try:
                body(self.world.platform(process))
            except TfcanaryError as error:
                self.scheduler.say(f"{name}: {type(error).__name__}: {error}")

        self.scheduler.spawn(process, live, after)

    def _abort(self, platform: Platform) -> None:
        rollback.roll_back(platform, "run-1", "aborted by a person")

    def _pause(self, platform: Platform) -> None:
        orders.pause(platform, "lunch")
        self.scheduler.sleep(120.0)
        orders.resume(platform, "back")

    def _override(self, platform: Platform) -> None:
        orders.override_window(platform, "it cannot wait")

    def _approve(self, platform: Platform) -> None:
        for _ in range(200):
            record = ledger.read(platform)
            if record.release and record.release.state.ended:
                return
            try:
                orders.approve(platform, "fine")
            except Refused:
                self.scheduler.sleep(10.0)

    def _edit(self) -> None:
        thing = self.world.things.get("route")
        if thing and self.world.serves(self.world.tracks.get(Track.CANARY)):
            self.world.traffic = Traffic(canary=80)
            thing.version += 1
            self.scheduler.say("an administrator sets the canary to 80 %")

    def _divert(self) -> None:
        thing = self.world.things.get("route")
        if thing:
            self.world.diverted = True
            thing.version += 1
            self.scheduler.say("an administrator leads the route elsewhere")

    # What must hold in the end

    def _judge(self) -> None:
        world = self.world
        record = world.stored.record if world.stored else None
        assert record is not None
        release = record.release
        if release is None:
            return
        if not release.state.ended:
            return world.violate(f"{release.run_id} has never ended: it is {release.state.value}")
        stable = record.stable
        assert stable is not None
        if (world.traffic, world.tracks) != (Traffic(), {Track.STABLE: Pool(stable.number)}):
            world.violate(f"in the end the traffic is {world.traffic}, the tracks are {world.tracks}, and {stable.number} is stable")
        if set(world.pools) != {Pool(stable.number)}:
            world.violate(f"in the end the servers of {sorted(map(str, world.pools))} run, and {stable.number} is stable")
        told = (world.autoscalers or {}).get(Pool(stable.number))
        if told not in (None, Scaling(2, held=False)):
            world.violate(f"in the end stable's autoscaler has been told {told}")
        ends = {line.run_id: line for line in record.history} | {release.run_id: release}
        promoted = {2 if run == "run-1" else 3 for run, end in ends.items() if end.state is State.PROMOTED}
        copied = {int(name.split("/")[1]) for name in world.stable_storage.objects if name.split("/")[1].isdecimal()}
        if copied - promoted:
            world.violate(f"version {copied - promoted} lies in the stable bucket and was never promoted")
        if stable.number not in promoted | {1}:
            world.violate(f"version {stable.number} is stable and was never promoted")
        if self.is_healthy and self.state is not State.PROMOTED:
            world.violate(f"a healthy canary ended as {self.state.value}: {getattr(ends['run-1'], 'reason', '')}")
        if self.scenario.bad and State.PROMOTED in {end.state for end in ends.values()}:
            world.violate("a bad canary was promoted")

    @property
    def is_healthy(self) -> bool:
        """Nothing went wrong but for short waits: such a release is promoted."""
        return self.scenario.is_quiet and all(choice.what == "waits" and choice.seconds <= 15 for choice in self.choices)


class InPlace:
    """An executor without threads: what the two looks of a poll see is the same in either order."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> InPlace:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


@cache
def _bucket() -> FakeStorage:
    """Versions 2 and 3, pushed by the real push."""
    world = World(Scheduler())
    with tempfile.TemporaryDirectory() as folder:
        for number in (2, 3):
            export = Path(folder, str(number))
            (export / "variables").mkdir(parents=True)
            files = {"saved_model.pb": b"graph %d" % number, "variables/variables.index": b"weights %d" % number}
            for name, content in files.items():
                (export / name).write_bytes(content)
            digests = tuple(FileDigest(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in sorted(files.items()))
            push.push(world.platform(Process("push")), export, Manifest(digests, f"sha256:{number}"), number=number)
    return world.storage


@cache
def versions() -> dict[int, ModelVersion]:
    """The versions by number."""
    world = World(Scheduler())
    world.storage.objects = copy.copy(_bucket().objects)
    return {number: push.pushed(world.platform(Process("look")), number) for number in (2, 3)}
