"""A process that is killed at its n-th write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.fakes import World
from tfcanary.core.ports import Platform


class Dies(Exception):
    """The process is killed."""


def dying(world: World, at: int) -> Platform:
    """A platform whose n-th write, to whatever port, kills the process before it happens."""
    platform = world.platform()
    left = [at]

    def mortal(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Dies
            return call(*arguments, **named)

        return wrapped

    class Mortal:
        def __init__(self, port: object, writes: set[str]) -> None:
            self.port, self.writes = port, writes

        def __getattr__(self, name: str) -> object:
            found = getattr(self.port, name)
            return mortal(found) if name in self.writes else found

    return replace(
        platform,
        deployer=Mortal(platform.deployer, {"deploy", "assign", "remove"}),
        router=Mortal(platform.router, {"set_traffic"}),
        records=Mortal(platform.records, {"swap"}),
        storage=Mortal(platform.storage, {"write", "delete"}),
        guards=Mortal(platform.guards, {"start"}),
    )
