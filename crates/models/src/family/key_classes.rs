//! What configuration keys mean where no family reads them: dead ones, those about the implementation and not the result, and
//! those that must have a neutral value.
//!
//! Taken from the configuration classes of transformers 5.24. Keys that one family alone has are in its own file.

use serde_json::{Value, json};

/// Where a configuration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    HuggingFace,
    Gguf,
}

/// Names of things and of files, tokens, heads of other tasks, training, and defaults of text generation.
const DEAD: &[&str] = &[
    "_name_or_path",
    "_sliding_window_pattern",
    "architectures",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "cls_token_id",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "init_std",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "label2id",
    "length_penalty",
    "mask_token_id",
    "max_length",
    "max_new_tokens",
    "min_length",
    "model_max_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "quantization_method",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "router_z_loss_coef",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "unused_token_ids",
    "use_bfloat16",
    "vocab_file",
    "z_loss_coefficient",
    "gguf",
    "license",
    "model_name",
];

/// Which kernels run, and what is kept between tokens.
const HOW: &[&str] = &[
    "attn_impl",
    "attn_implementation",
    "cache_implementation",
    "chunk_size_feed_forward",
    "fused_bias_fc",
    "fused_mlp",
    "fused_dropout_add_ln",
    "fused_rms_norm",
    "reorder_and_upcast_attn",
    "use_cache",
    "use_fused_rms_norm",
    "use_return_dict",
    "use_memory_efficient_attention",
    "use_kernels",
    "experts_implementation",
];

/// Keys of a GGUF's metadata without effect.
const GGUF: &[&str] = &["rope.scaling.finetuned", "tensor_data_layout"];

/// Parts of names that concern the computation: ignoring an unknown key with one of them, unless it is switched off,
/// could change numbers silently.
const MATTERS: &[&str] = &[
    "alibi",
    "attention",
    "attn",
    "bias",
    "block",
    "cap",
    "causal",
    "cross",
    "dim",
    "embed",
    "encoder",
    "expert",
    "factor",
    "head",
    "hidden",
    "inner",
    "layer",
    "mask",
    "mlp",
    "moe",
    "multiplier",
    "norm",
    "parallel",
    "position",
    "quant",
    "residual",
    "rope",
    "rotary",
    "scal",
    "size",
    "window",
];

/// Keys that change the computation of any family unless they have this value, or are absent or null.
pub(super) fn neutral() -> [(&'static str, Value); 7] {
    [
        ("is_causal", json!(true)),
        ("is_encoder_decoder", json!(false)),
        ("add_cross_attention", json!(false)),
        ("cross_attention_hidden_size", Value::Null),
        ("tie_encoder_decoder", json!(false)),
        ("pruned_heads", json!({})),
        ("use_bidirectional_attention", json!(false)),
    ]
}

/// Whether a key that no family has read is known to have no effect on what a model computes over a text.
pub(super) fn is_without_effect(key: &str, format: Format) -> bool {
    if format == Format::Gguf {
        return GGUF.contains(&key);
    }
    let is_dropout = key.contains("dropout") || key.ends_with("pdrop") || key == "layerdrop";
    let is_kernel = key.contains("flash_att") || key.contains("sdpa") || key.starts_with("_attn_implementation");
    DEAD.contains(&key) || HOW.contains(&key) || is_dropout || is_kernel || key.starts_with("summary_")
}

/// Whether an unknown key concerns the computation by its name.
pub(super) fn matters(key: &str) -> bool {
    let lower = key.to_lowercase();
    // `act` is a part of too many other words.
    let is_activation = |word: &str| word == "act" || word.starts_with("activ");
    MATTERS.iter().any(|part| lower.contains(part)) || lower.split(['_', '.']).any(is_activation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_is_a_word_of_a_name() {
        assert!(["act_fn", "ffn_act", "mid.activation_type", "yarn_factor"].into_iter().all(matters));
        assert!(!["compact_vocabulary", "contact", "exact_match"].into_iter().any(matters));
    }
}
