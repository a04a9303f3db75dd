//! Mixtral: Mistral's shape with a mixture of experts in every layer.

use super::keys::Keys;
use super::{Layout, Recipe, Stored, hf, windows};
use crate::param::{Param, Part};
use crate::{DecoderConfig, Experts, Mlp, Result};

/// The rotary base, where a configuration names none.
const BASE: f64 = 1_000_000.0;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = hf::llama_like_with(keys, BASE)?;
    let (n_experts, n_active) = (keys.size("num_local_experts")?, keys.size("num_experts_per_tok")?);
    let experts = Experts::new(n_experts, n_active, config.d_mlp).with_activation(config.mlp.activation());
    let window = windows::everywhere(keys, config.n_layers)?;
    let config = config.with_mlp(Mlp::Experts(experts)).with_sliding_window(window);
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let name = match param.part {
        Part::Router => "block_sparse_moe.gate".to_owned(),
        Part::ExpertGate(expert) => format!("block_sparse_moe.experts.{expert}.w1"),
        Part::ExpertUp(expert) => format!("block_sparse_moe.experts.{expert}.w3"),
        Part::ExpertDown(expert) => format!("block_sparse_moe.experts.{expert}.w2"),
        _ => return hf::stored(config, param),
    };
    Stored { name: hf::full_name("model.layers", &name, param), layout: Layout::OUT_IN }
}
