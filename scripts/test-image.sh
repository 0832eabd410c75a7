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

# Where podman can't, it says so in riddles, and late.
no_containers() {
    {
        echo "this machine can't run containers, and the tests of the deployed stack need some:"
        printf '%s\n' "$1" | sed 's/^/    /'
        echo "run the same as root, or where podman works; 'make test-local' has all other tests"
    } >&2
    exit 2
}
why=$(podman info 2>&1 >/dev/null) || no_containers "$why"

if ! podman image exists "$BASE"; then
    mmdebstrap --quiet --variant=minbase bookworm "$folder/rootfs.tar" ||
        no_containers "mmdebstrap can't make Debian's base: its words are above"
    podman import --quiet "$folder/rootfs.tar" "$BASE" >/dev/null
    rm "$folder/rootfs.tar"
fi

why=$(podman run --rm --network host "$BASE" true 2>&1) || no_containers "$why"

mkdir "$folder/context"
strip --strip-debug -o "$folder/context/worker" target/debug/worker
# Podman's own format has no health check; the tests ask the worker themselves.
podman build --quiet --network host --target prebuilt --format oci \
    --file infra/worker.Dockerfile --tag ezlive-worker:test "$folder/context" 2>&1 |
    grep -v HEALTHCHECK
podman image inspect --format 'ezlive-worker:test {{.Size}} bytes' ezlive-worker:test
