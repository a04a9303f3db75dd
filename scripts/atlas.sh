#!/usr/bin/env bash
# Profiles to compare: trains small models of three families, three depths and two seeds on one text, and studies them.
#
#     scripts/atlas.sh families TEXT OUT    the eighteen small models; TEXT is what scripts/training_text.py wrote
#     scripts/atlas.sh training TEXT OUT    models/tiny after 0, 0.3, 1, 3, 10, 30 and 100 % of its training
#     scripts/atlas.sh study OUT MODEL...   any other models, such as a GGUF file
#
# Models are in OUT/models and profiles in OUT/profiles. A run that was stopped goes on, and what is there is kept. Programs are built
# first, or taken from STRATIGRAPH, the program, and TRAIN, a folder with the examples train_family and train_tiny. WINDOWS is the
# number of windows of 64 tokens of a study, 16 if it is not set. Paths are taken from the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ $# -lt 3 ]]; then sed -n '2,10s/^# \{0,1\}//p' scripts/atlas.sh; exit 2; fi
what=$1; shift

build() { cargo build --locked --release "$@" >&2; }
target=${CARGO_TARGET_DIR:-target}/release
if [[ -z ${STRATIGRAPH:-} ]]; then build -p stratigraph-cli; STRATIGRAPH=$target/stratigraph; fi
if [[ $what != study && -z ${TRAIN:-} ]]; then build -p stratigraph-train --examples; TRAIN=$target/examples; fi

# Writes a profile on one line, with the seven digits that a number in f32 has.
shorten() {
    python3 -c '
import json, sys
digits = lambda text: float("%.7g" % float(text))
with open(sys.argv[1]) as whole:
    profile = json.load(whole, parse_float=digits)
with open(sys.argv[2] + ".partial", "w") as short:
    json.dump(profile, short, separators=(",", ":"))
' "$1" "$2"
    mv "$2.partial" "$2"
}

# Writes the profile of a model, under a name.
study() {
    local model=$1 name=$2
    if [[ -e $out/profiles/$name.json ]]; then return; fi
    rm -rf "$out/study-$name"
    "$STRATIGRAPH" study --model "$model" --windows first --sequences "${WINDOWS:-16}" --seq-len 64 --no-words --prompt-pages 0 \
        --out "$out/study-$name" --experiments delete,delete_after_first,swap,lens,attention,geometry,neurons
    shorten "$out/study-$name/profile.json" "$out/profiles/$name.json"
    rm -r "$out/study-$name"
}

case $what in
    families)
        text=$1 out=$2
        mkdir -p "$out/models" "$out/profiles"
        for seed in 0 1; do
            for n_layers in 6 12 18; do
                for family in gpt2 neox llama; do
                    name=$family-$n_layers-$seed
                    if [[ ! -e $out/profiles/$name.json ]]; then
                        "$TRAIN/train_family" "$text" "$out/models/$name" $family $n_layers $seed
                        study "$out/models/$name" "$name"
                    fi
                done
            done
        done
        ;;
    training)
        text=$1 out=$2
        mkdir -p "$out/profiles" "$out/models/links"
        "$TRAIN/train_tiny" "$text" "$out/models/tiny" & # until all that is kept of it is there
        trap 'kill %1 2>/dev/null || true' EXIT
        for at in 0000 0021 0070 0210 0700 2100; do
            step=$out/models/tiny/steps/00$at
            until [[ -e $step ]]; do
                kill -0 %1 # an error where training has failed
                sleep 5
            done
            ln -sfn "$(realpath "$step")" "$out/models/links/tiny" # the profile has this name
            study "$out/models/links/tiny" "step-$at"
        done
        study models/tiny step-7000
        ;;
    study)
        out=$1; shift
        mkdir -p "$out/profiles"
        for model; do study "$model" "$(basename "$model" .gguf)"; done
        ;;
    *) echo "error: $what is neither families, training nor study" >&2; exit 2 ;;
esac
