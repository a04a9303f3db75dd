#!/usr/bin/env python3
"""Opens models/tiny with transformers and writes what it gives for the sample text to tests/fixtures/tiny.safetensors.

    scripts/reference_tiny.py

`ids` [pos] are the first 128 token ids of the text; `logits` [4, d_vocab] those of their last four positions.
Needs torch, transformers and safetensors.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

root = pathlib.Path(__file__).parent.parent
tokenizer = AutoTokenizer.from_pretrained(root / "models/tiny")
model = AutoModelForCausalLM.from_pretrained(root / "models/tiny", dtype=torch.float32).eval()
text = (root / "examples/data/sample.txt").read_text()
ids = tokenizer(text, add_special_tokens=False)["input_ids"][:128]
with torch.no_grad():
    logits = model(torch.tensor([ids])).logits[0, -4:]
tensors = {"ids": torch.tensor(ids, dtype=torch.int32), "logits": logits.contiguous()}
save_file(tensors, root / "tests/fixtures/tiny.safetensors")
print(len(ids), tuple(logits.shape), logits.abs().max().item())
