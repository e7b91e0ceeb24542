"""ACT: servers before traffic. Before the candidate's share rises, its pool and the baseline's have the servers that the share needs.

A pool only grows in a release. The record says its size before any server is started: a step that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tfcanary.act import deploy, restore
from tfcanary.act.hold import Hold
from tfcanary.core.domain import Desired, Finding, RunningPool, Track, Traffic
from tfcanary.core.errors import GaveUp


def provide(hold: Hold, traffic: Traffic) -> None:
    """Start the servers that this traffic needs, and return once all of them are available.

    Nothing to do where the traffic rises nowhere, or where the number of servers makes the share: then the router starts them. Raises GaveUp
    where servers are missing after `deploy.ready_timeout`, Held where the release is not held any more, or was decided meanwhile.
    """
    platform, release = hold.platform, hold.release
    if release.plan.traffic.divides_by_servers or traffic.lowers(release.desired.traffic):
        return
    stable = deploy.ready_servers_of_stable(platform)
    least = release.plan.serving.canary_servers(traffic.canary, stable)
    wanted = deploy.want(hold, lambda desired: _grown(desired, traffic, least))
    pools = tuple(_pools_with(wanted.desired, traffic))
    for pool in pools:
        deploy.deploy_pool(hold, pool, wanted.token)
    # The route carries the new intent at once: whoever watches meanwhile knows a change by somebody else from ours.
    restore.restore(platform, hold.run_id, hold)
    for pool in pools:
        found = deploy.available(hold, pool)
        if found.finding is not Finding.PASS:
            raise GaveUp(f"{traffic} needs {pool.least} servers of {pool.pool} beside stable's {stable}: {found.reason}")


def _grown(desired: Desired, traffic: Traffic, least: int) -> Desired:
    """With at least so many servers in each pool that gets a share beside stable's."""
    for pool in _pools_with(desired, traffic):
        desired = desired.with_pool(replace(pool, least=max(pool.least, least)))
    return desired


def _pools_with(desired: Desired, traffic: Traffic) -> Iterator[RunningPool]:
    """The pools of the canary and of the baseline that get a share."""
    for track in (Track.CANARY, Track.BASELINE):
        pool = desired.pool(desired.tracks[track]) if traffic.of(track) and track in desired.tracks else None
        if pool is not None:
            yield pool
