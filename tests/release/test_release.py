"""Releases that end with the old stable version, for real: compiled pipeline, KFP's local runner, Envoy, servers, checked answers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from examples import reuse_components
from tests.adapters.local.conftest import until
from tests.release.conftest import NAME, PLAN, Site
from tfcanary import adapters
from tfcanary.adapters import local
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.supervisor_client import is_up
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core import codec
from tfcanary.core.domain import Decision, Finding, Role, Track, Traffic
from tfcanary.core.errors import Held, Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import State

LONG = {"poll": "500ms", "minimum": "60s", "maximum": "90s"}
"""A stage that lasts until somebody does something."""
Ours = Callable[[UserAnswers], dict[str, int]]


def test_a_model_with_another_signature_is_refused_before_anything_is_copied(site: Site, ours: Ours) -> None:
    ended = site.release("other-signature")
    assert (ended.state, ended.candidate, ended.first_traffic) == (State.REFUSED, None, None)
    assert "picture" in ended.reason
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_a_model_that_breaks_under_load_is_rolled_back_by_the_watcher(site: Site, ours: Ours) -> None:
    ended = site.release("breaks-under-load")
    assert (ended.state, ended.failed, site.weight()) == (State.ROLLED_BACK, True, 0)
    assert [v.decision for v in ended.watched] == [Decision.ROLLBACK]
    tally = site.seen()
    assert ours(tally) == {}
    assert sum(tally.failed.values()) > 0
    assert site.record().stable is not None


@pytest.mark.slow
def test_a_model_that_breaks_at_the_last_stage_only_is_rolled_back_there(site: Site, ours: Ours) -> None:
    """At 1 % hardly a bulk request reaches it."""
    ended = site.release("breaks-under-load", weights=[1, 60])
    assert (ended.state, ended.stage, site.weight()) == (State.ROLLED_BACK, 1, 0)
    assert [v.decision for v in ended.watched] == [Decision.ADVANCE, Decision.ROLLBACK]
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_a_model_that_is_confidently_wrong_never_gets_traffic(site: Site, ours: Ours) -> None:
    golden = {"source": str(site.models / "golden.jsonl"), "accuracy_margin": 0.05, "limit": 200}
    ended = site.release("confidently-wrong", predictions=golden)
    assert (ended.state, ended.first_traffic) == (State.REFUSED, None)
    assert ended.looks["compare"].finding is Finding.FAIL
    assert "accuracy" in ended.reason
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_a_release_that_cannot_be_decided_is_rolled_back_as_undecided(site: Site, ours: Ours) -> None:
    ended = site.release("better", stage={"poll": "500ms", "minimum": "2s", "maximum": "4s"})
    assert (ended.state, ended.failed, site.weight()) == (State.ROLLED_BACK, False, 0)
    assert ended.reason.startswith("undecided")
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_drift_of_a_stage_is_counted_from_the_servers_own_log(site: Site, ours: Ours) -> None:
    """The stage outlasts the ten seconds after which a server writes its log; inputs of the same minutes are alike."""
    drift = {"gating": ["inputs"], "fail": 0.3, "warn": 0.2}
    stage = {"poll": "500ms", "minimum": "15s", "maximum": "16s"}
    judge = {**PLAN["judge"], "minimum_time": "10m"}  # type: ignore[dict-item]
    ended = site.release("better", weights=[20, 50], stage=stage, drift=drift, judge=judge)
    assert (ended.state, ended.failed) == (State.ROLLED_BACK, False), "undecided by plan: other tests need the old stable version"
    found = {e.about: e for e in ended.looks["drift-0"].evidence}
    assert found["drift/inputs"].finding in (Finding.PASS, Finding.INCONCLUSIVE)
    assert "drift/scores" in found
    assert not found["drift/scores"].gating
    assert ours(site.seen()) == {}


REUSE = """
import json, sys
from kfp import local
from examples import reuse_components
folder, arguments = json.load(sys.stdin)
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=folder, raise_on_error=True)
reuse_components.try_a_candidate(**arguments)
"""
"""As somebody else would run it: in a process of its own, for the runner talks to standard output."""


@pytest.mark.slow
def test_somebody_elses_pipeline_of_the_components_tries_a_candidate_and_puts_everything_back(
    site: Site, ours: Ours, tmp_path: Path
) -> None:
    """examples/reuse_components.py: their own step reads what ours found."""
    plan = {**PLAN, "weights": [20, 50], "deploy": {"warm_timeout": "5s"}}
    arguments = {"model_uri": str(site.models / "better"), "model_name": NAME, "platform": site.uri, "plan": plan}
    job = json.dumps([str(tmp_path / "artifacts"), arguments])
    paths = {**os.environ, "PYTHONPATH": str(Path(reuse_components.__file__).parents[1]), "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-W", "ignore", "-c", REUSE]
    done = subprocess.run(command, input=job, env=paths, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{NAME}: advance after one stage; drift: pass" in done.stdout
    ended = site.release_of()
    assert (ended.state, ended.reason, site.weight()) == (State.ROLLED_BACK, "it was only tried", 0)
    assert [v.decision for v in ended.watched] == [Decision.ADVANCE]
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_a_step_that_raises_is_followed_by_the_guard(site: Site, ours: Ours) -> None:
    """The golden file is gone when the step reads it: the step cannot do its work."""
    handle = site.submit("better", predictions={"source": str(site.models / "none.jsonl")})
    ended = handle.wait()
    assert handle.run.result() is False
    assert (ended.state, ended.ended is None, site.weight()) == (State.REFUSED, False, 0)
    assert ours(site.seen()) == {}


def until_traffic(site: Site) -> None:
    until(lambda: (r := site.record().release) is not None and r.weight > 0 and r.state is State.WATCHED, 300)
    until(lambda: site.weight() > 0, 30)  # the record is written first


@pytest.mark.slow
def test_a_run_that_is_killed_while_the_canary_has_traffic_is_ended_by_the_guard(site: Site, ours: Ours) -> None:
    handle = site.submit("better", stage=LONG)
    until_traffic(site)
    handle.run.stop()
    assert site.weight() == 50
    until(lambda: site.release_of().state.ended, 60)
    ended = site.release_of()
    assert (ended.state, site.weight()) == (State.ROLLED_BACK, 0)
    assert "left alone" in ended.reason
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_a_second_release_is_refused_by_name_and_leaves_the_first_alone(site: Site) -> None:
    first = site.submit("better", stage=LONG)
    until_traffic(site)
    with pytest.raises(Held, match="is active"):
        site.submit("v1")
    assert site.weight() == 50
    ended = first.abort("the test is over")
    assert ended is not None
    assert (ended.state, site.weight()) == (State.ROLLED_BACK, 0)


def submitted(site: Site, before: str) -> bool:
    return True


def begun(site: Site, before: str) -> bool:
    return site.release_of().run_id != before


def in_traffic(site: Site, before: str) -> bool:
    return begun(site, before) and site.release_of().weight > 0


@pytest.mark.slow
@pytest.mark.parametrize("moment", [submitted, begun, in_traffic], ids=lambda m: m.__name__)
def test_ctrl_c_at_any_moment_leaves_the_stable_version_with_everything(
    site: Site, tmp_path: Path, ours: Ours, moment: Callable[[Site, str], bool]
) -> None:
    before = site.release_of().run_id
    plan = tmp_path / "plan.yaml"
    plan.write_text(codec.dumps({**PLAN, "stage": LONG}))
    command = [sys.executable, "-m", "tfcanary", "release", str(site.models / "better"), "--name", NAME, "--plan", str(plan)]
    process = subprocess.Popen([*command, "--platform", site.uri], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("pipeline: ")
    until(lambda: moment(site, before), 120)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 3, said
    assert "interrupted: rolling back" in said
    assert "Traceback" not in said
    assert site.weight() == 0
    assert site.release_of().state.ended
    assert ours(site.seen()) == {}


@pytest.mark.slow
def test_ctrl_c_before_anything_was_submitted_is_no_traceback(site: Site, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (3, "")


WAITS = """
import sys, time, types
class Slow(types.ModuleType):
    def main(self):
        print("importing", flush=True)
        time.sleep(60)
import tfcanary, tfcanary.__main__
sys.modules["tfcanary.cli"] = tfcanary.cli = Slow("tfcanary.cli")
tfcanary.__main__.main()
"""
"""Ctrl-C while the command line is still being imported."""


@pytest.mark.slow
def test_a_server_that_dies_in_mid_stage_ends_in_a_rollback(site: Site) -> None:
    guards = {"crash_after": "5s", "silence_after": "240s"}
    handle = site.submit("better", stage=LONG, judge={**PLAN["judge"], "guards": guards})  # type: ignore[dict-item]
    until_traffic(site)
    candidate = site.release_of().candidate
    assert candidate is not None
    for _ in range(12):
        for pid in servers_of(site, candidate.number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(1)
        if site.release_of().state is not State.WATCHED:
            break
    ended = handle.wait()
    assert (ended.state, site.weight()) == (State.ROLLED_BACK, 0)


def servers(site: Site) -> list[dict[str, Any]]:
    return list(local.status(site.folder)["models"][NAME]["servers"])


def servers_of(site: Site, number: int) -> list[int]:
    return [one["pid"] for one in servers(site) if one["version"] == number and one.get("pid")]


@pytest.mark.slow
def test_a_baseline_gets_as_much_as_the_canary_its_death_convicts_nobody_and_an_abort_takes_it_away(site: Site) -> None:
    handle = site.submit("better", stage=LONG, weights=[20, 50], deploy={**PLAN["deploy"], "baseline": True})  # type: ignore[dict-item]
    until_traffic(site)
    assert site.traffic() == Traffic(canary=20, baseline=20)
    (baseline,) = [one for one in servers(site) if one["role"] == Role.BASELINE]
    assert baseline["version"] != site.release_of().candidate.number  # type: ignore[union-attr]
    os.kill(baseline["pid"], signal.SIGKILL)
    time.sleep(5)
    assert not site.release_of().failed
    handle.abort("the test is over")
    ended = handle.wait()
    assert (ended.state, ended.failed, site.traffic()) == (State.ROLLED_BACK, False, Traffic())
    observed = adapters.open_platform(site.uri, NAME, Plan()).deployer.observe()
    assert set(observed.tracks) == {Track.STABLE}


@pytest.mark.slow
def test_a_supervisor_that_is_killed_leaves_nothing_and_comes_back_at_weight_zero(site: Site) -> None:
    handle = site.submit("better", stage=LONG)
    until_traffic(site)
    pid = local.status(site.folder)["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_up(Folder(site.folder)))
    handle.run.stop()
    local.up(site.folder)
    served = adapters.open_platform(site.uri, NAME, Plan()).deployer.observe()
    assert all(server.available for server in served.servers[served.tracks[Track.STABLE]]), "`up` returns when users are served"
    assert site.weight() == 0
    until(lambda: site.release_of().state.ended, 90)
    assert site.release_of().state is State.ROLLED_BACK

    def answered() -> int:
        site.users.take_answers()
        time.sleep(2)
        return site.seen().answered

    until(lambda: answered() > 50, 90)  # the stable version loads again, too


def test_a_missing_stable_version_is_refused_before_anything_starts(models: Path, tmp_path: Path) -> None:
    local.up(tmp_path / "empty")
    try:
        with pytest.raises(Refused, match="bootstrap: true"):
            Site(tmp_path / "empty", f"local://{tmp_path / 'empty'}", models, None).submit("v1")  # type: ignore[arg-type]
    finally:
        local.down(tmp_path / "empty")


def test_a_release_is_refused_at_once_while_the_platform_is_down(models: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is not up: `tfcanary up` starts it"):
        Site(tmp_path / "empty", f"local://{tmp_path / 'empty'}", models, None).submit("v1", bootstrap=True)  # type: ignore[arg-type]
    assert not (tmp_path / "empty").exists()
