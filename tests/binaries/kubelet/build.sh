#!/bin/sh
# Builds kubelet, and the two small programs of the images that it runs, into the folder $1.
#
# After the control plane's build a minute of one core. No cgo. JOBS compilers run at once; each takes up to 1.5 GB.
set -eu
folder=$1
cd "$(dirname "$0")"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
minor=${minor%%.*}
package=k8s.io/component-base/version
mkdir -p "$folder"
CGO_ENABLED=0 go build -p "${JOBS:-1}" -trimpath \
    -ldflags "-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor" \
    -o "$folder/" k8s.io/kubernetes/cmd/kubelet ./standin ./testpause
