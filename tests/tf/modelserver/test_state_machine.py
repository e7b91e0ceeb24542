"""The state machine of versions and the policies, as tables: no model is loaded, no file is read, no clock runs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tfcanary.tf.modelserver.base_paths import aspired_versions, look
from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.lifecycle import Lifecycle, Load, Unload
from tfcanary.tf.modelserver.status import RequestError

BASE = Path("/models/m")


def config(**fields) -> ModelConfig:
    return ModelConfig("m", BASE, **fields)


@pytest.mark.parametrize(
    ("policy", "names", "aspired"),
    [
        (config(), ["1", "2", "10"], {10: "10"}),
        (config(latest=2), ["1", "2", "10"], {10: "10", 2: "2"}),
        (config(latest=9), ["1", "2"], {1: "1", 2: "2"}),
        (config(latest=None), ["1", "2", "10"], {1: "1", 2: "2", 10: "10"}),
        (config(specific=frozenset({1, 7})), ["1", "2"], {1: "1"}),
        (config(specific=frozenset()), ["1", "2"], {}),
        (config(specific=frozenset({123})), ["00000123"], {123: "00000123"}),
        (config(), ["007", "7"], {7: "7"}),
        (config(), ["1700000000000000000"], {1700000000000000000: "1700000000000000000"}),
        (config(), ["9223372036854775808", "5"], {5: "5"}),  # one more than the largest number of a version
        (config(), ["README.md", "tmp-8", "8.tmp", "-3", "٣", "7"], {7: "7"}),
        (config(), [], {}),
    ],
)
def test_a_policy_chooses_among_the_names_in_the_base_path(policy: ModelConfig, names: list[str], aspired: dict[int, str]) -> None:
    assert aspired_versions(policy, names) == {number: BASE / name for number, name in aspired.items()}


def test_a_version_that_is_wanted_and_missing_is_named() -> None:
    _, warnings = look([config(specific=frozenset({3, 4}))], lambda _: ["4"])
    assert warnings == (
        "Version 3 of servable m, which was requested to be served as a 'specific' version in the servable's version policy, "
        "was not found in the file system",
    )
    _, warnings = look([config()], lambda _: ["README.md"])
    assert warnings == (
        "No versions of servable m found under base path /models/m. Did you forget to name your leaf directory as a number (eg. '/1/')?",
    )


def test_one_missing_base_path_hides_the_versions_of_all_models() -> None:
    def list_directory(path: Path) -> Collection[str]:
        if path != BASE:
            raise FileNotFoundError(path)
        return ["1"]

    with pytest.raises(RequestError, match="Could not find base path /gone for servable n with error NOT_FOUND: /gone not found"):
        look([config(), ModelConfig("n", Path("/gone"))], list_directory)


class Bench:
    """A state machine and a notebook: `does` carries out what is to be done, and writes it down."""

    def __init__(self, retries: int = 0, bad: Collection[int] = ()) -> None:
        self.lifecycle = Lifecycle(retries, retry_seconds=60.0)
        self.bad = set(bad)
        self.now = 0.0

    def aspire(self, *numbers: int, model: str = "m") -> None:
        self.lifecycle.aspire(model, {number: BASE / str(number) for number in numbers})

    def does(self) -> list[str]:
        done = []
        while action := self.lifecycle.next_action(self.now):
            if isinstance(action, Unload):
                done.append(f"unload {action.number}")
                self.lifecycle.unloaded(action.model, action.number)
            elif action.number in self.bad:
                done.append(f"fail {action.number}")
                self.lifecycle.failed(action.model, action.number, "NOT_FOUND", "no model", self.now)
            else:
                done.append(f"load {action.number}")
                self.lifecycle.loaded(action.model, action.number)
        return done

    def states(self) -> dict[int, str]:
        return {one.number: one.state if one.code == "OK" else f"{one.state} {one.code}" for one in self.lifecycle.states("m")}


@pytest.mark.parametrize(
    ("before", "after", "done"),
    [
        ([1], [2], ["load 2", "unload 1"]),  # the old version serves until the new one does
        ([1, 2], [2, 3], ["unload 1", "load 3"]),  # 2 serves meanwhile
        ([1, 2], [3], ["unload 1", "load 3", "unload 2"]),  # of two old versions one is enough
        ([1, 2, 3], [3], ["unload 1", "unload 2"]),
        ([1], [1, 2, 3], ["load 3", "load 2"]),
        ([1, 2], [], ["unload 1", "unload 2"]),
        ([2], [1], ["load 1", "unload 2"]),
        ([1], [1], []),
    ],
)
def test_some_version_always_serves(before: list[int], after: list[int], done: list[str]) -> None:
    bench = Bench()
    bench.aspire(*before)
    bench.does()
    bench.aspire(*after)
    assert bench.does() == done
    assert [number for number, state in bench.states().items() if state == "AVAILABLE"] == after


def test_a_version_that_cannot_be_loaded_replaces_nothing() -> None:
    bench = Bench(bad=[2])
    bench.aspire(1)
    bench.does()
    bench.aspire(2)
    assert bench.does() == ["fail 2"]
    assert bench.states() == {1: "AVAILABLE", 2: "END NOT_FOUND"}
    assert bench.does() == []


def test_an_attempt_is_repeated_after_the_interval_and_the_last_one_ends_it() -> None:
    bench = Bench(retries=2, bad=[1])
    bench.aspire(1)
    assert bench.does() == ["fail 1"]
    bench.now = 59.0
    assert (bench.does(), bench.states()) == ([], {1: "LOADING"})
    bench.now = 60.0
    assert bench.does() == ["fail 1"]
    bench.now = 120.0
    assert (bench.does(), bench.states()) == (["fail 1"], {1: "END NOT_FOUND"})
    bench.now = 999.0
    assert bench.does() == []


def test_other_versions_are_loaded_while_one_waits_for_its_next_attempt() -> None:
    bench = Bench(retries=5, bad=[2])
    bench.aspire(1, 2)
    assert bench.does() == ["fail 2", "load 1"]
    assert bench.states() == {1: "AVAILABLE", 2: "LOADING"}


def test_a_version_that_is_no_longer_wanted_is_not_tried_again_and_starts_anew_when_it_is() -> None:
    bench = Bench(retries=5, bad=[2])
    bench.aspire(2)
    bench.does()
    bench.aspire()
    bench.now = 999.0
    assert (bench.does(), bench.states()) == ([], {2: "END NOT_FOUND"})
    bench.bad.clear()
    bench.aspire(2)
    assert (bench.does(), bench.states()) == (["load 2"], {2: "AVAILABLE"})


def test_a_version_that_was_never_begun_ends_without_an_error() -> None:
    bench = Bench()
    bench.aspire(1)
    bench.aspire()
    assert (bench.does(), bench.states()) == ([], {1: "END"})


def test_a_version_that_is_dismissed_while_it_loads_is_unloaded() -> None:
    bench = Bench()
    bench.aspire(1)
    assert bench.lifecycle.next_action(0.0) == Load("m", 1, BASE / "1")
    bench.aspire()
    bench.lifecycle.loaded("m", 1)
    assert (bench.does(), bench.states()) == (["unload 1"], {1: "END"})


def test_a_version_that_is_wanted_again_while_it_unloads_is_loaded_again() -> None:
    bench = Bench()
    bench.aspire(1)
    bench.does()
    bench.aspire()
    assert bench.lifecycle.next_action(0.0) == Unload("m", 1)
    assert bench.states() == {1: "UNLOADING"}
    bench.aspire(1)
    bench.lifecycle.unloaded("m", 1)
    assert (bench.does(), bench.states()) == (["load 1"], {1: "AVAILABLE"})


def test_versions_are_unloaded_before_others_are_loaded_in_whichever_model() -> None:
    bench = Bench()
    bench.aspire(1, model="z")
    bench.does()
    bench.aspire(5)
    bench.aspire(model="z")
    assert bench.does() == ["unload 1", "load 5"]


@pytest.mark.parametrize(
    ("bad", "aspired", "outcome"),
    [
        ([], [1, 2], (2, "AVAILABLE")),
        ([2], [1, 2], (1, "AVAILABLE")),
        ([1, 2], [1, 2], (2, "END")),
        ([1], [1, 2], (2, "AVAILABLE")),
        ([], [], None),
    ],
)
def test_a_model_came_up_where_one_of_its_versions_serves(bad: list[int], aspired: list[int], outcome: tuple[int, str] | None) -> None:
    bench = Bench(bad=bad)
    bench.aspire(*aspired)
    assert bench.lifecycle.outcome("m") is None
    bench.does()
    found = bench.lifecycle.outcome("m")
    assert (found and (found.number, found.state)) == outcome
