#!/usr/bin/env python3
"""Kills a sweep, a search and an export at random moments, runs each again, and compares what is left with an undisturbed run.

    scripts/kills.py target/release/stratigraph [KILLS [SEED]]

Each of the three is killed (SIGKILL) KILLS times (200 by default), at a moment drawn evenly over the time that the undisturbed run
took. After a kill the same command runs again, killed in turn, until one ends; then a new round begins. Of every round
the results have to be those of the undisturbed run, byte by byte but for the command that a profile and a card record, and an export
that was killed must not have left anything under its name. Needs Python 3.9 or newer, and is run in the repository.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

SIZE = ["--sequences", "16", "--seq-len", "16"]


class Sweep:
    """A job of deletions, swaps and direct effects, in steps of one window."""

    name = "sweep"
    measured = ["--experiments", "delete,swap,effects", "--windows-per-step", "1"]

    def prepare(self, program, out):
        subprocess.run([program, "sweep", "plan", out, *SIZE, *self.measured], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def command(self, program, out):
        return [program, "sweep", "run", out]

    def check_killed(self, out):
        for step in (out / "steps").glob("*.json"):
            json.loads(step.read_text())  # every step that has its name is whole

    def results(self, program, out):
        merged = out.parent / (out.name + "-merged")
        subprocess.run([program, "sweep", "merge", out, "--out", merged], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        profile = json.loads((merged / "profile.json").read_text())
        profile.pop("command", None)
        shutil.rmtree(merged)
        return profile


class Search:
    """A beam search that removes four layers."""

    name = "search"

    def prepare(self, program, out):
        pass

    def command(self, program, out):
        return [program, "search", *SIZE, "--remove", "4", "--method", "beam", "--out", out]

    def check_killed(self, out):
        if (out / "search.json").exists():
            json.loads((out / "search.json").read_text())

    def results(self, program, out):
        return {name: (out / name).read_text() for name in ["search.json", "search.md", "search.svg", "plan.txt"]}


class Export:
    """The model in the repository without two layers."""

    name = "export"

    def prepare(self, program, out):
        pass

    def command(self, program, out):
        return [program, "export", "--plan", "0..5-7..12", "--out", out]

    def check_killed(self, out):
        if out.exists():
            json.loads((out / "config.json").read_text())  # it was killed after it was done
            assert (out / "model.safetensors").stat().st_size > 0

    def results(self, program, out):
        # The card has the name of the directory, and the command that names it.
        content = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
        content["README.md"] = content["README.md"].replace(out.name.encode(), b"OUT")
        return content


def run(command, moment=None):
    """Runs a command, and kills it after that many seconds; whether it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, error = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode != 0:
        sys.exit(f"{command} failed: {error.decode()}")
    return False


def disturbed(kind, program, n_kills, directory):
    """Kills a kind of run so many times; returns how many rounds ended and how long a run takes."""
    undisturbed = directory / "undisturbed"
    kind.prepare(program, undisturbed)
    started = time.monotonic()
    run(kind.command(program, undisturbed))
    seconds = time.monotonic() - started
    expected, kills, rounds = kind.results(program, undisturbed), 0, 0
    while kills < n_kills:
        out = directory / f"round-{rounds}"
        kind.prepare(program, out)
        while kills < n_kills:
            if kind.name == "export" and out.exists():
                shutil.rmtree(out)
            if not run(kind.command(program, out), random.uniform(0.0, seconds)):
                break
            kills += 1
            kind.check_killed(out)
        else:
            if kind.name == "export" and out.exists():
                shutil.rmtree(out)
            run(kind.command(program, out))
        if kind.results(program, out) != expected:
            sys.exit(f"{kind.name}: round {rounds} ended with other results, in {out}")
        rounds += 1
        shutil.rmtree(out)
    left = [path.name for path in directory.iterdir() if path.name != "undisturbed"]
    if left:
        print(f"{kind.name}: beside the results there is {', '.join(left[:5])} ({len(left)} in all)")
    return rounds, seconds


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    n_kills = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    random.seed(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    for kind in [Sweep(), Search(), Export()]:
        with tempfile.TemporaryDirectory() as directory:
            started = time.monotonic()
            rounds, seconds = disturbed(kind, program, n_kills, pathlib.Path(directory))
            took = time.monotonic() - started
            print(f"{kind.name}: {n_kills} kills, {rounds} rounds with the results of an undisturbed run "
                  f"({seconds:.2f} s), {took:.0f} s")


if __name__ == "__main__":
    main()
