"""A bucket that is out of reach between two steps, while the guard alone watches a canary with traffic."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.adapters.storage.gcs_server import BUCKET, Answer, Asked, Fault, GcsServer
from tests.cluster.site import Site
from tests.cluster.waiting import until
from tfcanary.cli.demo.users import UserAnswers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Ours = Callable[[UserAnswers], dict[str, int]]
METHODS = ("GET", "POST", "DELETE")


class WayOfPods(GcsServer):
    """The pods' own way to the bucket of the steps: what is refused to the guard is not refused to them."""

    def __init__(self, bucket: GcsServer) -> None:
        super().__init__()
        self.bucket = bucket

    def answer(self, asked: Asked, damage: bool = False) -> Answer:
        return self.bucket.answer(asked, damage)


@pytest.fixture
def ways() -> Iterator[tuple[GcsServer, GcsServer]]:
    """The steps' way to the bucket, and the pods'."""
    bucket = GcsServer()
    pods = WayOfPods(bucket)
    yield bucket, pods
    pods.close()
    bucket.close()


@pytest.fixture
def site(bare: Site, ways: tuple[GcsServer, GcsServer], monkeypatch: pytest.MonkeyPatch) -> Site:
    """Version 1 is stable, its bytes are in the bucket, and users ask."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", ways[0].url)
    bare.cluster.use_for_pods(bare.pods_proxy.url, STORAGE_EMULATOR_HOST=ways[1].url)
    bare.bucket = f"gs://{BUCKET}"
    first = bare.release("v1", bootstrap=True)
    assert first.state.value == "promoted", first.reason
    bare.begin_users()
    return bare


LONG = pytest.mark.skipif(os.environ.get("TFCANARY_LONG") != "1", reason="each look at a bucket that is away takes half a minute")


@pytest.mark.parametrize(
    ("status", "to_the_steps", "sentence"),
    [
        pytest.param(503, True, "gs://tested", id="away", marks=LONG),
        pytest.param(403, False, "storage.objects", id="forbidden to the guard"),
    ],
)
def test_a_guard_that_cannot_go_on_judging_takes_the_traffic_from_the_canary(
    status: int, to_the_steps: bool, sentence: str, site: Site, ours: Ours, ways: tuple[GcsServer, GcsServer]
) -> None:
    run = site.start("better", forced=True, weights=[50, 60], deploy={"handover": "200s"}, judge={"guards": {"blind_after": "10s"}})
    site.in_traffic(run)
    until(lambda: (holder := site.release_of(run.run_id).holder) and not holder.watching)
    run.kill()
    for way in ways if to_the_steps else ways[1:]:
        way.faults += [Fault(method, "", status) for method in METHODS]
    ended = site.settled(run)
    assert not ended.failed
    assert ended.reason.startswith("undecided: nobody could go on judging for 10s: ")
    assert sentence in ended.reason
    assert ours(site.seen()) == {}
