# Two images from one file: `slim` for steps that need no TensorFlow, `full` for validation and the local model server.
#   docker build --target slim --tag tfcanary:slim .
ARG PYTHON=3.11-slim-bookworm
FROM python:${PYTHON} AS build
WORKDIR /src
COPY setup.py README.md ./
COPY tfcanary tfcanary
RUN python -m venv /opt/tfcanary && /opt/tfcanary/bin/pip install --no-cache-dir .

FROM build AS build-full
RUN /opt/tfcanary/bin/pip install --no-cache-dir '.[local]'

FROM python:${PYTHON} AS slim
COPY --from=build /opt/tfcanary /opt/tfcanary
ENV PATH=/opt/tfcanary/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp

FROM slim AS full
COPY --from=build-full /opt/tfcanary /opt/tfcanary
