"""Runs our sweep and the peers in turn on one checkpoint and one text: how long each takes, how far they differ.

    python run.py --model MODEL --text TEXT [--repeat 3] [--only ours,tuned,cached,paper] [--ours BINARY] [--out all.json]

Ours is the program `stratigraph study`, built and run with cargo, or BINARY where that is built already. `ours:bf16` and
`tuned:bf16` compute in bfloat16. Ratios and differences are to the first program picked. The seconds of a sweep begin when
the model is loaded and the text is cut.
"""
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import common

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = ["--release", "--package", "stratigraph-cli"]
PROGRAMS = {"ours", "ours:bf16", "tuned", "tuned:bf16", "cached", "paper"}
UNITS = {"s": 1, "ms": 1e-3}


def spawn(command, threads):
    """Runs a command in the repository; what it printed, and the bytes of memory that it held at most."""
    told = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    told["RAYON_NUM_THREADS"] = str(threads)
    child = subprocess.Popen(command, cwd=HERE.parent.parent, env=told, stdout=subprocess.PIPE, text=True)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} failed:\n{printed}")
    return printed, usage.ru_maxrss * 1024


def same(args, precision):
    """The options that all programs share."""
    lengths = ["--sequences", str(args.sequences), "--seq-len", str(args.seq_len)]
    return ["--model", args.model, "--text", args.text, *lengths, *(["--precision", precision] if precision else [])]


def ours(options, args, out):
    """Seconds, bytes, and curves by name as in `delete_kl`."""
    command = [args.ours.resolve()] if args.ours else ["cargo", "run", *PROGRAM, "--"]
    command += ["study", *options, "--windows", "first", "--bos", "never"]  # the windows of the peers
    command += ["--experiments", "delete,swap", "--no-words", "--out", out]
    printed, peak = spawn(command, args.threads)
    seconds, unit = re.search(r"^\d+ windows of .*: ([\d.]+)(m?s)$", printed, re.MULTILINE).groups()
    curves = json.loads((out / "profile.json").read_text())["curves"]
    return float(seconds) * UNITS[unit], peak, {name: curve["mean"] for name, curve in curves.items()}


def peer(name, options, args, out):
    """The same of a peer."""
    command = [sys.executable, HERE / f"{name}.py", *options, "--threads", str(args.threads)]
    _, peak = spawn([*command, "--cache", args.cache, "--out", out / "peer.json"], args.threads)
    result = json.loads((out / "peer.json").read_text())
    curves = {f"{kind}_{m}": [row[m] for row in result[kind]] for kind in ("delete", "swap") for m in common.METRICS}
    return result["sweep_seconds"], peak, curves


def furthest(curves, others, metric):
    """The largest difference of a metric over both kinds of surgery and all layers."""
    names = [f"{kind}_{metric}" for kind in ("delete", "swap")]
    return max(abs(a - b) for name in names for a, b in zip(curves[name], others[name], strict=True))


def table(found, picked):
    """Prints a row a program: seconds, ratios within each round to the first program, memory, differences."""
    first = found[picked[0]]
    metrics = common.METRICS
    print(f"{'':12}{'seconds':>9}{'ratio min':>11}{'median':>8}{'GB':>6}" + "".join(f"{m:>16}" for m in metrics))
    for name in picked:
        seconds, peaks, curves = zip(*found[name])
        ratios = [s / base for s, (base, *_) in zip(seconds, first)]
        times = f"{min(seconds):9.1f}{min(ratios):11.2f}{statistics.median(ratios):8.2f}{max(peaks) / 1e9:6.2f}"
        differences = (furthest(curves[0], first[0][2], metric) for metric in metrics)
        print(f"{name:12}{times}" + "".join(f"{difference:16.1e}" for difference in differences))


def main():
    parser = common.parser(__doc__)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default="ours,tuned,cached,paper")
    parser.add_argument("--ours", type=pathlib.Path, help="the program, built already")
    args = parser.parse_args()
    args.model, args.text, args.cache = args.model.resolve(), args.text.resolve(), args.cache.resolve()
    picked = args.only.split(",")
    if unknown := set(picked) - PROGRAMS:
        parser.error(f"no such program: {', '.join(unknown)}")
    common.checkpoint(args.model, args.cache)
    if {"ours", "ours:bf16"} & set(picked) and not args.ours:
        subprocess.run(["cargo", "build", *PROGRAM], cwd=HERE.parent.parent, check=True)

    found = {name: [] for name in picked}
    for turn in range(args.repeat):
        for name in picked[:: -1 if turn % 2 else 1]:
            with tempfile.TemporaryDirectory() as out:
                out = pathlib.Path(out)
                program, _, precision = name.partition(":")
                options = same(args, precision)
                found[name].append(ours(options, args, out) if program == "ours" else peer(program, options, args, out))
            print(f"{name}: {found[name][-1][0]:.1f}s", file=sys.stderr)
    table(found, picked)
    if args.out:
        columns = ("sweep_seconds", "peak_rss_bytes", "curves")
        told = {name: [dict(zip(columns, run)) for run in runs] for name, runs in found.items()}
        args.out.write_text(json.dumps(told, indent=1))


main()
