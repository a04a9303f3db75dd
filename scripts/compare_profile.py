"""Compares a profile with a reference computed independently, and prints the largest difference of each curve.

usage: compare_profile.py OUT_DIR/profile.json REFERENCE.json

The reference holds `delete`, `swap` and `logit_lens`, lists over layers of objects with the metrics' names, and lists of
numbers under the names of the other curves. Curves that the profile lacks are named. Exits with 1 when a value differs by
more than 0.5 % and more than 0.002 (curves of sweeps) or 0.00001 (the rest), or a count at all.
"""

import json
import sys

SWEEPS = {"delete": "delete", "swap": "swap", "lens": "logit_lens"}


def expected_curves(reference):
    """The reference's curves, by our names."""
    for sweep, theirs in SWEEPS.items():
        for metric in reference[theirs][0]:
            yield f"{sweep}_{metric}", [row[metric] for row in reference[theirs]]
    for distance, values in reference["attention_at_distance"].items():
        yield f"attention_at_distance_{distance}", values
    for name, values in reference.items():
        if isinstance(values, list) and name not in ("first_ids", *SWEEPS.values()):
            yield name, values


def tolerance(name, curve):
    """The absolute and the relative difference that are allowed."""
    if curve["unit"] == "count":
        return 0, 0
    return (0.002 if name.startswith(tuple(SWEEPS)) else 1e-5), 0.005


def main():
    profile, reference = (json.load(open(path)) for path in sys.argv[1:3])
    if profile.get("format") not in (2, 3):
        sys.exit(f"{sys.argv[1]} has format {profile.get('format', 1)}; this script reads formats 2 and 3")
    wrong = compared = 0
    absent = []
    for name, expected in expected_curves(reference):
        curve = profile["curves"].get(name)
        if curve is None:
            absent.append(name)
            continue
        found = curve["mean"]
        if len(found) != len(expected):
            sys.exit(f"{name} has {len(found)} values, and the reference has {len(expected)}")
        differences = [abs(a - b) for a, b in zip(found, expected)]
        point = max(range(len(differences)), key=differences.__getitem__)
        least, share = tolerance(name, curve)
        wrong += sum(d > least and d > share * abs(b) for d, b in zip(differences, expected))
        compared += len(expected)
        print(f"{name:26} {differences[point]:.1e} at {point:2}: {found[point]:.6f}, {expected[point]:.6f}")
    print(f"{wrong} of {compared} values outside; not in the profile: {', '.join(absent) or 'none'}")
    sys.exit(wrong > 0)


main()
