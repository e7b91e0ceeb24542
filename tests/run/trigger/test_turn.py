"""The last step of a training pipeline: its candidate waits its turn, beside whoever else dispatches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.trigger_release.component import trigger_release
from tests.act.conftest import end_as
from tests.adapters.kubeclient.api_server import ApiServer, Told, kubeconfig
from tests.conftest import QUICK
from tests.run.trigger.conftest import EXPORTS, Site
from tfcanary.act import ledger, queue
from tfcanary.adapters.kube import guards
from tfcanary.core import codec
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import Fate, Waiting
from tfcanary.run.trigger import offer

PLAN: Plan = codec.decode(Plan, QUICK)


class Step:
    """Calls the component's body."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, uri: str, run_id: str = "run-a", **more: Any) -> str:
        given = {"model_uri": uri, "model_name": "digits", "platform": "fake://", "plan": QUICK, "run_id": run_id, "wait": "1h"}
        word: str = trigger_release.python_func(**given | more, page=str(self.folder / "page"), reason=str(self.folder / "reason"))
        return word

    @property
    def page(self) -> str:
        return (self.folder / "page").read_text()

    @property
    def reason(self) -> str:
        return (self.folder / "reason").read_text()


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


def begin_other_release(site: Site) -> None:
    """Somebody's release."""
    ledger.begin(site.worlds["digits"].platform(), PLAN, "a-person")


def after(site: Site, seconds: float, do: Any) -> None:
    """On the world's clock, once."""
    clock = site.worlds["digits"].clock
    at = clock.now() + timedelta(seconds=seconds)
    done: list[int] = []

    def tick(_: float) -> None:
        if clock.now() >= at and not done:
            done.append(1)
            do()

    clock.on_sleep.append(tick)


def free(site: Site) -> None:
    from tfcanary.core.record import State

    end_as(site.worlds["digits"].platform(), "a-person", State.PROMOTED, "good")


def test_on_a_free_road_it_submits_at_once_and_says_where(site: Site, step: Step) -> None:
    uri = f"{EXPORTS['digits']}/7"
    assert step(uri) == "submitted"
    assert site.pipelines.submitted == [("digits", uri)]
    assert step.page == "https://kfp.example/#/runs/details/run-1"


def test_it_waits_until_the_road_is_free(site: Site, step: Step) -> None:
    begin_other_release(site)
    after(site, 600, lambda: free(site))
    assert step(f"{EXPORTS['digits']}/7") == "submitted"
    assert site.pipelines.collisions == 0


def test_it_waits_no_longer_than_it_may_and_the_candidate_stays(site: Site, step: Step) -> None:
    begin_other_release(site)
    assert step(f"{EXPORTS['digits']}/7", wait="5m") == "waiting"
    assert step.reason.endswith("release a-person is active")
    assert [one.model_uri for one in site.record().waiting] == [f"{EXPORTS['digits']}/7"]
    free(site)
    assert step(f"{EXPORTS['digits']}/7") == "submitted", "the step that runs again goes on waiting"
    assert step(f"{EXPORTS['digits']}/7") == "submitted", "and once more tells what was done"
    assert site.pipelines.versions() == ["7"]


def test_a_newer_candidate_takes_its_place(site: Site, step: Step) -> None:
    begin_other_release(site)
    newer = Waiting("0123456789abcdef", f"{EXPORTS['digits']}/8", site.worlds["digits"].clock.now())
    after(site, 60, lambda: offer.offer(site.worlds["digits"].platform(), newer, PLAN))
    assert step(f"{EXPORTS['digits']}/7") == "replaced"
    assert "was replaced by gs://exports/digits/8" in step.reason
    assert step(f"{EXPORTS['digits']}/6", run_id="run-b") == "replaced"


def test_where_another_dispatcher_takes_it_the_step_tells_the_page(site: Site, step: Step) -> None:
    begin_other_release(site)
    platform = site.worlds["digits"].platform()

    def other() -> None:
        free(site)
        event = ledger.read(platform).waiting[0].event
        ledger.update(platform, lambda r: queue.call(r, event, platform.clock.now()))
        after(site, 30, lambda: ledger.update(platform, lambda r: queue.submitted(r, event, "https://their.page")))

    after(site, 60, other)
    assert step(f"{EXPORTS['digits']}/7") == "submitted"
    assert (step.page, site.pipelines.submitted) == ("https://their.page", [])


def test_a_dispatcher_that_died_with_the_claim_costs_the_candidate_and_it_is_said(site: Site, step: Step) -> None:
    begin_other_release(site)
    platform = site.worlds["digits"].platform()

    def other() -> None:
        free(site)
        ledger.update(platform, lambda r: queue.call(r, r.waiting[0].event, platform.clock.now()))

    after(site, 60, other)
    assert step(f"{EXPORTS['digits']}/7") == "late"
    assert "no release had begun 15 minutes later" in step.reason


@pytest.fixture
def in_a_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServer]:
    """A pod on a cluster whose API server knows it."""
    api = ApiServer()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig", api.url)))
    monkeypatch.setenv("KFP_POD_NAME", "retrain-1")
    monkeypatch.setattr(guards, "OWN_NAMESPACE", tmp_path / "nowhere")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    yield api
    api.close()


def test_on_a_cluster_a_release_runs_in_the_image_of_the_step_that_submits_it(site: Site, step: Step, in_a_step: ApiServer) -> None:
    pod = {"metadata": {"name": "retrain-1"}, "spec": {"containers": [{"name": "main", "image": "registry/tfcanary@sha256:1"}]}}
    in_a_step.told = [Told(body=pod), Told(body=pod)]
    host = {"platform": "kube://serving", "host": "http://ml-pipeline.kubeflow:8888"}
    assert step(f"{EXPORTS['digits']}/7", **host) == "submitted"
    assert site.pipelines.submissions[-1].image == "registry/tfcanary@sha256:1"
    site.end()
    assert step(f"{EXPORTS['digits']}/8", run_id="run-b", image="example/tfcanary:2", **host) == "submitted"
    assert site.pipelines.submissions[-1].image == "example/tfcanary:2"


def test_a_step_without_a_pod_needs_the_image_by_name(site: Site, step: Step, in_a_step: ApiServer) -> None:
    in_a_step.told = [Told(404, {})]
    with pytest.raises(Refused, match="image: is missing, and the image of this step cannot be read"):
        step(f"{EXPORTS['digits']}/7", platform="kube://serving", host="http://ml-pipeline.kubeflow:8888")
    assert site.record().heard == ()


def test_people_are_given_an_address_that_they_can_open(site: Site, step: Step) -> None:
    step(f"{EXPORTS['digits']}/7", host="http://ml-pipeline.kubeflow:8888", host_ui="https://kubeflow.example/_/pipeline", image="a:1")
    assert site.pipelines.submissions[-1].host_ui == "https://kubeflow.example/_/pipeline"


def test_what_cannot_be_submitted_is_refused_by_a_word(site: Site, step: Step) -> None:
    site.pipelines.error = Refused("the host knows no such account")
    assert step(f"{EXPORTS['digits']}/7") == "refused"
    assert step.reason == "the host knows no such account"


def test_a_host_that_does_not_answer_is_asked_again(site: Site, step: Step) -> None:
    site.pipelines.error = Unavailable("KFP cannot be reached")
    after(site, 120, lambda: setattr(site.pipelines, "error", None))
    assert step(f"{EXPORTS['digits']}/7") == "submitted"
    site.end()
    site.pipelines.error = Unavailable("KFP cannot be reached")
    assert step(f"{EXPORTS['digits']}/8", run_id="run-b", wait="2m") == "waiting"
    assert step.reason == "KFP cannot be reached"
    assert site.record().called is None


def test_a_pipeline_that_ends_before_its_release_begins_frees_the_model(site: Site, step: Step) -> None:
    site.pipelines.begins = False
    assert step(f"{EXPORTS['digits']}/7") == "submitted"
    assert site.record().called is not None
    from tfcanary.run.trigger.dispatch import Dispatcher
    from tfcanary.run.trigger.settings import Target
    from tfcanary.run.trigger.trigger_metrics import Counts

    platform = site.worlds["digits"].platform()
    dispatcher = Dispatcher(platform, PLAN, Target("fake://", host="https://kfp.example", image="example/tfcanary:1"), Counts())
    offer.offer(platform, Waiting("b" * 16, f"{EXPORTS['digits']}/8", platform.clock.now()), PLAN)
    platform.clock.sleep(queue.BEGINS.total_seconds())
    assert dispatcher.look(), "the claim is out of time"
    site.pipelines.runs[-1].over = False
    assert not dispatcher.look()
    fates = [(one.candidate.model_uri.rpartition("/")[2], one.fate) for one in site.record().dropped]
    assert fates == [("7", Fate.LATE), ("8", Fate.REFUSED)]
    assert "ended before its release began: see https://kfp.example" in site.record().dropped[-1].reason
    assert (site.record().called, dispatcher.runs) == (None, {})


def test_a_recurring_run_releases_the_newest_complete_version_once(site: Site, step: Step) -> None:
    newest = {"newest": True, "complete": "_SUCCESS"}
    assert step(EXPORTS["digits"], **newest) == "nothing new"
    for n in (9, 10):
        site.export(n)
    site.bucket(EXPORTS["digits"]).write("11/saved_model.pb", b"not complete")
    assert step(EXPORTS["digits"], run_id="monday", **newest) == "submitted"
    assert site.pipelines.versions() == ["10"]
    assert step(EXPORTS["digits"], run_id="tuesday", **newest) == "nothing new"
    site.end()
    site.bucket(EXPORTS["digits"]).write("11/_SUCCESS", b"")
    assert step(EXPORTS["digits"], run_id="wednesday", **newest) == "submitted"
    assert site.pipelines.versions() == ["10", "11"]


def test_a_recurring_run_goes_on_waiting_for_what_an_earlier_one_offered(site: Site, step: Step) -> None:
    begin_other_release(site)
    site.export(10)
    newest = {"newest": True, "complete": "_SUCCESS", "wait": "5m"}
    assert step(EXPORTS["digits"], run_id="monday", **newest) == "waiting"
    free(site)
    assert step(EXPORTS["digits"], run_id="tuesday", **newest) == "submitted"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"uri": "gs://exports/../x"}, "'..' is not taken"),
        ({"uri": "relative/model"}, "is no absolute path"),
        ({"plan": {"weigths": [5]}}, "did you mean 'weights'"),
        ({"wait": "soon"}, "wait: 'soon' is not a time"),
        ({"platform": "kube://serving"}, "name the Kubeflow Pipelines endpoint"),
        ({"host": "http://kfp.example"}, "image: is missing, and the package names"),
        ({"host": "http://kfp.example", "image": "a:1", "plan": {"drift": {"retrain": "x" * 9_900}}}, "its largest part is `drift`"),
    ],
)
def test_a_wrong_argument_changes_nothing(site: Site, step: Step, change: dict[str, Any], sentence: str) -> None:
    before = site.record()
    with pytest.raises(Refused) as refused:
        step(**{"uri": f"{EXPORTS['digits']}/7", **change})
    assert sentence in str(refused.value)
    assert site.record() == before


def test_whoever_was_offered_long_ago_is_not_said_to_be_released(site: Site, step: Step) -> None:
    assert step(f"{EXPORTS['digits']}/7") == "submitted"
    site.end()
    assert step(f"{EXPORTS['digits']}/8", run_id="run-b") == "submitted"
    assert step(f"{EXPORTS['digits']}/7") == "gone"
