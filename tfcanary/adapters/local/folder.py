"""Where everything of the embedded platform lies: one state folder, and nothing outside of it.

    lock, sock, state.json, supervisor.log     the supervisor: alive, asked, remembered, told
    records/<model>.json                       the record of a model
    models/<model>/<version>/                  the storage: versions, and the judge's state beside them
    requests/<model>/<version>/                the servers' request logs
    run/<model>/                               the proxy's tables and log, the servers' configurations and logs

Names of models become parts of paths here, and nowhere unchecked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfcanary.core.domain import NAME
from tfcanary.core.errors import Refused

SCHEME = "local://"


def checked_name(model: str) -> str:
    """The model's name, which becomes a part of paths; raises Refused where it is none."""
    if not NAME.fullmatch(model):
        raise Refused(f"model {model!r}: must be at most 50 lower-case letters, digits and hyphens, with a letter or digit at both ends")
    return model


@dataclass(frozen=True, slots=True)
class Folder:
    """The state folder's layout; made from an absolute path."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_absolute() or ".." in self.root.parts or not self.root.name:
            raise Refused(f"state folder {str(self.root)!r}: must be an absolute path below / and without '..', for example /srv/tfcanary")

    @property
    def uri(self) -> str:
        """The platform's name for people and for the guard."""
        return f"{SCHEME}{self.root}"

    @property
    def lock(self) -> Path:
        """Locked by the supervisor for as long as it lives."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """What the supervisor last said of itself; a later one takes the ports from it."""
        return self.root / "state.json"

    @property
    def log(self) -> Path:
        """The supervisor's own words."""
        return self.root / "supervisor.log"

    @property
    def records(self) -> Path:
        """One file for each model that ever had a release."""
        return self.root / "records"

    def record(self, model: str) -> Path:
        """The model's record."""
        return self.records / f"{checked_name(model)}.json"

    @property
    def models(self) -> Path:
        """The storage of versions."""
        return self.root / "models"

    def requests(self, model: str, number: int) -> Path:
        """The request log of a version's server."""
        return self.root / "requests" / checked_name(model) / str(number)

    def run(self, model: str) -> Path:
        """What the running processes of a model read and write."""
        return self.root / "run" / checked_name(model)

    def table(self, model: str) -> Path:
        """The route table that the model's Envoy watches."""
        return self.run(model) / "routes" / "split.json"

    def make(self) -> None:
        """Make the folders that must be there; only its owner may enter the state folder. Raises Refused where it cannot be made."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.records, self.models):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise Refused(f"state folder {self.root}: cannot be made ({error.strerror})") from error
