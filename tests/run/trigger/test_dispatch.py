"""The dispatcher of one model, on a clock of the test's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.act.conftest import end_as
from tests.conftest import QUICK
from tests.run.trigger.conftest import EXPORTS, Site
from tfcanary.act import ledger, queue
from tfcanary.core import codec
from tfcanary.core.errors import Held, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import Fate, State, Waiting
from tfcanary.run.trigger import events, offer, routes
from tfcanary.run.trigger.dispatch import INCOMPLETE, LONGEST_PAUSE, Dispatcher, DispatcherThread
from tfcanary.run.trigger.settings import Source, Target
from tfcanary.run.trigger.trigger_metrics import Counts

PLAN: Plan = codec.decode(Plan, QUICK)


def dispatcher(site: Site, **more: Any) -> Dispatcher:
    return Dispatcher(site.worlds["digits"].platform(), PLAN, Target("fake://"), Counts(), **more)


def offered(site: Site, version: int) -> Waiting:
    platform = site.worlds["digits"].platform()
    made = Waiting(queue.identity("test", str(version)), f"{EXPORTS['digits']}/{version}", platform.clock.now())
    offer.offer(platform, made, PLAN)
    return made


def test_a_candidates_commit_and_training_run_travel_from_its_event_to_its_release(site: Site) -> None:
    data = {"model_uri": f"{EXPORTS['digits']}/7", "model": "digits", "git_commit": "9c1f2e7", "trainingRun": "train-4711"}
    event = {"specversion": "1.0", "id": "3", "source": "/registry", "type": "model.ready", "data": data}
    (read,) = events.read(events.Message({"content-type": events.STRUCTURED}, json.dumps(event).encode()))
    source = Source(exports=EXPORTS["digits"], plan=PLAN)
    made = routes.of_version("digits", source, read, site.worlds["digits"].clock.now()).waiting
    offer.offer(site.worlds["digits"].platform(), made, PLAN)
    assert dispatcher(site).look()
    release = site.record().release
    assert release
    assert (release.export.commit, release.export.training_run) == ("9c1f2e7", "train-4711")


def test_nobody_is_submitted_while_a_release_is_active(site: Site) -> None:
    platform, one = site.worlds["digits"].platform(), dispatcher(site)
    ledger.begin(platform, PLAN, "a-person")
    offered(site, 7)
    assert not one.look()
    end_as(platform, "a-person", State.PROMOTED, "good")
    assert one.look()
    assert not one.look()
    assert site.pipelines.versions() == ["7"]


def test_a_release_that_begins_at_the_last_moment_puts_the_candidate_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    one, made = dispatcher(site), offered(site, 7)
    site.pipelines.error = Held("release 'a-person' is active")
    with pytest.raises(Held):
        one.look()
    assert (site.record().waiting, site.record().called) == ((made,), None)


def test_an_error_that_nobody_expected_gives_the_claim_back(site: Site) -> None:
    """Else the model would be closed for a quarter of an hour."""
    one, made = dispatcher(site), offered(site, 7)
    site.pipelines.error = ImportError("cannot import name 'Client' from 'kfp'")
    with pytest.raises(ImportError):
        one.look()
    assert (site.record().waiting, site.record().called) == ((made,), None)
    site.pipelines.error = None
    assert one.look()


def test_a_persons_release_that_begins_before_the_called_ones_puts_the_candidate_back(site: Site) -> None:
    one, made = dispatcher(site), offered(site, 7)
    site.pipelines.begins = False  # its pod is not there yet
    assert one.look()
    platform = site.worlds["digits"].platform()
    ledger.begin(platform, PLAN, "a-person", f"{EXPORTS['digits']}/6")
    assert (site.record().waiting, site.record().called) == ((made,), None)
    assert not one.look()
    end_as(platform, "a-person", State.PROMOTED, "good")
    assert one.look()
    assert site.pipelines.versions() == ["7", "7"]


def test_a_candidate_that_cannot_be_given_back_frees_the_model_by_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    one = dispatcher(site)
    offered(site, 7)
    site.pipelines.error = Unavailable("KFP cannot be reached")

    def away(*_: Any) -> Any:
        raise Unavailable("the API server does not answer")

    monkeypatch.setattr(queue, "give_back", away)
    with pytest.raises(Unavailable, match="KFP"):
        one.look()
    assert site.record().called is not None
    site.pipelines.error = None
    offered(site, 8)
    assert not one.look()
    site.worlds["digits"].clock.sleep(queue.BEGINS.total_seconds())
    assert one.look()
    assert [dropped.fate for dropped in site.record().dropped] == [Fate.LATE]
    assert site.pipelines.versions() == ["8"]


def test_a_version_that_stays_incomplete_is_dropped_after_an_hour(site: Site) -> None:
    one = dispatcher(site, is_complete=lambda uri: uri.endswith("/8"))
    offered(site, 7)
    assert not one.look()
    assert site.record().dropped == ()
    site.worlds["digits"].clock.sleep(INCOMPLETE + 1)
    assert not one.look()
    assert "still incomplete 60 minutes after it was offered" in site.record().dropped[0].reason
    offered(site, 8)
    assert one.look()


def test_a_run_on_this_machine_is_looked_after_until_it_ends(site: Site) -> None:
    one = dispatcher(site)
    offered(site, 7)
    one.look()
    one.look()
    assert len(one.runs) == 1, "nobody else takes its exit code"
    site.end()
    one.look()
    assert one.runs == {}
    assert site.record().dropped == ()


def test_whoever_does_not_answer_is_asked_less_and_less_and_told_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    thread = DispatcherThread(dispatcher(site), every=5)
    offered(site, 7)
    site.pipelines.error = Unavailable("KFP cannot be reached")
    pauses = [thread.step() for _ in range(12)]
    assert pauses[0] <= 10
    assert LONGEST_PAUSE / 2 <= pauses[-1] <= LONGEST_PAUSE
    assert len([line for line in caplog.messages if "KFP cannot be reached; asked again" in line]) == 1
    site.pipelines.error = None
    assert thread.step() == 5
    assert (thread.failures, site.pipelines.versions()) == (0, ["7"])
