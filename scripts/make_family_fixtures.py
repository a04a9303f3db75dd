"""Make the tiny checkpoints of the families beside Llama, with reference values from transformers.

`make_fixtures.py` calls this; see there for the packages it needs. Configurations are written in the keys of the
checkpoints that people have (those of the hub, or of transformers 5), and every directory is read back by transformers
and compared with what was meant.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

import family_ggufs
import mxfp4
from family_cases import CASES
from reference_values import EDIT_TAIL, edit_orders, expected_values, with_alibi_once

BATCH = 2
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}

ROPE = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA_LIKE = dict(
    hidden_size=20, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=28,
    vocab_size=96, max_position_embeddings=64, rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=0,
    rope_parameters=ROPE,
)
NEOX = dict(
    hidden_size=32, num_attention_heads=2, intermediate_size=28, vocab_size=64, max_position_embeddings=32,
    layer_norm_eps=1e-5, bos_token_id=0, eos_token_id=0,
)
PHI = dict(
    num_hidden_layers=3, intermediate_size=36, vocab_size=96, max_position_embeddings=64, layer_norm_eps=1e-5,
    bos_token_id=0, eos_token_id=0,
)
GEMMA = dict(
    hidden_size=16, num_attention_heads=2, num_key_value_heads=1, head_dim=12, intermediate_size=24, vocab_size=96,
    max_position_embeddings=64, rms_norm_eps=1e-6, bos_token_id=2, eos_token_id=1, pad_token_id=0, sliding_window=5,
)

# name, model type, configuration, stored dtype, seed, positions
FAMILIES = [
    ("gpt2", "gpt2", dict(
        n_embd=18, n_layer=3, n_head=3, n_positions=24, vocab_size=96, bos_token_id=0, eos_token_id=0,
    ), torch.float32, 11, 14),
    ("gpt2-prefixed", "gpt2", dict(
        n_embd=16, n_layer=2, n_head=2, n_positions=32, n_inner=28, vocab_size=96, activation_function="relu",
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
    ), torch.float16, 12, 14),
    ("neox-parallel", "gpt_neox", dict(
        **NEOX, num_hidden_layers=3, use_parallel_residual=True, tie_word_embeddings=False,
        rope_parameters=ROPE | {"partial_rotary_factor": 0.25},
    ), torch.float32, 13, 14),
    ("neox-sequential", "gpt_neox", dict(
        **NEOX, num_hidden_layers=2, use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True,
        rope_parameters=ROPE | {"partial_rotary_factor": 1.0},
    ), torch.bfloat16, 14, 14),
    ("phi", "phi", dict(
        **PHI, hidden_size=40, num_attention_heads=2, rope_parameters=ROPE | {"partial_rotary_factor": 0.4},
    ), torch.float16, 15, 14),
    ("phi-gqa", "phi", dict(
        **PHI, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
        rope_parameters=ROPE | {"partial_rotary_factor": 0.5},
    ), torch.float32, 16, 14),
    ("mistral", "mistral", dict(
        **LLAMA_LIKE, head_dim=6, sliding_window=5, tie_word_embeddings=False,
    ), torch.float32, 17, 16),
    ("qwen2", "qwen2", dict(
        **(LLAMA_LIKE | {"hidden_size": 24}), use_sliding_window=False, sliding_window=32768, max_window_layers=21,
        tie_word_embeddings=True,
    ), torch.float32, 18, 14),
    ("qwen2-sliding", "qwen2", dict(
        **(LLAMA_LIKE | {"hidden_size": 24}), use_sliding_window=True, sliding_window=4, max_window_layers=1,
        tie_word_embeddings=False,
    ), torch.float32, 19, 14),
    ("qwen3", "qwen3", dict(**LLAMA_LIKE, head_dim=6, tie_word_embeddings=True), torch.bfloat16, 20, 14),
    ("gemma3", "gemma3_text", dict(
        **GEMMA, num_hidden_layers=7, query_pre_attn_scalar=12, rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
            "sliding_attention": ROPE,
        },
    ), torch.float32, 21, 12),
    ("gemma3-plain", "gemma3_text", dict(
        **GEMMA, num_hidden_layers=3, query_pre_attn_scalar=7,
        layer_types=["full_attention", "sliding_attention", "sliding_attention"], rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 3e4},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    ), torch.bfloat16, 22, 12),
]
MINUS_ONE = ["gemma", "gemma2", "gemma3_text", "nemotron"]  # a gain is stored as its difference from one
WITH_GGUF = [
    "bloom", "cohere", "cohere2-usual", "exaone4", "falcon", "falcon-grouped", "gemma", "gemma2", "gemma3", "glm4",
    "gpt2", "gpt-oss", "granite", "ministral3", "mixtral", "neox-parallel", "neox-sequential", "nemotron", "olmo", "olmo2", "olmo3",
    "olmoe", "phi", "phi3", "qwen2", "qwen2-moe", "qwen3", "qwen3-moe-plain", "smollm3-usual", "stablelm",
    "stablelm-heads", "starcoder2",
]


def random_parameter(name, shape, generator, gain):
    """Wide enough that attention is far from uniform, and no gain is `gain` and no bias zero."""
    noise = torch.randn(shape, generator=generator)
    if name.endswith("weight") and len(shape) == 1:
        return gain + 0.25 * noise
    rotated = any(part in name for part in ["q_proj.weight", "k_proj.weight", "query_key_value.weight", "c_attn.weight"])
    return (0.3 if rotated else 0.2) * noise


def random_model(model_type, settings, seed):
    config = CONFIG_MAPPING[model_type](**settings)
    model = with_alibi_once(AutoModelForCausalLM.from_config(config, **EAGER).eval())
    generator = torch.Generator().manual_seed(seed)
    gain = 0.0 if model_type in MINUS_ONE else 1.0
    for name, parameter in model.named_parameters():
        parameter.copy_(random_parameter(name, parameter.shape, generator, gain))
    return model


# ---- configurations and files as people have them --------------------------------------------------


def hub_config(name, config):
    """The keys that the hub's checkpoints of this family have, in place of those of transformers 5."""
    config.pop("transformers_version", None)
    config["torch_dtype"] = config.pop("dtype")
    if name == "gpt2":
        config |= {"n_ctx": config["n_positions"], "architectures": ["GPT2LMHeadModel"], "task_specific_params": {
            "text-generation": {"do_sample": True, "max_length": 50}}}
        for key in ["n_inner", "add_cross_attention", "tie_word_embeddings", "reorder_and_upcast_attn", "use_cache",
                    "scale_attn_by_inverse_layer_idx", "scale_attn_weights"]:
            config.pop(key, None)
    if name == "neox-parallel":
        rope = config.pop("rope_parameters")
        config |= {"rotary_pct": rope["partial_rotary_factor"], "rotary_emb_base": int(rope["rope_theta"])}
        for key in ["attention_bias", "attention_dropout", "hidden_dropout", "classifier_dropout", "is_decoder"]:
            config.pop(key, None)
    if name in ("phi", "mistral", "qwen2"):
        rope = config.pop("rope_parameters")
        config |= {"rope_theta": rope["rope_theta"]}
        config.pop("layer_types", None)
    if name == "phi":
        config |= {"partial_rotary_factor": 0.4, "rope_scaling": None, "num_key_value_heads": None}
    if name == "gemma3":
        rope = config.pop("rope_parameters")
        config.pop("layer_types")
        config.pop("_sliding_window_pattern", None)
        config |= {
            "rope_theta": rope["full_attention"]["rope_theta"], "sliding_window_pattern": 6,
            "rope_local_base_freq": rope["sliding_attention"]["rope_theta"],
            "rope_scaling": {"rope_type": "linear", "factor": rope["full_attention"]["factor"]},
            "attn_logit_softcapping": None, "final_logit_softcapping": None, "cache_implementation": "hybrid",
        }
    return config


IN_HUB_KEYS = ["gpt2", "neox-parallel", "phi", "mistral", "qwen2", "gemma3"]


def add_buffers(name, tensors):
    """What older checkpoints store beside their weights."""
    if name == "gpt2":
        tensors = {key.removeprefix("transformer."): value for key, value in tensors.items()}
        mask = torch.tril(torch.ones(24, 24)).reshape(1, 1, 24, 24)
        return tensors | {f"h.{layer}.attn.bias": mask.clone() for layer in range(3)}
    for layer in range(3):
        prefix = f"gpt_neox.layers.{layer}.attention"
        tensors[f"{prefix}.bias"] = torch.tril(torch.ones(32, 32, dtype=torch.bool)).reshape(1, 1, 32, 32)
        tensors[f"{prefix}.masked_bias"] = torch.tensor(-1e9)
        tensors[f"{prefix}.rotary_emb.inv_freq"] = 10000.0 ** -(torch.arange(0, 4, 2) / 4)
    return tensors


def store(model, name, dtype, path):
    """Store the model in `dtype`, and leave it holding the stored values as f32."""
    shard = "8KB" if name == "qwen2" else "1GB"
    copy.deepcopy(model).to(dtype).save_pretrained(path, max_shard_size=shard)  # rotary tables must not be rounded
    for parameter in model.parameters():
        parameter.copy_(parameter.to(dtype).float())
    if name == "gpt-oss-mxfp4":
        mxfp4.store_experts(model, path, 66)
    if name in ("gpt2", "neox-parallel"):
        file = path / "model.safetensors"
        save_file(add_buffers(name, load_file(file)), file, metadata={"format": "pt"})
    if name in IN_HUB_KEYS:
        file = path / "config.json"
        config = hub_config(name, json.loads(file.read_text()))
        file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def check(path):
    """transformers reads the directory, gives the same values, and every edit matters."""
    model = with_alibi_once(AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **EAGER).eval())
    saved = load_file(path / "expected.safetensors")
    again = expected_values(model, saved["ids"].long())
    for name, value in saved.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=2e-6, msg=f"{path.name}: {name} differs")
    if getattr(model.config, "alibi", False):
        fused = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa").eval()
        logits = fused(saved["ids"].long(), use_cache=False).logits
        torch.testing.assert_close(logits, saved["logits"], rtol=0, atol=1e-5)
    total = saved["resid"][:-1] + saved["attn_out"] + saved["mlp_out"]
    torch.testing.assert_close(total, saved["resid"][1:], rtol=0, atol=2e-5)
    for name in edit_orders(len(saved["pattern"])):
        assert (saved[f"logits_{name}"] - saved["logits"][0, -EDIT_TAIL:]).abs().max() > 0.05, (path.name, name)


def make_family(out, name, model_type, settings, dtype, seed, positions):
    path = out / name
    model = random_model(model_type, settings, seed)
    store(model, name, dtype, path)
    generator = torch.Generator().manual_seed(seed + 100)
    ids = torch.randint(settings["vocab_size"], (BATCH, positions), generator=generator)
    save_file(expected_values(model, ids), path / "expected.safetensors")
    check(path)
    if name in WITH_GGUF:
        family_ggufs.make(model, dtype, path / "model.gguf")


def make_families(out, names=None):
    for family in FAMILIES + CASES:
        if names is None or family[0] in names:
            make_family(out, *family)


if __name__ == "__main__":  # python make_family_fixtures.py OUT NAME ...
    torch.set_grad_enabled(False)
    make_families(Path(sys.argv[1]), sys.argv[2:] or None)
