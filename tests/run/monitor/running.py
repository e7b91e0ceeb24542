"""A release on the fake world that is stopped in the middle, so that it can be looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.act.conftest import RUN
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import checkpoint, ledger
from tfcanary.run import watch
from tfcanary.run.monitor import ModelReading, families

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Stopped(Exception):
    """The watching step is killed here."""


def watched(world: World, stage: int = 0, sleeps: int = 5) -> None:
    """Watch a stage for so many polls, and no longer."""
    left = [sleeps]

    def stop(_: float) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    world.clock.on_sleep.append(stop)
    with pytest.raises(Stopped):
        watch.watch_stage(world.platform(), RUN, stage)
    world.clock.on_sleep.remove(stop)


def running(world: World) -> None:
    """Until a few polls after the first stage: the judge weighs, and decides nothing yet."""
    watch.watch_stage(world.platform(), RUN, 0)
    watched(world, stage=1)


def seen(world: World, namespace: str = "serving") -> ModelReading:
    """What an exporter would read now."""
    platform = world.platform()
    record = ledger.read(platform)
    kept = checkpoint.load(platform, record.release) if record.active and record.release else None
    return ModelReading(namespace, platform.model, world.clock.now(), record, kept)


def values(*of: ModelReading) -> Values:
    """Every sample by its name and labels."""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families(of) for s in family.samples}


def value(found: Values, name: str, **labels: str) -> float | None:
    """Of the one series with these labels, beside the model's; None where there is none."""
    fits = [v for (n, has), v in found.items() if n == name and labels.items() <= dict(has).items()]
    assert len(fits) < 2, f"{name} {labels}: {len(fits)} series"
    return fits[0] if fits else None


def opens(monkeypatch: pytest.MonkeyPatch, world: World, fails: Callable[[str], None] = lambda model: None) -> None:
    """Every platform is this world."""

    def opened(uri: str, model: str, plan: object) -> object:
        fails(model)
        return world.platform(model)

    monkeypatch.setattr(adapters, "open_platform", opened)
    monkeypatch.setattr(adapters, "models", lambda uri: ("digits",))
