"""`python -m tests.binaries`: have everything before the tests ask for it, for a build takes longer than a test may."""

from __future__ import annotations

from tests import binaries
from tests.binaries import crds
from tests.cluster.cluster import DEFINITIONS

PROGRAMS = {
    "controlplane": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    "prometheus": ("prometheus",),
}


def main() -> None:
    """Print where each is."""
    for group, programs in PROGRAMS.items():
        for program in programs:
            print(binaries.find(program, group))
    for name in DEFINITIONS:
        print(crds.find(name))


if __name__ == "__main__":
    main()
