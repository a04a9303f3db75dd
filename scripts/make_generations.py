"""Writes greedy continuations by transformers, with and without a repetition penalty, for the tests of generation.

    python scripts/make_generations.py models/tiny tests/fixtures/generations/tiny.json
    python scripts/make_generations.py SMOLLM2_DIRECTORY tests/fixtures/generations/smollm2.json

SMOLLM2_DIRECTORY holds SmolLM2-135M-Instruct with the weights of the GGUF Q4_1 as f32. Each step keeps the margin of the most
likely token over the next, so that a test can tell a rounding from an error.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

PROMPTS = [
    "The king said to the queen",
    "Once upon a time there was",
    "The capital of France is",
    "In 1969, the first man",
    "def add(a, b):\n    return",
    "We hold these truths to be",
    "The whale rose out of the water and",
    "My fellow Americans,",
    "A string in Rust is",
    "To be, or not to be, that is",
    "The economy of the country has",
    "She opened the door and saw",
    "1, 2, 3, 4,",
    "Water boils at",
    "The most important thing about a bridge is",
    "Dear Sir or Madam,",
    "If the compiler finds an error, it",
    "After the war the two armies",
    "I",
    "Question: How many legs does a spider have?\nAnswer:",
]
N_NEW = 24
PENALTY = 1.3


def continued(model, ids: list[int], penalty: float) -> dict:
    """Greedy, token by token, by the definition of `RepetitionPenaltyLogitsProcessor`."""
    out = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=N_NEW,
        min_new_tokens=N_NEW,
        do_sample=False,
        repetition_penalty=penalty,
        output_scores=True,
        return_dict_in_generate=True,
        eos_token_id=None,
        pad_token_id=0,
    )
    margins = []
    for scores in out.scores:
        top = scores[0].topk(2).values
        margins.append(round(float(top[0] - top[1]), 5))
    return {"tokens": out.sequences[0, len(ids) :].tolist(), "margins": margins}


def main() -> None:
    directory, path = sys.argv[1:]
    torch.set_num_threads(1)  # products of one token gain nothing from more
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(Path(directory) / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    cases = []
    with torch.no_grad():
        for prompt in PROMPTS:
            ids = tokenizer.encode(prompt, add_special_tokens=False)
            cases.append({
                "prompt": prompt,
                "ids": ids,
                "greedy": continued(model, ids, 1.0),
                "penalized": continued(model, ids, PENALTY),
            })
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    Path(path).write_text(f'{{"repetition_penalty": {PENALTY}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
