"""The upload of the compiled pipelines to a KFP host, with the descriptions that the packages hold.

Kubeflow takes a pipeline's description from the upload and not from the package: a file that is uploaded in its pages has none, unless
a person types it. The form of a run shows only names, so without the description nobody knows what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfcanary import __version__
from tfcanary.run.submit import check_image
from tfcanary.run.submit.host_auth import HostAuth
from tfcanary.run.submit.kfp_api import KfpApi
from tfcanary.run.submit.remote_run import read_package

PIPELINES = ("canary_release", "abort_release")


@dataclass(frozen=True, slots=True)
class Publication:
    """One pipeline on a KFP host after an upload."""

    pipeline: str
    """The pipeline's name on the host."""
    version: str
    """The name of the version that the package is."""
    uploaded: bool
    """Whether this upload added the version; a version that the host had already stays as it is."""


def upload(host: str, auth: HostAuth | None = None, image: str = "", version: str = __version__) -> tuple[Publication, ...]:
    """Upload both pipelines to a KFP host, each as a new version where the host has the pipeline already.

    Args:
        host: The endpoint of a Kubeflow Pipelines API.
        auth: The credentials for it.
        image: The image in which the steps run; may be empty where the packages were compiled for an image.
        version: The name of the new versions; it must be a name of Kubernetes: lower-case letters, digits, `-` and `.`.

    Raises Refused where no image is known, Unavailable where the host cannot be reached or takes no pipeline.
    """
    check_image(image)
    api = KfpApi.connect(host, auth)
    return tuple(_upload(api, name, image, version) for name in PIPELINES)


def _upload(api: KfpApi, name: str, image: str, version: str) -> Publication:
    import yaml

    pipeline, pods = read_package(name, image)
    info = pipeline["pipelineInfo"]
    content = yaml.safe_dump_all([pipeline, pods] if pods else [pipeline], sort_keys=False)
    version = f"{info['name']}-{version}"
    uploaded = api.upload_pipeline(info["name"], version, info.get("description", ""), f"{name}.yaml", content)
    return Publication(info["name"], version, uploaded)
