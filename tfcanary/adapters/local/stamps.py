"""The fencing of one model on this machine: which intent wrote each track and each pool last.

The supervisor keeps the stamps. It answers one question after the other on its only thread, so between the check of a stamp and the
write under it no other command is carried out: that is the lock which `core.fencing` asks for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tfcanary.adapters.local.folder import pool_name, pool_of
from tfcanary.core.domain import Intent, Pool, Track
from tfcanary.core.fencing import admit

REMEMBERED = 50
"""Removed pools whose stamps are remembered, the newest ones: no command of an older intent is on its way any longer."""

Json = dict[str, Any]


@dataclass
class Stamps:
    """The intents of the last writes to the tracks and pools of a model, and to pools that were removed."""

    tracks: dict[Track, Intent] = field(default_factory=dict)
    pools: dict[Pool, Intent] = field(default_factory=dict)

    def put_track(self, track: Track, intent: Intent) -> None:
        """Stamp a track; raises Conflict where a newer intent wrote it."""
        self.tracks[track] = admit(self.tracks.get(track), intent, f"the {track.value} track")

    def put_pool(self, pool: Pool, intent: Intent) -> None:
        """Stamp a pool; raises Conflict where a newer intent deployed or removed it."""
        self.pools[pool] = admit(self.pools.get(pool), intent, str(pool))

    def forget(self, running: Collection[Pool]) -> None:
        """Forget the oldest stamps of pools that do not run."""
        removed = sorted(self.pools.keys() - set(running), key=lambda pool: self.pools[pool].number)
        for pool in removed[:-REMEMBERED]:
            del self.pools[pool]

    def raise_all(self, intent: Intent, pool: Pool | None) -> None:
        """Stamp all tracks, all pools that have a stamp, and this pool with an intent, where they carry no newer one."""
        self.tracks = {track: _newest(self.tracks.get(track), intent) for track in Track}
        self.pools = {known: _newest(self.pools.get(known), intent) for known in (*self.pools, *([pool] if pool else []))}

    def as_json(self) -> Json:
        """Return the stamps as texts by name."""
        return {
            "tracks": {track.value: intent.stamp() for track, intent in self.tracks.items()},
            "pools": {pool_name(pool): intent.stamp() for pool, intent in self.pools.items()},
        }

    @staticmethod
    def of_json(document: Json) -> Stamps:
        """Read what `as_json` has written; a text that is no stamp is left out. Raises ValueError or LookupError for another document."""
        tracks = {Track(track): Intent.of_stamp(text) for track, text in document["tracks"].items()}
        pools = {pool_of(name): Intent.of_stamp(text) for name, text in document["pools"].items()}
        return Stamps({t: i for t, i in tracks.items() if i is not None}, {p: i for p, i in pools.items() if i is not None})


def _newest(stamp: Intent | None, intent: Intent) -> Intent:
    return stamp if stamp is not None and stamp.number > intent.number else intent
