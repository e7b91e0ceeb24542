"""Values and classes of the user's as Prometheus has them: sums, squares or buckets, and predictions by label."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.adapters.metrics.prometheus_server import AT, TRACKS, Page, PrometheusServer, answered
from tests.adapters.metrics.test_objectives import marked
from tfcanary.adapters.metrics.objectives import largest_sum_of_squares
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.core import codec
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ClassesPlan, JudgePlan, MeanPlan, MetricsPlan, ObjectiveKind, ObjectivePlan, QualityPlan

REVENUE = ObjectivePlan(ObjectiveKind.MEAN, metric=MeanPlan("revenue_sum", "revenue_count", buckets="revenue_bucket"))
PLAN = JudgePlan(
    objectives={"revenue": REVENUE},
    quality=QualityPlan(metric=MeanPlan("score_sum", "score_count", "score_squares")),
    classes=ClassesPlan(metric="predictions_total", label="kind", names=("cat", "dog")),
)
VALUES = {
    **marked("revenue_sum", "objectives.revenue.metric.sum", 30.0),
    **marked("revenue_count", "objectives.revenue.metric.count", 10.0),
    **marked("revenue_bucket", "objectives.revenue.metric.buckets", 6.0, ',le="2"'),
    **marked("revenue_bucket", "objectives.revenue.metric.buckets", 10.0, ',le="10"'),
    **marked("revenue_bucket", "objectives.revenue.metric.buckets", 10.0, ',le="+Inf"'),
    **marked("score_sum", "quality.metric.sum", 7.0),
    **marked("score_count", "quality.metric.count", 10.0),
    **marked("score_squares", "quality.metric.squares", 5.5),
    **marked("predictions_total", "classes.metric", 6.0, ',kind="cat"'),
    **marked("predictions_total", "classes.metric", 3.0, ',kind="fox"'),
    **marked("predictions_total", "classes.metric", 1.0, ',kind="owl"'),
}
WHOLE = Counters(70.0, quality=(7.0, 5.5, 10.0), classes=(6.0, 0.0, 4.0), objectives={"revenue": (30.0, 10.0, 6 * 4.0 + 4 * 100.0)})


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    yield server
    server.close()


def source(server: PrometheusServer, plan: JudgePlan = PLAN) -> PrometheusSource:
    return PrometheusSource(server.url, "m", MetricsPlan(selectors={"job": "serving"}), TRACKS, judge=plan)


def sample(server: PrometheusServer, series: dict[str, float], plan: JudgePlan = PLAN) -> Sample:
    server.pages = [Page("c", "canary", series={**answered(70.0), **series})]
    return source(server, plan).sample(Track.CANARY, AT)


def test_values_quality_and_classes_come_with_the_same_answer(server: PrometheusServer) -> None:
    assert sample(server, VALUES) == Sample(Track.CANARY, True, {"c": WHOLE})
    assert len([one for one in server.asked if "[" not in one.params["query"]]) == 1


@pytest.mark.parametrize(("lost", "part"), [("revenue_count", "objectives"), ("score_squares", "quality"), ("predictions", "classes")])
def test_what_lacks_a_part_hides_itself_only(server: PrometheusServer, lost: str, part: str) -> None:
    found = sample(server, {name: value for name, value in VALUES.items() if not name.startswith(lost)}).servers["c"]
    for name, nothing in (("objectives", {}), ("quality", None), ("classes", ())):
        assert getattr(found, name) == (nothing if name == part else getattr(WHOLE, name))


def test_bounds_alone_leave_the_squares_unknown(server: PrometheusServer) -> None:
    bounded = codec.decode(JudgePlan, {"quality": {"metric": {"sum": "score_sum", "count": "score_count", "within": [0, 1]}}})
    found = sample(server, VALUES, bounded).servers["c"].quality
    assert found is not None
    assert (found[0], found[2], math.isnan(found[1])) == (7.0, 10.0, True)


@pytest.mark.parametrize(
    ("buckets", "within", "squares"),
    [
        ({"1": 2, "3": 5, "+Inf": 5}, None, 2 * 1 + 3 * 9),
        ({"3.0": 5, "+Inf": 5, "1": 2}, None, 2 * 1 + 3 * 9),
        ({"1": 2, "3": 5, "+Inf": 6}, (0.0, 4.0), 2 * 1 + 3 * 9 + 16),
        ({"1": 2, "3": 5, "+Inf": 5}, (0.0, 2.0), 2 * 1 + 3 * 4),
        ({"1": 0, "+Inf": 0}, None, 0),
        ({"1": 2, "3": 5, "+Inf": 6}, None, None),
        ({"1": 2, "3": 5}, None, None),
        ({"0": 2, "3": 5, "+Inf": 5}, None, None),
        ({"1": 2, "x": 5, "+Inf": 5}, None, None),
        ({"1": 2, "3": math.nan, "+Inf": 5}, None, None),
        ({}, None, None),
    ],
)
def test_squares_are_at_most_those_of_the_buckets_bounds(
    buckets: dict[str, float], within: tuple[float, float] | None, squares: float | None
) -> None:
    found = largest_sum_of_squares(buckets, within)
    assert not math.isfinite(found) if squares is None else found == squares


@pytest.mark.parametrize(
    ("plan", "spoilt", "sentence"),
    [
        (PLAN, {"score_count": None}, r"judge\.quality\.metric\.count 'score_count': selects no series"),
        (PLAN, {"predictions": None}, r"judge\.classes\.metric 'predictions_total': selects no series"),
        (
            PLAN,
            {'le="+Inf"': 11.0},
            r"judge\.objectives\.revenue\.metric\.buckets 'revenue_bucket': must be a histogram's, with a bound above",
        ),
        (
            JudgePlan(quality=QualityPlan(metric=MeanPlan("score_sum", "score_count", within=(0.8, 1.0)))),
            {},
            r"judge\.quality\.metric\.within \[0\.8, 1\.0\]: the mean of 10 values is 0\.7",
        ),
        (
            JudgePlan(classes=ClassesPlan(metric="predictions_total", names=("cat",))),
            {},
            r"judge\.classes\.label 'class': predictions_total",
        ),
    ],
)
def test_a_dry_question_refuses_what_cannot_be_what_the_plan_says(
    server: PrometheusServer, plan: JudgePlan, spoilt: dict[str, float | None], sentence: str
) -> None:
    series = dict(VALUES)
    for part, number in spoilt.items():
        for name in [name for name in series if part in name]:
            if number is None:
                del series[name]
            else:
                series[name] = number
    server.pages = [Page("a", "stable", series=VALUES)]
    source(server).check(Track.STABLE)
    server.pages = [Page("a", "stable", series=series)]
    with pytest.raises(Refused, match=sentence):
        source(server, plan).check(Track.STABLE)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ({"metric": "a_total"}, "the counter and the classes in it must be named together"),
        ({"names": ["cat"]}, "the counter and the classes in it must be named together"),
        ({"metric": "sum(a)", "names": ["cat"]}, "metric 'sum(a)': must be one selector"),
        ({"metric": "a_total", "names": ["cat", "cat"]}, "names ['cat', 'cat']: must be different"),
        ({"metric": "a_total", "names": ["cat"], "label": "a-b"}, "label 'a-b': must be letters"),
    ],
)
def test_wrong_classes_are_refused_when_the_plan_is_read(classes: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        codec.decode(JudgePlan, {"classes": classes})
    assert sentence in str(refused.value)
