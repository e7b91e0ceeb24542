"""The page of a plan: how long each of its stages will probably take, before any traffic moves."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.decide.judge.planning import ExpectedStop, Forecast, StageForecast
from tfcanary.report.as_html import as_html
from tfcanary.report.blocks import Badge, Cell, Column, Page, Paragraph, Section, Table, Waits
from tfcanary.report.numbers import duration, plain, share
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.waits import Wait
from tfcanary.report.wording import sentence

PROMOTE = "a healthy canary is promoted"
LATER = "Medians: one release of ten takes twice as long. Every stage as if the whole release were watched at its weight."


def plan_html(forecast: Forecast, title: str, notes: tuple[str, ...]) -> str:
    """A plan before the traffic, as a page; `notes`: what the forecast rests on."""
    return as_html(plan_page(forecast, title, notes))


def plan_page(forecast: Forecast, title: str, notes: tuple[str, ...]) -> Page:
    """Whether every stage can decide in its time first, then how long each outcome takes."""
    wrong = [text for stage in forecast.stages if not stage.decides for text in stage.sentences]
    answer = Badge(Tone.GOOD, "Can decide") if forecast.decides else Badge(Tone.WARN, "A stage cannot decide in its time")
    why = wrong[0] if wrong else "every stage can decide in its time"
    return Page(title, title, answer, sentence(why), _facts(forecast), tuple(_sections(forecast, notes)))


def outcome_rows(forecast: Forecast) -> tuple[tuple[str, ...], ...]:
    """What may happen, the time and the canary requests at each stage's weight, and along the plan."""
    names = tuple(forecast.rollback)
    promoted = (PROMOTE, *(outcome_words(s.promote) for s in forecast.stages), outcome_words(forecast.promote))
    found = (
        (f"{name} is rolled back", *(outcome_words(s.rollback[name]) for s in forecast.stages), outcome_words(forecast.rollback[name]))
        for name in names
    )
    return (promoted, *found)


def outcome_words(outcome: ExpectedStop) -> str:
    """Time and canary requests."""
    if outcome.seconds is None or outcome.requests is None:
        return "not in time"
    return f"{duration(outcome.seconds)}, {plain(float(round(outcome.requests)))} requests"


def headings(forecast: Forecast) -> tuple[str, ...]:
    """Of the columns of `outcome_rows`."""
    return ("What", *(f"stage {i}: {s.weight} %" for i, s in enumerate(forecast.stages)), "along the plan")


def _facts(forecast: Forecast) -> tuple[tuple[str, str], ...]:
    return (
        ("requests a second", plain(float(f"{forecast.baseline.rate:.3g}"))),
        ("stable's errors", share(forecast.baseline.error_rate)),
        ("promoted along the plan", duration(forecast.promote.seconds) if forecast.promote.seconds else "never"),
        ("ends undecided after", duration(forecast.seconds)),
    )


def _sections(forecast: Forecast, notes: tuple[str, ...]) -> Iterator[Section]:
    columns = tuple(Column(heading) for heading in headings(forecast))
    rows: tuple[tuple[Cell, ...], ...] = outcome_rows(forecast)
    yield Section("Time to a decision, and canary requests until then", (Table(columns, rows), Paragraph(LATER, quiet=True)))
    for number, stage in enumerate(forecast.stages):
        said = tuple(Paragraph(sentence(text)) for text in stage.sentences)
        yield Section(f"Stage {number}: {stage.weight} %", (*said, _waits(stage)))
    unseen = (Paragraph(f"Not judged by this plan: {', '.join(forecast.undetectable)}."),) if forecast.undetectable else ()
    yield Section("What this rests on", (*(Paragraph(sentence(note)) for note in notes), *unseen))


def _waits(stage: StageForecast) -> Waits:
    found = (_wait(name, outcome, Tone.BAD) for name, outcome in stage.rollback.items())
    return Waits((_wait("promoted", stage.promote, Tone.GOOD), *found), stage.minimum, stage.maximum)


def _wait(label: str, outcome: ExpectedStop, tone: Tone) -> Wait:
    return Wait(label, outcome.seconds, tone, outcome_words(outcome))
