"""Score the same items with lm-evaluation-harness and with `stratigraph tasks`, and compare every item.

    pip install lm-eval torch transformers accelerate
    python scripts/check_tasks.py MODEL_DIR WORK_DIR [--program target/release/stratigraph] [--items 200] [--shots 0 2]

MODEL_DIR is a Hugging Face directory that transformers and Stratigraph open, such as models/tiny. The items are made here, in the
forms in which Hugging Face has the data sets, from sentences of examples/data/sample.txt: they ask nothing, but they have every
quirk that the tasks' preprocessing handles. The harness runs its own task definitions on them; only the data and the sampler of
examples (the first ones, not random ones) are replaced, and answers that a model writes have at most 24 tokens. Fails if a
log-probability differs by more than 1e-3 nats or an item is answered otherwise, unless the harness's two best choices are closer than
that; or if a text that is written is another one, or is scored otherwise.
"""

import argparse
import csv
import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lm_eval
import numpy as np
import yaml
from lm_eval.tasks import TaskManager

REPOSITORY = Path(__file__).parent.parent
TASKS = Path(lm_eval.__file__).parent / "tasks"
SUBJECTS = ["anatomy", "high_school_us_history"]
TOLERANCE = 1e-3


class Texts:
    """Random sentences and words of the sample text."""

    def __init__(self, seed):
        text = (REPOSITORY / "examples/data/sample.txt").read_text()
        sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+", text)]
        self.sentences = [s for s in sentences if 4 <= len(s.split()) <= 30 and "_" not in s]
        self.random = random.Random(seed)

    def sentence(self):
        return self.random.choice(self.sentences)

    def sentences_(self, low, high):
        return " ".join(self.sentence() for _ in range(self.random.randint(low, high)))

    def words(self, low, high):
        words = self.sentence().split()
        start = self.random.randrange(max(1, len(words) - high))
        return " ".join(words[start : start + self.random.randint(low, high)]).strip(" .,;:") or "stone"

    def quirk(self, text):
        """A text as it is, or with something that preprocessing or a tokenizer may trip over."""
        changes = [
            lambda t: t,
            lambda t: t,
            lambda t: f" {t} ",
            lambda t: t.replace(" ", "  ", 1),
            lambda t: f"{t} é, ß, 日本 and 😀",
            lambda t: t.upper(),
            lambda t: f"{t}\nAnd 12 345.6 times",
        ]
        return self.random.choice(changes)(text)


def lambada(texts):
    return {"text": texts.sentences_(2, 4).rstrip(" .!?\"'")}


def hellaswag(texts):
    marks = ["", " [title] ", "[header] ", " [step] ", "[substeps] ", " [open"]
    mark = lambda text: texts.random.choice(marks) + text
    return {
        "ind": texts.random.randrange(1000),
        "activity_label": texts.words(1, 3),
        "ctx_a": mark(texts.sentence()),
        "ctx_b": texts.random.choice(["", texts.words(1, 3), "the USA"]),
        "endings": [mark(texts.quirk(texts.sentence())) for _ in range(4)],
        "label": str(texts.random.randrange(4)),
    }


def arc(texts):
    n = texts.random.choice([3, 4, 4, 4, 5])
    labels = list("ABCDE" if texts.random.random() < 0.7 else "12345")[:n]
    choices = {"text": [texts.quirk(texts.words(1, 6)) for _ in labels], "label": labels}
    question = texts.quirk(texts.sentences_(1, 2))
    return {"id": "x", "question": question, "choices": choices, "answerKey": texts.random.choice(labels)}


def piqa(texts):
    solutions = {f"sol{n}": texts.quirk(texts.sentence()) for n in (1, 2)}
    return {"goal": texts.quirk(texts.words(3, 8)), **solutions, "label": texts.random.randrange(2)}


def winogrande(texts):
    words = f"{texts.sentence()} {texts.sentence()}".split()
    words[texts.random.randrange(len(words) - 2)] = "_"
    options = {f"option{n}": texts.words(1, 2) for n in (1, 2)}
    return {"sentence": " ".join(words), **options, "answer": texts.random.choice("12")}


def mmlu(texts):
    return {
        "question": texts.quirk(texts.sentences_(1, 3)),
        "subject": texts.random.choice(SUBJECTS),
        "choices": [texts.quirk(texts.words(1, 5)) for _ in range(4)],
        "answer": texts.random.randrange(4),
    }


def gsm8k(texts):
    numbers = [f"{texts.random.choice(['', '-', '$'])}{texts.random.randrange(2000):,}" for _ in range(3)]
    question = f"{texts.words(2, 6)} {numbers[0]} {texts.words(1, 3)}?"
    way = f"{texts.words(1, 4)} <<{numbers[0]}+{numbers[1]}={numbers[2]}>>{numbers[2]}"
    return {"question": texts.quirk(question), "answer": f"{way}\n#### {numbers[2]}"}


# The maker of items, the harness's definition, and the files that it needs.
FORMS = {
    "lambada": (lambada, "lambada/lambada_openai.yaml"),
    "hellaswag": (hellaswag, "hellaswag/hellaswag.yaml"),
    "arc_easy": (arc, "arc/arc_easy.yaml"),
    "arc_challenge": (arc, "arc/arc_challenge.yaml"),
    "piqa": (piqa, "piqa/piqa.yaml"),
    "winogrande": (winogrande, "winogrande/default.yaml"),
    "mmlu": (mmlu, "mmlu/default/_default_template_yaml"),
    "gsm8k": (gsm8k, "gsm8k/gsm8k.yaml"),
}
# Those of which the model writes the answers.
WRITTEN = ["gsm8k"]
MAX_NEW_TOKENS = 24


def write_items(path, make, n, seed):
    """Writes distinct items, and returns them."""
    texts, items, seen = Texts(seed), [], set()
    while len(items) < n:
        item = make(texts)
        line = json.dumps(item, ensure_ascii=False)
        if line not in seen:
            seen.add(line)
            items.append(item)
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    return items


def write_task(folder, name, definition, files, description=None):
    """A task of the harness with its own definition and our data."""
    source = TASKS / definition
    if not (folder / source.name).exists():
        shutil.copytree(source.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("mmlu_*", "_mmlu*"))
    lines = [
        f"include: {source.name}",
        f"task: {name}",
        "dataset_path: json",
        "dataset_name: null",
        f"dataset_kwargs: {json.dumps({'data_files': {split: str(path) for split, path in files.items()}})}",
        "training_split: null",
        "validation_split: null",
        "test_split: test",
        "fewshot_split: dev",
        "fewshot_config: {sampler: first_n}",
    ]
    if description:
        lines.append(f"description: {json.dumps(description)}")
    (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")


def prepare(work, name, n_items, shots):
    """Items, examples and tasks; returns the names of the tasks and the subject of each."""
    make, definition = FORMS[name]
    folder = work / "tasks" / name
    folder.mkdir(parents=True, exist_ok=True)
    items = write_items(work / f"{name}.jsonl", make, n_items, seed=f"items of {name}")
    examples = write_items(work / f"{name}-dev.jsonl", make, 40, seed=f"examples of {name}")
    if name != "mmlu":
        files = {"test": work / f"{name}.jsonl", "dev": work / f"{name}-dev.jsonl"}
        write_task(folder, f"own_{name}", definition, files)
        return {f"own_{name}": list(range(n_items))}
    places = {}
    for subject in SUBJECTS:
        files = {}
        for split, all_items in (("test", items), ("dev", examples)):
            files[split] = work / f"{name}-{subject}-{split}.jsonl"
            of_subject = [item for item in all_items if item["subject"] == subject]
            files[split].write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in of_subject))
        text = (TASKS / f"mmlu/default/mmlu_{subject}.yaml").read_text()
        (quoted,) = re.findall(r'"description": ("(?:[^"\\]|\\.|\\\n)*")', text)
        write_task(folder, f"own_mmlu_{subject}", definition, files, yaml.safe_load(quoted))
        places[f"own_mmlu_{subject}"] = [index for index, item in enumerate(items) if item["subject"] == subject]
    return places


def run_harness(name, model, work, places, shots):
    """What the harness finds for each item, in the order of our file. It is kept in WORK_DIR and not computed again."""
    kept = work / f"{name}-{shots}-{model.resolve().name}-harness.json"
    if kept.exists():
        return json.loads(kept.read_text())
    manager = TaskManager(include_path=str(work / "tasks"), include_defaults=False)
    options = {"model": "hf", "model_args": f"pretrained={model},dtype=float32", "device": "cpu", "batch_size": 8}
    if name in WRITTEN:
        # One at a time: the harness pads with a token that a tokenizer without special tokens does not have.
        options |= {"gen_kwargs": {"max_gen_toks": MAX_NEW_TOKENS}, "batch_size": 1}
    results = lm_eval.simple_evaluate(
        **options, tasks=list(places), num_fewshot=shots, task_manager=manager, log_samples=True, bootstrap_iters=0
    )
    found = {}
    for task, own_places in places.items():
        samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
        if name in WRITTEN:  # a sample for each filter
            assert len(samples) == 2 * len(own_places), f"{len(samples)} samples of {task}"
            for sample in samples:
                item = found.setdefault(own_places[sample["doc_id"]], {"text": sample["resps"][0][0]})
                item[sample["filter"]] = int(sample["exact_match"])
            continue
        assert len(samples) == len(own_places), f"{len(samples)} samples of {task}"
        for place, sample in zip(own_places, samples):
            log_probs = [float(response[0][0]) for response in sample["resps"]]
            scores = {metric: int(sample[metric]) for metric in ("acc", "acc_norm") if metric in sample}
            found[place] = {"log_probs": log_probs, "answer": right_answer(name, sample["doc"]), **scores}
    found = [found[place] for place in sorted(found)]
    kept.write_text(json.dumps(found))
    return found


def run_ours(program, model, work, name, shots, n_layers):
    table = work / f"{name}-{shots}.csv"
    table.unlink(missing_ok=True)
    command = [program, "tasks", "--model", model, "--task", name, "--items", work / f"{name}.jsonl", "--per-item", table]
    command += ["--intervention", f"0..{n_layers}"]
    if name in WRITTEN:
        command += ["--max-new-tokens", str(MAX_NEW_TOKENS)]
    if shots:
        command += ["--shots", str(shots), "--examples", work / f"{name}-dev.jsonl"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    with open(table, newline="") as file:
        return [row for row in csv.DictReader(file) if row["intervention"] == "clean"]


def right_answer(name, doc):
    """The place of the right choice by our own reading of the item."""
    if name.startswith("arc"):
        return doc["choices"]["label"].index(doc["answerKey"])
    answers = {"hellaswag": "label", "piqa": "label", "winogrande": "answer", "mmlu": "answer"}
    return 0 if name == "lambada" else int(doc[answers[name]]) - (name == "winogrande")


def compare(name, shots, theirs, ours):
    """The largest difference of a log-probability; every item is answered alike."""
    assert len(theirs) == len(ours), f"{len(theirs)} items of the harness and {len(ours)} of ours"
    worst, n_close = 0.0, 0
    for place, (their, our) in enumerate(zip(theirs, ours)):
        log_prob = their["log_probs"][their["answer"]]
        difference = abs(log_prob - float(our["log_prob"]))
        worst = max(worst, difference)
        assert difference < TOLERANCE, f"{name}, item {place}: {log_prob} and {our['log_prob']}"
        for metric, column in (("acc", "correct"), ("acc_norm", "correct_norm")):
            assert (metric in their) == (our[column] != ""), f"{name}: only one of the two has {metric}"
            if metric in their and their[metric] != int(our[column]):
                best = np.sort(their["log_probs"])[::-1]
                assert len(best) > 1 and best[0] - best[1] < TOLERANCE, f"{name}, item {place}: {metric} differs"
                n_close += 1
    acc = np.mean([int(row["correct"]) for row in ours])
    print(f"{name}, {shots} shots: {len(ours)} items, acc {acc:.3f}, largest difference {worst:.1e} nats, "
          f"{n_close} answered otherwise", flush=True)
    return worst


def compare_texts(name, shots, theirs, ours):
    """Every text is the same, and scored alike."""
    assert len(theirs) == len(ours), f"{len(theirs)} items of the harness and {len(ours)} of ours"
    for place, (their, our) in enumerate(zip(theirs, ours)):
        assert their["text"] == our["answer"], f"{name}, item {place}: {their['text']!r} and {our['answer']!r}"
        for metric, column in (("strict-match", "strict_match"), ("flexible-extract", "flexible_extract")):
            assert their[metric] == int(our[column]), f"{name}, item {place}: {metric} differs in {our['answer']!r}"
    n_numbers = sum(bool(re.search("[0-9]", our["answer"])) for our in ours)
    rights = {column: sum(int(our[column]) for our in ours) for column in ("strict_match", "flexible_extract")}
    print(f"{name}, {shots} shots: {len(ours)} items, every text equal, {n_numbers} of them with a number; right: {rights}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--program", type=Path, default=REPOSITORY / "target/release/stratigraph")
    parser.add_argument("--harness-only", action="store_true", help="run the harness, and compare another time")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--tasks", nargs="+", default=list(FORMS))
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    n_layers = next(config[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in config)
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    worst = 0.0
    for name in args.tasks:
        places = prepare(work, name, args.items, args.shots)
        for shots in args.shots:
            theirs = run_harness(name, args.model, work, places, shots)
            if args.harness_only:
                continue
            ours = run_ours(args.program, args.model, work, name, shots, n_layers)
            if name in WRITTEN:
                compare_texts(name, shots, theirs, ours)
            else:
                worst = max(worst, compare(name, shots, theirs, ours))
    print(f"largest difference: {worst:.1e} nats")


if __name__ == "__main__":
    sys.exit(main())
