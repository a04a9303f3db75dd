#!/usr/bin/env bash
# What there is to know of a GPU before it is trusted with a sweep, as one JSON file: scripts/gpu-check.sh [build|run|short] [OUT.json]
#
#   build   builds the program of the check here, and strips it: target/gpu-check/device
#   run     runs it, here or on another machine: it needs the program, models/tiny and tests/fixtures (packed by zstd 35 MiB with
#           FEATURES=all), a driver, no network and no toolchain, and takes some minutes
#   short   the same in small, on any adapter, with little choice among kernels: in a minute or two on software Vulkan
#
# Without an argument: build, then run. FEATURES=wgpu,burn/vulkan builds with burn's own feature of a backend (all: those of the
# workspace, which its tests are built with), and STRATIGRAPH_DEVICE=vulkan names the device.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
out=${2:-gpu-check.json}
program=target/gpu-check/device

build() {
    local built features=(--features "${FEATURES:-wgpu}")
    if [[ ${FEATURES:-} == all ]]; then features=(--workspace --all-features); fi
    # As tests are built, so that after them nothing is built anew.
    built=$(cargo test --locked --release --no-run --bench device "${features[@]}" 2>&1 | tee >(cat >&2) | sed -n 's/.*device\.rs (\(.*\))$/\1/p')
    test -x "$built" || { echo "error: the program of the check was not built" >&2; exit 1; }
    mkdir -p "$(dirname "$program")"
    strip -o "$program" "$built"
    ls -l "$program"
}

run() {
    test -x "$program" || { echo "error: $program is missing: run scripts/gpu-check.sh build on a machine with Rust" >&2; exit 1; }
    local seconds=$SECONDS
    rm -f "$out"
    "$program" "$out"
    test -s "$out" || { echo "skipped: no device"; return; }
    echo "wrote $out after $((SECONDS - seconds)) s"
}

case $what in
    build) build ;;
    run) run ;;
    short) STRATIGRAPH_SHORT=1 CUBECL_AUTOTUNE_LEVEL=minimal run ;;
    all) build && run ;;
    *) echo "usage: scripts/gpu-check.sh [build|run|short] [OUT.json]" >&2; exit 2 ;;
esac
