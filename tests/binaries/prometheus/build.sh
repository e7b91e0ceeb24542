#!/bin/sh
# Builds prometheus and promtool into the folder $1.
#
# Of the service discoveries only Kubernetes' is kept, and the web pages, which npm would have to build, are left out:
# that halves the programs, and the API is whole. JOBS compilers run at once; each takes up to 1.5 GB.
set -eu
folder=$1
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' github.com/prometheus/prometheus)
mkdir -p "$folder"
CGO_ENABLED=0 go build -p "${JOBS:-1}" -trimpath -tags remove_all_sd,enable_kubernetes_sd,netgo \
    -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" -o "$folder/" tool
