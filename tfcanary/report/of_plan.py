"""The page of a plan: a forecast, before any traffic moves, of how long each stage takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfcanary.core.plan import MOST_WITH_BASELINE, Plan, StageServers
from tfcanary.decide.judge.planning import ExpectedStop, Forecast, StageForecast, servers_sentence
from tfcanary.report.blocks import Badge, Cell, Paragraph, ReportPage, Section, Table, TableColumn, WaitsChart
from tfcanary.report.numbers import duration, plain, share
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.waits import Wait
from tfcanary.report.wording import sentence

PROMOTE = "a healthy canary is promoted"
SERVERS = "The canary gets its servers before its share rises; where they are not ready in time, the stage ends undecided."
LATER = (
    "The times are medians; one release of ten takes twice as long. "
    "Each stage's column assumes that the whole release is watched at the weight of that stage."
)


def stage_lines(plan: Plan, servers: Sequence[StageServers]) -> Iterator[str]:
    """Yield what each stage of a plan is, written out: `stage 0: 5 %, 1 server beside stable's 2, 5 min to 1 h, a poll every 10 s; advances or rolls back`."""
    for number, (weight, beside) in enumerate(zip(plan.weights, servers, strict=True)):
        times = plan.times(number)
        size = f"{beside.canary} server{'s' if beside.canary > 1 else ''} beside stable's {beside.stable}"
        least = f", at least {plain(times.samples)} canary requests" if times.samples else ""
        asks = ", and a person's approval" if plan.asks(number) else ""
        end = "promotes or rolls back" if plan.is_last(number) else "advances or rolls back"
        length = f"{duration(times.minimum)} to {duration(times.maximum)}, a poll every {duration(times.poll)}"
        yield f"stage {number}: {weight:>3} %{_baseline(plan, weight)}, {size}, {length}{least}{asks}; {end}"


def _baseline(plan: Plan, weight: int) -> str:
    """What a plan with a baseline gives it at a weight, in words."""
    if not plan.deploy.baseline:
        return ""
    share = plan.traffic_at(weight).baseline
    return f", baseline {share} %" if share else f", no baseline above {MOST_WITH_BASELINE} %"


def plan_page(
    forecast: Forecast, title: str, notes: tuple[str, ...], schedule: tuple[str, ...] = (), servers: tuple[StageServers, ...] = ()
) -> ReportPage:
    """Return the page: whether every stage can decide in its time, and how long each outcome takes.

    `schedule` says what the stages are and when weights may rise, `servers` are those of each stage, `notes` the assumptions.
    """
    problems = [text for stage in forecast.stages if not stage.decides for text in stage.sentences]
    answer = Badge(Tone.GOOD, "Can decide") if forecast.decides else Badge(Tone.WARN, "A stage cannot decide in its time")
    why = problems[0] if problems else "every stage can decide in its time"
    return ReportPage(title, title, answer, sentence(why), _facts(forecast), tuple(_sections(forecast, notes, schedule, servers)))


def outcome_rows(forecast: Forecast) -> tuple[tuple[str, ...], ...]:
    """Return one row for each outcome: its time and canary requests at the weight of each stage, and along the stages of the plan."""
    promoted = (PROMOTE, *(outcome_words(s.promote) for s in forecast.stages), outcome_words(forecast.promote))
    rolled_back = (
        (f"{name} is rolled back", *(outcome_words(s.rollback[name]) for s in forecast.stages), outcome_words(forecast.rollback[name]))
        for name in forecast.rollback
    )
    return (promoted, *rolled_back)


def outcome_words(outcome: ExpectedStop) -> str:
    """Return time and canary requests of an outcome in words; `not in time` where it does not come before the release ends."""
    if outcome.seconds is None or outcome.requests is None:
        return "not in time"
    return f"{duration(outcome.seconds)}, {plain(float(round(outcome.requests)))} requests"


def headings(forecast: Forecast) -> tuple[str, ...]:
    """Return the headings of the columns of `outcome_rows`."""
    return ("Outcome", *(f"stage {i}: {s.weight} %" for i, s in enumerate(forecast.stages)), "along the plan")


def _facts(forecast: Forecast) -> tuple[tuple[str, str], ...]:
    return (
        ("requests a second", plain(float(f"{forecast.baseline.rate:.3g}"))),
        ("stable's errors", share(forecast.baseline.error_rate)),
        ("promoted along the plan", duration(forecast.promote.seconds) if forecast.promote.seconds else "never"),
        ("ends undecided after", duration(forecast.seconds)),
    )


def _sections(forecast: Forecast, notes: tuple[str, ...], schedule: tuple[str, ...], stages: tuple[StageServers, ...]) -> Iterator[Section]:
    if schedule:
        yield Section("What the plan says", tuple(Paragraph(sentence(line)) for line in schedule))
    columns = tuple(TableColumn(heading) for heading in headings(forecast))
    rows: tuple[tuple[Cell, ...], ...] = outcome_rows(forecast)
    servers = servers_sentence(forecast)
    by_servers = (Paragraph(sentence(servers)),) if servers else ()
    yield Section("Time to a decision, and canary requests until then", (Table(columns, rows), *by_servers, Paragraph(LATER, quiet=True)))
    for number, stage in enumerate(forecast.stages):
        sentences = tuple(Paragraph(sentence(text)) for text in stage.sentences)
        yield Section(f"Stage {number}: {stage.weight} %", (*sentences, _waits(stage)))
    if stages:
        yield Section("Servers", (_servers_table(stages), Paragraph(SERVERS, quiet=True)))
    unjudged = (Paragraph(f"Not judged by this plan: {', '.join(forecast.undetectable)}."),) if forecast.undetectable else ()
    yield Section("Assumptions", (*(Paragraph(sentence(note)) for note in notes), *unjudged))


def _servers_table(stages: tuple[StageServers, ...]) -> Table:
    columns = (TableColumn("Stage"), *(TableColumn(name, numeric=True) for name in ("Weight", "Canary", "Baseline", "Stable")))
    rows = (
        (str(i), f"{s.weight} %", plain(s.canary), plain(s.baseline) if s.baseline else "–", plain(s.stable)) for i, s in enumerate(stages)
    )
    return Table(columns, tuple(rows))


def _waits(stage: StageForecast) -> WaitsChart:
    rollbacks = (_wait(name, outcome, Tone.BAD) for name, outcome in stage.rollback.items())
    return WaitsChart((_wait("promoted", stage.promote, Tone.GOOD), *rollbacks), stage.minimum, stage.maximum)


def _wait(label: str, outcome: ExpectedStop, tone: Tone) -> Wait:
    return Wait(label, outcome.seconds, tone, outcome_words(outcome))
