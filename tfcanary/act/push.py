"""ACT: put a version into the bucket, complete or not servable; and prove later that its bytes are still those.

`<model>/versions/<number>.json` is written first and only where it does not exist: it claims the number for a digest,
so two pushes never share a number and the same digest always gets the same one. Before the claim an empty mark,
`<model>/versions/<number>.sha256-<hash>`, says which digest it is going to be for: one listing tells which version has
which digest. Then the files but `saved_model.pb`,
which are read back and hashed, and only then that one: a TF Serving that watches the directory loads nothing before it,
so whatever a push that failed leaves behind cannot be served. The generations that were proved are sealed into the claim.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcanary.act import ledger
from tfcanary.act.hold import holding
from tfcanary.act.push_progress import ProgressLine
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Blob, Platform, Storage
from tfcanary.core.record import Record
from tfcanary.look.savedmodel import FileDigest, Manifest

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

LAST = "saved_model.pb"
VERSION = re.compile(r"(?P<number>[0-9]+)\.(?:json|(?P<mark>sha256-[0-9a-z]+))")
"""What lies in `<model>/versions/`: the claim of a number, or a mark of the digest that it was to be claimed for."""
LARGEST = 2**53
"""JSON's numbers are exact below it."""
PARALLEL = 4
"""Files in flight: enough to hide the latency of an object store, few enough to bound memory."""
Progress = Callable[[int], None]
"""Called with the bytes that have been copied or read back since the last call, from several threads."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known about a number in the bucket."""

    digest: str
    files: tuple[FileDigest, ...]
    sealed: tuple[Blob, ...] = ()
    """The listing whose bytes were read back and found right; empty until then."""


def push_candidate(platform: Platform, run_id: str, source: Path, manifest: Manifest) -> ModelVersion:
    """Push this release's candidate and write it into the record; a candidate that was pushed already is returned as it was.

    The progress is shown on stderr, which is the step's log.
    """
    release = ledger.read_release(platform, run_id)
    if release.candidate and release.candidate.digest == manifest.digest:
        return release.candidate
    with holding(platform, run_id, "push"), ProgressLine(2 * sum(one.size for one in manifest.files)) as progress:
        candidate = push(platform, source, manifest, progress)
        ledger.change(platform, run_id, lambda r: replace(r, candidate=candidate))
    return candidate


def push(
    platform: Platform, source: Path, manifest: Manifest, progress: Progress = lambda _: None, number: int | None = None
) -> ModelVersion:
    """Push the model in `source`; pushing the same bytes twice is one push. Without `number` the next free one is theirs.

    Raises Refused where these bytes are stable already, or where the bucket holds other bytes under the number, naming the file.
    """
    refuse_stable(ledger.read(platform), manifest.digest)
    number, claim = _claimed(platform, manifest) if number is None else (number, _claim(platform, manifest, number))
    if claim.digest != manifest.digest:
        raise Refused(f"{platform.bucket_uri}/{platform.model}: version {number} has other bytes: {claim.digest}")
    if not claim.sealed:
        proved = _upload(platform.storage, source, _prefix(platform, number), claim.files, progress)
        _seal(platform, number, proved)
    return verify(platform, _version(platform, number, manifest.digest))


def refuse_stable(record: Record, digest: str) -> None:
    """Raises Refused where these bytes are what serves already: a version cannot be its own canary."""
    if record.stable and record.stable.digest == digest:
        raise Refused(f"{record.model}: version {record.stable.number} is stable already, and it has the very same bytes")


def pushed(platform: Platform, number: int) -> ModelVersion:
    """The version of that number as it was pushed; raises Refused where no push claimed it."""
    claim = _claim_of(platform, number)
    if claim is None:
        raise Refused(f"{platform.bucket_uri}/{platform.model}: version {number} was never pushed by tfcanary")
    return _version(platform, number, claim.digest)


def _version(platform: Platform, number: int, digest: str) -> ModelVersion:
    return ModelVersion(number=number, uri=f"{platform.bucket_uri}/{platform.model}/{number}", digest=digest)


def verify(platform: Platform, version: ModelVersion) -> ModelVersion:
    """Compare the bucket's listing with what was sealed; raises Refused naming the file that somebody changed, added or removed."""
    claim, _ = _read(platform.storage, _claim_name(platform, version.number))
    if claim.digest != version.digest or not claim.sealed:
        raise Refused(
            f"{version.uri}: the bucket says {claim.digest}{'' if claim.sealed else ' (unfinished)'}, the release {version.digest}"
        )
    before = {b.name: b for b in claim.sealed}
    after = {b.name: b for b in platform.storage.list(_prefix(platform, version.number))}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            what = "is missing" if name not in after else "was added" if name not in before else "was overwritten"
            raise Refused(f"{platform.bucket_uri}/{name} {what} since version {version.number} was validated and pushed")
    return version


def check_stable(platform: Platform, version: ModelVersion) -> None:
    """Look whether the stable bucket has room for a version. Raises Refused where it holds other files under the number, naming one."""
    if platform.stable_storage is None:
        return
    prefix = _prefix(platform, version.number)
    claim, _ = _read(platform.storage, _claim_name(platform, version.number))
    files = {prefix + one.name: one for one in claim.files}
    for blob in platform.stable_storage.list(prefix):
        if blob.name not in files:
            raise Refused(f"{blob.name}: lies where the promoted version is to be copied, and is none of its files; remove it")
        _proved(platform.stable_storage, prefix, files[blob.name], lambda _: None)


def copy_to_stable(platform: Platform, version: ModelVersion) -> None:
    """Copy a version into the plan's stable bucket, `saved_model.pb` last, and hash what lies there; nothing to do where the plan names none.

    Raises Refused where the stable bucket holds other bytes under the number, naming the file.
    """
    stable, prefix = platform.stable_storage, _prefix(platform, version.number)
    if stable is None:
        return
    claim, _ = _read(platform.storage, _claim_name(platform, version.number))
    with tempfile.TemporaryDirectory(prefix="tfcanary-") as scratch:
        for one in claim.files:
            path = Path(scratch, one.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as into:
                platform.storage.read(prefix + one.name, into)
        _upload(stable, Path(scratch), prefix, claim.files, lambda _: None)


def retain(platform: Platform, keep: int) -> None:
    """Remove the versions from the bucket that are neither stable, nor kept, nor newer than the stable one."""
    record = ledger.read(platform)
    if record.stable is None:
        return
    kept = {record.stable.number, *(v.number for v in record.previous[: max(keep - 1, 0)])}
    running = {pool.number for pool in platform.deployer.observe().servers}
    for number in list_versions(platform).numbers:
        if number < record.stable.number and number not in kept | running:
            _remove(platform, number)


def _remove(platform: Platform, number: int) -> None:
    """`saved_model.pb` first: from then on nobody can load it; the claim stays (`act/expiry.py`), so that a number never means other bytes."""
    blobs = platform.storage.list(_prefix(platform, number))
    for blob in sorted(blobs, key=lambda b: not b.name.endswith(f"/{LAST}")):
        platform.storage.delete(blob.name)


def _prefix(platform: Platform, number: int) -> str:
    return f"{platform.model}/{number}/"


def _claim_name(platform: Platform, number: int) -> str:
    return f"{platform.model}/versions/{number}.json"


@dataclass(frozen=True, slots=True)
class Versions:
    """What one listing of a model's folder tells of its versions."""

    claims: Mapping[int, Blob]
    """The claim of each number."""
    marks: Mapping[int, tuple[Blob, ...]]
    """For which digests each number was to be claimed: its claim's, and those of pushes that were killed or not quick enough."""
    folders: frozenset[int]
    """Numbers under which files lie, whoever put them there."""

    @property
    def numbers(self) -> list[int]:
        """Every number in use, in order."""
        return sorted(self.claims.keys() | self.folders)

    def candidates(self, digest: str) -> list[int]:
        """The claimed numbers that may be this digest's, newest first: those with its mark, and those with none."""
        mark = _mark(digest)
        found = (n for n in self.claims if not self.marks.get(n) or any(one.name.endswith(mark) for one in self.marks[n]))
        return sorted(found, reverse=True)


def list_versions(platform: Platform) -> Versions:
    """List the versions of a model, in one listing."""
    return versions_in(platform.storage.list(f"{platform.model}/"), platform.model)


def versions_in(blobs: Iterable[Blob], model: str) -> Versions:
    """Find the versions in a listing of a model's folder; what has none of our names is nobody's version."""
    claims: dict[int, Blob] = {}
    marks: dict[int, tuple[Blob, ...]] = {}
    folders: set[int] = set()
    for blob in blobs:
        head, _, rest = blob.name.removeprefix(f"{model}/").partition("/")
        if found := VERSION.fullmatch(rest) if head == "versions" else None:
            number = int(found["number"])
            if found["mark"]:
                marks[number] = (*marks.get(number, ()), blob)
            else:
                claims[number] = blob
        elif head.isdecimal():
            folders.add(int(head))
    return Versions(claims, marks, frozenset(folders))


def _mark(digest: str) -> str:
    return f".{digest.replace(':', '-')}"


def _claimed(platform: Platform, manifest: Manifest) -> tuple[int, Claim]:
    """The number of this digest: an earlier claim's, or the next free one; a lost race for a number tries the next."""
    while True:
        there = list_versions(platform)
        for number in there.candidates(manifest.digest):
            claim = _claim_of(platform, number)
            # A sealed version whose files were removed by retention cannot be used again: its bytes get a new number.
            if claim and claim.digest == manifest.digest and (not claim.sealed or number in there.folders):
                return number, claim
        # Of this very list: a number that was claimed since then may be for the same bytes.
        free = _after(platform, there.numbers)
        if (claim := _claim(platform, manifest, free)).digest == manifest.digest:
            return free, claim


def _claim(platform: Platform, manifest: Manifest, number: int) -> Claim:
    """Claim this number for this digest; returns the claim that stands, which is another digest's where that one was quicker.

    The mark comes first and its name sorts after the claim's, so no listing shows a claim without the mark of its digest.
    """
    fresh = Claim(digest=manifest.digest, files=manifest.files)
    with suppress(Conflict):
        platform.storage.write(f"{platform.model}/versions/{number}{_mark(manifest.digest)}", b"", if_generation=0)
    try:
        platform.storage.write(_claim_name(platform, number), codec.dumps(fresh).encode(), if_generation=0)
        return fresh
    except Conflict:
        return _read(platform.storage, _claim_name(platform, number))[0]


def next_number(platform: Platform) -> int:
    """The number that the next new digest gets, unless somebody else is quicker."""
    return _after(platform, list_versions(platform).numbers)


def _after(platform: Platform, numbers: Sequence[int]) -> int:
    stable = ledger.read(platform).stable
    last = max([*numbers, stable.number if stable else 0])
    if last + 1 >= LARGEST:
        raise Refused(f"{platform.bucket_uri}/{platform.model}/{last}: no version can follow it, for numbers end below 2^53; remove it")
    return last + 1


def _claim_of(platform: Platform, number: int) -> Claim | None:
    listed = platform.storage.list(_claim_name(platform, number))
    return _read(platform.storage, _claim_name(platform, number))[0] if listed else None


def is_sealed(platform: Platform, number: int) -> bool:
    """Whether the version's bytes were proved; where not, its push may be on its way."""
    return bool(_read(platform.storage, _claim_name(platform, number))[0].sealed)


def _read(storage: Storage, name: str) -> tuple[Claim, Blob]:
    into = io.BytesIO()
    blob = storage.read(name, into)
    claim: Claim = codec.loads(Claim, into.getvalue(), at=name)
    return claim, blob


def _upload(storage: Storage, source: Path, prefix: str, files: Sequence[FileDigest], progress: Progress) -> tuple[Blob, ...]:
    """Copy what is not there yet and prove it, `saved_model.pb` once everything else is proved; what was proved, by name."""
    there = {b.name for b in storage.list(prefix)}
    if unknown := sorted(there - {prefix + f.name for f in files}):
        raise Refused(f"{unknown[0]}: lies where a new version was to be pushed, and is none of its files; remove it")

    def copy(one: FileDigest) -> Blob:
        if prefix + one.name not in there:
            # Who pushes the same bytes at the same time may have been quicker: what lies there is proved, whoever wrote it.
            with suppress(Conflict):
                storage.write(prefix + one.name, source / one.name, if_generation=0)
        progress(one.size)
        return _proved(storage, prefix, one, progress)

    with ThreadPoolExecutor(PARALLEL) as pool:
        proved = list(pool.map(copy, [f for f in files if f.name != LAST]))
    proved += [copy(f) for f in files if f.name == LAST]
    return tuple(sorted(proved, key=lambda blob: blob.name))


def _seal(platform: Platform, number: int, proved: tuple[Blob, ...]) -> None:
    """Write down which generations were proved; whoever sealed the same ones meanwhile is right, too."""
    name = _claim_name(platform, number)
    claim, mine = _read(platform.storage, name)
    if claim.sealed == proved:
        return
    try:
        platform.storage.write(name, codec.dumps(replace(claim, sealed=proved)).encode(), if_generation=mine.generation)
    except Conflict:
        if _read(platform.storage, name)[0].sealed != proved:
            raise


def _proved(storage: Storage, prefix: str, file: FileDigest, progress: Progress) -> Blob:
    """Read back and hash; raises Refused where it is not what was validated."""
    sink = Hashing(progress)
    blob = storage.read(prefix + file.name, sink)
    if sink.sha256.hexdigest() != file.sha256:
        raise Refused(f"{prefix}{file.name}: the bucket holds other bytes than those that were validated; remove them and push again")
    return blob


class Hashing(io.BytesIO):
    """A sink that keeps nothing but the hash."""

    def __init__(self, progress: Progress = lambda _: None) -> None:
        super().__init__()
        self.sha256 = hashlib.sha256()
        self._progress = progress

    def write(self, piece: Buffer, /) -> int:
        """Add one piece to the hash."""
        self.sha256.update(piece)
        size = memoryview(piece).nbytes
        self._progress(size)
        return size
