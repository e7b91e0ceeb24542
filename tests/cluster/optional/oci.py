"""Images without a registry: one static program each, as an archive that containerd imports."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Archive:
    """An image of files; its digest is known before anybody has it."""

    def __init__(self, files: Mapping[str, bytes], entrypoint: str = "") -> None:
        self._blobs: dict[str, bytes] = {}
        layer = self._blob(_tar(files), LAYER)
        inside = {"Entrypoint": [entrypoint]} if entrypoint else {}
        config = {"architecture": "amd64", "os": "linux", "config": inside, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self._blob(_json(config), CONFIG), "layers": [layer]}
        self._manifest = self._blob(_json(manifest), MANIFEST)

    @property
    def digest(self) -> str:
        """As in `name@sha256:...`."""
        return str(self._manifest["digest"])

    def named(self, name: str) -> bytes:
        """The archive, to be known by this name."""
        index = {"schemaVersion": 2, "manifests": [{**self._manifest, "annotations": {"io.containerd.image.name": name}}]}
        blobs = {f"blobs/{digest.replace(':', '/')}": content for digest, content in self._blobs.items()}
        return _tar({"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index), **blobs})

    def _blob(self, content: bytes, kind: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()
