#!/usr/bin/env bash
# Builds the worker's image for the tests of the deployed stack, out of the
# worker in target/debug. No registry of images is asked: Debian's base is made
# here, from Debian's packages, under the name that the Dockerfile has for it.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE=docker.io/library/debian:bookworm-slim
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# What podman's own defaults ask for is more than a container in a container is granted.
cat >"$folder/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
CONF
export CONTAINERS_CONF="$folder/containers.conf"

if ! podman image exists "$BASE"; then
    mmdebstrap --quiet --variant=minbase bookworm "$folder/rootfs.tar"
    podman import --quiet "$folder/rootfs.tar" "$BASE" >/dev/null
    rm "$folder/rootfs.tar"
fi

mkdir "$folder/context"
strip --strip-debug -o "$folder/context/worker" target/debug/worker
# Podman's own format has no health check; the tests ask the worker themselves.
podman build --quiet --network host --target prebuilt --format oci \
    --file infra/worker.Dockerfile --tag ezlive-worker:test "$folder/context" 2>&1 |
    grep -v HEALTHCHECK
podman image inspect --format 'ezlive-worker:test {{.Size}} bytes' ezlive-worker:test
