"""ACT: the world becomes what the record wants. The one function by which traffic, tracks and servers are moved.

`restore` reads the world first and writes only what differs, each write under the intent of the record it has read, and reads the
record again after every write: where the record has changed meanwhile, it begins again with what is wanted now. So every process may
call it at any time, again and again: a rollback, the exit step, the guard, the last act of a promotion, `abort` and `tfcanary repair`.
Only the live holder of a release may raise the candidate's share by it; everybody else may only lower.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tfcanary.act import ledger
from tfcanary.act.hold import Hold
from tfcanary.core.domain import Intent, Pool, RunningPool, Track, Traffic
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Deployment, Platform
from tfcanary.core.record import Record, Release, State

log = logging.getLogger("tfcanary.restore")

TRIES = 12
"""Times that the record may change under a restoration: its writers are few."""
Move = Callable[[], None]


def restore(platform: Platform, run_id: str, hold: Hold | None = None, before_raise: Callable[[], None] = lambda: None) -> Release | None:
    """Make the world what this run's release wants; returns the release, or None where the record shows another one.

    `hold` is the caller's live hold: without one nothing is raised. `before_raise` is called before the candidate's share is raised: it may
    wait, or raise. Raises Unavailable where a part of the world cannot be reached or
    does not follow, Held where `hold` is over.
    """
    work = _Work(platform, hold, before_raise)
    for _ in range(TRIES):
        release = ledger.read(platform).release
        if release is None or release.run_id != run_id:
            return None
        if work.pass_over(release):
            return release
    raise Unavailable(f"{platform.model}: the world did not become what release {run_id!r} wants within {TRIES} passes")


def differences(platform: Platform, record: Record) -> tuple[str, ...]:
    """What of the world is not as the record wants it, one sentence each. The function asks only."""
    release = record.release
    if release is None:
        return ()
    running, wanted = platform.deployer.observe(), release.desired
    found = [
        f"the {track.value} track points at {running.tracks.get(track) or 'nothing'}, not at {wanted.tracks.get(track) or 'nothing'}"
        for track in Track
        if running.tracks.get(track) != wanted.tracks.get(track)
    ]
    now = _traffic(platform)
    if now != wanted.traffic:
        found.append(f"the traffic of the canary is {now if now else 'unknown'}, not {wanted.traffic}")
    found += [f"no server of {pool} runs" for pool in dict.fromkeys(wanted.tracks.values()) if not running.servers.get(pool)]
    found += [f"servers of {pool} run, and nobody needs them" for pool in _unwanted(release, running)]
    found += [
        f"the autoscaler of {one.pool} keeps at least {running.scaling[one.pool].least} servers"
        f"{', and makes the pool no smaller' if running.scaling[one.pool].held else ''}; wanted are {one.least}"
        for one in _wrongly_scaled(release, running)
    ]
    return tuple(found)


@dataclass(slots=True)
class _Work:
    """One restoration: what it has stamped already is not stamped again under the same intent."""

    platform: Platform
    hold: Hold | None
    before_raise: Move
    stamped: set[tuple[str, int]] = field(default_factory=set)

    def pass_over(self, release: Release) -> bool:
        """Move what differs, one thing after the other; whether nothing had to be moved, and so all is as wanted."""
        clean = True
        for move in self._moves(release):
            clean = False
            if not self._moved(release, move):
                return False
        return clean

    def _moved(self, release: Release, move: Move) -> bool:
        """Make one move and read the record again, also where the move raised; whether the same world is still wanted."""
        failure: Unavailable | Refused | None = None
        try:
            move()
        except Conflict as error:
            # Somebody wrote under a newer intent, or at the same moment: the record says what is wanted now.
            log.info("%s: %s", self.platform.model, error)
        except (Unavailable, Refused) as error:
            failure = error
        again = ledger.read(self.platform).release
        same = again is not None and again.token == release.token and again.state is release.state
        if failure and same:
            raise failure
        return same

    def _moves(self, release: Release) -> Iterator[Move]:
        """What differs, in the order in which no user's request ever meets a track without servers; the world is read between the moves."""
        platform, wanted = self.platform, release.desired
        running = platform.deployer.observe()
        yield from self._lowered(release, running)
        for pool in dict.fromkeys(wanted.tracks.values()):
            one = wanted.pool(pool)
            if one is not None and not running.servers.get(pool):
                yield lambda one=one: platform.deployer.deploy(one, release.token)  # type: ignore[misc]
        stable = wanted.tracks.get(Track.STABLE)
        if self._may_point(release, stable):
            yield from self._pointed(release, Track.STABLE, stable, running)
        yield from self._others(release, running)
        yield from self._scaled(release, running)
        yield from self._raised(release)
        if release.state is not State.WATCHED or self.hold is not None:
            yield from self._removed(release, running)

    def _lowered(self, release: Release, running: Deployment) -> Iterator[Move]:
        wanted, at_zero = release.desired.traffic, release.desired.traffic == Traffic()
        now = _traffic(self.platform) if at_zero else self.platform.router.traffic()
        if now is None:
            # Weight 0 is written over whatever the route has become, once; the router itself reads it back.
            if ("route", release.intent) not in self.stamped:
                yield self._set(wanted, release)
        elif now == wanted:
            # A first release has no stable track yet: a route that leads to none never comes into force.
            if Track.STABLE in running.tracks and self._unstamped("route", self.platform.router.stamp(), release):
                yield self._set(wanted, release)
        elif wanted.lowers(now):
            yield self._set(wanted, release)

    def _raised(self, release: Release) -> Iterator[Move]:
        if self.hold is None or release.desired.traffic == Traffic():
            return
        if self.platform.router.traffic() != release.desired.traffic:
            self.before_raise()
            self.hold.check()
            yield self._set(release.desired.traffic, release)

    def _set(self, traffic: Traffic, release: Release) -> Move:
        self.stamped.add(("route", release.intent))
        return lambda: self.platform.router.set_traffic(traffic, release.token)

    def _may_point(self, release: Release, stable: Pool | None) -> bool:
        """Pointing the stable track at the candidate gives it all traffic: before the end only the live holder does it."""
        if release.state.ended or release.candidate is None or stable is None or stable.number != release.candidate.number:
            return True
        if self.hold is not None:
            self.hold.check()
        return self.hold is not None

    def _others(self, release: Release, running: Deployment) -> Iterator[Move]:
        wanted, traffic = release.desired.tracks, _traffic(self.platform)
        for track in (Track.CANARY, Track.BASELINE, Track.PREVIEW):
            pool = wanted.get(track)
            # A track that users still reach is not taken from under them.
            if pool is not None or traffic is None or traffic.of(track) == 0:
                yield from self._pointed(release, track, pool, running)

    def _pointed(self, release: Release, track: Track, pool: Pool | None, running: Deployment) -> Iterator[Move]:
        if running.tracks.get(track) == pool and (pool is None or not self._unstamped(track.value, running.stamps.get(track), release)):
            return
        self.stamped.add((track.value, release.intent))
        yield lambda: self.platform.deployer.assign(track, pool, release.token)

    def _scaled(self, release: Release, running: Deployment) -> Iterator[Move]:
        for pool in _wrongly_scaled(release, running):
            yield lambda pool=pool: self.platform.deployer.scale(pool, release.token)  # type: ignore[misc]

    def _removed(self, release: Release, running: Deployment) -> Iterator[Move]:
        for pool in _unwanted(release, running):
            yield lambda pool=pool: self.platform.deployer.remove(pool, release.token)  # type: ignore[misc]

    def _unstamped(self, what: str, stamp: Intent | None, release: Release) -> bool:
        """Whether an older write could still land on an object: it carries no stamp of this intent yet."""
        return (stamp is None or stamp.number < release.intent) and (what, release.intent) not in self.stamped


def _unwanted(release: Release, running: Deployment) -> list[Pool]:
    wanted = {one.pool for one in release.desired.pools} | set(release.desired.tracks.values())
    return sorted(set(running.servers) - wanted)


def _wrongly_scaled(release: Release, running: Deployment) -> list[RunningPool]:
    """The pools whose autoscaler has been told something else than is wanted."""
    return [one for one in release.desired.pools if running.scaling.get(one.pool, one.scaling) != one.scaling]


def _traffic(platform: Platform) -> Traffic | None:
    """The traffic in force; None where nobody says, or the route is not ours any more."""
    try:
        return platform.router.traffic()
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)
        return None
