"""Which verdict let the stable version in: signed at the promotion, checked afterwards, and no part of it can be changed unnoticed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.act.conftest import RUN, at_last_stage, deployed, model, pushed
from tests.cli.test_cli import run
from tests.fake_storage import FakeStorage
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import ledger, promote, signed_verdict
from tfcanary.adapters import signing_keys
from tfcanary.adapters.signing_keys import PrivateKeyFile, PublicKeyFile
from tfcanary.core import codec
from tfcanary.core.domain import Absence, Decision, Look, ModelVersion
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State
from tfcanary.run import watch

__all__ = ["at_last_stage", "deployed", "model", "pushed"]

NAME = "digits/verdicts/2.json"


def keys(folder: Path, private: Any = None, name: str = "key") -> tuple[Path, Path]:
    """A private key and its public one, as files."""
    private = private or ed25519.Ed25519PrivateKey.generate()
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return secret, public


def signing(world: World, secret: Path) -> Platform:
    return replace(world.platform(), signer=PrivateKeyFile(secret))


def events(release: Release) -> list[str]:
    return [one.what for one in release.events if "signed" in one.what]


@pytest.fixture
def promoted(world: World, deployed: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release that was watched, judged, promoted and signed; returns the public key's file."""
    secret, public = keys(tmp_path)
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    absent = Look("drift", absent=(Absence("drift", "absent by plan"),))
    for stage in (0, 1):
        verdict = watch.watch_stage(world.platform(), RUN, stage)
        watch.judge_stage(world.platform(), RUN, stage, verdict, absent)
    assert promote.promote(signing(world, secret), RUN).state is State.PROMOTED
    return public


def verify(public: Path, *more: object) -> int:
    return run("verify", "digits", "--platform", "fake://", "--key", public, *more)


def test_a_promoted_version_is_verified(world: World, promoted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(promoted) == 0
    assert "judged again from its counts it is the same" in capsys.readouterr().err
    release = ledger.read_release(world.platform(), RUN)
    assert events(release) == [f"the verdict is signed: {NAME}, key {PublicKeyFile(promoted).key_id()[:16]}"]


def test_the_statement_says_what_was_decided_and_by_what(world: World, promoted: Path) -> None:
    envelope = json.loads(world.storage.objects[NAME][0])
    body = json.loads(base64.b64decode(envelope["payload"]))
    assert body["_type"] == "https://in-toto.io/Statement/v1"
    release = ledger.read_release(world.platform(), RUN)
    assert release.candidate
    assert body["subject"] == [{"name": "digits/2", "digest": {"sha256": release.candidate.digest.removeprefix("sha256:")}}]
    predicate = body["predicate"]
    assert predicate["plan_digest"] == codec.digest(release.plan)
    assert predicate["verdict"]["decision"] == "promote"
    errors = next(one for one in predicate["verdict"]["evidence"] if one["about"] == "metrics/errors")
    assert errors["interval"]
    assert errors["figures"]


def test_a_promotion_that_is_repeated_signs_nothing_twice(world: World, promoted: Path, tmp_path: Path) -> None:
    before = world.storage.objects[NAME]
    other, _ = keys(tmp_path, name="other")
    release = promote.promote(signing(world, other), RUN)
    assert world.storage.objects[NAME] == before
    assert len(events(release)) == 1


def changed(storage: FakeStorage, change: Callable[[Any], None]) -> None:
    """The predicate is changed, and the signature stays."""
    envelope = json.loads(storage.objects[NAME][0])
    body = json.loads(base64.b64decode(envelope["payload"]))
    change(body["predicate"])
    envelope["payload"] = base64.b64encode(json.dumps(body).encode()).decode()
    storage.write(NAME, json.dumps(envelope).encode())


def test_what_was_changed_after_it_was_signed_is_not_even_read(world: World, promoted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(world.storage, lambda predicate: predicate["verdict"].update(reason="all is well"))
    assert verify(promoted, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["decision"] == "refused"
    assert told["reasons"][0].endswith("no signature of the trusted key is on it")
    assert "statement" not in told


def test_another_key_is_not_trusted(promoted: Path, tmp_path: Path) -> None:
    assert verify(keys(tmp_path, name="stranger")[1]) == 1


def resealed(world: World, folder: Path, change: Callable[[signed_verdict.VerdictStatement], signed_verdict.VerdictStatement]) -> None:
    """Whoever has the key signs something else."""
    statement = signed_verdict.unseal(world.storage.objects[NAME][0], PublicKeyFile(folder / "key.pub").accepts, NAME)
    world.storage.write(NAME, signed_verdict.seal(PrivateKeyFile(folder / "key.pem"), change(statement)))


def test_a_verdict_that_its_counts_do_not_give_is_noticed(
    world: World, promoted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def better(statement: signed_verdict.VerdictStatement) -> signed_verdict.VerdictStatement:
        assert statement.watched
        first, *rest = statement.watched.evidence
        return replace(statement, watched=replace(statement.watched, evidence=(replace(first, reason="fine"), *rest)))

    resealed(world, tmp_path, better)
    assert verify(promoted) == 1
    assert "judged again from its counts the verdict is another one" in capsys.readouterr().err


def test_a_verdict_of_another_version_lets_nothing_in(
    world: World, promoted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resealed(world, tmp_path, lambda one: replace(one, version=replace(one.version, digest="sha256:" + "0" * 64)))
    assert verify(promoted) == 1
    assert "the statement is about version 2 of digits with sha256:000" in capsys.readouterr().err


def test_a_verdict_that_is_no_promotion_lets_nothing_in(world: World, promoted: Path, tmp_path: Path) -> None:
    resealed(world, tmp_path, lambda one: replace(one, verdict=replace(one.verdict, decision=Decision.ROLLBACK)))
    assert verify(promoted) == 1


def test_bytes_that_somebody_changed_are_noticed(world: World, promoted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world.storage.write("digits/2/saved_model.pb", b"another graph")
    assert verify(promoted) == 1
    assert "saved_model.pb was overwritten since version 2 was validated" in capsys.readouterr().err


@pytest.mark.parametrize(
    "envelope", [b"", b"{}", b"[]", b"\xff", b'{"payload": 1}', b'{"payload": "!", "signatures": [], "payloadType": ""}']
)
def test_what_is_no_envelope_is_one_sentence(world: World, promoted: Path, envelope: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    world.storage.write(NAME, envelope)
    assert verify(promoted) == 1
    assert "is no DSSE envelope" in capsys.readouterr().err


def test_without_a_key_nothing_is_written(world: World, at_last_stage: ModelVersion) -> None:
    release = promote.promote(world.platform(), RUN)
    assert release.state is State.PROMOTED
    assert NAME not in world.storage.objects
    assert events(release) == []


def test_a_key_that_cannot_be_used_takes_no_promotion_back(world: World, at_last_stage: ModelVersion, tmp_path: Path) -> None:
    release = promote.promote(signing(world, tmp_path / "none.pem"), RUN)
    assert release.state is State.PROMOTED
    assert events(release) == [f"the verdict is not signed: {tmp_path}/none.pem: the key cannot be read (No such file or directory)"]


def test_both_kinds_of_keys_sign_and_others_are_refused(tmp_path: Path) -> None:
    for private in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
        secret, public = keys(tmp_path, private)
        signer, checker = PrivateKeyFile(secret), PublicKeyFile(public)
        signature = signer.sign(b"a message")
        assert signer.key_id() == checker.key_id()
        assert checker.accepts(b"a message", signature)
        assert not checker.accepts(b"another message", signature)
        assert not checker.accepts(b"a message", b"")
    secret, public = keys(tmp_path, rsa.generate_private_key(65537, 2048))
    with pytest.raises(Refused, match="must be a key of Ed25519"):
        PrivateKeyFile(secret).key_id()
    with pytest.raises(Refused, match="must be a key of Ed25519"):
        PublicKeyFile(public)
    with pytest.raises(Refused, match="is no public key in PEM"):
        PublicKeyFile(secret)


def test_the_key_of_a_process_is_named_by_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(signing_keys, "MOUNTED", tmp_path / "mounted.pem")
    monkeypatch.delenv(signing_keys.VARIABLE, raising=False)
    assert signing_keys.own_signer() is None
    _, public = keys(tmp_path, name="mounted")
    signer = signing_keys.own_signer()
    assert signer
    assert signer.key_id() == PublicKeyFile(public).key_id()
    monkeypatch.setenv(signing_keys.VARIABLE, str(keys(tmp_path, name="named")[0]))
    named = signing_keys.own_signer()
    assert named
    assert named.key_id() == PublicKeyFile(tmp_path / "named.pub").key_id()


def test_what_dsse_signs_is_the_type_and_the_payload_with_their_lengths() -> None:
    """The example of the specification's pre-authentication encoding, with the type of a statement."""
    assert signed_verdict.to_be_signed(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
