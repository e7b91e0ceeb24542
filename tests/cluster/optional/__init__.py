"""What a cluster has and ours has not: a real kubelet, and a real controller of the Gateway API.

These suites need more than pip and Go can give everywhere (root, Debian's containerd, a root folder that can be written), and
minutes: they run where TFCANARY_OPTIONAL=1 is set, and say what is missing where they cannot.
"""

from __future__ import annotations

import os

import pytest

WANTED = "TFCANARY_OPTIONAL"
optional = pytest.mark.skipif(os.environ.get(WANTED) != "1", reason=f"{WANTED}=1 is not set: the optional suites take minutes")
