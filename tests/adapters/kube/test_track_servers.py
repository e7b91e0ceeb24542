"""The servers of a track while its pool grows: who still loads is not asked for counters, and is looked for again."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfcanary.adapters.kube.counters import PodPages
from tfcanary.adapters.kube.running_servers import TrackServers
from tfcanary.core.domain import Track
from tfcanary.core.plan import MetricsPlan
from tfcanary.core.ports import Server


def pod(name: str, ready: bool) -> Server:
    return Server(name, f"http://{name}", f"{name}:8500", available=False, silent=ready)


@dataclass
class Running:
    """Pods as Kubernetes lists them."""

    pods: tuple[Server, ...]
    asked: int = field(default=0)

    def reachable(self, track: Track) -> tuple[Server, ...]:
        self.asked += 1
        return self.pods


def test_a_pod_that_still_loads_does_not_hide_the_counters_of_the_others() -> None:
    running = Running((pod("old", True), pod("new", False)))
    pages = PodPages("m", MetricsPlan(), TrackServers(running))  # type: ignore[arg-type]
    assert list(pages._pages(Track.CANARY)) == ["old"]
    running.pods = (pod("old", True), pod("new", True))
    assert list(pages._pages(Track.CANARY)) == ["old", "new"], "it counts from the moment at which it gets requests"


def test_where_no_pod_is_ready_all_are_asked_and_their_silence_counts() -> None:
    running = Running((pod("one", False), pod("two", False)))
    assert list(PodPages("m", MetricsPlan(), TrackServers(running))._pages(Track.CANARY)) == ["one", "two"]  # type: ignore[arg-type]


def test_ready_pods_are_not_listed_at_every_poll() -> None:
    running = Running((pod("one", True),))
    servers = TrackServers(running)  # type: ignore[arg-type]
    for _ in range(5):
        servers.of(Track.STABLE)
    assert running.asked == 1


def test_after_a_scaling_the_servers_are_listed_again() -> None:
    running = Running((pod("one", True),))
    servers = TrackServers(running)  # type: ignore[arg-type]
    servers.of(Track.CANARY)
    running.pods = (pod("one", True), pod("two", True))
    servers.forget()
    assert [one.name for one in servers.of(Track.CANARY)] == ["one", "two"]
