#!/usr/bin/env python3
"""Tokens per second of greedy generation by transformers, and by llama.cpp where llama-cpp-python is installed.

    benches/peers/generation.py MODEL_DIRECTORY [MODEL.gguf]

MODEL_DIRECTORY is opened by transformers in f32, as `cargo bench --bench generation` loads a model; the GGUF should hold f32 too
for a comparison of equals. Each runs with as many threads as there are cores, and the median step counts.
"""
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM

N_PROMPT, N_NEW, ROUNDS = 8, 64, 3


def by_transformers(directory: str) -> float:
    """The median seconds of a step with a cache of keys and values."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    steps = []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            ids = torch.arange(1, N_PROMPT + 1)[None]
            out = model(ids, use_cache=True)
            for _ in range(N_NEW):
                ids = out.logits[:, -1:].argmax(-1)
                started = time.perf_counter()
                out = model(ids, past_key_values=out.past_key_values, use_cache=True)
                steps.append(time.perf_counter() - started)
    return statistics.median(steps)


def by_llama_cpp(path: str) -> float | None:
    try:
        from llama_cpp import Llama
    except ImportError:
        return None
    model = Llama(path, n_ctx=512, verbose=False)
    steps = []
    for _ in range(ROUNDS):
        model.reset()
        model.eval(list(range(1, N_PROMPT + 1)))
        for _ in range(N_NEW):
            token = model.sample(temp=0.0)
            started = time.perf_counter()
            model.eval([token])
            steps.append(time.perf_counter() - started)
    return statistics.median(steps)


def main() -> None:
    directory, *gguf = sys.argv[1:]
    print(f"transformers: {1 / by_transformers(directory):.1f} tokens/s")
    for path in gguf:
        seconds = by_llama_cpp(path)
        print("llama.cpp: skipped, llama-cpp-python is not installed" if seconds is None else f"llama.cpp: {1 / seconds:.1f} tokens/s")


if __name__ == "__main__":
    main()
