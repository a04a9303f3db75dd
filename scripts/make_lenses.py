"""Make the lenses that the tests read, with reference values from PyTorch and NumPy.

Usage:

    pip install torch transformers safetensors numpy
    python scripts/make_lenses.py tests/fixtures

All lenses are of the checkpoint `llama-gqa`. The directory `lenses` then has

- `jacobian.pt`: a Jacobian lens as `jacobian-lens` and TransformerLens save it, of layers 0 and 1, in f16;
- `tuned/`: a checkpoint of the tuned-lens library with seeded random weights;
- `expected.safetensors`: token ids, least squares by NumPy, Jacobians by PyTorch, and the logits of the tuned lens.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

WINDOWS = 40  # for least squares
PROMPTS = 3  # for Jacobians
TOKENS = 12
SKIP_FIRST = 2


def streams(model, ids):
    """The residual stream before each layer and after the last, [pos, d_model] each, in one graph of gradients."""
    found = []
    embedded = model.model.embed_tokens(ids[None]).detach().requires_grad_(True)
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, output: found.append(first_of(output)))
        for layer in model.model.layers
    ]
    model.model(inputs_embeds=embedded, use_cache=False)
    for hook in hooks:
        hook.remove()
    return [embedded, *found]


def first_of(output):
    return output[0] if isinstance(output, tuple) else output


def jacobians(model, prompts):
    """For each residual position the mean over prompts and source positions of the sum over later targets."""
    n_layers, d_model = model.config.num_hidden_layers, model.config.hidden_size
    valid = range(SKIP_FIRST, TOKENS - 1)
    means = [torch.zeros(d_model, d_model, dtype=torch.float64) for _ in range(n_layers)]
    for ids in prompts:
        *sources, last = streams(model, ids)
        for unit in range(d_model):
            cotangent = torch.zeros_like(last)
            cotangent[0, list(valid), unit] = 1.0
            gradients = torch.autograd.grad(last, sources, cotangent, retain_graph=True)
            for mean, gradient in zip(means, gradients):
                mean[unit] += gradient[0, list(valid)].double().mean(0) / len(prompts)
    return [mean.float() for mean in means]


def least_squares(model, windows):
    """Weights, the input first, and bias of each residual position."""
    n_layers = model.config.num_hidden_layers
    rows = [[] for _ in range(n_layers + 1)]
    for ids in windows:
        for position, stream in enumerate(streams(model, ids)):
            rows[position].append(stream[0].detach().double().numpy())
    rows = [np.concatenate(parts) for parts in rows]
    ones = np.ones((len(rows[0]), 1))
    fits = [np.linalg.lstsq(np.hstack([x, ones]), rows[-1], rcond=None)[0] for x in rows[:-1]]
    return [(torch.tensor(fit[:-1]).float(), torch.tensor(fit[-1]).float()) for fit in fits]


def tuned_lens(model, directory):
    """Writes a checkpoint of the tuned-lens library; returns its translators."""
    n_layers, d_model = model.config.num_hidden_layers, model.config.hidden_size
    translators = torch.nn.ModuleList([torch.nn.Linear(d_model, d_model) for _ in range(n_layers)])
    directory.mkdir(exist_ok=True)
    torch.save(translators.state_dict(), directory / "params.pt")
    config = {
        "base_model_name_or_path": "llama-gqa", "d_model": d_model, "num_hidden_layers": n_layers, "bias": True,
        "base_model_revision": None, "unembed_hash": None, "lens_type": "linear_tuned_lens",
    }
    (directory / "config.json").write_text(json.dumps(config))
    return translators


def main(fixtures):
    torch.manual_seed(20)
    model = AutoModelForCausalLM.from_pretrained(
        fixtures / "llama-gqa", dtype=torch.float32, attn_implementation="eager"
    ).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    out = fixtures / "lenses"
    out.mkdir(exist_ok=True)
    ids = torch.randint(model.config.vocab_size, (WINDOWS, TOKENS))
    expected = {"ids": ids.int()}
    found = jacobians(model, ids[:PROMPTS])
    expected |= {f"jacobian.{position}": jacobian for position, jacobian in enumerate(found)}
    # The matrix of a layer reads the stream after it, which is before the next one.
    published = {layer: found[layer + 1].half() for layer in range(model.config.num_hidden_layers - 1)}
    torch.save(
        {"J": published, "n_prompts": PROMPTS, "source_layers": sorted(published), "d_model": model.config.hidden_size},
        out / "jacobian.pt",
    )
    for position, (weight, bias) in enumerate(least_squares(model, ids)):
        expected |= {f"affine.weight.{position}": weight.contiguous(), f"affine.bias.{position}": bias}
    translators = tuned_lens(model, out / "tuned")
    *before, _ = streams(model, ids[0])
    for position, (stream, translator) in enumerate(zip(before, translators)):
        hidden = model.model.norm(stream + translator(stream))
        expected[f"tuned.logits.{position}"] = model.lm_head(hidden)[0].detach().contiguous()
    save_file(expected, out / "expected.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
