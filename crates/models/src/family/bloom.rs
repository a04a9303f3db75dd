//! BLOOM: ALiBi, a norm of the embedding, queries, keys and values of each head fused.

use super::keys::Keys;
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, EmbedNorm, Head, Mlp, Norm, Position, Result};

const PREFIX: &str = "transformer.";
/// The longest window, where a configuration names none; ALiBi has no limit of its own.
const N_CTX: usize = 2048;
/// Keys of the first checkpoints, which transformers does not read.
const DEAD: [&str; 9] = [
    "attention_softmax_in_fp32",
    "bias_dropout_fusion",
    "masked_softmax_fusion",
    "n_inner",
    "offset_alibi",
    "pretraining_tp",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
];

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("apply_residual_connection_post_layernorm", false)?;
    keys.dead(&DEAD);
    let d_model = keys.size_of(&["n_embed", "hidden_size"])?;
    let n_heads = keys.size_of(&["n_head", "num_attention_heads"])?;
    let n_layers = keys.size_of(&["n_layer", "num_hidden_layers"])?;
    let config = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?)
        .with_n_ctx(keys.size_or_none("seq_length")?.unwrap_or(N_CTX))
        .with_norm(Norm::Layer { eps: keys.number("layer_norm_epsilon")? })
        .with_embed_norm(EmbedNorm::Present)
        .with_mlp(Mlp::Plain { activation: Activation::GeluTanh })
        .with_position(Position::Alibi)
        .with_head(hf::head(keys, Head::Tied)?)
        .with_biases(Bias::Present);
    Ok(Recipe::new(config, PREFIX, stored_in_hf))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let part = |index| Layout::OUT_IN.part_of_head(index, 3, config.n_heads);
    let (name, layout) = match param.part {
        Part::Embed => ("transformer.word_embeddings", Layout::SAME),
        Part::EmbedNorm => ("transformer.word_embeddings_layernorm", Layout::SAME),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("transformer.ln_f", Layout::SAME),
        Part::AttnNorm => ("input_layernorm", Layout::SAME),
        Part::Query => ("self_attention.query_key_value", part(0)),
        Part::Key => ("self_attention.query_key_value", part(1)),
        Part::Value => ("self_attention.query_key_value", part(2)),
        Part::AttnOut => ("self_attention.dense", Layout::OUT_IN),
        Part::MlpNorm => ("post_attention_layernorm", Layout::SAME),
        Part::Up => ("mlp.dense_h_to_4h", Layout::OUT_IN),
        Part::Down => ("mlp.dense_4h_to_h", Layout::OUT_IN),
        other => unreachable!("BLOOM has no {other:?}"),
    };
    Stored { name: hf::full_name("transformer.h", name, param), layout }
}

pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = gguf::common(keys, file, norm)?
        .with_embed_norm(EmbedNorm::Present)
        .with_mlp(Mlp::Plain { activation: Activation::GeluTanh })
        .with_position(Position::Alibi);
    Ok(Recipe::gguf(config, gguf::stored_fused))
}
