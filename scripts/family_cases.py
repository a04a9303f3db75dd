"""The tiny checkpoints of families that are newer than `make_family_fixtures.py` has: shapes that are unusual on purpose.

Heads whose width is not the model's over their number, odd numbers of layers, windows shorter than the text, several rotary
fractions, tied and untied heads, biases on and off, experts that are no multiple of those used.
"""

import torch

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SMALL = dict(
    hidden_size=20, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=22,
    vocab_size=48, max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=0,
)
RMS = SMALL | {"rms_norm_eps": 1e-5, "rope_parameters": ROPE}
GEMMA = dict(
    hidden_size=16, num_attention_heads=2, num_key_value_heads=1, head_dim=12, intermediate_size=24, vocab_size=48,
    max_position_embeddings=64, rms_norm_eps=1e-6, bos_token_id=2, eos_token_id=1, pad_token_id=0,
)
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
YARN = {
    "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 4.0,
    "beta_slow": 0.5,
}
SQUARE = RMS | {"hidden_size": 24}  # for families whose heads have the model's width over their number
EXPERTS = RMS | {
    "hidden_size": 12, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 10,
    "num_experts_per_tok": 2,
}

# name, model type, configuration, stored dtype, seed, positions
CASES = [
    ("gemma", "gemma", dict(**GEMMA, num_hidden_layers=3, rope_parameters=ROPE), BF16, 31, 12),
    ("gemma2", "gemma2", dict(
        **GEMMA, num_hidden_layers=3, rope_parameters=ROPE, sliding_window=5, query_pre_attn_scalar=7,
        attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
    ), F32, 32, 12),
    ("olmo", "olmo", dict(
        **(SMALL | {"hidden_size": 24}), rope_parameters=ROPE, clip_qkv=0.8, tie_word_embeddings=False,
    ), F32, 33, 12),
    ("olmo2", "olmo2", dict(**SQUARE, tie_word_embeddings=False), F32, 34, 12),
    ("olmo3", "olmo3", dict(
        **(SQUARE | {"rope_parameters": {"full_attention": YARN, "sliding_attention": ROPE}}), layer_types=MIXED,
        sliding_window=5, attention_bias=True,
    ), F32, 35, 12),
    ("gpt-neo", "gpt_neo", dict(
        hidden_size=18, num_layers=3, num_heads=3, max_position_embeddings=24, vocab_size=48, window_size=5,
        attention_types=[[["global", "local"], 1], [["local"], 1]], bos_token_id=0, eos_token_id=0,
    ), F32, 36, 12),
    ("phi3", "phi3", dict(
        **(RMS | {"rope_parameters": {
            "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.8,
            "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0],
        }}), original_max_position_embeddings=8, sliding_window=7, tie_word_embeddings=False,
    ), F32, 37, 12),
    ("smollm3", "smollm3", dict(
        **SQUARE, no_rope_layers=[1, 0, 1], no_rope_layer_interval=4, attention_bias=True, mlp_bias=True,
    ), F32, 38, 12),
    ("granite", "granite", dict(
        **(SQUARE | {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0}}), attention_bias=True,
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.3, logits_scaling=2.5,
        tie_word_embeddings=True,
    ), F32, 39, 12),
    ("cohere", "cohere", dict(
        **(SMALL | {"hidden_size": 24}), rope_parameters=ROPE, layer_norm_eps=1e-5, logit_scale=0.4, use_qk_norm=True,
    ), F32, 40, 12),
    ("cohere2", "cohere2", dict(
        **(SMALL | {"hidden_size": 24}), rope_parameters=ROPE, layer_norm_eps=1e-5, layer_types=MIXED,
        logit_scale=0.4, sliding_window=5, attention_bias=True,
    ), F32, 41, 12),
    ("stablelm", "stablelm", dict(
        **(SMALL | {"hidden_size": 32}), rope_parameters=ROPE | {"partial_rotary_factor": 0.5}, layer_norm_eps=1e-5,
        use_qkv_bias=True, tie_word_embeddings=False,
    ), F32, 42, 12),
    ("stablelm-heads", "stablelm", dict(
        **(SMALL | {"hidden_size": 32}), rope_parameters=ROPE | {"partial_rotary_factor": 0.25}, layer_norm_eps=1e-5,
        qk_layernorm=True, use_parallel_residual=True, tie_word_embeddings=False,
    ), F16, 43, 12),
    ("starcoder2", "starcoder2", dict(
        **(SMALL | {"hidden_size": 24}), rope_parameters=ROPE, norm_epsilon=1e-5, sliding_window=5,
    ), F32, 44, 12),
    ("gptj", "gptj", dict(
        n_embd=20, n_layer=3, n_head=2, n_positions=32, rotary_dim=4, vocab_size=48, bos_token_id=0, eos_token_id=0,
    ), F16, 45, 12),
    ("opt", "opt", dict(
        hidden_size=18, num_hidden_layers=3, num_attention_heads=3, ffn_dim=28, max_position_embeddings=24, vocab_size=48,
        bos_token_id=0, eos_token_id=0, pad_token_id=1,
    ), F32, 46, 12),
    ("nemotron", "nemotron", dict(
        **SMALL, head_dim=8, rope_parameters=ROPE | {"partial_rotary_factor": 0.5}, norm_eps=1e-5,
        tie_word_embeddings=False,
    ), BF16, 47, 12),
    ("glm", "glm", dict(
        **RMS | {"rope_parameters": ROPE | {"partial_rotary_factor": 0.5}}, head_dim=8, tie_word_embeddings=False,
    ), F32, 48, 12),
    ("glm4", "glm4", dict(
        **RMS | {"rope_parameters": ROPE | {"partial_rotary_factor": 0.5}}, head_dim=8, attention_bias=False,
        tie_word_embeddings=False,
    ), F32, 49, 12),
    ("exaone4", "exaone4", dict(
        **RMS | {"hidden_size": 24, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 1e4, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        }}, sliding_window=5, sliding_window_pattern=4, layer_types=MIXED, tie_word_embeddings=True,
    ), F32, 50, 12),
    ("ministral3", "ministral3", dict(
        **RMS | {"rope_parameters": YARN | {
            "original_max_position_embeddings": 4, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.3,
        }}, head_dim=6, tie_word_embeddings=False,
    ), F32, 51, 12),
    ("bloom", "bloom", dict(
        hidden_size=18, n_layer=3, n_head=3, vocab_size=48, bos_token_id=0, eos_token_id=0,
    ), F16, 52, 12),
    ("falcon", "falcon", dict(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=4, vocab_size=48, max_position_embeddings=64,
        multi_query=True, parallel_attn=True, new_decoder_architecture=False, bos_token_id=0, eos_token_id=0,
        rope_parameters=ROPE, ffn_hidden_size=28,
    ), F32, 53, 12),
    ("falcon-grouped", "falcon", dict(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_kv_heads=2, vocab_size=48,
        max_position_embeddings=64, new_decoder_architecture=True, bias=True, bos_token_id=0, eos_token_id=0,
        rope_parameters=ROPE, tie_word_embeddings=False, ffn_hidden_size=28,
    ), F32, 54, 12),
    ("falcon-sequential", "falcon", dict(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=4, vocab_size=48, max_position_embeddings=64,
        multi_query=False, parallel_attn=False, bos_token_id=0, eos_token_id=0, rope_parameters=ROPE, ffn_hidden_size=28,
    ), F32, 55, 12),
    ("llama-yarn", "llama", dict(**RMS | {"rope_parameters": YARN}, head_dim=6, tie_word_embeddings=True), F32, 56, 12),
    ("qwen2-yarn", "qwen2", dict(
        **RMS | {"hidden_size": 24, "rope_parameters": YARN | {"attention_factor": 1.3, "truncate": False}},
        tie_word_embeddings=False, use_sliding_window=False,
    ), F32, 57, 12),
    ("mixtral", "mixtral", dict(
        **EXPERTS, head_dim=8, num_local_experts=5, sliding_window=5, tie_word_embeddings=False,
    ), F32, 61, 12),
    ("qwen2-moe", "qwen2_moe", dict(
        **EXPERTS, num_experts=5, moe_intermediate_size=8, shared_expert_intermediate_size=7,
        norm_topk_prob=False, tie_word_embeddings=False,
    ), F32, 62, 12),
    ("qwen3-moe", "qwen3_moe", dict(
        **EXPERTS, head_dim=8, num_experts=5, moe_intermediate_size=8, norm_topk_prob=True, mlp_only_layers=[1],
        tie_word_embeddings=False,
    ), F32, 63, 12),
    ("olmoe", "olmoe", dict(
        **EXPERTS | {"num_experts_per_tok": 3}, num_experts=7, norm_topk_prob=False,
        tie_word_embeddings=False,
    ), F32, 64, 12),
    ("gpt-oss", "gpt_oss", dict(
        **EXPERTS | {"rope_parameters": YARN | {"truncate": False}}, head_dim=8, num_local_experts=5, sliding_window=5,
        tie_word_embeddings=False,
    ), F32, 65, 12),
    ("gpt-oss-mxfp4", "gpt_oss", dict(
        **EXPERTS | {"hidden_size": 64, "intermediate_size": 32, "rope_parameters": YARN}, head_dim=8, num_local_experts=5,
        sliding_window=5, tie_word_embeddings=False,
    ), BF16, 66, 12),
    ("olmoe-clipped", "olmoe", dict(
        **EXPERTS, num_experts=3, norm_topk_prob=True, clip_qkv=0.7, tie_word_embeddings=False,
    ), F32, 67, 12),
    ("qwen3-moe-plain", "qwen3_moe", dict(
        **EXPERTS, head_dim=8, num_experts=5, moe_intermediate_size=6, norm_topk_prob=True, tie_word_embeddings=True,
    ), F16, 69, 12),
    ("smollm3-usual", "smollm3", dict(**SQUARE | {"num_hidden_layers": 4}, tie_word_embeddings=True), F16, 70, 12),
    ("cohere2-usual", "cohere2", dict(
        **(SMALL | {"hidden_size": 24, "num_hidden_layers": 4}), rope_parameters=ROPE, layer_norm_eps=1e-5, logit_scale=0.4,
        sliding_window=5,
    ), F16, 71, 12),
    ("falcon-alibi", "falcon", dict(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=12, vocab_size=48, max_position_embeddings=64,
        alibi=True, multi_query=False, parallel_attn=False, bias=True, bos_token_id=0, eos_token_id=0, ffn_hidden_size=28,
    ), F32, 68, 12),
]
