"""Restoring: whatever happened to the world, it becomes what the record wants, and nothing is raised for anybody but the live holder."""

from __future__ import annotations

import pytest

from tests.act.conftest import RUN, release_of
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tests.process import Behaviour, Process
from tfcanary.act import finish, ledger, promote, restore, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Intent, ModelVersion, Pool, RunningPool, Track, Traffic
from tfcanary.core.errors import Conflict, Held
from tfcanary.core.record import State


def break_world(world: World, candidate: ModelVersion) -> None:
    """Traffic to a track that points at nothing, and stable pointing at other servers."""
    world.traffic = Traffic(canary=30)
    world.tracks.pop(Track.CANARY, None)
    world.tracks[Track.STABLE] = Pool(candidate.number)
    world.processes[Pool(9)] = Process(Behaviour(answer=9.0))


def test_an_ended_release_whose_world_was_changed_is_put_right_by_whoever_looks_next(world: World, at_last_stage: ModelVersion) -> None:
    platform = world.platform()
    rollback.roll_back(platform, RUN, "errors")
    break_world(world, at_last_stage)
    found = restore.differences(platform, ledger.read(platform))
    assert [line.partition(",")[0] for line in found] == [
        "the stable track points at version 2",
        "the traffic of the canary is 30 %",
        "servers of version 9 run",
    ]
    assert rollback.roll_back(platform, RUN) == release_of(world)
    assert (world.traffic, world.tracks) == (Traffic(), {Track.STABLE: Pool(1)})
    assert restore.differences(platform, ledger.read(platform)) == ()


def test_a_promoted_release_is_put_right_too(world: World, at_last_stage: ModelVersion) -> None:
    promote.promote(world.platform(), RUN)
    world.tracks[Track.STABLE] = Pool(1)
    finish.finish(world.platform(), RUN)
    assert world.tracks == {Track.STABLE: Pool(at_last_stage.number)}


def test_nothing_is_written_where_nothing_differs(world: World, at_last_stage: ModelVersion) -> None:
    platform = world.platform()
    rollback.roll_back(platform, RUN, "errors")
    before = len(world.weights), world.records.writes
    restore.restore(platform, RUN)
    assert (len(world.weights), world.records.writes) == before


def test_without_the_hold_a_share_is_not_raised(world: World, at_last_stage: ModelVersion) -> None:
    world.traffic = Traffic(canary=20)
    restore.restore(world.platform(), RUN)
    assert world.weight == 20
    with holding(world.platform(), RUN, "watch stage 1") as hold:
        restore.restore(world.platform(), RUN, hold)
    assert world.weight == 50


def test_another_releases_world_is_not_touched(world: World, at_last_stage: ModelVersion) -> None:
    assert restore.restore(world.platform(), "run-2") is None
    assert world.weight == 50


def test_a_trip_of_another_release_moves_nothing(world: World, at_last_stage: ModelVersion) -> None:
    with pytest.raises(Held):
        shift.trip(world.platform(), "run-2", "errors")
    assert world.weight == 50


def test_an_older_raise_meets_a_conflict_after_a_trip(world: World, at_last_stage: ModelVersion) -> None:
    platform, old = world.platform(), release_of(world).token
    shift.trip(platform, RUN, "errors")
    with pytest.raises(Conflict, match="wrote intent"):
        platform.router.set_traffic(Traffic(canary=50), old)
    assert world.weight == 0


def test_lowering_is_always_taken_from_the_same_release_and_never_from_another(world: World, at_last_stage: ModelVersion) -> None:
    router, number = world.platform().router, release_of(world).intent
    with pytest.raises(Conflict):
        router.set_traffic(Traffic(), Intent("run-0", number - 5))
    router.set_traffic(Traffic(), Intent(RUN, number - 5))
    assert (world.weight, router.stamp()) == (0, Intent(RUN, number))


def test_servers_that_were_started_after_the_end_go_again(world: World, at_last_stage: ModelVersion) -> None:
    platform, release = world.platform(), release_of(world)
    rollback.roll_back(platform, RUN, "aborted")
    finish.let_go(platform, RUN)
    world.stamps.pop(Pool(at_last_stage.number), None)  # the servers of before are gone, and their stamp with them
    platform.deployer.deploy(RunningPool(at_last_stage), release.token)
    finish.finish(platform, RUN)
    assert set(world.processes) == {Pool(1)}


def test_a_stable_track_that_points_at_nothing_gets_its_servers_back(world: World, at_last_stage: ModelVersion) -> None:
    platform = world.platform()
    rollback.roll_back(platform, RUN, "errors")
    world.processes.pop(Pool(1))
    world.tracks.pop(Track.STABLE)
    finish.finish(platform, RUN)
    assert (world.tracks, Pool(1) in world.processes) == ({Track.STABLE: Pool(1)}, True)


def test_a_candidate_that_was_rolled_back_is_never_in_the_stable_bucket(world: World, at_last_stage: ModelVersion) -> None:
    world.stable_storage = FakeStorage()
    platform = world.platform()
    set_traffic = type(platform.router).set_traffic

    def aborted(router: object, traffic: Traffic, intent: Intent) -> None:
        set_traffic(router, traffic, intent)  # type: ignore[arg-type]
        if traffic.canary == 100:
            rollback.roll_back(world.platform(), RUN, "aborted by a person")

    pytest.MonkeyPatch().setattr(type(platform.router), "set_traffic", aborted)
    try:
        with pytest.raises(Exception, match="rolled back"):
            promote.promote(platform, RUN)
    finally:
        type(platform.router).set_traffic = set_traffic  # type: ignore[method-assign]
    assert release_of(world).state is State.ROLLED_BACK
    assert world.stable_storage.list() == ()
