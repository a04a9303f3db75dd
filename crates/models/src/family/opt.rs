//! OPT: learned positions after two unused rows, LayerNorm, ReLU. The 350M, which norms after the residual addition, is refused.

use super::keys::{Keys, unsupported};
use super::{Layout, Recipe, Stored, hf};
use crate::param::{Param, Part};
use crate::{DecoderConfig, Head, Mlp, Norm, Position, Result};

/// The epsilon, which no configuration names.
const EPS: f64 = 1e-5;
/// Why the 350M is not read.
const NORMS_ON_THE_STREAM: &str = "each norm replaces the residual stream, so that it is not a sum of what sublayers add; \
    the other sizes of OPT are read";
/// Rows of the table of positions before that of the first.
const UNUSED_ROWS: usize = 2;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    if !keys.flag_or("do_layer_norm_before", true)? {
        return Err(unsupported("do_layer_norm_before", false, NORMS_ON_THE_STREAM));
    }
    keys.only("_remove_final_layer_norm", false)?;
    keys.dead(&["activation_dropout", "init_std"]);
    let (d_model, n_heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    keys.only("word_embed_proj_dim", d_model)?;
    let has_weights = keys.flag_or("layer_norm_elementwise_affine", true)?;
    let norm = if has_weights { Norm::Layer { eps: EPS } } else { Norm::LayerWithoutWeights { eps: EPS } };
    let n_layers = keys.size("num_hidden_layers")?;
    let config = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?)
        .with_d_mlp(keys.size("ffn_dim")?)
        .with_n_ctx(keys.size("max_position_embeddings")?)
        .with_norm(norm)
        .with_mlp(Mlp::Plain { activation: hf::activation(keys, "activation_function", "relu")? })
        .with_position(Position::Learned)
        .with_head(hf::head(keys, Head::Tied)?)
        .with_biases(keys.flag_or("enable_bias", true)?.into());
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

fn stored_in_hf(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("model.decoder.embed_tokens", Layout::SAME),
        Part::PosEmbed => ("model.decoder.embed_positions", Layout::SAME.after_rows(UNUSED_ROWS)),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("model.decoder.final_layer_norm", Layout::SAME),
        Part::AttnNorm => ("self_attn_layer_norm", Layout::SAME),
        Part::Query => ("self_attn.q_proj", Layout::OUT_IN),
        Part::Key => ("self_attn.k_proj", Layout::OUT_IN),
        Part::Value => ("self_attn.v_proj", Layout::OUT_IN),
        Part::AttnOut => ("self_attn.out_proj", Layout::OUT_IN),
        Part::MlpNorm => ("final_layer_norm", Layout::SAME),
        Part::Up => ("fc1", Layout::OUT_IN),
        Part::Down => ("fc2", Layout::OUT_IN),
        other => unreachable!("OPT has no {other:?}"),
    };
    Stored { name: hf::full_name("model.decoder.layers", name, param), layout }
}
