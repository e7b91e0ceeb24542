"""Addresses for pods. 10.244.*.* must really be addresses of this machine, for tfcanary connects to pods directly.

Each node takes a subnet that no other test run on this machine has.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import subprocess
from collections.abc import Iterator

from tests.binaries import CACHE

SUBNETS = [f"10.244.{third}.0/22" for third in range(0, 256, 4)]
"""Each for 1022 pods at once."""
ADVICE = (
    "pods' addresses (10.244.*.*) are not of this machine and may not be added: run `make test-cluster`, which enters a network namespace"
)


class NoAddresses(Exception):
    """They cannot be had here."""


@contextlib.contextmanager
def subnet() -> Iterator[str]:
    """A subnet whose addresses can be listened on; raises NoAddresses."""
    with _free() as found:
        if not _works(found) and _route("add", found):
            raise NoAddresses(ADVICE)
        try:
            yield found
        finally:
            _route("del", found)  # also one that a killed test run has left; whoever has all of 10.244.0.0/16 keeps it


@contextlib.contextmanager
def _free() -> Iterator[str]:
    CACHE.mkdir(parents=True, exist_ok=True)
    for one in SUBNETS:
        with (CACHE / f".{one.partition('/')[0]}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield one
            return
    raise NoAddresses(f"all {len(SUBNETS)} subnets of 10.244.0.0/16 are in use")


def _works(subnet: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((subnet.replace(".0/22", ".1"), 0))
        except OSError:
            return False
    return True


def _route(verb: str, subnet: str) -> int:
    """The exit code."""
    try:
        return subprocess.run(["ip", "route", verb, "local", subnet, "dev", "lo"], capture_output=True).returncode
    except FileNotFoundError:  # no `ip`
        return 127
