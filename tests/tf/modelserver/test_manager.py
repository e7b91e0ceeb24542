"""The manager with a file system and a clock of its own: configs, labels, looks and requests; no TensorFlow."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.manager import ModelManager
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.status import RequestError
from tfcanary.tf.runtime import TensorFlowError


class Loaded:
    """A model in memory that notes when it is freed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class World:
    """Directories and a clock; `run` does what is to be done until nothing is, as the manager's thread would."""

    def __init__(self, **flags) -> None:
        self.now = 0.0
        self.directories: dict[str, list[str]] = {}
        self.bad: set[str] = set()
        self.loads: list[str] = []
        options = Options(max_num_load_retries=0, **flags)
        self.manager = ModelManager(self.load, options, self.list_directory, lambda: self.now)

    def list_directory(self, path: Path) -> Collection[str]:
        if str(path) not in self.directories:
            raise FileNotFoundError(path)
        return self.directories[str(path)]

    def load(self, model: str, path: Path) -> Loaded:
        self.loads.append(str(path))
        if str(path) in self.bad:
            raise TensorFlowError("NOT_FOUND", "no model")
        return Loaded()

    def run(self) -> None:
        while self.manager.work():
            pass

    def take_over(self, *models: ModelConfig) -> None:
        """Take a config over as somebody does who does not wait for its models."""
        try:
            self.manager.reload(models, lambda: False)
        except RequestError as error:
            if error.code != "CANCELLED":
                raise
        self.run()

    def states(self, model: str = "m") -> dict[int, str]:
        return {one.number: one.state for one in self.manager.states(model)}

    def served(self, model: str = "m", version: int | None = None, label: str = "") -> int:
        with self.manager.borrow(model, version, label) as loaded:
            return loaded.number


def model(name: str = "m", **fields) -> ModelConfig:
    return ModelConfig(name, Path("/models", name), **fields)


@pytest.fixture
def world() -> World:
    world = World()
    world.directories["/models/m"] = ["1", "2"]
    return world


def refusal(call, *arguments) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    return caught.value.code, str(caught.value)


def test_a_request_gets_the_version_that_it_names_or_the_highest(world: World) -> None:
    world.take_over(model(latest=2))
    assert (world.served(), world.served(version=1)) == (2, 1)
    assert refusal(world.served, "m", 7) == ("NOT_FOUND", "Servable not found for request: Specific(m, 7)")
    assert refusal(world.served, "nix") == ("NOT_FOUND", "Servable not found for request: Latest(nix)")
    assert refusal(world.served, "m", None, "nix") == ("INVALID_ARGUMENT", "Unrecognized servable version label: nix")


@pytest.mark.parametrize(("seconds", "served"), [(1, 3), (0, 2)])
def test_new_versions_are_looked_for_as_often_as_told(seconds: int, served: int) -> None:
    world = World(file_system_poll_wait_seconds=seconds)
    world.directories["/models/m"] = ["2"]
    world.take_over(model())
    world.directories["/models/m"].append("3")
    world.run()
    assert world.served() == 2  # nobody has looked yet
    world.now = 1.0
    world.run()
    assert world.served() == served


def test_a_negative_interval_means_that_nobody_looks() -> None:
    world = World(file_system_poll_wait_seconds=-1)
    world.directories["/models/m"] = ["1"]
    world.take_over(model())
    assert (world.loads, world.states()) == ([], {})


def test_a_base_path_that_is_missing_stops_the_looks_for_all_and_unloads_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.take_over(model())
    world.take_over(model(), model("n"))
    world.directories["/models/m"].append("3")
    for now in (1.0, 2.0, 3.0):
        world.now = now
        world.run()
    assert world.states() == {2: "AVAILABLE"}
    assert capsys.readouterr().err == (
        "FileSystemStoragePathSource encountered a filesystem access error: Could not find base path /models/n for servable n "
        "with error NOT_FOUND: /models/n not found\n"
    )
    world.directories["/models/n"] = ["1"]
    world.now = 4.0
    world.run()
    assert (world.states(), world.states("n")) == ({2: "END", 3: "AVAILABLE"}, {1: "AVAILABLE"})


def test_an_empty_base_path_unloads_every_version(world: World) -> None:
    world.take_over(model())
    world.directories["/models/m"] = []
    world.now = 1.0
    world.run()
    assert world.states() == {2: "END"}


def test_a_version_is_freed_once_its_last_request_has_ended(world: World) -> None:
    world.take_over(model())
    with world.manager.borrow("m") as loaded:
        world.take_over()
        assert world.states() == {2: "UNLOADING"}
        assert not loaded.servable.closed
        assert refusal(world.served)[0] == "NOT_FOUND"
    world.run()
    assert (world.states(), loaded.servable.closed) == ({2: "END"}, True)


def test_a_model_that_the_config_no_longer_names_is_unloaded_at_once(world: World) -> None:
    world.directories["/models/n"] = ["1"]
    world.take_over(model(), model("n"))
    world.take_over(model("n"))
    assert (world.states(), world.states("n")) == ({2: "END"}, {1: "AVAILABLE"})


def test_a_label_may_only_name_a_version_that_serves(world: World) -> None:
    expected = "FAILED_PRECONDITION", "Request to assign label to version 1 of model m, which is not currently available for inference"
    assert refusal(world.take_over, model(latest=2, labels={"stable": 1})) == expected
    world.take_over(model())
    assert refusal(world.take_over, model(latest=2, labels={"stable": 1})) == expected
    assert world.states() == {2: "AVAILABLE"}  # the refused config changed nothing
    world.take_over(model(labels={"stable": 2}))
    assert world.served(label="stable") == 2


def test_a_label_moves_at_once_and_goes_with_its_line(world: World) -> None:
    world.take_over(model(latest=2))
    world.take_over(model(latest=2, labels={"stable": 1, "canary": 2}))
    world.take_over(model(latest=2, labels={"stable": 2}))
    assert world.served(label="stable") == 2
    assert refusal(world.served, "m", None, "canary")[0] == "INVALID_ARGUMENT"


def test_with_the_flag_a_new_label_may_come_first_but_a_moved_one_may_not() -> None:
    world = World(allow_version_labels_for_unavailable_models=True)
    world.directories["/models/m"] = ["1", "2"]
    world.take_over(model(specific=frozenset({1}), labels={"stable": 1, "next": 9}))
    assert world.served(label="stable") == 1
    assert refusal(world.served, "m", None, "next") == ("NOT_FOUND", "Servable not found for request: Specific(m, 9)")
    code, _ = refusal(world.take_over, model(latest=2, labels={"stable": 2}))
    assert code == "FAILED_PRECONDITION"
    world.now = 1.0
    world.take_over(model(latest=2, labels={"stable": 1}))
    world.take_over(model(latest=2, labels={"stable": 2}))
    assert world.served(label="stable") == 2


def test_a_reload_waits_for_new_models_alone_and_says_why_one_did_not_come(world: World) -> None:
    def wanted() -> bool:
        world.now += 1.0
        world.run()
        return True

    world.directories["/models/n"] = ["4"]
    world.bad = {"/models/n/4"}
    world.take_over(model())
    assert refusal(world.manager.reload, (model(), model("n")), wanted) == (
        "UNKNOWN",
        "1 model(s) did not become available: {{{name: n version: 4} due to error: NOT_FOUND: no model}, }",
    )
    world.manager.reload((model(specific=frozenset({1})), model("n")), lambda: False)  # no new model: nobody waits
    world.bad.clear()
    world.take_over(model())
    world.manager.reload((model(), model("n")), wanted)
    assert world.served("n") == 4


def test_whoever_leaves_ends_his_wait(world: World) -> None:
    assert refusal(world.manager.reload, (model("n"),), lambda: False)[0] == "CANCELLED"
    world.take_over(model())  # the next config is taken over all the same
    assert world.served() == 2


def test_a_config_without_a_list_does_nothing_at_first_and_is_refused_later(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.manager.reload(None, lambda: True)
    assert capsys.readouterr().err == "Taking no action for empty config.\n"
    world.take_over(model())
    code, message = refusal(world.manager.reload, None, lambda: True)
    assert code == "FAILED_PRECONDITION"
    assert message.startswith("Cannot transition to requested config.")
    assert world.served() == 2
