"""The rules that the images keep, read from the Dockerfile; `test_image` builds it where that is possible."""

from __future__ import annotations

import re

import pytest

from tests.deploy.dockerfile import ROOT, Stage, read

FILE = read()
TARGETS = ["guard", "slim", "full"]
KNOWN = {"FROM", "ARG", "RUN", "COPY", "ENV", "USER", "WORKDIR", "CMD"}
"""No ADD, which fetches and unpacks; no EXPOSE, for a step listens to nobody; no ENTRYPOINT, for Kubeflow gives the command."""


def is_made_of(target: str) -> list[Stage]:
    return FILE.chain(target)


def test_every_instruction_is_one_of_the_few() -> None:
    assert {name for stage in FILE.stages.values() for name, _ in stage.instructions} <= KNOWN


def test_the_base_is_one_and_named_to_the_patch_without_a_registrys_host() -> None:
    assert {stage.base for stage in FILE.stages.values() if stage.base not in FILE.stages} == {"${PYTHON}"}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", FILE.arguments["PYTHON"])


@pytest.mark.parametrize("target", TARGETS)
def test_the_user_is_a_number_and_not_root(target: str) -> None:
    users = [user for stage in is_made_of(target) for user in stage.of("USER")]
    assert users == ["65532:65532"]


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_needed_to_build_does_not_stay(target: str) -> None:
    """One copy of what was installed; of the base's own tools nothing is left."""
    made_of = is_made_of(target)
    assert [copy for stage in made_of for copy in stage.of("COPY")] == [f"--from=build-{target} /opt/tfcanary /opt/tfcanary"]
    assert [run for stage in made_of for run in stage.of("RUN")] == [
        "python -m pip uninstall --yes --root-user-action=ignore wheel setuptools pip"
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_where_nothing_but_tmp_can_be_written(target: str) -> None:
    variables = dict(one.split("=", 1) for stage in is_made_of(target) for env in stage.of("ENV") for one in env.split())
    assert (variables["HOME"], variables["PYTHONDONTWRITEBYTECODE"]) == ("/tmp", "1")
    assert variables["PATH"].startswith("/opt/tfcanary/bin:")
    assert is_made_of(target)[0].of("WORKDIR") == ["/tmp"]


def test_pip_keeps_no_cache_and_nothing_is_downloaded_past_it() -> None:
    runs = [run for stage in FILE.stages.values() for run in stage.of("RUN")]
    installs = [run for run in runs if " install " in run]
    assert len(installs) == len(TARGETS)
    assert all("--no-cache-dir" in run and run.startswith("python -m pip --python /opt/tfcanary ") for run in installs)
    assert all("--constraint constraints.txt " in run for run in installs), "another build another day installs the same"
    assert not any(word in run for run in runs for word in ("curl", "wget", "apt", "git ", "http"))


def test_only_what_is_copied_reaches_the_builder() -> None:
    copied = {name for copy in FILE.stages["source"].of("COPY") for name in copy.split()[:-1]}
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
