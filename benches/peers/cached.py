"""The sweep in PyTorch with the clean run cached: every changed run begins at its layer, all windows in batches.

    python cached.py --model MODEL --text TEXT --out cached.json
"""
import time

import torch

import common


def order(n_layers, layer, swapped):
    """The layers that run after the residual stream into `layer`, which is deleted or changes places with the next."""
    return [layer + 1, layer, *range(layer + 2, n_layers)] if swapped else list(range(layer + 1, n_layers))


def curves(model, tokens):
    """Metrics `[5, sequence, pos]` of all deletions and of all swaps on a batch of windows."""
    decoder = model.model
    n_layers = len(decoder.layers)
    embedded = decoder.embed_tokens(tokens)
    rotary = decoder.rotary_emb(embedded, position_ids=torch.arange(tokens.shape[1])[None])
    targets = common.next_tokens(tokens)

    def run(layer, resid):
        return decoder.layers[layer](resid, position_embeddings=rotary, attention_mask=None)

    def logits(resid):
        return model.lm_head(decoder.norm(resid))

    clean = [embedded]
    for layer in range(n_layers):
        clean.append(run(layer, clean[-1]))
    clean_logits = logits(clean[-1])

    def changed(layer, swapped):
        resid = clean[layer]
        for other in order(n_layers, layer, swapped):
            resid = run(other, resid)
        return common.measure(clean_logits, logits(resid), targets)

    delete = [changed(layer, swapped=False) for layer in range(n_layers)]
    return delete, [changed(layer, swapped=True) for layer in range(n_layers - 1)]


@torch.inference_mode()
def main():
    parser = common.parser(__doc__)
    parser.add_argument("--batch", type=int, default=8, help="windows that go through the model together")
    args, tokens, model, load_seconds = common.prepare(parser)
    started = time.perf_counter()

    batches = [curves(model, batch) for batch in tokens.split(args.batch)]
    joined = ([common.means(torch.cat(parts, dim=1)) for parts in zip(*kind)] for kind in zip(*batches))
    common.write(args, "cached", load_seconds, time.perf_counter() - started, *joined)


main()
