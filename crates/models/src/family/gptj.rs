//! GPT-J: parallel sublayers after one norm, rotary pairs in a part of each head, a bias in the head.

use super::keys::Keys;
use super::rope::USUAL_BASE;
use super::{Layout, Recipe, Stored, hf};
use crate::param::{Param, Part};
use crate::{Bias, DecoderConfig, Head, Mlp, Norm, Position, Residual, Result, Rope, RopeScaling};

const PREFIX: &str = "transformer.";

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("rotary", true)?;
    keys.dead(&["scale_attn_weights", "n_ctx"]);
    let (d_model, n_heads) = (keys.size("n_embd")?, keys.size("n_head")?);
    let (n_layers, d_mlp) = (keys.size("n_layer")?, keys.size_or_none("n_inner")?);
    let rope = Rope { base: USUAL_BASE, d_rotary: keys.size("rotary_dim")?, scaling: RopeScaling::None };
    let config = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?);
    let config = d_mlp.map_or(config.clone(), |d_mlp| config.with_d_mlp(d_mlp));
    let config = config
        .with_n_ctx(keys.size("n_positions")?)
        .with_norm(Norm::Layer { eps: keys.number("layer_norm_epsilon")? })
        .with_residual(Residual::ParallelSharedNorm)
        .with_mlp(Mlp::Plain { activation: hf::activation(keys, "activation_function", "gelu_new")? })
        .with_position(Position::Rotary(rope))
        .with_head(hf::head(keys, Head::Untied)?)
        .with_mlp_bias(Bias::Present)
        .with_head_bias(Bias::Present);
    Ok(Recipe::new(config, PREFIX, stored_in_hf).ignoring(hf::is_causal_mask))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let d_rotary = config.position.rope().map_or(0, |rope| rope.d_rotary);
    let pairs = Layout::OUT_IN.partial_rotary_pairs(config.n_heads, d_rotary);
    let (name, layout) = match param.part {
        Part::Embed => ("transformer.wte", Layout::SAME),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("transformer.ln_f", Layout::SAME),
        Part::AttnNorm => ("ln_1", Layout::SAME),
        Part::Query => ("attn.q_proj", pairs),
        Part::Key => ("attn.k_proj", pairs),
        Part::Value => ("attn.v_proj", Layout::OUT_IN),
        Part::AttnOut => ("attn.out_proj", Layout::OUT_IN),
        Part::Up => ("mlp.fc_in", Layout::OUT_IN),
        Part::Down => ("mlp.fc_out", Layout::OUT_IN),
        other => unreachable!("GPT-J has no {other:?}"),
    };
    Stored { name: hf::full_name("transformer.h", name, param), layout }
}
