"""A bucket in S3 is looked at before the first write: from here, and whether the servers' pods can read it, too."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kube.ready import CORE, Site, named, site
from tests.adapters.storage.conftest import s3_server
from tests.adapters.storage.gcs_server import BUCKET, Fault
from tests.adapters.storage.s3_server import S3Server
from tfcanary import __version__, adapters
from tfcanary.core.errors import Refused
from tfcanary.core.plan import BucketPlan, ServingPlan
from tfcanary.core.record import Record

__all__ = ["s3_server", "site"]

SECRET = f"{CORE}/secrets/tfcanary-s3"


@pytest.fixture
def in_s3(site: Site, s3_server: S3Server) -> Site:
    serving = ServingPlan(image=site.plan.serving.image)
    site.plan = replace(site.plan, serving=serving, bucket=BucketPlan(canary=f"s3://{BUCKET}/models/"))
    return site


@pytest.fixture
def by_secret(in_s3: Site, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The step itself reads S3 by the Secret of its own namespace."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name)
    lines = ["[default]", f"endpoint_url = {s3_server.url}", "aws_access_key_id = mounted", "aws_secret_access_key = secret"]
    mounted = tmp_path / "mounted" / "config"
    mounted.parent.mkdir()
    mounted.write_text("\n".join(lines))
    monkeypatch.setattr("tfcanary.adapters.storage.s3.CONFIG", mounted)
    return in_s3


def secret(**data: str) -> dict[str, Any]:
    return named("tfcanary-s3", data={key: base64.b64encode(text.encode()).decode() for key, text in data.items()})


def check(site: Site) -> None:
    adapters.open_platform("kube://ns", "m", site.plan).preflight.check(Record("m", __version__))


def test_a_bucket_that_the_pods_own_account_reads_needs_no_secret(in_s3: Site, s3_server: S3Server) -> None:
    check(in_s3)
    assert [one.query["prefix"] for one in s3_server.sent("GET")] == ["models/m/versions/"]


def test_a_bucket_that_may_not_be_read_is_refused_before_the_first_write(in_s3: Site, s3_server: S3Server) -> None:
    s3_server.faults.append(Fault("GET", "", 403))
    with pytest.raises(Refused, match=rf"s3://{BUCKET}/models/m/versions/: not allowed; the account needs s3:ListBucket"):
        check(in_s3)


def test_a_bucket_that_does_not_exist_is_refused_before_the_first_write(in_s3: Site) -> None:
    in_s3.plan = replace(in_s3.plan, bucket=BucketPlan(canary="s3://nowhere/models"))
    with pytest.raises(Refused, match=r"s3://nowhere/models/m/versions/: not found"):
        check(in_s3)


def test_a_secret_that_the_servers_namespace_lacks_is_refused(by_secret: Site) -> None:
    with pytest.raises(Refused, match=rf"Secret tfcanary-s3: namespace ns has none; the servers' pods read s3://{BUCKET}/models/ by it"):
        check(by_secret)
    by_secret.cluster.objects[SECRET] = secret(AWS_ACCESS_KEY_ID="key")
    with pytest.raises(Refused, match=r"Secret tfcanary-s3: namespace ns has none with the key `config`"):
        check(by_secret)
    by_secret.cluster.objects[SECRET] = secret(config="[default]")
    check(by_secret)


def test_whoever_may_not_read_secrets_is_not_stopped_by_that(by_secret: Site) -> None:
    """The steps may not: the init container of the servers' pods says it then."""
    by_secret.cluster.denied.add("get secrets")
    check(by_secret)
    assert not [one for one in by_secret.cluster.asked if one.path == SECRET]
