"""The sweep as the paper's released code does it, with TransformerLens: a clean run beside every other run, one by one.

Deletion sets the block's attention and MLP outputs to zero in hooks. For every swap the model is loaded anew and two
of its blocks are exchanged. Weights stay as the checkpoint has them: no folding, no centring.

    python paper.py --model MODEL --text TEXT --out paper.json
"""
import time
from functools import partial

import torch
import transformers
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.utilities import get_act_name

import common


def load(directory, tokenizer, swapped=None):
    """The model under TransformerLens, with the block `swapped` and the next one exchanged if that is asked for."""
    model = common.load(directory, "eager")
    if swapped is not None:
        layers = model.model.layers
        layers[swapped], layers[swapped + 1] = layers[swapped + 1], layers[swapped]
    return TransformerBridge.boot_transformers(str(directory), device="cpu", tokenizer=tokenizer, hf_model=model)


def zero(value, hook):
    return torch.zeros_like(value)


def compare(model, tokens, run):
    """Means over all windows of `run(window)` measured against a clean run of `model` on that window."""
    measured = []
    for window, targets in zip(tokens.split(1), common.next_tokens(tokens)):
        clean = model(window, use_cache=False)
        measured.append(common.measure(clean[0], run(window)[0], targets))
    return common.means(torch.stack(measured, dim=1))


@torch.inference_mode()
def main():
    args = common.parser(__doc__).parse_args()
    torch.set_num_threads(args.threads)
    directory = common.checkpoint(args.model, args.cache)
    started = time.perf_counter()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    tokens = common.windows(tokenizer, args)
    model = load(directory, tokenizer)
    loaded = time.perf_counter()

    delete, swap = [], []
    for layer in range(model.cfg.n_layers):
        hooks = [(get_act_name(name, layer), zero) for name in ("attn_out", "mlp_out")]
        deleted = partial(model.run_with_hooks, fwd_hooks=hooks, use_cache=False)
        delete.append(compare(model, tokens, deleted))
    for layer in range(model.cfg.n_layers - 1):
        other = load(directory, tokenizer, swapped=layer)
        swap.append(compare(model, tokens, partial(other, use_cache=False)))
    common.write(args, "paper", loaded - started, time.perf_counter() - loaded, delete, swap)


main()
