# Three images from one file. `full` has TensorFlow: for whole releases, because validation loads the model, and for the local model
# server. `slim` has none: for pipelines of one's own that validate elsewhere. `guard` has no KFP SDK either: for deploy/guard and
# deploy/trigger, which run no step.
#   docker build --target full --tag tfcanary:0.1.0 .
# The same bytes tomorrow: --build-arg PYTHON=<repository>@sha256:<digest>
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS source
WORKDIR /src
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY tfcanary tfcanary

# Without pip inside: what runs later installs nothing.
FROM source AS build-guard
RUN python -m venv --without-pip /opt/tfcanary
RUN python -m pip --python /opt/tfcanary install --no-cache-dir --constraint constraints.txt '.[trigger,s3]'

FROM source AS build-slim
RUN python -m venv --without-pip /opt/tfcanary
RUN python -m pip --python /opt/tfcanary install --no-cache-dir --constraint constraints.txt '.[pipelines,trigger,s3]'

FROM source AS build-full
RUN python -m venv --without-pip /opt/tfcanary
RUN python -m pip --python /opt/tfcanary install --no-cache-dir --constraint constraints.txt '.[local,pipelines,trigger,s3]'

# A number, for `runAsNonRoot` cannot look a name up. Nothing is written outside of /tmp, which is a volume where the root is read-only.
FROM ${PYTHON} AS base
RUN python -m pip uninstall --yes --root-user-action=ignore wheel setuptools pip
ENV PATH=/opt/tfcanary/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
CMD ["tfcanary", "--help"]

FROM base AS guard
COPY --from=build-guard /opt/tfcanary /opt/tfcanary

FROM base AS slim
COPY --from=build-slim /opt/tfcanary /opt/tfcanary

FROM base AS full
COPY --from=build-full /opt/tfcanary /opt/tfcanary
