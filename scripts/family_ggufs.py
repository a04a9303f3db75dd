"""Write models of transformers as llama.cpp's converter lays them out in GGUF files.

    python scripts/family_ggufs.py tests/fixtures NAME ...    # model.gguf beside the checkpoint NAME
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM

ARCHITECTURES = {
    "bloom": gguf.MODEL_ARCH.BLOOM,
    "cohere": gguf.MODEL_ARCH.COMMAND_R,
    "cohere2": gguf.MODEL_ARCH.COHERE2,
    "exaone4": gguf.MODEL_ARCH.EXAONE4,
    "falcon": gguf.MODEL_ARCH.FALCON,
    "gemma": gguf.MODEL_ARCH.GEMMA,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "glm4": gguf.MODEL_ARCH.GLM4,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
    "gpt_oss": gguf.MODEL_ARCH.GPT_OSS,
    "granite": gguf.MODEL_ARCH.GRANITE,
    "ministral3": gguf.MODEL_ARCH.MISTRAL3,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "nemotron": gguf.MODEL_ARCH.NEMOTRON,
    "olmo": gguf.MODEL_ARCH.OLMO,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "olmo3": gguf.MODEL_ARCH.OLMO2,
    "olmoe": gguf.MODEL_ARCH.OLMOE,
    "phi": gguf.MODEL_ARCH.PHI2,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen2_moe": gguf.MODEL_ARCH.QWEN2MOE,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "stablelm": gguf.MODEL_ARCH.STABLELM,
    "starcoder2": gguf.MODEL_ARCH.STARCODER2,
}
PERMUTED = ["granite", "ministral3", "mixtral", "olmo", "smollm3"]  # rotary halves in transformers, rotary pairs in llama.cpp
GAIN_MINUS_ONE = ["gemma", "gemma2", "gemma3_text", "nemotron"]


def get(config, *names, default=None):
    """The first of several keys that the configuration has."""
    return next((getattr(config, name) for name in names if getattr(config, name, None) is not None), default)


def heads_of(config):
    return get(config, "num_attention_heads", "n_head")


def kv_heads_of(config):
    if config.model_type == "falcon":
        return config.num_kv_heads if config.new_decoder_architecture else 1
    return get(config, "num_key_value_heads", default=heads_of(config))


def head_width(config):
    return get(config, "head_dim", default=get(config, "hidden_size", "n_embd") // heads_of(config))


def all_queries_first(value, config):
    """From the queries, the key and the value of each group of heads together to all queries, all keys, all values."""
    groups = kv_heads_of(config)
    parts = value.reshape(groups, heads_of(config) // groups + 2, -1, *value.shape[1:])
    cut = [parts[:, :-2], parts[:, -2:-1], parts[:, -1:]]
    return np.concatenate([part.reshape(-1, *value.shape[1:]) for part in cut])


def in_pairs(value, heads):
    """From rotating the two halves of a head to rotating adjacent pairs."""
    return value.reshape(heads, 2, -1, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def laid_out(name, value, config):
    """A tensor's values as the converter writes them."""
    kind = config.model_type
    if kind == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return value.T
    if kind in ("bloom", "falcon", "gpt_neox") and "query_key_value" in name:
        return all_queries_first(value, config)
    if kind in PERMUTED and ("q_proj" in name or "k_proj" in name):
        return in_pairs(value, heads_of(config) if "q_proj" in name else kv_heads_of(config))
    if kind in GAIN_MINUS_ONE and name.endswith("norm.weight"):
        return value + 1
    return value


def of_experts(name, value, config):
    """Tensors of all experts of a layer, with gate and value apart."""
    layer = name.split(".")[2]
    weight, part = ("bias" if name.endswith("_bias") else "weight"), name.split(".experts.")[1]
    if config.model_type == "gpt_oss" and weight == "weight":
        value = value.swapaxes(1, 2)
    if part.startswith("down_proj"):
        return [(f"blk.{layer}.ffn_down_exps.{weight}", value)]
    half = value.shape[1] // 2
    gate, up = (value[:, ::2], value[:, 1::2]) if config.model_type == "gpt_oss" else (value[:, :half], value[:, half:])
    return [(f"blk.{layer}.ffn_gate_exps.{weight}", gate), (f"blk.{layer}.ffn_up_exps.{weight}", up)]


def tensors(model, names):
    """Name in GGUF and values of every tensor of the model."""
    norms_of_heads = {}
    for name, parameter in model.named_parameters():
        value = parameter.numpy()
        if ".experts." in name:
            yield from of_experts(name, value, model.config)
        elif "_layernorm.norms." in name:  # StableLM has a tensor for each head
            of = "attn_q_norm" if ".q_layernorm." in name else "attn_k_norm"
            norms_of_heads.setdefault(f"blk.{name.split('.')[2]}.{of}.weight", []).append(value)
        else:
            bare = name.removeprefix("transformer.") if model.config.model_type == "bloom" else name
            new = names.get_name(bare, try_suffixes=(".weight", ".bias"))
            assert new is not None, name
            new += ".weight" if name.endswith(".sinks") else ""
            yield new, laid_out(name, value, model.config)
    for name, values in norms_of_heads.items():
        yield name, np.stack(values)


def write_sizes(writer, config):
    kind, width = config.model_type, get(config, "hidden_size", "n_embd")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(get(config, "max_position_embeddings", "seq_length", default=2048))
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(get(config, "intermediate_size", "n_inner", "ffn_hidden_size", default=4 * width))
    writer.add_head_count(heads_of(config))
    if kind not in ("gpt2", "gpt_neox"):
        writer.add_head_count_kv(kv_heads_of(config))
    if getattr(config, "head_dim", None) is not None:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        writer.add_layer_norm_eps(get(config, "layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps", default=1e-5))


def llama3_factors(rope, head_dim):
    """What each rotary frequency is divided by: low ones by `factor`, high ones by 1, a blend between."""
    frequency = rope["rope_theta"] ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    turns = rope["original_max_position_embeddings"] * frequency / (2 * torch.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    blend = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 / ((1 - blend) / rope["factor"] + blend)).float().numpy()


def write_rope(writer, config):
    kind = config.model_type
    rope = getattr(config, "rope_parameters", None) or {}
    if kind == "olmo3":
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    rope = rope.get("full_attention", rope)
    if kind == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)
    if kind not in ("bloom", "falcon", "gemma", "gemma2", "gpt2", "gpt_neox", "phi"):
        writer.add_rope_freq_base(rope["rope_theta"])
    if "partial_rotary_factor" in rope:
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_width(config)))
    elif kind in PERMUTED:
        writer.add_rope_dimension_count(head_width(config))
    scaling = rope.get("rope_type", "default")
    if scaling == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if scaling == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        if kind == "olmo3":  # as the hub's configurations have it
            writer.add_rope_scaling_yarn_attn_factor(0.1 * float(np.log(rope["factor"])) + 1)
        if kind == "ministral3":
            writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
            writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    if scaling == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, head_width(config)))
    if scaling == "longrope":
        original = config.original_max_position_embeddings
        longer = config.max_position_embeddings / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(longer) / np.log(original))))
        for length in ["long", "short"]:
            writer.add_tensor(f"rope_factors_{length}.weight", np.array(rope[f"{length}_factor"], dtype=np.float32))


def write_experts(writer, config):
    experts = get(config, "num_local_experts", "num_experts")
    if experts is None:
        return
    writer.add_expert_count(experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    if config.model_type == "gpt_oss":
        writer.add_expert_feed_forward_length(config.intermediate_size)
    elif width := get(config, "moe_intermediate_size"):
        writer.add_expert_feed_forward_length(width)
    if shared := get(config, "shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(shared)


def write_metadata(writer, config):
    kind = config.model_type
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    write_sizes(writer, config)
    write_rope(writer, config)
    write_experts(writer, config)
    if kind == "gpt_neox":
        writer.add_parallel_residual(config.use_parallel_residual)
    if kind == "stablelm":
        writer.add_parallel_residual(config.use_parallel_residual)
    if kind in ("cohere2", "exaone4", "gemma2", "gpt_oss", "olmo3", "phi3"):
        writer.add_sliding_window(config.sliding_window)
    if kind in ("exaone4", "olmo3"):
        writer.add_sliding_window_pattern([layer == "sliding_attention" for layer in config.layer_types])
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if kind == "olmo":
        writer.add_clamp_kqv(config.clip_qkv)
    if kind in ("cohere", "cohere2"):
        writer.add_logit_scale(config.logit_scale)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    if kind == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if kind == "falcon":
        writer.add_tensor_data_layout("jploski")
    if kind in ("cohere2", "exaone4", "granite", "ministral3", "mixtral", "smollm3"):
        writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")


def make(model, dtype, path):
    config = model.config
    arch = ARCHITECTURES[config.model_type]
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    write_metadata(writer, config)
    for name, value in tensors(model, names):
        # As the converter does, vectors stay in f32 and matrices keep the checkpoint's half precision.
        kind = np.float16 if dtype == torch.float16 and value.ndim > 1 else np.float32
        writer.add_tensor(name, np.ascontiguousarray(value, dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def main(fixtures, names):
    for name in names:
        path = fixtures / name
        config = json.loads((path / "config.json").read_text())
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        make(model, getattr(torch, config.get("dtype") or config["torch_dtype"]), path / "model.gguf")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
