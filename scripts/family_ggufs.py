"""Write models of transformers as llama.cpp's converter lays them out in GGUF files."""

import gguf
import numpy as np
import torch

ARCHITECTURES = {
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
    "phi": gguf.MODEL_ARCH.PHI2,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}


def laid_out(name, value, config):
    """A tensor's values as the converter writes them."""
    if config.model_type == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return value.T
    if config.model_type == "gpt_neox" and "query_key_value" in name:
        # From each head's query, key and value together to all queries, all keys, all values.
        heads = config.num_attention_heads
        parts = value.reshape(heads, 3, -1, *value.shape[1:]).swapaxes(0, 1)
        return parts.reshape(value.shape)
    if config.model_type == "gemma3_text" and name.endswith("norm.weight"):
        return value + 1
    return value


def write_metadata(writer, config):
    kind = config.model_type
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(
        config.n_inner or 4 * config.n_embd if kind == "gpt2" else config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if kind in ("gpt2", "gpt_neox", "phi"):
        eps = config.layer_norm_epsilon if kind == "gpt2" else config.layer_norm_eps
        writer.add_layer_norm_eps(eps)
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_head_count_kv(config.num_key_value_heads)
    if kind in ("gpt_neox", "phi"):
        head = config.hidden_size // config.num_attention_heads
        writer.add_rope_dimension_count(int(config.rope_parameters["partial_rotary_factor"] * head))
    if kind == "gpt_neox":
        writer.add_parallel_residual(config.use_parallel_residual)
    if kind == "phi":
        writer.add_head_count_kv(config.num_attention_heads)
    if kind == "qwen2":
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if kind in ("qwen3", "gemma3_text"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if kind == "qwen3":
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if kind == "gemma3_text":
        rope = config.rope_parameters["full_attention"]
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    writer.add_tokenizer_model("none")


def make(model, dtype, path):
    config = model.config
    arch = ARCHITECTURES[config.model_type]
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    write_metadata(writer, config)
    for name, parameter in model.named_parameters():
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert new is not None, name
        # As the converter does, vectors stay in f32 and matrices keep the checkpoint's half precision.
        kind = np.float16 if dtype == torch.float16 and parameter.dim() > 1 else np.float32
        writer.add_tensor(new, np.ascontiguousarray(laid_out(name, parameter.numpy(), config), dtype=kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
