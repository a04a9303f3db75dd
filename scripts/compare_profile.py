"""Compares a profile with a reference computed independently, and prints the largest difference of each curve.

usage: compare_profile.py OUT_DIR/profile.json REFERENCE.json

The reference holds `delete`, `swap` and `logit_lens`: lists over layers of objects with the metrics' names. Exits with 1
when a value differs by more than 0.5 % and more than 0.002.
"""

import json
import sys

METRICS = ("kl", "top1_agreement", "entropy_bits", "nll", "accuracy")
CURVES = {"delete": "delete", "swap": "swap", "lens": "logit_lens"}


def main():
    profile, reference = (json.load(open(path)) for path in sys.argv[1:3])
    wrong = 0
    for name, theirs in CURVES.items():
        for metric in METRICS:
            found = profile["curves"][f"{name}_{metric}"]["mean"]
            expected = [row[metric] for row in reference[theirs]]
            assert len(found) == len(expected), f"{name}_{metric}: {len(found)} values instead of {len(expected)}"
            differences = [abs(a - b) for a, b in zip(found, expected)]
            layer = max(range(len(differences)), key=differences.__getitem__)
            wrong += sum(d > 0.002 and d > 0.005 * abs(b) for d, b in zip(differences, expected))
            print(f"{name}_{metric:15} {differences[layer]:.1e} at {layer:2}: {found[layer]:.6f}, {expected[layer]:.6f}")
    print(f"{wrong} values outside 0.5 % or 0.002")
    sys.exit(wrong > 0)


main()
