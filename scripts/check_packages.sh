#!/usr/bin/env bash
# Packages every crate that is published, as `cargo publish` would, and checks that the packages compile with nothing but each
# other. `cargo package` without --no-verify checks the same, but builds burn anew without optimisation.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo package --quiet --workspace --exclude stratigraph-benches --exclude stratigraph-testing --no-verify --allow-dirty

out=$target/packages
rm -rf "$out" && mkdir -p "$out"
for package in "$target"/package/stratigraph*-[0-9]*.crate; do tar -xf "$package" -C "$out"; done
for folder in "$out"/*/; do
    for file in Cargo.toml README.md LICENSE-MIT LICENSE-APACHE; do
        test -s "$folder$file" || { echo "${folder}$file is missing" >&2 && exit 1; }
    done
done

# A workspace of the packages, with the profiles of this one, so that dependencies are not built again.
{
    printf '[workspace]\nmembers = ["stratigraph*"]\nresolver = "3"\n\n[patch.crates-io]\n'
    for folder in "$out"/*/; do
        name=$(basename "$folder")
        printf '%s = { path = "%s" }\n' "${name%-*}" "$name"
    done
    sed -n '/^\[profile/,/^$/p' Cargo.toml
} >"$out/Cargo.toml"
cp Cargo.lock "$out/"
cargo check --manifest-path "$out/Cargo.toml" --release --workspace --all-features
