"""What transformers computes for a model: every activation of one pass, and the logits of edited lists of layers."""

import torch

EDIT_TAIL = 4  # the logits of an edited model are kept for this many last positions of sequence 0

# Where a model keeps its blocks and last norm, and a block what it adds to the residual stream.
USUAL_PLACES = ("model", "layers", "norm", "self_attn", "self_attn", "mlp")
NORMED_PLACES = ("model", "layers", "norm", "self_attn", "post_attention_layernorm", "post_feedforward_layernorm")
GPT_PLACES = ("transformer", "h", "ln_f", "attn", "attn", "mlp")
PLACES = {
    "gpt2": GPT_PLACES,
    "gpt_neo": GPT_PLACES,
    "gptj": GPT_PLACES,
    "gpt_neox": ("gpt_neox", "layers", "final_layer_norm", "attention", "attention", "mlp"),
    "phi": ("model", "layers", "final_layernorm", "self_attn", "self_attn", "mlp"),
    "gemma2": NORMED_PLACES,
    "gemma3_text": NORMED_PLACES,
    "olmo2": NORMED_PLACES,
    "olmo3": NORMED_PLACES,
    "exaone4": NORMED_PLACES,
    "glm4": ("model", "layers", "norm", "self_attn", "post_self_attn_layernorm", "post_mlp_layernorm"),
    "opt": ("model.decoder", "layers", "final_layer_norm", "self_attn", "self_attn", "fc2"),
    "falcon": ("transformer", "h", "ln_f", "self_attention", "self_attention", "mlp"),
    # BLOOM adds the residual stream inside of its sublayers.
    "bloom": ("transformer", "h", "ln_f", "self_attention", "self_attention.dense", "mlp.dense_4h_to_h"),
}


def body(model):
    """The bare model, the name of its list of blocks, and the other places of `PLACES`."""
    root, blocks, *rest = PLACES.get(model.config.model_type, USUAL_PLACES)
    return model.get_submodule(root), blocks, *rest


def with_alibi_once(model):
    """The model, whose explicit attention adds ALiBi once.

    transformers 5.24 gives Falcon's attention a mask that has ALiBi in it already. Fused attention (`sdpa`, the default) adds
    that mask alone, and explicit attention (`eager`, which shows patterns) adds ALiBi a second time.
    """
    def mask_alone(_, args, kwargs):
        mask = kwargs["attention_mask"]
        return args, kwargs | {"attention_mask": mask * (mask == torch.finfo(mask.dtype).min)}

    if model.config.model_type == "falcon" and model.config.alibi:
        for layer in model.transformer.h:
            layer.self_attention.register_forward_pre_hook(mask_alone, with_kwargs=True)
    return model


def first(out):
    return out[0] if isinstance(out, tuple) else out


def record(model, ids):
    """One clean pass: the residual stream, the attention patterns, and what each sublayer adds."""
    bare, blocks, norm, attn, attn_out, mlp_out = body(model)
    seen = {"resid": [], "pattern": [], "attn_out": [], "mlp_out": []}
    scale = getattr(model.config, "residual_multiplier", 1.0)
    added = lambda out: (first(out) * scale).reshape(*ids.shape, -1)
    keep = lambda key, pick: lambda _, args, *out: seen[key].append(pick(*out) if out else args[0])
    hooks = [getattr(bare, norm).register_forward_pre_hook(keep("resid", None))]
    for layer in getattr(bare, blocks):
        hooks += [
            layer.register_forward_pre_hook(keep("resid", None)),
            getattr(layer, attn).register_forward_hook(keep("pattern", lambda out: out[1])),
            layer.get_submodule(attn_out).register_forward_hook(keep("attn_out", added)),
            layer.get_submodule(mlp_out).register_forward_hook(keep("mlp_out", added)),
        ]
    logits = model(ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return {"logits": logits} | {name: torch.stack(values) for name, values in seen.items()}


def edited_logits(model, ids, order):
    """Logits of the model whose blocks are `order`.

    transformers picks masks and rotary positions by the place in the list, so the types of layers move with them.
    """
    bare, blocks, *_ = body(model)
    layers, config = getattr(bare, blocks), model.config
    depth = next(name for name in ["n_layer", "num_layers", "num_hidden_layers"] if name in config.__dict__)
    types = getattr(config, "layer_types", None)
    setattr(bare, blocks, torch.nn.ModuleList([layers[i] for i in order]))
    config.__dict__[depth] = len(order)
    if types is not None:
        config.__dict__["layer_types"] = [types[i] for i in order]
    try:
        return model(ids, use_cache=False).logits[0, -EDIT_TAIL:]
    finally:
        setattr(bare, blocks, layers)
        config.__dict__[depth] = len(layers)
        if types is not None:
            config.__dict__["layer_types"] = types


def edit_orders(n):
    orders = {f"delete_{i}": [j for j in range(n) if j != i] for i in range(n)}
    for i in range(n - 1):
        orders[f"swap_{i}"] = [*range(i), i + 1, i, *range(i + 2, n)]
    orders["repeat_0"] = [i for i in range(n) for _ in range(2)]
    return orders


def expected_values(model, ids):
    bare, blocks, *_ = body(model)
    values = {"ids": ids.int()} | record(model, ids)
    for name, order in edit_orders(len(getattr(bare, blocks))).items():
        values[f"logits_{name}"] = edited_logits(model, ids, order)
    return {name: value.clone().contiguous() for name, value in values.items()}
