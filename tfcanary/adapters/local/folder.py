"""The layout of the embedded platform's state folder; nothing of the platform lies outside of it.

    lock, sock, state.json, supervisor.log     the supervisor: its lock, its socket, what it remembers, its log
    records/<model>.json                       the record of a model
    models/<model>/<version>/                  the storage: versions, and the judge's state beside them
    requests/<model>/<pool>/                   the servers' request logs
    run/<model>/                               the proxy's tables and log, the servers' configurations and logs

Names of models become parts of paths here, and nowhere unchecked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfcanary.core.domain import NAME, Pool, Role
from tfcanary.core.errors import Refused

SCHEME = "local://"


def checked_name(model: str) -> str:
    """Return the model's name, which becomes a part of paths; raises Refused where it is no model's name."""
    if not NAME.fullmatch(model):
        raise Refused(f"model {model!r}: must be at most 50 lower-case letters, digits and hyphens, with a letter or digit at both ends")
    return model


def pool_name(pool: Pool) -> str:
    """Return the short name of a pool, for paths and for messages to the supervisor: `42`, or `42-baseline`."""
    return str(pool.number) if pool.role is Role.SERVING else f"{pool.number}-{pool.role.value}"


def pool_of(name: str) -> Pool:
    """Return the pool of a short name; raises ValueError for any other text."""
    number, separator, role = name.partition("-")
    return Pool(int(number), Role(role) if separator else Role.SERVING)


@dataclass(frozen=True, slots=True)
class Folder:
    """The paths of one state folder; made from an absolute path."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_absolute() or ".." in self.root.parts or not self.root.name:
            raise Refused(f"state folder {str(self.root)!r}: must be an absolute path below / and without '..', for example /srv/tfcanary")

    @property
    def uri(self) -> str:
        """The platform's URI, for people and for the guard."""
        return f"{SCHEME}{self.root}"

    @property
    def lock(self) -> Path:
        """The file that the supervisor keeps locked for as long as it lives."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """What runs, written down by the supervisor; the next supervisor takes ports and stamps from it."""
        return self.root / "state.json"

    @property
    def log(self) -> Path:
        """The log of the supervisor."""
        return self.root / "supervisor.log"

    @property
    def records(self) -> Path:
        """The folder of the records: one file for each model that ever had a release."""
        return self.root / "records"

    def record(self, model: str) -> Path:
        """Return the path of the model's record."""
        return self.records / f"{checked_name(model)}.json"

    @property
    def models(self) -> Path:
        """The folder of the models' versions."""
        return self.root / "models"

    def requests(self, model: str, pool: Pool) -> Path:
        """Return the folder of the request logs of a pool's servers."""
        return self.root / "requests" / checked_name(model) / pool_name(pool)

    def run(self, model: str) -> Path:
        """Return the folder of what the running processes of a model read and write."""
        return self.root / "run" / checked_name(model)

    def table(self, model: str) -> Path:
        """Return the path of the route table that the model's Envoy watches."""
        return self.run(model) / "routes" / "split.json"

    def make(self) -> None:
        """Make the folders that must exist; only the owner may enter the state folder. Raises Refused where a folder cannot be made."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.records, self.models):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise Refused(f"state folder {self.root}: cannot be made ({error.strerror})") from error
