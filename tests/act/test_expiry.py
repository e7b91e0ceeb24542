"""What old releases left in the bucket goes, and nothing else: no active release's, no kept version's, nobody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.act.conftest import RUN, manifest_of, model
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tests.process import Behaviour, Process
from tfcanary.act import expiry, finish, ledger, push, rollback
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion, Pool
from tfcanary.core.errors import Conflict, Unavailable
from tfcanary.core.plan import BucketPlan, Plan
from tfcanary.core.plan.cluster import MOST_RELEASES
from tfcanary.core.ports import Blob
from tfcanary.core.record import Ended, Record, State

__all__ = ["model"]

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OF_A_RELEASE = ("releases/{}/00000007.json", "polls/{}/00000000.z", "polls/{}/00000012.z", "traces/{}/00000000.z")


def ended(run_id: str, version: int = 0) -> Ended:
    return Ended(run_id, State.ROLLED_BACK, version, "", NOON, NOON)


def remember(world: World, *history: Ended, **more: object) -> None:
    ledger.update(world.platform(), lambda record: replace(record, history=history, **more))  # type: ignore[arg-type]


def write(world: World, *names: str) -> None:
    for name in names:
        world.storage.write(f"digits/{name}", b"{}")


def names(world: World) -> set[str]:
    return {blob.name.removeprefix("digits/") for blob in world.storage.list("digits/")}


def objects_of(run_id: str) -> set[str]:
    return {name.format(run_id) for name in OF_A_RELEASE}


def test_old_releases_go_and_the_newest_stay(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, "active")
    remember(world, *(ended(f"run-{i}") for i in range(10)))
    everything = [objects_of(f"run-{i}") for i in range(10)]
    write(world, *objects_of("active"), *(name for one in everything for name in one))
    expiry.expire(world.platform(), keep=4)
    assert names(world) == objects_of("active").union(*everything[7:])
    expiry.expire(world.platform(), keep=4)
    assert names(world) == objects_of("active").union(*everything[7:])


def test_a_release_that_the_history_does_not_name_stays(world: World, plan: Plan) -> None:
    """Somebody else's, who shares the bucket, or one that began after the record was read."""
    ledger.begin(world.platform(), plan, "active")
    remember(world, ended("old"), ended("new"))
    write(world, *objects_of("old"), *objects_of("elsewhere"))
    expiry.expire(world.platform(), keep=1)
    assert names(world) == objects_of("elsewhere")


@pytest.mark.parametrize(
    "name",
    [
        "releases/old/notes.txt",
        "releases/old/7.json",
        "releases/old/00000007.json.bak",
        "releases/old/deeper/00000007.json",
        "releases/old-too/00000007.json",
        "releases/00000007.json",
        "polls/old/00000000.json",
        "traces/old/00000000",
        "reports/old/00000000.z",
        "versions/old/00000007.json",
        "7/releases/old/00000007.json",
    ],
)
def test_what_has_not_exactly_our_form_is_never_removed(world: World, plan: Plan, name: str) -> None:
    ledger.begin(world.platform(), plan, "active")
    remember(world, ended("old"), ended("new"))
    write(world, name, "releases/old/00000007.json")
    world.storage.write("letters/releases/old/00000007.json", b"another model's")
    expiry.expire(world.platform(), keep=1)
    assert names(world) == {name}
    assert world.storage.list("letters/")


def test_what_is_written_anew_after_the_listing_stays(world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.begin(world.platform(), plan, "active")
    remember(world, ended("old"), ended("new"))
    write(world, "releases/old/00000007.json")
    listed = world.storage.list

    def overtaken(prefix: str = "") -> tuple[Blob, ...]:
        found = listed(prefix)
        write(world, "releases/old/00000007.json")
        return found

    monkeypatch.setattr(world.storage, "list", overtaken)
    with pytest.raises(Conflict, match="is generation"):
        expiry.expire(world.platform(), keep=1)
    assert "digits/releases/old/00000007.json" in world.storage.objects


def sealed(world: World, *numbers: int, done: bool = True) -> None:
    """Claims of versions whose files are gone; nothing runs."""
    world.processes.clear()
    for number in numbers:
        digest = f"{number:064x}"
        blobs = (Blob("saved_model.pb", 1, 1, "crc32c:00000000"),) if done else ()
        world.storage.write(f"digits/versions/{number}.sha256-{digest}", b"")
        world.storage.write(f"digits/versions/{number}.json", codec.dumps(push.Claim(f"sha256:{digest}", (), blobs)).encode())


def claimed(world: World) -> set[int]:
    return set(push.list_versions(world.platform()).claims)


def version(number: int) -> ModelVersion:
    return ModelVersion(number, f"fake://bucket/digits/{number}", f"sha256:{number:064x}")


def test_claims_go_only_of_versions_that_can_never_be_asked_for_again(world: World, plan: Plan) -> None:
    sealed(world, *range(1, 8), *range(9, 31))
    sealed(world, 8, done=False)
    write(world, "5/saved_model.pb")
    world.processes[Pool(6)] = Process(Behaviour())
    remember(world, ended("one", version=3), stable=version(20), previous=(version(4),))
    expiry.expire(world.platform(), keep=2)
    kept = {3, 4, 5, 6, 8, *range(20, 31)}
    assert claimed(world) == kept
    assert set(push.list_versions(world.platform()).marks) == kept


def test_the_newest_claims_stay_as_long_as_releases_do(world: World) -> None:
    sealed(world, *range(1, 11))
    remember(world, stable=version(40))
    expiry.expire(world.platform(), keep=4)
    assert claimed(world) == {7, 8, 9, 10}


def test_a_number_whose_claim_is_gone_is_not_given_again(world: World, model: Path) -> None:
    sealed(world, *range(1, 11))
    remember(world, stable=version(10))
    expiry.expire(world.platform(), keep=1)
    assert claimed(world) == {10}
    assert push.push(world.platform(), model, manifest_of(model)).number == 11


class Dies(Exception):
    """The process is killed."""


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_killed_at_any_removal_and_run_again_it_ends_the_same(world: World, dies_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(world, 1, 2, 3, 4)
    remember(world, stable=version(10))
    left, delete = [dies_at], FakeStorage.delete

    def dying(storage: FakeStorage, name: str, if_generation: int | None = None) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Dies(name)
        delete(storage, name, if_generation)

    with monkeypatch.context() as patch:
        patch.setattr(FakeStorage, "delete", dying)
        with pytest.raises(Dies):
            expiry.expire(world.platform(), keep=1)
    assert claimed(world) >= {4}
    expiry.expire(world.platform(), keep=1)
    assert claimed(world) == {4} == set(push.list_versions(world.platform()).marks)


def end(world: World, plan: Plan) -> None:
    """A release begins, is aborted, and its guard lets go."""
    ledger.begin(world.platform(), plan, RUN)
    rollback.roll_back(world.platform(), RUN, "aborted")
    finish.let_go(world.platform(), RUN)


def test_the_end_of_a_release_removes_what_the_plan_does_not_keep(world: World, plan: Plan) -> None:
    remember(world, ended("first"), ended("second"))
    write(world, *objects_of("first"), *objects_of("second"), *objects_of(RUN))
    end(world, replace(plan, bucket=BucketPlan(keep_releases=2)))
    assert names(world) == objects_of("second") | objects_of(RUN)


def test_a_bucket_that_is_away_keeps_no_release_from_its_end(world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("bucket does not answer")

    remember(world, ended("first"))
    monkeypatch.setattr(world.storage, "list", away)
    end(world, replace(plan, bucket=BucketPlan(keep_releases=1)))
    assert isinstance(world.records.stored and world.records.stored.record, Record)


@pytest.mark.parametrize("keep", [0, 41])
def test_a_plan_that_keeps_no_release_or_more_than_the_record_remembers_is_refused(keep: int) -> None:
    with pytest.raises(ValueError, match=f"keep_releases {keep}: must be from 1 to 40"):
        BucketPlan(keep_releases=keep)


def test_old_releases_are_removed_before_the_record_forgets_them() -> None:
    assert MOST_RELEASES < ledger.HISTORY


def test_the_signed_verdict_of_a_version_goes_when_the_record_forgets_the_version(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, "active")
    versions = {number: ModelVersion(number, f"fake://bucket/digits/{number}", f"sha256:{number:064x}") for number in (6, 7)}
    history = tuple(replace(ended(f"run-{number}", number), state=State.PROMOTED) for number in (3, 4, 5))
    remember(world, *history, stable=versions[7], previous=(versions[6],))
    write(world, *(f"verdicts/{number}.json" for number in (3, 4, 5, 6, 7, 8)), "verdicts/notes.txt")
    expiry.expire(world.platform(), keep=1)
    assert names(world) == {"verdicts/5.json", "verdicts/6.json", "verdicts/7.json", "verdicts/8.json", "verdicts/notes.txt"}
