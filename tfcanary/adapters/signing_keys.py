"""Keys in PEM files, with which verdicts are signed and signatures are checked: Ed25519, or ECDSA on P-256 with SHA-256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.core.plan.cluster import SIGNING_SECRETS

VARIABLE = "TFCANARY_SIGNING_KEY"
"""The environment variable that names the file of the private key ..."""
MOUNTED = Path(SIGNING_SECRETS) / "key.pem"
"""... and where it lies without the variable, in the pod of the step that promotes."""
LARGEST = 65_536
"""Bytes of a key's file, at most."""


def own_signer() -> PrivateKeyFile | None:
    """The signer of this process; None where it was given no key. The file is read when it is needed."""
    named = os.environ.get(VARIABLE)
    if named:
        return PrivateKeyFile(Path(named))
    return PrivateKeyFile(MOUNTED) if MOUNTED.exists() else None


class PrivateKeyFile:
    """`ports.Signer` with an unencrypted private key in PEM."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def key_id(self) -> str:
        """Return the id of the public key. Raises Refused where the file is no key that can be used."""
        return _key_id(self._key().public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message. Raises Refused where the file is no key that can be used."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = self._key()
        return bytes(key.sign(message) if isinstance(key, Ed25519PrivateKey) else key.sign(message, _ecdsa()))

    def _key(self) -> Any:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            return _supported(load_pem_private_key(_content(self._path), None), self._path)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise Refused(f"{self._path}: is no private key in PEM without a password") from None


class PublicKeyFile:
    """Checks signatures with a public key in PEM."""

    def __init__(self, path: Path) -> None:
        """Raises Refused where the file is no such key."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            self._key: Any = _supported(load_pem_public_key(_content(path)), path)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise Refused(f"{path}: is no public key in PEM") from None

    def key_id(self) -> str:
        """The id of the key, as `ports.Signer.key_id`."""
        return _key_id(self._key)

    def accepts(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, _ecdsa())
        except InvalidSignature:
            return False
        return True


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise Refused(f"{path}: the key cannot be read ({error.strerror})") from None


def _supported(key: Any, path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise Refused(f"{path}: must be a key of Ed25519, or of ECDSA on P-256")


def _ecdsa() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    return ec.ECDSA(SHA256())


def _key_id(public: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
