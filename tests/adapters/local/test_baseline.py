"""A baseline: a second server of the stable version, with a share of users' requests, through a real Envoy."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.adapters.local.conftest import Place
from tests.adapters.routing import load
from tfcanary.core.domain import Pool, Request, Role, Track, Traffic
from tfcanary.core.errors import Refused, Unavailable

REQUESTS = 600


def test_a_baseline_is_a_second_server_of_the_stable_version_and_gets_its_share(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    model.deploy(1, Role.BASELINE)
    model.assign(Track.BASELINE, 1, Role.BASELINE)
    stable, baseline = model.server(1), model.server(1, Role.BASELINE)
    assert stable["pid"] != baseline["pid"]
    seen = bound.deployer.observe()
    assert seen.tracks == {Track.STABLE: Pool(1), Track.CANARY: Pool(2), Track.BASELINE: Pool(1, Role.BASELINE)}
    assert sorted(seen.servers) == [Pool(1, Role.BASELINE), Pool(1), Pool(2)]
    model.set_traffic(canary=20, baseline=30)
    assert bound.router.traffic() == Traffic(canary=20, baseline=30)
    answers = Counter(load.ask_once(bound.router.address())[1]["pid"] for _ in range(REQUESTS))
    for server, share in ((stable, 0.5), (model.server(2), 0.2), (baseline, 0.3)):
        assert abs(answers[server["pid"]] / REQUESTS - share) < 4 * math.sqrt(share * (1 - share) / REQUESTS)
    assert bound.predictor.predict(Track.BASELINE, Request(body={"instances": [1]})).body["pid"] == baseline["pid"]


def test_its_requests_are_recorded_apart(model: Place) -> None:
    model.serve(stable=1)
    model.deploy(1, Role.BASELINE)
    assert sorted(folder.name for folder in (model.folder.root / "requests" / model.model).iterdir()) == ["1", "1-baseline"]


def test_it_goes_without_the_stable_version(model: Place) -> None:
    bound = model.serve(stable=1)
    model.deploy(1, Role.BASELINE)
    model.assign(Track.BASELINE, 1, Role.BASELINE)
    before = model.server(1)
    with pytest.raises(Refused, match=r"version 1 \(baseline\) of .* is what the baseline track points at"):
        model.remove(1, Role.BASELINE)
    model.assign(Track.BASELINE, None)
    model.remove(1, Role.BASELINE)
    assert sorted(bound.deployer.observe().servers) == [Pool(1)]
    assert model.server(1) == before


def test_a_baseline_that_does_not_answer_gets_no_share(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    with pytest.raises(Unavailable, match=r"the baseline track of .* gets no weight: it points at no version"):
        model.set_traffic(canary=20, baseline=20)
    assert bound.router.traffic() == Traffic()


def test_what_is_not_built_yet_is_refused_by_name(model: Place) -> None:
    bound = model.serve(stable=1, canary=2)
    for traffic, ability in ((Traffic(mirror=5), "mirror requests"), (Traffic(preview=True), "preview header")):
        with pytest.raises(Refused, match=rf"router, `envoy`: cannot .*{ability}"):
            bound.router.set_traffic(traffic, model.intent())
    assert bound.router.traffic() == Traffic()
