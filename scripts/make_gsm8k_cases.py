"""Write crates/tasks/tests/gsm8k.json: texts, and how lm-evaluation-harness scores them as answers to GSM8K.

    pip install lm-eval
    python scripts/make_gsm8k_cases.py

The texts are random sequences of what answers consist of and of what a scanner for numbers may trip over. The harness's own filters and
metric score them, as its file gsm8k.yaml says.
"""

import json
import random
from pathlib import Path

import lm_eval
import yaml
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter

PARTS = [
    "#### ", "####", "#### -", "-", "--", "$", "$$", ".", ",", "..", ",.", "5", "42", "1,234", "18.0", "18", "0", "-7", "$3", "3$", "1.",
    " ", "  ", "\n", " is ", "Answer: ", "é", "日本", "-é", "No", "NO.", "<<3*6=18>>", "½", "٣", "x-5", "#### x ",
]
ANSWERS = ["It is 18.\n#### 18", "#### 1,234", "#### -7", "a\n#### 5\n#### 42", "#### $3", "#### 18.0", "0", "#### 42.", "#### no"]


def main():
    source = Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k.yaml"
    task = yaml.safe_load(source.read_text())
    (metric,) = task["metric_list"]
    options = {key: metric[key] for key in ("regexes_to_ignore", "ignore_case", "ignore_punctuation")}
    filters = {}
    for entry in task["filter_list"]:
        regex, first = entry["filter"]
        assert (regex.pop("function"), first["function"]) == ("regex", "take_first")
        filters[entry["name"]] = RegexFilter(**regex)
    draw = random.Random(0)
    cases = []
    for _ in range(400):
        text = "".join(draw.choice(PARTS) for _ in range(draw.randint(0, 9)))
        answer = draw.choice(ANSWERS)
        if draw.random() < 0.5:  # half of the texts end in the answer, or in something like it
            text += draw.choice(["#### ", "", " is "]) + answer.split("#### ")[-1] + draw.choice(["", ".", ",", " ", "\n"])
        case = {"text": text, "answer": answer}
        for name, regex in filters.items():
            [[found]] = regex.apply([[text]], [{}])
            score = exact_match_hf_evaluate(predictions=[found], references=[answer], **options)
            case[name] = bool(score["exact_match"])
        cases.append(case)
    out = Path(__file__).parent.parent / "crates/tasks/tests/gsm8k.json"
    lines = ",\n".join(json.dumps(case) for case in cases)
    out.write_text(f"[\n{lines}\n]\n")
    rights = {name: sum(case[name] for case in cases) for name in filters}
    print(f"{len(cases)} cases, of which right: {rights}")


if __name__ == "__main__":
    main()
