"""Compares a profile with a reference computed independently, and prints the largest difference of each curve.

usage: compare_profile.py OUT_DIR/profile.json REFERENCE.json

The reference holds `delete`, `swap` and `logit_lens`, lists over layers of objects with the metrics' names, and lists of
numbers under the names of the other curves. Curves that the profile lacks are named. Exits with 1 when a value differs by
more than 0.5 % and more than 0.002 (scores) or 0.00001 (the rest), or a count at all.
"""

import json
import sys

METRICS = ("kl", "top1_agreement", "entropy_bits", "nll", "accuracy")
SCORED = {"delete": "delete", "swap": "swap", "lens": "logit_lens"}
COUNTS = ("prediction_neurons", "suppression_neurons")


def expected_curves(reference):
    """The reference's curves, by our names."""
    for name, theirs in SCORED.items():
        for metric in METRICS:
            yield f"{name}_{metric}", [row[metric] for row in reference[theirs]]
    for distance, values in reference["attention_at_distance"].items():
        yield f"attention_at_distance_{distance}", values
    for name, values in reference.items():
        if isinstance(values, list) and name not in ("first_ids", *SCORED.values()):
            yield name, values


def main():
    profile, reference = (json.load(open(path)) for path in sys.argv[1:3])
    wrong = compared = 0
    absent = []
    for name, expected in expected_curves(reference):
        if name not in profile["curves"]:
            absent.append(name)
            continue
        found = profile["curves"][name]["mean"]
        assert len(found) == len(expected), f"{name}: {len(found)} values instead of {len(expected)}"
        differences = [abs(a - b) for a, b in zip(found, expected)]
        layer = max(range(len(differences)), key=differences.__getitem__)
        least, share = (0, 0) if name in COUNTS else (0.002 if name.startswith(tuple(SCORED)) else 1e-5, 0.005)
        wrong += sum(d > least and d > share * abs(b) for d, b in zip(differences, expected))
        compared += len(expected)
        print(f"{name:26} {differences[layer]:.1e} at {layer:2}: {found[layer]:.6f}, {expected[layer]:.6f}")
    print(f"{wrong} of {compared} values outside; not in the profile: {', '.join(absent) or 'none'}")
    sys.exit(wrong > 0)


main()
