"""The verb `verify`: whether the stable version is the one that a signed verdict let in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tfcanary.act import push, signed_verdict
from tfcanary.act.signed_verdict import VerdictStatement
from tfcanary.cli import options, show
from tfcanary.core.domain import Decision, ModelVersion
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Platform
from tfcanary.run import steps


@click.command(short_help="Check the signed verdict of the stable version.")
@options.model()
@options.platform
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The trusted public key, PEM.")
@options.as_json
def verify(name: str, platform_uri: str, key_file: Path, json_: bool) -> None:
    """Check which verdict let the stable version in: its signature, the version's bytes, and the verdict itself, judged again from its counts.

    Exit 0 all of it is right, 1 something is not, 2 bad input, 3 the platform could not be reached.

    \b
    Example:  tfcanary verify digits --key tfcanary.pub
    """
    from tfcanary.adapters.signing_keys import PublicKeyFile

    key = PublicKeyFile(key_file)
    platform = steps.reopen_step(platform_uri, name).platform
    stable = show.record_of(platform_uri, name).stable
    if stable is None:
        raise Refused(f"{name}: has no stable version")
    at = f"{platform.bucket_uri}/{signed_verdict.envelope_name(name, stable.number)}"
    try:
        statement = signed_verdict.unseal(signed_verdict.read_envelope(platform, stable.number), key.accepts, at)
        wrong = [*_wrong(platform, stable, statement, at)]
    except Refused as error:
        wrong, statement = [str(error)], None
    sentence = "; ".join(wrong) or _right(name, stable, statement)
    more = {"statement": statement, "key": key.key_id()} if statement else {"key": key.key_id()}
    options.print_result("refused" if wrong else "verified", sentence, json_, **more)
    sys.exit(1 if wrong else 0)


def _wrong(platform: Platform, stable: ModelVersion, statement: VerdictStatement, at: str) -> Iterator[str]:
    """Yield a sentence for each thing that is not as the statement says."""
    if (statement.model, statement.version.number, statement.version.digest) != (platform.model, stable.number, stable.digest):
        about = f"version {statement.version.number} of {statement.model} with {statement.version.digest}"
        yield f"the statement is about {about}, stable is version {stable.number} with {stable.digest}"
    try:
        push.verify(platform, stable)
    except Refused as error:
        yield str(error)
    if statement.verdict.decision is not Decision.PROMOTE:
        yield f"its verdict is {statement.verdict.decision.value}"
    again = signed_verdict.judged_again(statement, at)
    if again is not None and not signed_verdict.agrees(again, statement):
        yield f"judged again from its counts the verdict is another one: {again.decision.value}: {again.reason}"


def _right(name: str, stable: ModelVersion, statement: VerdictStatement | None) -> str:
    assert statement
    again = "judged again from its counts it is the same" if statement.polls and statement.watched else "it has no counts to judge again"
    return f"{name} version {stable.number}: promoted in release {statement.run_id}: {statement.verdict.reason}; {again}"
