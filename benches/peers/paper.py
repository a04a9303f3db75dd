"""The sweep as the paper's released code does it, with TransformerLens: a clean run beside every other run, one by one.

Deletion sets the block's attention and MLP outputs to zero in hooks. For every swap the model is loaded anew with two
of its blocks exchanged, and once more as it was when the swap has been measured. Losses, entropies and top tokens are
taken of both runs, each from the logits. As ours are: weights stay as the checkpoint has them, with no folding and no
centring, every position counts, and probabilities are not cut off at 1e-9.

    python paper.py --model MODEL --text TEXT --out paper.json
"""
import math
import time
from functools import partial

import torch
import transformers
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.utilities import get_act_name
from transformer_lens.utilities.lm_utils import lm_cross_entropy_loss

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


def table(logits, window):
    """Losses in nats (0 at the last position, which has none), entropies in bits, top tokens of a run: `[pos]` each."""
    losses = lm_cross_entropy_loss(logits, window, per_token=True)
    probabilities = logits.softmax(-1).clamp(min=torch.finfo(logits.dtype).tiny)
    entropies = -(probabilities * (probabilities.log() / math.log(2))).sum(-1)
    return torch.nn.functional.pad(losses, (0, 1))[0], entropies[0], logits[0].argmax(-1)


def divergences(clean, logits):
    """KL divergences `[pos]` in nats."""
    log_p, log_q = clean[0].log_softmax(-1), logits[0].log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def compare(model, tokens, run):
    """Means over all windows of `run(window)` measured against a clean run of `model` on that window."""
    measured = []
    for window, targets in zip(tokens.split(1), common.next_tokens(tokens)):
        clean = model(window, use_cache=False)
        clean_losses, clean_entropies, clean_top = table(clean, window)
        other = run(window)
        losses, entropies, top = table(other, window)
        row = [divergences(clean, other), top == clean_top, entropies, losses, top == targets]
        measured.append(torch.stack([*row, clean_entropies, losses - clean_losses]))
    *metrics, clean_entropies, differences = torch.stack(measured, dim=1)
    more = {"clean_entropy_bits": clean_entropies.mean().item(), "nll_difference": differences[:, :-1].mean().item()}
    return {**common.means(torch.stack(metrics)), **more}


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

    delete, swap, reloads = [], [], []

    def reload(swapped=None):
        begun = time.perf_counter()
        other = load(directory, tokenizer, swapped)
        reloads.append(time.perf_counter() - begun)
        return other

    for layer in range(model.cfg.n_layers):
        hooks = [(get_act_name(name, layer), zero) for name in ("attn_out", "mlp_out")]
        deleted = partial(model.run_with_hooks, fwd_hooks=hooks, use_cache=False)
        delete.append(compare(model, tokens, deleted))
    for layer in range(model.cfg.n_layers - 1):
        swap.append(compare(model, tokens, partial(reload(swapped=layer), use_cache=False)))
        reload()  # as it was
    print(f"{len(reloads)} loads in the sweep: {sum(reloads):.1f}s")
    common.write(args, "paper", loaded - started, time.perf_counter() - loaded, delete, swap)


main()
