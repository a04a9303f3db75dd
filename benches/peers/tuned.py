"""The sweep in PyTorch as fast as we know how to write it: no block is run twice on the same input.

All runs go through the model together, block by block: the clean one, and every intervention from the block where it
leaves the clean one. The unembedding takes some rows and a part of the vocabulary at a time, small enough for the
processor's caches, and the sums over the vocabulary grow from part to part as in an online softmax.

In bf16 (`--precision bf16`) weights, residual streams and products are bfloat16, and sums over the vocabulary f32.

    python tuned.py --model MODEL --text TEXT --out tuned.json
"""
import math
import time

import torch

import common

ROWS, PART = 512, 1024  # positions and tokens of one tile of logits


def residuals(model, tokens, batch):
    """The last residual stream of the clean run, of all deletions and of all swaps: `[run, window, pos, d_model]`."""
    layers = model.model.layers
    n_layers = len(layers)
    embedded = model.model.embed_tokens(tokens)
    rotary = model.model.rotary_emb(embedded, position_ids=torch.arange(tokens.shape[1])[None])
    runs = embedded.new_empty(2 * n_layers, *embedded.shape)
    clean, delete, swap = runs[0], runs[1 : n_layers + 1], runs[n_layers + 1 :]

    def run(layer, resid):
        for some in resid.split(batch):
            some.copy_(layers[layer](some, position_embeddings=rotary, attention_mask=None))

    clean.copy_(embedded)
    for layer in range(n_layers):
        delete[layer] = clean
        run(layer, runs[: layer + 1].flatten(0, 1))
        if layer >= 2:
            run(layer, swap[: layer - 1].flatten(0, 1))
        if layer >= 1:  # the run without the block before has just passed this block, as a swap begins
            swap[layer - 1] = delete[layer - 1]
            run(layer - 1, swap[layer - 1])
    return runs


def softmax_of(rows, unembedding):
    """The top token, the log-sum-exp and the entropy in nats of each row's logits."""
    top = torch.zeros(len(rows), dtype=torch.long)
    peak, total, weighted = torch.full((len(rows),), -math.inf), torch.zeros(len(rows)), torch.zeros(len(rows))
    for index, part in enumerate(unembedding.split(PART)):
        logits = (rows @ part.T).float()
        highest, where = logits.max(-1)
        top = torch.where(highest > peak, where + index * PART, top)
        risen = torch.maximum(peak, highest)
        exponentials = (logits - risen[:, None]).exp_()
        shrink = (peak - risen).exp_()
        total = total * shrink + exponentials.sum(-1)
        weighted = weighted * shrink + torch.linalg.vecdot(exponentials, logits)
        peak = risen
    log_z = peak + total.log()
    return top, log_z, log_z - weighted / total


def expected_unembedding(rows, log_z, unembedding):
    """The mean of the unembedding's rows under each row's probabilities: `[row, d_model]`."""
    probabilities = lambda part: ((rows @ part.T).float() - log_z[:, None]).exp_().to(part.dtype)
    return sum((probabilities(part) @ part).float() for part in unembedding.split(PART))


def measures(runs, tokens, unembedding):
    """The metrics `[run, 5, window, pos]` of normed residual streams `[run, row, d_model]`, the clean run's first.

    Logits are a product with the unembedding, and so is their mean under the clean probabilities.
    """
    targets = common.next_tokens(tokens).flatten()
    found = zip(*(softmax_of(rows, unembedding) for rows in runs.flatten(0, 1).split(ROWS)))
    top, log_z, entropy = (torch.cat(some).view(runs.shape[:2]) for some in found)
    expected = expected_unembedding(runs[0], log_z[0], unembedding)
    kl = log_z - torch.linalg.vecdot(runs.float(), expected) - entropy[0]
    nll = log_z - torch.linalg.vecdot(runs.float(), unembedding[targets].float())
    measured = [kl, top == top[0], entropy / math.log(2), nll, top == targets]
    return torch.stack(measured, dim=1).unflatten(-1, tokens.shape)


@torch.inference_mode()
def main():
    parser = common.parser(__doc__)
    parser.add_argument("--batch", type=int, default=8, help="windows that go through a block together")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="of weights and activations")
    args, tokens, model, load_seconds = common.prepare(parser)
    started = time.perf_counter()

    runs = model.model.norm(residuals(model, tokens, args.batch).flatten(1, 2))
    curves = [common.means(run) for run in measures(runs, tokens, model.lm_head.weight)[1:]]
    n_layers = len(model.model.layers)
    common.write(args, "tuned", load_seconds, time.perf_counter() - started, curves[:n_layers], curves[n_layers:])


main()
